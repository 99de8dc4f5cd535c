#!/usr/bin/env bash
# Builds the peers of the race into target/bench/peers when their sources changed:
# controller-runtime, a Go program, and kopf, a virtual environment of Python.
# PEERS_OUT names another directory for them.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(realpath -m "${PEERS_OUT:-$here/../../target/bench/peers}")
# shellcheck source-path=SCRIPTDIR source=../../hack/go-build.sh
source "$here/../../hack/go-build.sh"

(
  cd "$here/controller-runtime"
  go_build controller-runtime "$out" . "" "the first time about 1 minute on two cores, 60 MB"
)

# Every package has to have the hash that is written down.
python_build() {
  local stamp=$out/kopf.sources hash
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    go_build_fail "the peer in Python needs Python 3.11 or newer as python3"
  hash=$({ python3 --version && sha256sum <"$here/kopf/requirements.txt"; } | sha256sum | cut -d ' ' -f 1)
  go_is_built "$out/kopf/bin/kopf" "$stamp" "$hash" && return

  (
    flock 9
    go_is_built "$out/kopf/bin/kopf" "$stamp" "$hash" && exit
    echo "building $out/kopf: some seconds, 20 MB" >&2
    rm -rf "$stamp" "$out/kopf"
    python3 -m venv "$out/kopf" ||
      go_build_fail "python3 cannot make a virtual environment; on Debian: apt-get install python3-venv"
    "$out/kopf/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
      --requirement "$here/kopf/requirements.txt"
    # As after the first start, so that no start of the race compiles.
    "$out/kopf/bin/python" -m compileall -q "$out/kopf/lib" >/dev/null
    echo "$hash" >"$stamp"
  ) 9>"$out/.kopf.lock"
}
python_build
