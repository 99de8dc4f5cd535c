#!/usr/bin/env bash
# Puts WordPress into this container and finishes its installer, so that no stranger meets install.php.
#
# Parameters are shell variables set before this text (see script.rs); they are never exported, and secrets
# reach other programs over standard input only. Standard output carries nothing but lines that begin with
# `hostwright: `; the last one is `hostwright: done` or `hostwright: failed <step>: <sentence>`. Exit status:
# 0 done, 1 failed and worth another try, 3 refused for good.
#
# Every step is skipped or harmless when it was done before, so that a run which was killed anywhere is
# completed by the next one. Nothing depends on systemd.
set -euo pipefail

readonly STATE=/var/lib/hostwright
readonly LOG=/var/log/hostwright-install.log
readonly ROOT=/var/www/html
readonly HOSTS=/etc/hostwright/hosts.php
readonly SIGNATURE='// Written by Hostwright when the site was installed; yours to change afterwards.'
readonly LOCK_SECONDS=240
readonly APT_SECONDS=600
STEP=start
SAID_WHY=''
PHP_VERSION=''

say() {
  printf 'hostwright: %s\n' "$*"
}

step() {
  STEP=$1
  say "step $1"
  printf '== %s %s\n' "$(date -u +%FT%TZ)" "$1" >>"$LOG"
}

fail() {
  SAID_WHY=1
  tail -n 15 "$LOG" >&2 2>/dev/null || true
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
    tail -n 15 "$LOG" >&2 2>/dev/null || true
    say "failed $STEP: a command ended with status $status; its output is in $LOG"
  fi
}

# Runs a program with a time limit in seconds, its output in the log, and without our lock, which a daemon that
# it starts would hold for ever.
bounded() {
  local seconds=$1
  shift
  timeout --kill-after=10 "$seconds" "$@" </dev/null >>"$LOG" 2>&1 9>&-
}

# Writes standard input to a file in one move, when the content differs. What a run that was killed leaves of it has a
# name that the web server never shows.
put() {
  local path=$1 mode=$2 owner=$3 folder new text
  folder=$(dirname "$path")
  # The shell would cut final line ends off.
  text=$(cat && printf .)
  text=${text%.}
  if printf '%s' "$text" | cmp --silent - "$path"; then return; fi
  mkdir -p "$folder"
  rm -f "$folder"/.hostwright-put.*
  new=$(mktemp "$folder/.hostwright-put.XXXXXX")
  printf '%s' "$text" >"$new"
  chmod "$mode" "$new"
  chown "$owner" "$new"
  mv -f "$new" "$path"
}

sql_text() {
  local text=${1//\\/\\\\}
  printf "'%s'" "${text//\'/\'\'}"
}

php_text() {
  local text=${1//\\/\\\\}
  printf "'%s'" "${text//\'/\\\'}"
}

random_text() {
  head -c 48 /dev/urandom | base64 -w 0
}

check_system() {
  local id='' version=''
  [ "$(id -u)" -eq 0 ] || refuse 'the script must run as root'
  if [ -r /etc/os-release ]; then
    id=$(sed -n 's/^ID="\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' /etc/os-release)
    version=$(sed -n 's/^VERSION_ID="\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' /etc/os-release)
  fi
  case "$id:$version" in
    ubuntu:24.04 | debian:12 | debian:13) ;;
    *) refuse "the container runs ${id:-an unknown system} ${version}; use a template of Ubuntu 24.04, Debian 12 or Debian 13" ;;
  esac
}

check_parameters() {
  local name
  for name in OWNER SITE_HOST SITE_URL ADMIN_USER ADMIN_EMAIL ADMIN_PASSWORD SOURCE; do
    name=HOSTWRIGHT_$name
    [ -n "${!name}" ] || refuse "the parameter $name is missing"
  done
}

