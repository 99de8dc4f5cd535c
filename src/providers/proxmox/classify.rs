//! What Proxmox means by a refusal. It has no error codes: nearly every functional refusal is status 500
//! with a sentence, in the reason phrase and, since early 2025, in the body too. This table is the only place
//! that knows the sentences.
//!
//! Locks and quorum, by what the next step depends on:
//!
//! | sentence | kind | because |
//! | --- | --- | --- |
//! | `CT is locked (…)`, `can't lock file …` | Conflict | other work holds this very container |
//! | `cfs-lock … got lock request timeout` | Unavailable | a cluster-wide lock is busy, nothing has happened |
//! | `…-locked command timed out` | Ambiguous for writes | the lock was held and work had begun |
//! | `no quorum` | Unavailable | no write works anywhere, nothing has happened |
//!
//! "Does not exist" about a container means "not on this node now" and is never `NotFound` here.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::providers::error::{ErrorKind, ProviderError};
use crate::providers::gate::Effect;
use crate::providers::http::Reply;

/// Characters of Proxmox' own words that go into a public message.
const WORDS_MAX: usize = 240;

/// What a refusal says beyond its kind, for callers that can go on from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The container is not on the node that was asked.
    NotHere,
    /// The number, name or id is taken.
    Taken,
    /// It runs already.
    Running,
    /// It is stopped already.
    Stopped,
    /// The configuration lock of this word is held.
    Locked(String),
    /// High availability does not know the resource or rule.
    HaAbsent,
    /// The parameter or endpoint is unknown to this version.
    Version,
    /// The node does not know the task.
    TaskUnknown,
    /// Somebody changed the configuration since its digest was read.
    Modified,
    /// The disk has the size already, or a larger one.
    AsLarge,
    /// The named privilege is missing, or another rule of access is broken, in Proxmox' words.
    Right(String),
    /// Nothing more than the kind says.
    Other,
}

/// A refused or lost call.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) meaning: Meaning,
    pub(super) error: ProviderError,
}

impl From<Refusal> for ProviderError {
    fn from(refusal: Refusal) -> Self {
        refusal.error
    }
}

impl From<ProviderError> for Refusal {
    fn from(error: ProviderError) -> Self {
        Self {
            meaning: Meaning::Other,
            error,
        }
    }
}

/// How a sentence counts.
#[derive(Clone, Copy)]
enum Sort {
    Kind(ErrorKind),
    /// Nobody knows whether a write happened.
    Lost,
}

struct Rule {
    /// All of these occur in the sentence.
    needles: &'static [&'static str],
    sort: Sort,
    meaning: Meaning,
    /// Public words, after the subject and a colon.
    words: &'static str,
}

const fn rule(
    needles: &'static [&'static str],
    kind: ErrorKind,
    meaning: Meaning,
    words: &'static str,
) -> Rule {
    Rule {
        needles,
        sort: Sort::Kind(kind),
        meaning,
        words,
    }
}

