//! Routes of proxy hosts.

use serde_json::{Map, Value, json};

use super::Program;
use super::api::{Ask, answer, ok};
use super::rows::{Fault, Host, plain_names};
use super::schema;

type Answer = Result<(u16, Value), Fault>;

/// Relations of an answer to a write.
const WHOLE: [&str; 3] = ["owner", "certificate", "access_list"];

impl Program {
    /// `/nginx/proxy-hosts…`; `tail` are the path's parts behind it.
    pub(super) async fn hosts_route(&self, ask: &Ask, tail: &[&str]) -> Answer {
        match (ask.method.as_str(), tail) {
            ("GET", [] | [""]) => self.list_hosts(ask),
            ("POST", []) => self.create_host(ask).await,
            ("GET", [id]) => {
                let id = number(id).ok_or_else(|| Fault::internal(400))?;
                let only = self.state().may(ask, "proxy_hosts", false)?;
                let expand = ask.expand(&WHOLE)?;
                let state = self.state();
                ok(state.host_json(state.host(id, only)?, &expand))
            }
            ("PUT", [id]) => self.update_host(ask, id).await,
            // The delete route has no check of its own: a word for a number is just not found.
            ("DELETE", [id]) => self.delete_host(ask, id).await,
            ("POST", [id, "enable"]) => self.switch_host(ask, id, true).await,
            ("POST", [id, "disable"]) => self.switch_host(ask, id, false).await,
            _ => Err(ask.unknown_path()),
        }
    }

    fn list_hosts(&self, ask: &Ask) -> Answer {
        let mut state = self.state();
        let only = state.may(ask, "proxy_hosts", false)?;
        let expand = ask.expand(&WHOLE)?;
        let text = ask.query("query").unwrap_or_default().to_ascii_lowercase();
        let mut rows: Vec<&Host> = state
            .hosts
            .values()
            .filter(|host| !host.deleted && only.is_none_or(|user| host.owner_user_id == user))
            .filter(|host| {
                json!(host.domain_names)
                    .to_string()
                    .to_ascii_lowercase()
                    .contains(&text)
            })
            .collect();
        rows.sort_by_key(|host| json!(host.domain_names).to_string());
        ok(rows
            .into_iter()
            .map(|host| state.host_json(host, &expand))
            .collect())
    }

    async fn create_host(&self, ask: &Ask) -> Answer {
        let mut body = ask.object()?;
        schema::check(&mut body, schema::HOST, schema::HOST_REQUIRED).map_err(Fault::invalid)?;
        tokio::time::sleep(self.write_time()).await;
        let wants_new = body.get("certificate_id") == Some(&json!("new"));
        if wants_new {
            body.remove("certificate_id");
        }
        let names = plain_names(body.get("domain_names").unwrap_or(&Value::Null));
        let (id, user) = {
            let mut state = self.state();
            state.may(ask, "proxy_hosts", true)?;
            let user = state.user_of(ask)?.unwrap_or_default();
            state.check_names(&names, None)?;
            let id = state.insert_host(user, &body);
            if state.fail_creates_after_store > 0 {
                state.fail_creates_after_store -= 1;
                return Err(Fault::internal(500));
            }
            (id, user)
        };
        if wants_new {
            // The flags were dropped above, because there was no certificate yet; nothing brings them back.
            let certificate = self
                .issue(user, &names, hosts_meta(&body))
                .await
                .map_err(|_| Fault::internal(500))?;
            let mut state = self.state();
            state.host_mut(id)?.certificate_id = certificate;
            state.configure(id)?;
        }
        let mut state = self.state();
        let created = state.host_json(state.host(id, None)?, &WHOLE);
        state.configure(id)?;
        Ok((201, created))
    }

    async fn update_host(&self, ask: &Ask, id: &str) -> Answer {
        let mut body = ask.object()?;
        if body.is_empty() {
            return Err(Fault::invalid("data must NOT have fewer than 1 properties"));
        }
        schema::check(&mut body, schema::HOST, &[]).map_err(Fault::invalid)?;
        let id = number(id).ok_or_else(|| Fault::internal(400))?;
        tokio::time::sleep(self.write_time()).await;
        let wants_new = body.get("certificate_id") == Some(&json!("new"));
        let (user, row) = {
            let mut state = self.state();
            let only = state.may(ask, "proxy_hosts", true)?;
            let user = state.user_of(ask)?.unwrap_or_default();
            if let Some(names) = body.get("domain_names") {
                state.check_names(&plain_names(names), Some(id))?;
            }
            (user, state.host(id, only)?.clone())
        };
        if wants_new {
            let names = body
                .get("domain_names")
                .map(plain_names)
                .unwrap_or(row.domain_names);
            let meta = hosts_meta(&row.meta.into_iter().chain(body.clone()).collect());
            let certificate = self
                .issue(user, &names, meta)
                .await
                .map_err(|_| Fault::internal(500))?;
            body.insert("certificate_id".to_owned(), json!(certificate));
        }
        let mut state = self.state();
        state.host_mut(id)?.apply(&body);
        // A host that is marked as disabled is left alone, whatever nginx is serving of it.
        if state.host(id, None)?.enabled {
            state.configure(id)?;
        }
        ok(state.host_json(state.host(id, None)?, &WHOLE))
    }

    async fn delete_host(&self, ask: &Ask, id: &str) -> Answer {
        tokio::time::sleep(self.write_time() / 2).await;
        let mut state = self.state();
        let only = state.may(ask, "proxy_hosts", true)?;
        let id = number(id).ok_or_else(|| Fault::new(404, "Not Found"))?;
        state.host(id, only)?;
        state.host_mut(id)?.deleted = true;
        state.remove_conf(id)?;
        ok(json!(true))
    }

    async fn switch_host(&self, ask: &Ask, id: &str, enabled: bool) -> Answer {
        tokio::time::sleep(self.write_time()).await;
        let mut state = self.state();
        let only = state.may(ask, "proxy_hosts", true)?;
        let id = number(id).ok_or_else(|| Fault::internal(400))?;
        if state.host(id, only)?.enabled == enabled {
            let word = if enabled { "enabled" } else { "disabled" };
            return Err(Fault::invalid(format!("Host is already {word}")));
        }
        state.host_mut(id)?.enabled = enabled;
        match enabled {
            true => state.configure(id)?,
            false => state.remove_conf(id)?,
        }
        answer(200, json!(true))
    }
}

/// An id as the program takes it: a number, not 0.
pub(super) fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|id| *id > 0)
}

/// What a certificate takes over of a host's `meta`: only keys of its own schema.
fn hosts_meta(body: &Map<String, Value>) -> Map<String, Value> {
    let meta = body
        .get("meta")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    meta.into_iter()
        .filter(|(key, _)| key == "dns_challenge" || key == "key_type")
        .collect()
}
