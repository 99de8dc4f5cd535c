//! Requests and routes: who asks, for what, and the shape of a refusal.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State as Shared;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use serde_json::{Map, Value, json};

use super::hosts::number;
use super::rows::{Fault, User, now};
use super::state::State;
use super::{Program, schema};

type Answer = Result<(u16, Value), Fault>;

/// Bytes of the largest body (the JSON parser's default of 100 kB).
const BODY_LIMIT: usize = 100 << 10;

/// One request.
pub(super) struct Ask {
    pub(super) method: String,
    /// Path below `/api`.
    path: String,
    query: Vec<(String, String)>,
    bearer: Option<String>,
    is_json: bool,
    body: Bytes,
}

/// An answer with a status.
pub(super) fn answer(status: u16, body: Value) -> Answer {
    Ok((status, body))
}

/// A 200.
pub(super) fn ok(body: Value) -> Answer {
    answer(200, body)
}

impl Ask {
    fn new(method: &Method, uri: &Uri, headers: &HeaderMap, body: Bytes) -> Self {
        let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let path = uri.path();
        let query: axum::extract::Query<Vec<(String, String)>> =
            axum::extract::Query::try_from_uri(uri).unwrap_or_default();
        Self {
            method: method.as_str().to_owned(),
            path: path.strip_prefix("/api").unwrap_or(path).to_owned(),
            query: query.0,
            bearer: text(header::AUTHORIZATION)
                .and_then(|value| value.strip_prefix("Bearer "))
                .map(str::to_owned),
            is_json: text(header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/json")),
            body,
        }
    }

    /// A query parameter.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The relations that are asked for. Unknown ones break the query behind it.
    pub(super) fn expand(&self, known: &[&'static str]) -> Result<Vec<&'static str>, Fault> {
        let text = self.query("expand").unwrap_or_default();
        text.split(',')
            .filter(|word| !word.is_empty())
            .map(|word| known.iter().copied().find(|known| *known == word))
            .map(|relation| relation.ok_or_else(|| Fault::internal(500)))
            .collect()
    }

    /// The body as an object.
    pub(super) fn object(&self) -> Result<Map<String, Value>, Fault> {
        if !self.is_json || self.body.is_empty() {
            return Err(Fault::invalid("Payload is undefined"));
        }
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(map)) => Ok(map),
            Ok(_) => Err(Fault::invalid("data must be object")),
            Err(_) => Err(Fault::internal(400)),
        }
    }

    /// What an unknown path and a missing right have in common.
    pub(super) fn unknown_path(&self) -> Fault {
        Fault::new(404, format!("Not Found - {}", self.path))
    }

    /// A refusal: hidden as a 404 for reads and deletes, as a 500 otherwise.
    fn hidden(&self) -> Fault {
        match self.method.as_str() {
            "GET" | "DELETE" => self.unknown_path(),
            _ => Fault::internal(500),
        }
    }
}

impl State {
    /// Whose token came with the request; none without a token.
    pub(super) fn user_of(&mut self, ask: &Ask) -> Result<Option<u64>, Fault> {
        let Some(text) = &ask.bearer else {
            return Ok(None);
        };
        // A signature that does not fit is an error that nobody thought of.
        let token = self.tokens.get(text).ok_or_else(|| Fault::internal(500))?;
        if token.ends <= Instant::now() {
            let ended = token.ends_at.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string();
            let key = json!({"name": "TokenExpiredError", "message": "jwt expired", "expiredAt": ended});
            return Err(Fault {
                key: Some(key),
                ..Fault::invalid("Token has expired")
            });
        }
        Ok(Some(token.user))
    }

    fn account_of(&mut self, ask: &Ask) -> Result<User, Fault> {
        let id = self.user_of(ask)?.ok_or_else(|| ask.hidden())?;
        let user = self.users.get(&id).filter(|user| !user.disabled).cloned();
        user.ok_or_else(|| ask.hidden())
    }

