//! The text that goes to the container's shell, and what is kept of its answer.

use std::collections::{BTreeSet, VecDeque};

use secrecy::ExposeSecret;

use super::settings::WordPressSource;
use crate::domain::{Fqdn, OwnerMark};
use crate::providers::error::{ErrorKind, ProviderError};
use crate::providers::site_installer::InstallRequest;

/// Installs WordPress. It takes its parameters as shell variables that stand before it, as all of them do.
const INSTALL: &str = include_str!("install.sh");
/// Tells WordPress of its names.
const ANNOUNCE: &str = include_str!("announce.sh");
/// What every line of the script's standard output begins with.
const MARK: &str = "hostwright: ";
/// Exit status by which a script says that another try would be of no use.
const REFUSED: u32 = 3;
/// Exit status of a shell that does not find a command (POSIX 2.8.2).
const COMMAND_NOT_FOUND: u32 = 127;
/// Lines that are kept of each stream: the script quotes 15 lines of its log.
const LINES_KEPT: usize = 20;
/// Bytes that are kept of each line. 2 streams × 20 × 400 bytes is 16 KB a run.
const LINE_BYTES: usize = 400;

/// `'text'`, with which a POSIX shell does nothing but unquote it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// What a script is for, in the words of its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The installation.
    Install,
    /// Telling WordPress of its names.
    Announce,
}

impl Purpose {
    /// Name of the outside call.
    pub fn call(self) -> &'static str {
        match self {
            Self::Install => "installer.run",
            Self::Announce => "installer.announce",
        }
    }

    /// As what happens.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Install => "installation",
            Self::Announce => "announcement of domains",
        }
    }

    fn refused(self) -> &'static str {
        match self {
            Self::Install => "WordPress cannot be installed",
            Self::Announce => "WordPress cannot be told of its domains",
        }
    }

    fn failed(self) -> &'static str {
        match self {
            Self::Install => "installing WordPress failed",
            Self::Announce => "telling WordPress of its domains failed",
        }
    }
}

/// Everything for the shell's standard input: parameters as assignments, then the script.
///
/// # Errors
/// `Invalid` when a parameter has control characters, which no form would have let through.
fn standard_input(parameters: &[(&str, &str)], script: &str) -> Result<Vec<u8>, ProviderError> {
    let mut text = String::with_capacity(script.len() + 2048);
    for (name, value) in parameters {
        if value.chars().any(char::is_control) {
            return Err(ProviderError::new(
                ErrorKind::Invalid,
                format!("the installation's parameter {name} has control characters; remove them"),
            ));
        }
        text.push_str(&format!("HOSTWRIGHT_{name}={}\n", quoted(value)));
    }
    text.push_str(script);
    Ok(text.into_bytes())
}

/// The input that tells WordPress of its names.
///
/// # Errors
/// None that a valid name could cause; those of [`installation`].
pub(super) fn announcement(
    owner: &OwnerMark,
    site: &Fqdn,
    domains: &BTreeSet<Fqdn>,
) -> Result<Vec<u8>, ProviderError> {
    let domains: Vec<&str> = domains.iter().map(Fqdn::as_str).collect();
    standard_input(
        &[
            ("OWNER", &owner.to_string()),
            ("SITE_HOST", site.as_str()),
            ("DOMAINS", &domains.join(" ")),
        ],
        ANNOUNCE,
    )
}

