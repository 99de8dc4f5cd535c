//! The JSON of Nginx Proxy Manager 2.15, decoded leniently (older builds sent 0 and 1 for booleans, and
//! numbers as strings) and built strictly (the program coerces wrong types into surprising values).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use super::notice::Config;
use crate::domain::{Fqdn, Names, OwnerMark};
use crate::providers::error::ProviderError;
use crate::providers::reverse_proxy::{Certificate, CertificateId, ProxyHost, ProxyHostId, ProxyHostSpec};
use crate::providers::rows::Row;

/// Key in a host's free `meta` object under which the owner's mark is kept.
const MARK_KEY: &str = "hostwright";
/// Keys of `meta` that the program writes by itself after its nginx test.
const NGINX_KEYS: [&str; 2] = ["nginx_online", "nginx_err"];
/// Characters of nginx' complaint that are shown.
const PROBLEM_MAX: usize = 200;

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_u64().unwrap_or_default(),
        Value::String(text) => text.trim().parse().unwrap_or_default(),
        _ => 0,
    })
}

fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Bool(flag) => flag,
        Value::Number(number) => number.as_u64() == Some(1),
        Value::String(text) => text == "true" || text == "1",
        _ => false,
    })
}

fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::<Vec<String>>::deserialize(deserializer)?.unwrap_or_default())
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        _ => String::new(),
    })
}

fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Object(map) => map,
        _ => Map::new(),
    })
}

/// Answer to a log-in: a token, or the demand for a second factor.
#[derive(Deserialize)]
pub(super) struct LogIn {
    #[serde(default)]
    pub(super) token: Option<String>,
    #[serde(default)]
    pub(super) expires: Option<Timestamp>,
    #[serde(default)]
    pub(super) requires_2fa: bool,
}

/// Our own account.
#[derive(Deserialize)]
pub(super) struct Account {
    #[serde(default)]
    pub(super) roles: Vec<String>,
    #[serde(default)]
    pub(super) permissions: Option<Permissions>,
}

/// What an account may do; each is `manage`, `view` or `hidden`.
#[derive(Deserialize)]
pub(super) struct Permissions {
    #[serde(default)]
    pub(super) proxy_hosts: String,
    #[serde(default)]
    pub(super) certificates: String,
}

impl Account {
    /// The rights that we need and the account lacks. An answer without permissions proves nothing.
    pub(super) fn missing_rights(&self) -> Vec<String> {
        let Some(permissions) = &self.permissions else {
            return Vec::new();
        };
        if self.roles.iter().any(|role| role == "admin") {
            return Vec::new();
        }
        [
            ("proxy_hosts", &permissions.proxy_hosts),
            ("certificates", &permissions.certificates),
        ]
        .into_iter()
        .filter(|(_, level)| level.as_str() != "manage")
        .map(|(right, _)| format!("{right}: manage"))
        .collect()
    }
}

/// A proxy host. Settings that we do not speak of are not read.
#[derive(Deserialize)]
pub(super) struct HostRow {
    #[serde(deserialize_with = "number")]
    pub(super) id: u64,
    #[serde(default, deserialize_with = "names")]
    pub(super) domain_names: Vec<String>,
    #[serde(default)]
    forward_scheme: String,
    #[serde(default)]
    forward_host: String,
    #[serde(default, deserialize_with = "number")]
    forward_port: u64,
    #[serde(default, deserialize_with = "number")]
    pub(super) certificate_id: u64,
    #[serde(default, deserialize_with = "flag")]
    ssl_forced: bool,
    #[serde(default, deserialize_with = "flag")]
    http2_support: bool,
    #[serde(default, deserialize_with = "flag")]
    allow_websocket_upgrade: bool,
    #[serde(default, deserialize_with = "flag")]
    block_exploits: bool,
    #[serde(default, deserialize_with = "flag")]
    pub(super) enabled: bool,
    #[serde(default, deserialize_with = "object")]
    meta: Map<String, Value>,
    #[serde(default, deserialize_with = "text")]
    advanced_config: String,
    /// Present only with `expand=certificate`: `Some(false)` when the id leads nowhere.
    #[serde(default, rename = "certificate", deserialize_with = "presence")]
    certificate_exists: Option<bool>,
}

/// Whether an expanded relation is an object. Its contents are skipped: they may hold key material.
fn presence<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    let there = Option::<serde::de::IgnoredAny>::deserialize(deserializer)?;
    Ok(Some(there.is_some()))
}

impl HostRow {
    /// Whose it is.
    pub(super) fn mark(&self) -> Option<OwnerMark> {
        self.meta.get(MARK_KEY)?.as_str()?.parse().ok()
    }

