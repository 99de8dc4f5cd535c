//! Arguments and environment: read once at the start, checked, typed. Nothing else of the program reads
//! either.
//!
//! Every setting of `run` has a variable, so that a Deployment needs no arguments; a flag wins over its
//! variable. A value that cannot be used ends the program with one line that names where it came from and
//! shows a good one.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::domain::{ClusterId, DnsLabel};
use crate::runtime::leader::Terms;
use crate::runtime::telemetry::{LogFilter, LogFormat};

mod people;
mod site;
#[cfg(feature = "sim")]
mod stage;
mod values;

pub use people::{
    ImportCommand, ImportSitesOptions, ImportZoneOptions, OrphansOptions, OutputFormat, PlanOptions,
    SessionOptions, colours,
};
pub use site::{
    ClusterOptions, CredentialsOptions, OpenOptions, PlaceOptions, RestoreOptions, Shown, SiteCommand,
    SiteOptions, StatusOptions,
};
#[cfg(feature = "sim")]
pub use stage::{BenchOptions, BenchPeersOptions, Contestant, DemoOptions, SimOptions, SimService};

use values::Checked;

/// The whole command line.
#[derive(Debug, Clone, Parser)]
#[command(name = "hostwright", version, about, propagate_version = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Run the operator.
    Run(Box<RunOptions>),
    /// List what carries the mark of this cluster at the back-ends but belongs to no object, and say what to do
    Orphans(OrphansOptions),
    /// Write the custom resource definitions, or compare them with files.
    Crds(CrdsOptions),
    /// Tell what the operator would do right now, and do nothing: exit code 0 for nothing, 2 for changes, 1 for errors
    Plan(PlanOptions),
    /// Print a manifest for something that exists outside.
    #[command(subcommand)]
    Import(ImportCommand),
    /// A site.
    #[command(flatten)]
    Site(SiteCommand),
    /// Play the whole thing on this machine: real API server, simulated back-ends, three sites.
    #[cfg(feature = "sim")]
    Demo(DemoOptions),
    /// Run the simulator of a back-end.
    #[cfg(feature = "sim")]
    Sim(SimOptions),
    /// Measure many sites on one machine.
    #[cfg(feature = "sim")]
    Bench(BenchOptions),
    /// Race against other frameworks' operators on the same task.
    #[cfg(feature = "sim")]
    BenchPeers(BenchPeersOptions),
}

/// Settings of the operator.
#[derive(Debug, Clone, Args)]
pub struct RunOptions {
    /// Kubeconfig file (several as in KUBECONFIG); without it the pod's service account is used
    #[arg(long, value_name = "PATH", env = "KUBECONFIG")]
    pub kubeconfig: Option<OsString>,

    /// Name of this cluster in the owner marks at the back-ends, unique among all clusters that share one and
    /// never changed later; without it the UID of namespace kube-system
    #[arg(long, value_name = "ID", env = "HOSTWRIGHT_CLUSTER_ID", value_parser = Checked(values::cluster_id))]
    pub cluster_id: Option<ClusterId>,

