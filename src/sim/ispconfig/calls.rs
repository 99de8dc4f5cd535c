//! The functions of the remote API.

use serde_json::{Map, Value, json};

use super::forms::{self, text};
use super::state::{Row, State, Table, column, with_zone_columns};

/// Types of records that have functions, in small letters.
const FORMS: [&str; 18] = [
    "a", "aaaa", "alias", "caa", "cname", "dname", "ds", "hinfo", "loc", "mx", "naptr", "ns", "ptr", "rp",
    "srv", "sshfp", "tlsa", "txt",
];
/// The page that is answered when the zone of a serial cannot be found.
const ALERT: &str = "<div class='alert alert-danger clear'>\n  <div class='alert-label'><strong><tmpl_var \
                     name=\"error_txt\"></strong></div>\n  <div class='alert-content'>\n    <ul \
                     style=\"list-style-type:none\">\n      <li>Primary ID fehlt!</li>\n    </ul>\n  </div>\n</div>\n";
/// Verbs of the functions of a type.
const VERBS: [&str; 4] = ["get", "add", "update", "delete"];

/// What is answered, always with status 200.
pub(super) enum Reply {
    /// JSON.
    Json(Value),
    /// A page.
    Page(&'static str),
}

/// Why a function has no result.
enum Failure {
    Fault(String),
    Alert,
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::Fault(message)
    }
}

fn fault<T>(message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Fault(message.into()))
}

type Result<T, E = Failure> = std::result::Result<T, E>;

/// One call: the function and what was sent.
pub(super) struct Asked<'a> {
    pub function: &'a str,
    pub body: Map<String, Value>,
}

impl Asked<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        self.body.get(name)
    }

    fn parameters(&self) -> Row {
        self.get("params")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    }

    fn number(&self, name: &str) -> u64 {
        text(self.get(name)).parse().unwrap_or_default()
    }

    fn with_serial(&self) -> bool {
        self.get("update_serial")
            .and_then(Value::as_bool)
            .unwrap_or_default()
    }
}

/// Answers one call.
pub(super) fn answer(state: &mut State, asked: &Asked<'_>) -> Reply {
    let (code, message, response) = match call(state, asked) {
        Ok(Some(value)) => ("ok", String::new(), value),
        Ok(None) => {
            let message = format!("Method {} does not exist", asked.function);
            ("invalid_method", message, Value::Bool(false))
        }
        Err(Failure::Fault(message)) => ("remote_fault", message, Value::Bool(false)),
        Err(Failure::Alert) => return Reply::Page(ALERT),
    };
    Reply::Json(json!({"code": code, "message": message, "response": response}))
}

fn call(state: &mut State, asked: &Asked<'_>) -> Result<Option<Value>> {
    match asked.function {
        "login" => return log_in(state, asked).map(Some),
        "logout" => {
            state.close_session(&text(asked.get("session_id")));
            return Ok(Some(Value::Bool(true)));
        }
        _ => {}
    }
    let record = asked
        .function
        .strip_prefix("dns_")
        .and_then(|rest| rest.split_once('_'));
    let record = record.filter(|(form, verb)| FORMS.contains(form) && VERBS.contains(verb));
    if record.is_none() && !OTHERS.contains(&asked.function) {
        return Ok(None);
    }
    state.check_session(asked.get("session_id"))?;
    permitted(state, right_of(asked.function))?;
    let value = match (record, asked.function) {
        (Some((form, verb)), _) => record_call(state, asked, form, verb)?,
        (None, "dns_zone_get") => get(&state.zones, asked.get("primary_id"))?,
        (None, "dns_zone_get_id") => zone_id(state, asked)?,
        (None, "dns_zone_get_by_user") => zones_of(state, asked),
        (None, "dns_zone_add") => zone_add(state, asked)?,
        (None, "dns_zone_update") => zone_update(state, asked)?,
        (None, "dns_zone_set_status") => zone_status(state, asked)?,
        (None, "dns_zone_delete") => delete(&mut state.zones, asked.get("primary_id"), "dns_soa")?,
        (None, "dns_rr_get_all_by_zone") => {
            let zone = [("zone".to_owned(), text(asked.get("zone_id")))];
            Value::from_iter(state.records.matching(&zone).cloned().map(Value::Object))
        }
        (None, "client_add") => client_add(state, asked)?,
        (None, "client_get_by_username") => client_row(state, asked)?,
        (None, "client_get_id") => match state.client_of(asked.number("sys_userid")) {
            Some(client) => Value::from(client),
            None => return fault("There is no sys_user account with this userid."),
        },
        (None, "server_get_all") => servers(state),
        (None, "server_get_app_version") => json!({"ispc_app_version": state.options.version}),
        (None, _) => Value::from(state.changes.to_string()),
    };
    Ok(Some(value))
}

