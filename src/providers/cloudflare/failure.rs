//! From Cloudflare's error codes to our kinds. Texts are never looked at: they change without notice.

use serde::de::{DeserializeOwned, IgnoredAny};

use super::wire::{Envelope, Message};
use crate::providers::error::{ErrorKind, ProviderError};
use crate::providers::gate::Effect;
use crate::providers::http::Reply;

/// The record exists already, in whatever form: A, AAAA or CNAME with that host, CNAME with that host, the
/// record, an identical record.
const EXISTS: [u64; 4] = [81053, 81054, 81057, 81058];
/// The zone's quota of records is used up.
const QUOTA: u64 = 81045;
/// The record does not exist.
const NO_RECORD: u64 = 81044;
/// Missing rights, unknown, expired or malformed tokens. 6003 (invalid request headers) belongs here only
/// together with what its chain says: 6103 and 6111 are malformed credentials.
const DENIED: [u64; 9] = [1000, 6103, 6111, 9103, 9106, 9107, 9109, 10000, 10001];
/// Missing rights, or no such zone for this token; and for a while every zone that was just made.
const NOT_AUTHORIZED: u64 = 10000;
/// Rate limited, today and formerly.
const THROTTLED: [u64; 2] = [10429, 10300];
/// The path names nothing, mostly because of a malformed id. Not a proof of absence.
const NO_ROUTE: [u64; 2] = [7000, 7003];
/// A zone of that name exists, here or in another account.
const ZONE_EXISTS: u64 = 1061;
/// The account's zones are used up: too many that were never delegated, or the plan's limit.
const ZONE_LIMIT: u64 = 1118;
/// The zone of this id does not exist.
const NO_ZONE: u64 = 1001;
/// How deep a chain of causes is followed; two levels have been seen.
const CHAIN_DEPTH: u32 = 8;

/// A failed call, with the codes that the vendor gave for it.
#[derive(Debug)]
pub(super) struct Failure {
    /// For the caller of the trait.
    pub error: ProviderError,
    /// All codes, those of the chains too.
    pub codes: Vec<u64>,
}

impl Failure {
    /// Another record, or the same one, is there already.
    pub fn exists(&self) -> bool {
        self.codes.iter().any(|code| EXISTS.contains(code))
    }

    /// The path that ended in a zone's well-formed id leads nowhere: there is no such zone.
    pub fn no_such_zone(&self) -> bool {
        let unknown = |code: &u64| *code == NO_ZONE || NO_ROUTE.contains(code);
        self.codes.iter().any(unknown) && self.error.kind() == ErrorKind::Invalid
    }

    /// No more records fit into the zone.
    pub fn quota(&self) -> bool {
        self.codes.contains(&QUOTA)
    }

    /// Cloudflare has looked at this request and refused it as it is: nothing happened, and another request
    /// may well succeed.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self.error.kind(),
            ErrorKind::NotFound | ErrorKind::Conflict | ErrorKind::Invalid
        )
    }

    /// The right may be one that has not spread yet, if the zone was made just now.
    pub fn softened(self) -> Self {
        if self.error.kind() != ErrorKind::Denied || !self.codes.contains(&NOT_AUTHORIZED) {
            return self;
        }
        let message = "Cloudflare does not know its new zone everywhere yet; it is tried again";
        let error = ProviderError::new(ErrorKind::Unavailable, message);
        Self {
            error: match self.error.detail() {
                Some(detail) => error.with_detail(detail),
                None => error,
            },
            codes: self.codes,
        }
    }

    /// No other call has a chance for now.
    pub fn is_general(&self) -> bool {
        let unauthorized = self.codes.contains(&NOT_AUTHORIZED);
        unauthorized || matches!(self.error.kind(), ErrorKind::Denied | ErrorKind::Throttled { .. })
    }
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        Self {
            error,
            codes: Vec::new(),
        }
    }
}

impl From<Failure> for ProviderError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

