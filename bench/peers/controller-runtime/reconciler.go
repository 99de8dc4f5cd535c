package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
)

const (
	finalizer = "controller-runtime.hostwright.dev/finalizer"
	// Origin of a zone that we made.
	created = "Created"
	// Part of the period that is added by chance, so that objects made together are not looked at together.
	jitter = 0.1
)

// reconciler makes zones and records as DnsZones say.
type reconciler struct {
	client.Client
	cloudflare *cloudflare
	provider   string
	cluster    string
	resync     time.Duration
}

// Reconcile brings one zone to what its object says.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	object := new(DnsZone)
	if err := r.Get(ctx, request.NamespacedName, object); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if object.Spec.Provider != r.provider {
		return ctrl.Result{}, nil
	}
	if !object.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, r.remove(ctx, object)
	}
	if !controllerutil.ContainsFinalizer(object, finalizer) {
		before := object.DeepCopy()
		controllerutil.AddFinalizer(object, finalizer)
		// The lock keeps finalizers that somebody else adds meanwhile: a merge patch replaces the list.
		patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
		if err := r.Patch(ctx, object, patch); err != nil {
			return ctrl.Result{}, err
		}
	}
	before := object.DeepCopy()
	err := r.converge(ctx, object)
	if !equality.Semantic.DeepEqual(before.Status, object.Status) {
		if err := r.Status().Patch(ctx, object, client.MergeFrom(before)); err != nil {
			return ctrl.Result{}, err
		}
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: r.resync + time.Duration(rand.Float64()*jitter*float64(r.resync))}, nil
}

// converge makes the outside world so, and puts what it finds into the status.
func (r *reconciler) converge(ctx context.Context, object *DnsZone) error {
	fresh := false
	if object.Status.ZoneID == "" {
		made, err := r.ensureZone(ctx, object)
		if err != nil {
			return err
		}
		fresh = made
	}
	var present []record
	// A zone that was made in this moment is empty.
	if !fresh {
		var err error
		present, err = r.cloudflare.records(ctx, object.Status.ZoneID)
		if missing(err) {
			object.Status.ZoneID, object.Status.Origin = "", ""
			if _, err = r.ensureZone(ctx, object); err == nil {
				present, err = r.cloudflare.records(ctx, object.Status.ZoneID)
			}
		}
		if err != nil {
			return err
		}
	}
	conflicts, foreign, err := r.convergeRecords(ctx, object, present)
	if err != nil {
		return err
	}
	object.Status.ObservedGeneration = object.Generation
	object.Status.Quota = &ZoneQuota{Records: QuotaUse{Used: len(object.Spec.Records)}}
	object.Status.RecordErrors = &conflicts
	object.Status.ForeignRecords = &foreign
	condition := metav1.Condition{
		Type:               "Ready",
		Status:             metav1.ConditionTrue,
		Reason:             "Applied",
		Message:            "The zone is as it shall be.",
		ObservedGeneration: object.Generation,
	}
	if conflicts > 0 {
		condition.Status = metav1.ConditionFalse
		condition.Reason = "RecordConflict"
		condition.Message = fmt.Sprintf("%d records are there and not ours.", conflicts)
	}
	meta.SetStatusCondition(&object.Status.Conditions, condition)
	return nil
}

// ensureZone looks the zone up, makes it when it is absent, and says whether it did.
func (r *reconciler) ensureZone(ctx context.Context, object *DnsZone) (bool, error) {
	found, err := r.cloudflare.findZone(ctx, object.Spec.Zone)
	if err != nil {
		return false, err
	}
	if found != nil {
		if object.Status.Origin, err = r.originOf(ctx, object, found); err != nil {
			return false, err
		}
		object.Status.ZoneID = found.ID
		return false, nil
	}
	made, err := r.cloudflare.createZone(ctx, object.Spec.Zone)
	if hasCode(err, zoneExists) {
		// An earlier attempt of ours, or somebody else a moment ago; the look-up of the next pass tells.
		return false, err
	}
	if err != nil {
		return false, err
	}
	object.Status.ZoneID, object.Status.Origin = made.ID, created
	return true, nil
}

// originOf tells whether a zone that is there is one that we made and were stopped before we could say so: it is
// younger than the object, and holds no record but ours.
func (r *reconciler) originOf(ctx context.Context, object *DnsZone, found *zone) (string, error) {
	if found.CreatedOn.Before(object.CreationTimestamp.Time) {
		return "", nil
	}
	records, err := r.cloudflare.records(ctx, found.ID)
	if err != nil {
		return "", err
	}
	for _, record := range records {
		if record.Comment != r.mark(object) {
			return "", nil
		}
	}
	return created, nil
}

