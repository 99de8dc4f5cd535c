//! The program's database and the nginx beside it.
//!
//! nginx has two states: the files on disk, and what it serves since its last successful reload. Before any
//! change the program tests the files; one broken host therefore stops all changes, while what was stored
//! in the database before the test stays there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::rows::{Certificate, Fault, Host, Token, User, now};
use super::{AcmeMode, NpmOptions, nginx};

/// One host's file.
#[derive(Clone)]
pub(super) struct Conf {
    pub(super) names: Vec<String>,
    pub(super) forward_host: String,
    pub(super) certificate: Option<u64>,
    pub(super) ssl_forced: bool,
    pub(super) text: nginx::Text,
    complaint: Option<String>,
}

impl Conf {
    pub(super) fn answers_for(&self, name: &str) -> bool {
        self.names.iter().any(|own| match own.strip_prefix("*.") {
            Some(tail) => name.strip_suffix(tail).is_some_and(|head| head.ends_with('.')),
            None => own.eq_ignore_ascii_case(name),
        })
    }
}

/// Everything that the program knows.
pub(super) struct State {
    pub(super) users: BTreeMap<u64, User>,
    pub(super) tokens: BTreeMap<String, Token>,
    tokens_made: u64,
    pub(super) hosts: BTreeMap<u64, Host>,
    pub(super) certificates: BTreeMap<u64, Certificate>,
    certificates_made: u64,
    pub(super) redirections: Vec<Vec<String>>,
    disk: BTreeMap<u64, Arc<Conf>>,
    /// Hosts whose files were written or removed since nginx has read them.
    unread: BTreeSet<u64>,
    pub(super) serving: BTreeMap<u64, Arc<Conf>>,
    pub(super) acme: AcmeMode,
    pub(super) certbot_busy: bool,
    pub(super) second_factor: bool,
    pub(super) fail_creates_after_store: u32,
    token_life: Duration,
}

impl State {
    pub(super) fn new(options: &NpmOptions) -> Self {
        let mut users = BTreeMap::new();
        let operator = match options.visibility_user_only {
            false => User::new(1, &options.identity, "Administrator", "Admin", true),
            true => {
                users.insert(
                    1,
                    User::new(1, "admin@npm.invalid", "Administrator", "Admin", true),
                );
                User::new(2, &options.identity, "Operator", "op", false)
            }
        };
        let operator = User {
            secret: Some(options.secret.clone()),
            ..operator
        };
        users.insert(operator.id, operator);
        Self {
            users,
            tokens: BTreeMap::new(),
            tokens_made: 0,
            hosts: BTreeMap::new(),
            certificates: BTreeMap::new(),
            certificates_made: 0,
            redirections: Vec::new(),
            disk: BTreeMap::new(),
            unread: BTreeSet::new(),
            serving: BTreeMap::new(),
            acme: options.acme,
            certbot_busy: false,
            second_factor: false,
            fail_creates_after_store: 0,
            token_life: options.token_life,
        }
    }

    /// A new token for an account, for a day or the given time.
    pub(super) fn issue_token(&mut self, user: u64, life: Option<Duration>) -> Value {
        self.tokens_made = self.tokens_made.saturating_add(1);
        let life = life.unwrap_or(self.token_life);
        let ends_at = Timestamp::now().checked_add(life).unwrap_or(Timestamp::MAX);
        let text = format!("eyJhbGciOiJSUzI1NiJ9.{:08x}.{user:04x}", self.tokens_made);
        let token = Token {
            user,
            ends: Instant::now() + life,
            ends_at,
        };
        self.tokens.insert(text.clone(), token);
        json!({"token": text, "expires": ends_at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()})
    }

    /// The number of the next certificate. Rows of failed requests are removed, their numbers stay used.
    pub(super) fn next_certificate(&mut self) -> u64 {
        self.certificates_made = self.certificates_made.saturating_add(1);
        self.certificates_made
    }

    /// Whether a name is taken, in any case, by a host other than `but`.
    pub(super) fn check_names(&self, names: &[String], but: Option<u64>) -> Result<(), Fault> {
        for name in names {
            let by_host = self
                .hosts
                .values()
                .any(|host| Some(host.id) != but && host.has_name(name));
            let by_redirection = self
                .redirections
                .iter()
                .flatten()
                .any(|own| own.eq_ignore_ascii_case(name));
            if by_host || by_redirection {
                return Err(Fault::invalid(format!("{name} is already in use")));
            }
        }
        Ok(())
    }

    /// Stores a host, without telling nginx.
    pub(super) fn insert_host(&mut self, owner: u64, body: &Map<String, Value>) -> u64 {
        let id = self.hosts.keys().next_back().map_or(1, |last| last + 1);
        let mut host = Host::new(id, owner);
        host.apply(body);
        self.hosts.insert(id, host);
        id
    }

