package main

import (
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // registers the client metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // registers the version metric
	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

// runControllerManager is kube-controller-manager unchanged. Which controllers
// run is a matter of the flags the supervisor passes.
func runControllerManager() int {
	command := app.NewControllerManagerCommand()
	command.Use = "controller-manager"
	return cli.Run(command)
}
