//! Backups by the clock: when one is due, and which go. Pure.
//!
//! The name of a scheduled backup is that of its site and the time it was due, so that two tries make one object.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::shelf::Entry;
use crate::api::BackupSchedule;

/// Fields of an expression: minute, hour, day of month, month, day of week.
const FIELDS: usize = 5;

/// Whether a schedule can be followed.
///
/// # Errors
/// What is wrong with it, for people.
pub fn check(schedule: &BackupSchedule) -> Result<(), String> {
    parse(schedule).map(drop)
}

fn parse(schedule: &BackupSchedule) -> Result<Cron, String> {
    let text = schedule.cron.trim();
    let wrong = |why: &dyn std::fmt::Display| {
        format!("backupSchedule.cron: \"{text}\" is not a time such as \"30 3 * * *\": {why}")
    };
    if text.split_whitespace().count() != FIELDS {
        return Err(wrong(
            &"it needs minute, hour, day of month, month and day of week",
        ));
    }
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build();
    parser.parse(text).map_err(|error| wrong(&error))
}

/// The latest time at or before `now` at which a backup was due. `None` for a schedule that is none or never was due.
pub fn last_due(schedule: &BackupSchedule, zone: &TimeZone, now: Timestamp) -> Option<Zoned> {
    let cron = parse(schedule).ok()?;
    cron.find_previous_occurrence(&now.to_zoned(zone.clone()), true)
        .ok()
}

/// The next time after `now` at which a backup is due.
pub fn next_due(schedule: &BackupSchedule, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let cron = parse(schedule).ok()?;
    let next = cron
        .find_next_occurrence(&now.to_zoned(zone.clone()), false)
        .ok()?;
    Some(next.timestamp())
}

/// Name of the backup that is due at a time, such as `bakery-20251120-0330`.
pub fn name(site: &str, due: &Zoned) -> String {
    format!("{site}-{}", due.strftime("%Y%m%d-%H%M"))
}

/// One change of the backups of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Make the backup of this name.
    Create(String),
    /// Delete the backup of this name and UID, which the schedule made.
    Delete {
        /// Name of the object.
        name: String,
        /// Its UID.
        uid: String,
    },
}

