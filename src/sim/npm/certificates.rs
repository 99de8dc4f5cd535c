//! Routes of certificates, and certbot behind them.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::api::{Ask, ok};
use super::hosts::number;
use super::rows::{Certificate, Fault, now, plain_names, sorted_names, stamp};
use super::{AcmeMode, Program, schema};

type Answer = Result<(u16, Value), Fault>;

/// Relations that a certificate can be read with.
const RELATIONS: [&str; 4] = ["owner", "proxy_hosts", "redirection_hosts", "dead_hosts"];
/// Life of an issued certificate: 90 days.
const LIFE: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Who signs in the simulator.
const ISSUER: &str = "CN = Simulated Intermediate CA";
/// The last line of certbot's complaints.
const HELP: &str = "Ask for help or search for solutions at https://community.letsencrypt.org. See the logfile \
                    /data/logs/letsencrypt.log or re-run Certbot with -v for more details.";

impl Program {
    /// `/nginx/certificates…`; `tail` are the path's parts behind it.
    pub(super) async fn certificates_route(&self, ask: &Ask, tail: &[&str]) -> Answer {
        match (ask.method.as_str(), tail) {
            ("GET", [] | [""]) => self.list_certificates(ask),
            ("POST", []) => self.create_certificate(ask).await,
            ("POST", ["test-http"]) => {
                let names = ask.object()?.get("domains").map(plain_names).unwrap_or_default();
                ok(names.into_iter().map(|name| (name, json!("failed"))).collect())
            }
            ("GET", [id]) => {
                let id = number(id).ok_or_else(|| Fault::internal(400))?;
                let only = self.state().may(ask, "certificates", false)?;
                let expand = ask.expand(&RELATIONS)?;
                self.state().certificate(id, only)?;
                ok(self.certificate_json(id, &expand))
            }
            ("DELETE", [id]) => {
                let mut state = self.state();
                let only = state.may(ask, "certificates", true)?;
                let id = number(id).ok_or_else(|| Fault::new(404, "Not Found"))?;
                state.certificate(id, only)?;
                if let Some(row) = state.certificates.get_mut(&id) {
                    row.deleted = true;
                    // Revoking removes the files, whoever refers to them. Uploaded ones stay on disk.
                    row.loadable &= !row.is_automatic();
                }
                ok(json!(true))
            }
            ("POST", [id, "renew"]) => self.renew(ask, id).await,
            _ => Err(ask.unknown_path()),
        }
    }

    fn list_certificates(&self, ask: &Ask) -> Answer {
        let only = self.state().may(ask, "certificates", false)?;
        let expand = ask.expand(&RELATIONS)?;
        let text = ask.query("query").unwrap_or_default().to_ascii_lowercase();
        let mut found: Vec<(String, u64)> = self
            .state()
            .certificates
            .values()
            .filter(|row| !row.deleted && only.is_none_or(|user| row.owner_user_id == user))
            .filter(|row| row.nice_name.to_ascii_lowercase().contains(&text))
            .map(|row| (row.nice_name.clone(), row.id))
            .collect();
        found.sort();
        ok(found
            .into_iter()
            .map(|(_, id)| self.certificate_json(id, &expand))
            .collect())
    }

    fn certificate_json(&self, id: u64, expand: &[&str]) -> Value {
        let state = self.state();
        let Some(row) = state.certificates.get(&id) else {
            return Value::Null;
        };
        let mut map = row.json();
        for relation in expand {
            let value = match *relation {
                "owner" => state.users.get(&row.owner_user_id).map(|user| user.json(false)),
                "proxy_hosts" => {
                    let hosts = state
                        .hosts
                        .values()
                        .filter(|host| !host.deleted && host.certificate_id == id);
                    Some(hosts.map(|host| Value::Object(host.json())).collect())
                }
                _ => Some(json!([])),
            };
            map.insert((*relation).to_owned(), value.unwrap_or_default());
        }
        Value::Object(map)
    }

    async fn create_certificate(&self, ask: &Ask) -> Answer {
        let mut body = ask.object()?;
        schema::check(&mut body, schema::CERTIFICATE, &["provider"]).map_err(Fault::invalid)?;
        let user = {
            let mut state = self.state();
            state.may(ask, "certificates", true)?;
            state.user_of(ask)?.unwrap_or_default()
        };
        let meta = body
            .get("meta")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        if body.get("provider") == Some(&json!("letsencrypt")) {
            let names = body
                .get("domain_names")
                .map(plain_names)
                .ok_or_else(|| Fault::internal(500))?;
            let id = self.issue(user, &names, meta).await?;
            let Value::Object(mut row) = self.certificate_json(id, &[]) else {
                return Err(Fault::internal(500));
            };
            let from = Timestamp::now();
            let to = from.checked_add(LIFE).unwrap_or(from);
            let facts = json!({"cn": names.first(), "issuer": ISSUER,
                "dates": {"from": from.as_second(), "to": to.as_second()}});
            if let Some(meta) = row.get_mut("meta").and_then(Value::as_object_mut) {
                meta.insert("letsencrypt_certificate".to_owned(), facts);
            }
            return Ok((201, Value::Object(row)));
        }
        let nice = body.get("nice_name").and_then(Value::as_str).unwrap_or_default();
        let names = body.get("domain_names").map(sorted_names).unwrap_or_default();
        let id = self.insert_certificate(user, "other", nice, names, meta);
        Ok((201, self.certificate_json(id, &[])))
    }

