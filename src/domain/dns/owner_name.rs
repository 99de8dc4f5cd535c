//! The name of a record, as a user types it.

use super::super::name::{Fqdn, LABEL_MAX, NAME_MAX};
use super::data::RecordKind;
use super::name::RecordName;
use super::refusal::RecordRule;
use super::zone_name::{a_label, plain_dots};

/// Characters of the name of an A or AAAA record below the zone: the width of ISPConfig's rule for these two.
pub(super) const ADDRESS_NAME_MAX: usize = 64;

/// What is wrong, before the record is named: the rule and a sentence.
pub(super) type Complaint = (RecordRule, String);

/// One label of a record's name: an asterisk, ASCII with underscores, or a label of a host name.
fn label(text: &str) -> Option<String> {
    if text == "*" {
        return Some(text.to_owned());
    }
    if text.contains('_') {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let edges = text.starts_with('-') || text.ends_with('-');
        return (!edges && text.chars().all(plain)).then(|| text.to_ascii_lowercase());
    }
    a_label(text)
}

/// The whole name of a record of this zone, whatever its type: `@` or nothing is the zone itself; a final dot makes
/// a name absolute, and so does the zone's name at its end; all other names stand below the zone.
pub(super) fn owner_name(zone: &Fqdn, typed: &str) -> Result<RecordName, Complaint> {
    if typed.is_empty() || typed == "@" {
        return Ok(RecordName::from(zone));
    }
    let text = plain_dots(typed);
    let (text, absolute) = match text.strip_suffix('.') {
        Some(rest) => (rest, true),
        None => (text.as_ref(), false),
    };
    let mut labels = Vec::new();
    for (at, part) in text.split('.').enumerate() {
        if part.contains('*') && (at > 0 || part != "*") {
            let what =
                "an asterisk is allowed only alone, as the first label; write *.example or no asterisk";
            return Err((RecordRule::WildcardPlace, what.to_owned()));
        }
        labels.push(label(part).ok_or_else(|| {
            let what = "labels have letters, digits, underscores and inner hyphens, with single dots between them; correct the name, or write @ for the zone itself";
            (RecordRule::NameInvalid, what.to_owned())
        })?);
    }
    let mut whole = labels.join(".");
    let below = whole
        .strip_suffix(zone.as_str())
        .is_some_and(|head| head.is_empty() || head.ends_with('.'));
    if absolute && !below {
        let what = format!(
            "the final dot makes it a name outside of {zone}; leave the dot out, or list the record in its own zone"
        );
        return Err((RecordRule::NameOutsideZone, what));
    }
    if !below {
        whole = format!("{whole}.{zone}");
    }
    if whole.len() > NAME_MAX || labels.iter().any(|label| label.len() > LABEL_MAX) {
        let what = "a label has at most 63 characters and a name with its zone at most 253, after Unicode letters became A-labels; use a shorter name";
        return Err((RecordRule::NameTooLong, what.to_owned()));
    }
    whole.parse().map_err(|_| {
        let what = "it is not a name of a record; use letters, digits, underscores and inner hyphens";
        (RecordRule::NameInvalid, what.to_owned())
    })
}

/// What the type asks of the name.
pub(super) fn fits_type(zone: &Fqdn, name: &RecordName, kind: RecordKind) -> Result<(), Complaint> {
    let refuse = |rule, what: &str| Err((rule, what.to_owned()));
    let underscores = matches!(kind, RecordKind::Txt | RecordKind::Srv | RecordKind::Cname);
    if name.has_underscore() && !underscores {
        return refuse(
            RecordRule::NameUnderscore,
            "names with underscores belong to TXT, SRV and CNAME records; use a host name without underscore",
        );
    }
    let relative = name.relative_to(zone).unwrap_or_default();
    match kind {
        RecordKind::Ns if name.is_apex(zone) => refuse(
            RecordRule::ApexNameServer,
            "the zone's own name servers are the Provider's; remove this record",
        ),
        RecordKind::Ns if name.is_wildcard() => refuse(
            RecordRule::WildcardNameServer,
            "a wildcard cannot be given to other name servers; write one NS record per name",
        ),
        RecordKind::Cname if name.is_apex(zone) => refuse(
            RecordRule::ApexAlias,
            "the zone's own name always has other data and cannot be an alias; write A and AAAA records, or PROXYSRV in an A record",
        ),
        RecordKind::A | RecordKind::Aaaa if relative.len() > ADDRESS_NAME_MAX => refuse(
            RecordRule::AddressNameTooLong,
            "names with addresses have at most 64 characters below the zone; use a shorter name, or a CNAME record",
        ),
        RecordKind::Srv if !is_service(relative) => refuse(
            RecordRule::ServiceName,
            "the name of an SRV record begins with service and protocol, such as _sip._tcp; add them",
        ),
        _ => Ok(()),
    }
}

/// `_service._protocol`, perhaps with labels behind it.
fn is_service(relative: &str) -> bool {
    let mut labels = relative.split('.');
    let mut underscored = || {
        labels
            .next()
            .and_then(|label| label.strip_prefix('_'))
            .is_some_and(|rest| !rest.is_empty())
    };
    underscored() && underscored()
}