# A site that somebody else installed is a customer's work: never set up over it.
check_owner() {
  local mark
  if [ -f "$STATE/installed" ]; then
    mark=$(sed -n 1p "$STATE/installed")
    [ "$mark" = "$HOSTWRIGHT_OWNER" ] || refuse 'the container already has the WordPress of another owner'
  elif [ -f "$ROOT/wp-config.php" ] && ! grep --quiet --fixed-strings "$SIGNATURE" "$ROOT/wp-config.php"; then
    refuse 'the container already has a WordPress that Hostwright did not install; it is left as it is'
  fi
}

# Two runs never overlap; a run whose connection was lost ends at its next word, and its lock with it.
take_lock() {
  exec 9>>"$STATE/lock"
  flock --wait "$LOCK_SECONDS" 9 || fail 'another run in this container did not end in time'
}

fetch() {
  local forwarded=()
  case "$HOSTWRIGHT_SITE_URL" in https://*) forwarded=(--header 'X-Forwarded-Proto: https') ;; esac
  curl --silent --noproxy '*' --max-time 30 --header "Host: $HOSTWRIGHT_SITE_HOST" "${forwarded[@]}" "$@" \
    </dev/null 2>>"$LOG" 9>&-
}

login_page_answers() {
  local page
  page=$(fetch --fail http://127.0.0.1/wp-login.php) || return 1
  [[ $page == *'id="user_login"'* ]]
}

installer_is_closed() {
  local status
  status=$(fetch --output /dev/null --write-out '%{http_code}' http://127.0.0.1/wp-admin/install.php) || return 1
  [ "$status" = 403 ]
}

# A plugin of the owner's may have moved the login page since; what counts is that PHP answers.
finished_before() {
  local status
  [ -f "$STATE/installed" ] || return 1
  [ "$(sed -n 2p "$STATE/installed")" = "$HOSTWRIGHT_SITE_HOST" ] || return 1
  status=$(fetch --output /dev/null --write-out '%{http_code}' http://127.0.0.1/wp-login.php) || return 1
  [ "$status" -lt 500 ] && installer_is_closed
}

missing_packages() {
  local package
  for package in "$@"; do
    [ "$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
      printf '%s\n' "$package"
  done
}

# The network of a fresh container may come late, and its first boot may hold apt's locks.
refresh_package_lists() {
  local try
  for try in 1 2 3 4 5 6 7 8 9 10 11 12; do
    if bounded 120 apt-get --quiet --option APT::Update::Error-Mode=any update; then
      return
    fi
    [ "$try" -eq 12 ] || sleep 5
  done
  fail 'the package lists could not be fetched; check the container'\''s gateway and name servers'
}

# A package tool that outlived its run, or that of somebody else, goes first.
await_package_tools() {
  bounded "$APT_SECONDS" apt-get --quiet --option DPkg::Lock::Timeout=300 check || true
}

# apt-get with what it needs to ask nobody anything.
apt_install() {
  bounded "$APT_SECONDS" apt-get --quiet --yes --no-install-recommends \
    --option DPkg::Lock::Timeout=300 --option Dpkg::Options::=--force-confdef \
    --option Dpkg::Options::=--force-confold --fix-broken "$@"
}

install_packages() {
  local missing half
  mapfile -t missing < <(missing_packages "$@")
  [ "${#missing[@]}" -gt 0 ] || return 0
  await_package_tools
  # A run that was killed inside dpkg leaves packages half configured, and one of them perhaps half unpacked, which
  # nothing but a new unpacking mends.
  bounded "$APT_SECONDS" dpkg --configure --pending --force-confdef --force-confold || true
  refresh_package_lists
  mapfile -t half < <(dpkg-query --show --showformat '${db:Status-Eflag} ${binary:Package}\n' | sed -n 's/^reinstreq //p')
  [ "${#half[@]}" -eq 0 ] || apt_install --reinstall install "${half[@]}" || true
  apt_install install "${missing[@]}" ||
    fail "the packages could not be installed; the last lines of $LOG say why"
}

packages() {
  step packages
  install_packages nginx php-fpm php-cli php-mysql php-curl php-gd php-intl php-mbstring php-xml php-zip \
    mariadb-server mariadb-client curl ca-certificates tar unzip
  PHP_VERSION=$(php -r 'echo PHP_MAJOR_VERSION, ".", PHP_MINOR_VERSION;')
}

# Starts or restarts a service: by systemd where it runs, which also starts it at boot, else by its init script.
serve() {
  local action=$1 name=$2
  if [ -d /run/systemd/system ]; then
    bounded 60 systemctl enable "$name" || fail "the service $name cannot be enabled"
    bounded 120 systemctl "$action" "$name" || fail "the service $name did not start"
  else
    bounded 120 service "$name" "$action" || fail "the service $name did not start"
  fi
}

database() {
  local try password
  step database
  serve start mariadb
  for try in {1..60}; do
    if bounded 10 mariadb-admin --silent ping; then break; fi
    [ "$try" -lt 60 ] || fail 'the database did not answer within a minute'
    sleep 1
  done
  password=$(sql_text "$HOSTWRIGHT_DATABASE_PASSWORD")
  # Over standard input, for arguments are readable to every process.
  printf '%s\n' \
    'CREATE DATABASE IF NOT EXISTS wordpress CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;' \
    "CREATE USER IF NOT EXISTS 'wordpress'@'localhost' IDENTIFIED BY $password;" \
    "ALTER USER 'wordpress'@'localhost' IDENTIFIED BY $password;" \
    'GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES, CREATE TEMPORARY TABLES,' \
    "LOCK TABLES ON wordpress.* TO 'wordpress'@'localhost';" |
    timeout 60 mariadb --batch --user=root >>"$LOG" 2>&1 9>&- ||
    fail 'the database and its user could not be made'
}

download() {
  local url=$1 file=$2
  curl --silent --show-error --fail --location --proto '=https' --proto-redir '=https' --max-redirs 3 \
    --connect-timeout 15 --max-time 600 --max-filesize 268435456 --retry 3 --retry-delay 5 --retry-connrefused \
    --output "$file" "$url" </dev/null >>"$LOG" 2>&1 9>&- ||
    fail "WordPress could not be fetched from $url"
}

unpack() {
  local archive=$1 into=$2 found
  mkdir "$into"
  if [ "$(head -c 2 "$archive")" = PK ]; then
    bounded 300 unzip -q "$archive" -d "$into" || refuse 'the WordPress archive is damaged'
  else
    bounded 300 tar --extract --no-same-owner --file "$archive" --directory "$into" ||
      refuse 'the WordPress archive is damaged or of an unknown kind'
  fi
  found=$(find "$into" -maxdepth 3 -path '*/wp-includes/version.php' -print -quit)
  [ -n "$found" ] || refuse 'the archive has no WordPress in it'
  UNPACKED=${found%/wp-includes/version.php}
}

# Leaves the tree's place in UNPACKED.
obtain_wordpress() {
  local work=$1 archive=$1/archive themes
  case "$HOSTWRIGHT_SOURCE" in
    package:wordpress)
      # With `php` in place, which FPM satisfies, the package does not ask for Apache's module.
      install_packages php
      install_packages wordpress
      # Themes are packages of their own, a different one in each release.
      mapfile -t themes < <(apt-cache depends wordpress | sed -n 's/.*: *\(wordpress-theme-[a-z]*\)$/\1/p')
      install_packages "${themes[@]}"
      # The package links into other packages; a copy does not change under a running site.
      cp --recursive --dereference /usr/share/wordpress "$work/wordpress" 2>>"$LOG" ||
        fail 'the files of the package wordpress could not be copied'
      rm -f "$work/wordpress/wp-config.php"
      UNPACKED=$work/wordpress
      return
      ;;
    https://*) download "$HOSTWRIGHT_SOURCE" "$archive" ;;
    /*)
      [ -r "$HOSTWRIGHT_SOURCE" ] || refuse "the container has no file $HOSTWRIGHT_SOURCE"
      archive=$HOSTWRIGHT_SOURCE
      ;;
    *) refuse 'the source of WordPress is neither an https address, nor a file, nor package:wordpress' ;;
  esac
  if [ -n "$HOSTWRIGHT_SHA256" ]; then
    printf '%s  %s\n' "$HOSTWRIGHT_SHA256" "$archive" | sha256sum --check --status ||
      refuse 'the WordPress archive does not have the SHA-256 sum of the Provider'
  fi
  unpack "$archive" "$work/unpacked"
}

code() {
  local work aside
  step code
  rm -rf "$(dirname "$ROOT")"/.hostwright-new.*
  # It comes there whole, by one rename.
  [ ! -f "$ROOT/wp-includes/version.php" ] || return 0
  # Beside its final place, so that the move at the end is a rename.
  mkdir -p "$(dirname "$ROOT")"
  work=$(mktemp -d "$(dirname "$ROOT")/.hostwright-new.XXXXXX")
  obtain_wordpress "$work"
  mkdir -p "$UNPACKED/wp-content/uploads"
  chown -R root:www-data "$UNPACKED"
  chown -R www-data:www-data "$UNPACKED/wp-content"
  find "$UNPACKED" -type d -exec chmod 0750 {} +
  find "$UNPACKED" -type f -exec chmod 0640 {} +
  if [ -e "$ROOT" ]; then
    # The web server's own page.
    aside="$ROOT.before-hostwright.$(date -u +%Y%m%dT%H%M%SZ)"
    mv -T "$ROOT" "$aside"
  fi
  mv -T "$UNPACKED" "$ROOT"
  rm -rf "$work"
}

print_configuration() {
  local key
  printf '%s\n' '<?php' "$SIGNATURE" \
    '// Under which names the site answers.' \
    "if ( is_readable( '$HOSTS' ) ) {" \
    "	include '$HOSTS';" \
    '}' \
    "define( 'DB_NAME', 'wordpress' );" \
    "define( 'DB_USER', 'wordpress' );" \
    "define( 'DB_PASSWORD', $(php_text "$HOSTWRIGHT_DATABASE_PASSWORD") );" \
    "define( 'DB_HOST', 'localhost' );" \
    "define( 'DB_CHARSET', 'utf8mb4' );" \
    "define( 'DB_COLLATE', '' );"
  for key in AUTH_KEY SECURE_AUTH_KEY LOGGED_IN_KEY NONCE_KEY AUTH_SALT SECURE_AUTH_SALT LOGGED_IN_SALT NONCE_SALT; do
    printf "define( '%s', '%s' );\n" "$key" "$(random_text)"
  done
  # shellcheck disable=SC2016  # These are PHP's dollars.
  printf '%s\n' '$table_prefix = '\''wp_'\'';' \
    "define( 'FS_METHOD', 'direct' );" \
    '// TLS ends at the reverse proxy.' \
    'if ( isset( $_SERVER["HTTP_X_FORWARDED_PROTO"] ) && 0 === strpos( $_SERVER["HTTP_X_FORWARDED_PROTO"], "https" ) ) {' \
    '	$_SERVER["HTTPS"] = "on";' \
    '}'
  if [ "$HOSTWRIGHT_DISALLOW_FILE_EDIT" = 1 ]; then
    printf "define( 'DISALLOW_FILE_EDIT', true );\n"
  fi
  printf '%s\n' "define( 'WP_DEBUG', false );" \
    "if ( ! defined( 'ABSPATH' ) ) {" \
    "	define( 'ABSPATH', __DIR__ . '/' );" \
    '}' \
    "require_once ABSPATH . 'wp-settings.php';"
}

# WordPress shows its home page under every name it is asked for. The rule leads visitors to the main name, and lets the
# names answer for themselves that announce.sh lists beside it.
print_hosts_rule() {
  cat <<'PHP'
<?php
// Written by Hostwright.
( static function () {
	$host  = strtolower( (string) preg_replace( '/:[0-9]+$/', '', $_SERVER['HTTP_HOST'] ?? '' ) );
	$names = is_readable( __DIR__ . '/domains' ) ? file( __DIR__ . '/domains', FILE_IGNORE_NEW_LINES ) : array();
	if ( '' === $host ) {
		return;
	}
	if ( in_array( $host, $names, true ) ) {
		if ( ! defined( 'WP_HOME' ) && ! defined( 'WP_SITEURL' ) ) {
			// TLS ends at the reverse proxy.
			$https = 0 === strpos( $_SERVER['HTTP_X_FORWARDED_PROTO'] ?? '', 'https' );
			define( 'WP_HOME', ( $https ? 'https://' : 'http://' ) . $host );
			define( 'WP_SITEURL', WP_HOME );
		}
		return;
	}
	// WordPress takes hooks that are there before itself. Pages alone are led, so that log-in and interfaces answer.
	$GLOBALS['wp_filter']['template_redirect'][0][] = array(
		'accepted_args' => 0,
		'function'      => static function () use ( $host ) {
			$home = wp_parse_url( home_url() );
			if ( empty( $home['host'] ) || strtolower( $home['host'] ) === $host
				|| ! in_array( $_SERVER['REQUEST_METHOD'] ?? '', array( 'GET', 'HEAD' ), true ) ) {
				return;
			}
			$port = isset( $home['port'] ) ? ':' . $home['port'] : '';
			wp_redirect( $home['scheme'] . '://' . $home['host'] . $port . $_SERVER['REQUEST_URI'], 302, 'Hostwright' );
			exit;
		},
	);
} )();
PHP
}

configuration() {
  step configuration
  print_hosts_rule | put "$HOSTS" 0640 root:www-data
  # A first run may have been killed and its password lost; a file with the present one stays as it is.
  if [ -f "$ROOT/wp-config.php" ] && php_text "$HOSTWRIGHT_DATABASE_PASSWORD" |
    grep --quiet --fixed-strings --file=- "$ROOT/wp-config.php"; then
    return
  fi
  print_configuration | put "$ROOT/wp-config.php" 0640 root:www-data
}

print_php_settings() {
  printf '%s\n' 'upload_max_filesize = 64M' 'post_max_size = 64M' 'memory_limit = 256M' \
    'max_execution_time = 120' 'expose_php = Off'
}

print_site() {
  local ipv6=''
  if [ -e /proc/net/if_inet6 ]; then ipv6='listen [::]:80 default_server;'; fi
  cat <<SITE
# Written by Hostwright. Visitors come through the reverse proxy, which ends TLS.
server {
    listen 80 default_server;
    $ipv6
    server_name _;
    root $ROOT;
    index index.php;
    server_tokens off;
    client_max_body_size 64m;
    client_body_timeout 60s;

    include /etc/nginx/hostwright.d/*.conf;

    # The installer and its configuration page are never for visitors.
    location ~* ^/wp-admin/(install|setup-config)\.php { return 403; }
    location = /wp-config.php { return 403; }
    location ~ /\.(?!well-known/) { return 403; }
    location ~* ^/wp-content/(?:uploads|files|upgrade)/.*\.(?:php[0-9]?|phtml|phar|pht)(?:/|\$) { return 403; }

    location / { try_files \$uri \$uri/ /index.php?\$args; }
    location ~* \.(?:css|js|gif|jpe?g|png|svg|webp|avif|ico|woff2?)\$ {
        expires 7d;
        try_files \$uri /index.php?\$args;
    }
    location ~ \.php\$ {
        try_files \$uri =404;
        include fastcgi_params;
        fastcgi_param SCRIPT_FILENAME \$document_root\$fastcgi_script_name;
        fastcgi_read_timeout 130s;
        fastcgi_pass unix:/run/php/php$PHP_VERSION-fpm.sock;
    }
}
SITE
}

web_server() {
  local try
  step web-server
  print_php_settings | put "/etc/php/$PHP_VERSION/fpm/conf.d/90-hostwright.ini" 0644 root:root
  # Restarts, for the packages may have started them with settings of their own.
  serve restart "php$PHP_VERSION-fpm"
  mkdir -p /etc/nginx/hostwright.d
  print_site | put /etc/nginx/sites-available/hostwright 0644 root:root
  if [ ! -e /etc/nginx/sites-enabled/hostwright ]; then
    ln -sfn ../sites-available/hostwright /etc/nginx/sites-enabled/hostwright
  fi
  rm -f /etc/nginx/sites-enabled/default
  bounded 30 nginx -t || fail 'nginx refuses the site; look for other files in /etc/nginx'
  serve restart nginx
  for try in {1..30}; do
    if [ -S "/run/php/php$PHP_VERSION-fpm.sock" ] && fetch --output /dev/null http://127.0.0.1/readme.html; then return; fi
    [ "$try" -lt 30 ] || fail 'the web server did not answer within half a minute'
    sleep 1
  done
}

# WordPress' own installer, called from inside. Parameters come over standard input, each ended by a zero byte.
read -r -d '' SETUP <<'PHP' || true
$hw = array_combine(
	array( 'root', 'url', 'title', 'user', 'email', 'name', 'password', 'end' ),
	explode( "\0", stream_get_contents( STDIN ) )
);
// WordPress ends with status 0 when it dies with a page for a browser.
$hw_done = false;
register_shutdown_function(
	function () use ( &$hw_done ) {
		if ( ! $hw_done ) {
			exit( 1 );
		}
	}
);
$_SERVER['HTTP_HOST'] = $_SERVER['SERVER_NAME'] = parse_url( $hw['url'], PHP_URL_HOST );
$_SERVER['REQUEST_METHOD'] = 'GET';
$_SERVER['REQUEST_URI'] = $_SERVER['PHP_SELF'] = $_SERVER['SCRIPT_NAME'] = '/wp-admin/install.php';
$_SERVER['SERVER_PROTOCOL'] = 'HTTP/1.1';
$_SERVER['REMOTE_ADDR'] = '127.0.0.1';
if ( 0 === strpos( $hw['url'], 'https://' ) ) {
	$_SERVER['HTTPS'] = 'on';
}
define( 'WP_INSTALLING', true );
// Loading asks for options before there is a table of them; the log would have nothing else at its end.
$GLOBALS['wp_filter']['muplugins_loaded'][0][] = array(
	'accepted_args' => 0,
	'function'      => function () {
		$GLOBALS['wpdb']->suppress_errors( true );
	},
);
// Loading WordPress dies over the tables of a run that was killed while it made them, except in a repair.
define( 'WP_REPAIRING', true );
// The new owner gets their password from the hoster; WordPress shall neither mail it nor look for updates now.
function wp_new_blog_notification() {}
function wp_mail() { return true; }
require $hw['root'] . '/wp-load.php';
$wpdb->suppress_errors( false );
require_once ABSPATH . 'wp-admin/includes/upgrade.php';
add_filter( 'pre_http_request', function () { return new WP_Error( 'installing', 'no requests while installing' ); } );
function hw_is_any_option( $condition ) {
	global $wpdb;
	return $wpdb->get_var( "SHOW TABLES LIKE '{$wpdb->options}'" )
		&& $wpdb->get_var( "SELECT option_id FROM {$wpdb->options} WHERE {$condition} LIMIT 1" );
}
if ( hw_is_any_option( "option_name = 'hostwright_setup'" ) ) {
	$hw_done = true;
	exit( 0 );
}
// Once there are tables, all rows are one transaction: a run that is killed leaves none of them.
add_action(
	'populate_options',
	function () {
		global $wpdb;
		foreach ( $wpdb->tables() as $hw_table ) {
			// Rows that were never committed have used up numbers, and the first content counts on beginning at 1.
			$wpdb->query( "ALTER TABLE {$hw_table} AUTO_INCREMENT = 1" );
		}
		$wpdb->query( 'START TRANSACTION' );
		$wpdb->query( 'SET @hostwright_setup = 1' );
	}
);
if ( ! hw_is_any_option( 'TRUE' ) ) {
	wp_install( $hw['title'], $hw['user'], $hw['email'], true, '', wp_slash( $hw['password'] ) );
} else {
	// These add what is missing and leave the rest.
	make_db_current_silent();
	populate_options();
	populate_roles();
	update_option( 'blogname', $hw['title'] );
	update_option( 'admin_email', $hw['email'] );
}
$hw_id = username_exists( $hw['user'] );
if ( ! $hw_id ) {
	$hw_id = wp_create_user( $hw['user'], wp_slash( $hw['password'] ), $hw['email'] );
	if ( is_wp_error( $hw_id ) ) {
		fwrite( STDERR, $hw_id->get_error_message() . "\n" );
		exit( 1 );
	}
}
$hw_account = new WP_User( $hw_id );
$hw_account->set_role( 'administrator' );
if ( ! wp_check_password( wp_slash( $hw['password'] ), $hw_account->user_pass, $hw_id ) ) {
	wp_set_password( wp_slash( $hw['password'] ), $hw_id );
}
if ( ! term_exists( (int) get_option( 'default_category', 1 ), 'category' ) ) {
	wp_install_defaults( $hw_id );
}
update_option( 'siteurl', $hw['url'] );
update_option( 'home', $hw['url'] );
if ( '' !== $hw['name'] ) {
	wp_update_user(
		array( 'ID' => $hw_id, 'display_name' => wp_slash( $hw['name'] ), 'nickname' => wp_slash( $hw['name'] ) )
	);
}
$wp_rewrite->set_permalink_structure( '/%year%/%monthnum%/%day%/%postname%/' );
update_option( 'hostwright_setup', '1', false );
// WordPress replaces a connection that breaks, and knows nothing of what was rolled back with it.
if ( ! $wpdb->get_var( 'SELECT @hostwright_setup' ) || false === $wpdb->query( 'COMMIT' ) ) {
	fwrite( STDERR, "the database was restarted meanwhile\n" );
	exit( 1 );
}
$hw_done = true;
PHP

setup() {
  step setup
  printf '%s\0' "$ROOT" "$HOSTWRIGHT_SITE_URL" "$HOSTWRIGHT_SITE_TITLE" "$HOSTWRIGHT_ADMIN_USER" \
    "$HOSTWRIGHT_ADMIN_EMAIL" "$HOSTWRIGHT_ADMIN_NAME" "$HOSTWRIGHT_ADMIN_PASSWORD" |
    timeout --kill-after=10 180 runuser -u www-data -- "php$PHP_VERSION" -d display_errors=stderr \
      -d zend.exception_ignore_args=1 -r "$SETUP" >>"$LOG" 2>&1 9>&- ||
    fail 'the WordPress installer did not end well'
}

check() {
  step check
  [ -f "$STATE/installed" ] || login_page_answers || fail 'the login page does not answer inside the container'
  installer_is_closed || fail 'the installer is still open to visitors'
}

# The golden template passes no database password: one is drawn once and kept.
own_database_password() {
  [ -z "$HOSTWRIGHT_DATABASE_PASSWORD" ] || return 0
  if [ ! -s "$STATE/database-password" ]; then
    random_text | put "$STATE/database-password" 0600 root:root
  fi
  HOSTWRIGHT_DATABASE_PASSWORD=$(cat "$STATE/database-password")
}

main() {
  local name
  for name in OWNER SITE_HOST SITE_URL SITE_TITLE ADMIN_USER ADMIN_EMAIL ADMIN_NAME ADMIN_PASSWORD \
    DATABASE_PASSWORD SOURCE SHA256 DISALLOW_FILE_EDIT; do
    name=HOSTWRIGHT_$name
    declare -g "$name=${!name-}"
    declare -g +x "$name"
  done
  export LC_ALL=C DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 HOME=/root
  export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  umask 022
  cd /
  trap 'ended $?' EXIT
  check_system
  check_parameters
  install -d -m 0700 "$STATE"
  (umask 077 && : >>"$LOG")
  take_lock
  check_owner
  if finished_before; then
    say 'done'
    return
  fi
  own_database_password
  packages
  database
  code
  configuration
  web_server
  setup
  check
  printf '%s\n' "$HOSTWRIGHT_OWNER" "$HOSTWRIGHT_SITE_HOST" | put "$STATE/installed" 0600 root:root
  say 'done'
}

# The only line that does something: a text that was cut off on its way does nothing at all, and no program
# started from here can eat the rest of the script from standard input.
main </dev/null
exit 0
