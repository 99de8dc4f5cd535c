//! The figures as a line, as a table of Markdown, and in the page of the documentation.

use std::fmt::Write as _;

use serde_json::Value;

use super::figures::Figures;
use crate::config::Contestant;

/// Marks of the table in the page.
const BEGIN: &str = "<!-- bench-peers: begin; written by `make bench-peers DOCS=1` -->";
const END: &str = "<!-- bench-peers: end -->";

/// One row: title, path of the figure, factor, digits.
type Row = (&'static str, &'static str, f64, usize);

const ROWS: [Row; 18] = [
    ("zones per second to Ready", "/objectsPerSecond", 1.0, 1),
    ("API writes per zone", "/apiWritesPerObject", 1.0, 2),
    ("API reads per zone", "/apiReadsPerObject", 1.0, 2),
    (
        "outside calls per zone",
        "/outsideCallsPerObject/cloudflare",
        1.0,
        2,
    ),
    ("peak memory, MiB", "/peakRssMib", 1.0, 1),
    ("processor time per zone, ms", "/cpuSecondsPerObject", 1000.0, 2),
    (
        "the API server's per zone, ms",
        "/apiServerCpuSecondsPerObject",
        1000.0,
        2,
    ),
    ("contestant's part of the machine, %", "/cpuShare", 100.0, 0),
    (
        "API server's part of the machine, %",
        "/apiServerCpuShare",
        100.0,
        0,
    ),
    ("restart: seconds", "/restartSeconds", 1.0, 1),
    ("restart: API writes", "/restartApiWrites", 1.0, 0),
    ("restart: outside calls", "/restartOutsideCalls", 1.0, 0),
    ("seconds to repair a drift", "/driftRepairSeconds", 1.0, 1),
    ("idle: API writes", "/idleApiWrites", 1.0, 0),
    ("idle: outside calls", "/idleOutsideCalls", 1.0, 0),
    ("idle: processor seconds", "/idleCpuSeconds", 1.0, 2),
    ("deletions per second", "/deletionsPerSecond", 1.0, 1),
    ("left outside", "/leftOver", 1.0, 0),
];

/// The figures of one run in one line.
pub(super) fn line(figures: &Figures) -> String {
    format!(
        "{:.1} zones/s, {:.2} API writes and {:.2} outside calls per zone, {:.1} MiB, {:.2} ms of processor time per \
         zone, restart {:.1} s, drift repaired after {:.1} s, {:.1} deletions/s",
        figures.objects_per_second,
        figures.api_writes_per_object,
        figures.outside_calls_per_object.values().sum::<f64>(),
        figures.peak_rss_mib,
        figures.cpu_seconds_per_object * 1000.0,
        figures.restart_seconds,
        figures.drift_repair_seconds,
        figures.deletions_per_second,
    )
}

/// The contestants that are in a race, in their order.
pub(super) fn present(race: &Value) -> Vec<(&'static str, &Value)> {
    let all = Contestant::ALL.into_iter().map(Contestant::name);
    all.filter_map(|name| Some((name, race.get("contestants")?.get(name)?)))
        .collect()
}

/// Median, smallest and largest of one figure.
pub(super) fn figure(contestant: &Value, path: &str) -> Option<(f64, f64, f64)> {
    let bound = |which: &str| contestant.pointer(&format!("/spread{path}/{which}"))?.as_f64();
    Some((contestant.pointer(path)?.as_f64()?, bound("min")?, bound("max")?))
}

/// A table of Markdown: medians, with the smallest and the largest of the rounds where they differ.
pub(super) fn table(race: &Value) -> String {
    let contestants = present(race);
    let whole = |name: &str| race.get(name).and_then(Value::as_f64).unwrap_or_default();
    let mut text = format!(
        "{} zones, {} rounds, {} ms for each outside call, a look at each zone every {} s, idle for {} s.\n\n",
        whole("objects"),
        whole("rounds"),
        whole("latencyMilliseconds"),
        whole("resyncSeconds"),
        whole("idleSeconds"),
    );
    let mut rows = vec![vec![String::new()]];
    rows.extend(ROWS.iter().map(|(title, ..)| vec![(*title).to_owned()]));
    for (name, contestant) in &contestants {
        let cells = ROWS.iter().map(|row| cell(contestant, row));
        let column = std::iter::once((*name).to_owned()).chain(cells);
        rows.iter_mut().zip(column).for_each(|(row, cell)| row.push(cell));
    }
    let columns = contestants.len() + 1;
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for (place, row) in rows.iter().enumerate() {
        let mut cells = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
        let _ = writeln!(text, "| {} |", cells.by_ref().collect::<Vec<_>>().join(" | "));
        if place == 0 {
            let rules = widths.iter().enumerate().map(|(column, width)| match column {
                0 => "-".repeat(*width),
                _ => format!("{}:", "-".repeat(width.saturating_sub(1))),
            });
            let _ = writeln!(text, "| {} |", rules.collect::<Vec<_>>().join(" | "));
        }
    }
    for (name, contestant) in contestants {
        let failures = contestant.get("failures").and_then(Value::as_array);
        for failure in failures.into_iter().flatten().filter_map(Value::as_str) {
            let _ = writeln!(text, "\n{name} failed in {failure}");
        }
    }
    text
}

fn cell(contestant: &Value, (_, path, factor, digits): &Row) -> String {
    let Some((median, least, most)) = figure(contestant, path) else {
        return "–".to_owned();
    };
    let shown = |value: f64| format!("{:.digits$}", value * factor);
    let (median, least, most) = (shown(median), shown(least), shown(most));
    match least == most {
        true => median,
        false => format!("{median} ({least} to {most})"),
    }
}

/// The page with another table between its marks; nothing when they are not there.
pub(super) fn put_into(page: &str, table: &str) -> Option<String> {
    let (head, rest) = page.split_once(BEGIN)?;
    let (_, tail) = rest.split_once(END)?;
    Some(format!("{head}{BEGIN}\n\n{table}\n{END}{tail}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_has_medians_and_spreads_and_gaps() {
        let race = json!({
            "objects": 50, "rounds": 3, "latencyMilliseconds": 5, "resyncSeconds": 30.0, "idleSeconds": 60.0,
            "contestants": {
                "hostwright": {
                    "objectsPerSecond": 100, "leftOver": 0,
                    "spread": {"objectsPerSecond": {"min": 90, "max": 110.26}, "leftOver": {"min": 0, "max": 0}},
                },
                "kopf": {"rounds": 0, "failures": ["round 1: late"]},
            },
        });
        let table = table(&race);
        assert!(table.contains("100.0 (90.0 to 110.3) |    – |"), "{table}");
        assert!(table.contains("| left outside"), "{table}");
        assert!(table.contains("kopf failed in round 1: late"), "{table}");
        assert!(!table.contains("controller-runtime"), "{table}");
    }

    #[test]
    fn the_page_keeps_what_is_around_the_marks() {
        let page = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        assert_eq!(
            put_into(&page, "new\n").unwrap(),
            format!("a\n{BEGIN}\n\nnew\n\n{END}\nb\n")
        );
        assert_eq!(put_into("a", "new"), None);
    }

    #[test]
    fn the_documentation_has_the_marks() {
        let page = include_str!("../../../../docs/performance.md");
        assert!(put_into(page, "").is_some());
    }
}
