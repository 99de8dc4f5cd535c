#!/usr/bin/env bash
# Sees that the programs are there that the Makefile's targets need, and installs
# those that are Debian packages. Arguments are names from the table below.
set -euo pipefail

# Program, Debian package, what it is for.
table='
cc              gcc             compiles the cryptography library
ld              binutils        links programs
make            make            runs this
python3         python3-venv    runs the peer in Python of the benchmark
flock           util-linux      lets several builds wait for each other
sshd            openssh-server  a real SSH server, for tests of the installer
named           bind9           real name servers, for tests of delegations and records
named-checkzone bind9-utils     judges the zone files of those tests
setpriv         util-linux      ends the servers of a test that is killed
promtool        prometheus      checks and tries the alerts of the chart
script          bsdutils        runs programs at a terminal, for tests
unshare         util-linux      makes the namespaces of test containers
ip              iproute2        connects test containers
debootstrap     debootstrap     makes the root of the test container in which WordPress is installed
shellcheck      shellcheck      checks shell scripts
'

has() {
  # sshd and named are where only root looks.
  PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null
}

missing=()
for program in "$@"; do
  case $program in
    cargo)
      has cargo || {
        echo "Rust is missing: install rustup from https://rustup.rs; it fetches what rust-toolchain.toml names" >&2
        exit 1
      }
      ;;
    go)
      has go || {
        echo "Go 1.26 or newer is missing: see https://go.dev/doc/install" >&2
        exit 1
      }
      ;;
    *)
      package=$(awk -v program="$program" '$1 == program { print $2 }' <<<"$table")
      [[ -n $package ]] || {
        echo "hack/prerequisites.sh: unknown program $program" >&2
        exit 2
      }
      has "$program" || missing+=("$package")
      ;;
  esac
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

install="apt-get install -y --no-install-recommends ${missing[*]}"
if [[ $(id -u) != 0 ]] || ! has apt-get; then
  echo "missing: ${missing[*]}; install these Debian packages, for example by: sudo $install" >&2
  exit 1
fi
echo "installing Debian packages: ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # words of a command
$install -qq >/dev/null
