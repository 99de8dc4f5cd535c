//! What an answer of ISPConfig means. Its status is always 200; only `code` and `message` tell, and sometimes neither:
//! two cases answer with a page.
//!
//! Nothing of a message reaches a person as it is: it may hold HTML, keys of a language file or whole SQL statements.

use std::time::Duration;

use serde_json::Value;

use crate::providers::error::{ErrorKind, ProviderError};
use crate::providers::gate::Effect;
use crate::providers::http::Reply;

/// The page that is answered when the serial cannot be changed because the zone or the record cannot be found.
const NO_SERIAL: &str = "Primary ID fehlt!";

/// For how long the panel locks an address out.
const LOCKED: Duration = Duration::from_secs(300);

/// An opened answer.
pub(super) enum Answer {
    /// What the function returned.
    Value(Value),
    /// The session is not valid any more; nothing was done.
    Stale(ProviderError),
    /// The page instead of an answer: the record may have been changed, the serial was not.
    Alert(ProviderError),
}

/// Opens the answer of a function; `serial` when it was asked to change the serial afterwards.
pub(super) fn opened(
    function: &'static str,
    effect: Effect,
    serial: bool,
    reply: &Reply,
) -> Result<Answer, ProviderError> {
    if reply.status != 200 {
        return Err(by_status(function, effect, reply));
    }
    let Ok(Value::Object(mut answer)) = serde_json::from_slice::<Value>(&reply.body) else {
        let text = String::from_utf8_lossy(&reply.body);
        let detail: String = text.chars().take(2000).collect();
        if text.contains(NO_SERIAL) {
            let message =
                format!("{function}: ISPConfig did not find the zone whose serial it had to change");
            return Ok(Answer::Alert(
                ProviderError::new(ErrorKind::Ambiguous, message).with_detail(detail),
            ));
        }
        return Err(strange(function, effect).with_detail(detail));
    };
    let message = answer.get("message").and_then(Value::as_str).unwrap_or_default();
    match answer.get("code").and_then(Value::as_str) {
        Some("ok") => match answer.remove("response") {
            Some(value) => Ok(Answer::Value(value)),
            None => Err(strange(function, effect)),
        },
        Some("remote_fault") => match message {
            "The Session is expired or does not exist." | "Session IP mismatch." => {
                Ok(Answer::Stale(stale(message)))
            }
            _ => Err(refusal(function, effect, serial, message).with_detail(message)),
        },
        Some("invalid_method" | "invalid_class") => Err(ProviderError::new(
            ErrorKind::Unexpected,
            format!("{function}: this ISPConfig does not know the function; version 3.2 or newer is needed"),
        )
        .with_detail(message)),
        _ => Err(strange(function, effect).with_detail(message)),
    }
}

fn by_status(function: &str, effect: Effect, reply: &Reply) -> ProviderError {
    let status = reply.status;
    let (kind, message) = match (status, effect) {
        (429, _) => (
            ErrorKind::Throttled {
                retry_after: reply.retry_after(),
            },
            "the web server before ISPConfig asks for fewer requests".to_owned(),
        ),
        (401 | 403, _) => (
            ErrorKind::Denied,
            format!("the web server before ISPConfig refuses the request with status {status}"),
        ),
        (500..=599, Effect::Read) => (
            ErrorKind::Unavailable,
            format!("ISPConfig failed with status {status}; look at its web server's log"),
        ),
        (500..=599, Effect::Write) => (
            ErrorKind::Ambiguous,
            format!("ISPConfig failed with status {status} and may have stored the change"),
        ),
        _ => (
            ErrorKind::Unexpected,
            format!("status {status} is not an answer of ISPConfig; check the Provider's endpoint"),
        ),
    };
    let body: String = String::from_utf8_lossy(&reply.body).chars().take(2000).collect();
    ProviderError::new(kind, format!("{function}: {message}")).with_detail(body)
}

/// An answer that is none: after a write, anything may have happened.
pub(super) fn strange(function: &str, effect: Effect) -> ProviderError {
    let (kind, message) = match effect {
        Effect::Read => (
            ErrorKind::Unexpected,
            "the answer is not ISPConfig's; check the Provider's endpoint",
        ),
        Effect::Write => (
            ErrorKind::Ambiguous,
            "the answer is not ISPConfig's; the change may have been stored",
        ),
    };
    ProviderError::new(kind, format!("{function}: {message}"))
}

fn stale(message: &str) -> ProviderError {
    let text = "ISPConfig does not accept a session that it has just given; check that all requests reach it from \
                one address";
    ProviderError::new(ErrorKind::Denied, text).with_detail(message)
}

fn refusal(function: &'static str, effect: Effect, serial: bool, message: &str) -> ProviderError {
    let error = |kind, text: &str| ProviderError::new(kind, text);
    if message.contains("failure limit has been reached") {
        let kind = ErrorKind::Throttled {
            retry_after: Some(LOCKED),
        };
        return error(
            kind,
            "ISPConfig has locked our address out after ten failures; it opens again after five minutes",
        );
    }
    if message.starts_with("The login failed") || message.starts_with("The login username is empty") {
        return error(
            ErrorKind::Denied,
            "ISPConfig refuses the log-in; check username and password of the remote user in the Secret",
        );
    }
    if message.starts_with("The login is not allowed from") {
        return error(
            ErrorKind::Denied,
            "ISPConfig allows this remote user no log-in from our address; add the address to the user there",
        );
    }
    if message.starts_with("You do not have the permissions") {
        return no_right(function, serial);
    }
    if message.starts_with("Invalid client_id") || message.starts_with("There is no user account") {
        return error(
            ErrorKind::Invalid,
            "ISPConfig has no such customer; create the client there first",
        );
    }
    if message.contains("origin_error_unique") {
        return error(
            ErrorKind::Conflict,
            "ISPConfig has a zone of this name already, perhaps under another client",
        );
    }
    if is_field_errors(message) {
        return error(
            ErrorKind::Invalid,
            &format!("{function}: ISPConfig refuses {}", field(message)),
        );
    }
    match effect {
        Effect::Read => error(
            ErrorKind::Unexpected,
            &format!("{function}: ISPConfig failed; look at its own log"),
        ),
        Effect::Write => error(
            ErrorKind::Ambiguous,
            &format!("{function}: ISPConfig failed and may have stored the change; look at its own log"),
        ),
    }
}