    /// Namespace of the operator, where the Secrets of Providers live
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE", default_value = "hostwright-system",
          value_parser = Checked(values::namespace))]
    pub operator_namespace: DnsLabel,

    /// The only namespace to serve; without it all are
    #[arg(long, value_name = "NAME", env = "HOSTWRIGHT_WATCH_NAMESPACE", value_parser = Checked(values::namespace))]
    pub watch_namespace: Option<DnsLabel>,

    /// Passes at the same time per kind, 1 to 512
    #[arg(long, value_name = "NUMBER", env = "HOSTWRIGHT_CONCURRENCY", default_value = "32",
          value_parser = Checked(values::concurrency))]
    pub concurrency: u16,

    /// Time between two looks at an object that nothing has changed; some jitter is added
    #[arg(long, value_name = "DURATION", env = "HOSTWRIGHT_RESYNC_INTERVAL", default_value = "10m",
          value_parser = Checked(values::duration))]
    pub resync_interval: Duration,

    /// First pause before a back-end's running task is looked at again
    #[arg(long, value_name = "DURATION", env = "HOSTWRIGHT_TASK_POLL_MIN", default_value = "1s",
          value_parser = Checked(values::duration))]
    pub task_poll_min: Duration,

    /// Longest pause before a back-end's running task is looked at again
    #[arg(long, value_name = "DURATION", env = "HOSTWRIGHT_TASK_POLL_MAX", default_value = "5s",
          value_parser = Checked(values::duration))]
    pub task_poll_max: Duration,

    /// Limit for one pass over one object, outside calls included
    #[arg(long, value_name = "DURATION", env = "HOSTWRIGHT_PASS_DEADLINE", default_value = "120s",
          value_parser = Checked(values::duration))]
    pub pass_deadline: Duration,

    /// Address of /metrics, /healthz and /readyz
    #[arg(long, value_name = "ADDRESS", env = "HOSTWRIGHT_ADMIN_ADDRESS", default_value = "127.0.0.1:8080",
          value_parser = Checked(values::address))]
    pub admin_address: SocketAddr,

    /// Tell in /metrics what each site uses: six series for each site that runs
    #[arg(long, value_name = "BOOLEAN", env = "HOSTWRIGHT_SITE_METRICS", default_value = "true",
          default_missing_value = "true", num_args = 0..=1, require_equals = true,
          action = clap::ArgAction::Set, value_parser = Checked(values::switch))]
    pub site_metrics: bool,

    /// The election.
    #[command(flatten)]
    pub election: ElectionOptions,

    /// Logs.
    #[command(flatten)]
    pub log: LogOptions,
}

/// Settings of the election of a leader among several replicas.
#[derive(Debug, Clone, Args)]
pub struct ElectionOptions {
    /// Act only while this replica holds the Lease, and stand by otherwise; for more than one replica
    #[arg(long = "leader-election", value_name = "BOOLEAN", env = "HOSTWRIGHT_LEADER_ELECTION",
          default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true,
          action = clap::ArgAction::Set, value_parser = Checked(values::switch))]
    pub enabled: bool,

    /// Name of this replica in the Lease; a random part is added
    #[arg(long = "pod-name", value_name = "NAME", env = "POD_NAME", default_value = "hostwright",
          value_parser = Checked(values::object_name))]
    pub pod_name: String,

    /// Name of the Lease, the same for all replicas
    #[arg(long = "lease-name", value_name = "NAME", env = "HOSTWRIGHT_LEASE_NAME", default_value = "hostwright",
          value_parser = Checked(values::object_name))]
    pub name: String,

    /// Namespace of the Lease; without it that of the operator
    #[arg(long = "lease-namespace", value_name = "NAME", env = "HOSTWRIGHT_LEASE_NAMESPACE",
          value_parser = Checked(values::namespace))]
    pub namespace: Option<DnsLabel>,

    /// How long the others wait for a leader that is silent, in whole seconds
    #[arg(long = "lease-duration", value_name = "DURATION", env = "HOSTWRIGHT_LEASE_DURATION", default_value = "15s",
          value_parser = Checked(values::whole_seconds))]
    pub duration: Duration,

    /// How long a leader acts after its last renewal; shorter than the lease
    #[arg(long = "lease-renew-deadline", value_name = "DURATION", env = "HOSTWRIGHT_LEASE_RENEW_DEADLINE",
          default_value = "10s", value_parser = Checked(values::duration))]
    pub renew_deadline: Duration,

    /// Pause between two renewals, and between two looks of a replica that stands by
    #[arg(long = "lease-retry-period", value_name = "DURATION", env = "HOSTWRIGHT_LEASE_RETRY_PERIOD",
          default_value = "2s", value_parser = Checked(values::duration))]
    pub retry_period: Duration,
}

impl ElectionOptions {
    /// The times of the election.
    pub fn terms(&self) -> Terms {
        Terms {
            lease_duration: self.duration,
            renew_deadline: self.renew_deadline,
            retry_period: self.retry_period,
        }
    }
}

