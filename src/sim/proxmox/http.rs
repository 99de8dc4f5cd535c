//! The HTTP side: token, encodings, routing, permission, node, schema, and the form of answers.

use std::collections::BTreeMap;
use std::str::FromStr;

use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use hyper::ext::ReasonPhrase;
use serde_json::{Value, json};

use super::ProxmoxSim;
use super::endpoints::{ENDPOINTS, Endpoint};
use super::errors::Refusal;
use super::options::{ProxmoxOptions, PveVersion};
use super::schema;
use super::state::State;
use crate::sim::server::full;

/// Where the API begins.
const ROOT: &str = "/api2/json";
/// Bytes of the largest body; larger ones are refused with 501.
const BODY_LIMIT: usize = 512 << 10;
/// Reason of every 401.
const UNAUTHORIZED: &str = "Authentication failed!";

/// One call after all checks.
pub(super) struct Call {
    /// The node in the path, or nothing.
    pub(super) node: String,
    /// The guest in the path or body, or zero.
    pub(super) vmid: u32,
    /// Who calls: `user@realm!tokenid`.
    pub(super) user: String,
    /// All parameters, those in the path too.
    pub(super) values: BTreeMap<String, String>,
}

impl Call {
    /// A parameter.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// A parameter as a number.
    pub(super) fn parsed<T: FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }

    /// A switch that may be absent.
    pub(super) fn boolean(&self, name: &str) -> Option<bool> {
        self.text(name).and_then(schema::boolean)
    }

    /// A switch that is off when absent.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.boolean(name).unwrap_or_default()
    }
}

/// Answers every request.
pub(super) async fn answer(Shared(sim): Shared<ProxmoxSim>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Some(user) = authenticate(&sim, &parts.headers) else {
        let delay = sim.lock().options.auth_delay;
        tokio::time::sleep(delay).await;
        return bare(401, UNAUTHORIZED);
    };
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
        return bare(501, "for data too large");
    };
    let query = parts.uri.query().unwrap_or_default();
    let parameters = parameters(&parts.method, &parts.headers, query, &body);
    let mut state = sim.lock();
    state.advance();
    let done = parameters.and_then(|values| {
        let method = parts.method.as_str();
        dispatch(&mut state, method, parts.uri.path(), values, user)
    });
    state.advance();
    let options = &state.options;
    match done {
        Ok(data) => reply(200, None, &json!({ "data": data })),
        Err(refusal) => refuse(options, &refusal),
    }
}

fn authenticate(sim: &ProxmoxSim, headers: &HeaderMap) -> Option<String> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let given = given.strip_prefix("PVEAPIToken=")?;
    let state = sim.lock();
    let (user, _) = given.split_once('=')?;
    (given == state.options.token).then(|| user.to_owned())
}

fn not_implemented<T>(text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::NotImplemented(text.into()))
}

/// Parameters from the query (GET, DELETE) or the body (POST, PUT).
fn parameters(
    method: &Method,
    headers: &HeaderMap,
    query: &str,
    body: &[u8],
) -> Result<BTreeMap<String, String>, Refusal> {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return not_implemented("chunked transfer encoding not supported");
    }
    if ![Method::GET, Method::POST, Method::PUT, Method::DELETE].contains(method) {
        return not_implemented(format!("method '{method}' not available"));
    }
    let mut values = decode_form(query.as_bytes());
    if body.is_empty() {
        return Ok(values);
    }
    if matches!(*method, Method::GET | Method::DELETE) {
        return not_implemented(format!("Unexpected content for method '{method}'"));
    }
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default();
    match kind.trim() {
        "application/x-www-form-urlencoded" => values.extend(decode_form(body)),
        "application/json" => values.extend(decode_json(body)?),
        other => return Err(Refusal::ContentType(other.to_owned())),
    }
    Ok(values)
}

fn decode_json(body: &[u8]) -> Result<BTreeMap<String, String>, Refusal> {
    let Ok(Value::Object(map)) = serde_json::from_slice(body) else {
        return Refusal::say("malformed JSON string");
    };
    let plain = |value: Value| match value {
        Value::String(text) => Some(text),
        Value::Bool(yes) => Some(u8::from(yes).to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    Ok(map
        .into_iter()
        .filter_map(|(key, value)| Some((key, plain(value)?)))
        .collect())
}

/// Decodes `application/x-www-form-urlencoded`. A key that comes more than once becomes a zero-separated
/// list, as in the real program.
fn decode_form(text: &[u8]) -> BTreeMap<String, String> {
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let key = decode(halves.next().unwrap_or_default(), true);
        let value = decode(halves.next().unwrap_or_default(), true);
        match values.get_mut(&key) {
            Some(old) => {
                old.push('\0');
                old.push_str(&value);
            }
            None => {
                values.insert(key, value);
            }
        }
    }
    values
}

fn decode(text: &[u8], plus_is_space: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (*first, tail) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or_default();
                bytes.push(u8::try_from(digit(*high) * 16 + digit(*low)).unwrap_or_default());
                rest = after;
            }
            (b'+', _) if plus_is_space => bytes.push(b' '),
            (byte, _) => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The endpoint for a path, with the values of its variables.
fn route<'p>(
    version: PveVersion,
    method: &str,
    path: &'p [String],
) -> Option<(&'static Endpoint, Vec<(&'static str, &'p str)>)> {
    ENDPOINTS
        .iter()
        .filter(|endpoint| endpoint.method == method && endpoint.since <= version)
        .find_map(|endpoint| {
            let pattern: Vec<&'static str> = endpoint.path.split('/').skip(1).collect();
            if pattern.len() != path.len() {
                return None;
            }
            let mut variables = Vec::new();
            for (expected, given) in pattern.into_iter().zip(path) {
                match expected.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                    Some(name) => variables.push((name, given.as_str())),
                    None if expected == given => {}
                    None => return None,
                }
            }
            Some((endpoint, variables))
        })
}

