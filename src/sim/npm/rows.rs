//! Rows of the program's database and their JSON.

use std::time::Instant;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The program's time stamps: no zone, seconds.
pub(super) fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Now, as a time stamp.
pub(super) fn now() -> String {
    stamp(Timestamp::now())
}

/// A failed request.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) status: u16,
    pub(super) message: String,
    /// `message_i18n`.
    pub(super) key: Option<Value>,
    /// `debug`, which certificate routes add.
    pub(super) debug: Option<Value>,
}

impl Fault {
    pub(super) fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            key: None,
            debug: None,
        }
    }

    /// What the program says when it does not tell.
    pub(super) fn internal(status: u16) -> Self {
        Self::new(status, "Internal Error")
    }

    pub(super) fn not_found(id: u64) -> Self {
        Self::new(404, format!("Not Found - {id}"))
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }
}

/// An account.
#[derive(Clone)]
pub(super) struct User {
    pub(super) id: u64,
    pub(super) created_on: String,
    pub(super) modified_on: String,
    pub(super) disabled: bool,
    pub(super) email: String,
    pub(super) name: String,
    pub(super) nickname: String,
    pub(super) roles: Vec<String>,
    pub(super) secret: Option<String>,
    pub(super) permissions: Map<String, Value>,
}

impl User {
    pub(super) fn new(id: u64, email: &str, name: &str, nickname: &str, admin: bool) -> Self {
        let all = [
            "proxy_hosts",
            "redirection_hosts",
            "dead_hosts",
            "streams",
            "access_lists",
            "certificates",
        ];
        let mut permissions: Map<String, Value> = all
            .iter()
            .map(|right| ((*right).to_owned(), json!("manage")))
            .collect();
        permissions.insert("visibility".to_owned(), json!(if admin { "all" } else { "user" }));
        Self {
            id,
            created_on: now(),
            modified_on: now(),
            disabled: false,
            email: email.to_owned(),
            name: name.to_owned(),
            nickname: nickname.to_owned(),
            roles: admin.then(|| "admin".to_owned()).into_iter().collect(),
            secret: None,
            permissions,
        }
    }

    pub(super) fn is_admin(&self) -> bool {
        self.roles.iter().any(|role| role == "admin")
    }

    pub(super) fn json(&self, with_permissions: bool) -> Value {
        let mut user = json!({
            "id": self.id, "created_on": self.created_on, "modified_on": self.modified_on,
            "is_disabled": self.disabled, "email": self.email, "name": self.name, "nickname": self.nickname,
            "avatar": "", "roles": self.roles,
        });
        if with_permissions && let Some(user) = user.as_object_mut() {
            user.insert("permissions".to_owned(), Value::Object(self.permissions.clone()));
        }
        user
    }
}

/// A token that was given out.
pub(super) struct Token {
    pub(super) user: u64,
    pub(super) ends: Instant,
    pub(super) ends_at: Timestamp,
}

/// A proxy host.
#[derive(Clone, Serialize)]
pub(super) struct Host {
    pub(super) id: u64,
    pub(super) created_on: String,
    pub(super) modified_on: String,
    pub(super) owner_user_id: u64,
    pub(super) domain_names: Vec<String>,
    pub(super) forward_host: String,
    pub(super) forward_port: u64,
    pub(super) access_list_id: u64,
    pub(super) certificate_id: u64,
    pub(super) ssl_forced: bool,
    pub(super) caching_enabled: bool,
    pub(super) block_exploits: bool,
    pub(super) advanced_config: String,
    pub(super) meta: Map<String, Value>,
    pub(super) allow_websocket_upgrade: bool,
    pub(super) http2_support: bool,
    pub(super) forward_scheme: String,
    pub(super) enabled: bool,
    pub(super) locations: Value,
    pub(super) hsts_enabled: bool,
    pub(super) hsts_subdomains: bool,
    pub(super) trust_forwarded_proto: bool,
    /// Deletes are soft: ids are never used again.
    #[serde(skip)]
    pub(super) deleted: bool,
    /// Made by hand for a test; not counted among what the operator left behind.
    #[serde(skip)]
    pub(super) foreign: bool,
}