/// Settings of the logs.
#[derive(Debug, Clone, Args)]
pub struct LogOptions {
    /// Log lines as `text` or `json`
    #[arg(long = "log-format", value_name = "FORMAT", env = "HOSTWRIGHT_LOG_FORMAT", default_value = "text",
          value_parser = Checked(values::log_format))]
    pub format: LogFormat,

    /// What is logged: a level, or levels per module such as `hostwright=debug,kube=info`
    #[arg(long = "log-filter", value_name = "FILTER", env = "HOSTWRIGHT_LOG_FILTER", default_value = "info",
          value_parser = Checked(values::log_filter))]
    pub filter: LogFilter,
}

/// Settings of `crds`.
#[derive(Debug, Clone, Args)]
pub struct CrdsOptions {
    /// Folder with one file per kind; without it everything goes to the standard output
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,

    /// Write the reference of all fields as one page, to this file
    #[arg(long, value_name = "FILE", conflicts_with = "out")]
    pub docs: Option<PathBuf>,

    /// Write nothing; fail when the files differ from what would be written
    #[arg(long)]
    pub check: bool,
}

impl Arguments {
    /// The command line and environment of this process. Ends the process with a message when they are wrong
    /// or when help was asked for.
    pub fn from_process() -> Self {
        match Self::from_words(std::env::args_os()) {
            Ok(arguments) => arguments,
            Err(error) => {
                // Nothing is left to do when even that cannot be printed.
                let _ = error.print();
                // Not clap's own 2, which means "changes" to whoever calls `plan`.
                std::process::exit(i32::from(error.use_stderr()))
            }
        }
    }

    /// The given words (the first is the program's name, by which it may be the plugin of kubectl) and the environment of this process.
    ///
    /// # Errors
    /// A message for people, which may also be the help that they asked for.
    pub fn from_words<I, T>(words: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
        if site::is_plugin(words.first()) {
            return Ok(site::PluginArguments::try_parse_from(words)?.into());
        }
        let arguments = Self::try_parse_from(words)?;
        if let Command::Crds(CrdsOptions {
            out: None,
            docs: None,
            check: true,
        }) = &arguments.command
        {
            let reason = "--check needs --out or --docs: what is compared";
            return Err(Self::command().error(ErrorKind::MissingRequiredArgument, reason));
        }
        if let Command::Run(options) = &arguments.command
            && let Err(reason) = options.check()
        {
            return Err(Self::command().error(ErrorKind::ArgumentConflict, reason));
        }
        Ok(arguments)
    }
}

