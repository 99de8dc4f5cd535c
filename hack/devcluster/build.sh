#!/usr/bin/env bash
# Builds target/devcluster/devcluster when its sources changed. DEVCLUSTER_OUT
# names another directory for it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(realpath -m "${DEVCLUSTER_OUT:-$here/../../target/devcluster}")
cd "$here"
# shellcheck source-path=SCRIPTDIR source=../go-build.sh
source ../go-build.sh

[[ $(uname -s) == Linux ]] ||
  go_build_fail "devcluster needs Linux: it relies on parent-death signals and process descriptors"

# Kubernetes takes its version from the linker. Without it, the server calls
# itself v0.0.0-master.
version=$(go_module_version k8s.io/kubernetes)
IFS=. read -r major minor _ <<<"${version#v}"
stamp=k8s.io/component-base/version

go_build devcluster "$out" . \
  "-X $stamp.gitVersion=$version -X $stamp.gitMajor=$major -X $stamp.gitMinor=$minor" \
  "the first time about 5 minutes on two cores, 130 MB"
