use super::*;
use reqwest::header::HeaderMap;

fn reply(status: u16, reason: Option<&str>, body: &str) -> Reply {
    Reply {
        status,
        reason: reason.map(str::to_owned),
        headers: HeaderMap::new(),
        body: body.as_bytes().to_vec(),
    }
}

fn read(status: u16, reason: Option<&str>, body: &str) -> Refusal {
    refusal("container 907", Effect::Read, &reply(status, reason, body))
}

use ErrorKind::{Conflict, Invalid, NotFound, Unavailable};

/// Recorded and source-derived sentences.
static SENTENCES: &[(&str, ErrorKind, Meaning)] = &[
    ("CT 907 already exists on node 'pve2'", Conflict, Meaning::Taken),
    ("VM 907 already exists on node 'pve2'", Conflict, Meaning::Taken),
    (
        "unable to create CT 907 - CT 907 already exists on node 'pve2'",
        Conflict,
        Meaning::Taken,
    ),
    (
        "unable to create CT 1000 - can't lock file '/run/lock/lxc/pve-config-1000.lock' - got timeout",
        Conflict,
        Meaning::Other,
    ),
    (
        "can't lock file '/var/lock/qemu-server/lock-203.conf' - got timeout",
        Conflict,
        Meaning::Other,
    ),
    (
        "cfs-lock 'storage-drbd' error: got lock request timeout",
        Unavailable,
        Meaning::Other,
    ),
    ("cluster not ready - no quorum?", Unavailable, Meaning::Other),
    (
        "could not connect to any LINSTOR controller",
        Unavailable,
        Meaning::Other,
    ),
    (
        "Cannot resize volume, because we have a non-UpToDate DRBD device.",
        Unavailable,
        Meaning::Other,
    ),
    (
        "Cannot delete resource definition 'x' because it has snapshots.",
        Conflict,
        Meaning::Other,
    ),
    (
        "Configuration file 'nodes/pve1/lxc/907.conf' does not exist",
        Unavailable,
        Meaning::NotHere,
    ),
    ("CT 907 already running", Conflict, Meaning::Running),
    ("CT 907 not running", Conflict, Meaning::Stopped),
    ("VM 907 not running", Conflict, Meaning::Stopped),
    (
        "detected modified configuration - file changed by other user? Try again.",
        Conflict,
        Meaning::Modified,
    ),
    ("no options specified", Invalid, Meaning::Other),
    ("unable to shrink disk size", Invalid, Meaning::AsLarge),
    ("disk is already at specified size", Conflict, Meaning::AsLarge),
    (
        "unable to destroy CT 907 - container is running",
        Conflict,
        Meaning::Other,
    ),
    (
        "can't remove CT 907 - protection mode enabled",
        Conflict,
        Meaning::Other,
    ),
    (
        "unable to remove CT 116 - used in HA resources and purge parameter not set.",
        Conflict,
        Meaning::Other,
    ),
    (
        "create resource failed: resource ID 'ct:907' already defined",
        Conflict,
        Meaning::Taken,
    ),
    (
        "create ha rule failed: HA rule 'x' already defined",
        Conflict,
        Meaning::Taken,
    ),
    ("no such resource 'ct:907'", NotFound, Meaning::HaAbsent),
    (
        "cannot delete service 'ct:907', not HA managed!",
        NotFound,
        Meaning::HaAbsent,
    ),
    ("no such ha rule 'x'", NotFound, Meaning::HaAbsent),
    (
        "update HA rules failed: HA rule 'x' does not exist",
        NotFound,
        Meaning::HaAbsent,
    ),
    ("HA group 'wp' does not exist", Invalid, Meaning::Other),
    (
        "cannot index groups: ha groups have been migrated to rules",
        Conflict,
        Meaning::Version,
    ),
    (
        "cannot create ha rule: ha groups have not been migrated yet",
        Conflict,
        Meaning::Version,
    ),
    (
        "cannot use unmanaged resource(s) ct:907.",
        Conflict,
        Meaning::Other,
    ),
    ("cannot use non-existant node(s) pve9.", Invalid, Meaning::Other),
    (
        "service 'ct:907' in error state, must be disabled and fixed first",
        Conflict,
        Meaning::Other,
    ),
    ("snapshot name 'x' already used", Conflict, Meaning::Taken),
    ("snapshot feature is not available", Invalid, Meaning::Other),
    ("snapshot 'x' does not exist", NotFound, Meaning::Other),
    (
        "volume 'local:vztmpl/x.tar.zst' does not exist",
        Invalid,
        Meaning::Other,
    ),
    ("storage 'drbd' does not exist", Invalid, Meaning::Other),
];

/// Words of the configuration lock.
const LOCKS: [&str; 10] = [
    "snapshot",
    "create",
    "disk",
    "rollback",
    "snapshot-delete",
    "mounted",
    "fstrim",
    "backup",
    "migrate",
    "destroyed",
];

