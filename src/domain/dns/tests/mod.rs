//! The rules by example, and as properties.

mod one;
mod properties;
mod sets;

use super::*;
use crate::domain::Fqdn;

fn zone() -> Fqdn {
    "example.com".parse().unwrap()
}

/// A setting with a proxy and no quota.
fn setting(zone: &Fqdn) -> ZoneSetting<'_> {
    ZoneSetting {
        zone,
        proxy: Some([192, 0, 2, 80].into()),
        quota: None,
    }
}

fn typed<'a>(name: &'a str, kind: RecordKind, content: &'a str) -> TypedRecord<'a> {
    TypedRecord {
        name,
        kind,
        content,
        ttl: 3600,
        priority: None,
    }
}

/// A refusal says which record, which rule and what to do, and fits into a status.
fn judge_refusal(typed: &TypedRecord<'_>, refusal: &RecordRefusal) {
    let said = &refusal.message;
    assert!(said.starts_with(&format!("{} record \"", typed.kind)), "{said}");
    assert!(said.ends_with(&format!("({})", refusal.source())), "{said}");
    assert!(said.chars().count() <= 512, "{}: {said}", said.chars().count());
    assert!(!said.chars().any(char::is_control), "{said}");
    assert!(said.contains(';') || said.contains("write"), "what to do: {said}");
}
