//! The live table: text from a look, and drawing it over itself on a terminal. Where there is no terminal, a
//! line for every change.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::process::Stdio;

use tokio::process::Command;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Clock;
use super::look::{BackendLook, Look, PARTS, Part, SiteLook};
use crate::api::Phase;

/// Columns when the terminal does not tell.
const COLUMNS: usize = 110;
/// Lines when the terminal does not tell; more than the table has.
const LINES: usize = 60;
/// Width of the columns `site`, `phase` and `where`, and of each part.
const SITE: usize = 22;
const PHASE: usize = 13;
const WHERE: usize = 11;
const PART: usize = 5;
/// Width of a back-end's name, and of what exists there.
const BACKEND: usize = SITE;
const OURS: usize = 34;
const OTHERS: usize = 30;

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

/// How the table looks.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// With colours.
    pub colours: bool,
    /// Columns of the terminal.
    pub columns: usize,
}

impl Style {
    fn paint(self, colour: &str, text: &str) -> String {
        if self.colours {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn cut(self, text: &str, from: usize) -> String {
        cut(text, self.columns.saturating_sub(from))
    }
}

/// A text of at most so many characters; one that was longer ends with an ellipsis.
fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let kept: String = text.chars().take(limit.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// The table's lines.
pub fn lines(look: &Look, style: Style) -> Vec<String> {
    let parts: String = PARTS
        .iter()
        .map(|(_, heading)| format!("{heading:<PART$}"))
        .collect();
    let heading = format!(
        "{:<SITE$}{:<PHASE$}{:<WHERE$}{parts}",
        "SITE", "PHASE", "NODE/VMID"
    );
    let mut lines = vec![style.paint(BOLD, &heading)];
    for site in &look.sites {
        lines.extend(site_lines(site, style));
    }
    if look.sites.is_empty() {
        lines.push(style.paint(DIM, "no sites"));
    }
    lines.push(String::new());
    let heading = format!(
        "{:<BACKEND$}{:<OURS$}{:<OTHERS$}CALLS",
        "OUTSIDE", "HOSTWRIGHT'S", "OTHER PEOPLE'S"
    );
    lines.push(style.paint(BOLD, &heading));
    lines.extend(look.outside.iter().map(backend_line));
    lines
}

fn site_lines(site: &SiteLook, style: Style) -> [String; 2] {
    let place = match (&site.node, site.vmid) {
        (Some(node), Some(vmid)) => format!("{node}/{vmid}"),
        (None, Some(vmid)) => format!("?/{vmid}"),
        _ => "-".to_owned(),
    };
    let colour = match site.phase {
        Phase::Running => GREEN,
        Phase::Degraded => RED,
        Phase::Pending
        | Phase::Provisioning
        | Phase::Stopped
        | Phase::Suspended
        | Phase::Restoring
        | Phase::Terminating => YELLOW,
    };
    let parts: String = site.parts.iter().map(|part| tick(*part, style)).collect();
    let phase = style.paint(colour, &format!("{:<PHASE$}", format!("{:?}", site.phase)));
    let name = format!("{:<SITE$}", cut(&site.name, SITE - 1));
    let url = site.url.as_deref().unwrap_or("no name yet");
    let below = style.cut(&format!("  {url}  {}", site.message), 0);
    [
        format!("{name}{phase}{place:<WHERE$}{parts}"),
        style.paint(DIM, &below),
    ]
}

fn tick(part: Part, style: Style) -> String {
    let (colour, sign) = match part {
        Part::Good => (GREEN, "✓"),
        Part::Working => (YELLOW, "…"),
        Part::Waiting => (DIM, "·"),
        Part::Failed => (RED, "✗"),
    };
    style.paint(colour, &format!("{:<PART$}", format!(" {sign}")))
}

fn backend_line(backend: &BackendLook) -> String {
    format!(
        "{:<BACKEND$}{:<OURS$}{:<OTHERS$}{:>5}",
        backend.name, backend.ours, backend.others, backend.calls
    )
}

/// A table that is drawn over itself.
pub struct Screen {
    drawn: usize,
    size: (usize, usize),
    colours: bool,
    resized: Option<Signal>,
}

impl Screen {
    /// For the terminal of the standard output.
    pub async fn new() -> Self {
        Self {
            drawn: 0,
            size: terminal_size().await,
            colours: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            resized: signal(SignalKind::window_change()).ok(),
        }
    }

    /// Draws the look with a last line, over what was drawn before.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub async fn draw(&mut self, look: &Look, last: &str) -> io::Result<()> {
        self.follow_size().await;
        let (rows, columns) = self.size;
        let style = Style {
            colours: self.colours,
            columns,
        };
        let mut lines = lines(look, style);
        lines.push(String::new());
        lines.push(style.paint(DIM, &style.cut(last, 0)));
        // A table that is higher than the terminal would scroll, and could not be drawn over.
        lines.truncate(rows.saturating_sub(1));
        // Lines that are too long are cut by the terminal, or they would take two.
        let mut text = String::from("\x1b[?7l");
        if self.drawn > 0 {
            text.push_str(&format!("\x1b[{}A\r", self.drawn));
        }
        for line in &lines {
            text.push_str(line);
            text.push_str("\x1b[K\n");
        }
        text.push_str("\x1b[J\x1b[?7h");
        self.drawn = lines.len();
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Takes the table away, so that other lines can stand in its place. The next draw begins below them.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn wipe(&mut self) -> io::Result<()> {
        if self.drawn == 0 {
            return Ok(());
        }
        let text = format!("\x1b[{}A\r\x1b[J", self.drawn);
        self.drawn = 0;
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    async fn follow_size(&mut self) {
        let Some(resized) = &mut self.resized else {
            return;
        };
        let changed = std::future::poll_fn(|context| {
            // Looks once and does not wait.
            std::task::Poll::Ready(resized.poll_recv(context).is_ready())
        });
        if changed.await {
            self.size = terminal_size().await;
            // The terminal has broken the old lines anew; nobody knows where they are.
            self.drawn = 0;
        }
    }
}

/// Lines and columns of the terminal, as `stty` tells them.
async fn terminal_size() -> (usize, usize) {
    let unknown = (LINES, COLUMNS);
    let Ok(terminal) = File::open("/dev/tty") else {
        return unknown;
    };
    let mut command = Command::new("stty");
    command.arg("size").stdin(terminal).stderr(Stdio::null());
    let Ok(output) = command.output().await else {
        return unknown;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut numbers = text
        .split_whitespace()
        .filter_map(|word| word.parse::<usize>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(rows), Some(columns)) if rows > 0 && columns > 0 => (rows, columns),
        _ => unknown,
    }
}

/// Tells changes of sites line by line.
#[derive(Default)]
pub struct Changes {
    told: BTreeMap<String, (Phase, String)>,
}

impl Changes {
    /// Prints what changed since the last time.
    pub fn tell(&mut self, look: &Look, clock: &Clock) {
        for line in self.lines(look) {
            clock.say(&line);
        }
    }

    fn lines(&mut self, look: &Look) -> Vec<String> {
        let mut lines = Vec::new();
        for site in &look.sites {
            let now = (site.phase, site.message.clone());
            if self.told.get(&site.name) != Some(&now) {
                let phase = format!("{:?}", site.phase);
                lines.push(format!("  {:<SITE$}{phase:<PHASE$}{}", site.name, site.message));
                self.told.insert(site.name.clone(), now);
            }
        }
        let gone = |name: &String| !look.sites.iter().any(|site| site.name == *name);
        lines.extend(
            self.told
                .keys()
                .filter(|name| gone(name))
                .map(|name| format!("  {name:<SITE$}gone")),
        );
        self.told.retain(|name, _| !gone(name));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(name: &str, phase: Phase, message: &str) -> SiteLook {
        SiteLook {
            name: format!("customers/{name}"),
            uid: String::new(),
            phase,
            ready: phase == Phase::Running,
            url: Some(format!("https://{name}.sites.example.com")),
            host: None,
            node: Some("pve1".to_owned()),
            vmid: Some(5000),
            parts: [Part::Good; PARTS.len()],
            message: message.to_owned(),
        }
    }

    fn look(sites: Vec<SiteLook>) -> Look {
        let outside = vec![BackendLook {
            name: "Proxmox VE",
            ours: "1 container, 1 snapshot".to_owned(),
            others: "1 container".to_owned(),
            calls: 17,
        }];
        Look { sites, outside }
    }

    const PLAIN: Style = Style {
        colours: false,
        columns: 60,
    };

    #[test]
    fn the_table_shows_status_and_outside() {
        let text = lines(
            &look(vec![site(
                "bakery",
                Phase::Running,
                "The site is up and answers.",
            )]),
            PLAIN,
        );
        assert_eq!(
            text,
            [
                "SITE                  PHASE        NODE/VMID  cont name cert prox inst page snap ",
                "customers/bakery      Running      pve1/5000   ✓    ✓    ✓    ✓    ✓    ✓    ✓   ",
                "  https://bakery.sites.example.com  The site is up and answ…",
                "",
                "OUTSIDE               HOSTWRIGHT'S                      OTHER PEOPLE'S                CALLS",
                "Proxmox VE            1 container, 1 snapshot           1 container                      17",
            ]
        );
        assert_eq!(lines(&look(Vec::new()), PLAIN)[1], "no sites");
    }

    #[test]
    fn colours_do_not_change_the_text() {
        let look = look(vec![site(
            "bakery",
            Phase::Degraded,
            "The container has stopped.",
        )]);
        let painted = lines(
            &look,
            Style {
                colours: true,
                ..PLAIN
            },
        )
        .join("\n");
        let mut plain = String::new();
        for part in painted.split('\x1b') {
            plain.push_str(
                part.split_once('m')
                    .filter(|_| part.starts_with('['))
                    .map_or(part, |(_, rest)| rest),
            );
        }
        assert_eq!(plain, lines(&look, PLAIN).join("\n"));
    }

    #[test]
    fn changes_are_told_once() {
        let mut changes = Changes::default();
        let making = look(vec![site("bakery", Phase::Provisioning, "Making it.")]);
        assert_eq!(changes.lines(&making).len(), 1);
        assert_eq!(changes.lines(&making), Vec::<String>::new());
        assert!(changes.lines(&look(Vec::new()))[0].ends_with("gone"));
        assert_eq!(changes.lines(&look(Vec::new())), Vec::<String>::new());
    }
}