    /// A host that `only` may see; all when absent.
    pub(super) fn host(&self, id: u64, only: Option<u64>) -> Result<&Host, Fault> {
        self.hosts
            .get(&id)
            .filter(|host| !host.deleted && only.is_none_or(|user| host.owner_user_id == user))
            .ok_or_else(|| Fault::not_found(id))
    }

    pub(super) fn host_mut(&mut self, id: u64) -> Result<&mut Host, Fault> {
        self.hosts.get_mut(&id).ok_or_else(|| Fault::not_found(id))
    }

    /// A certificate that `only` may see; all when absent.
    pub(super) fn certificate(&self, id: u64, only: Option<u64>) -> Result<&Certificate, Fault> {
        self.certificates
            .get(&id)
            .filter(|row| !row.deleted && only.is_none_or(|user| row.owner_user_id == user))
            .ok_or_else(|| Fault::not_found(id))
    }

    /// A host's JSON with relations.
    pub(super) fn host_json(&self, host: &Host, expand: &[&str]) -> Value {
        let mut map = host.json();
        for relation in expand {
            let value = match *relation {
                "owner" => self.users.get(&host.owner_user_id).map(|user| user.json(false)),
                "certificate" => self
                    .certificate(host.certificate_id, None)
                    .ok()
                    .map(Certificate::within_host),
                _ => None,
            };
            map.insert((*relation).to_owned(), value.unwrap_or_default());
        }
        Value::Object(map)
    }

    fn conf_of(&self, host: &Host) -> Conf {
        let read = nginx::Text::read(&host.advanced_config);
        Conf {
            names: host.domain_names.clone(),
            forward_host: host.forward_host.clone(),
            certificate: self.certificate(host.certificate_id, None).ok().map(|row| row.id),
            ssl_forced: host.ssl_forced,
            complaint: read.as_ref().err().cloned(),
            text: read.unwrap_or_default(),
        }
    }

    /// `nginx -t`.
    fn test(&self) -> Result<(), String> {
        for (id, conf) in &self.disk {
            let broken = conf
                .certificate
                .filter(|id| !self.certificates.get(id).is_some_and(|row| row.loadable));
            let complaint = match (&conf.complaint, broken) {
                (Some(text), _) => text.clone(),
                (None, Some(certificate)) => format!(
                    "cannot load certificate \"/etc/letsencrypt/live/npm-{certificate}/fullchain.pem\": \
                     BIO_new_file() failed"
                ),
                (None, None) => continue,
            };
            return Err(format!(
                "nginx: [emerg] {complaint} in /data/nginx/proxy_host/{id}.conf:37\nnginx: configuration file \
                 /etc/nginx/nginx.conf test failed\n"
            ));
        }
        Ok(())
    }

    fn reload(&mut self) -> Result<(), Fault> {
        self.test().map_err(|_| Fault::internal(500))?;
        for id in std::mem::take(&mut self.unread) {
            match self.disk.get(&id) {
                Some(conf) => self.serving.insert(id, Arc::clone(conf)),
                None => self.serving.remove(&id),
            };
        }
        Ok(())
    }

    /// Writes a host's file, or removes it.
    fn write(&mut self, id: u64, conf: Option<Conf>) {
        self.unread.insert(id);
        match conf {
            Some(conf) => self.disk.insert(id, Arc::new(conf)),
            None => self.disk.remove(&id),
        };
    }

    /// Writes a host's file, tests it, notes the outcome in its `meta`, reloads.
    pub(super) fn configure(&mut self, id: u64) -> Result<(), Fault> {
        self.test().map_err(|_| Fault::internal(500))?;
        let host = self.hosts.get(&id).ok_or_else(|| Fault::not_found(id))?;
        let conf = self.conf_of(host);
        self.write(id, Some(conf));
        let complaint = self.test().err();
        if complaint.is_some() {
            self.write(id, None);
        }
        let host = self.host_mut(id)?;
        host.meta
            .insert("nginx_online".to_owned(), json!(complaint.is_none()));
        host.meta.insert("nginx_err".to_owned(), json!(complaint));
        host.modified_on = now();
        self.reload()
    }

    /// Removes a host's file and reloads.
    pub(super) fn remove_conf(&mut self, id: u64) -> Result<(), Fault> {
        self.write(id, None);
        self.reload()
    }

    /// Takes the hosts with any of the names out of nginx while certbot needs the names, or puts them back.
    /// Putting back writes their files without the test that notes the outcome.
    pub(super) fn set_aside(&mut self, names: &[String], aside: bool) -> Result<(), Fault> {
        let affected: Vec<Host> = self
            .hosts
            .values()
            .filter(|host| host.enabled && names.iter().any(|name| host.has_name(name)))
            .cloned()
            .collect();
        for host in affected {
            let conf = (!aside).then(|| self.conf_of(&host));
            self.write(host.id, conf);
        }
        self.reload()
    }
}
