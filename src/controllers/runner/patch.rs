//! Merge patches that carry only what changed.

use serde_json::{Map, Value};

/// The JSON merge patch (RFC 7396) from `old` to `new`; `None` when they are equal.
///
/// Keys that vanished are set to null, lists are replaced as a whole.
pub fn merge_patch(old: &Value, new: &Value) -> Option<Value> {
    if old == new {
        return None;
    }
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        return Some(new.clone());
    };
    let mut patch = Map::new();
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in new {
        match old.get(key) {
            Some(before) => {
                if let Some(change) = merge_patch(before, value) {
                    patch.insert(key.clone(), change);
                }
            }
            None => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    Some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_changes_are_sent() {
        let old = json!({"a": 1, "b": {"c": 1, "d": 2}, "e": [1]});
        assert_eq!(merge_patch(&old, &old), None);
        let new = json!({"b": {"c": 1, "d": 3}, "e": [1, 2]});
        assert_eq!(
            merge_patch(&old, &new),
            Some(json!({"a": null, "b": {"d": 3}, "e": [1, 2]}))
        );
    }
}
