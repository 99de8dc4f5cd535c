//! What a container uses, as a person reads it: rounded, rarely, and only when there is something to notice. Pure.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::SiteUsage;
use crate::providers::container_host::Usage;

/// Time between two readings that are written down: graphs are made from metrics.
const READ_AT_MOST_EVERY: SignedDuration = SignedDuration::from_mins(5);
/// Steps of what is shown.
const CPU_STEP_PERCENT: i32 = 5;
const MEMORY_STEP_MIB: i64 = 16;
const DISK_STEP_MIB: i64 = 64;
/// What a person notices: so many points of processor time …
const CPU_NOTICED_PERCENT: i32 = 10;
/// … an eighth more or less memory, a twentieth more or less disk …
const MEMORY_NOTICED_PART: i64 = 8;
const DISK_NOTICED_PART: i64 = 20;
/// … or another start. Statistics are some ten seconds old, so that the beginning moves by that.
const START_NOTICED: SignedDuration = SignedDuration::from_mins(2);

const MIB: u64 = 1024 * 1024;
const PERMILLE_OF_PERCENT: u32 = 10;
const MINUTE: i64 = 60;

/// What the status says of the usage after a reading: the same as before unless there is something to notice.
pub fn noted(old: Option<&SiteUsage>, usage: Option<&Usage>, now: Timestamp) -> Option<SiteUsage> {
    let Some(usage) = usage else {
        return old.cloned();
    };
    let new = shown(usage, now);
    let Some(old) = old else {
        return Some(new);
    };
    let recent = now.duration_since(old.read_at.0) < READ_AT_MOST_EVERY;
    Some(if recent || !is_news(old, &new) {
        old.clone()
    } else {
        new
    })
}

fn shown(usage: &Usage, now: Timestamp) -> SiteUsage {
    let mib = |bytes: u64| i64::try_from(bytes / MIB).unwrap_or(i64::MAX);
    let percent = i32::try_from(usage.cpu_permille / PERMILLE_OF_PERCENT).unwrap_or(i32::MAX);
    let uptime = i64::try_from(usage.uptime_seconds).unwrap_or(i64::MAX);
    let started = now.as_second().saturating_sub(uptime);
    let started = Timestamp::from_second(to_step(started, MINUTE)).ok();
    SiteUsage {
        cpu_percent: i32::try_from(to_step(i64::from(percent), i64::from(CPU_STEP_PERCENT)))
            .unwrap_or(percent),
        memory_mib: to_step(mib(usage.memory_bytes), MEMORY_STEP_MIB),
        disk_mib: to_step(mib(usage.disk_bytes), DISK_STEP_MIB),
        running_since: started.map(Time),
        read_at: Time(now),
    }
}

/// The nearest multiple.
fn to_step(number: i64, step: i64) -> i64 {
    number
        .saturating_add(step / 2)
        .div_euclid(step)
        .saturating_mul(step)
}

fn is_news(old: &SiteUsage, new: &SiteUsage) -> bool {
    let grown = |old: i64, new: i64, part: i64| (new - old).saturating_abs().saturating_mul(part) > old;
    let restarted = match (&old.running_since, &new.running_since) {
        (Some(old), Some(new)) => new.0.duration_since(old.0).abs() >= START_NOTICED,
        (old, new) => old != new,
    };
    (new.cpu_percent - old.cpu_percent).abs() >= CPU_NOTICED_PERCENT
        || grown(old.memory_mib, new.memory_mib, MEMORY_NOTICED_PART)
        || grown(old.disk_mib, new.disk_mib, DISK_NOTICED_PART)
        || restarted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn usage(cpu_permille: u32, memory_mib: u64, uptime_seconds: u64) -> Usage {
        Usage {
            cpu_permille,
            memory_bytes: memory_mib * MIB,
            disk_bytes: 2_000 * MIB,
            disk_size_bytes: None,
            uptime_seconds,
        }
    }

    #[test]
    fn it_is_rounded() {
        let seen = noted(None, Some(&usage(127, 515, 3_600)), at(0)).unwrap();
        assert_eq!(
            (seen.cpu_percent, seen.memory_mib, seen.disk_mib),
            (10, 512, 1_984)
        );
        assert_eq!(seen.running_since.unwrap().0.as_second() % MINUTE, 0);
        assert_eq!(noted(None, None, at(0)), None);
    }

    #[test]
    fn only_news_after_five_minutes_is_written() {
        let first = noted(None, Some(&usage(100, 800, 600)), at(0)).unwrap();
        let then = |cpu, memory, uptime, second| {
            noted(Some(&first), Some(&usage(cpu, memory, uptime)), at(second)).unwrap()
        };
        // Much has changed, but too soon; then late enough.
        assert_eq!(then(900, 1_600, 899, 299), first);
        assert_ne!(then(900, 1_600, 900, 300), first);
        // Late enough, but nothing to notice; then just so.
        assert_eq!(then(170, 896, 900, 300), first);
        assert_ne!(then(200, 800, 900, 300), first);
        assert_ne!(then(100, 915, 900, 300), first);
        // The start is the same but for old statistics; then another one.
        assert_eq!(then(100, 800, 890, 300), first);
        assert_ne!(then(100, 800, 20, 300), first);
        // What is not read is not forgotten.
        assert_eq!(noted(Some(&first), None, at(900)), Some(first.clone()));
    }
}