impl Host {
    pub(super) fn new(id: u64, owner: u64) -> Self {
        Self {
            id,
            created_on: now(),
            modified_on: now(),
            owner_user_id: owner,
            domain_names: Vec::new(),
            forward_host: String::new(),
            forward_port: 0,
            access_list_id: 0,
            certificate_id: 0,
            ssl_forced: false,
            caching_enabled: false,
            block_exploits: false,
            advanced_config: String::new(),
            meta: Map::new(),
            allow_websocket_upgrade: false,
            http2_support: false,
            forward_scheme: String::new(),
            enabled: true,
            locations: Value::Null,
            hsts_enabled: false,
            hsts_subdomains: false,
            trust_forwarded_proto: false,
            deleted: false,
            foreign: false,
        }
    }

    /// Takes the fields of a checked body over and drops the flags that depend on others.
    pub(super) fn apply(&mut self, body: &Map<String, Value>) {
        let mut certified = self.certificate_id > 0;
        for (key, value) in body {
            let flag = value.as_bool().unwrap_or_default();
            let number = value.as_u64().unwrap_or_default();
            let text = || value.as_str().unwrap_or_default().to_owned();
            match key.as_str() {
                "domain_names" => self.domain_names = sorted_names(value),
                "forward_scheme" => self.forward_scheme = text(),
                "forward_host" => self.forward_host = text(),
                "forward_port" => self.forward_port = number,
                "access_list_id" => self.access_list_id = number,
                "certificate_id" => {
                    // Any string is true in the program's language, `"0"` too.
                    certified = number > 0 || value.is_string();
                    self.certificate_id = value.as_str().and_then(|id| id.parse().ok()).unwrap_or(number);
                }
                "ssl_forced" => self.ssl_forced = flag,
                "http2_support" => self.http2_support = flag,
                "hsts_enabled" => self.hsts_enabled = flag,
                "hsts_subdomains" => self.hsts_subdomains = flag,
                "trust_forwarded_proto" => self.trust_forwarded_proto = flag,
                "caching_enabled" => self.caching_enabled = flag,
                "block_exploits" => self.block_exploits = flag,
                "allow_websocket_upgrade" => self.allow_websocket_upgrade = flag,
                "enabled" => self.enabled = flag,
                "advanced_config" => self.advanced_config = text(),
                "locations" => self.locations = value.clone(),
                "meta" => self.meta = value.as_object().cloned().unwrap_or_default(),
                _ => {}
            }
        }
        self.ssl_forced &= certified;
        self.http2_support &= certified;
        self.hsts_enabled &= self.ssl_forced;
        self.hsts_subdomains &= self.hsts_enabled;
        self.modified_on = now();
    }

    pub(super) fn json(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(map)) => map,
            _ => Map::new(),
        }
    }

    pub(super) fn has_name(&self, name: &str) -> bool {
        !self.deleted && self.domain_names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

/// A certificate.
#[derive(Clone, Serialize)]
pub(super) struct Certificate {
    pub(super) id: u64,
    pub(super) created_on: String,
    pub(super) modified_on: String,
    pub(super) owner_user_id: u64,
    pub(super) provider: String,
    pub(super) nice_name: String,
    pub(super) domain_names: Vec<String>,
    pub(super) expires_on: String,
    pub(super) meta: Map<String, Value>,
    /// Its files are there and fit together, so that nginx can load them.
    #[serde(skip)]
    pub(super) loadable: bool,
    #[serde(skip)]
    pub(super) deleted: bool,
    #[serde(skip)]
    pub(super) foreign: bool,
}

impl Certificate {
    pub(super) fn is_automatic(&self) -> bool {
        self.provider == "letsencrypt"
    }

    pub(super) fn json(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(map)) => map,
            _ => Map::new(),
        }
    }

    /// As it appears within a host: without the contents of `meta`.
    pub(super) fn within_host(&self) -> Value {
        let mut map = self.json();
        map.insert("is_deleted".to_owned(), json!(false));
        map.insert("meta".to_owned(), json!({}));
        Value::Object(map)
    }
}

/// The names of a body, sorted as the program stores them.
pub(super) fn sorted_names(value: &Value) -> Vec<String> {
    let mut names = plain_names(value);
    names.sort();
    names
}

/// The names of a body in its own order.
pub(super) fn plain_names(value: &Value) -> Vec<String> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}
