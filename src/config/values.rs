//! Parsers of single values. A refusal names the variable or the flag that the value came from, because the
//! reader of a crash-looping pod's log knows the former and a person at a prompt the latter.

use std::ffi::OsStr;
use std::time::Duration;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;

use super::Shown;
use crate::domain::{ClusterId, DnsLabel};
use crate::runtime::telemetry::{LogFilter, LogFormat};

/// Shortest duration that is taken: anything less is a busy loop.
const DURATION_MIN: Duration = Duration::from_millis(10);
/// Longest duration that is taken: a day without a look at the back-ends is a mistyped unit.
const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Largest concurrency. At some 550 requests a second an API server of two cores serves each of 512 passes
/// about once a second; more would only queue there.
const CONCURRENCY_MAX: u16 = 512;
/// Longest name of an object (RFC 1123 subdomain, as Kubernetes has it).
const OBJECT_NAME_MAX: usize = 253;
/// Characters of a refused value that are shown.
const SHOWN_MAX: usize = 80;

/// Turns text into a value, or says what is wrong with it and how to write it.
#[derive(Clone)]
pub(super) struct Checked<T: Clone>(pub(super) fn(&str) -> Result<T, String>);

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Checked<T> {
    type Value = T;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<T, clap::Error> {
        self.parse_ref_(command, argument, value, ValueSource::CommandLine)
    }

    fn parse_ref_(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
        source: ValueSource,
    ) -> Result<T, clap::Error> {
        let text = value.to_string_lossy();
        (self.0)(&text).map_err(|reason| {
            let shown: String = text.chars().take(SHOWN_MAX).collect();
            let message = format!("{}: \"{shown}\" {reason}\n", origin(argument, source));
            clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}

/// The variable's name for a value from the environment, the flag otherwise.
fn origin(argument: Option<&clap::Arg>, source: ValueSource) -> String {
    let Some(argument) = argument else {
        return "argument".to_owned();
    };
    match (argument.get_env(), argument.get_long()) {
        (Some(variable), _) if source == ValueSource::EnvVariable => variable.to_string_lossy().into_owned(),
        (_, Some(flag)) => format!("--{flag}"),
        _ => argument.get_id().to_string(),
    }
}

/// A duration such as `250ms`, `30s`, `10m`, `2h` or `1h30m`, the forms that Kubernetes itself takes.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let total = parse_duration(text).ok_or("is not a duration; write 30s, 10m or 2h")?;
    if total < DURATION_MIN {
        return Err("is too short; write at least 10ms".to_owned());
    }
    if total > DURATION_MAX {
        return Err("is too long; write at most 24h".to_owned());
    }
    Ok(total)
}

/// A duration of whole seconds, as a Lease holds it.
pub(super) fn whole_seconds(text: &str) -> Result<Duration, String> {
    let total = duration(text)?;
    if total.subsec_nanos() == 0 {
        Ok(total)
    } else {
        Err("is not in whole seconds; write 15s".to_owned())
    }
}

/// On or off.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    text.trim()
        .parse()
        .map_err(|_| "is not true or false; write true".to_owned())
}

/// The name of an object that is no label of DNS, such as a pod or a Lease.
pub(super) fn object_name(text: &str) -> Result<String, String> {
    let text = text.trim();
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let outer = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if (1..=OBJECT_NAME_MAX).contains(&text.len())
        && text.chars().all(inner)
        && text.starts_with(outer)
        && text.ends_with(outer)
    {
        return Ok(text.to_owned());
    }
    Err(format!(
        "is not the name of an object; write 1 to {OBJECT_NAME_MAX} lower-case letters, digits, hyphens and dots, such \
         as hostwright"
    ))
}

/// The name of a site, also with its kind before it as kubectl prints it.
pub(super) fn site_name(text: &str) -> Result<String, String> {
    match shown(text)? {
        Shown::Site(name) => Ok(name),
        Shown::Zone(_) => Err("is not the name of a WordPressSite; write it without a kind".to_owned()),
    }
}

/// A site or a zone: `NAME`, `wordpresssite/NAME` or `dnszone/NAME`, with the short and the plural names too.
pub(super) fn shown(text: &str) -> Result<Shown, String> {
    let text = text.trim();
    let Some((kind, name)) = text.split_once('/') else {
        return object_name(text).map(Shown::Site);
    };
    match kind.to_ascii_lowercase().as_str() {
        "wps" | "wordpresssite" | "wordpresssites" => object_name(name).map(Shown::Site),
        "dz" | "dnszone" | "dnszones" => object_name(name).map(Shown::Zone),
        _ => Err(format!(
            "is of no kind that is shown; write {name} for a WordPressSite, or dnszone/{name}"
        )),
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit_end)?;
        let number: u64 = number.parse().ok()?;
        let part = match unit {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.checked_mul(60)?),
            "h" => Duration::from_secs(number.checked_mul(60 * 60)?),
            _ => return None,
        };
        total = total.checked_add(part)?;
        rest = tail;
    }
    Some(total)
}

