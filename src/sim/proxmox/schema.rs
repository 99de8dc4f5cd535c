//! Request schemas: what a release accepts, and the texts with which it refuses the rest.
//!
//! Proxmox refuses keys that its schema does not have, so a key that came with 9.1 breaks a call on 8.4.

use std::collections::BTreeMap;

use super::errors::Refusal;
use super::formats::{self, Format};
use super::options::PveVersion;

/// Text for a key that the schema does not have.
const UNKNOWN: &str = "property is not defined in schema and the schema does not allow additional properties";
/// Text for a required key that is not there.
const MISSING: &str = "property is missing and it is not optional";

/// Lowest number of a guest from 8.0 on.
const VMID_MIN: i64 = 100;
/// Highest number of a guest.
const VMID_MAX: i64 = 999_999_999;

/// Type of a parameter.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Any text up to so many characters.
    Text(usize),
    /// A text within these lengths.
    Length(usize, usize),
    /// A whole number.
    Int(i64, i64),
    /// A number.
    Number(f64, f64),
    /// 0 or 1 and their words.
    Bool,
    /// One of these.
    Choice(&'static [&'static str]),
    /// Number of a guest.
    Vmid,
    /// A text with a format of its own, up to so many characters.
    Formatted(Format, usize),
}

/// One parameter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Param {
    /// Name; `net[n]` stands for `net0`, `net1` …
    pub(super) name: &'static str,
    /// Type.
    pub(super) kind: Kind,
    /// Must be there.
    pub(super) required: bool,
    /// First release that has it.
    pub(super) since: PveVersion,
}

impl Param {
    /// An optional parameter.
    pub(super) const fn may(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            required: false,
            since: PveVersion::V7_4,
        }
    }

    /// A required parameter.
    pub(super) const fn must(name: &'static str, kind: Kind) -> Self {
        Self {
            required: true,
            ..Self::may(name, kind)
        }
    }

    /// It came with this release.
    pub(super) const fn since(self, since: PveVersion) -> Self {
        Self { since, ..self }
    }

    fn is_called(&self, name: &str) -> bool {
        match self.name.strip_suffix("[n]") {
            None => self.name == name,
            Some(stem) => name
                .strip_prefix(stem)
                .is_some_and(|n| !n.is_empty() && n.len() <= 3 && n.chars().all(|c| c.is_ascii_digit())),
        }
    }
}

/// Whether a text is a yes, as Proxmox understands it.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "on" | "yes" | "true" => Some(true),
        "0" | "off" | "no" | "false" => Some(false),
        _ => None,
    }
}

/// Checks the parameters of a call. Path parameters are among `values`.
pub(super) fn verify(
    version: PveVersion,
    groups: &[&[Param]],
    values: &BTreeMap<String, String>,
) -> Result<(), Refusal> {
    let mut errors = BTreeMap::new();
    let known = || groups.iter().copied().flatten().filter(|p| p.since <= version);
    for (name, value) in values {
        let verdict = match known().find(|param| param.is_called(name)) {
            None => Err(UNKNOWN.to_owned()),
            Some(param) => check(version, name, param.kind, value),
        };
        if let Err(text) = verdict {
            errors.insert(name.clone(), text);
        }
    }
    for param in known().filter(|param| param.required) {
        if !values.contains_key(param.name) {
            errors.insert(param.name.to_owned(), MISSING.to_owned());
        }
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Refusal::Parameters(errors))
    }
}

fn check(version: PveVersion, name: &str, kind: Kind, value: &str) -> Result<(), String> {
    match kind {
        Kind::Text(max) => length(value, 0, max),
        Kind::Length(min, max) => length(value, min, max),
        Kind::Bool => match boolean(value) {
            Some(_) => Ok(()),
            None => Err(wrong_type("boolean", value)),
        },
        Kind::Int(min, max) => integer(value, min, max),
        Kind::Number(min, max) => number(value, min, max),
        Kind::Choice(choices) if choices.contains(&value) => Ok(()),
        Kind::Choice(choices) => Err(format!(
            "value '{value}' does not have a value in the enumeration '{}'",
            choices.join(", ")
        )),
        Kind::Vmid => {
            let shaped = !value.is_empty() && value.len() <= 9 && !value.starts_with('0');
            if value.parse::<i64>().is_err() {
                return Err(wrong_type("integer", value));
            }
            if !shaped || (value.len() < 3 && version >= PveVersion::V8_0) {
                return Err("invalid format - value does not look like a valid VM ID\n".to_owned());
            }
            let min = if version < PveVersion::V8_0 { 1 } else { VMID_MIN };
            integer(value, min, VMID_MAX)
        }
        Kind::Formatted(format, max) => {
            formats::check(format, name, value).map_err(|text| format!("invalid format - {text}\n"))?;
            length(value, 0, max)
        }
    }
}

fn wrong_type(kind: &str, value: &str) -> String {
    format!("type check ('{kind}') failed - got '{value}'")
}

fn length(value: &str, min: usize, max: usize) -> Result<(), String> {
    let count = value.chars().count();
    if count > max {
        return Err(format!("value may only be {max} characters long"));
    }
    if count < min {
        return Err(format!("value must be at least {min} characters long"));
    }
    Ok(())
}

fn integer(value: &str, min: i64, max: i64) -> Result<(), String> {
    let Ok(number) = value.parse::<i64>() else {
        return Err(wrong_type("integer", value));
    };
    if number > max {
        return Err(format!("value must have a maximum value of {max}"));
    }
    if number < min {
        return Err(format!("value must have a minimum value of {min}"));
    }
    Ok(())
}

fn number(value: &str, min: f64, max: f64) -> Result<(), String> {
    let plain = value
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, '.' | '-'));
    let Some(number) = value.parse::<f64>().ok().filter(|_| plain) else {
        return Err(wrong_type("number", value));
    };
    if number > max {
        return Err(format!("value must have a maximum value of {max}"));
    }
    if number < min {
        return Err(format!("value must have a minimum value of {min}"));
    }
    Ok(())
}
