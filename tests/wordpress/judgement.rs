//! What must hold of a finished site, whatever road led there.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use hostwright::providers::edge::Page;

use super::container::Container;
use super::node::{ADMIN, ADMIN_PASSWORD, DATABASE_PASSWORD, SITE};
use super::proxy::{Answer, Proxy};

/// Debian's numbers of root and of the web server's account.
const ROOT: u32 = 0;
const WEB: u32 = 33;
/// The site's files.
const SITE_ROOT: &str = "var/www/html";

/// Everything that must hold.
pub async fn is_a_good_site(container: &Container, proxy: &Proxy) {
    visitors_get_pages(proxy).await;
    visitors_get_nothing_else(container, proxy).await;
    the_owner_can_log_in(proxy, SITE).await;
    files_are_for_those_who_need_them(container);
    secrets_are_in_one_place(container);
    the_database_trusts_nobody_more_than_needed(container);
    servers_run_with_the_least(container);
    the_database_has_one_new_site(container);
}

async fn visitors_get_pages(proxy: &Proxy) {
    assert_eq!(proxy.look(SITE).await, Page::WordPress);
    let home = proxy.get(SITE, "/", &[]).await;
    assert_eq!(home.status, 200, "{home:?}");
    assert!(
        home.body.contains("$HOME") && home.body.contains("`id`"),
        "{home:?}"
    );
    assert!(home.body.contains("Hello world!"), "{home:?}");
    // TLS ends before it, and still no browser gets mixed content.
    assert!(!home.body.contains(&format!("http://{SITE}")), "{home:?}");
    let login = proxy.get(SITE, "/wp-login.php", &[]).await;
    assert!(
        login.status == 200 && login.body.contains("id=\"user_login\""),
        "{login:?}"
    );
    let style = proxy.get(SITE, "/wp-includes/css/dashicons.min.css", &[]).await;
    assert_eq!(style.status, 200);
    let post = proxy.get(SITE, "/?p=1", &[]).await;
    assert!(
        post.status == 301 && post.location.ends_with("/hello-world/"),
        "{post:?}"
    );
    let path = post.location.trim_start_matches(&format!("https://{SITE}"));
    assert_eq!(proxy.get(SITE, path, &[]).await.status, 200);
    assert_eq!(proxy.get(SITE, "/no-such-page/", &[]).await.status, 404);
}

async fn visitors_get_nothing_else(container: &Container, proxy: &Proxy) {
    let upload = container
        .root()
        .join(SITE_ROOT)
        .join("wp-content/uploads/evil.php");
    std::fs::write(&upload, "<?php echo 6 * 7;").unwrap();
    for path in [
        "/wp-admin/install.php",
        "/wp-admin/install.php?step=2",
        "/WP-ADMIN/install.php",
        "/wp-admin/install.php/x",
        "/wp-admin/setup-config.php",
        "/wp-config.php",
        "/.htaccess",
        "/.hostwright-put.x",
        "/wp-content/uploads/evil.php",
        "/wp-content/uploads/",
    ] {
        let answer = proxy.get(SITE, path, &[]).await;
        assert!(matches!(answer.status, 403 | 404), "{path}: {answer:?}");
        assert!(!answer.body.contains("42"), "{path}: {answer:?}");
    }
    std::fs::remove_file(upload).unwrap();
    for path in [
        "/wp-admin/install.php",
        "/wp-config.php",
        "/wp-content/uploads/evil.php",
    ] {
        assert_eq!(proxy.get(SITE, path, &[]).await.status, 403, "{path}");
    }
}

fn names_and_values(answer: &Answer) -> Vec<String> {
    let cookies = answer.cookies.iter();
    cookies
        .filter_map(|cookie| cookie.split(';').next().map(str::to_owned))
        .collect()
}

/// Under the given name, and stays there.
pub async fn the_owner_can_log_in(proxy: &Proxy, host: &str) {
    let refused = proxy.log_in(host, ADMIN, "wrong").await;
    assert!(
        refused.status == 200 && refused.body.contains("login_error"),
        "{refused:?}"
    );
    let entered = proxy.log_in(host, ADMIN, ADMIN_PASSWORD).await;
    assert_eq!(entered.status, 302, "{}", entered.body);
    assert_eq!(entered.location, format!("https://{host}/wp-admin/"));
    let session = entered.cookies.iter().find(|it| it.starts_with("wordpress_sec_"));
    let session = session.expect("no cookie for TLS alone");
    assert!(
        session.contains("secure") || session.contains("Secure"),
        "{session}"
    );
    let dashboard = proxy.get(host, "/wp-admin/", &names_and_values(&entered)).await;
    assert_eq!(dashboard.status, 200, "{dashboard:?}");
    assert!(
        dashboard
            .body
            .contains("Howdy, <span class=\"display-name\">Jane O'Doe</span>"),
        "{dashboard:?}"
    );
    // The editor of files was taken out.
    let editor = proxy
        .get(host, "/wp-admin/theme-editor.php", &names_and_values(&entered))
        .await;
    assert_eq!(editor.status, 403, "{editor:?}");
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        found.push(entry.path());
        if entry.file_type().unwrap().is_dir() {
            walk(&entry.path(), found);
        }
    }
}

