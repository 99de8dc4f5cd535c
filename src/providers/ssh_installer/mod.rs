//! Installs WordPress through SSH to the node and `pct exec`, for the cluster's API cannot run a command in a
//! container.
//!
//! Two scripts go that way: the installation, which takes minutes and runs in the background, and the announcement
//! of the customer's own domains, which takes a second and is waited for.
//!
//! The remote command is `pct exec <number> -- bash -s` and nothing else; script, parameters and secrets go
//! over its standard input, so that neither arguments nor environment of any process show them. The script is
//! idempotent: whatever ends a run, the next one resumes it.

mod script;
mod session;
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinSet;

use self::script::Purpose;
use self::settings::Access;
use super::error::{ErrorKind, ProviderError};
use super::gate::{Effect, Gate};
use super::site_installer::{InstallRequest, InstallState, InstallTarget, SiteInstaller};
use crate::domain::{Fqdn, OwnerMark};

pub use self::settings::{
    ArchiveUrl, ArchiveUrlError, Sha256Sum, Sha256SumError, SshNode, SshSettings, WordPressSource,
};

/// Ended runs that nobody has asked about yet. Far more than the sites of a cluster (one address pool has at
/// most some thousands), at about 1 KB each.
const ENDED_KEPT: usize = 4096;

/// Limit of an announcement from connecting to its last word, and of the wait for a free slot before it: 30 s for a
/// log-in at a busy node, 10 s for another script's lock, and as much again.
const ANNOUNCE_DEADLINE: Duration = Duration::from_secs(80);

/// Called when a run ended, whatever its result.
pub type Wake = Arc<dyn Fn(&OwnerMark) + Send + Sync>;

/// The installer over SSH. Dropping it ends every run; what they began is resumed by a later one.
pub struct SshInstaller {
    inner: Arc<Inner>,
    /// Ends its tasks when it is dropped.
    tasks: Mutex<JoinSet<()>>,
}

struct Inner {
    access: Access,
    wordpress: WordPressSource,
    deadline: Duration,
    gate: Arc<Gate>,
    wake: Wake,
    runs: Mutex<BTreeMap<OwnerMark, Run>>,
}

#[derive(Debug)]
enum Run {
    UnderWay,
    Ended(Result<(), ProviderError>),
}

/// Everything that one run needs.
struct Job {
    owner: OwnerMark,
    node: String,
    command: String,
    input: Vec<u8>,
    secrets: Vec<SecretString>,
    purpose: Purpose,
    deadline: Duration,
}

/// An installer for the settings; connects to nobody yet.
///
/// # Errors
/// `Invalid`, with what to correct, for a key or a host key that cannot be used, or a missing node.
pub fn connect(
    settings: SshSettings,
    gate: Arc<Gate>,
    wake: Wake,
) -> Result<Arc<SshInstaller>, ProviderError> {
    let inner = Inner {
        access: Access::decode(&settings)?,
        wordpress: settings.wordpress,
        deadline: settings.deadline,
        gate,
        wake,
        runs: Mutex::default(),
    };
    Ok(Arc::new(SshInstaller {
        inner: Arc::new(inner),
        tasks: Mutex::default(),
    }))
}

#[async_trait]
impl SiteInstaller for SshInstaller {
    async fn begin(&self, request: InstallRequest) -> Result<(), ProviderError> {
        let job = self.inner.prepare(&request)?;
        {
            let mut runs = self.inner.lock();
            if matches!(runs.get(&job.owner), Some(Run::UnderWay)) {
                return Ok(());
            }
            forget_ended(&mut runs);
            runs.insert(job.owner.clone(), Run::UnderWay);
        }
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(work(Arc::clone(&self.inner), job));
        Ok(())
    }

    async fn state(&self, target: &InstallTarget) -> Result<InstallState, ProviderError> {
        let mut runs = self.inner.lock();
        let state = match runs.get(&target.owner) {
            None => InstallState::Idle,
            Some(Run::UnderWay) => InstallState::Running,
            Some(Run::Ended(Ok(()))) => InstallState::Done,
            Some(Run::Ended(Err(error))) => InstallState::Failed(error.clone()),
        };
        if state == InstallState::Done {
            runs.remove(&target.owner);
        }
        Ok(state)
    }

