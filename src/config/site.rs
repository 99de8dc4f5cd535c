//! Arguments of the commands about one customer's site, which are also those of the plugin `kubectl hostwright`.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::{Args, Parser, Subcommand};

use super::people::{ImportCommand, OrphansOptions, OutputFormat, PlanOptions};
use super::values::{self, Checked};
use super::{Arguments, Command};
use crate::domain::DnsLabel;

/// File name under which the program answers as a plugin of kubectl; on Windows with `.exe`. kubectl finds it by this
/// name in PATH (<https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/>).
const PLUGIN: &str = "kubectl-hostwright";

/// The command line as a plugin of kubectl: what people do, and nothing that runs the operator.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "kubectl-hostwright",
    bin_name = "kubectl hostwright",
    version,
    about = "What customers and hosters do with sites and zones of Hostwright",
    propagate_version = true
)]
pub(super) struct PluginArguments {
    #[command(subcommand)]
    command: PluginCommand,
}

/// What the plugin can do.
#[derive(Debug, Clone, Subcommand)]
enum PluginCommand {
    /// A site.
    #[command(flatten)]
    Site(SiteCommand),
    /// Tell what the operator would do right now, and do nothing: exit code 0 for nothing, 2 for changes, 1 for errors
    Plan(PlanOptions),
    /// Print a manifest for something that exists outside.
    #[command(subcommand)]
    Import(ImportCommand),
    /// List what carries the mark of this cluster at the back-ends but belongs to no object, and say what to do
    Orphans(OrphansOptions),
}

impl From<PluginArguments> for Arguments {
    fn from(arguments: PluginArguments) -> Self {
        let command = match arguments.command {
            PluginCommand::Site(command) => Command::Site(command),
            PluginCommand::Plan(options) => Command::Plan(options),
            PluginCommand::Import(command) => Command::Import(command),
            PluginCommand::Orphans(options) => Command::Orphans(options),
        };
        Self { command }
    }
}

/// Whether the program was called by the plugin's name.
pub(super) fn is_plugin(program: Option<&OsString>) -> bool {
    let name = program
        .and_then(|program| Path::new(program).file_name())
        .and_then(OsStr::to_str);
    let stem = name.map(|name| match name.to_ascii_lowercase().strip_suffix(".exe") {
        Some(stem) => stem.to_owned(),
        None => name.to_owned(),
    });
    stem.as_deref() == Some(PLUGIN)
}

/// What a person does with a site. Each reads, or writes what kubectl could write as well.
#[derive(Debug, Clone, Subcommand)]
pub enum SiteCommand {
    /// Show the parts of a site or a zone with state, age, message and what happens next; all sites without a name
    Status(StatusOptions),
    /// Ask for a backup: makes a SiteBackup
    Backup(SiteOptions),
    /// Roll a site back to a backup or to its beginning: makes a SiteRestore; asks first
    Restore(RestoreOptions),
    /// Restart a site's container once: sets spec.restartedAt to now
    Restart(SiteOptions),
    /// Suspend a site: sets spec.suspended
    Suspend(SiteOptions),
    /// End the suspension of a site: unsets spec.suspended
    Resume(SiteOptions),
    /// Let a site's container run: sets spec.power to Running
    Start(SiteOptions),
    /// Shut a site's container down: sets spec.power to Stopped
    Stop(SiteOptions),
    /// Print the address of a site
    Open(OpenOptions),
    /// Print a site's user name and passwords to a terminal
    Credentials(CredentialsOptions),
}

/// What `status` shows.
#[derive(Debug, Clone, Args)]
pub struct StatusOptions {
    /// Name of a WordPressSite, or dnszone/NAME; every site of the namespace without it
    #[arg(value_name = "NAME", value_parser = Checked(values::shown))]
    pub name: Option<Shown>,

    /// The sites of all namespaces
    #[arg(short = 'A', long, conflicts_with_all = ["name", "namespace"])]
    pub all_namespaces: bool,

    /// Where.
    #[command(flatten)]
    pub place: PlaceOptions,
}

/// What can be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// A WordPressSite by its name.
    Site(String),
    /// A DnsZone by its name.
    Zone(String),
}

/// One site.
#[derive(Debug, Clone, Args)]
pub struct SiteOptions {
    /// Name of the WordPressSite
    #[arg(value_name = "NAME", value_parser = Checked(values::site_name))]
    pub name: String,

    /// Where.
    #[command(flatten)]
    pub place: PlaceOptions,
}

/// What `restore` rolls back to.
#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("point").required(true).args(["backup", "initial"]))]
pub struct RestoreOptions {
    /// Which site.
    #[command(flatten)]
    pub site: SiteOptions,

    /// Name of the SiteBackup to roll back to
    #[arg(long, value_name = "NAME", value_parser = Checked(values::object_name))]
    pub backup: Option<String>,