/// Turns an answer into its envelope, or into what went wrong; `codes` receives what the vendor named.
pub(super) fn classify<T: DeserializeOwned>(
    call: &'static str,
    effect: Effect,
    reply: &Reply,
    codes: &mut Vec<u64>,
) -> Result<Envelope<T>, ProviderError> {
    if reply.is_success()
        && let Ok(envelope) = serde_json::from_slice::<Envelope<T>>(&reply.body)
        && envelope.success
    {
        return Ok(envelope);
    }
    let refusal = serde_json::from_slice::<Envelope<IgnoredAny>>(&reply.body).ok();
    let errors = match &refusal {
        // Success, but not with the result that this call has: a change of their interface.
        Some(envelope) if envelope.success => return Err(confused(call, effect, reply)),
        Some(envelope) => envelope.errors.as_slice(),
        None => &[],
    };
    collect(errors, CHAIN_DEPTH, codes);
    let (kind, message) = match kind_of(reply, codes) {
        Some(found) => found,
        None if reply.status >= 500 => (
            lost(effect),
            "Cloudflare has a failure of its own; it is tried again",
        ),
        // An envelope with an error of which we know nothing, under a status that says whose fault it is.
        None if refusal.is_some() && (400..500).contains(&reply.status) && reply.status != 404 => {
            (ErrorKind::Invalid, "Cloudflare refuses the request")
        }
        None => return Err(confused(call, effect, reply)),
    };
    Err(ProviderError::new(kind, describe(call, message, codes)).with_detail(detail(reply, errors)))
}

/// What the codes mean, and where there are none, what the status alone proves.
fn kind_of(reply: &Reply, codes: &[u64]) -> Option<(ErrorKind, &'static str)> {
    let has = |known: &[u64]| codes.iter().any(|code| known.contains(code));
    let throttled = ErrorKind::Throttled {
        retry_after: reply.retry_after(),
    };
    if reply.status == 429 || has(&THROTTLED) {
        return Some((
            throttled,
            "Cloudflare's rate limit is reached; it goes on by itself",
        ));
    }
    // Whatever else a failing server says is not to be relied upon.
    if reply.status >= 500 {
        return None;
    }
    if has(&[NO_RECORD]) {
        return Some((ErrorKind::NotFound, "the record does not exist"));
    }
    if has(&EXISTS) {
        return Some((ErrorKind::Conflict, "another record with that name is in the way"));
    }
    if has(&[QUOTA]) {
        let message = "the zone's quota of records is used up; delete records there or take a larger plan";
        return Some((ErrorKind::Conflict, message));
    }
    if has(&[ZONE_EXISTS]) {
        return Some((ErrorKind::Conflict, "a zone with that name exists already"));
    }
    if has(&[ZONE_LIMIT]) {
        let message = "the account takes no more zones for now; have those that are pending delegated, or delete \
                       them";
        return Some((ErrorKind::Invalid, message));
    }
    if has(&DENIED) {
        let message = "the API token is not valid, or lacks a right for this zone (Zone:Read, DNS:Edit)";
        return Some((ErrorKind::Denied, message));
    }
    if has(&NO_ROUTE) {
        return Some((
            ErrorKind::Invalid,
            "Cloudflare knows no such address; check the zone id",
        ));
    }
    if matches!(reply.status, 401 | 403) {
        let message = "Cloudflare refuses the API token; check it in the Provider's Secret";
        return Some((ErrorKind::Denied, message));
    }
    None
}

fn collect(errors: &[Message], depth: u32, codes: &mut Vec<u64>) {
    if depth == 0 {
        return;
    }
    for error in errors {
        codes.extend(error.code);
        collect(&error.error_chain, depth - 1, codes);
    }
}

/// An answer that says nothing: harmless for a read, unknown for a write.
fn lost(effect: Effect) -> ErrorKind {
    match effect {
        Effect::Read => ErrorKind::Unavailable,
        Effect::Write => ErrorKind::Ambiguous,
    }
}

fn confused(call: &'static str, effect: Effect, reply: &Reply) -> ProviderError {
    let kind = match effect {
        Effect::Read => ErrorKind::Unexpected,
        Effect::Write => ErrorKind::Ambiguous,
    };
    let message = format!(
        "{call}: the answer (status {}) is not one of Cloudflare's",
        reply.status
    );
    ProviderError::new(kind, message).with_detail(raw(reply))
}