/// The input that installs WordPress.
///
/// # Errors
/// `Invalid` when a parameter has control characters, which no form would have let through.
pub(super) fn installation(
    request: &InstallRequest,
    source: &WordPressSource,
) -> Result<Vec<u8>, ProviderError> {
    let owner = request.target.owner.to_string();
    let url = request.site_url();
    let archive = source.archive.to_string();
    let sum = source
        .sha256
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let parameters = [
        ("OWNER", owner.as_str()),
        ("SITE_HOST", request.host.as_str()),
        ("SITE_URL", &url),
        ("SITE_TITLE", &request.title),
        ("ADMIN_USER", &request.admin_user),
        ("ADMIN_EMAIL", request.admin_email.as_str()),
        ("ADMIN_NAME", &request.admin_name),
        ("ADMIN_PASSWORD", request.admin_password.expose_secret()),
        ("DATABASE_PASSWORD", request.database_password.expose_secret()),
        ("SOURCE", &archive),
        ("SHA256", &sum),
        (
            "DISALLOW_FILE_EDIT",
            if source.disallow_file_edit { "1" } else { "" },
        ),
    ];
    standard_input(&parameters, INSTALL)
}

/// The last lines of one stream.
#[derive(Default)]
struct Tail {
    lines: VecDeque<String>,
    open: Vec<u8>,
}

impl Tail {
    /// Takes bytes in; hands every finished line to `seen`.
    fn take(&mut self, bytes: &[u8], mut seen: impl FnMut(&str)) {
        for byte in bytes {
            if *byte == b'\n' {
                let line = self.close();
                seen(&line);
                self.keep(line);
            } else if self.open.len() < LINE_BYTES {
                self.open.push(*byte);
            }
        }
    }

    fn close(&mut self) -> String {
        let line = String::from_utf8_lossy(&self.open).trim_end().to_owned();
        self.open.clear();
        line
    }

    fn keep(&mut self, line: String) {
        if self.lines.len() >= LINES_KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}

/// The script's own last word.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    Done,
    Failed(String),
}

/// What is kept of a run's output: little, and without secrets once it leaves here.
#[derive(Default)]
pub(super) struct Output {
    standard: Tail,
    error: Tail,
    word: Option<Word>,
}

impl Output {
    /// Bytes of standard output.
    pub fn take_standard(&mut self, bytes: &[u8]) {
        let word = &mut self.word;
        self.standard.take(bytes, |line| {
            let Some(text) = line.strip_prefix(MARK) else {
                return;
            };
            if text == "done" {
                *word = Some(Word::Done);
            } else if let Some(why) = text.strip_prefix("failed ") {
                *word = Some(Word::Failed(why.to_owned()));
            } else {
                tracing::debug!(progress = text, "installation");
            }
        });
    }

    /// Bytes of standard error.
    pub fn take_error(&mut self, bytes: &[u8]) {
        self.error.take(bytes, |_| {});
    }

    /// Everything that was kept, for debug logs.
    fn text(mut self) -> String {
        for tail in [&mut self.standard, &mut self.error] {
            if !tail.open.is_empty() {
                let line = tail.close();
                tail.keep(line);
            }
        }
        let lines: Vec<String> = self.standard.lines.into_iter().chain(self.error.lines).collect();
        lines.join("\n")
    }
}

/// Replaces secrets by stars. The script prints none; this is for programs that quote their input in errors.
pub(super) fn redacted(text: &str, secrets: &[&str]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "***");
    }
    text
}

/// Turns the end of a run into a result. `status` is `None` when the connection went away before it came.
///
/// # Errors
/// `Unavailable` for everything that another try may mend, `Invalid` for what it cannot, `Unexpected` for an
/// end without a word.
pub(super) fn judge(
    purpose: Purpose,
    node: &str,
    status: Option<u32>,
    output: Output,
    secrets: &[&str],
) -> Result<(), ProviderError> {
    let word = output.word.clone();
    let text = redacted(&output.text(), secrets);
    let (kind, message) = match (word, status) {
        (Some(Word::Done), None | Some(0)) => return Ok(()),
        (Some(Word::Failed(why)), Some(REFUSED)) => {
            (ErrorKind::Invalid, format!("{}: {why}", purpose.refused()))
        }
        (Some(Word::Failed(why)), _) => (ErrorKind::Unavailable, format!("{} at {why}", purpose.failed())),
        (_, None) => (
            ErrorKind::Unavailable,
            format!(
                "the connection to node {node} was lost during the {}; the next try resumes it",
                purpose.noun()
            ),
        ),
        (_, Some(status)) => without_word(purpose, node, status, &text),
    };
    Err(ProviderError::new(kind, redacted(&message, secrets)).with_detail(text))
}