/// Finds the endpoint, then checks in the order of the real program: right, node, schema, quorum.
fn dispatch(
    state: &mut State,
    method: &str,
    path: &str,
    mut values: BTreeMap<String, String>,
    user: String,
) -> Result<Value, Refusal> {
    let below = path.strip_prefix(ROOT).unwrap_or_default();
    let parts: Vec<String> = below
        .split('/')
        .skip(1)
        .map(|part| decode(part.as_bytes(), false))
        .collect();
    let Some((endpoint, variables)) = route(state.version(), method, &parts) else {
        return not_implemented(format!("Method '{method} {below}' not implemented"));
    };
    let node = variables.iter().find(|(name, _)| *name == "node");
    let node = node.map(|(_, node)| (*node).to_owned()).unwrap_or_default();
    for (name, value) in &variables {
        values.insert((*name).to_owned(), (*value).to_owned());
    }
    check_rights(state, endpoint, &values)?;
    if !node.is_empty() {
        check_node(state, &node)?;
    }
    schema::verify(state.version(), endpoint.params, &values)?;
    if method != "GET" {
        state.require_quorum()?;
    }
    let vmid = values.get("vmid").and_then(|vmid| vmid.parse().ok());
    let vmid: u32 = vmid.unwrap_or_default();
    let sid = values
        .get("sid")
        .and_then(|sid| sid.split(':').next_back()?.parse().ok());
    let target = sid.unwrap_or(vmid);
    let others = state.guests.get(&target).is_some_and(|guest| guest.foreign);
    let call = Call {
        node,
        vmid,
        user,
        values,
    };
    let done = (endpoint.handler)(state, &call);
    if others && method != "GET" && done.is_ok() {
        state.foreign_writes.push(format!("{method} {below}"));
    }
    done
}

fn check_rights(
    state: &State,
    endpoint: &Endpoint,
    values: &BTreeMap<String, String>,
) -> Result<(), Refusal> {
    let (template, privileges) = endpoint.rights;
    if privileges.is_empty() || privileges.iter().any(|privilege| !state.lacks(privilege)) {
        return Ok(());
    }
    let mut path = template.to_owned();
    for (name, value) in values {
        path = path.replace(&format!("{{{name}}}"), value);
    }
    Err(Refusal::Forbidden(format!("{path}, {}", privileges.join("|"))))
}

fn check_node(state: &State, node: &str) -> Result<(), Refusal> {
    if !state.options.nodes.iter().any(|known| known.name == node) {
        return Refusal::say(format!(
            "hostname lookup '{node}' failed - failed to get address info for: {node}: Name or service not \
             known"
        ));
    }
    if state.offline.contains(node) {
        return Err(Refusal::Unreachable);
    }
    Ok(())
}

fn refuse(options: &ProxmoxOptions, refusal: &Refusal) -> Response<Body> {
    let reason = refusal.reason();
    if matches!(refusal, Refusal::Unreachable) {
        return bare(refusal.status(), &reason);
    }
    let mut body = json!({ "data": null });
    if let Refusal::Parameters(errors) = refusal {
        put(&mut body, "errors", json!(errors));
    }
    if options.sentences_in_body {
        put(&mut body, "message", json!(format!("{}\n", reason.trim_end())));
    }
    reply(refusal.status(), Some(&reason), &body)
}

fn bare(status: u16, reason: &str) -> Response<Body> {
    finish(status, Some(reason), Body::empty())
}

fn reply(status: u16, reason: Option<&str>, body: &Value) -> Response<Body> {
    let mut response = finish(status, reason, full(body.to_string()));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json;charset=UTF-8"),
    );
    response
}

/// Sets a key of a JSON object.
pub(super) fn put(object: &mut Value, key: &str, value: Value) {
    if let Value::Object(map) = object {
        map.insert(key.to_owned(), value);
    }
}

/// Status line and the headers of every answer. Connections end after a status of 400 or more.
fn finish(status: u16, reason: Option<&str>, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=0"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(header::SERVER, HeaderValue::from_static("pve-api-daemon/3.0"));
    if status >= 400 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(reason) = reason {
        let line = reason.trim_end().replace(['\n', '\r'], " ");
        if let Ok(phrase) = ReasonPhrase::try_from(line) {
            response.extensions_mut().insert(phrase);
        }
    }
    response
}
