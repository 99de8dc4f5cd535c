package main

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// DnsZone has the fields of the kind that this operator reads and writes.
type DnsZone struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   DnsZoneSpec   `json:"spec,omitempty"`
	Status DnsZoneStatus `json:"status,omitempty"`
}

// DnsZoneSpec is what the customer asks for.
type DnsZoneSpec struct {
	Zone           string       `json:"zone"`
	Provider       string       `json:"provider"`
	Records        []ZoneRecord `json:"records,omitempty"`
	DeletionPolicy string       `json:"deletionPolicy,omitempty"`
}

// ZoneRecord is one record of the spec.
type ZoneRecord struct {
	Name     string `json:"name,omitempty"`
	Type     string `json:"type"`
	Content  string `json:"content"`
	TTL      int    `json:"ttl,omitempty"`
	Priority *int   `json:"priority,omitempty"`
}

// DnsZoneStatus is what is known of the zone.
type DnsZoneStatus struct {
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	ZoneID             string             `json:"zoneId,omitempty"`
	Origin             string             `json:"origin,omitempty"`
	Quota              *ZoneQuota         `json:"quota,omitempty"`
	RecordErrors       *int               `json:"recordErrors,omitempty"`
	ForeignRecords     *int               `json:"foreignRecords,omitempty"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
}

// ZoneQuota counts the records of the spec.
type ZoneQuota struct {
	Records QuotaUse `json:"records"`
}

// QuotaUse is how many there are.
type QuotaUse struct {
	Used int `json:"used"`
}

// DnsZoneList is a list of zones.
type DnsZoneList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []DnsZone `json:"items"`
}

var groupVersion = schema.GroupVersion{Group: "hostwright.dev", Version: "v1alpha1"}

func addToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(groupVersion, &DnsZone{}, &DnsZoneList{})
	metav1.AddToGroupVersion(scheme, groupVersion)
	return nil
}

func copied[T any](value *T) *T {
	if value == nil {
		return nil
	}
	copy := *value
	return &copy
}

// DeepCopyInto copies what could be shared.
func (in *DnsZone) DeepCopyInto(out *DnsZone) {
	*out = *in
	in.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	if in.Spec.Records != nil {
		out.Spec.Records = make([]ZoneRecord, len(in.Spec.Records))
		for i, record := range in.Spec.Records {
			record.Priority = copied(record.Priority)
			out.Spec.Records[i] = record
		}
	}
	out.Status.Quota = copied(in.Status.Quota)
	out.Status.RecordErrors = copied(in.Status.RecordErrors)
	out.Status.ForeignRecords = copied(in.Status.ForeignRecords)
	if in.Status.Conditions != nil {
		out.Status.Conditions = make([]metav1.Condition, len(in.Status.Conditions))
		for i := range in.Status.Conditions {
			in.Status.Conditions[i].DeepCopyInto(&out.Status.Conditions[i])
		}
	}
}

// DeepCopy returns a copy.
func (in *DnsZone) DeepCopy() *DnsZone {
	out := new(DnsZone)
	in.DeepCopyInto(out)
	return out
}

// DeepCopyObject returns a copy.
func (in *DnsZone) DeepCopyObject() runtime.Object {
	return in.DeepCopy()
}

// DeepCopyObject returns a copy.
func (in *DnsZoneList) DeepCopyObject() runtime.Object {
	out := new(DnsZoneList)
	*out = *in
	in.ListMeta.DeepCopyInto(&out.ListMeta)
	if in.Items != nil {
		out.Items = make([]DnsZone, len(in.Items))
		for i := range in.Items {
			in.Items[i].DeepCopyInto(&out.Items[i])
		}
	}
	return out
}