    /// Whether `domain` is one of its names, in any case.
    pub(super) fn answers_for(&self, domain: &Fqdn) -> bool {
        contains(&self.domain_names, domain)
    }

    /// The certificate that it refers to does not exist (any more).
    pub(super) fn certificate_dangles(&self) -> bool {
        self.certificate_id > 0 && self.certificate_exists == Some(false)
    }

    /// nginx' refusal to load it.
    pub(super) fn nginx_refused(&self) -> bool {
        self.meta.get("nginx_online") == Some(&Value::Bool(false))
    }

    /// Something is kept at the place of the mark, readable or not: somebody's, unless it is `mark`.
    pub(super) fn is_marked(&self) -> bool {
        self.meta.contains_key(MARK_KEY)
    }

    /// The whole of `meta` with the owner's mark, for a host that shall be nothing but marked.
    pub(super) fn adopted_meta(&self, owner: &OwnerMark) -> Map<String, Value> {
        let mut meta = self.meta.clone();
        meta.insert(MARK_KEY.to_owned(), Value::String(owner.to_string()));
        meta
    }

    /// The text for `advanced_config` that shows `notice` or none; `None` when it is so.
    ///
    /// # Errors
    /// `Invalid` when the notice is longer than nginx takes.
    pub(super) fn config_with(&self, notice: Option<&str>) -> Result<Option<String>, ProviderError> {
        let text = Config::read(&self.advanced_config).with(notice)?;
        Ok((text != self.advanced_config).then_some(text))
    }

    /// `meta` for an update: PUT replaces the object, so that everything foreign in it is sent back.
    pub(super) fn meta_with(&self, owner: &OwnerMark) -> Map<String, Value> {
        let mut meta = self.meta.clone();
        meta.retain(|key, _| !NGINX_KEYS.contains(&key.as_str()));
        meta.insert(MARK_KEY.to_owned(), Value::String(owner.to_string()));
        meta
    }

    fn problem(&self) -> Option<String> {
        if self.certificate_dangles() {
            return Some(format!(
                "its certificate {} does not exist in the proxy; set another one",
                self.certificate_id
            ));
        }
        if self.nginx_refused() {
            let text = self.meta.get("nginx_err").and_then(Value::as_str);
            return Some(complaint(text.unwrap_or_default()));
        }
        (self.enabled && !self.tested()).then(|| "the proxy has stored it but not loaded it".to_owned())
    }

    /// The program has tried to load it at least once. A create that broke off half-way leaves a host
    /// without this; an update makes up for it.
    fn tested(&self) -> bool {
        self.meta.contains_key("nginx_online")
    }

    /// As the trait shows it.
    pub(super) fn into_host(self) -> ProxyHost {
        let domains: Names = parsed(&self.domain_names);
        let address: Option<IpAddr> = self.forward_host.trim_matches(['[', ']']).parse().ok();
        let port = u16::try_from(self.forward_port).ok().filter(|port| *port > 0);
        let certificate = (self.certificate_id > 0).then_some(CertificateId(self.certificate_id));
        let secure = certificate.is_some();
        let config = Config::read(&self.advanced_config);
        let as_implied = domains.len() == self.domain_names.len()
            && address.is_some()
            && port.is_some()
            && self.forward_scheme == "http"
            && self.ssl_forced == secure
            && self.http2_support == secure
            && self.allow_websocket_upgrade
            && self.block_exploits
            && config.intact
            && (self.tested() || !self.enabled);
        ProxyHost {
            id: ProxyHostId(self.id),
            mark: self.mark(),
            deviates: !as_implied,
            enabled: self.enabled,
            problem: self.problem(),
            spec: ProxyHostSpec {
                domains,
                forward_address: address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
                forward_port: port.unwrap_or_default(),
                certificate,
                notice: config.notice,
            },
        }
    }
}

impl Row for HostRow {
    type Kept = Vec<ProxyHost>;

    fn keep(self, hosts: &mut Vec<ProxyHost>) {
        hosts.push(self.into_host());
    }
}

/// nginx' first complaint, without the paths of the machine it runs on.
fn complaint(text: &str) -> String {
    let line = text
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    let line = line.split(" in /").next().unwrap_or_default().trim();
    if line.is_empty() {
        return "nginx refused it without saying why".to_owned();
    }
    line.chars().take(PROBLEM_MAX).collect()
}

