//! The `hostwright` program: arguments to action.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use hostwright::commands;
use hostwright::config::{Arguments, Command, CrdsOptions, ElectionOptions, ImportCommand, RunOptions};
use hostwright::controllers::operator::{self, Settings};
use hostwright::controllers::runner::Pace;
use hostwright::providers::fence::AlwaysOpen;
use hostwright::runtime::admin::{AdminServer, Readiness};
use hostwright::runtime::leader::{self, Candidate, Leadership, Lost};
use hostwright::runtime::metrics::Metrics;
use hostwright::runtime::shutdown::{DRAIN_LIMIT, Shutdown};
use hostwright::runtime::{kubernetes, telemetry};

/// Exit code of a replica that lost its leadership, other than that of a start that failed.
const LEADERSHIP_LOST: i32 = 3;

/// Threads of what is not the operator: simulators and an API server's worth of requests run beside each other.
const WORKERS: usize = 2;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let command = Arguments::from_process().command;
    let mut runtime = match command {
        // Its work is to wait for others: one thread keeps up with an API server of many cores (1 ms of it for a zone,
        // 10 ms for a site), and what several allocate and free takes two fifths more memory.
        Command::Run(_) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    match runtime.worker_threads(WORKERS).enable_all().build() {
        Ok(runtime) => runtime.block_on(perform(command)),
        Err(error) => ended::<std::io::Error>(Err(error)),
    }
}

async fn perform(command: Command) -> ExitCode {
    let result = match command {
        Command::Plan(options) => return ended(commands::plan::plan(&options).await),
        Command::Import(ImportCommand::Dnszone(options)) => {
            return ended(commands::import::dnszone(&options).await);
        }
        Command::Site(command) => {
            return ended(commands::site::run(&command, &mut std::io::stdout()).await);
        }
        Command::Import(ImportCommand::Sites(options)) => {
            return ended(commands::import::sites::sites(&options).await);
        }
        Command::Run(options) => run(*options).await,
        Command::Crds(options) => crds(&options),
        Command::Orphans(options) => return orphans(&options).await,
        #[cfg(feature = "sim")]
        Command::Bench(options) => bench(options).await,
        #[cfg(feature = "sim")]
        Command::BenchPeers(options) => hostwright::stage::bench::peers::race(&options)
            .await
            .map_err(Into::into),
        #[cfg(feature = "sim")]
        Command::Demo(options) => demo(options).await,
        #[cfg(feature = "sim")]
        Command::Sim(options) => hostwright::stage::simulate(options.service, options.listen)
            .await
            .map_err(Into::into),
    };
    ended(result.map(|()| ExitCode::SUCCESS))
}

/// The exit code of a command, with its error said.
fn ended<E: std::fmt::Display>(result: Result<ExitCode, E>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("hostwright: {error}");
        ExitCode::FAILURE
    })
}

#[cfg(feature = "sim")]
async fn demo(options: hostwright::config::DemoOptions) -> Result<(), Failure> {
    let settings = hostwright::stage::demo::DemoSettings {
        once: options.once,
        folder: options.folder,
        keep: options.keep,
    };
    Ok(hostwright::stage::demo::demo(&settings).await?)
}

async fn run(options: RunOptions) -> Result<(), Failure> {
    telemetry::init(options.log.format, &options.log.filter)?;
    let (_trigger, shutdown) = Shutdown::on_signals()?;
    let metrics = Metrics::new();
    let readiness = Readiness::new(shutdown.clone());
    let admin = AdminServer::start(options.admin_address, metrics.clone(), readiness.clone()).await?;
    tracing::info!(address = %admin.address(), "the admin server listens");
    let client = kubernetes::client(options.kubeconfig.as_deref()).await?;
    readiness.set_waiting("asking for the cluster's id");
    let cluster = match options.cluster_id {
        Some(id) => id,
        None => kubernetes::cluster_id(client.clone()).await?,
    };
    let namespace = options.operator_namespace.to_string();
    let leadership = match options.election.enabled {
        true => Some(campaign(&options.election, options.kubeconfig, &namespace)?),
        false => None,
    };
    let settings = Settings {
        cluster,
        fence: match &leadership {
            Some(leadership) => Arc::new(leadership.claim()),
            None => Arc::new(AlwaysOpen),
        },
        namespace,
        watch_namespace: options.watch_namespace.map(|name| name.to_string()),
        concurrency: options.concurrency,
        site_metrics: options.site_metrics,
        pace: Pace {
            poll_min: options.task_poll_min,
            poll_max: options.task_poll_max,
            resync: options.resync_interval,
            deadline: options.pass_deadline,
            ..Pace::default()
        },
    };
    tracing::info!(cluster = %settings.cluster, version = env!("CARGO_PKG_VERSION"), "the operator starts");
    let acting = metrics.clone();
    let controllers = async {
        acting.leads(true);
        readiness.set_waiting("filling the caches; are the custom resource definitions installed?");
        let ready = || readiness.set_ready();
        operator::run(client, settings, acting.clone(), ready, shutdown.clone()).await;
    };
    match leadership {
        None => drained(controllers, &shutdown).await,
        Some(leadership) => {
            // Standing by is what such a replica is for.
            readiness.set_ready();
            while_leading(leadership, controllers, &shutdown).await?;
        }
    }
    metrics.leads(false);
    admin.stop().await;
    tracing::info!("the operator has stopped");
    Ok(())
}