/// The sentences of pve-container, pve-ha-manager, pve-cluster and linstor-proxmox, most telling first.
static RULES: &[Rule] = &[
    rule(
        &["already exists on node"],
        ErrorKind::Conflict,
        Meaning::Taken,
        "the number is taken",
    ),
    rule(
        &["can't lock file", "got timeout"],
        ErrorKind::Conflict,
        Meaning::Other,
        "other work on it is under way; trying again later",
    ),
    Rule {
        needles: &["-locked command timed out"],
        sort: Sort::Lost,
        meaning: Meaning::Other,
        words: "the storage did not finish within its lock; looking before the next try",
    },
    rule(
        &["cfs-lock", "error: "],
        ErrorKind::Unavailable,
        Meaning::Other,
        "a cluster-wide lock is busy; trying again later",
    ),
    rule(
        &["no quorum"],
        ErrorKind::Unavailable,
        Meaning::Other,
        "the Proxmox cluster has no quorum; bring back enough nodes",
    ),
    rule(
        &["could not connect to any LINSTOR controller"],
        ErrorKind::Unavailable,
        Meaning::Other,
        "no LINSTOR controller answers; see to the storage",
    ),
    rule(
        &["non-UpToDate DRBD device"],
        ErrorKind::Unavailable,
        Meaning::Other,
        "a replica of the disk is not up to date; wait for DRBD to resync",
    ),
    rule(
        &["because it has snapshots"],
        ErrorKind::Conflict,
        Meaning::Other,
        "the storage still has snapshots of it; delete them first",
    ),
    rule(
        &["detected modified configuration"],
        ErrorKind::Conflict,
        Meaning::Modified,
        "somebody changed it at the same time; reading again",
    ),
    rule(
        &["in error state, must be disabled"],
        ErrorKind::Conflict,
        Meaning::Other,
        "high availability gave up on it; it is disabled and started afresh",
    ),
    rule(
        &["used in HA resources"],
        ErrorKind::Conflict,
        Meaning::Other,
        "high availability still manages it; take it out first",
    ),
    rule(
        &["already defined"],
        ErrorKind::Conflict,
        Meaning::Taken,
        "high availability knows it already",
    ),
    rule(
        &["no such resource '"],
        ErrorKind::NotFound,
        Meaning::HaAbsent,
        "high availability does not manage it",
    ),
    rule(
        &["not HA managed"],
        ErrorKind::NotFound,
        Meaning::HaAbsent,
        "high availability does not manage it",
    ),
    rule(
        &["no such ha rule"],
        ErrorKind::NotFound,
        Meaning::HaAbsent,
        "high availability has no such rule",
    ),
    rule(
        &["HA rule '", "does not exist"],
        ErrorKind::NotFound,
        Meaning::HaAbsent,
        "high availability has no such rule",
    ),
    rule(
        &["HA group '", "does not exist"],
        ErrorKind::Invalid,
        Meaning::Other,
        "the Provider's HA group does not exist; create it in Proxmox or correct the Provider",
    ),
    rule(
        &["ha groups have been migrated to rules"],
        ErrorKind::Conflict,
        Meaning::Version,
        "the cluster has moved from HA groups to rules; trying with rules",
    ),
    rule(
        &["ha groups have not been migrated"],
        ErrorKind::Conflict,
        Meaning::Version,
        "the cluster is between HA groups and rules; finish the upgrade of all nodes",
    ),
    rule(
        &["cannot use unmanaged resource"],
        ErrorKind::Conflict,
        Meaning::Other,
        "high availability does not manage it yet; trying again later",
    ),
    rule(
        &["cannot use non-existant node"],
        ErrorKind::Invalid,
        Meaning::Other,
        "the Provider's HA placement names a node that does not exist",
    ),
    rule(
        &["already running"],
        ErrorKind::Conflict,
        Meaning::Running,
        "it runs already",
    ),
    rule(
        &["not running"],
        ErrorKind::Conflict,
        Meaning::Stopped,
        "it is stopped already",
    ),
    rule(
        &["container is running"],
        ErrorKind::Conflict,
        Meaning::Other,
        "it still runs; stop it first",
    ),
    rule(
        &["protection mode enabled"],
        ErrorKind::Conflict,
        Meaning::Other,
        "it is protected against removal in Proxmox; lift the protection first",
    ),
    rule(
        &["Configuration file '", "does not exist"],
        ErrorKind::Unavailable,
        Meaning::NotHere,
        "it is not on the node where it was a moment ago; looking it up again",
    ),
    rule(
        &["snapshot name '", "already used"],
        ErrorKind::Conflict,
        Meaning::Taken,
        "the snapshot's name is taken",
    ),
    rule(
        &["snapshot feature is not available"],
        ErrorKind::Invalid,
        Meaning::Other,
        "its storage takes no snapshots; use a thin pool",
    ),
    rule(
        &["snapshot '", "does not exist"],
        ErrorKind::NotFound,
        Meaning::Other,
        "it has no such snapshot",
    ),
    rule(
        &["volume '", "does not exist"],
        ErrorKind::Invalid,
        Meaning::Other,
        "the template is not on that node; upload it there or correct the Provider",
    ),
    rule(
        &["storage '", "does not exist"],
        ErrorKind::Invalid,
        Meaning::Other,
        "the Provider names a storage that does not exist",
    ),
    rule(
        &["no options specified"],
        ErrorKind::Invalid,
        Meaning::Other,
        "there was nothing to change",
    ),
    rule(
        &["unable to shrink disk size"],
        ErrorKind::Invalid,
        Meaning::AsLarge,
        "disks only grow",
    ),
    rule(
        &["disk is already at specified size"],
        ErrorKind::Conflict,
        Meaning::AsLarge,
        "the disk has that size already",
    ),
];

#[derive(Deserialize, Default)]
struct ErrorBody {
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    errors: Option<BTreeMap<String, Value>>,
}

