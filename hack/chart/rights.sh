#!/usr/bin/env bash
# Renders what the chart lets the operator do, and what its policies do about
# requests, into target/devcluster/rights.yaml, for the operator of test clusters,
# when the chart changed. DEVCLUSTER_OUT names
# another directory for it, HELM another helm.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
chart=$here/../../charts/hostwright
out=$(realpath -m "${DEVCLUSTER_OUT:-$here/../../target/devcluster}")
helm=${HELM:-$out/helm}

# Files by their names inside the chart, so that a clone elsewhere has the same sum.
sum=$(cd "$chart" && find . "$here/rights.sh" -type f -print0 | LC_ALL=C sort -z |
  xargs -0 cat | sha256sum | cut -d ' ' -f 1)
if [[ -s $out/rights.yaml && $(cat "$out/rights.sources" 2>/dev/null) == "$sum" ]]; then
  exit 0
fi
if [[ ! -x $helm ]]; then
  echo "rights.sh: $helm is missing; run hack/helm/build.sh" >&2
  exit 1
fi

show=()
for template in serviceaccount clusterrole clusterrolebinding role rolebinding secretguard holdoncreate flowschema; do
  show+=(--show-only "templates/$template.yaml")
done
mkdir -p "$out"
# Whoever reads the file meanwhile finds the old one or the new one, never half of one.
new=$(mktemp "$out/rights.XXXXXX")
trap 'rm -f "$new"' EXIT
# With everything that asks for a right, for the API server of hack/devcluster.
"$helm" template hostwright "$chart" --namespace hostwright-system --set leaderElection.enabled=true \
  --api-versions admissionregistration.k8s.io/v1/MutatingAdmissionPolicy "${show[@]}" >"$new"
chmod 644 "$new"
mv "$new" "$out/rights.yaml"
echo "$sum" >"$out/rights.sources"
