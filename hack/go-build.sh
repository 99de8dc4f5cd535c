# shellcheck shell=bash
# Builds a Go program that takes minutes, and only when its sources changed.
# Sourced by the build.sh beside each program.

go_build_fail() {
  echo "$*" >&2
  exit 1
}

# The version of a module, as the go.mod in the current directory requires it.
go_module_version() {
  local version
  version=$(awk -v module="$1" '
    $1 == "require" { sub(/^[ \t]*require[ \t]+/, "") }
    $1 == module && $2 ~ /^v/ { print $2; exit }' go.mod)
  [[ -n $version ]] || go_build_fail "go.mod requires no $1"
  echo "$version"
}

# A hash over names and contents of everything that goes into the program, and
# over the flags, which hold the versions.
go_source_hash() {
  {
    printf '%s\n' "$@"
    find . -type f \( -name go.mod -o -name go.sum -o -name '*.go' \) ! -name '*_test.go' -print0 |
      LC_ALL=C sort -z | xargs -0 sha256sum
  } | sha256sum | cut -d ' ' -f 1
}

# go_build NAME DIRECTORY PACKAGE LDFLAGS COST
#
# Builds PACKAGE of the module in the current directory as DIRECTORY/NAME. COST
# is told before a build, so nobody takes the silence for a fault. The hash of
# the sources lies beside the program as NAME.sources. Several may call this at
# the same time: one builds, the others wait for it. A copy goes into the user's
# cache, so that another clone with the same sources takes it from there.
go_build() {
  local name=$1 directory=$2 package=$3 ldflags="-s -w $4" cost=$5
  local program=$directory/$name stamp=$directory/$name.sources hash
  hash=$(go_source_hash "$package" "$ldflags")

  go_is_built "$program" "$stamp" "$hash" && return

  [[ -x $(go_build_cache)/$name-$hash ]] || command -v go >/dev/null ||
    go_build_fail "$name is built with Go 1.26 or newer, which is not on the PATH: see https://go.dev/doc/install"

  mkdir -p "$directory"
  (
    flock 9
    # Whoever held the lock before may have built it.
    go_is_built "$program" "$stamp" "$hash" && exit

    cached=$(go_build_cache)/$name-$hash
    rm -f "$stamp"
    if [[ -x $cached ]]; then
      cp --reflink=auto "$cached" "$program.new"
      touch "$cached"
      echo "took $program from $cached" >&2
    else
      echo "building $program: $cost" >&2
      SECONDS=0
      CGO_ENABLED=0 go build -trimpath -ldflags "$ldflags" -o "$program.new" "$package"
      echo "built $program in $SECONDS s, $(du -m "$program.new" | cut -f 1) MB" >&2
      go_build_keep "$program.new" "$cached" "$name"
    fi
    # A rename, since a program that runs cannot be written to.
    mv "$program.new" "$program"
    echo "$hash" >"$stamp"
  ) 9>"$directory/.$name.lock"
}

go_build_cache() {
  echo "${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/hostwright"
}

# Copies of a program that are kept: those of two branches.
go_build_copies=2

# Keeps a copy of a program, and not more than so many. A cache that cannot be
# written to is no reason to fail.
go_build_keep() {
  local program=$1 cached=$2 name=$3
  if ! { mkdir -p "${cached%/*}" && cp --reflink=auto "$program" "$cached.$$" && mv "$cached.$$" "$cached"; }; then
    rm -f "$cached.$$"
    echo "no copy of $name was kept in ${cached%/*}" >&2
    return
  fi
  # The hash has no white space, and the newest is first.
  # shellcheck disable=SC2012
  ls -t "${cached%/*}/$name"-* | tail -n "+$((go_build_copies + 1))" | xargs -r -d '\n' rm -f
}

go_is_built() {
  local program=$1 stamp=$2 hash=$3
  [[ -x $program && -f $stamp && $(<"$stamp") == "$hash" ]]
}
