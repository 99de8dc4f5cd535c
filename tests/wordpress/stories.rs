//! What happens to containers, from the operator's side.

use std::path::Path;
use std::time::Duration;

use hostwright::providers::site_installer::InstallState;
use hostwright::providers::{ErrorKind, ProviderError};

use super::container::Container;
use super::judgement::{difference, digest, is_a_good_site, rights, the_owner_can_log_in};
use super::lab::{Place, until};
use super::node::{Node, SITE, owner, request};
use super::proxy::{OWN, Proxy, STRANGER};

const LOG: &str = "var/log/hostwright-install.log";
/// Writes down what it is asked for, and does it without systemd.
const SYSTEMCTL: &str = r#"#!/bin/sh
case $1 in -*) exit 1 ;; esac
echo "$*" >>/run/systemctl.calls
[ "$1" = enable ] || SYSTEMCTL_SKIP_REDIRECT=1 exec "/etc/init.d/$2" "$1"
"#;
const INSTALLED: &str = "var/lib/hostwright/installed";

fn failed(state: InstallState) -> ProviderError {
    match state {
        InstallState::Failed(error) => error,
        other => panic!("expected a failure, got {other:?}"),
    }
}

fn done(state: InstallState, container: &Container) {
    if let InstallState::Failed(error) = &state {
        panic!("{error}\n{:?}\n{}", error.detail(), container.read(LOG));
    }
    assert_eq!(state, InstallState::Done);
}

/// A container's life from its first run on.
pub async fn installed(place: Place) {
    let mut container = Container::create(&place).await;
    let (node, proxy) = (Node::start(&place).await, Proxy::start(&place).await);
    let early = node.announce(&request(), &[OWN]).await.unwrap_err();
    assert_eq!(early.kind(), ErrorKind::Invalid);
    assert!(
        early
            .message()
            .contains("has no WordPress that Hostwright installed"),
        "{early}"
    );

    done(node.install(request()).await, &container);
    is_a_good_site(&container, &proxy).await;
    let log = container.read(LOG);
    for noise in [
        "WordPress database error",
        "PHP Warning",
        "PHP Fatal",
        "PHP Deprecated",
    ] {
        assert!(!log.contains(noise), "{log}");
    }
    the_second_run_changes_nothing(&container, &node).await;
    another_owner_gets_nothing(&container, &node).await;
    a_container_that_was_switched_off_comes_back(&mut container, &node).await;
    is_a_good_site(&container, &proxy).await;
    domains_are_announced(&container, &node, &proxy).await;
}

async fn the_second_run_changes_nothing(container: &Container, node: &Node) {
    let (before, log) = (digest(container), container.read(LOG));
    done(node.install(request()).await, container);
    assert_eq!(difference(&before, &digest(container)), [""; 0]);
    // It did not even begin with a step.
    assert_eq!(container.read(LOG), log);

    // A run that does not remember walks through all steps, and finds each of them done. As if systemd ran it would
    // have it start the services, which the container's stand-in passes to their init scripts.
    let systemctl = container.root().join("usr/bin/systemctl");
    let genuine = systemctl.with_extension("genuine");
    std::fs::rename(&systemctl, &genuine).unwrap();
    std::fs::write(&systemctl, SYSTEMCTL).unwrap();
    container.run(&["chmod", "0755", "/usr/bin/systemctl"]);
    container.run(&["mkdir", "-p", "/run/systemd/system"]);
    let record = container.root().join(INSTALLED);
    let remembered = std::fs::read(&record).unwrap();
    std::fs::remove_file(&record).unwrap();
    done(node.install(request()).await, container);
    assert_eq!(std::fs::read(&record).unwrap(), remembered);
    let calls = container.run(&["cat", "/run/systemctl.calls"]);
    let services = ["mariadb", "php8.2-fpm", "nginx"]
        .iter()
        .zip(["start", "restart", "restart"]);
    let expected: Vec<String> = services
        .map(|(name, action)| format!("enable {name}\n{action} {name}\n"))
        .collect();
    assert_eq!(calls, expected.concat());
    container.run(&["rmdir", "/run/systemd/system"]);
    std::fs::rename(&genuine, &systemctl).unwrap();
    let after = digest(container);
    let differs = difference(&before, &after);
    let of_the_record =
        |line: &&&String| line.starts_with("/var/lib/hostwright ") || line.contains(INSTALLED);
    let others: Vec<_> = differs.iter().filter(|line| !of_the_record(line)).collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(container.read(LOG).len() > log.len());
}

