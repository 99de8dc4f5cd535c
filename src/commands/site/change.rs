//! Changing one field of a site.

use std::io::Write;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::place::Place;
use super::{SiteError, tell};
use crate::api::{Power, WordPressSite};
use crate::config::SiteOptions;

/// The shortest time between two that are not the same: times are stored in whole seconds.
const TICK: SignedDuration = SignedDuration::from_secs(1);

/// What is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// `spec.restartedAt`.
    Restart,
    /// `spec.suspended` on.
    Suspend,
    /// `spec.suspended` off.
    Resume,
    /// `spec.power` to Running.
    Start,
    /// `spec.power` to Stopped.
    Stop,
}

/// A merge patch, or nothing where it is so already; and what to say then.
#[derive(Debug, PartialEq)]
pub(super) struct Wanted {
    /// The patch.
    pub(super) patch: Option<Value>,
    /// The sentence without the object that it speaks of.
    pub(super) sentence: &'static str,
}

/// What the change makes of a site. Pure.
pub(super) fn wanted(change: Change, site: &WordPressSite, now: Timestamp) -> Wanted {
    let spec = &site.spec;
    let (so_already, patch, sentence) = match change {
        Change::Restart => {
            let time = restart_time(site, now).to_string();
            let idle = match (spec.suspended, spec.power) {
                (true, _) => "will not restart while it is suspended; the wish is stored",
                (false, Power::Stopped) => {
                    "is stopped, so that there is nothing to restart; the wish is stored"
                }
                (false, Power::Running) => "will be restarted once",
            };
            (false, json!({"spec": {"restartedAt": time}}), idle)
        }
        Change::Suspend => (
            spec.suspended,
            json!({"spec": {"suspended": true}}),
            "will be suspended: its container is shut down, its data is kept",
        ),
        Change::Resume => (
            !spec.suspended,
            json!({"spec": {"suspended": false}}),
            "will be as it was before its suspension",
        ),
        Change::Start => (
            spec.power == Power::Running,
            json!({"spec": {"power": Power::Running}}),
            match spec.suspended {
                true => "will run when its suspension ends",
                false => "will be started",
            },
        ),
        Change::Stop => (
            spec.power == Power::Stopped,
            json!({"spec": {"power": Power::Stopped}}),
            "will be shut down",
        ),
    };
    match so_already {
        false => Wanted {
            patch: Some(patch),
            sentence,
        },
        true => Wanted {
            patch: None,
            sentence: match change {
                Change::Suspend => "is suspended already; nothing was changed",
                Change::Resume => "is not suspended; nothing was changed",
                Change::Stop => "shall be stopped already; nothing was changed",
                Change::Start | Change::Restart => "shall run already; nothing was changed",
            },
        },
    }
}

/// Now, but later than any restart that was asked for before, also when the clock here is late: a time that is not later
/// asks for nothing.
fn restart_time(site: &WordPressSite, now: Timestamp) -> Timestamp {
    let status = site.status.as_ref();
    let before = [
        site.spec.restarted_at.as_ref(),
        status.and_then(|status| status.restarted_at.as_ref()),
    ];
    let latest = before.into_iter().flatten().map(|time| time.0).max();
    let next = latest.and_then(|latest| latest.checked_add(TICK).ok());
    let time = next.map_or(now, |next| next.max(now));
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Changes a site.
pub(super) async fn change(
    options: &SiteOptions,
    change: Change,
    out: &mut (impl Write + Send),
) -> Result<(), SiteError> {
    let place = Place::open(&options.place).await?;
    let site = place.living_site(&options.name).await?;
    let Wanted { patch, sentence } = wanted(change, &site, Timestamp::now());
    let site: WordPressSite = match patch {
        None => site,
        Some(patch) => place.patch(&options.name, &patch).await?,
    };
    let sentence = format!("WordPressSite {}/{} {sentence}.", place.namespace, options.name);
    tell(&options.place, &sentence, &site, out)
}
