//! Sweeps on the real API server: what is changed by hand outside is found and put right, what cannot be read leads to
//! nothing, and what was left behind is counted.

mod faults;
mod orphans;
mod sites;
mod zones;

use std::time::Instant;

use serde_json::json;

use crate::world::{Operator, World, eventually, sum_of};

/// The kinds of objects whose passes are counted.
const KINDS: [&str; 2] = ["WordPressSite", "DnsZone"];

/// Has the Providers swept every second.
async fn sweep_often(world: &World) {
    for name in ["pve", "npm", "cloudflare", "ispconfig"] {
        world
            .patch_provider(name, json!({"spec": {"sweepInterval": "1s"}}))
            .await;
    }
}

/// Sweeps of a Provider so far.
fn sweeps(operator: &Operator, world: &World, provider: &str) -> u64 {
    let label = format!("provider=\"{}\"", world.provider(provider));
    sum_of(&operator.metrics, "hostwright_sweeps_total", &[&label])
}

/// Waits for so many sweeps that begin from now on.
async fn sweep(operator: &Operator, world: &World, provider: &str, times: u64) {
    // One may be under way.
    let wanted = sweeps(operator, world, provider) + times + 1;
    eventually(&format!("{times} sweeps of {provider}"), || async {
        let seen = sweeps(operator, world, provider);
        if seen >= wanted {
            Ok(())
        } else {
            Err(format!("{seen}"))
        }
    })
    .await;
}

/// Passes of customers' objects so far.
fn passes(operator: &Operator) -> u64 {
    let of = |kind: &str| {
        let label = format!("kind=\"{kind}\"");
        sum_of(&operator.metrics, "hostwright_passes_total", &[&label])
    };
    KINDS.into_iter().map(of).sum()
}

/// Writes to the API server about customers' objects so far, events included. Providers do not count: the operator sees
/// those of other tests too, which come and go.
fn writes(operator: &Operator) -> u64 {
    let of = |kind: &str| {
        let label = format!("kind=\"{kind}\"");
        sum_of(&operator.metrics, "hostwright_api_writes_total", &[&label])
    };
    KINDS.into_iter().map(of).sum()
}

/// Calls of all back-ends that are no reads. The panel's are all the same verb and are told apart by the metrics.
fn changes(world: &World) -> u64 {
    let faults = world.backends.faults();
    let all = faults.iter().filter(|(name, _)| *name != "ispconfig");
    let calls = all.flat_map(|(_, faults)| faults.calls());
    let writing = calls.filter(|(call, _)| !call.starts_with("GET") && !call.contains("/tokens"));
    writing.map(|(_, count)| count).sum()
}

/// Waits until a sweep finds nothing new, and makes sure that several more change nothing: neither a pass nor a write.
async fn assert_calm(operator: &Operator, world: &World, providers: &[&str]) {
    let counts = || (passes(operator), writes(operator), changes(world));
    eventually("sweeps find nothing new", || async {
        let before = counts();
        for provider in providers {
            sweep(operator, world, provider, 1).await;
        }
        if before == counts() {
            Ok(())
        } else {
            Err(format!("{before:?} then {:?}", counts()))
        }
    })
    .await;
    let before = counts();
    for provider in providers {
        sweep(operator, world, provider, 2).await;
    }
    assert_eq!(before, counts(), "passes or writes grow although nothing changes");
}

/// Notes of the repairs that were told of an object.
async fn repairs(world: &World, name: &str) -> Vec<String> {
    let events = world.events(name).await;
    let repaired = events
        .iter()
        .filter_map(|event| event.strip_prefix("DriftRepaired: "));
    repaired.map(str::to_owned).collect()
}

/// Does something by hand to what an object holds, and waits until it is put right and told. At most `others` passes
/// may happen: less than there are objects.
async fn is_repaired(
    world: &World,
    operator: &Operator,
    object: &str,
    others: u64,
    by_hand: impl FnOnce(),
    is_right: impl Fn() -> bool,
) {
    let before = passes(operator);
    let begun = Instant::now();
    by_hand();
    assert!(!is_right(), "{object}: nothing was broken");
    eventually(&format!("{object} is put right"), || async {
        if is_right() {
            Ok(())
        } else {
            Err(format!("{} passes", passes(operator) - before))
        }
    })
    .await;
    let took = begun.elapsed();
    let notes = eventually(&format!("{object}: the repair is told"), || async {
        let notes = repairs(world, object).await;
        if notes.is_empty() {
            Err(String::new())
        } else {
            Ok(notes)
        }
    })
    .await;
    let done = passes(operator) - before;
    println!(
        "drift: {object} right after {:.1} s and {done} passes: {notes:?}",
        took.as_secs_f64()
    );
    assert!(done < others, "{object}: {done} passes");
}
