//! The figures of one run, and what several rounds make of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value, json};

/// What one contestant did in one round; the names are those of `hostwright bench`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Figures {
    /// Number of zones.
    pub objects: u32,
    /// Milliseconds of every outside call.
    pub latency_milliseconds: u64,
    /// Processor threads of the machine, shared by API server, simulator, contestant and this program.
    pub machine_cores: usize,
    /// From the first create to the last Ready.
    pub seconds_to_ready: f64,
    /// Zones per second.
    pub objects_per_second: f64,
    /// Writes to the Kubernetes API for each zone, events included.
    pub api_writes_per_object: f64,
    /// The same by what was written.
    pub api_writes_by_resource: BTreeMap<String, f64>,
    /// Reads of single objects for each zone.
    pub api_reads_per_object: f64,
    /// Outside calls for each zone, by back-end.
    pub outside_calls_per_object: BTreeMap<String, f64>,
    /// The same by back-end, method and path.
    pub outside_calls_by_path: BTreeMap<String, f64>,
    /// Largest resident memory of the contestant in MiB, up to the last Ready.
    pub peak_rss_mib: f64,
    /// Processor seconds of the contestant for each zone, from the first create to the last Ready.
    pub cpu_seconds_per_object: f64,
    /// Processor seconds of the API server, etcd in it, for each zone in the same time.
    pub api_server_cpu_seconds_per_object: f64,
    /// The API server's part of all processor time of the machine in the same time, 0 to 1.
    pub api_server_cpu_share: f64,
    /// The contestant's part, 0 to 1.
    pub cpu_share: f64,
    /// Writes after a restart with nothing changed.
    pub restart_api_writes: u64,
    /// Outside calls after a restart with nothing changed.
    pub restart_outside_calls: u64,
    /// From the start of the process to its last call.
    pub restart_seconds: f64,
    /// Largest resident memory of the restarted contestant in MiB.
    pub restart_peak_rss_mib: f64,
    /// From the drift to its repair outside.
    pub drift_repair_seconds: f64,
    /// Seconds without any change but the drift.
    pub idle_seconds: f64,
    /// Writes in this time, those for the repair included.
    pub idle_api_writes: u64,
    /// Outside calls in this time.
    pub idle_outside_calls: u64,
    /// Processor seconds of the contestant in this time.
    pub idle_cpu_seconds: f64,
    /// Zones per second while all are deleted, until nothing is left outside.
    pub deletions_per_second: f64,
    /// Zones and records left outside in the end.
    pub left_over: usize,
}

/// The medians of several rounds, with the smallest and largest of each figure as `spread`; nothing without rounds.
pub(super) fn summary(rounds: &[Figures], failures: &[String]) -> Result<Value, serde_json::Error> {
    let rounds: Vec<Value> = rounds
        .iter()
        .map(serde_json::to_value)
        .collect::<Result<_, _>>()?;
    let shown: Vec<&Value> = rounds.iter().collect();
    let mut all = match merge(&shown, &median) {
        Value::Object(all) => all,
        _ => Map::new(),
    };
    if !rounds.is_empty() {
        let bounds = |values: &[f64]| {
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            json!({"min": number(least), "max": number(most)})
        };
        all.insert("spread".to_owned(), merge(&shown, &bounds));
    }
    all.insert("rounds".to_owned(), rounds.len().into());
    if !failures.is_empty() {
        all.insert("failures".to_owned(), json!(failures));
    }
    Ok(Value::Object(all))
}

/// Goes through objects of the same form and makes one value of the numbers at each place.
fn merge(values: &[&Value], one: &dyn Fn(&[f64]) -> Value) -> Value {
    let keys: BTreeSet<&String> = values
        .iter()
        .filter_map(|value| value.as_object())
        .flat_map(Map::keys)
        .collect();
    if keys.is_empty() && values.iter().all(|value| !value.is_number()) {
        return json!({});
    }
    if keys.is_empty() {
        let numbers: Vec<f64> = values.iter().filter_map(|value| value.as_f64()).collect();
        return one(&numbers);
    }
    let nothing = json!(0.0);
    let merged = keys.into_iter().map(|key| {
        let inner: Vec<&Value> = values
            .iter()
            .map(|value| value.get(key).unwrap_or(&nothing))
            .collect();
        (key.clone(), merge(&inner, one))
    });
    Value::Object(merged.collect())
}

fn median(values: &[f64]) -> Value {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |place: usize| sorted.get(place).copied().unwrap_or_default();
    let upper = at(sorted.len() / 2);
    let lower = at(sorted.len().saturating_sub(1) / 2);
    number(f64::midpoint(lower, upper))
}

/// Whole numbers are written as such.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        // The bound keeps it exact.
        return json!(value as i64);
    }
    json!(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(rate: f64, writes: &[(&str, f64)]) -> Figures {
        Figures {
            objects: 50,
            objects_per_second: rate,
            api_writes_by_resource: writes
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect(),
            ..Figures::default()
        }
    }

    #[test]
    fn rounds_become_medians_with_their_spread() {
        let rounds = [
            round(10.5, &[("dnszones", 1.0)]),
            round(30.0, &[("dnszones", 1.0)]),
            round(20.0, &[("dnszones", 1.0), ("events", 0.5)]),
        ];
        let all = summary(&rounds, &[]).unwrap();
        assert_eq!(all["objectsPerSecond"], 20);
        assert_eq!(all["objects"], 50);
        assert_eq!(all["rounds"], 3);
        assert_eq!(all["apiWritesByResource"], json!({"dnszones": 1, "events": 0}));
        assert_eq!(all["spread"]["objectsPerSecond"], json!({"min": 10.5, "max": 30}));
        assert_eq!(
            all["spread"]["apiWritesByResource"]["events"],
            json!({"min": 0, "max": 0.5})
        );
        assert!(all.get("failures").is_none());
    }

    #[test]
    fn an_even_number_of_rounds_has_the_middle_of_two() {
        let all = summary(&[round(10.0, &[]), round(15.0, &[])], &[]).unwrap();
        assert_eq!(all["objectsPerSecond"], 12.5);
    }

    #[test]
    fn a_contestant_that_never_came_through_has_its_failures() {
        let all = summary(&[], &["round 1: late".to_owned()]).unwrap();
        assert_eq!(all, json!({"rounds": 0, "failures": ["round 1: late"]}));
    }
}