async fn another_owner_gets_nothing(container: &Container, node: &Node) {
    let before = digest(container);
    let mut foreign = request();
    foreign.target.owner = owner("8");
    let error = failed(node.install(foreign.clone()).await);
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("WordPress of another owner"), "{error}");
    let error = node.announce(&foreign, &[OWN]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("WordPress of another site"), "{error}");
    assert_eq!(difference(&before, &digest(container)), [""; 0]);
}

async fn a_container_that_was_switched_off_comes_back(container: &mut Container, node: &Node) {
    let before = digest(container);
    container.power_off().await;
    let error = failed(node.install(request()).await);
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("does not run"), "{error}");
    container.start().await;
    done(node.install(request()).await, container);
    let after = digest(container);
    let differs = difference(&before, &after);
    let others: Vec<_> = differs
        .iter()
        .filter(|line| !line.starts_with("/var/lib/hostwright"))
        .collect();
    assert!(others.is_empty(), "{others:?}");
}

async fn is_led_to_the_main_name(proxy: &Proxy, host: &str) {
    let answer = proxy.get(host, "/some/page/?x=1", &[]).await;
    assert_eq!(
        (answer.status, answer.location.as_str()),
        (302, "https://shop907.example.com/some/page/?x=1")
    );
    let answer = proxy.get(host, "/", &[]).await;
    assert_eq!(
        (answer.status, answer.location.as_str()),
        (302, "https://shop907.example.com/")
    );
}

async fn answers_itself(proxy: &Proxy, host: &str, other: &str) {
    let home = proxy.get(host, "/", &[]).await;
    assert_eq!((home.status, home.location.as_str()), (200, ""));
    assert!(
        home.body.contains(&format!("https://{host}/wp-includes/")),
        "{home:?}"
    );
    assert!(
        !home.body.contains(&format!("//{other}/wp-includes/")),
        "{home:?}"
    );
}

async fn domains_are_announced(container: &Container, node: &Node, proxy: &Proxy) {
    is_led_to_the_main_name(proxy, OWN).await;
    node.announce(&request(), &[OWN, "www.own.example.org"])
        .await
        .unwrap();
    answers_itself(proxy, OWN, SITE).await;
    answers_itself(proxy, SITE, OWN).await;
    is_led_to_the_main_name(proxy, STRANGER).await;
    the_owner_can_log_in(proxy, OWN).await;
    the_owner_can_log_in(proxy, SITE).await;
    assert_eq!(proxy.get(OWN, "/wp-admin/install.php", &[]).await.status, 403);

    let list = container.root().join("etc/hostwright/domains");
    assert_eq!(rights(&list), rights(&list.with_file_name("hosts.php")));
    let before = digest(container);
    node.announce(&request(), &["www.own.example.org", OWN])
        .await
        .unwrap();
    assert_eq!(difference(&before, &digest(container)), [""; 0]);
    // Another run of the installation takes no name back.
    done(node.install(request()).await, container);
    assert_eq!(difference(&before, &digest(container)), [""; 0]);

    node.announce(&request(), &[]).await.unwrap();
    is_led_to_the_main_name(proxy, OWN).await;
    answers_itself(proxy, SITE, OWN).await;

    // A configuration that its owner wrote anew is the owner's.
    let path = container.root().join("var/www/html/wp-config.php");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("/etc/hostwright/hosts.php", "/etc/mine.php")).unwrap();
    let error = node.announce(&request(), &[OWN]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error
            .message()
            .contains("does not include /etc/hostwright/hosts.php"),
        "{error}"
    );
}

/// How a run ends that does not end by itself.
#[derive(Debug, Clone, Copy)]
enum Death {
    /// The container loses its power.
    Power,
    /// Everything that the run started is killed.
    Session,
    /// The operator is killed, or the network is.
    Connection,
}

/// What can be seen of a run from outside.
struct View<'a> {
    root: &'a Path,
    /// What the container's log got since the run began.
    log: String,
}