fn describe(call: &'static str, message: &str, codes: &[u64]) -> String {
    if codes.is_empty() {
        return format!("{call}: {message}");
    }
    let codes: Vec<String> = codes.iter().map(u64::to_string).collect();
    format!("{call}: {message} (code {})", codes.join(", "))
}

fn detail(reply: &Reply, errors: &[Message]) -> String {
    let texts: Vec<&str> = errors
        .iter()
        .filter_map(|error| error.message.as_deref())
        .collect();
    format!("status {}: {} | {}", reply.status, texts.join("; "), raw(reply))
}

/// The beginning of the body, for debug logs.
fn raw(reply: &Reply) -> String {
    const SHOWN: usize = 500;
    String::from_utf8_lossy(&reply.body).chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply {
            status,
            reason: None,
            headers: Default::default(),
            body: body.as_bytes().to_vec(),
        }
    }

    fn kind(status: u16, body: &str, effect: Effect) -> ErrorKind {
        let mut codes = Vec::new();
        let result = classify::<Vec<u8>>("test", effect, &reply(status, body), &mut codes);
        result.unwrap_err().kind()
    }

    fn coded(codes: &[u64]) -> String {
        let mut inner = String::from("[]");
        for code in codes.iter().rev() {
            inner = format!(r#"[{{"code":{code},"message":"free text","error_chain":{inner}}}]"#);
        }
        format!(r#"{{"success":false,"errors":{inner},"messages":[],"result":null}}"#)
    }

    #[test]
    fn codes_decide_wherever_they_stand() {
        let throttled = ErrorKind::Throttled { retry_after: None };
        for (status, codes, expected) in [
            (404, vec![81044], ErrorKind::NotFound),
            (400, vec![81053], ErrorKind::Conflict),
            (400, vec![1004, 81058], ErrorKind::Conflict),
            (400, vec![81045], ErrorKind::Conflict),
            (400, vec![1061], ErrorKind::Conflict),
            (400, vec![1004, 9300], ErrorKind::Invalid),
            (400, vec![6003, 6111], ErrorKind::Denied),
            (400, vec![6003], ErrorKind::Invalid),
            (403, vec![10000], ErrorKind::Denied),
            (403, vec![9109], ErrorKind::Denied),
            (404, vec![7003], ErrorKind::Invalid),
            (400, vec![7003, 7000], ErrorKind::Invalid),
            (429, vec![10429], throttled),
            (400, vec![10300], throttled),
        ] {
            assert_eq!(
                kind(status, &coded(&codes), Effect::Write),
                expected,
                "{status} {codes:?}"
            );
        }
    }

    #[test]
    fn silence_and_confusion_depend_on_the_effect() {
        for (status, body, read, write) in [
            (500, coded(&[1004]), ErrorKind::Unavailable, ErrorKind::Ambiguous),
            (502, "<html>".into(), ErrorKind::Unavailable, ErrorKind::Ambiguous),
            (200, "<html>".into(), ErrorKind::Unexpected, ErrorKind::Ambiguous),
            (
                200,
                "{\"success\":true,\"result\":{}}".into(),
                ErrorKind::Unexpected,
                ErrorKind::Ambiguous,
            ),
            (302, String::new(), ErrorKind::Unexpected, ErrorKind::Ambiguous),
            (404, coded(&[4711]), ErrorKind::Unexpected, ErrorKind::Ambiguous),
        ] {
            assert_eq!(kind(status, &body, Effect::Read), read, "{status} {body}");
            assert_eq!(kind(status, &body, Effect::Write), write, "{status} {body}");
        }
        assert_eq!(kind(401, "", Effect::Write), ErrorKind::Denied);
    }

    #[test]
    fn the_vendors_words_stay_private() {
        let mut codes = Vec::new();
        let error = classify::<Vec<u8>>("t", Effect::Read, &reply(400, &coded(&[1004, 9005])), &mut codes)
            .unwrap_err();
        assert!(!error.message().contains("free text"));
        assert!(error.message().contains("1004, 9005"));
        assert!(error.detail().unwrap().contains("free text"));
    }
}
