//! The race: the same task for Hostwright and for operators that are written with other frameworks.
//!
//! Each contestant gets an API server, an etcd and a simulated Cloudflare that nobody has used before, does the
//! task alone on the machine, and is judged by what others see of it: a watch of the administrator, the API
//! server's audit log, the simulator's counts and the system's accounts of its process. The order rotates from
//! round to round. The peers' sources and the reasons of their settings are in `bench/peers`.

mod contestant;
mod figures;
mod plot;
mod process;
mod progress;
mod report;
mod run;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use self::figures::Figures;
use self::run::Run;
use crate::config::{BenchPeersOptions, Contestant};
use crate::stage::StageError;

#[derive(Default)]
struct Results {
    rounds: Vec<Figures>,
    failures: Vec<String>,
}

/// Runs the race, writes its figures, plot and table.
///
/// # Errors
/// When a program is missing, a contestant did not do the task in some round, or left something outside. The
/// figures of the others are written before.
pub async fn race(options: &BenchPeersOptions) -> Result<(), StageError> {
    let contestants = contestants(options);
    for contestant in &contestants {
        contestant.program(&options.programs)?;
    }
    let mut results: BTreeMap<Contestant, Results> = BTreeMap::new();
    for round in 1..=options.rounds {
        for contestant in order(&contestants, round) {
            println!("round {round} of {}, {} …", options.rounds, contestant.name());
            let result = results.entry(contestant).or_default();
            match part(options, contestant, round).await {
                Ok(figures) => {
                    println!("  {}", report::line(&figures));
                    result.rounds.push(figures);
                }
                Err(error) => {
                    println!("  FAILED: {error}");
                    result.failures.push(format!("round {round}: {error}"));
                }
            }
        }
    }
    write(options, &results)?;
    judge(&results)
}

fn contestants(options: &BenchPeersOptions) -> Vec<Contestant> {
    let taken = |contestant: &Contestant| options.only.is_empty() || options.only.contains(contestant);
    Contestant::ALL.into_iter().filter(taken).collect()
}

/// The contestants of a round, counted from 1: each round begins with the next one.
fn order(contestants: &[Contestant], round: u32) -> Vec<Contestant> {
    let mut order = contestants.to_vec();
    let first = usize::try_from(round.saturating_sub(1)).unwrap_or_default();
    if !order.is_empty() {
        order.rotate_left(first % contestants.len());
    }
    order
}

async fn part(
    options: &BenchPeersOptions,
    contestant: Contestant,
    round: u32,
) -> Result<Figures, StageError> {
    let name = format!(
        "hostwright-race-{}-{round}-{}",
        std::process::id(),
        contestant.name()
    );
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).map_err(|error| failed("make", &folder, error))?;
    let figures = async { Run::set(options, contestant, &folder).await?.measure().await }.await;
    match figures {
        Ok(figures) => {
            let _ = std::fs::remove_dir_all(&folder);
            Ok(figures)
        }
        // On failure the logs stay for whoever looks for the reason.
        Err(error) => Err(StageError::Other(format!(
            "{error}; logs are in {}",
            folder.display()
        ))),
    }
}

fn write(options: &BenchPeersOptions, results: &BTreeMap<Contestant, Results>) -> Result<(), StageError> {
    let other = |error: serde_json::Error| StageError::Other(error.to_string());
    let mut all = Map::new();
    for (contestant, result) in results {
        let summary = figures::summary(&result.rounds, &result.failures).map_err(other)?;
        all.insert(contestant.name().to_owned(), summary);
    }
    let race = json!({
        "objects": options.objects,
        "rounds": options.rounds,
        "latencyMilliseconds": options.latency,
        "resyncSeconds": options.resync.as_secs_f64(),
        "idleSeconds": options.idle.as_secs_f64(),
        "contestants": all,
    });
    let text = serde_json::to_string_pretty(&race).map_err(other)?;
    save(&options.out, &format!("{text}\n"))?;
    let drawn = plot::draw(&race);
    let plot = options.out.with_extension("svg");
    save(&plot, &drawn)?;
    print!("{}", report::table(&race));
    println!("written to {} and {}", options.out.display(), plot.display());
    if let Some(page) = &options.docs {
        document(page, &race, &drawn)?;
    }
    Ok(())
}

/// Writes the table between the page's marks, and the plot beside the page.
fn document(page: &Path, race: &Value, drawn: &str) -> Result<(), StageError> {
    let before = std::fs::read_to_string(page).map_err(|error| failed("read", page, error))?;
    let after = report::put_into(&before, &report::table(race))
        .ok_or_else(|| StageError::Other(format!("{} lacks the marks of the table", page.display())))?;
    save(page, &after)?;
    let plot: PathBuf = page.with_file_name("peers.svg");
    save(&plot, drawn)?;
    println!("written to {} and {}", page.display(), plot.display());
    Ok(())
}

fn save(path: &Path, text: &str) -> Result<(), StageError> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|error| failed("make", parent, error))?;
    }
    std::fs::write(path, text).map_err(|error| failed("write", path, error))
}

fn failed(what: &str, path: &Path, source: std::io::Error) -> StageError {
    StageError::Io {
        what: format!("cannot {what} {}", path.display()),
        source,
    }
}

fn judge(results: &BTreeMap<Contestant, Results>) -> Result<(), StageError> {
    let mut bad = Vec::new();
    for (contestant, result) in results {
        let name = contestant.name();
        bad.extend(result.failures.iter().map(|failure| format!("{name}, {failure}")));
        let left: usize = result.rounds.iter().map(|round| round.left_over).sum();
        if left > 0 {
            bad.push(format!("{name} left {left} things outside"));
        }
    }
    match bad.is_empty() {
        true => Ok(()),
        false => Err(StageError::Other(bad.join("; "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contestant_is_first_once() {
        let first = |round| order(&Contestant::ALL, round)[0];
        assert_eq!([first(1), first(2), first(3)], Contestant::ALL);
        assert_eq!(first(4), Contestant::Hostwright);
        assert_eq!(order(&[], 1), []);
    }
}