    /// Roll back to the site as it was made
    #[arg(long)]
    pub initial: bool,

    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// What `open` does.
#[derive(Debug, Clone, Args)]
pub struct OpenOptions {
    /// Which site.
    #[command(flatten)]
    pub site: SiteOptions,

    /// Show it in the browser as well
    #[arg(long)]
    pub browser: bool,
}

/// What `credentials` does.
#[derive(Debug, Clone, Args)]
pub struct CredentialsOptions {
    /// Which site.
    #[command(flatten)]
    pub site: SiteOptions,

    /// Print them even when the output is no terminal, but a file, a pipe or a log
    #[arg(long)]
    pub plain: bool,
}

/// In which namespace of which cluster, and how the answer is written.
#[derive(Debug, Clone, Args)]
pub struct PlaceOptions {
    /// Namespace; without it that of the kubeconfig's context
    #[arg(short = 'n', long, value_name = "NAME", value_parser = Checked(values::namespace))]
    pub namespace: Option<DnsLabel>,

    /// How the answer is written
    #[arg(short = 'o', long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub output: OutputFormat,

    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterOptions,
}

/// The way to a cluster.
#[derive(Debug, Clone, Default, Args)]
pub struct ClusterOptions {
    /// Kubeconfig file (several as in KUBECONFIG); without it ~/.kube/config, or the pod's service account
    #[arg(long = "kubeconfig", value_name = "PATH", env = "KUBECONFIG")]
    pub kubeconfig: Option<OsString>,

    /// Context of the kubeconfig; without it the current one
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

impl ClusterOptions {
    /// Paths of the kubeconfig, with the place where `kubectl` looks by itself.
    pub fn kubeconfig(&self) -> Option<OsString> {
        let named = self.kubeconfig.clone().filter(|paths| !paths.is_empty());
        named.or_else(|| {
            let usual = std::env::home_dir()?.join(".kube").join("config");
            usual.is_file().then(|| usual.into_os_string())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str]) -> Result<Command, String> {
        Arguments::from_words(words)
            .map(|arguments| arguments.command)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_same_program_is_a_plugin_by_its_name() {
        for program in [
            "kubectl-hostwright",
            "/usr/local/bin/kubectl-hostwright",
            "kubectl-hostwright.exe",
            "kubectl-hostwright.EXE",
        ] {
            let found = command(&[program, "suspend", "bakery"]);
            assert!(
                matches!(found, Ok(Command::Site(SiteCommand::Suspend(_)))),
                "{program}"
            );
            let said = command(&[program, "run"]).unwrap_err();
            assert!(said.contains("kubectl hostwright"), "{said}");
        }
        for program in ["hostwright", "kubectl-hostwright-2", "hostwright-kubectl"] {
            assert!(
                matches!(command(&[program, "run"]), Ok(Command::Run(_))),
                "{program}"
            );
            let found = command(&[program, "suspend", "bakery"]);
            assert!(matches!(found, Ok(Command::Site(SiteCommand::Suspend(_)))));
        }
    }

    #[test]
    fn the_plugin_keeps_the_commands_for_people() {
        for words in [
            &["kubectl-hostwright", "plan", "--all"][..],
            &["kubectl-hostwright", "orphans"],
            &[
                "kubectl-hostwright",
                "import",
                "dnszone",
                "--provider=p",
                "--zone=z.example",
            ],
        ] {
            assert!(command(words).is_ok(), "{words:?}");
        }
    }

    #[test]
    fn what_is_shown_is_named_as_with_kubectl() {
        let shown = |name: &str| match command(&["hostwright", "status", name]) {
            Ok(Command::Site(SiteCommand::Status(options))) => Ok(options.name.unwrap()),
            Ok(other) => panic!("{other:?}"),
            Err(said) => Err(said),
        };
        for name in [
            "bakery",
            "wps/bakery",
            "wordpresssite/bakery",
            "WordPressSites/bakery",
        ] {
            assert_eq!(shown(name), Ok(Shown::Site("bakery".to_owned())), "{name}");
        }
        for name in [
            "dz/bakery.example",
            "dnszone/bakery.example",
            "dnszones/bakery.example",
        ] {
            assert_eq!(
                shown(name),
                Ok(Shown::Zone("bakery.example".to_owned())),
                "{name}"
            );
        }
        let said = shown("pod/bakery").unwrap_err();
        assert!(
            said.contains("write bakery for a WordPressSite, or dnszone/bakery"),
            "{said}"
        );
        assert!(shown("Bakery").is_err() && shown("wps/").is_err());
    }

    #[test]
    fn a_restore_says_to_what() {
        let restore = |more: &[&str]| {
            let words = ["hostwright", "restore", "bakery"].iter().chain(more).copied();
            command(&words.collect::<Vec<_>>())
        };
        assert!(restore(&["--initial"]).is_ok());
        assert!(restore(&["--backup", "bakery-x7k2p"]).is_ok());
        assert!(restore(&[]).is_err());
        assert!(restore(&["--initial", "--backup=b"]).is_err());
    }
}