    pub(super) fn insert_certificate(
        &self,
        owner: u64,
        provider: &str,
        nice: &str,
        names: Vec<String>,
        meta: Map<String, Value>,
    ) -> u64 {
        let mut state = self.state();
        let id = state.next_certificate();
        let row = Certificate {
            id,
            created_on: now(),
            modified_on: now(),
            owner_user_id: owner,
            provider: provider.to_owned(),
            nice_name: nice.to_owned(),
            domain_names: names,
            expires_on: now(),
            meta,
            loadable: false,
            deleted: false,
            foreign: false,
        };
        state.certificates.insert(id, row);
        id
    }

    /// Requests a certificate as the program does: the row first, then certbot, and the row away again when
    /// certbot fails.
    pub(super) async fn issue(
        &self,
        owner: u64,
        names: &[String],
        meta: Map<String, Value>,
    ) -> Result<u64, Fault> {
        let mut sorted = names.to_vec();
        sorted.sort();
        let id = self.insert_certificate(owner, "letsencrypt", &names.join(", "), sorted, meta);
        let begun = self.begin(names);
        let result = match begun {
            Err(fault) => Err(fault),
            Ok(()) => self.certbot(id, names).await,
        };
        let mut state = self.state();
        match result {
            Ok(()) => {
                state.finish_certificate(id);
                Ok(id)
            }
            Err(fault) => {
                state.certificates.remove(&id);
                Err(fault)
            }
        }
    }

    /// Makes room for the challenge.
    fn begin(&self, names: &[String]) -> Result<(), Fault> {
        self.state().set_aside(names, true)
    }

    async fn certbot(&self, id: u64, names: &[String]) -> Result<(), Fault> {
        let mode = {
            let mut state = self.state();
            if state.certbot_busy {
                let _ = state.set_aside(names, false);
                return Err(said(
                    id,
                    names,
                    &["Another instance of Certbot is already running."],
                ));
            }
            state.certbot_busy = true;
            state.acme
        };
        let wait = match mode {
            AcmeMode::Works { delay } => delay,
            AcmeMode::Unreachable | AcmeMode::ChallengeFails => self.write_time(),
        };
        tokio::time::sleep(wait).await;
        let mut state = self.state();
        state.certbot_busy = false;
        let _ = state.set_aside(names, false);
        let wildcard = "Client with the currently selected authenticator does not support any combination of \
                        challenges that will satisfy the CA. You may need to use an authenticator plugin that \
                        can do challenges over DNS.";
        match mode {
            _ if names.iter().any(|name| name.starts_with("*.")) => {
                Err(said(id, names, &[wildcard, wildcard]))
            }
            AcmeMode::Works { .. } => Ok(()),
            AcmeMode::ChallengeFails => Err(said(id, names, &["Some challenges have failed."])),
            AcmeMode::Unreachable => Err(said(
                id,
                names,
                &[
                    "An unexpected error occurred:",
                    "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='acme-v02.api.letsencrypt.org', \
                     port=443): Max retries exceeded with url: /directory (Caused by NewConnectionError('Failed \
                     to establish a new connection: [Errno -3] Temporary failure in name resolution'))",
                ],
            )),
        }
    }

    async fn renew(&self, ask: &Ask, id: &str) -> Answer {
        let id = number(id).ok_or_else(|| Fault::internal(400))?;
        let names = {
            let mut state = self.state();
            let only = state.may(ask, "certificates", true)?;
            let row = state.certificate(id, only)?;
            if !row.is_automatic() {
                return Err(Fault::invalid("Only Let'sEncrypt certificates can be renewed"));
            }
            row.domain_names.clone()
        };
        self.certbot(id, &names).await?;
        self.state().finish_certificate(id);
        let mut row = self.certificate_json(id, &[]);
        if let Some(map) = row.as_object_mut() {
            map.insert("is_deleted".to_owned(), json!(false));
        }
        ok(row)
    }
}

impl super::state::State {
    /// Notes that the files of a certificate are there.
    pub(super) fn finish_certificate(&mut self, id: u64) {
        if let Some(row) = self.certificates.get_mut(&id) {
            let end = Timestamp::now().checked_add(LIFE).unwrap_or(Timestamp::MAX);
            row.expires_on = stamp(end);
            row.modified_on = now();
            row.loadable = true;
        }
    }
}

/// A 500 with certbot's words, as certificate routes show them even in production.
fn said(id: u64, names: &[String], words: &[&str]) -> Fault {
    let mut stack = vec!["Error: Saving debug log to /data/logs/letsencrypt.log"];
    stack.extend(words);
    stack.extend([HELP, ""]);
    let command = format!(
        "certbot certonly -n --config /etc/letsencrypt.ini --work-dir /tmp/letsencrypt-lib --logs-dir /data/logs \
         --cert-name npm-{id} --agree-tos --authenticator webroot -m admin@example.com --preferred-challenges \
         http --domains {}",
        names.join(",")
    );
    let previous = json!({"code": 1, "killed": false, "signal": null, "cmd": command});
    Fault {
        debug: Some(json!({"stack": stack, "previous": previous})),
        ..Fault::internal(500)
    }
}