/// Owner, group and permission bits.
pub fn rights(path: &Path) -> (u32, u32, u32) {
    let data = std::fs::symlink_metadata(path).unwrap();
    (data.uid(), data.gid(), data.mode() & 0o7777)
}

fn files_are_for_those_who_need_them(container: &Container) {
    let root = container.root();
    for (path, expected) in [
        ("var/www/html", (ROOT, WEB, 0o750)),
        ("var/www/html/wp-config.php", (ROOT, WEB, 0o640)),
        ("var/www/html/wp-content", (WEB, WEB, 0o750)),
        ("etc/hostwright", (ROOT, ROOT, 0o755)),
        ("etc/hostwright/hosts.php", (ROOT, WEB, 0o640)),
        ("var/lib/hostwright", (ROOT, ROOT, 0o700)),
        ("var/lib/hostwright/installed", (ROOT, ROOT, 0o600)),
        ("var/log/hostwright-install.log", (ROOT, ROOT, 0o600)),
    ] {
        assert_eq!(rights(&root.join(path)), expected, "{path}");
    }
    let site = root.join(SITE_ROOT);
    let mut files = Vec::new();
    walk(&site, &mut files);
    assert!(files.len() > 1000, "WordPress has {} files only", files.len());
    for file in &files {
        let (owner, group, mode) = rights(file);
        let content = file.starts_with(site.join("wp-content"));
        assert_eq!(
            (owner, group),
            (if content { WEB } else { ROOT }, WEB),
            "{}",
            file.display()
        );
        assert!(mode & 0o7027 == 0, "{}: {mode:o}", file.display());
    }
    // Nothing of a run that was killed is left.
    walk(&root.join("etc"), &mut files);
    walk(&root.join("var/lib/hostwright"), &mut files);
    files.extend(
        std::fs::read_dir(root.join("var/www"))
            .unwrap()
            .map(|it| it.unwrap().path()),
    );
    let left = files.iter().find(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with(".hostwright")
    });
    assert_eq!(left, None);
}

fn secrets_are_in_one_place(container: &Container) {
    let mut files = Vec::new();
    for folder in ["etc", "var/www", "var/log", "var/lib/hostwright", "root"] {
        walk(&container.root().join(folder), &mut files);
    }
    // The inner part of each, for the rest may be written in another way.
    for (secret, place) in [("Kx9", Some("wp-config.php")), ("Zq7", None)] {
        let full = if secret == "Kx9" {
            DATABASE_PASSWORD
        } else {
            ADMIN_PASSWORD
        };
        let plain: String = full.chars().take_while(char::is_ascii_alphanumeric).collect();
        for file in files.iter().filter(|file| file.is_file()) {
            let bytes = std::fs::read(file).unwrap();
            let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
            let named = place.is_some_and(|name| file.ends_with(name));
            assert!(
                named || !(has(secret) && has(&plain)),
                "a secret in {}",
                file.display()
            );
        }
    }
}

fn the_database_trusts_nobody_more_than_needed(container: &Container) {
    let accounts = container.sql("SELECT CONCAT(User, '@', Host) FROM mysql.global_priv ORDER BY 1");
    assert_eq!(
        accounts,
        [
            "mariadb.sys@localhost",
            "mysql@localhost",
            "root@localhost",
            "wordpress@localhost"
        ]
    );
    let grants = container.sql("SHOW GRANTS FOR 'wordpress'@'localhost'");
    assert_eq!(grants.len(), 2, "{grants:?}");
    assert!(
        grants[0].starts_with("GRANT USAGE ON *.* TO `wordpress`@`localhost`"),
        "{grants:?}"
    );
    assert!(
        grants[1].ends_with("ON `wordpress`.* TO `wordpress`@`localhost`"),
        "{grants:?}"
    );
    assert!(
        !grants[1].contains("ALL PRIVILEGES") && !grants[1].contains("GRANT OPTION"),
        "{grants:?}"
    );
    assert_eq!(container.sql("SELECT COUNT(*) FROM mysql.db"), ["1"]);
    assert_eq!(container.sql("SHOW DATABASES LIKE 'test%'"), [""; 0]);
    // In deed: the site's user sees its own database, and root's password is none.
    let seen = "$c = new mysqli('localhost', 'wordpress', trim(file_get_contents('php://stdin'), \"\\n\")); \
                foreach ($c->query('SHOW DATABASES') as $row) echo $row['Database'], ' ';";
    let mut ask = container.command(&["runuser", "-u", "www-data", "--", "php", "-r", seen]);
    ask.stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    let mut child = ask.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, DATABASE_PASSWORD.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "information_schema wordpress "
    );
    let mut root = container.command(&[
        "runuser",
        "-u",
        "www-data",
        "--",
        "mariadb",
        "--user=root",
        "--execute=SELECT 1",
    ]);
    assert!(
        !root.output().unwrap().status.success(),
        "anybody may be the database's root"
    );
}

