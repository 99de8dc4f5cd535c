//! Trees and tables for people. Pure: the time is given.

use jiff::Timestamp;

use super::view::{Part, SiteView, Standing, TaskView};
use crate::api::condition::kinds;
use crate::api::{BackupPhase, DomainState, Phase, RestorePhase, SiteDomain, SiteResources, SiteUsage};
use crate::commands::ink::{Ink, Tone, harmless};

/// Spaces between two columns.
const GAP: &str = "  ";

/// One line of a tree, with those below it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// Type of the condition behind it, if any.
    pub(super) kind: String,
    pub(super) label: String,
    pub(super) state: Option<(Tone, String)>,
    pub(super) since: Option<Timestamp>,
    pub(super) text: String,
    /// Further lines of text.
    pub(super) more: Vec<String>,
    pub(super) children: Vec<Node>,
}

impl Node {
    /// A line without state and age.
    pub(super) fn new(label: &str, text: &str) -> Self {
        Self {
            kind: String::new(),
            label: label.to_owned(),
            state: None,
            since: None,
            text: text.to_owned(),
            more: Vec::new(),
            children: Vec::new(),
        }
    }
}

/// The root of an object's tree: how it stands as a whole.
pub(super) fn named(name: &str, standing: &Standing, paused: bool, deleting: bool) -> Node {
    let mut node = Node::new(name, "");
    if let Some(ready) = &standing.ready {
        node.state = Some((ready.tone(), ready.reason.clone()));
        node.text = ready.message.clone();
        // Where a part says it, the whole need not.
        let said = standing.parts.iter().any(|part| part.next.is_some());
        node.more
            .extend(ready.next.iter().filter(|_| !said).map(|next| next_line(next)));
    }
    if paused {
        node.more
            .push("next: nothing, until the annotation hostwright.dev/paused is removed".to_owned());
    }
    if deleting {
        node.more.push("being deleted".to_owned());
    }
    node
}

fn next_line(next: &str) -> String {
    format!("next: {next}")
}

/// A line for each part.
pub(super) fn parts(standing: &Standing) -> Vec<Node> {
    let part = |part: &Part| Node {
        kind: part.kind.clone(),
        state: Some((part.tone(), part.reason.clone())),
        since: Some(part.since),
        more: part.next.iter().map(|next| next_line(next)).collect(),
        ..Node::new(&part.name, &part.message)
    };
    standing.parts.iter().map(part).collect()
}

/// A site as a tree.
pub(super) fn site(view: &SiteView) -> Node {
    let mut root = named(&view.name, &view.standing, view.paused, view.deleting);
    if let Some(phase) = view.phase {
        root.state = Some((phase_tone(phase), format!("{phase:?}")));
    }
    root.since = view.created_at;
    let about = format!("plan {}, service {}", view.plan, view.service_id);
    let first = view.url.iter().cloned().chain([about]);
    root.more.splice(0..0, first);
    root.children = parts(&view.standing);
    for child in &mut root.children {
        match child.kind.as_str() {
            kinds::CONTAINER_READY => child.more.splice(0..0, container(view)).for_each(drop),
            kinds::CERTIFICATE_READY => {
                let end = view
                    .certificate
                    .as_ref()
                    .and_then(|certificate| certificate.expires_at.as_ref());
                child
                    .more
                    .splice(0..0, end.map(|end| until(end.0)))
                    .for_each(drop);
            }
            _ => {}
        }
    }
    root.children.extend(usage(view));
    root.children.extend(domains(view));
    root.children.extend(backups(view));
    root.children.extend(restores(view));
    root.children.extend(tasks(view));
    root.children.extend(view.notes.iter().map(|note| Node {
        state: Some((Tone::Waiting, "Unknown".to_owned())),
        ..Node::new("Note", note)
    }));
    root
}

fn phase_tone(phase: Phase) -> Tone {
    match phase {
        Phase::Running => Tone::Good,
        Phase::Degraded => Tone::Bad,
        _ => Tone::Waiting,
    }
}

fn until(end: Timestamp) -> String {
    format!("until {}", day(end))
}

/// Year, month and day in UTC.
fn day(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d").to_string()
}

fn container(view: &SiteView) -> Option<String> {
    let place = match (&view.node, view.vmid) {
        (Some(node), Some(vmid)) => Some(format!("{node}/{vmid}")),
        (None, Some(vmid)) => Some(format!("number {vmid}")),
        _ => None,
    };
    let sizes = view.resources.map(|sizes| {
        let SiteResources {
            cores,
            memory_mib,
            swap_mib,
            disk_gib,
            high_availability,
        } = sizes;
        let managed = if high_availability {
            ", high availability"
        } else {
            ""
        };
        format!("{cores} cores, {memory_mib} MiB memory, {swap_mib} MiB swap, {disk_gib} GiB disk{managed}")
    });
    let all: Vec<String> = [place, view.private_ip.clone(), sizes]
        .into_iter()
        .flatten()
        .collect();
    (!all.is_empty()).then(|| all.join(", "))
}