/// Runs the controllers to their end, which a shutdown must bring in time.
async fn drained(controllers: impl Future<Output = ()>, shutdown: &Shutdown) {
    tokio::select! {
        () = controllers => {}
        () = async { shutdown.wait().await; tokio::time::sleep(DRAIN_LIMIT).await } => {
            tracing::warn!(limit = ?DRAIN_LIMIT, "passes under way did not end in time; what they did is found again at the next start");
        }
    }
}

/// Runs the controllers once this replica leads, and gives the lease back after they have stopped.
async fn while_leading(
    mut leadership: Leadership,
    controllers: impl Future<Output = ()>,
    shutdown: &Shutdown,
) -> Result<(), Failure> {
    let won = tokio::select! {
        won = leadership.won() => won,
        () = shutdown.wait() => true,
    };
    if won && !shutdown.is_requested() {
        tokio::select! {
            () = drained(controllers, shutdown) => {}
            () = leadership.over() => return Err("the election of a leader broke off".into()),
        }
    } else if !won {
        return Err("the election of a leader broke off".into());
    }
    leadership.resign().await;
    Ok(())
}

fn campaign(
    options: &ElectionOptions,
    kubeconfig: Option<OsString>,
    operator_namespace: &str,
) -> Result<Leadership, Failure> {
    let namespace = options.namespace.as_ref().map(ToString::to_string);
    let candidate = Candidate {
        kubeconfig,
        namespace: namespace.unwrap_or_else(|| operator_namespace.to_owned()),
        lease: options.name.clone(),
        identity: leader::identity(&options.pod_name)?,
        terms: options.terms(),
    };
    Ok(Leadership::campaign(candidate, end)?)
}

/// Ends the process as it stands: whatever it still has under way must not go on, and the claim is closed already.
fn end(lost: Lost) {
    tracing::error!("leadership is lost, so this replica ends: {lost}");
    std::process::exit(LEADERSHIP_LOST);
}

#[cfg(feature = "sim")]
async fn bench(options: hostwright::config::BenchOptions) -> Result<(), Failure> {
    /// Least time for each part of the benchmark, and time for each site beyond it: far above what any machine should
    /// need.
    const LIMIT: std::time::Duration = std::time::Duration::from_secs(600);
    const LIMIT_PER_SITE: std::time::Duration = std::time::Duration::from_millis(200);
    let settings = hostwright::stage::bench::BenchSettings {
        objects: options.objects,
        latency: std::time::Duration::from_millis(options.latency),
        out: options.out,
        idle: options.idle,
        limit: LIMIT + LIMIT_PER_SITE * options.objects,
    };
    Ok(hostwright::stage::bench::bench(&settings).await?)
}

async fn orphans(options: &hostwright::config::OrphansOptions) -> ExitCode {
    match hostwright::commands::orphans::orphans(options, &mut std::io::stdout()).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("hostwright: {error}");
            ExitCode::FAILURE
        }
    }
}

fn crds(options: &CrdsOptions) -> Result<(), Failure> {
    if let Some(path) = &options.docs {
        return generated(path, &hostwright::api::reference::page(), options.check);
    }
    let files = hostwright::api::crds::files()?;
    let Some(folder) = &options.out else {
        files
            .iter()
            .for_each(|file| println!("---\n{}", file.text.trim_end()));
        return Ok(());
    };
    if !options.check {
        std::fs::create_dir_all(folder)?;
    }
    files
        .iter()
        .try_for_each(|file| generated(&folder.join(&file.name), &file.text, options.check))
}

/// Writes a generated file, or sees that it is as it would be written.
fn generated(path: &std::path::Path, text: &str, check: bool) -> Result<(), Failure> {
    if !check {
        return Ok(std::fs::write(path, text)?);
    }
    match std::fs::read_to_string(path).ok().as_deref() == Some(text) {
        true => Ok(()),
        false => Err(format!("{} is not up to date; run `make generate`", path.display()).into()),
    }
}
