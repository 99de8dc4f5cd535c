#!/usr/bin/env bash
# Tells the WordPress in this container under which names besides its own it shall answer.
#
# Parameters are shell variables set before this text (see script.rs). Standard output and exit status are as in
# install.sh. The names go into a file of root's that wp-config.php includes; it is replaced by one rename, and only
# when it differs, so that a run may be killed anywhere and repeated at will.
set -euo pipefail

readonly STATE=/var/lib/hostwright
readonly CONFIGURATION=/var/www/html/wp-config.php
readonly DOMAINS=/etc/hostwright/domains.php
readonly SIGNATURE='// Written by Hostwright when the site was installed; yours to change afterwards.'
# The whole of it takes well under a second; whoever holds the lock longer is installing.
readonly LOCK_SECONDS=10
STEP=start
SAID_WHY=''
NEW=''

say() {
  printf 'hostwright: %s\n' "$*"
}

step() {
  STEP=$1
  say "step $1"
}

fail() {
  SAID_WHY=1
  say "failed $STEP: $*"
  exit 1
}

refuse() {
  SAID_WHY=1
  say "failed $STEP: $*"
  exit 3
}

# The trap's last word, for commands that ended the run by themselves.
# shellcheck disable=SC2317  # Called by the trap.
ended() {
  local status=$1
  if [ -n "$NEW" ]; then rm -f "$NEW"; fi
  if [ "$status" -ne 0 ] && [ -z "$SAID_WHY" ]; then
    say "failed $STEP: a command ended with status $status"
  fi
}

check_site() {
  local owner='' host=''
  if [ -f "$STATE/installed" ]; then
    owner=$(sed -n 1p "$STATE/installed")
    host=$(sed -n 2p "$STATE/installed")
  fi
  [ -n "$owner" ] || refuse 'the container has no WordPress that Hostwright installed; tell it of its names by hand'
  if [ "$owner" != "$HOSTWRIGHT_OWNER" ] || [ "$host" != "$HOSTWRIGHT_SITE_HOST" ]; then
    refuse 'the container has the WordPress of another site'
  fi
}

# Puts NEW in its place, when PHP reads it and it differs from what is there.
replace() {
  local path=$1 mode=$2 owner=$3
  if cmp --silent "$NEW" "$path"; then
    rm -f "$NEW"
    NEW=''
    return
  fi
  php -l "$NEW" </dev/null >&2 || fail "PHP does not read the new $path; it was left as it was"
  chmod "$mode" "$NEW"
  chown "$owner" "$NEW"
  mv -f "$NEW" "$path"
  NEW=''
}

# The first argument is the list's items in PHP.
print_domains() {
  cat <<PHP
<?php
// Written by Hostwright: names under which this WordPress answers besides its own. Changes made here are lost.
( static function () {
	\$names = array(
$1	);
	\$host = strtolower( (string) preg_replace( '/:[0-9]+\$/', '', \$_SERVER['HTTP_HOST'] ?? '' ) );
	if ( ! in_array( \$host, \$names, true ) || defined( 'WP_HOME' ) || defined( 'WP_SITEURL' ) ) {
		return;
	}
	// TLS ends at the reverse proxy.
	\$https = 0 === strpos( \$_SERVER['HTTP_X_FORWARDED_PROTO'] ?? '', 'https' )
		|| ! in_array( strtolower( \$_SERVER['HTTPS'] ?? '' ), array( '', '0', 'off' ), true );
	define( 'WP_HOME', ( \$https ? 'https://' : 'http://' ) . \$host );
	define( 'WP_SITEURL', WP_HOME );
} )();
PHP
}

domains() {
  local name items=''
  step domains
  # The list's words are its names.
  for name in $HOSTWRIGHT_DOMAINS; do
    # Such a name needs no quoting in PHP.
    [[ $name =~ ^[a-z0-9.-]+$ ]] || refuse 'a domain has characters that a host name cannot have'
    items="$items		'$name',"$'\n'
  done
  install -d -m 0755 "${DOMAINS%/*}"
  NEW=$(mktemp "$DOMAINS.XXXXXX")
  print_domains "$items" >"$NEW"
  replace "$DOMAINS" 0640 root:www-data
}

# A file that the owner made anew, or that is older than this line of it.
configuration() {
  step configuration
  [ -f "$CONFIGURATION" ] || fail "$CONFIGURATION is missing"
  if grep --quiet --fixed-strings "$DOMAINS" "$CONFIGURATION"; then return; fi
  grep --quiet --fixed-strings --line-regexp "$SIGNATURE" "$CONFIGURATION" ||
    refuse "$CONFIGURATION was rewritten; add the line: include '$DOMAINS';"
  NEW=$(mktemp "$CONFIGURATION.XXXXXX")
  awk -v signature="$SIGNATURE" -v domains="$DOMAINS" '
    { print }
    $0 == signature { print "if ( is_readable( \047" domains "\047 ) ) {\n\tinclude \047" domains "\047;\n}" }' \
    "$CONFIGURATION" >"$NEW"
  replace "$CONFIGURATION" "$(stat --format %a "$CONFIGURATION")" "$(stat --format %U:%G "$CONFIGURATION")"
}

main() {
  local name
  for name in OWNER SITE_HOST DOMAINS; do
    name=HOSTWRIGHT_$name
    declare -g "$name=${!name-}"
    declare -g +x "$name"
  done
  export LC_ALL=C
  export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  umask 077
  cd /
  trap 'ended $?' EXIT
  check_site
  exec 9>"$STATE/lock"
  flock --wait "$LOCK_SECONDS" 9 || fail 'an installation is under way in this container'
  domains
  configuration
  say 'done'
}

# The only line that does something: a text that was cut off on its way does nothing at all.
main </dev/null
exit 0