func (r *reconciler) convergeRecords(ctx context.Context, object *DnsZone, present []record) (int, int, error) {
	own, zone := r.mark(object), object.Status.ZoneID
	var mine, foreign []record
	for _, record := range present {
		if record.Comment == own {
			mine = append(mine, record)
		} else {
			foreign = append(foreign, record)
		}
	}
	var absent []record
	for _, wanted := range desired(object, own) {
		if !take(&mine, wanted.saysTheSame, nil) {
			absent = append(absent, wanted)
		}
	}
	conflicts := 0
	for _, wanted := range absent {
		var changed record
		var err error
		switch {
		case take(&mine, func(o record) bool { return o.Name == wanted.Name && o.Type == wanted.Type }, &changed):
			err = r.cloudflare.changeRecord(ctx, zone, changed.ID, wanted)
		case contains(foreign, wanted):
			conflicts++
		default:
			err = r.cloudflare.createRecord(ctx, zone, wanted)
		}
		if err != nil {
			return 0, 0, err
		}
	}
	for _, surplus := range mine {
		if err := r.cloudflare.deleteRecord(ctx, zone, surplus.ID); err != nil && !missing(err) {
			return 0, 0, err
		}
	}
	return conflicts, len(foreign), nil
}

// remove takes away our records, then the zone if we made it, then the finalizer.
func (r *reconciler) remove(ctx context.Context, object *DnsZone) error {
	if !controllerutil.ContainsFinalizer(object, finalizer) {
		return nil
	}
	if object.Spec.DeletionPolicy != "Retain" {
		if err := r.removeOutside(ctx, object); err != nil && !missing(err) {
			return err
		}
	}
	before := object.DeepCopy()
	controllerutil.RemoveFinalizer(object, finalizer)
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	return client.IgnoreNotFound(r.Patch(ctx, object, patch))
}

func (r *reconciler) removeOutside(ctx context.Context, object *DnsZone) error {
	zone, origin := object.Status.ZoneID, object.Status.Origin
	if zone == "" {
		found, err := r.cloudflare.findZone(ctx, object.Spec.Zone)
		if err != nil || found == nil {
			return err
		}
		if origin, err = r.originOf(ctx, object, found); err != nil {
			return err
		}
		zone = found.ID
	}
	records, err := r.cloudflare.records(ctx, zone)
	if err != nil {
		return err
	}
	left := 0
	for _, record := range records {
		if record.Comment != r.mark(object) {
			left++
			continue
		}
		if err := r.cloudflare.deleteRecord(ctx, zone, record.ID); err != nil {
			return err
		}
	}
	if origin == created && left == 0 {
		return r.cloudflare.deleteZone(ctx, zone)
	}
	return nil
}

func (r *reconciler) mark(object *DnsZone) string {
	return fmt.Sprintf("hostwright:%s:%s", r.cluster, object.UID)
}

// desired are the records of the spec.
func desired(object *DnsZone, own string) []record {
	zone := strings.TrimSuffix(object.Spec.Zone, ".")
	records := make([]record, 0, len(object.Spec.Records))
	for _, asked := range object.Spec.Records {
		name := strings.TrimSuffix(asked.Name, ".")
		switch {
		case name == "" || name == "@":
			name = zone
		case name != zone && !strings.HasSuffix(name, "."+zone):
			name += "." + zone
		}
		priority := asked.Priority
		if priority == nil && asked.Type == "MX" {
			usual := 10
			priority = &usual
		}
		ttl := asked.TTL
		if ttl == 0 {
			ttl = 3600
		}
		records = append(records, record{
			Name: name, Type: asked.Type, Content: asked.Content, TTL: ttl, Priority: priority, Comment: own,
		})
	}
	return records
}

// take removes the first record that fits, and says whether there was one.
func take(records *[]record, fits func(record) bool, taken *record) bool {
	for i, candidate := range *records {
		if fits(candidate) {
			if taken != nil {
				*taken = candidate
			}
			*records = append((*records)[:i], (*records)[i+1:]...)
			return true
		}
	}
	return false
}

func contains(records []record, wanted record) bool {
	for _, other := range records {
		if other.Name == wanted.Name && other.Type == wanted.Type && other.Content == wanted.Content {
			return true
		}
	}
	return false
}
