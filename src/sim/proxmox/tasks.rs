//! Workers: their identifiers, their ends, their lists.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Map, Value, json};

use super::errors::Refusal;
use super::formats;
use super::http::Call;
use super::state::{Event, State};
use super::work::{self, Work};

/// Finished tasks that are remembered; the real archive is cut in the same way.
const ARCHIVE: usize = 20_000;
/// Rows of a task list unless asked otherwise.
const LIST_LIMIT: usize = 50;
/// End of a worker that was killed.
const KILLED: &str = "interrupted by signal";

/// What shall happen to the next task of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskFault {
    /// It ends with this sentence and leaves what the real one would leave.
    Fail(String),
    /// It does its work and ends with `WARNINGS: 1`.
    Warn,
    /// It ends with `OK` and has done nothing.
    Hollow,
    /// Destruction: the disks are freed, then it fails with this sentence; the configuration stays with lock
    /// `destroyed`. Growth: the device has grown, and the configuration does not know it.
    FailAfterDisks(String),
}

/// One worker.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) upid: String,
    pub(super) node: String,
    pid: u32,
    pstart: u64,
    started_at: i64,
    pub(super) kind: &'static str,
    vmid: u32,
    user: String,
    born: Instant,
    work: Option<Work>,
    fault: Option<TaskFault>,
    outcome: Option<(i64, String)>,
}

/// All workers.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    all: BTreeMap<u64, Task>,
    by_upid: BTreeMap<String, u64>,
    by_vmid: BTreeMap<u32, Vec<u64>>,
}

impl Task {
    fn row(&self) -> Map<String, Value> {
        let mut row = Map::new();
        row.insert("upid".to_owned(), json!(self.upid));
        row.insert("node".to_owned(), json!(self.node));
        row.insert("pid".to_owned(), json!(self.pid));
        row.insert("pstart".to_owned(), json!(self.pstart));
        row.insert("starttime".to_owned(), json!(self.started_at));
        row.insert("type".to_owned(), json!(self.kind));
        row.insert("id".to_owned(), json!(self.vmid.to_string()));
        let (user, token) = match self.user.split_once('!') {
            Some((user, token)) => (user, Some(token)),
            None => (self.user.as_str(), None),
        };
        row.insert("user".to_owned(), json!(user));
        if let Some(token) = token {
            row.insert("tokenid".to_owned(), json!(token));
        }
        row
    }

    fn finished_as(&self) -> &'static str {
        match &self.outcome {
            None => "unknown",
            Some((_, exit)) if exit == "OK" => "ok",
            Some((_, exit)) if exit.starts_with("WARNINGS") => "warning",
            Some(_) => "error",
        }
    }
}

impl Tasks {
    fn insert(&mut self, serial: u64, task: Task) {
        self.by_upid.insert(task.upid.clone(), serial);
        self.by_vmid.entry(task.vmid).or_default().push(serial);
        self.all.insert(serial, task);
        if self.all.len() > ARCHIVE
            && let Some((oldest, task)) = self.all.pop_first()
        {
            self.by_upid.remove(&task.upid);
            if let Some(serials) = self.by_vmid.get_mut(&task.vmid) {
                serials.retain(|serial| *serial != oldest);
                if serials.is_empty() {
                    self.by_vmid.remove(&task.vmid);
                }
            }
        }
    }
}

/// Starts a worker and returns its identifier.
pub(super) fn begin(state: &mut State, user: &str, node: &str, vmid: u32, mut work: Work) -> String {
    let kind = work.kind();
    let fault = state.faults.get_mut(kind).and_then(|queue| queue.pop_front());
    let (serial, pid, pstart) = (state.next_serial(), state.next_pid(), state.ticks());
    let started_at = state.wall(state.now);
    let upid = format!("UPID:{node}:{pid:08X}:{pstart:08X}:{started_at:08X}:{kind}:{vmid}:{user}:");
    let prepared = work::prepare(state, vmid, &mut work);
    let ended_at = state.wall(state.now);
    let failed = prepared.err().map(|text| (ended_at, on_one_line(&text)));
    let done = failed.is_some();
    let task = Task {
        upid: upid.clone(),
        node: node.to_owned(),
        pid,
        pstart,
        started_at,
        kind,
        vmid,
        user: user.to_owned(),
        born: state.now,
        work: (!done).then_some(work),
        fault,
        outcome: failed,
    };
    state.tasks.insert(serial, task);
    if !done {
        state.schedule(state.options.task_time, Event::TaskEnds(serial));
    }
    upid
}

/// A worker's time has come.
pub(super) fn end(state: &mut State, serial: u64) {
    let Some(task) = state.tasks.all.get_mut(&serial) else {
        return;
    };
    let (Some(work), fault, vmid) = (task.work.take(), task.fault.take(), task.vmid) else {
        return;
    };
    let user = task.user.clone();
    let exit = match work::finish(state, vmid, &user, work, fault) {
        Ok(exit) => exit.to_owned(),
        Err(text) => on_one_line(&text),
    };
    let ended_at = state.wall(state.now);
    if let Some(task) = state.tasks.all.get_mut(&serial) {
        task.outcome = Some((ended_at, exit));
    }
}

fn on_one_line(text: &str) -> String {
    text.trim_end().replace('\n', " ")
}

fn no_such_task(text: &str) -> Refusal {
    Refusal::parameter("upid", text)
}