/// Functions other than those of records.
const OTHERS: [&str; 14] = [
    "dns_zone_get",
    "dns_zone_get_id",
    "dns_zone_get_by_user",
    "dns_zone_add",
    "dns_zone_update",
    "dns_zone_set_status",
    "dns_zone_delete",
    "dns_rr_get_all_by_zone",
    "client_add",
    "client_get_by_username",
    "client_get_id",
    "server_get_all",
    "server_get_app_version",
    "monitor_jobqueue_count",
];

/// The function whose right is looked at.
fn right_of(function: &str) -> &str {
    match function {
        "dns_rr_get_all_by_zone" | "dns_zone_get_by_user" => "dns_zone_get",
        "server_get_app_version" => "server_get",
        other => other,
    }
}

fn permitted(state: &State, function: &str) -> Result<()> {
    match state.denied.contains(function) {
        true => fault("You do not have the permissions to access this function."),
        false => Ok(()),
    }
}

fn log_in(state: &mut State, asked: &Asked<'_>) -> Result<Value> {
    let (username, password) = (text(asked.get("username")), text(asked.get("password")));
    if username.is_empty() {
        return fault("The login username is empty.");
    }
    if password.is_empty() {
        return fault("The login password is empty.");
    }
    if state.locked_out() {
        return fault("The login failure limit has been reached.");
    }
    if let Some(only) = &state.options.allowed_address
        && *only != state.address
    {
        let message = format!("The login is not allowed from {}", state.address);
        state.fail();
        return fault(message);
    }
    if username != state.options.username || password != state.options.password {
        state.fail();
        return fault("The login failed. Username or password wrong.");
    }
    Ok(Value::from(state.open_session()))
}

// Tables.

/// `primary_id` as a number, -1, or an object of columns.
fn get(table: &Table, id: Option<&Value>) -> Result<Value> {
    if let Some(Value::Object(filter)) = id {
        return select(table, filter);
    }
    let id: i64 = match text(id).parse() {
        Ok(id) => id,
        Err(_) => return Ok(Value::Bool(false)),
    };
    match id {
        -1 => Ok(Value::from_iter(table.rows.values().cloned().map(Value::Object))),
        1.. => {
            let row = u64::try_from(id).ok().and_then(|id| table.rows.get(&id));
            Ok(row.cloned().map_or(Value::Null, Value::Object))
        }
        _ => fault("The ID has to be > 0 or -1."),
    }
}

fn select(table: &Table, filter: &Row) -> Result<Value> {
    let number = |name: &str| {
        filter
            .get(name)
            .and_then(|value| text(Some(value)).parse::<usize>().ok())
    };
    let (offset, limit) = (
        number("#OFFSET#").unwrap_or_default(),
        number("#LIMIT#").unwrap_or_default(),
    );
    let columns: Vec<(String, String)> = filter
        .iter()
        .filter(|(name, _)| !name.starts_with('#'))
        .map(|(name, value)| (name.clone(), text(Some(value))))
        .collect();
    if columns.is_empty() {
        return fault(syntax("SELECT * FROM `table` WHERE  AND 1"));
    }
    let limit = if limit == 0 { usize::MAX } else { limit };
    let rows = table.matching(&columns).skip(offset).take(limit);
    Ok(Value::from_iter(rows.cloned().map(Value::Object)))
}

fn syntax(statement: &str) -> String {
    format!(
        "You have an error in your SQL syntax; check the manual that corresponds to your MariaDB server version for \
         the right syntax to use near 'AND 1' at line 1 {statement}"
    )
}

