//! What the pages in `docs/` promise to be complete: every condition and reason is explained, every kind has its page with
//! an example that the API server takes, links lead somewhere, and alerts and dashboard name metrics that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hostwright::api::{Inventory, crds, reference};
use hostwright::providers::ErrorKind;
use hostwright::providers::gate::{CallRecord, Meter};
use hostwright::runtime::metrics::{
    Kind, Metrics, PassResult, SiteSample, SweepResult, WriteResult, WriteVerb,
};
use serde_json::Value;

use crate::world::shared;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The string constants of one module of the conditions' source.
fn constants(module: &str) -> BTreeSet<String> {
    let source = text("src/api/condition.rs");
    let begin = format!("pub mod {module} {{");
    let (_, rest) = source.split_once(&begin).unwrap();
    let (inside, _) = rest.split_once("\n}").unwrap();
    let values = inside
        .lines()
        .filter(|line| line.trim_start().starts_with("pub const"));
    values
        .map(|line| line.split('"').nth(1).unwrap().to_owned())
        .collect()
}

/// First cells of the table below a heading, each a word in backticks, with the other cells.
fn table(page: &str, heading: &str) -> BTreeMap<String, Vec<String>> {
    let (_, rest) = page.split_once(&format!("\n## {heading}\n")).unwrap();
    let rows = rest
        .split("\n## ")
        .next()
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("| `"));
    let mut found = BTreeMap::new();
    for row in rows {
        let cells: Vec<String> = row
            .trim_matches('|')
            .split(" | ")
            .map(|cell| cell.trim().to_owned())
            .collect();
        let word = cells[0].trim_matches('`').to_owned();
        assert_eq!(
            found.insert(word.clone(), cells[1..].to_vec()),
            None,
            "{word} is there twice"
        );
    }
    found
}

#[test]
fn every_condition_and_reason_is_explained() {
    let page = text("docs/conditions.md");
    for (module, heading, columns) in [("kinds", "Conditions", 3), ("reasons", "Reasons", 2)] {
        let told = table(&page, heading);
        let names: BTreeSet<String> = told.keys().cloned().collect();
        let there = constants(module);
        assert!(there.len() > 10, "{there:?}");
        let untold: Vec<_> = there.difference(&names).collect();
        let unknown: Vec<_> = names.difference(&there).collect();
        assert!(
            untold.is_empty(),
            "docs/conditions.md has no row for {untold:?} of {module}"
        );
        assert!(
            unknown.is_empty(),
            "docs/conditions.md explains {unknown:?}, which {module} has not"
        );
        for (name, cells) in told {
            assert_eq!(cells.len(), columns, "{name}: {cells:?}");
            assert!(cells.iter().all(|cell| !cell.is_empty()), "{name}: {cells:?}");
        }
    }
}

#[test]
fn the_reference_is_up_to_date() {
    let written = text("docs/crd-reference.md");
    assert!(written == reference::page(), "run `make generate`");
}