fn usage(view: &SiteView) -> Option<Node> {
    let SiteUsage {
        cpu_percent,
        memory_mib,
        disk_mib,
        running_since,
        read_at,
    } = view.usage.as_ref()?;
    let limits = view.resources;
    let memory = limits.map_or(String::new(), |sizes| format!(" of {}", sizes.memory_mib));
    let disk = limits.map_or(String::new(), |sizes| format!(" of {}.0", sizes.disk_gib));
    // Tenths of a GiB.
    let tenths = disk_mib.saturating_mul(10) / 1024;
    let mut text = format!(
        "CPU {cpu_percent} %, memory {memory_mib}{memory} MiB, disk {}.{}{disk} GiB",
        tenths / 10,
        tenths % 10
    );
    if let Some(since) = running_since {
        text.push_str(&format!(
            ", running since {}",
            since.0.strftime("%Y-%m-%d %H:%M UTC")
        ));
    }
    Some(Node {
        since: Some(read_at.0),
        ..Node::new("Usage", &text)
    })
}

fn domains(view: &SiteView) -> Option<Node> {
    let quota = view.quota.as_ref().map(|quota| &quota.domains);
    let empty = quota.is_none_or(|quota| quota.limit == 0);
    if view.domains.is_empty() && empty {
        return None;
    }
    let mut node = Node::new("Domains", "");
    node.state = quota.map(|quota| (Tone::Plain, format!("{}/{}", quota.used, quota.limit)));
    node.children = view.domains.iter().map(domain).collect();
    Some(node)
}

fn domain(domain: &SiteDomain) -> Node {
    let (tone, next) = match domain.state {
        DomainState::Ready => (Tone::Good, None),
        DomainState::PendingDns => (Tone::Waiting, Some("looked up again by itself")),
        DomainState::Pending | DomainState::Issuing | DomainState::Removing => (Tone::Waiting, None),
        DomainState::Failed => (Tone::Bad, Some("by itself")),
        DomainState::Conflict | DomainState::QuotaExceeded | DomainState::Invalid => (Tone::Bad, None),
    };
    let mut node = Node::new(&domain.name, &domain.message);
    node.state = Some((tone, format!("{:?}", domain.state)));
    let end = domain.certificate_expires_at.as_ref();
    let end = end.map(|end| format!("certificate {}", until(end.0)));
    match end {
        Some(end) if node.text.is_empty() => node.text = end,
        end => node.more.extend(end),
    }
    node.more.extend(next.map(next_line));
    node
}

fn backups(view: &SiteView) -> Option<Node> {
    let quota = view.quota.as_ref().map(|quota| &quota.backups);
    let empty = quota.is_none_or(|quota| quota.limit == 0);
    if view.backups.is_empty() && empty {
        return None;
    }
    let mut node = Node::new("Backups", "");
    node.state = quota.map(|quota| (Tone::Plain, format!("{}/{}", quota.used, quota.limit)));
    let one = |task: &TaskView<BackupPhase>| {
        let tone = match task.phase {
            Some(BackupPhase::Ready) => Tone::Good,
            Some(BackupPhase::Refused | BackupPhase::Lost) => Tone::Bad,
            _ => Tone::Waiting,
        };
        let ready = task.phase == Some(BackupPhase::Ready);
        let text = task.snapshot.clone().filter(|_| ready);
        task_node(task, tone, text)
    };
    node.children = view.backups.iter().map(one).collect();
    Some(node)
}

fn restores(view: &SiteView) -> Option<Node> {
    let one = |task: &TaskView<RestorePhase>| {
        let tone = match task.phase {
            Some(RestorePhase::Completed) => Tone::Good,
            Some(RestorePhase::Failed) => Tone::Bad,
            _ => Tone::Waiting,
        };
        let done = task.phase == Some(RestorePhase::Completed);
        let text = task
            .snapshot
            .as_ref()
            .filter(|_| done)
            .map(|snapshot| format!("to {snapshot}"));
        task_node(task, tone, text)
    };
    let mut node = Node::new("Restores", "");
    node.children = view.restores.iter().map(one).collect();
    (!node.children.is_empty()).then_some(node)
}

fn task_node<P: std::fmt::Debug>(task: &TaskView<P>, tone: Tone, text: Option<String>) -> Node {
    let phase = task
        .phase
        .as_ref()
        .map_or("Pending".to_owned(), |phase| format!("{phase:?}"));
    Node {
        state: Some((tone, phase)),
        since: task.since,
        ..Node::new(&task.name, &text.unwrap_or_else(|| task.message.clone()))
    }
}

fn tasks(view: &SiteView) -> Option<Node> {
    let mut node = Node::new("Tasks", "");
    let one = |task: &crate::api::SiteTask| Node {
        state: Some((Tone::Waiting, "Running".to_owned())),
        ..Node::new(&format!("{:?}", task.operation), &task.id)
    };
    node.children = view.tasks.iter().map(one).collect();
    (!node.children.is_empty()).then_some(node)
}