/// A missing right. Where the serial was to be changed too, the record may be stored already: the panel looks at the
/// rights of that second step only afterwards.
fn no_right(function: &str, serial: bool) -> ProviderError {
    match serial {
        false => ProviderError::new(
            ErrorKind::Denied,
            format!("the remote user lacks the function {function} in ISPConfig; allow it there"),
        ),
        true => ProviderError::new(
            ErrorKind::Ambiguous,
            format!(
                "the remote user lacks the function {function} or one to change the zone's serial; allow the DNS zone \
                 functions and those of the record's type in ISPConfig"
            ),
        ),
    }
}

/// Whether a message is keys of a language file, one a line: what the forms answer to a field that they refuse.
fn is_field_errors(message: &str) -> bool {
    let text = message.replace("<br />", "\n").replace("<br>", "\n");
    let mut keys = text.split_whitespace();
    let is_key = |word: &str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        word.contains('_') && word.chars().all(plain)
    };
    let first = keys.next().is_some_and(is_key);
    first && message.contains("<br") && keys.all(is_key)
}

/// The first refused field in words.
fn field(message: &str) -> &'static str {
    let known = [
        ("origin_error", "the zone's name"),
        ("ns_error", "the name of the primary name server"),
        ("mbox_error", "the mail box of the start of authority"),
        (
            "server_id_error",
            "the number of the server; check serverId of the Provider",
        ),
        ("name_error", "the name for this type of record"),
        (
            "ttl_range_error",
            "the time to live; it takes 60 seconds and more",
        ),
        (
            "_range_error",
            "a time of the start of authority; it takes 60 seconds and more",
        ),
        ("ip_error", "the address"),
        ("data_error", "the content for this type of record"),
        (
            "srv_error",
            "the content of the SRV record; its target may be too long",
        ),
        (
            "invalid_type",
            "the text, because it has a form of its own for such records",
        ),
    ];
    let found = known.iter().find(|(key, _)| message.contains(key));
    found.map_or("a field; its own words are in the debug log", |(_, words)| words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(effect: Effect, serial: bool, body: &str) -> ErrorKind {
        let reply = Reply {
            status: 200,
            reason: None,
            headers: Default::default(),
            body: body.as_bytes().to_vec(),
        };
        match opened("dns_a_add", effect, serial, &reply) {
            Err(error) => {
                assert!(!error.message().contains(['<', '`']), "{error}");
                error.kind()
            }
            Ok(Answer::Stale(error) | Answer::Alert(error)) => error.kind(),
            Ok(Answer::Value(value)) => panic!("{value}"),
        }
    }

    fn fault(effect: Effect, message: &str) -> ErrorKind {
        let body = serde_json::json!({"code": "remote_fault", "message": message, "response": false});
        kind(effect, false, &body.to_string())
    }

    #[test]
    fn messages_become_kinds_and_words() {
        let (read, write) = (Effect::Read, Effect::Write);
        for (message, expected) in [
            ("The login failed. Username or password wrong.", ErrorKind::Denied),
            ("The login is not allowed from 192.0.2.1", ErrorKind::Denied),
            (
                "The Session failure limit has been reached.",
                ErrorKind::Throttled {
                    retry_after: Some(LOCKED),
                },
            ),
            ("The Session is expired or does not exist.", ErrorKind::Denied),
            ("origin_error_unique<br />\r\n", ErrorKind::Conflict),
            ("ttl_range_error<br />\r\n", ErrorKind::Invalid),
            (
                "data_error_empty<br />\r\nip_error_wrong<br />\r\n",
                ErrorKind::Invalid,
            ),
            ("Invalid client_id 999", ErrorKind::Invalid),
            (
                "You do not have the permissions to access this function.",
                ErrorKind::Denied,
            ),
        ] {
            assert_eq!(fault(write, message), expected, "{message}");
        }
        let sql = "You have an error in your SQL syntax near 'AND 1' DELETE FROM `dns_rr` WHERE id =  AND 1";
        assert_eq!(fault(write, sql), ErrorKind::Ambiguous);
        assert_eq!(fault(read, sql), ErrorKind::Unexpected);
    }

    #[test]
    fn what_is_no_answer_is_told_apart() {
        let (read, write) = (Effect::Read, Effect::Write);
        for body in ["", "{}", "[]", "<html>", r#"{"code":"ok"}"#, r#"{"code":1}"#] {
            assert_eq!(kind(read, false, body), ErrorKind::Unexpected, "{body}");
            assert_eq!(kind(write, false, body), ErrorKind::Ambiguous, "{body}");
        }
        let alert = "<div class='alert'><li>Primary ID fehlt!</li></div>";
        assert_eq!(kind(write, true, alert), ErrorKind::Ambiguous);
        let lacking = r#"{"code":"remote_fault","message":"You do not have the permissions to access this function.","response":false}"#;
        assert_eq!(
            kind(write, true, lacking),
            ErrorKind::Ambiguous,
            "the record may be stored"
        );
        assert_eq!(
            kind(
                read,
                false,
                r#"{"code":"invalid_method","message":"x","response":false}"#
            ),
            ErrorKind::Unexpected
        );
    }
}
