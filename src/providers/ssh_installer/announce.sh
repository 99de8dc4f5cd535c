#!/usr/bin/env bash
# Tells the WordPress in this container under which names besides its main one it shall answer.
#
# Parameters are shell variables set before this text (see script.rs). Standard output and exit status are as in
# install.sh, whose rule in hosts.php reads the list that is written here. It is replaced by one rename, and only when
# it differs, so that a run may be killed anywhere and repeated at will.
set -euo pipefail

readonly STATE=/var/lib/hostwright
readonly CONFIGURATION=/var/www/html/wp-config.php
readonly HOSTS=/etc/hostwright/hosts.php
readonly DOMAINS=/etc/hostwright/domains
# The whole of it takes well under a second; whoever holds the lock longer is installing.
readonly LOCK_SECONDS=10
STEP=start
SAID_WHY=''

say() {
  printf 'hostwright: %s\n' "$*"
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
  # Either may be the owner's work by now.
  if [ ! -f "$HOSTS" ] || ! grep --quiet --fixed-strings "$HOSTS" "$CONFIGURATION"; then
    refuse "wp-config.php does not include $HOSTS any more; put both back, or set the names by hand"
  fi
}

write_domains() {
  local names=() new
  STEP=domains
  read -r -a names <<<"$HOSTWRIGHT_DOMAINS"
  list() {
    if [ "${#names[@]}" -gt 0 ]; then printf '%s\n' "${names[@]}"; fi
  }
  if list | cmp --silent - "$DOMAINS"; then return; fi
  rm -f "$DOMAINS".*
  new=$(mktemp "$DOMAINS.XXXXXX")
  list >"$new"
  chmod 0640 "$new"
  chown root:www-data "$new"
  mv -f "$new" "$DOMAINS"
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
  exec 9>>"$STATE/lock"
  flock --wait "$LOCK_SECONDS" 9 || fail 'an installation is under way in this container'
  write_domains
  say 'done'
}

# The only line that does something: a text that was cut off on its way does nothing at all.
main </dev/null
exit 0
