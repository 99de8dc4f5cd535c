#!/usr/bin/env bash
# Checks the Helm chart without a cluster: lint, templates with the values that
# people set, and values that the schema has to refuse; then the alerts, which
# promtool reads and tries with numbers. HELM names another helm.
# tests/suite/chart.rs applies what is rendered to a real API server, and sees that
# alerts and dashboard name only metrics that the program has.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
chart=$root/charts/hostwright
helm=${HELM:-${DEVCLUSTER_OUT:-$root/target/devcluster}/helm}
digest=sha256:$(printf 'a%.0s' {1..64})

fail() {
  echo "chart: $*" >&2
  exit 1
}

[[ -x $helm ]] || fail "$helm is missing; run hack/helm/build.sh"

render() {
  "$helm" template hostwright "$chart" --namespace hostwright-system "$@"
}

# shows TEXT VALUES…: what is rendered with the values holds the text.
shows() {
  local text=$1 rendered
  shift
  rendered=$(render "$@") || fail "no templates with $*"
  grep -qF -- "$text" <<<"$rendered" || fail "with '$*' nothing says '$text'"
}

# hides TEXT VALUES…: what is rendered with the values does not hold the text.
hides() {
  local text=$1 rendered
  shift
  rendered=$(render "$@") || fail "no templates with $*"
  if grep -qF -- "$text" <<<"$rendered"; then
    fail "with '$*' something says '$text'"
  fi
}

# refuses TEXT VALUES…: the values are refused with a message that holds the text.
refuses() {
  local text=$1 said
  shift
  if said=$(render "$@" 2>&1 >/dev/null); then
    fail "'$*' is taken"
  fi
  grep -qF -- "$text" <<<"$said" || fail "with '$*' the message does not hold '$text': $said"
}

"$helm" lint --strict --quiet "$chart"

shows 'image: "hostwright/hostwright:'
shows 'name: hostwright-system-hostwright'
shows 'resourceNames: [kube-system]'
hides HOSTWRIGHT_CLUSTER_ID
shows 'value: "prod-1"' --set operator.clusterId=prod-1
hides kube-system --set operator.clusterId=prod-1
shows "image: \"registry.example/hw@$digest\"" --set image.repository=registry.example/hw \
  --set image.digest="$digest" --set image.tag=ignored
shows 'image: "hostwright/hostwright:1.2"' --set image.tag=1.2
shows 'targetPort: admin' --set metrics.service.enabled=true
hides 'targetPort: admin'
hides PrometheusRule
hides ServiceMonitor
shows 'name: HOSTWRIGHT_SITE_METRICS'
refuses metrics/sites/enabled --set metrics.sites.enabled=maybe
shows 'kind: PrometheusRule' --set metrics.rules.enabled=true
monitor=(--set metrics.service.enabled=true --set metrics.monitor.enabled=true)
shows 'kind: ServiceMonitor' "${monitor[@]}"
shows 'release: prometheus' "${monitor[@]}" --set metrics.monitor.labels.release=prometheus
refuses 'metrics.service.enabled=true' --set metrics.monitor.enabled=true
refuses 'interval' "${monitor[@]}" --set metrics.monitor.interval=often
shows 'alert: HostwrightDown' --set metrics.rules.enabled=true
shows 'release: prometheus' --set metrics.rules.enabled=true --set metrics.rules.labels.release=prometheus
hides grafana
shows 'grafana_dashboard: "1"' --set metrics.dashboard.enabled=true
shows '"uid": "hostwright"' --set metrics.dashboard.enabled=true
shows 'kind: ValidatingAdmissionPolicyBinding'
hides ValidatingAdmissionPolicy --set secretGuard.enabled=false
policy='kind: MutatingAdmissionPolicy'
served=(--api-versions admissionregistration.k8s.io/v1/MutatingAdmissionPolicy)
shows "$policy" "${served[@]}"
shows "${policy}Binding" "${served[@]}"
hides namespaceSelector "${served[@]}"
hides "$policy" "${served[@]}" --set holdOnCreate.enabled=false
shows 'kubernetes.io/metadata.name: customers' "${served[@]}" \
  --set 'extraEnv[0].name=HOSTWRIGHT_WATCH_NAMESPACE' --set 'extraEnv[0].value=customers'