    async fn announce(
        &self,
        target: &InstallTarget,
        site: &Fqdn,
        domains: &BTreeSet<Fqdn>,
    ) -> Result<(), ProviderError> {
        let job = Job {
            input: script::announcement(&target.owner, site, domains)?,
            secrets: Vec::new(),
            purpose: Purpose::Announce,
            deadline: ANNOUNCE_DEADLINE.min(self.inner.deadline),
            ..self.inner.job(target)?
        };
        self.inner.run(job).await
    }

    fn first_boot_environment(&self, _: &InstallRequest) -> BTreeMap<String, String> {
        BTreeMap::new()
    }
}

/// Makes room by dropping ended runs, results unread: their sites begin again and find the work done.
fn forget_ended(runs: &mut BTreeMap<OwnerMark, Run>) {
    if runs.len() >= ENDED_KEPT {
        runs.retain(|_, run| matches!(run, Run::UnderWay));
    }
}

async fn work(inner: Arc<Inner>, job: Job) {
    let mut report = Report {
        inner: &inner,
        owner: job.owner.clone(),
        result: None,
    };
    let result = inner.run(job).await;
    if let Err(error) = &result {
        let kind = error.kind().label();
        tracing::debug!(kind, detail = error.detail(), "installation: {error}");
    }
    report.result = Some(result);
}

/// Writes the result down when it goes, also when the run was aborted or panicked; a run that stays under way
/// for ever would block its site.
struct Report<'a> {
    inner: &'a Inner,
    owner: OwnerMark,
    result: Option<Result<(), ProviderError>>,
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        let result = self.result.take().unwrap_or_else(|| {
            Err(ProviderError::new(
                ErrorKind::Unavailable,
                "the installation was stopped before its end; the next try resumes it",
            ))
        });
        self.inner.lock().insert(self.owner.clone(), Run::Ended(result));
        (self.inner.wake)(&self.owner);
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<OwnerMark, Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A job at the target that does nothing yet.
    fn job(&self, target: &InstallTarget) -> Result<Job, ProviderError> {
        let node = &target.node;
        if !self.access.nodes.contains_key(node) {
            return Err(ProviderError::new(
                ErrorKind::Invalid,
                format!("node {node} has no SSH entry in the Provider; add its address and its host keys"),
            ));
        }
        Ok(Job {
            owner: target.owner.clone(),
            node: node.clone(),
            command: format!("{} exec {} -- bash -s", self.access.pct, target.container),
            input: Vec::new(),
            secrets: Vec::new(),
            purpose: Purpose::Install,
            deadline: self.deadline,
        })
    }

    fn prepare(&self, request: &InstallRequest) -> Result<Job, ProviderError> {
        Ok(Job {
            input: script::installation(request, &self.wordpress)?,
            secrets: vec![request.admin_password.clone(), request.database_password.clone()],
            ..self.job(&request.target)?
        })
    }

    async fn run(&self, job: Job) -> Result<(), ProviderError> {
        let (purpose, deadline) = (job.purpose, job.deadline);
        let late = |what: String| {
            let seconds = deadline.as_secs();
            ProviderError::new(
                ErrorKind::Unavailable,
                format!("{what} within {seconds} s; the next try resumes it"),
            )
        };
        let noun = purpose.noun();
        let admission = tokio::time::timeout(deadline, self.gate.admit(purpose.call(), Effect::Write))
            .await
            .map_err(|_| late(format!("no slot for an {noun} came free")))??;
        let result = tokio::time::timeout(deadline, admission.guard(self.exchange(job)))
            .await
            .unwrap_or_else(|_| Err(late(format!("the {noun} did not end"))));
        admission.finish(result)
    }

    async fn exchange(&self, job: Job) -> Result<(), ProviderError> {
        let Some(node) = self.access.nodes.get(&job.node) else {
            let message = format!("node {} has no SSH entry in the Provider", job.node);
            return Err(ProviderError::new(ErrorKind::Invalid, message));
        };
        let ended = session::run(&self.access, &job.node, node, &job.command, job.input).await?;
        let secrets: Vec<&str> = job.secrets.iter().map(ExposeSecret::expose_secret).collect();
        script::judge(job.purpose, &job.node, ended.status, ended.output, &secrets)
    }
}
