//! The `hostwright` program: arguments to action.

use std::process::ExitCode;

use hostwright::config::{Arguments, Command, CrdsOptions, RunOptions};
use hostwright::controllers::operator::{self, Settings};
use hostwright::controllers::runner::Pace;
use hostwright::runtime::admin::{AdminServer, Readiness};
use hostwright::runtime::metrics::Metrics;
use hostwright::runtime::shutdown::{DRAIN_LIMIT, Shutdown};
use hostwright::runtime::{kubernetes, telemetry};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let result = match Arguments::from_process().command {
        Command::Run(options) => run(*options).await,
        Command::Crds(options) => crds(&options),
        #[cfg(feature = "sim")]
        Command::Bench(options) => bench(options).await,
        #[cfg(feature = "sim")]
        Command::Demo(options) => demo(options).await,
        #[cfg(feature = "sim")]
        Command::Sim(options) => hostwright::stage::simulate(options.service, options.listen)
            .await
            .map_err(Into::into),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hostwright: {error}");
            ExitCode::FAILURE
        }
    }
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
    readiness.set_waiting("filling the caches; are the custom resource definitions installed?");
    let settings = Settings {
        cluster,
        namespace: options.operator_namespace.to_string(),
        watch_namespace: options.watch_namespace.map(|name| name.to_string()),
        concurrency: options.concurrency,
        pace: Pace {
            poll_min: options.task_poll_min,
            poll_max: options.task_poll_max,
            resync: options.resync_interval,
            deadline: options.pass_deadline,
            ..Pace::default()
        },
    };
    tracing::info!(cluster = %settings.cluster, version = env!("CARGO_PKG_VERSION"), "the operator starts");
    let controllers = operator::run(
        client,
        settings,
        metrics,
        || readiness.set_ready(),
        shutdown.clone(),
    );
    tokio::select! {
        () = controllers => {}
        () = async { shutdown.wait().await; tokio::time::sleep(DRAIN_LIMIT).await } => {
            tracing::warn!(limit = ?DRAIN_LIMIT, "passes under way did not end in time; what they did is found again at the next start");
        }
    }
    admin.stop().await;
    tracing::info!("the operator has stopped");
    Ok(())
}

#[cfg(feature = "sim")]
async fn bench(options: hostwright::config::BenchOptions) -> Result<(), Failure> {
    /// Seconds for each part of the benchmark, far above what any machine should need.
    const LIMIT: std::time::Duration = std::time::Duration::from_secs(600);
    let settings = hostwright::stage::bench::BenchSettings {
        objects: options.objects,
        latency: std::time::Duration::from_millis(options.latency),
        out: options.out,
        limit: LIMIT,
    };
    Ok(hostwright::stage::bench::bench(&settings).await?)
}

fn crds(options: &CrdsOptions) -> Result<(), Failure> {
    let files = hostwright::api::crds::files()?;
    let Some(folder) = &options.out else {
        files
            .iter()
            .for_each(|file| println!("---\n{}", file.text.trim_end()));
        return Ok(());
    };
    for file in files {
        let path = folder.join(&file.name);
        if !options.check {
            std::fs::create_dir_all(folder)?;
            std::fs::write(&path, file.text)?;
        } else if std::fs::read_to_string(&path).ok().as_deref() != Some(&file.text) {
            return Err(format!("{} is not up to date; run `make generate`", path.display()).into());
        }
    }
    Ok(())
}