/// Passes at the same time.
pub(super) fn concurrency(text: &str) -> Result<u16, String> {
    match text.trim().parse() {
        Ok(number @ 1..=CONCURRENCY_MAX) => Ok(number),
        _ => Err(format!(
            "is not a whole number from 1 to {CONCURRENCY_MAX}; write 32"
        )),
    }
}

/// The name of one namespace.
pub(super) fn namespace(text: &str) -> Result<DnsLabel, String> {
    let text = text.trim();
    // A label folds capitals, but Kubernetes refuses them, so that folding would hide a mistyped name.
    let label: Option<DnsLabel> = text
        .parse()
        .ok()
        .filter(|label: &DnsLabel| label.as_str() == text);
    label.ok_or_else(|| {
        "is not the name of a namespace; write 1 to 63 lower-case letters, digits and hyphens, \
         such as hostwright-system"
            .to_owned()
    })
}

/// The cluster's name towards the back-ends.
pub(super) fn cluster_id(text: &str) -> Result<ClusterId, String> {
    text.trim().parse().map_err(|_| {
        "is not a cluster id; write 1 to 48 lower-case letters, digits and hyphens, such as prod-eu-1"
            .to_owned()
    })
}

/// An address with its port.
pub(super) fn address(text: &str) -> Result<std::net::SocketAddr, String> {
    text.trim()
        .parse()
        .map_err(|_| "is not an address with a port; write 127.0.0.1:8080 or [::]:8080".to_owned())
}

/// How log lines look.
pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    text.trim()
        .parse()
        .map_err(|_| "is not a log format; write text or json".to_owned())
}

/// What is logged.
pub(super) fn log_filter(text: &str) -> Result<LogFilter, String> {
    text.parse()
        .map_err(|_| "is not a log filter; write info, or hostwright=debug,kube=info".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_take_the_forms_of_kubernetes() {
        for (text, milliseconds) in [
            ("10ms", 10),
            ("250ms", 250),
            ("30s", 30_000),
            ("10m", 600_000),
            ("2h", 7_200_000),
            ("1h30m", 5_400_000),
            (" 5s ", 5_000),
            ("24h", 86_400_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn durations_refuse_the_rest() {
        for text in [
            "",
            "abc",
            "10",
            "s",
            "-5s",
            "1.5s",
            "5 s",
            "5d",
            "5s5",
            "99999999999999999999s",
        ] {
            assert_eq!(
                duration(text),
                Err("is not a duration; write 30s, 10m or 2h".to_owned()),
                "{text}"
            );
        }
        for text in ["0s", "9ms"] {
            assert_eq!(
                duration(text),
                Err("is too short; write at least 10ms".to_owned()),
                "{text}"
            );
        }
        for text in ["25h", "86400001ms", "18446744073709551615s"] {
            assert_eq!(
                duration(text),
                Err("is too long; write at most 24h".to_owned()),
                "{text}"
            );
        }
    }
}