/// How long ago, in one unit, as kubectl shows it roughly.
pub(super) fn age(now: Timestamp, then: Timestamp) -> String {
    /// Each unit lasts until two of the next are full, so that 90 minutes do not read as 1h.
    const UNITS: [(i64, i64, &str); 3] = [(120, 1, "s"), (120 * 60, 60, "m"), (48 * 3_600, 3_600, "h")];
    let seconds = (now.as_second() - then.as_second()).max(0);
    let unit = UNITS.iter().find(|(end, ..)| seconds < *end);
    match unit {
        Some((_, length, name)) => format!("{}{name}", seconds / length),
        None => format!("{}d", seconds / 86_400),
    }
}

/// A cell of a table.
type Cell = (Tone, String);

/// The tree as text, ending with a line end.
pub(super) fn render(root: &Node, now: Timestamp, ink: Ink) -> String {
    let titles = ["PART", "STATE", "AGE", "MESSAGE"];
    let mut rows: Vec<[Cell; 4]> = vec![titles.map(|title| (Tone::Faint, title.to_owned()))];
    line(root, "", "", now, &mut rows);
    table(&rows, ink)
}

fn line(node: &Node, before: &str, below: &str, now: Timestamp, rows: &mut Vec<[Cell; 4]>) {
    let plain = |text: &str| (Tone::Plain, harmless(text));
    let tone = if before.is_empty() {
        Tone::Strong
    } else {
        Tone::Plain
    };
    let state = node.state.clone().unwrap_or((Tone::Plain, String::new()));
    // The time at which everything began is that of a condition nobody has set yet.
    let since = node.since.filter(|time| *time != Timestamp::UNIX_EPOCH);
    let age = since.map_or(String::new(), |since| age(now, since));
    let mut texts = std::iter::once(&node.text)
        .chain(&node.more)
        .filter(|text| !text.is_empty());
    let first = texts.next().map_or(String::new(), Clone::clone);
    rows.push([
        (tone, format!("{before}{}", harmless(&node.label))),
        (state.0, harmless(&state.1)),
        plain(&age),
        plain(&first),
    ]);
    let bar = if node.children.is_empty() { "" } else { "│" };
    for text in texts {
        let empty = (Tone::Plain, String::new());
        rows.push([
            plain(&format!("{below}{bar}")),
            empty.clone(),
            empty,
            (Tone::Faint, harmless(text)),
        ]);
    }
    let last = node.children.len().saturating_sub(1);
    for (at, child) in node.children.iter().enumerate() {
        let (corner, rest) = if at == last {
            ("└─ ", "   ")
        } else {
            ("├─ ", "│  ")
        };
        line(
            child,
            &format!("{below}{corner}"),
            &format!("{below}{rest}"),
            now,
            rows,
        );
    }
}

/// All sites in lines.
pub(super) fn lines(views: &[SiteView], everywhere: bool, now: Timestamp, ink: Ink) -> String {
    let titles = [
        "NAMESPACE",
        "NAME",
        "PHASE",
        "PLAN",
        "DOMAINS",
        "BACKUPS",
        "AGE",
        "URL",
        "MESSAGE",
    ];
    let mut rows = vec![titles.map(|title| (Tone::Faint, title.to_owned()))];
    for view in views {
        let plain = |text: String| (Tone::Plain, harmless(&text));
        let ready = view.standing.ready.as_ref();
        let phase = match (view.phase, ready) {
            (Some(phase), _) => (phase_tone(phase), format!("{phase:?}")),
            (None, ready) => (
                Tone::Waiting,
                ready.map_or(String::new(), |ready| ready.reason.clone()),
            ),
        };
        let quota = view.quota.as_ref();
        let message = ready
            .filter(|ready| ready.status != "True")
            .map(|ready| ready.message.clone());
        rows.push([
            plain(view.namespace.clone()),
            (Tone::Strong, view.name.clone()),
            phase,
            plain(view.plan.clone()),
            plain(quota.map_or("-".to_owned(), |quota| quota.domains.display.clone())),
            plain(quota.map_or("-".to_owned(), |quota| quota.backups.display.clone())),
            plain(view.created_at.map_or("-".to_owned(), |then| age(now, then))),
            plain(view.url.clone().unwrap_or("-".to_owned())),
            plain(message.unwrap_or_default()),
        ]);
    }
    match everywhere {
        true => table(&rows, ink),
        false => {
            let rows: Vec<_> = rows
                .into_iter()
                .map(|[_, name, phase, plan, domains, backups, age, url, message]| {
                    [name, phase, plan, domains, backups, age, url, message]
                })
                .collect();
            table(&rows, ink)
        }
    }
}

/// Columns as wide as their widest cell; nothing stands behind the last text of a line.
fn table<const N: usize>(rows: &[[Cell; N]], ink: Ink) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells
            .map(|(_, text)| text.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let filled = row
            .iter()
            .rposition(|(_, cell)| !cell.is_empty())
            .map_or(0, |last| last + 1);
        for (at, ((tone, cell), width)) in row.iter().zip(&widths).take(filled).enumerate() {
            text.push_str(&ink.paint(*tone, cell));
            if at + 1 < filled {
                let missing = width.saturating_sub(cell.chars().count());
                text.push_str(&" ".repeat(missing));
                text.push_str(GAP);
            }
        }
        text.push('\n');
    }
    text
}