fn parsed(names: &[String]) -> Names {
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

fn contains(names: &[String], domain: &Fqdn) -> bool {
    names
        .iter()
        .any(|name| name.eq_ignore_ascii_case(domain.as_str()))
}

/// The settings of a host that are ours, in exact types. `enabled` is not among them: only its own end
/// points change what nginx serves. `config` is for `advanced_config`, when that shall change.
pub(super) fn host_body(spec: &ProxyHostSpec, meta: Map<String, Value>, config: Option<String>) -> Value {
    let secure = spec.certificate.is_some();
    let mut body = json!({
        "domain_names": spec.domains.iter().map(Fqdn::as_str).collect::<Vec<_>>(),
        "forward_scheme": "http",
        "forward_host": upstream(spec.forward_address),
        "forward_port": spec.forward_port,
        "certificate_id": spec.certificate.map_or(0, |id| id.0),
        "ssl_forced": secure,
        "http2_support": secure,
        "allow_websocket_upgrade": true,
        "block_exploits": true,
        "meta": meta,
    });
    if let (Some(config), Some(body)) = (config, body.as_object_mut()) {
        body.insert("advanced_config".to_owned(), Value::String(config));
    }
    body
}

/// An address as nginx takes it in an upstream's URL.
fn upstream(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// `meta` of a new host.
pub(super) fn new_meta(owner: &OwnerMark) -> Map<String, Value> {
    Map::from_iter([(MARK_KEY.to_owned(), Value::String(owner.to_string()))])
}

/// `advanced_config` of a new host.
///
/// # Errors
/// `Invalid` when the notice is longer than nginx takes.
pub(super) fn new_config(spec: &ProxyHostSpec) -> Result<Option<String>, ProviderError> {
    let notice = spec.notice.as_deref();
    notice
        .map(|notice| Config::read("").with(Some(notice)))
        .transpose()
}

/// A certificate. `meta` is left out on purpose: for uploaded ones it holds the private key in clear.
#[derive(Deserialize)]
pub(super) struct CertificateRow {
    #[serde(deserialize_with = "number")]
    pub(super) id: u64,
    #[serde(default)]
    provider: String,
    #[serde(default, deserialize_with = "names")]
    domain_names: Vec<String>,
    #[serde(default)]
    created_on: Option<String>,
    #[serde(default)]
    expires_on: Option<String>,
    #[serde(default)]
    proxy_hosts: Vec<UsedBy>,
    #[serde(default)]
    redirection_hosts: Vec<UsedBy>,
    #[serde(default)]
    dead_hosts: Vec<UsedBy>,
}

/// A host that uses a certificate.
#[derive(Deserialize)]
pub(super) struct UsedBy {
    #[serde(default, deserialize_with = "names")]
    pub(super) domain_names: Vec<String>,
}

/// What a list of certificates says.
#[derive(Default)]
pub(super) struct CertificateList {
    /// Every one that our account sees.
    there: BTreeSet<CertificateId>,
    /// Those that the authority has issued.
    pub(super) issued: Vec<Certificate>,
}

impl CertificateList {
    /// Whether the certificate that a host refers to is there, if it refers to any.
    pub(super) fn has_that_of(&self, host: &ProxyHost) -> bool {
        host.spec.certificate.is_none_or(|id| self.there.contains(&id))
    }
}

impl Row for CertificateRow {
    type Kept = CertificateList;

    fn keep(self, list: &mut CertificateList) {
        list.there.insert(CertificateId(self.id));
        if self.issued() {
            list.issued.push(self.into_certificate());
        }
    }
}

impl CertificateRow {
    /// Requested and renewed by the program itself.
    pub(super) fn automatic(&self) -> bool {
        self.provider == "letsencrypt"
    }

    /// The authority has issued it. The row exists from the beginning of the request, with its creation as
    /// its end; a host that refers to it then cannot be loaded.
    pub(super) fn issued(&self) -> bool {
        match (instant(&self.created_on), instant(&self.expires_on)) {
            (Some(created), Some(end)) => !self.automatic() || end > created,
            _ => true,
        }
    }

    /// Whether it was requested for exactly these names.
    pub(super) fn is_for(&self, domains: &Names) -> bool {
        self.automatic()
            && self.domain_names.len() == domains.len()
            && domains.iter().all(|domain| contains(&self.domain_names, domain))
    }

    /// Whether `domain` is one of its names, in any case.
    pub(super) fn names(&self, domain: &Fqdn) -> bool {
        contains(&self.domain_names, domain)
    }

    /// The first host that uses it.
    pub(super) fn user(&self) -> Option<&UsedBy> {
        self.proxy_hosts
            .iter()
            .chain(&self.redirection_hosts)
            .chain(&self.dead_hosts)
            .next()
    }

    /// As the trait shows it.
    pub(super) fn into_certificate(self) -> Certificate {
        Certificate {
            id: CertificateId(self.id),
            domains: parsed(&self.domain_names),
            automatic: self.automatic(),
            expires_at: instant(&self.expires_on),
        }
    }
}

/// A time of the program's, which names no zone. Read as UTC, the zone of its container; an error of some
/// hours does not matter where certificates last for months.
fn instant(text: &Option<String>) -> Option<Timestamp> {
    let civil: DateTime = text.as_deref()?.trim().replace(' ', "T").parse().ok()?;
    civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// A refusal as the program words it: `{"error":{"message":…},"debug":{"stack":[…]}}`, or a plain string.
#[derive(Default)]
pub(super) struct Refusal {
    /// Its message, empty when the body is something else.
    pub(super) message: String,
    /// Lines of the inner error, which certificate routes add. May hold command lines: never shown as is.
    pub(super) stack: Vec<String>,
}

impl Refusal {
    /// Reads a body; anything that is not such a refusal has an empty message.
    pub(super) fn read(body: &[u8]) -> Self {
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        let message = match value.get("error") {
            Some(Value::String(text)) => text.clone(),
            Some(error) => error
                .get("message")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            None => String::new(),
        };
        let stack = value.pointer("/debug/stack").and_then(Value::as_array);
        Self {
            message,
            stack: stack
                .map(|lines| {
                    lines
                        .iter()
                        .filter_map(Value::as_str)
                        .map(str::to_owned)
                        .collect()
                })
                .unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11";

    fn row(more: Value) -> HostRow {
        let mut row = json!({"id": 7, "domain_names": ["A.example.com"], "forward_scheme": "http",
            "forward_host": "10.0.0.9", "forward_port": "80", "certificate_id": 0, "ssl_forced": 0,
            "http2_support": false, "allow_websocket_upgrade": 1, "block_exploits": "true", "enabled": 1,
            "meta": {"nginx_online": true, "nginx_err": null, "note": "keep"}});
        row.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        serde_json::from_value(row).unwrap()
    }

    #[test]
    fn old_types_are_read_and_a_plain_host_does_not_deviate() {
        let host = row(json!({})).into_host();
        assert!(host.enabled && !host.deviates);
        assert_eq!(
            (host.spec.forward_port, host.mark, host.problem),
            (80, None, None)
        );
    }

    #[test]
    fn a_host_that_was_never_loaded_wants_an_update() {
        let host = row(json!({"meta": {}})).into_host();
        assert!(host.deviates && host.problem.is_some());
        assert!(!row(json!({"meta": {}, "enabled": false})).into_host().deviates);
    }

    #[test]
    fn text_of_a_hosters_own_does_not_deviate_and_a_changed_notice_does() {
        let closed = row(json!({})).config_with(Some("Closed.")).unwrap().unwrap();
        let texts = [(json!(null), None, false), (json!("set $x 1;"), None, false)];
        let ours = [
            (json!(closed), Some("Closed."), false),
            (json!(closed.replace("3600", "1")), None, true),
        ];
        for (text, notice, deviates) in texts.into_iter().chain(ours) {
            let host = row(json!({"advanced_config": text})).into_host();
            assert_eq!((host.spec.notice.as_deref(), host.deviates), (notice, deviates));
        }
    }

    #[test]
    fn foreign_shapes_are_read_without_an_error() {
        let host =
            row(json!({"domain_names": ["*.w.example.com"], "forward_host": "svc.local", "meta": null}));
        assert!(host.into_host().deviates);
    }

    #[test]
    fn a_dangling_certificate_is_a_problem() {
        let host = row(json!({"certificate_id": 7, "certificate": null}));
        assert!(host.certificate_dangles());
        assert!(!row(json!({"certificate_id": 7})).certificate_dangles());
    }

    #[test]
    fn updates_keep_foreign_keys_and_drop_nginx_state() {
        let owner: OwnerMark = format!("hostwright:prod:{UID}").parse().unwrap();
        let meta = row(json!({})).meta_with(&owner);
        assert_eq!(
            Value::Object(meta),
            json!({"note": "keep", "hostwright": owner.to_string()})
        );
    }

    #[test]
    fn complaints_are_short_and_without_paths() {
        let text =
            "nginx: [emerg] unknown directive \"this\" in /data/nginx/proxy_host/3.conf:37\nnginx: x\n";
        assert_eq!(complaint(text), "nginx: [emerg] unknown directive \"this\"");
    }

    #[test]
    fn a_certificate_under_request_is_not_issued() {
        let of = |end: &str| -> CertificateRow {
            serde_json::from_value(
                json!({"id": 1, "provider": "letsencrypt", "domain_names": ["a.example.com"],
                "created_on": "2026-11-20 07:31:04", "expires_on": end}),
            )
            .unwrap()
        };
        assert!(!of("2026-11-20 07:31:04").issued());
        assert!(of("2027-02-18 07:31:04").issued());
    }
}