/// The examples of the pages of the kinds: what stands in blocks of YAML.
fn examples(page: &str) -> Vec<String> {
    let parts = page.split("\n```yaml\n").skip(1);
    parts
        .map(|part| part.split("\n```").next().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_has_a_page_with_an_example_that_the_api_server_takes() {
    let cluster = shared().await.cluster.lock().await;
    let namespace = root().join("examples/namespace.yaml");
    let arguments = ["apply", "--server-side", "-f", namespace.to_str().unwrap()];
    cluster.kubectl(&arguments, "").await.unwrap();
    for crd in crds::definitions() {
        let kind = crd.pointer("/spec/names/kind").and_then(Value::as_str).unwrap();
        let path = format!("docs/kinds/{}.md", kind.to_lowercase());
        let examples = examples(&text(&path));
        let of_kind = examples
            .iter()
            .filter(|example| example.contains(&format!("\nkind: {kind}\n")));
        assert!(of_kind.count() > 0, "{path} has no example of a {kind}");
        for example in examples {
            let arguments = [
                "apply",
                "--server-side",
                "--dry-run=server",
                "--validate=strict",
                "-f",
                "-",
            ];
            let said = cluster.kubectl(&arguments, &example).await;
            assert!(said.is_ok(), "{path}: {}\n{example}", said.unwrap_err());
        }
    }
}

/// Pages for people, below the root.
fn pages() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = ["README.md", "SECURITY.md", "CONTRIBUTING.md"]
        .iter()
        .map(|page| root().join(page))
        .collect();
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A heading as the address of its part of the page, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(page: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(page).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| anchor(line.trim_start_matches('#')))
        .collect()
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for part in text.split("](").skip(1) {
            let target = part.split(')').next().unwrap();
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, part) = target
                .split_once('#')
                .map_or((target, None), |(path, part)| (path, Some(part)));
            let whole = if path.is_empty() {
                page.clone()
            } else {
                page.parent().unwrap().join(path)
            };
            let good = whole.exists() && part.is_none_or(|part| anchors(&whole).contains(part));
            if !good {
                broken.push(format!(
                    "{}: {target}",
                    page.strip_prefix(root()).unwrap().display()
                ));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "links that lead nowhere:\n{}",
        broken.join("\n")
    );
}

/// Everything that the process exports, with every value of every label that the code knows.
fn exported() -> String {
    let metrics = Metrics::new();
    let kinds = [Kind::WordPressSite, Kind::DnsZone, Kind::Provider, Kind::Plan];
    let passes = [
        PassResult::Steady,
        PassResult::Progressing,
        PassResult::Failed,
        PassResult::Stalled,
        PassResult::Deadline,
    ];
    let verbs = [
        WriteVerb::Metadata,
        WriteVerb::Status,
        WriteVerb::Secret,
        WriteVerb::Event,
    ];
    for kind in kinds {
        for result in passes {
            metrics.pass(kind, result, Duration::ZERO);
        }
        metrics.became_ready(kind, Duration::ZERO);
        metrics.count_queue(kind, || 0);
        metrics.api_read(kind);
        for verb in verbs {
            for result in [WriteResult::Ok, WriteResult::Conflict, WriteResult::Error] {
                metrics.api_write(kind, verb, result);
            }
        }
    }
    for result in [SweepResult::Ok, SweepResult::Failed] {
        metrics.sweep("pve", result);
    }
    let inventory = Inventory {
        owned: 0,
        orphaned: 0,
        foreign: 0,
    };
    metrics.inventory("pve", &inventory);
    metrics.tell_of_sites(|| {
        vec![SiteSample {
            namespace: "customers".to_owned(),
            name: "bakery".to_owned(),
            cpu_ratio: 0.0,
            memory_bytes: 0,
            memory_limit_bytes: 0,
            disk_bytes: 0,
            disk_limit_bytes: Some(0),
            uptime_seconds: 0,
        }]
    });
    for result in ErrorKind::ALL.iter().map(|kind| kind.label()).chain(["ok"]) {
        metrics.record(CallRecord {
            provider: "pve",
            call: "version",
            result,
            elapsed: Duration::ZERO,
        });
    }
    metrics.encode().unwrap()
}

/// Labels that Prometheus adds, and that of the buckets.
const ADDED: [&str; 4] = ["namespace", "pod", "instance", "job"];

/// Metrics of an expression with the inside of the braces behind them.
fn selectors(expression: &str) -> Vec<(&str, &str)> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(at) = ["hostwright_", "process_"]
        .iter()
        .filter_map(|start| rest.find(start))
        .min()
    {
        let tail = &rest[at..];
        let end = tail.find(|c| !word(c)).unwrap_or(tail.len());
        let (name, after) = tail.split_at(end);
        let inside = after
            .strip_prefix('{')
            .and_then(|after| after.split_once('}'))
            .map_or("", |(inside, _)| inside);
        found.push((name, inside));
        rest = &after[inside.len()..];
    }
    found
}

