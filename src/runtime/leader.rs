//! Leadership by a Lease: of several replicas one acts, and one that lost its lease ends.
//!
//! A claim is a value with its own end, asked against the local clock each time ([`Claim`]). So a leader that was cut
//! off or stopped fences itself before anybody tells it. The claim ends earlier than the lease does for others: the
//! difference is what a write that has just begun may take until the process is gone.
//!
//! The election has a thread, a runtime and a client of its own, so that neither a busy operator nor its queue of
//! requests delays a renewal, and so that the process ends even if nothing else of it moves.

mod clock;
mod election;

use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::kubernetes;
use crate::providers::fence::Fence;
use election::Election;

/// How long a lease holds for others after its last renewal. This and the two below are the values of
/// Kubernetes' own components (client-go, `tools/leaderelection`, and `--leader-elect-*` of kube-controller-manager).
pub const LEASE_DURATION: Duration = Duration::from_secs(15);
/// How long a leader may act after its last renewal.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Pause between two renewals, and between two looks of a replica that stands by.
pub const RETRY_PERIOD: Duration = Duration::from_secs(2);
/// Time for giving the lease back; the successor waits for its end otherwise. Together with the 25 s of work under
/// way and the 2 s of the admin server it stays below the 30 s after which Kubernetes kills.
const RESIGN_LIMIT: Duration = Duration::from_secs(2);
/// Random bytes in an identity: two replicas of one name, such as a pod and its ghost on a lost node, differ.
const IDENTITY_BYTES: usize = 4;

/// Times of an election.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How long the lease holds for others, in whole seconds.
    pub lease_duration: Duration,
    /// How long the holder may act after its last renewal.
    pub renew_deadline: Duration,
    /// Pause between two attempts.
    pub retry_period: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            lease_duration: LEASE_DURATION,
            renew_deadline: RENEW_DEADLINE,
            retry_period: RETRY_PERIOD,
        }
    }
}

/// The right to act, for as long as it is current. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct Claim {
    /// Nanoseconds since the start of the machine; 0 when there is none.
    until: Arc<AtomicU64>,
}

impl Claim {
    /// Time that is left; nothing when it has run out or never was.
    pub fn remaining(&self) -> Option<Duration> {
        let until = Duration::from_nanos(self.until.load(Ordering::SeqCst));
        until
            .checked_sub(clock::since_boot()?)
            .filter(|left| !left.is_zero())
    }

    fn extend(&self, until: Duration) {
        let until = u64::try_from(until.as_nanos()).unwrap_or(0);
        self.until.store(until, Ordering::SeqCst);
    }

    fn end(&self) {
        self.until.store(0, Ordering::SeqCst);
    }
}

impl Fence for Claim {
    fn is_open(&self) -> bool {
        self.remaining().is_some()
    }
}

/// Why a process may not act any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// Another replica holds the lease.
    Taken(String),
    /// It could not be renewed in time.
    Expired(String),
    /// The election itself cannot go on.
    Failed(String),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(holder) => write!(f, "the lease is held by {holder} now"),
            Self::Expired(reason) => write!(f, "the lease was not renewed in time: {reason}"),
            Self::Failed(reason) => write!(f, "the election cannot go on: {reason}"),
        }
    }
}

/// Who stands for election, and where.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// As for the operator's own client.
    pub kubeconfig: Option<OsString>,
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub lease: String,
    /// Name of this replica, unique among all that ever stood.
    pub identity: String,
    /// Times.
    pub terms: Terms,
}

/// The election could not begin.
#[derive(Debug, thiserror::Error)]
pub enum ElectionError {
    /// No random bytes for the identity.
    #[error("the operating system gave no random bytes for the name of this replica: {0}")]
    Random(getrandom::Error),
    /// No thread or no runtime.
    #[error("the election cannot be started: {0}")]
    Start(#[from] std::io::Error),
}

/// A name for this replica: that of its pod, and a random part.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn identity(pod: &str) -> Result<String, ElectionError> {
    let mut bytes = [0_u8; IDENTITY_BYTES];
    getrandom::fill(&mut bytes).map_err(ElectionError::Random)?;
    let random: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{pod}_{random}"))
}

/// This replica's part in the election. Dropping it gives the lease back without waiting for that.
#[derive(Debug)]
pub struct Leadership {
    claim: Claim,
    won: oneshot::Receiver<()>,
    over: oneshot::Receiver<()>,
    resign: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Leadership {
    /// Stands for election in the background. `lost` is called at most once, on the election's own thread and with
    /// the claim closed: after a lease that was held is lost, and when the election cannot go on. It is to end the
    /// process.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn campaign(
        candidate: Candidate,
        lost: impl FnOnce(Lost) + Send + 'static,
    ) -> Result<Self, ElectionError> {
        let claim = Claim::default();
        let (tell_won, won) = oneshot::channel();
        let (resign, resigned) = oneshot::channel();
        let (running, over) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let held = claim.clone();
        let work = move || {
            // Goes with the thread, whatever ends it.
            let _running = running;
            let ended = runtime.block_on(async {
                let client = kubernetes::client(candidate.kubeconfig.as_deref()).await;
                let client = client.map_err(|error| Lost::Failed(error.to_string()))?;
                Election::new(client, &candidate, held.clone())
                    .run(tell_won, resigned)
                    .await
            });
            held.end();
            // A name that is still being looked up must not hold up what follows.
            runtime.shutdown_background();
            if let Err(reason) = ended {
                lost(reason);
            }
        };
        let thread = std::thread::Builder::new()
            .name("election".to_owned())
            .spawn(work)?;
        Ok(Self {
            claim,
            won,
            over,
            resign,
            thread,
        })
    }

    /// The claim, current or not.
    pub fn claim(&self) -> Claim {
        self.claim.clone()
    }

    /// Waits until this replica leads. `false` when it never will.
    pub async fn won(&mut self) -> bool {
        (&mut self.won).await.is_ok()
    }

    /// Waits until the election has ended, which it does without a call of `lost` only by a defect.
    pub async fn over(&mut self) {
        let _ = (&mut self.over).await;
    }

    /// Ends the claim and gives the lease back, so that another replica may begin at once; to be called when this one
    /// does nothing any more. Takes 2 s at most.
    pub async fn resign(self) {
        // In this order: whoever finds the claim ended finds the wish as well, and does not take it for a loss.
        let _ = self.resign.send(());
        self.claim.end();
        let thread = self.thread;
        // A thread that does not end in time goes with the process.
        let joined = tokio::task::spawn_blocking(move || thread.join());
        let _ = joined.await;
    }
}

#[cfg(test)]
mod tests;