/// The id stands in the statement as it was sent: a text can say anything.
fn delete(table: &mut Table, id: Option<&Value>, name: &str) -> Result<Value> {
    let id = text(id);
    if id.trim().is_empty() {
        return fault(syntax(&format!("DELETE FROM `{name}` WHERE id =  AND 1")));
    }
    if id.to_uppercase().contains(" OR 1=1") {
        let ids: Vec<u64> = table.rows.keys().copied().collect();
        return Ok(Value::from(
            ids.into_iter().filter(|id| table.remove(*id)).count(),
        ));
    }
    let gone = id.trim().parse().is_ok_and(|id| table.remove(id));
    Ok(Value::from(u64::from(gone)))
}

/// The row as it was with the new fields over it.
fn merged(table: &Table, id: u64, fields: Row) -> Row {
    let mut row = table.rows.get(&id).cloned().unwrap_or_default();
    row.extend(fields);
    row
}

fn user(state: &State, asked: &Asked<'_>) -> Result<u64> {
    let client = asked.number("client_id");
    match state.user_of(client) {
        Some(user) => Ok(user),
        None => fault(format!("Invalid client_id {client}")),
    }
}

/// Puts a checked row in place of the one that is there; how many rows changed.
fn replace(table: &mut Table, id: u64, row: Row) -> u64 {
    let Some(old) = table.rows.get_mut(&id) else {
        return 0;
    };
    let before = old.clone();
    old.extend(row);
    u64::from(*old != before)
}

// Records.

fn record_call(state: &mut State, asked: &Asked<'_>, form: &str, verb: &str) -> Result<Value> {
    match verb {
        "get" => get(&state.records, asked.get("primary_id")),
        "add" => {
            let user = user(state, asked)?;
            let row = forms::record(form, &asked.parameters())?;
            let zone = column(&row, "zone").parse().unwrap_or_default();
            let id = state.records.add(state.owned(row, user));
            state.records.through_api.insert(id);
            state.changes += 1;
            serial(state, asked, Some(zone))?;
            Ok(Value::from(id.to_string()))
        }
        "update" => {
            let user = user(state, asked)?;
            let id = asked.number("primary_id");
            let row = forms::record(form, &merged(&state.records, id, asked.parameters()))?;
            let row = state.owned(row, user);
            let changed = replace(&mut state.records, id, row);
            state.changes += changed;
            // Only the parameters name the zone, not the row.
            let zone = asked.parameters().get("zone").map(|zone| text(Some(zone)));
            serial(state, asked, zone.and_then(|zone| zone.parse().ok()))?;
            Ok(Value::from(changed))
        }
        _ => {
            let row = text(asked.get("primary_id"))
                .parse()
                .ok()
                .and_then(|id: u64| state.records.rows.get(&id));
            let zone = row.and_then(|row| column(row, "zone").parse().ok());
            let removed = delete(&mut state.records, asked.get("primary_id"), "dns_rr")?;
            state.changes += removed.as_u64().unwrap_or_default();
            serial(state, asked, zone)?;
            Ok(removed)
        }
    }
}

/// Changes the serial if asked to: after the record was changed, with a right of its own.
fn serial(state: &mut State, asked: &Asked<'_>, zone: Option<u64>) -> Result<()> {
    if !asked.with_serial() {
        return Ok(());
    }
    permitted(state, "dns_zone_update")?;
    match zone.is_some_and(|zone| state.increase_serial(zone)) {
        true => Ok(()),
        false => Err(Failure::Alert),
    }
}

// Zones.

fn zone_id(state: &State, asked: &Asked<'_>) -> Result<Value> {
    let origin = text(asked.get("origin")).to_lowercase();
    let mut labels = origin.split('.');
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let first = labels
        .next()
        .is_some_and(|label| label.len() > 2 && label.chars().all(plain));
    let rest: Vec<&str> = labels.collect();
    let ending =
        |label: &&str| (2..=4).contains(&label.len()) && label.chars().all(|c| c.is_ascii_lowercase());
    if !first || rest.is_empty() || !rest.iter().all(ending) {
        return fault("Invalid domain name.");
    }
    // By prefix: `shop.co` finds `shop.co.uk.` as well.
    let pattern = [("origin".to_owned(), format!("{origin}%"))];
    match state.zones.matching(&pattern).next() {
        Some(row) => Ok(Value::from(column(row, "id").parse::<u64>().unwrap_or_default())),
        None => fault("There is no domain ID with informed domain name."),
    }
}