impl View<'_> {
    fn is_at(&self, step: &str) -> bool {
        self.log
            .lines()
            .any(|line| line.starts_with("== ") && line.ends_with(step))
    }

    fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    fn has_half_the_code(&self) -> bool {
        let entries = std::fs::read_dir(self.root.join("var/www"));
        entries.into_iter().flatten().flatten().any(|entry| {
            let name = entry.file_name();
            name.to_string_lossy().starts_with(".hostwright-new")
                && entry.path().join("wordpress/wp-admin").exists()
        })
    }
}

/// A moment of an installation, and the death that it brings.
struct Blow {
    moment: &'static str,
    has_come: fn(&View) -> bool,
    /// Milliseconds from there to the blow, for moments that cannot be seen from outside.
    later: u64,
    death: Death,
}

const fn blow(moment: &'static str, has_come: fn(&View) -> bool, later: u64, death: Death) -> Blow {
    Blow {
        moment,
        has_come,
        later,
        death,
    }
}

/// Until there are tables without rows.
const EARLY: [Blow; 14] = [
    blow(
        "packages are unpacked",
        |it| it.has("usr/sbin/mariadbd"),
        0,
        Death::Power,
    ),
    blow(
        "databases are begun",
        |it| it.has("var/lib/mysql/ibdata1"),
        0,
        Death::Session,
    ),
    blow(
        "databases are begun again",
        |it| it.log.contains("Setting up mariadb-server (") && it.has("var/lib/mysql/mysql/user.frm"),
        0,
        Death::Power,
    ),
    blow(
        "databases are begun once more",
        |it| it.log.contains("Setting up mariadb-server ("),
        100,
        Death::Power,
    ),
    blow(
        "databases are half made",
        |it| it.log.contains("Setting up mariadb-server (") && it.has("var/lib/mysql/mysql/global_priv.MAD"),
        200,
        Death::Session,
    ),
    blow(
        "the database is there",
        |it| it.has("var/lib/mysql/wordpress"),
        0,
        Death::Connection,
    ),
    blow(
        "the package is installed",
        |it| it.has("usr/share/wordpress"),
        0,
        Death::Session,
    ),
    blow("code is copied", |it| it.has_half_the_code(), 0, Death::Session),
    blow("code is copied again", |it| it.is_at("code"), 50, Death::Power),
    blow(
        "the code is in place",
        |it| it.has("var/www/html/wp-load.php"),
        0,
        Death::Session,
    ),
    blow(
        "the configuration is written",
        |it| it.is_at("configuration"),
        0,
        Death::Power,
    ),
    blow(
        "the web server starts",
        |it| it.is_at("web-server"),
        0,
        Death::Power,
    ),
    blow(
        "tables are made",
        |it| it.has("var/lib/mysql/wordpress/wp_usermeta.ibd"),
        0,
        Death::Session,
    ),
    blow(
        "all tables are made",
        |it| it.has("var/lib/mysql/wordpress/wp_posts.ibd"),
        0,
        Death::Session,
    ),
];

/// From there to the end.
const LATE: [Blow; 8] = [
    blow("more tables are made", |it| it.is_at("setup"), 60, Death::Power),
    blow("rows are written", |it| it.is_at("setup"), 120, Death::Session),
    blow(
        "other rows are written",
        |it| it.is_at("setup"),
        150,
        Death::Session,
    ),
    blow("more rows are written", |it| it.is_at("setup"), 180, Death::Power),
    blow("content is written", |it| it.is_at("setup"), 210, Death::Session),
    blow(
        "the last rows are written",
        |it| it.is_at("setup"),
        240,
        Death::Session,
    ),
    blow("the setup is done", |it| it.is_at("check"), 0, Death::Power),
    blow(
        "the setup is done again",
        |it| it.is_at("check"),
        0,
        Death::Connection,
    ),
];

/// One installation that is killed at each of these moments, and begun again each time.
pub async fn killed(place: Place) {
    let mut container = Container::create(&place).await;
    let (node, proxy) = (Node::start(&place).await, Proxy::start(&place).await);
    let mut struck = rain(&EARLY, &mut container, &node).await;
    strike_between_rows(&container, &node).await;
    struck += rain(&LATE, &mut container, &node).await;
    let blows = EARLY.len() + LATE.len();
    // A run may be too quick for some moments; not for most.
    assert!(struck >= blows / 2, "{struck} of {blows} blows struck");
    done(node.install(request()).await, &container);
    is_a_good_site(&container, &proxy).await;
    let before = digest(&container);
    done(node.install(request()).await, &container);
    assert_eq!(difference(&before, &digest(&container)), [""; 0]);
}

