//! From a request to an answer: rate limit, token, rights, address.

use std::time::Instant;

use axum::http::header;
use axum::http::request::Parts;
use serde_json::{Map, Value, json};

use super::reply::{Refusal, Reply};
use super::state::{State, Zone};
use super::{BASE_PATH, TokenScope, batch, records, zones};

/// Digits of every id.
const ID_LENGTH: usize = 32;

/// One request.
pub(super) struct Asked {
    pub method: String,
    /// Below [`BASE_PATH`]; the whole path if it lies elsewhere.
    pub path: String,
    pub query: Vec<(String, String)>,
    authorization: Option<String>,
    pub body: Option<Value>,
}

impl Asked {
    pub fn new(parts: &Parts, body: &[u8]) -> Self {
        let path = parts.uri.path();
        let query = parts.uri.query().unwrap_or_default();
        // Only the query is looked at; the host is there to make it an address.
        let address = reqwest::Url::parse(&format!("http://sim/?{query}")).ok();
        let pairs = |url: &reqwest::Url| {
            let pairs = url.query_pairs();
            pairs
                .map(|(key, value)| (key.into_owned(), value.into_owned()))
                .collect()
        };
        Self {
            method: parts.method.as_str().to_owned(),
            path: path.strip_prefix(BASE_PATH).unwrap_or(path).to_owned(),
            query: address.as_ref().map(pairs).unwrap_or_default(),
            authorization: parts
                .headers
                .get(header::AUTHORIZATION)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned),
            body: serde_json::from_slice(body).ok(),
        }
    }

    /// Value of a query parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name)?;
        Some(&found.1)
    }

    /// A number of the query within bounds.
    ///
    /// # Errors
    /// When it is none, or outside.
    pub fn number(&self, name: &str, default: usize, least: usize) -> Result<usize, Refusal> {
        match self.parameter(name) {
            None => Ok(default),
            Some(text) => match text.parse() {
                Ok(number) if number >= least => Ok(number),
                _ => Err(Refusal::body(format!(
                    "{name} is not a number of at least {least}"
                ))),
            },
        }
    }

    /// The body as an object.
    ///
    /// # Errors
    /// When it is something else.
    pub fn object(&self) -> Result<&Map<String, Value>, Refusal> {
        let object = self.body.as_ref().and_then(Value::as_object);
        object.ok_or_else(|| Refusal::body("Request body is invalid."))
    }
}

/// Answers one request.
pub(super) fn answer(state: &mut State, asked: &Asked) -> Reply {
    let admission = state
        .window
        .as_mut()
        .map(|window| (window.admit(Instant::now()), window.limit()));
    let mut reply = match admission {
        Some((admission, _)) if !admission.allowed => {
            let mut reply = Refusal::new(429, 10429, "You have been rate limited.").reply();
            reply.headers.push(("retry-after", admission.seconds.to_string()));
            reply
        }
        _ => authorized(state, asked).unwrap_or_else(|refusal| refusal.reply()),
    };
    if let Some((admission, limit)) = admission {
        let now = format!("\"default\";r={};t={}", admission.left, admission.seconds);
        let policy = format!(
            "\"default\";q={};w={}",
            limit.requests,
            limit.window.as_secs().max(1)
        );
        reply.headers.push(("ratelimit", now));
        reply.headers.push(("ratelimit-policy", policy));
    }
    reply
}

fn authorized(state: &mut State, asked: &Asked) -> Result<Reply, Refusal> {
    let header = asked.authorization.as_deref();
    let header = header.ok_or_else(|| {
        Refusal::new(
            400,
            9106,
            "Missing X-Auth-Key, X-Auth-Email or Authorization headers",
        )
    })?;
    let token = header.strip_prefix("Bearer ").ok_or_else(Refusal::header)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if token.is_empty() || !token.chars().all(plain) {
        return Err(Refusal::header());
    }
    let known = token == state.options.token;
    if asked.path == "/user/tokens/verify" {
        return if known {
            verify(state)
        } else {
            Err(Refusal::new(401, 1000, "Invalid API Token"))
        };
    }
    if !known || state.token_status != "active" {
        return Err(Refusal::new(403, 9109, "Invalid access token"));
    }
    dispatch(state, asked)
}

/// A code in `messages` is not an error.
fn verify(state: &State) -> Result<Reply, Refusal> {
    let message = format!("This API Token is valid and {}", state.token_status);
    Ok(Reply::of(json!({
        "result": {"id": "70ce0000000000000000000000000000", "status": state.token_status},
        "success": true,
        "errors": [],
        "messages": [{"code": 10000, "message": message, "type": null}],
    })))
}

fn dispatch(state: &mut State, asked: &Asked) -> Result<Reply, Refusal> {
    let parts: Vec<&str> = asked.path.trim_start_matches('/').split('/').collect();
    let method = asked.method.as_str();
    if let ["zones", id, ..] = parts.as_slice()
        && !is_id(id)
    {
        return Err(Refusal::route(&asked.path));
    }
    if let ["zones", _, "dns_records", id] = parts.as_slice()
        && *id != "batch"
        && !is_id(id)
    {
        return Err(Refusal::route(&asked.path));
    }
    match (method, parts.as_slice()) {
        ("GET", ["accounts"]) => zones::accounts(state, asked),
        ("GET", ["zones"]) => zones::list(state, asked),
        ("POST", ["zones"]) => zones::create(state, asked),
        ("GET", ["zones", zone]) => zones::get(state, zone),
        ("PATCH", ["zones", zone]) => zones::edit(state, zone, asked),
        ("DELETE", ["zones", zone]) => zones::delete(state, zone),
        ("PUT", ["zones", zone, "activation_check"]) => zones::activation_check(state, zone),
        ("GET", ["zones", zone, "dns_records"]) => records::list(readable(state, zone)?, asked),
        ("POST", ["zones", zone, "dns_records"]) => records::create(state, writable(state, zone)?, asked),
        ("POST", ["zones", zone, "dns_records", "batch"]) => batch::run(state, writable(state, zone)?, asked),
        ("GET", ["zones", zone, "dns_records", id]) => records::get(readable(state, zone)?, id),
        ("PUT", ["zones", zone, "dns_records", id]) => {
            records::overwrite(state, writable(state, zone)?, id, asked)
        }
        ("PATCH", ["zones", zone, "dns_records", id]) => {
            records::edit(state, writable(state, zone)?, id, asked)
        }
        ("DELETE", ["zones", zone, "dns_records", id]) => records::delete(state, writable(state, zone)?, id),
        _ => Err(Refusal::route(&asked.path)),
    }
}

fn is_id(text: &str) -> bool {
    text.len() == ID_LENGTH && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// Whether the token reaches a zone at all.
pub(super) fn in_scope(state: &State, zone: &Zone) -> bool {
    match &state.options.token_scope {
        TokenScope::Account => true,
        TokenScope::Zone(name) => *name == zone.name,
    }
}

fn readable<'a>(state: &'a State, id: &str) -> Result<&'a Zone, Refusal> {
    let zone = state.zone(id).filter(|zone| in_scope(state, zone));
    let allowed = state.rights.dns_read || state.rights.dns_edit;
    zone.filter(|_| allowed).ok_or_else(Refusal::rights)
}

/// A zone whose records the token may change, by its id.
pub(super) struct Writable(pub String);

fn writable(state: &State, id: &str) -> Result<Writable, Refusal> {
    let zone = state
        .zone(id)
        .filter(|zone| in_scope(state, zone) && state.rights.dns_edit);
    zone.map(|zone| Writable(zone.id.clone()))
        .ok_or_else(Refusal::rights)
}