/// What is to be done for the schedule of a site.
///
/// `due` is the name of the backup that is due and was not dealt with, `backups` are all of the site by UID, `limit`
/// is what its Plan allows. When there is a place, the new one is made first and the oldest goes when that is there;
/// when there is none, the oldest goes first. Nothing that a person made ever goes.
pub fn steps(
    due: Option<&str>,
    keep: usize,
    limit: usize,
    backups: &std::collections::BTreeMap<String, Entry>,
) -> Vec<Step> {
    let delete = |uid: &String, entry: &Entry| Step::Delete {
        name: entry.name.clone(),
        uid: uid.clone(),
    };
    let mut scheduled: Vec<(&String, &Entry)> = backups
        .iter()
        .filter(|(_, entry)| entry.scheduled && !entry.away)
        .collect();
    scheduled.sort_by(|(_, a), (_, b)| (a.created_at, &a.name).cmp(&(b.created_at, &b.name)));
    let is_there = |entry: &Entry| !entry.unsettled && !entry.lost;
    let exists = |name: &str| backups.values().any(|entry| entry.name == name);
    let holding = backups
        .values()
        .filter(|entry| entry.snapshot.is_some() && !entry.lost)
        .count();
    if let Some(due) = due.filter(|due| !exists(due)) {
        let oldest = scheduled.iter().find(|(_, entry)| is_there(entry));
        let going = backups
            .values()
            .any(|entry| entry.away && entry.snapshot.is_some());
        return match oldest {
            // One at a time: the place is free when its snapshot is gone.
            Some(_) if holding >= limit && going => Vec::new(),
            Some((uid, oldest)) if holding >= limit => vec![delete(uid, oldest)],
            _ => vec![Step::Create(due.to_owned())],
        };
    }
    let newest = scheduled.last().map(|(uid, _)| (*uid).clone());
    let there: Vec<_> = scheduled.iter().filter(|(_, entry)| is_there(entry)).collect();
    let many = there.len().saturating_sub(keep.max(1));
    let beyond = there
        .into_iter()
        .take(many)
        .map(|(uid, entry)| delete(uid, entry));
    // Those that came to nothing go when the next one is there, so that a full quota does not pile them up.
    let vain = scheduled
        .iter()
        .filter(|(uid, entry)| newest.as_ref() != Some(uid) && (entry.lost || entry.snapshot.is_none()))
        .map(|(uid, entry)| delete(uid, entry));
    beyond.chain(vain).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::tz::TimeZoneDatabase;

    use super::*;

    fn schedule(cron: &str) -> BackupSchedule {
        BackupSchedule {
            cron: cron.to_owned(),
            keep: 2,
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for good in ["30 3 * * *", " 0 */6 * * 1-5 ", "0 0 1 jan mon", "*/15 * * * *"] {
            assert_eq!(check(&schedule(good)), Ok(()), "{good}");
        }
        for bad in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "0 24 * * *",
            "0 0 0 * *",
            "0 0 * 13 *",
            "0 0 * * 8",
            "a b c d e",
            "@daily",
            "*/0 * * * *",
        ] {
            let said = check(&schedule(bad)).expect_err(bad);
            assert!(said.starts_with("backupSchedule.cron"), "{said}");
        }
    }

    #[test]
    fn due_times_go_by_the_time_zone() {
        let zone = TimeZoneDatabase::bundled().get("Europe/Berlin").unwrap();
        let due = |cron: &str, now: &str| {
            let due = last_due(&schedule(cron), &zone, now.parse().unwrap()).unwrap();
            name("jane", &due)
        };
        assert_eq!(due("30 3 * * *", "2025-11-20T02:29:59Z"), "jane-20251119-0330");
        assert_eq!(due("30 3 * * *", "2025-11-20T02:30:00Z"), "jane-20251120-0330");
        assert_eq!(due("30 3 * * *", "2025-07-20T01:30:00Z"), "jane-20250720-0330");
        // The hour that summer time leaves out, and the one that comes twice: once a day each.
        let next = |now: &str| next_due(&schedule("30 2 * * *"), &zone, now.parse().unwrap()).unwrap();
        let spring = next("2025-03-29T12:00:00Z");
        assert!(
            spring > "2025-03-30T00:00:00Z".parse().unwrap()
                && spring < "2025-03-31T00:00:00Z".parse().unwrap()
        );
        let autumn = next("2025-10-25T12:00:00Z");
        let after = next(&autumn.to_string());
        assert!(after.duration_since(autumn).as_hours() >= 23, "{autumn} {after}");
    }

    fn entry(name: &str, second: i64, scheduled: bool) -> Entry {
        Entry {
            site: ("ns".to_owned(), "jane".to_owned()),
            name: name.to_owned(),
            created_at: Timestamp::from_second(second).ok(),
            snapshot: Some(format!("BAK-{name}")),
            lost: false,
            away: false,
            unsettled: false,
            scheduled,
        }
    }

    fn all(entries: impl IntoIterator<Item = Entry>) -> BTreeMap<String, Entry> {
        let uid = |entry: Entry| (format!("uid-{}", entry.name), entry);
        entries.into_iter().map(uid).collect()
    }

    fn delete(name: &str) -> Step {
        Step::Delete {
            name: name.to_owned(),
            uid: format!("uid-{name}"),
        }
    }

    #[test]
    fn with_a_place_the_new_one_comes_first_and_the_oldest_goes_after() {
        let two = || vec![entry("a", 1, true), entry("b", 2, true)];
        assert_eq!(
            steps(Some("c"), 2, 3, &all(two())),
            [Step::Create("c".to_owned())]
        );
        let taking = Entry {
            unsettled: true,
            ..entry("c", 3, true)
        };
        let three = |newest: Entry| all([two(), vec![newest]].concat());
        assert_eq!(
            steps(Some("c"), 2, 3, &three(taking)),
            [],
            "not before it is there"
        );
        assert_eq!(steps(Some("c"), 2, 3, &three(entry("c", 3, true))), [delete("a")]);
        assert_eq!(steps(None, 3, 3, &three(entry("c", 3, true))), []);
    }

    #[test]
    fn without_a_place_the_oldest_of_the_schedule_goes_first() {
        let full = all([entry("mine", 0, false), entry("a", 1, true), entry("b", 2, true)]);
        assert_eq!(steps(Some("c"), 9, 3, &full), [delete("a")]);
        let going = Entry {
            away: true,
            ..entry("a", 1, true)
        };
        let full = all([entry("mine", 0, false), going, entry("b", 2, true)]);
        assert_eq!(steps(Some("c"), 9, 3, &full), [], "its place is awaited");
        let free = all([entry("mine", 0, false), entry("b", 2, true)]);
        assert_eq!(steps(Some("c"), 9, 3, &free), [Step::Create("c".to_owned())]);
    }

    #[test]
    fn what_a_person_made_never_goes() {
        let mine = all([entry("x", 0, false), entry("y", 1, false), entry("z", 2, false)]);
        // It is made all the same, refused by the quota, and tells so.
        assert_eq!(steps(Some("c"), 1, 2, &mine), [Step::Create("c".to_owned())]);
        assert_eq!(steps(None, 1, 2, &mine), []);
    }

    #[test]
    fn those_in_vain_do_not_pile_up() {
        let refused = |name: &str, second| Entry {
            snapshot: None,
            unsettled: true,
            ..entry(name, second, true)
        };
        let lost = Entry {
            lost: true,
            ..entry("a", 1, true)
        };
        let backups = all([lost, refused("b", 2), refused("c", 3)]);
        assert_eq!(steps(None, 5, 5, &backups), [delete("a"), delete("b")]);
    }
}