/// What is wrong with an expression, given what is exported.
fn complaints(expression: &str, exported: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let found = selectors(expression);
    if found.is_empty() {
        wrong.push(format!("no metric in {expression}"));
    }
    for (name, inside) in found {
        let samples: Vec<&str> = exported
            .lines()
            .filter(|line| {
                line.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with(['{', ' ']))
            })
            .collect();
        if samples.is_empty() {
            wrong.push(format!("{name} does not exist: {expression}"));
        }
        for matcher in inside.split(", ").filter(|matcher| !matcher.is_empty()) {
            let (label, value) = matcher.split_once(['=', '!']).unwrap();
            let values = value.trim_start_matches(['=', '~', '!']).trim_matches('"');
            let of_label = |line: &&str, value: &str| line.contains(&format!("{label}=\"{value}"));
            if ADDED.contains(&label) {
                continue;
            }
            if !samples.iter().any(|line| of_label(line, "")) {
                wrong.push(format!("{name} has no label {label}: {expression}"));
            }
            let fixed = values.split('|').filter(|value| !value.starts_with('$'));
            wrong.extend(
                fixed
                    .filter(|value| !samples.iter().any(|line| of_label(line, &format!("{value}\""))))
                    .map(|value| format!("{name} is never {label}={value}: {expression}")),
            );
        }
    }
    wrong
}

/// All values of a key, wherever it stands.
fn values<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(object) => {
            for (name, inner) in object {
                if name == key {
                    found.extend(inner.as_str());
                }
                values(inner, key, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| values(item, key, found)),
        _ => {}
    }
}

#[test]
fn alerts_and_dashboard_name_metrics_that_there_are() {
    let exported = exported();
    let alerts: Value = serde_yaml::from_str(&text("charts/hostwright/alerts/hostwright.yaml")).unwrap();
    let dashboard: Value =
        serde_json::from_str(&text("charts/hostwright/dashboards/hostwright.json")).unwrap();
    let (mut expressions, mut queries) = (Vec::new(), Vec::new());
    values(&alerts, "expr", &mut expressions);
    let rules = expressions.len();
    values(&dashboard, "expr", &mut expressions);
    values(&dashboard, "definition", &mut queries);
    assert!(rules >= 10 && expressions.len() >= rules + 20 && queries.len() == 4);
    let wrong: Vec<String> = expressions
        .iter()
        .chain(&queries)
        .flat_map(|expression| complaints(expression, &exported))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every alert has its section in the guide.
#[test]
fn every_alert_is_in_the_guide() {
    let alerts: Value = serde_yaml::from_str(&text("charts/hostwright/alerts/hostwright.yaml")).unwrap();
    let mut names = Vec::new();
    values(&alerts, "alert", &mut names);
    let guide = text("docs/operations.md");
    for name in names {
        assert!(
            guide.contains(&format!("| `{name}` |")),
            "docs/operations.md has no row for {name}"
        );
    }
}

#[test]
fn the_reader_of_expressions_finds_what_is_wrong() {
    let exported = exported();
    for (expression, words) in [
        ("sum(hostwright_passes)", "hostwright_passes does not exist"),
        ("hostwright_passes_total{result=\"lost\"}", "is never result=lost"),
        (
            "hostwright_passes_total{provider=\"pve\"}",
            "has no label provider",
        ),
        ("vector(1)", "no metric"),
    ] {
        let said = complaints(expression, &exported);
        assert!(
            said.iter().any(|said| said.contains(words)),
            "{expression}: {said:?}"
        );
    }
    let good = "sum by (le) (rate(hostwright_pass_duration_seconds_bucket{namespace=~\"$namespace\", kind=~\"$kind\"}[5m]))";
    assert_eq!(complaints(good, &exported), Vec::<String>::new());
}