fn find<'s>(state: &'s State, call: &Call) -> Result<(u64, &'s Task), Refusal> {
    let upid = call.text("upid").unwrap_or_default();
    let parts: Vec<&str> = upid.split(':').collect();
    let shaped = parts.len() == 9 && parts.first() == Some(&"UPID") && parts.last() == Some(&"");
    if !shaped {
        return Err(no_such_task("unable to parse worker upid"));
    }
    let serial = state.tasks.by_upid.get(upid).copied();
    let found = serial.and_then(|serial| Some((serial, state.tasks.all.get(&serial)?)));
    match found {
        Some((serial, task))
            if task.node == call.node && task.born + state.options.fresh_upid_delay <= state.now =>
        {
            Ok((serial, task))
        }
        _ => Err(no_such_task("no such task")),
    }
}

/// `GET /nodes/{node}/tasks/{upid}/status`
pub(super) fn status(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let (_, task) = find(state, call)?;
    if task.user != call.user {
        state.require(&format!("/nodes/{}", call.node), "Sys.Audit")?;
    }
    let mut row = task.row();
    match &task.outcome {
        None => {
            row.insert("status".to_owned(), json!("running"));
        }
        Some((_, exit)) => {
            row.insert("status".to_owned(), json!("stopped"));
            row.insert("exitstatus".to_owned(), json!(exit));
        }
    }
    Ok(Value::Object(row))
}

/// `GET /nodes/{node}/tasks/{upid}/log`
pub(super) fn log(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let (_, task) = find(state, call)?;
    let mut lines = vec![format!("{} of {} began", task.kind, task.vmid)];
    if let Some((_, exit)) = &task.outcome {
        match task.finished_as() {
            "ok" => lines.push("TASK OK".to_owned()),
            "warning" => {
                lines.push("WARN: Systemd 255 detected. You may need to enable nesting.".to_owned());
                lines.push(format!("TASK {exit}"));
            }
            _ => lines.push(format!("TASK ERROR: {exit}")),
        }
    }
    let start: usize = call.parsed("start").unwrap_or_default();
    let limit = match call.parsed("limit").unwrap_or(LIST_LIMIT) {
        0 => usize::MAX,
        limit => limit,
    };
    let rows = lines.iter().enumerate().skip(start).take(limit);
    Ok(rows.map(|(n, line)| json!({"n": n + 1, "t": line})).collect())
}

/// `DELETE /nodes/{node}/tasks/{upid}`: kills the worker where it stands.
pub(super) fn abort(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let (serial, _) = find(state, call)?;
    let ended_at = state.wall(state.now);
    let killed = state.tasks.all.get_mut(&serial).and_then(|task| {
        let work = task.work.take()?;
        task.outcome = Some((ended_at, KILLED.to_owned()));
        Some((task.vmid, work))
    });
    if let Some((vmid, work)) = killed {
        work::kill(state, vmid, work);
    }
    Ok(Value::Null)
}

/// `GET /nodes/{node}/tasks`
pub(super) fn list(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let start: usize = call.parsed("start").unwrap_or_default();
    let limit: usize = call.parsed("limit").unwrap_or(LIST_LIMIT);
    let foreign_too = !state.lacks("Sys.Audit");
    let keep = |task: &Task| {
        task.node == call.node && (foreign_too || task.user == call.user) && matches(call, task)
    };
    let tasks = &state.tasks;
    let chosen: Vec<&Task> = match call.parsed::<u32>("vmid") {
        Some(vmid) => {
            let serials = tasks.by_vmid.get(&vmid).map(Vec::as_slice).unwrap_or_default();
            let found = serials.iter().rev().filter_map(|serial| tasks.all.get(serial));
            found.filter(|task| keep(task)).skip(start).take(limit).collect()
        }
        None => {
            let newest_first = tasks.all.values().rev();
            newest_first
                .filter(|task| keep(task))
                .skip(start)
                .take(limit)
                .collect()
        }
    };
    Ok(chosen.into_iter().map(list_row).collect())
}

/// `GET /cluster/tasks`: without `Sys.Audit` a token does not even see its own.
pub(super) fn of_cluster(state: &mut State, _: &Call) -> Result<Value, Refusal> {
    if state.lacks("Sys.Audit") {
        return Ok(json!([]));
    }
    Ok(state
        .tasks
        .all
        .values()
        .rev()
        .take(LIST_LIMIT)
        .map(list_row)
        .collect())
}

fn list_row(task: &Task) -> Value {
    let mut row = task.row();
    if let Some((ended_at, exit)) = &task.outcome {
        row.insert("endtime".to_owned(), json!(ended_at));
        row.insert("status".to_owned(), json!(exit));
    }
    Value::Object(row)
}

fn matches(call: &Call, task: &Task) -> bool {
    let done = task.outcome.is_some();
    let in_source = match call.text("source").unwrap_or("archive") {
        "active" => !done,
        "archive" => done,
        _ => true,
    };
    let state_wanted = call.text("statusfilter").is_none_or(|wanted| {
        let mut wanted = formats::list(wanted);
        wanted.any(|word| done && word == task.finished_as())
    });
    in_source
        && state_wanted
        && !(call.flag("errors") && (!done || task.finished_as() == "ok"))
        && call.text("typefilter").is_none_or(|kind| kind == task.kind)
        && call
            .text("userfilter")
            .is_none_or(|user| task.user.contains(user))
        && call
            .parsed::<i64>("since")
            .is_none_or(|since| task.started_at >= since)
        && call
            .parsed::<i64>("until")
            .is_none_or(|until| task.started_at <= until)
}