fn servers_run_with_the_least(container: &Container) {
    let processes = container.run(&["ps", "-e", "--format", "user:20=,args="]);
    let users = |part: &str| -> Vec<&str> {
        let lines = processes.lines().filter(|line| line.contains(part));
        lines.filter_map(|line| line.split_whitespace().next()).collect()
    };
    assert_eq!(users("mariadbd --"), ["mysql"], "{processes}");
    for worker in ["nginx: worker", "php-fpm: pool"] {
        let users = users(worker);
        assert!(
            !users.is_empty() && users.iter().all(|user| *user == "www-data"),
            "{processes}"
        );
    }
    assert!(users("apache").is_empty(), "{processes}");
    // Who listens to more than the container itself? State 0A is LISTEN (net/tcp_states.h).
    let sockets = container.run(&["cat", "/proc/net/tcp", "/proc/net/tcp6"]);
    let open: std::collections::BTreeSet<&str> = sockets
        .lines()
        .filter(|line| line.split_whitespace().nth(3) == Some("0A"))
        .filter_map(|line| line.split_whitespace().nth(1))
        .filter(|address| !address.starts_with("0100007F"))
        .filter_map(|address| address.rsplit(':').next())
        .collect();
    assert_eq!(open, std::collections::BTreeSet::from(["0050"]), "{sockets}");
}

/// Also after runs that were killed while they filled it.
fn the_database_has_one_new_site(container: &Container) {
    let tables = container.sql("SHOW TABLES IN wordpress");
    assert_eq!(tables.len(), 12, "{tables:?}");
    for (question, expected) in [
        (
            "SELECT user_login, user_email, display_name FROM wordpress.wp_users",
            "jane\tjane@example.com\tJane O'Doe",
        ),
        (
            "SELECT COUNT(*) FROM wordpress.wp_posts WHERE post_type IN ('post', 'page') AND post_status <> 'auto-draft'",
            "3",
        ),
        ("SELECT COUNT(*) FROM wordpress.wp_comments", "1"),
        (
            "SELECT COUNT(*) FROM wordpress.wp_terms WHERE slug = 'uncategorized'",
            "1",
        ),
        (
            "SELECT COUNT(DISTINCT option_name) = COUNT(*) FROM wordpress.wp_options",
            "1",
        ),
        (
            "SELECT option_value FROM wordpress.wp_options WHERE option_name = 'home'",
            "https://shop907.example.com",
        ),
        (
            "SELECT option_value FROM wordpress.wp_options WHERE option_name = 'admin_email'",
            "jane@example.com",
        ),
        (
            "SELECT option_value FROM wordpress.wp_options WHERE option_name = 'blog_public'",
            "1",
        ),
    ] {
        assert_eq!(container.sql(question), [expected], "{question}");
    }
    let fills =
        container.sql("SELECT option_name FROM wordpress.wp_options WHERE option_name = 'wp_user_roles'");
    assert_eq!(fills, ["wp_user_roles"]);
}

/// Every file that a run could change, with its rights and its time, and every row; without what each request
/// to WordPress may write.
pub fn digest(container: &Container) -> Vec<String> {
    let places = ["/etc", "/var/www", "/var/lib/hostwright", "/usr/local", "/root"];
    let list = |arguments: &[&str]| container.run(&[&["find"], &places[..], arguments].concat());
    let mut lines: Vec<String> = list(&["-printf", "%p %y %m %u %g %T@ %l\n"])
        .lines()
        .map(str::to_owned)
        .collect();
    lines.extend(
        list(&["-type", "f", "-exec", "sha256sum", "{}", "+"])
            .lines()
            .map(str::to_owned),
    );
    let rows = container.run(&[
        "mariadb-dump",
        "--skip-dump-date",
        "--skip-extended-insert",
        "--order-by-primary",
        "wordpress",
    ]);
    let lasting = |line: &&str| {
        !line.contains("_transient_") && !line.contains("'cron',") && !line.contains("AUTO_INCREMENT")
    };
    lines.extend(rows.lines().filter(lasting).map(str::to_owned));
    lines.extend(
        container
            .sql("SELECT User, Host, JSON_VALUE(Priv, '$.authentication_string') FROM mysql.global_priv"),
    );
    lines.sort();
    lines
}

/// What differs between two digests, for a failure's message.
pub fn difference<'a>(before: &'a [String], after: &'a [String]) -> Vec<&'a String> {
    let gone = before.iter().filter(|line| after.binary_search(line).is_err());
    let new = after.iter().filter(|line| before.binary_search(line).is_err());
    gone.chain(new).collect()
}