hides "$policy" "${served[@]}" --set 'extraEnv[0].name=HOSTWRIGHT_WATCH_NAMESPACE' \
  --set 'extraEnv[0].valueFrom.fieldRef.fieldPath=metadata.namespace'
shows 'name: hosting' --set fullnameOverride=hosting
shows 'value: "[::]:9090"' --set 'operator.adminAddress=[::]' --set operator.adminPort=9090
shows 'name: HOSTWRIGHT_WATCH_NAMESPACE' \
  --set 'extraEnv[0].name=HOSTWRIGHT_WATCH_NAMESPACE' --set 'extraEnv[0].value=customers'
shows 'priorityClassName: high' --set priorityClassName=high
shows 'disk: ssd' --set nodeSelector.disk=ssd
shows 'effect: NoSchedule' --set 'tolerations[0].effect=NoSchedule'
shows 'team: hosting' --set podLabels.team=hosting
shows 'name: pull' --set 'imagePullSecrets[0].name=pull'

shows 'replicas: 1'
shows 'type: Recreate' --set replicaCount=2
shows 'type: RollingUpdate' --set replicaCount=2 --set updateStrategy=RollingUpdate
for election in leases HOSTWRIGHT_LEADER_ELECTION FlowSchema; do
  hides "$election"
  shows "$election" --set leaderElection.enabled=true
  shows "$election" --set replicaCount=2
done
shows 'resourceNames: [hosting]' --set leaderElection.enabled=true --set fullnameOverride=hosting
hides FlowSchema --set replicaCount=2 --set flowSchema.enabled=false
hides PodDisruptionBudget --set leaderElection.enabled=true
shows 'kind: PodDisruptionBudget' --set replicaCount=2
shows 'topologyKey: kubernetes.io/hostname' --set replicaCount=2

refuses operator/concurrency --set operator.concurrency=0
refuses operator/concurrency --set operator.concurrency=513
refuses operator/clusterId --set operator.clusterId=Prod
refuses operator/resyncInterval --set operator.resyncInterval=ten
refuses operator/log/format --set operator.log.format=xml
refuses operator/adminPort --set operator.adminPort=65536
refuses operator/adminAddress --set operator.adminAddress=localhost
refuses image/digest --set image.digest=sha256:1
refuses image/pullPolicy --set image.pullPolicy=Sometimes
refuses metrics/service/port --set metrics.service.port=0
refuses replicas --set replicas=2
refuses replicaCount --set replicaCount=0
refuses updateStrategy --set updateStrategy=OnDelete
refuses 'needs leaderElection.enabled' --set updateStrategy=RollingUpdate
refuses concurency --set operator.concurency=8
refuses holdOnCreate/enabled --set holdOnCreate.enabled=perhaps
refuses 'chart requires kubeVersion' --kube-version 1.32.0

# As files and as rendered: the wrapping must not change what Prometheus reads.
alerts=$chart/alerts/hostwright.yaml
promtool check rules "$alerts" >/dev/null || fail "promtool does not understand $alerts"
said=$(promtool test rules "$here/alerts.test.yaml" 2>&1) || fail "the alerts do not do what they shall: $said"
wrapped=$(mktemp)
trap 'rm -f "$wrapped"' EXIT
render --set metrics.rules.enabled=true --show-only templates/prometheusrule.yaml |
  sed -n '/^spec:/,$ { /^spec:/d; s/^  //; p }' >"$wrapped"
promtool check rules "$wrapped" >/dev/null || fail "promtool does not understand the PrometheusRule"

echo "chart: lint, templates, refusals and alerts are as they shall be"
