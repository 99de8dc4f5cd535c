package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // registers the client metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // registers the version metric
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

// runAPIServer is kube-apiserver with one flag more, --etcd-data-dir. With it,
// etcd runs in this process and --etcd-servers is filled in.
func runAPIServer() int {
	command := app.NewAPIServerCommand()
	command.Use = "serve"
	dataDir := command.Flags().String("etcd-data-dir", "",
		"Directory of the embedded etcd. Without it, --etcd-servers must name one that already runs.")

	var etcd *embed.Etcd
	command.PreRunE = func(command *cobra.Command, _ []string) error {
		if *dataDir == "" {
			return nil
		}
		if command.Flags().Changed("etcd-servers") {
			return errors.New("--etcd-data-dir and --etcd-servers exclude each other")
		}
		var endpoint string
		var err error
		if etcd, endpoint, err = startEtcd(*dataDir); err != nil {
			return err
		}
		go exitWhenEtcdFails(etcd)
		return command.Flags().Set("etcd-servers", endpoint)
	}

	code := cli.Run(command)
	if etcd != nil {
		// Not Close, which waits seconds for watches that end with the process.
		etcd.Server.Stop()
	}
	return code
}

// exitWhenEtcdFails ends the process: an API server whose etcd is gone answers
// every request with a time-out, which hides the cause.
func exitWhenEtcdFails(etcd *embed.Etcd) {
	if err := <-etcd.Err(); err != nil {
		fmt.Fprintf(os.Stderr, "devcluster: embedded etcd failed: %v\n", err)
		os.Exit(1)
	}
}