    fn admin(&mut self, ask: &Ask) -> Result<User, Fault> {
        let user = self.account_of(ask)?;
        match user.is_admin() {
            true => Ok(user),
            false => Err(ask.hidden()),
        }
    }

    /// Whether the caller may read or write things of a kind, and the owner whose things it sees, if not
    /// everybody's.
    pub(super) fn may(&mut self, ask: &Ask, right: &str, write: bool) -> Result<Option<u64>, Fault> {
        let user = self.account_of(ask)?;
        if user.is_admin() {
            return Ok(None);
        }
        let level = user
            .permissions
            .get(right)
            .and_then(Value::as_str)
            .unwrap_or_default();
        if level == "manage" || (level == "view" && !write) {
            let all = user.permissions.get("visibility") == Some(&json!("all"));
            return Ok((!all).then_some(user.id));
        }
        Err(ask.hidden())
    }
}

impl Program {
    /// The API's routes.
    pub(super) fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(handle).with_state(self)
    }

    async fn route(&self, ask: &Ask) -> Answer {
        if ask.body.len() > BODY_LIMIT {
            return Err(Fault::internal(413));
        }
        if ask.is_json && !ask.body.is_empty() && serde_json::from_slice::<Value>(&ask.body).is_err() {
            return Err(Fault::internal(400));
        }
        let path = ask.path.clone();
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        match (ask.method.as_str(), parts.as_slice()) {
            ("GET", [] | [""]) => ok(json!({"status": "OK", "setup": true,
                "version": {"major": 2, "minor": 0, "revision": 0}})),
            ("GET", ["schema"]) => ok(described()),
            ("POST", ["tokens"]) => self.log_in(ask),
            _ => {
                self.state().user_of(ask)?;
                self.behind_log_in(ask, &parts).await
            }
        }
    }

    async fn behind_log_in(&self, ask: &Ask, parts: &[&str]) -> Answer {
        match (ask.method.as_str(), parts) {
            ("GET", ["tokens"]) => self.refresh(ask),
            (_, ["users", tail @ ..]) => self.users_route(ask, tail),
            (_, ["nginx", "proxy-hosts", tail @ ..]) => self.hosts_route(ask, tail).await,
            (_, ["nginx", "certificates", tail @ ..]) => self.certificates_route(ask, tail).await,
            ("POST", ["nginx", "redirection-hosts"]) => self.redirect(ask),
            ("GET", ["reports", "hosts"]) => {
                let mut state = self.state();
                state.account_of(ask)?;
                let hosts = state.hosts.values().filter(|host| !host.deleted).count();
                let redirections = state.redirections.len();
                ok(json!({"proxy": hosts, "redirection": redirections, "stream": 0, "dead": 0}))
            }
            _ => Err(ask.unknown_path()),
        }
    }

    fn log_in(&self, ask: &Ask) -> Answer {
        let mut body = ask.object()?;
        schema::check(&mut body, schema::TOKEN, &["identity", "secret"]).map_err(Fault::invalid)?;
        let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
        let mut state = self.state();
        let email = text("identity").to_lowercase();
        let wrong = || Fault::invalid("Invalid email or password");
        let user = state
            .users
            .values()
            .find(|user| user.email.to_lowercase() == email && !user.disabled);
        let user = user.ok_or_else(wrong)?;
        if user.secret.as_deref() != Some(text("secret")) {
            return Err(Fault {
                key: Some(json!("error.invalid-auth")),
                ..wrong()
            });
        }
        let id = user.id;
        if state.second_factor {
            return ok(json!({"requires_2fa": true, "challenge_token": "challenge"}));
        }
        ok(state.issue_token(id, None))
    }

    fn refresh(&self, ask: &Ask) -> Answer {
        let mut state = self.state();
        let user = state.user_of(ask)?.ok_or_else(|| Fault::internal(500))?;
        let life = match ask.query("expiry") {
            None => None,
            Some(text) => {
                let wrong = || Fault::invalid(format!("Invalid expiry time: {text}"));
                Some(duration(text).ok_or_else(wrong)?)
            }
        };
        ok(state.issue_token(user, life))
    }

