#!/usr/bin/env bash
# Builds target/devcluster/helm when its version changed. DEVCLUSTER_OUT names
# another directory for it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(realpath -m "${DEVCLUSTER_OUT:-$here/../../target/devcluster}")
cd "$here"
# shellcheck source-path=SCRIPTDIR source=../go-build.sh
source ../go-build.sh

# 'helm template' cannot ask a cluster for its version and takes this one, that
# of the cluster beside it.
kubernetes=$(cd ../devcluster && go_module_version k8s.io/kubernetes)
IFS=. read -r major minor _ <<<"${kubernetes#v}"

ldflags="-X helm.sh/helm/v3/internal/version.version=$(go_module_version helm.sh/helm/v3)"
for package in pkg/lint/rules pkg/chartutil; do
  ldflags+=" -X helm.sh/helm/v3/$package.k8sVersionMajor=$major -X helm.sh/helm/v3/$package.k8sVersionMinor=$minor"
done

go_build helm "$out" helm.sh/helm/v3/cmd/helm "$ldflags" \
  "the first time about 2 minutes on two cores, 60 MB"
