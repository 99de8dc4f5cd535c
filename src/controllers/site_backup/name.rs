//! Names of snapshots: the day in the Provider's time zone, and a number within the day.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// What every name starts with.
const PREFIX: &str = "BAK";

/// The next name of a day, such as `BAK20112025-1`: one more than the largest number that was ever given on it, as far
/// as these names tell.
pub fn next<'a>(now: Timestamp, zone: &TimeZone, taken: impl Iterator<Item = &'a str>) -> String {
    let day = now.to_zoned(zone.clone()).date();
    let prefix = format!("{PREFIX}{:02}{:02}{:04}-", day.day(), day.month(), day.year());
    let numbers = taken.filter_map(|name| name.strip_prefix(&prefix)?.parse::<u32>().ok());
    let number = numbers.max().unwrap_or_default().saturating_add(1);
    format!("{prefix}{number}")
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZoneDatabase;

    use super::*;

    #[test]
    fn the_day_is_that_of_the_providers_time_zone() {
        let midnight: Timestamp = "2025-11-20T23:30:00Z".parse().unwrap();
        let zone = |name: &str| TimeZoneDatabase::bundled().get(name).unwrap();
        let name = |zone_name: &str| next(midnight, &zone(zone_name), [].into_iter());
        assert_eq!(name("UTC"), "BAK20112025-1");
        assert_eq!(name("Europe/Berlin"), "BAK21112025-1");
        assert_eq!(name("Asia/Tehran"), "BAK21112025-1");
        assert_eq!(name("America/New_York"), "BAK20112025-1");
    }

    #[test]
    fn numbers_count_within_the_day_and_are_not_given_twice() {
        let now: Timestamp = "2025-11-20T12:00:00Z".parse().unwrap();
        let after = |taken: &[&str]| next(now, &TimeZone::UTC, taken.iter().copied());
        assert_eq!(after(&["initial", "BAK19112025-7", "vzdump"]), "BAK20112025-1");
        assert_eq!(after(&["BAK20112025-1", "BAK20112025-3"]), "BAK20112025-4");
        assert_eq!(after(&["BAK20112025-x", "BAK20112025-"]), "BAK20112025-1");
        assert_eq!(after(&["BAK20112025-10", "BAK20112025-9"]), "BAK20112025-11");
    }
}