    fn redirect(&self, ask: &Ask) -> Answer {
        let names = ask
            .object()?
            .get("domain_names")
            .map(super::rows::plain_names)
            .unwrap_or_default();
        let mut state = self.state();
        state.may(ask, "redirection_hosts", true)?;
        state.check_names(&names, None)?;
        state.redirections.push(names.clone());
        let id = state.redirections.len();
        answer(201, json!({"id": id, "domain_names": names}))
    }

    fn users_route(&self, ask: &Ask, tail: &[&str]) -> Answer {
        let mut state = self.state();
        match (ask.method.as_str(), tail) {
            ("GET", ["me"]) => {
                let user = state.account_of(ask)?;
                let expand = ask.expand(&["permissions"])?;
                ok(user.json(!expand.is_empty()))
            }
            ("GET", []) => {
                state.admin(ask)?;
                ok(state.users.values().map(|user| user.json(false)).collect())
            }
            ("POST", []) => {
                let mut body = ask.object()?;
                schema::check(&mut body, schema::USER, &["name", "nickname", "email"])
                    .map_err(Fault::invalid)?;
                state.admin(ask)?;
                let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
                let id = state.users.keys().next_back().map_or(1, |last| last + 1);
                let user = User::new(id, text("email"), text("name"), text("nickname"), false);
                let shown = user.json(true);
                state.users.insert(id, user);
                answer(201, shown)
            }
            ("PUT", [id, rest @ ..]) => {
                let body = ask.object()?;
                state.admin(ask)?;
                let id = number(id).ok_or_else(|| Fault::internal(400))?;
                let user = state.users.get_mut(&id).ok_or_else(|| Fault::not_found(id))?;
                user.modified_on = now();
                match rest {
                    ["auth"] => user.secret = body.get("secret").and_then(Value::as_str).map(str::to_owned),
                    ["permissions"] => user.permissions.extend(body),
                    [] => user.disabled = body.get("is_disabled") == Some(&json!(true)),
                    _ => return Err(ask.unknown_path()),
                }
                match rest {
                    [] => ok(user.json(false)),
                    _ => ok(json!(true)),
                }
            }
            _ => Err(ask.unknown_path()),
        }
    }
}

/// `1h`, `365d`, `1s`: a number and one of the program's units.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text.strip_prefix(digits)?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(digits.parse().ok()?)),
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        "M" => 30 * 86_400,
        "Q" => 91 * 86_400,
        "y" => 365 * 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(
        digits.parse::<u64>().ok()?.checked_mul(seconds)?,
    ))
}

/// The program's description of itself, as far as anybody looks at it.
fn described() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Nginx Proxy Manager API", "version": "2.15.1"},
        "paths": {"/tokens/2fa": {}, "/nginx/proxy-hosts": {}, "/nginx/certificates": {}},
        "components": {"proxy-host-object": {"properties": {"trust_forwarded_proto": {"type": "boolean"}}},
            "certificate-object": {"properties": {"meta": {"properties": {"key_type": {"type": "string"}}}}}},
    })
}

async fn handle(
    Shared(program): Shared<Arc<Program>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let ask = Ask::new(&method, &uri, &headers, body);
    let (status, body) = match program.route(&ask).await {
        Ok(done) => done,
        Err(fault) => (fault.status, refusal(&ask, fault)),
    };
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn refusal(ask: &Ask, fault: Fault) -> Value {
    let mut error = json!({"code": fault.status, "message": fault.message});
    if let (Some(key), Some(map)) = (fault.key, error.as_object_mut()) {
        map.insert("message_i18n".to_owned(), key);
    }
    let mut body = json!({"error": error});
    // Certificate routes show the inner error even in production.
    if ask.path.starts_with("/nginx/certificates")
        && let Some(map) = body.as_object_mut()
    {
        let plain = || json!({"stack": [format!("Error: {}", fault.message)]});
        map.insert("debug".to_owned(), fault.debug.unwrap_or_else(plain));
    }
    body
}