impl RunOptions {
    /// What no single value shows.
    fn check(&self) -> Result<(), String> {
        if self.task_poll_min > self.task_poll_max {
            return Err(format!(
                "HOSTWRIGHT_TASK_POLL_MIN ({:?}) is longer than HOSTWRIGHT_TASK_POLL_MAX ({:?}); \
                 write for example 1s and 5s",
                self.task_poll_min, self.task_poll_max
            ));
        }
        let election = &self.election;
        if !(election.retry_period < election.renew_deadline && election.renew_deadline < election.duration) {
            return Err(format!(
                "HOSTWRIGHT_LEASE_RETRY_PERIOD ({:?}), HOSTWRIGHT_LEASE_RENEW_DEADLINE ({:?}) and \
                 HOSTWRIGHT_LEASE_DURATION ({:?}) must each be shorter than the next; write for example 2s, 10s \
                 and 15s",
                election.retry_period, election.renew_deadline, election.duration
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use clap::builder::TypedValueParser;
    use clap::parser::ValueSource;

    use super::*;

    fn run(words: &[&str]) -> Result<RunOptions, String> {
        let words = ["hostwright", "run"].iter().chain(words).copied();
        match Arguments::from_words(words) {
            Ok(Arguments {
                command: Command::Run(options),
            }) => Ok(*options),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(first_line(&error)),
        }
    }

    /// A default that its own check refuses shows only when the command is run.
    #[test]
    fn every_command_takes_its_own_defaults() {
        Arguments::command().debug_assert();
        for command in Arguments::command().get_subcommands() {
            let name = command.get_name();
            if let Err(error) = Arguments::from_words(["hostwright", name]) {
                let refused = error.kind();
                assert_ne!(
                    refused,
                    clap::error::ErrorKind::ValueValidation,
                    "{name}: {error}"
                );
            }
        }
    }

    fn first_line(error: &clap::Error) -> String {
        let text = error.to_string();
        text.lines()
            .next()
            .unwrap()
            .trim_start_matches("error: ")
            .to_owned()
    }

    /// The refusal of a value as if it had come from the argument's variable. The environment itself cannot
    /// be changed safely while other tests run.
    fn refusal_from_variable<T: Clone + Send + Sync + 'static>(
        flag: &str,
        parser: fn(&str) -> Result<T, String>,
        value: &str,
    ) -> String {
        let mut command = Arguments::command();
        command.build();
        let run = command.find_subcommand("run").unwrap();
        let argument = run.get_arguments().find(|a| a.get_long() == Some(flag)).unwrap();
        let refused =
            Checked(parser).parse_ref_(run, Some(argument), OsStr::new(value), ValueSource::EnvVariable);
        first_line(&refused.err().unwrap())
    }

    #[test]
    fn the_command_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn defaults_are_those_of_the_documentation() {
        let options = run(&[]).unwrap();
        assert_eq!(options.cluster_id, None);
        assert_eq!(options.watch_namespace, None);
        assert_eq!(options.concurrency, 32);
        assert_eq!(options.resync_interval, Duration::from_secs(600));
        assert_eq!(options.task_poll_min, Duration::from_secs(1));
        assert_eq!(options.task_poll_max, Duration::from_secs(5));
        assert_eq!(options.pass_deadline, Duration::from_secs(120));
        assert_eq!(options.admin_address.to_string(), "127.0.0.1:8080");
        assert_eq!(options.log.format, LogFormat::Text);
    }

    #[test]
    fn flags_are_read() {
        let options = run(&[
            "--kubeconfig=/etc/k.yaml",
            "--cluster-id=prod-eu-1",
            "--operator-namespace=ops",
            "--watch-namespace=a",
            "--concurrency=4",
            "--resync-interval=250ms",
            "--admin-address=[::1]:0",
            "--log-format=json",
            "--log-filter=hostwright=debug",
        ])
        .unwrap();
        assert_eq!(options.kubeconfig.as_deref(), Some(OsStr::new("/etc/k.yaml")));
        assert_eq!(options.cluster_id.unwrap().to_string(), "prod-eu-1");
        assert_eq!(options.operator_namespace.as_str(), "ops");
        assert_eq!(options.watch_namespace.unwrap().as_str(), "a");
        assert_eq!(options.concurrency, 4);
        assert_eq!(options.resync_interval, Duration::from_millis(250));
        assert_eq!(options.log.format, LogFormat::Json);
    }

    #[test]
    fn every_duration_names_its_variable() {
        for (flag, variable) in [
            ("resync-interval", "HOSTWRIGHT_RESYNC_INTERVAL"),
            ("task-poll-min", "HOSTWRIGHT_TASK_POLL_MIN"),
            ("task-poll-max", "HOSTWRIGHT_TASK_POLL_MAX"),
            ("pass-deadline", "HOSTWRIGHT_PASS_DEADLINE"),
        ] {
            assert_eq!(
                refusal_from_variable(flag, values::duration, "abc"),
                format!("{variable}: \"abc\" is not a duration; write 30s, 10m or 2h")
            );
            assert_eq!(
                run(&[&format!("--{flag}=abc")]).unwrap_err(),
                format!("--{flag}: \"abc\" is not a duration; write 30s, 10m or 2h")
            );
        }
    }

    #[test]
    fn every_other_refusal_shows_a_good_value() {
        let refusals = [
            (
                refusal_from_variable("cluster-id", values::cluster_id, "Prod EU"),
                "HOSTWRIGHT_CLUSTER_ID: \"Prod EU\" is not a cluster id; write 1 to 48 lower-case letters, \
                 digits and hyphens, such as prod-eu-1",
            ),
            (
                refusal_from_variable("operator-namespace", values::namespace, ""),
                "POD_NAMESPACE: \"\" is not the name of a namespace; write 1 to 63 lower-case letters, digits \
                 and hyphens, such as hostwright-system",
            ),
            (
                refusal_from_variable("concurrency", values::concurrency, "0"),
                "HOSTWRIGHT_CONCURRENCY: \"0\" is not a whole number from 1 to 512; write 32",
            ),
            (
                refusal_from_variable("admin-address", values::address, "8080"),
                "HOSTWRIGHT_ADMIN_ADDRESS: \"8080\" is not an address with a port; write 127.0.0.1:8080 or \
                 [::]:8080",
            ),
            (
                refusal_from_variable("log-format", values::log_format, "xml"),
                "HOSTWRIGHT_LOG_FORMAT: \"xml\" is not a log format; write text or json",
            ),
            (
                refusal_from_variable("log-filter", values::log_filter, "hostwright=loud"),
                "HOSTWRIGHT_LOG_FILTER: \"hostwright=loud\" is not a log filter; write info, or \
                 hostwright=debug,kube=info",
            ),
        ];
        for (said, expected) in refusals {
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn poll_times_must_be_in_order() {
        assert_eq!(
            run(&["--task-poll-min=10s", "--task-poll-max=5s"]).unwrap_err(),
            "HOSTWRIGHT_TASK_POLL_MIN (10s) is longer than HOSTWRIGHT_TASK_POLL_MAX (5s); write for example \
             1s and 5s"
        );
        assert!(run(&["--task-poll-min=5s", "--task-poll-max=5s"]).is_ok());
    }

    #[test]
    fn the_election_is_off_and_has_the_customary_terms() {
        let options = run(&[]).unwrap();
        assert!(!options.election.enabled);
        assert_eq!(options.election.terms(), Terms::default());
        assert!(run(&["--leader-election"]).unwrap().election.enabled);
        assert!(!run(&["--leader-election=false"]).unwrap().election.enabled);
        assert_eq!(
            refusal_from_variable("leader-election", values::switch, "yes"),
            "HOSTWRIGHT_LEADER_ELECTION: \"yes\" is not true or false; write true"
        );
    }

    #[test]
    fn terms_must_be_in_order() {
        assert_eq!(
            run(&["--lease-renew-deadline=15s"]).unwrap_err(),
            "HOSTWRIGHT_LEASE_RETRY_PERIOD (2s), HOSTWRIGHT_LEASE_RENEW_DEADLINE (15s) and \
             HOSTWRIGHT_LEASE_DURATION (15s) must each be shorter than the next; write for example 2s, 10s and 15s"
        );
        assert_eq!(
            run(&["--lease-duration=1500ms"]).unwrap_err(),
            "--lease-duration: \"1500ms\" is not in whole seconds; write 15s"
        );
        let short = [
            "--lease-duration=2s",
            "--lease-renew-deadline=1s",
            "--lease-retry-period=100ms",
        ];
        assert!(run(&short).is_ok());
    }

    #[test]
    fn a_check_of_definitions_needs_a_folder_or_a_page() {
        assert!(Arguments::from_words(["hostwright", "crds", "--check"]).is_err());
        assert!(Arguments::from_words(["hostwright", "crds", "--check", "--docs=a.md"]).is_ok());
        assert!(Arguments::from_words(["hostwright", "crds", "--check", "--out=crds"]).is_ok());
    }

    #[cfg(feature = "sim")]
    #[test]
    fn simulators_are_chosen_by_name() {
        let words = ["hostwright", "sim", "npm", "--listen", "127.0.0.1:8181"];
        let Command::Sim(options) = Arguments::from_words(words).unwrap().command else {
            panic!("not the simulator");
        };
        assert_eq!(options.service, SimService::Npm);
        assert_eq!(options.listen.port(), 8181);
    }
}
