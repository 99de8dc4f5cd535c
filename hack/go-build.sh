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
# the same time: one builds, the others wait for it.
go_build() {
  local name=$1 directory=$2 package=$3 ldflags="-s -w $4" cost=$5
  local program=$directory/$name stamp=$directory/$name.sources hash
  hash=$(go_source_hash "$package" "$ldflags")

  go_is_built "$program" "$stamp" "$hash" && return

  command -v go >/dev/null ||
    go_build_fail "$name is built with Go 1.26 or newer, which is not on the PATH: see https://go.dev/doc/install"

  mkdir -p "$directory"
  (
    flock 9
    # Whoever held the lock before may have built it.
    go_is_built "$program" "$stamp" "$hash" && exit

    echo "building $program: $cost" >&2
    rm -f "$stamp"
    SECONDS=0
    CGO_ENABLED=0 go build -trimpath -ldflags "$ldflags" -o "$program.new" "$package"
    # A rename, since a program that runs cannot be written to.
    mv "$program.new" "$program"
    echo "$hash" >"$stamp"
    echo "built $program in $SECONDS s, $(du -m "$program" | cut -f 1) MB" >&2
  ) 9>"$directory/.$name.lock"
}

go_is_built() {
  local program=$1 stamp=$2 hash=$3
  [[ -x $program && -f $stamp && $(<"$stamp") == "$hash" ]]
}