/// The script did not speak; so the node's own tool did (pve-container, `pct exec`).
fn without_word(purpose: Purpose, node: &str, status: u32, text: &str) -> (ErrorKind, String) {
    if text.contains(".conf' does not exist") {
        let message = format!("the container is not on node {node} at the moment; it is looked up again");
        return (ErrorKind::Unavailable, message);
    }
    if text.contains("not running") {
        let message = format!(
            "the container does not run; the {} begins when it does",
            purpose.noun()
        );
        return (ErrorKind::Unavailable, message);
    }
    if status == COMMAND_NOT_FOUND {
        let message =
            format!("node {node} has no container tool by the Provider's name; check its `pct` setting");
        return (ErrorKind::Invalid, message);
    }
    let message = format!(
        "the {} on node {node} ended with status {status} and without a word",
        purpose.noun()
    );
    (ErrorKind::Unexpected, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(standard: &str, error: &str) -> Output {
        let mut output = Output::default();
        for chunk in standard.as_bytes().chunks(7) {
            output.take_standard(chunk);
        }
        output.take_error(error.as_bytes());
        output
    }

    fn kind(status: Option<u32>, standard: &str, error: &str) -> Option<ErrorKind> {
        judge(Purpose::Install, "pve1", status, output(standard, error), &[])
            .err()
            .map(|e| e.kind())
    }

    #[test]
    fn ends_are_told_apart() {
        let done = "hostwright: step check\nhostwright: done\n";
        assert_eq!(kind(Some(0), done, ""), None);
        assert_eq!(kind(None, done, ""), None);
        assert_eq!(
            kind(None, "hostwright: step packages\n", ""),
            Some(ErrorKind::Unavailable)
        );
        assert_eq!(kind(Some(0), "", ""), Some(ErrorKind::Unexpected));
        assert_eq!(kind(Some(1), done, ""), Some(ErrorKind::Unexpected));
        assert_eq!(
            kind(Some(1), "hostwright: failed a: b\n", ""),
            Some(ErrorKind::Unavailable)
        );
        assert_eq!(
            kind(Some(3), "hostwright: failed start: no\n", ""),
            Some(ErrorKind::Invalid)
        );
        assert_eq!(
            kind(Some(127), "", "sh: 1: pct: not found"),
            Some(ErrorKind::Invalid)
        );
        let gone = "Configuration file 'nodes/pve1/lxc/907.conf' does not exist\n";
        assert_eq!(kind(Some(2), "", gone), Some(ErrorKind::Unavailable));
        assert_eq!(
            kind(Some(255), "", "container '907' not running!\n"),
            Some(ErrorKind::Unavailable)
        );
    }

    #[test]
    fn only_the_scripts_own_line_is_public_and_secrets_are_not() {
        let error = judge(
            Purpose::Install,
            "pve1",
            Some(1),
            output(
                "noise\nhostwright: failed database: near 'hunter22'\n",
                "hunter22 and more\n",
            ),
            &["hunter22"],
        )
        .unwrap_err();
        assert_eq!(
            error.message(),
            "installing WordPress failed at database: near '***'"
        );
        assert!(!error.detail().unwrap().contains("hunter22"));
        assert!(error.detail().unwrap().contains("*** and more"));
    }

    #[test]
    fn output_is_bounded() {
        let mut kept = Output::default();
        for _ in 0..10_000 {
            kept.take_standard(&[b'x'; 1000]);
            kept.take_error(b"\n\n");
        }
        assert!(kept.text().len() <= 2 * LINES_KEPT * (LINE_BYTES + 1));
    }

    #[test]
    fn quoting_survives_a_quote() {
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
