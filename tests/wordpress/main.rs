//! The real WordPress: the installer's own road over a real SSH server into a Debian container, in which nginx,
//! PHP-FPM, MariaDB and WordPress are really installed, with a real nginx in front that stands for the proxy.
//!
//! `make test-wordpress` runs it. It needs root, for containers are namespaces, and the root file system that
//! `hack/wordpress/root.sh` makes. Each test runs in namespaces of its own (`lab.rs`) and leaves nothing behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on stops"
)]

mod container;
mod judgement;
mod lab;
mod node;
#[path = "../suite/installer/openssh.rs"]
mod openssh;
mod proxy;
mod stories;

#[test]
fn a_new_container_becomes_a_site_and_stays_as_it_is() {
    lab::inside(
        "a_new_container_becomes_a_site_and_stays_as_it_is",
        stories::installed,
    );
}

#[test]
fn a_run_that_is_killed_anywhere_is_completed_by_the_next() {
    lab::inside(
        "a_run_that_is_killed_anywhere_is_completed_by_the_next",
        stories::killed,
    );
}

#[test]
fn other_releases_and_other_owners_are_refused() {
    lab::inside("other_releases_and_other_owners_are_refused", stories::refused);
}
