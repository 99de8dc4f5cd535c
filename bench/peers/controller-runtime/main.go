// DnsZone on Cloudflare with controller-runtime: the peer of the race. See ../README.md for the reasons of its
// settings.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap/zapcore"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	// Pauses after a failed pass.
	retryFirst = 100 * time.Millisecond
	retryLast  = time.Minute
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	workers := flag.Int("workers", 32, "passes at the same time")
	resync := flag.Duration("resync", 30*time.Second, "time between two looks at an object that nothing has changed")
	provider := flag.String("provider", "", "Provider whose zones are served")
	cluster := flag.String("cluster-id", "", "name of the cluster in the owner marks")
	flag.Parse()

	ctrl.SetLogger(zap.New(zap.Level(zapcore.WarnLevel)))
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	// No limit in the client: the API server's priority and fairness limits instead.
	config.QPS = -1
	scheme := runtime.NewScheme()
	if err := addToScheme(scheme); err != nil {
		return err
	}
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme,
		Cache: cache.Options{
			// Nothing here reads who wrote which field.
			DefaultTransform: cache.TransformStripManagedFields(),
		},
		Metrics: metricsserver.Options{BindAddress: "127.0.0.1:0"},
	})
	if err != nil {
		return err
	}
	reconciler := &reconciler{
		Client: manager.GetClient(),
		cloudflare: newCloudflare(
			os.Getenv("CLOUDFLARE_API_URL"), os.Getenv("CLOUDFLARE_API_TOKEN"), os.Getenv("CLOUDFLARE_ACCOUNT_ID"),
			*workers,
		),
		provider: *provider,
		cluster:  *cluster,
		resync:   *resync,
	}
	err = ctrl.NewControllerManagedBy(manager).
		// A deletion raises the generation. Our own writes of finalizer and status do not wake us.
		For(&DnsZone{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: *workers,
			// Without the default's bucket of 10 a second over all objects, which is for retries alone.
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](retryFirst, retryLast),
		}).
		Complete(reconciler)
	if err != nil {
		return err
	}
	return manager.Start(ctrl.SetupSignalHandler())
}

var (
	_ client.Object        = &DnsZone{}
	_ client.ObjectList    = &DnsZoneList{}
	_ reconcile.Reconciler = &reconciler{}
)
