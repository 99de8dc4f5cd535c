//! Several changes in one transaction: deletes, patches, puts, posts, in this order; the first error undoes
//! everything and is the only one that is told.

use serde_json::{Map, Value, json};

use super::records::Change;
use super::reply::{Refusal, Reply};
use super::routes::{Asked, Writable};
use super::state::State;

/// The lists in the order in which they are executed.
const LISTS: [&str; 4] = ["deletes", "patches", "puts", "posts"];

pub(super) fn run(state: &mut State, zone: Writable, asked: &Asked) -> Result<Reply, Refusal> {
    let body = asked.object()?;
    if let Some(key) = body.keys().find(|key| !LISTS.contains(&key.as_str())) {
        return Err(Refusal::body(format!("unknown field {key}")));
    }
    let lists = LISTS.map(|list| body.get(list).and_then(Value::as_array));
    let (size, limit) = (
        lists.iter().flatten().map(|list| list.len()).sum::<usize>(),
        state.plan().batch(),
    );
    if size == 0 || size > limit {
        return Err(Refusal::body(format!(
            "a batch has 1 to {limit} changes, this one has {size}"
        )));
    }
    let mut made: Vec<Change> = Vec::new();
    let mut result = Map::new();
    for (name, list) in LISTS.into_iter().zip(lists) {
        let mut shown = Vec::new();
        for item in list.into_iter().flatten() {
            match step(state, &zone.0, name, item) {
                Ok(change) => {
                    shown.push(change.now());
                    made.push(change);
                }
                Err(refusal) => {
                    undo(state, &zone.0, made);
                    return Err(refusal);
                }
            }
        }
        // A list that was not asked for comes back as null.
        result.insert(name.to_owned(), list.map(|_| json!(shown)).unwrap_or_default());
    }
    Ok(Reply::ok(Value::Object(result)))
}

fn undo(state: &mut State, zone: &str, made: Vec<Change>) {
    if let Some(zone) = state.zone_mut(zone) {
        for change in made.into_iter().rev() {
            change.undo(zone);
        }
    }
}

fn step(state: &mut State, zone: &str, list: &str, item: &Value) -> Result<Change, Refusal> {
    let mut body = item
        .as_object()
        .cloned()
        .ok_or_else(|| Refusal::body("Request body is invalid."))?;
    if list == "posts" {
        return Change::post(state, zone, &body);
    }
    let id = match body.remove("id") {
        Some(Value::String(id)) => id,
        _ => return Err(Refusal::body("id is missing")),
    };
    match list {
        "deletes" => Change::delete(state, zone, &id),
        "patches" => Change::patch(state, zone, &id, &body),
        _ => Change::put(state, zone, &id, &body),
    }
}