/// Proxmox' words as one line without control characters, cut to a bounded length.
pub(super) fn one_line(text: &str) -> String {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .collect();
    let line = words
        .iter()
        .filter(|word| !word.is_empty())
        .copied()
        .collect::<Vec<_>>()
        .join(" ");
    match line.char_indices().nth(WORDS_MAX) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// What an answer other than 2xx means for a call about `subject`, such as `container 907`.
pub(super) fn refusal(subject: &str, effect: Effect, reply: &Reply) -> Refusal {
    let body: ErrorBody = serde_json::from_slice(&reply.body).unwrap_or_default();
    let sentence = [body.message.as_deref(), reply.reason.as_deref()]
        .into_iter()
        .flatten()
        .map(one_line)
        .find(|text| !text.is_empty())
        .unwrap_or_default();
    let (kind, meaning, words) = match reply.status {
        400 => parameters(&sentence, body.errors.as_ref()),
        401 => (
            ErrorKind::Denied,
            Meaning::Right(String::new()),
            "Proxmox does not accept the API token; check its id, secret and expiry".to_owned(),
        ),
        403 => forbidden(&sentence),
        429 => {
            let retry_after = reply.retry_after();
            let words = "too many requests".to_owned();
            (ErrorKind::Throttled { retry_after }, Meaning::Other, words)
        }
        501 => (
            ErrorKind::Invalid,
            Meaning::Version,
            "this version of Proxmox does not know the call".to_owned(),
        ),
        413 | 506 => (
            ErrorKind::Invalid,
            Meaning::Other,
            "Proxmox refuses the form of the request".to_owned(),
        ),
        502..=504 | 595 | 596 | 599 => (
            lost(effect),
            Meaning::Other,
            "the node that has it does not answer".to_owned(),
        ),
        status => by_sentence(status, &sentence, effect),
    };
    let error = ProviderError::new(kind, format!("{subject}: {words}"))
        .with_detail(format!("status {}: {sentence}", reply.status));
    Refusal { meaning, error }
}

fn lost(effect: Effect) -> ErrorKind {
    match effect {
        Effect::Read => ErrorKind::Unavailable,
        Effect::Write => ErrorKind::Ambiguous,
    }
}

type Verdict = (ErrorKind, Meaning, String);

fn by_sentence(status: u16, sentence: &str, effect: Effect) -> Verdict {
    if let Some(word) = lock_word(sentence) {
        let words = format!("Proxmox holds its lock \"{word}\"; other work is under way");
        return (ErrorKind::Conflict, Meaning::Locked(word), words);
    }
    let matching = |rule: &&Rule| rule.needles.iter().all(|needle| sentence.contains(needle));
    match RULES.iter().find(matching) {
        Some(rule) => {
            let kind = match rule.sort {
                Sort::Kind(kind) => kind,
                Sort::Lost => lost(effect),
            };
            (kind, rule.meaning.clone(), rule.words.to_owned())
        }
        // A refusal has words; without them it is not known how far the work had come.
        None if sentence.is_empty() && status >= 500 => (
            lost(effect),
            Meaning::Other,
            format!("Proxmox failed with status {status} and does not say why; trying again later"),
        ),
        None => (
            ErrorKind::Unexpected,
            Meaning::Other,
            format!(
                "Proxmox refused with status {status} for a reason that is not known; trying again later"
            ),
        ),
    }
}

/// `snapshot` of `CT is locked (snapshot)`.
fn lock_word(sentence: &str) -> Option<String> {
    let (_, rest) = sentence
        .split_once("T is locked (")
        .or_else(|| sentence.split_once("M is locked ("))?;
    let (word, _) = rest.split_once(')')?;
    Some(word.to_owned())
}

fn forbidden(sentence: &str) -> Verdict {
    let inside = sentence
        .split_once("Permission check failed (")
        .and_then(|(_, rest)| rest.strip_suffix(')'));
    let words = match inside.map(|inside| (inside, inside.rsplit_once(", "))) {
        Some((_, Some((path, right)))) if path.starts_with('/') => {
            format!("the API token lacks {} on {path}", right.replace('|', " or "))
        }
        Some((inside, _)) => format!("the API token may not do this: {inside}"),
        None => "the API token may not do this; grant the rights of the documented role".to_owned(),
    };
    (ErrorKind::Denied, Meaning::Right(sentence.to_owned()), words)
}

fn parameters(sentence: &str, errors: Option<&BTreeMap<String, Value>>) -> Verdict {
    let texts: Vec<(&str, String)> = errors
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (name.as_str(), one_line(&text))
        })
        .collect();
    let says = |needle: &str| texts.iter().any(|(_, text)| text.contains(needle));
    let listed = texts
        .iter()
        .map(|(name, text)| format!("{name}: {text}"))
        .collect::<Vec<_>>()
        .join("; ");
    let words = one_line(if listed.is_empty() { sentence } else { &listed });
    if says("no such task") || sentence.contains("no such task") {
        let words = "the node does not know the task".to_owned();
        return (ErrorKind::NotFound, Meaning::TaskUnknown, words);
    }
    if texts
        .iter()
        .any(|(name, text)| *name == "vmid" && text.contains("already exists"))
    {
        return (
            ErrorKind::Conflict,
            Meaning::Taken,
            "the number is taken".to_owned(),
        );
    }
    let meaning = match says("property is not defined in schema") {
        true => Meaning::Version,
        false => Meaning::Other,
    };
    (
        ErrorKind::Invalid,
        meaning,
        format!("Proxmox refuses the values ({words})"),
    )
}

#[cfg(test)]
mod tests;
