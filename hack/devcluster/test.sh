#!/usr/bin/env bash
# Builds the program when needed and runs all tests, those that start clusters
# too. Arguments go to 'go test'.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
"$here/build.sh"
out=$(realpath -m "${DEVCLUSTER_OUT:-$here/../../target/devcluster}")
cd "$here"
# CGO and -trimpath as in the build. Otherwise all of Kubernetes is compiled once
# more, which takes minutes.
CGO_ENABLED=0 DEVCLUSTER_BIN=$out/devcluster go test -trimpath "$@" ./supervisor