fn zones_of(state: &State, asked: &Asked<'_>) -> Value {
    let (client, server) = (asked.number("client_id"), asked.number("server_id"));
    let Some(user) = state.user_of(client).filter(|_| client > 0 && server > 0) else {
        return Value::Bool(false);
    };
    let columns = [
        ("sys_userid".to_owned(), user.to_string()),
        ("server_id".to_owned(), server.to_string()),
    ];
    let short = |row: &Row| json!({"id": column(row, "id"), "origin": column(row, "origin")});
    Value::from_iter(state.zones.matching(&columns).map(short))
}

fn zone_add(state: &mut State, asked: &Asked<'_>) -> Result<Value> {
    let user = user(state, asked)?;
    let row = forms::zone(&asked.parameters(), |origin| state.zone_at(origin).is_some())?;
    let row = with_zone_columns(state.owned(row, user));
    let id = state.zones.add(row);
    state.zones.through_api.insert(id);
    state.changes += 1;
    Ok(Value::from(id.to_string()))
}

fn zone_update(state: &mut State, asked: &Asked<'_>) -> Result<Value> {
    let user = user(state, asked)?;
    let id = asked.number("primary_id");
    let fields = merged(&state.zones, id, asked.parameters());
    let row = forms::zone(&fields, |origin| {
        state.zone_at(origin).is_some_and(|other| other != id)
    })?;
    let row = state.owned(row, user);
    let changed = replace(&mut state.zones, id, row);
    state.changes += changed;
    Ok(Value::from(changed))
}

/// Without an entry in the change log: no name server ever learns of it.
fn zone_status(state: &mut State, asked: &Asked<'_>) -> Result<Value> {
    let active = match text(asked.get("status")).as_str() {
        "active" => "Y",
        "inactive" => "N",
        _ => return fault("The status is not available"),
    };
    let row = state.zones.rows.get_mut(&asked.number("primary_id"));
    let found = row.map(|row| row.insert("active".to_owned(), Value::from(active)));
    Ok(Value::from(u64::from(found.is_some())))
}

// Customers and servers.

fn client_add(state: &mut State, asked: &Asked<'_>) -> Result<Value> {
    let username = text(asked.parameters().get("username"));
    if state
        .customers
        .values()
        .any(|customer| customer.username == username)
    {
        return fault("username_error_unique<br>\r\nDuplicate username<br />");
    }
    Ok(Value::from(state.add_customer(&username).to_string()))
}

/// The row of a panel user, with everything that is in it.
fn client_row(state: &State, asked: &Asked<'_>) -> Result<Value> {
    let username = text(asked.get("username"));
    let found = state
        .customers
        .iter()
        .find(|(_, customer)| customer.username == username);
    let Some((id, customer)) = found else {
        return fault("There is no user account for this user name.");
    };
    Ok(json!({
        "userid": customer.user.to_string(), "sys_userid": "1", "sys_groupid": "1", "sys_perm_user": "riud",
        "sys_perm_group": "riud", "sys_perm_other": "", "username": customer.username,
        "passwort": state.options.password_hash, "modules": "dashboard,mail,sites,dns,tools,help",
        "startmodule": "dashboard", "app_theme": "default", "typ": "user", "active": "1", "language": "en",
        "groups": customer.user.to_string(), "default_group": customer.user.to_string(),
        "client_id": id.to_string(), "id_rsa": "", "ssh_rsa": "", "lost_password_function": "1",
        "lost_password_hash": "", "lost_password_reqtime": null, "otp_type": "none", "otp_data": null,
        "otp_recovery": null, "otp_attempts": "0",
    }))
}

fn servers(state: &State) -> Value {
    let servers = [state.options.server_id, state.options.server_id + 1];
    Value::from_iter(servers.into_iter().enumerate().map(|(place, id)| {
        json!({"server_id": id.to_string(), "server_name": format!("ns{}.example.net", place + 1)})
    }))
}