#[test]
fn every_known_sentence_has_its_kind() {
    for (sentence, kind, meaning) in SENTENCES {
        let body = format!("{{\"data\":null,\"message\":\"{sentence}\\n\"}}");
        for seen in [
            read(500, Some(sentence), "{\"data\":null}"),
            read(500, None, &body),
            read(500, Some("Internal Server Error"), &body),
        ] {
            assert_eq!((seen.error.kind(), &seen.meaning), (*kind, meaning), "{sentence}");
            assert!(seen.error.message().starts_with("container 907: "), "{sentence}");
            assert!(seen.error.detail().unwrap().contains(sentence));
        }
    }
}

#[test]
fn what_is_not_known_is_tried_again_and_never_absence() {
    for sentence in [
        "something new does not exist",
        "unexpected status",
        "container did not stop",
    ] {
        let seen = read(500, Some(sentence), "");
        assert_eq!(seen.error.kind(), ErrorKind::Unexpected, "{sentence}");
        assert_eq!(seen.meaning, Meaning::Other);
    }
    assert_eq!(read(404, None, "<html>").error.kind(), ErrorKind::Unexpected);
}

#[test]
fn a_silent_node_is_unavailable_and_a_write_to_it_unknown() {
    let reason = Some("Errors during connection establishment, proxy handshake: No route to host");
    for status in [502, 503, 504, 595, 596, 599] {
        assert_eq!(read(status, reason, "").error.kind(), ErrorKind::Unavailable);
        let write = refusal("x", Effect::Write, &reply(status, reason, ""));
        assert_eq!(write.error.kind(), ErrorKind::Ambiguous);
    }
    // A refusal has words; a failure without them may have come after the work.
    assert_eq!(read(500, None, "").error.kind(), ErrorKind::Unavailable);
    let write = refusal("x", Effect::Write, &reply(500, None, ""));
    assert_eq!(write.error.kind(), ErrorKind::Ambiguous);
    let late = "'storage-drbd'-locked command timed out - aborting";
    assert_eq!(read(500, Some(late), "").error.kind(), ErrorKind::Unavailable);
    let write = refusal("x", Effect::Write, &reply(500, Some(late), ""));
    assert_eq!(write.error.kind(), ErrorKind::Ambiguous);
}

#[test]
fn rights_are_named() {
    let one = read(
        403,
        Some("Permission check failed (/access, Sys.Audit)"),
        "{\"data\":null,\"message\":\"Permission check failed (/access, Sys.Audit)\\n\"}",
    );
    assert_eq!(one.error.kind(), ErrorKind::Denied);
    assert_eq!(
        one.error.message(),
        "container 907: the API token lacks Sys.Audit on /access"
    );
    let either = read(
        403,
        Some("Permission check failed (/vms/204, VM.Snapshot|VM.Snapshot.Rollback)"),
        "",
    );
    assert!(
        either
            .error
            .message()
            .ends_with("lacks VM.Snapshot or VM.Snapshot.Rollback on /vms/204")
    );
    let odd = read(
        403,
        Some(
            "Permission check failed (changing feature flags (except nesting) is only allowed for root@pam)",
        ),
        "",
    );
    assert!(odd.error.message().contains("root@pam"));
    assert_eq!(
        read(401, Some("Authentication failed!"), "").error.kind(),
        ErrorKind::Denied
    );
}

#[test]
fn parameters_are_told_in_their_own_words() {
    let both = read(
        400,
        Some("Parameter verification failed."),
        r#"{"message":"Parameter verification failed.\n","data":null,"errors":{"net0":"invalid format - missing key in comma-separated list property\n"}}"#,
    );
    assert_eq!(both.error.kind(), ErrorKind::Invalid);
    assert!(
        both.error
            .message()
            .contains("net0: invalid format - missing key")
    );
    let unknown = read(
        400,
        Some("Parameter verification failed."),
        r#"{"data":null,"errors":{"env":"property is not defined in schema and the schema does not allow additional properties"}}"#,
    );
    assert_eq!(
        (unknown.error.kind(), unknown.meaning),
        (ErrorKind::Invalid, Meaning::Version)
    );
    let taken = read(
        400,
        None,
        r#"{"errors":{"vmid":"VM 200 already exists"},"data":null}"#,
    );
    assert_eq!(
        (taken.error.kind(), taken.meaning),
        (ErrorKind::Conflict, Meaning::Taken)
    );
    let task = read(400, None, r#"{"errors":{"upid":"no such task"},"data":null}"#);
    assert_eq!(task.meaning, Meaning::TaskUnknown);
    assert_eq!(
        read(501, Some("method 'HEAD' not available"), "").meaning,
        Meaning::Version
    );
}

#[test]
fn words_are_one_bounded_line() {
    assert_eq!(one_line(" a\n b\t\u{7}c "), "a b c");
    assert_eq!(one_line(&"ä".repeat(1000)).chars().count(), WORDS_MAX + 1);
}

#[test]
fn locks_are_conflicts_that_name_their_word() {
    for word in LOCKS {
        let seen = read(500, Some(&format!("CT is locked ({word})")), "{\"data\":null}");
        assert_eq!(seen.error.kind(), Conflict);
        assert_eq!(seen.meaning, Meaning::Locked(word.to_owned()));
        assert!(seen.error.message().contains(word));
    }
}