/// Strikes these blows and tells how many of them were in time.
async fn rain(blows: &[Blow], container: &mut Container, node: &Node) -> usize {
    let mut struck = 0;
    for blow in blows {
        let result = strike(container, node, blow).await;
        if !result {
            // The next run walks through all steps all the same.
            let _ = std::fs::remove_file(container.root().join(INSTALLED));
        }
        eprintln!(
            "{}, {:?}: {}",
            blow.moment,
            blow.death,
            if result { "struck" } else { "too late" }
        );
        struck += usize::from(result);
    }
    struck
}

/// Begins a run, holds it up at the first post, after the category that is written before it, and kills it there.
async fn strike_between_rows(container: &Container, node: &Node) {
    // The one of the last run went with its session.
    container.run(&["service", "mariadb", "start"]);
    container.sql(
        "CREATE TRIGGER wordpress.hold BEFORE INSERT ON wordpress.wp_posts \
         FOR EACH ROW SET @held = SLEEP(60)",
    );
    container.forget_session();
    let run = node.begin(request()).await;
    let held = || container.sql("SELECT id FROM information_schema.processlist WHERE state = 'User sleep'");
    until("the first post is being written", || {
        run.is_over() || !held().is_empty()
    })
    .await;
    assert!(!run.is_over(), "the setup writes a post");
    container.kill_session().await;
    assert_ne!(run.end().await, InstallState::Done);
    for connection in held() {
        container.sql(&format!("KILL {connection}"));
    }
    container.sql("DROP TRIGGER wordpress.hold");
}

/// Begins a run and kills it at the moment. Tells whether it was still under way.
async fn strike(container: &mut Container, node: &Node, blow: &Blow) -> bool {
    let seen = container.read(LOG).len();
    container.forget_session();
    let run = node.begin(request()).await;
    let root = container.root();
    until(blow.moment, || {
        let log = container.read(LOG).get(seen..).unwrap_or_default().to_owned();
        run.is_over() || (blow.has_come)(&View { root: &root, log })
    })
    .await;
    tokio::time::sleep(Duration::from_millis(blow.later)).await;
    if run.is_over() {
        done(run.end().await, container);
        return false;
    }
    match blow.death {
        Death::Power => {
            container.power_off().await;
            let state = run.end().await;
            container.start().await;
            state != InstallState::Done
        }
        Death::Session => {
            container.kill_session().await;
            run.end().await != InstallState::Done
        }
        Death::Connection => true,
    }
}

/// Containers in which nothing may be installed.
pub async fn refused(place: Place) {
    let container = Container::create(&place).await;
    let node = Node::start(&place).await;
    let release = container.root().join("etc/os-release");
    let genuine = std::fs::read_to_string(&release).unwrap();
    for (id, version) in [
        ("ID=alpine", "VERSION_ID=3.22.1"),
        ("ID=ubuntu", "VERSION_ID=\"22.04\""),
        ("ID=debian", "VERSION_ID=\"11\""),
        ("ID=debian", ""),
        ("", ""),
    ] {
        std::fs::remove_file(&release).unwrap();
        std::fs::write(&release, format!("{id}\n{version}\n")).unwrap();
        let error = failed(node.install(request()).await);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        for supported in ["Ubuntu 24.04", "Debian 12", "Debian 13"] {
            assert!(error.message().contains(supported), "{error}");
        }
        let named = version.split('=').nth(1).unwrap_or_default().trim_matches('"');
        assert!(error.message().contains(named), "{error}");
        assert!(!container.root().join("var/lib/hostwright").exists());
    }
    std::fs::write(&release, genuine).unwrap();

    let site = container.root().join("var/www/html");
    std::fs::create_dir_all(&site).unwrap();
    std::fs::write(site.join("wp-config.php"), "<?php // a customer's own\n").unwrap();
    let error = failed(node.install(request()).await);
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error.message().contains("did not install; it is left as it is"),
        "{error}"
    );
    assert_eq!(
        container.read("var/www/html/wp-config.php"),
        "<?php // a customer's own\n"
    );
    assert_eq!(std::fs::read_dir(site).unwrap().count(), 1);
}
