#!/usr/bin/env bash
# Makes what the test of the real WordPress begins with, and prints its folder:
#   root.tar   Debian 12 as a fresh container has it, by debootstrap
#   packages/  a package repository with what the installer's script installs, so that the test needs no network
# It is kept in the user's cache under the hash of what it is made from. The mirror is the machine's own. Exit status 77:
# this machine cannot do it.
set -euo pipefail

suite=bookworm
# As a container template has it. Everything else is installed by the script, from the packages below.
include=systemd,systemd-sysv
# What src/providers/ssh_installer/install.sh installs, and nothing else.
packages=(nginx php-fpm php-cli php-mysql php-curl php-gd php-intl php-mbstring php-xml php-zip mariadb-server
  mariadb-client curl ca-certificates tar unzip php wordpress wordpress-theme-twentytwentythree)

fail() {
  echo "hack/wordpress/root.sh: $*" >&2
  exit 1
}

# The machine's own mirror of a Debian archive, by the archive's label.
mirror() {
  # shellcheck disable=SC2016 # These are apt's dollars.
  apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
    awk -F '|' -v label="$1" '$1 == "Debian" && $2 == label { print $3; exit }'
}

# Runs inside namespaces of its own: whatever it mounts goes with them.
make_root() {
  local work=$1 main=$2 security=$3 root=$1/root proxy='' deb
  eval "$(apt-config shell proxy Acquire::http::Proxy)"
  [[ -z $proxy || $proxy == DIRECT ]] || export http_proxy=$proxy
  echo "making a root of Debian $suite: about 1 minute, 150 MB from the machine's mirror" >&2
  debootstrap --variant=minbase --include="$include" "$suite" "$root" "$main" >"$work/log" 2>&1 ||
    fail "debootstrap failed: $(tail -n 5 "$work/log")"

  printf '%s\n' "deb $main $suite main" ${security:+"deb $security $suite-security main"} \
    >"$root/etc/apt/sources.list"
  cp --dereference /etc/resolv.conf /etc/hosts "$root/etc/"
  {
    chroot "$root" apt-get --quiet update &&
      chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes upgrade &&
      chroot "$root" apt-get clean &&
      chroot "$root" apt-get --quiet --yes --no-install-recommends --download-only install "${packages[@]}"
  } >>"$work/log" 2>&1 || fail "the packages could not be fetched: $(tail -n 5 "$work/log")"

  mkdir "$work/packages"
  mv "$root"/var/cache/apt/archives/*.deb "$work/packages/"
  cd "$work/packages"
  for deb in *.deb; do
    # An epoch's colon is escaped in the name of a file, and would be unescaped in its address.
    [[ $deb != *%* ]] || { mv "$deb" "${deb//%3a/-}" && deb=${deb//%3a/-}; }
    dpkg-deb --field "$deb"
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat --format %s "$deb")" \
      "$(sha256sum "$deb" | cut -d ' ' -f 1)"
  done >Packages
  # From here on the container knows no other source.
  echo 'deb [trusted=yes] file:/srv/packages ./' >"$root/etc/apt/sources.list"
  rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root/etc/resolv.conf" "$root/etc/machine-id"
  mkdir -p "$root/srv/packages"
  tar --create --one-file-system --numeric-owner --file "$work/root.tar" --directory "$root" .
  rm -rf "$root"
}

if [[ ${1-} == --make ]]; then
  shift
  make_root "$@"
  exit
fi

# What the machine is not fit for is said, and is no failure of the project's.
skip() {
  echo "SKIPPED: the real WordPress: $*" >&2
  exit 77
}

[[ $(id -u) == 0 ]] || skip "it needs root"
unshare --mount --net --pid --fork true 2>/dev/null || skip "namespaces cannot be made here"
command -v apt-get >/dev/null || skip "its container is made with apt, which is not here"
script=$(realpath "${BASH_SOURCE[0]}")
"${script%/*}/../prerequisites.sh" debootstrap unshare ip setpriv sshd >&2
main=$(mirror Debian)
if [[ -z $main ]]; then
  apt-get update -qq >&2
  main=$(mirror Debian)
fi
[[ -n $main ]] || skip "apt is not configured with a mirror of Debian"
security=$(mirror Debian-Security)

hash=$({ cat "$script" && echo "$main $security $(dpkg --print-architecture)"; } | sha256sum | cut -d ' ' -f 1)
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/hostwright
made=$cache/wordpress-root-$hash
mkdir -p "$cache"
exec 9>"$cache/.wordpress-root.lock"
flock 9
if [[ ! -d $made ]]; then
  work=$(mktemp -d "$cache/.wordpress-root.XXXXXX")
  trap 'rm -rf --one-file-system "$work"' EXIT
  chmod 0755 "$work"
  unshare --mount --pid --fork --kill-child --mount-proc "$script" --make "$work" "$main" "$security" 9>&-
  rm -f "$work/log"
  mv "$work" "$made"
  trap - EXIT
  # One copy is enough: it is 200 MB.
  find "$cache" -maxdepth 1 -name 'wordpress-root-*' ! -path "$made" -exec rm -rf --one-file-system {} +
fi
echo "$made"
