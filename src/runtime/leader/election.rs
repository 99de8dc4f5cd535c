//! The protocol of the election: looks at the Lease, takes it when it is free, renews it.
//!
//! What a lease says about time is never compared with our clock: a foreign lease has run out when it has not changed
//! for its whole duration *as we saw it*. Every write carries the version that was seen, so that of two replicas that
//! reach for a lease one fails.

use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Candidate, Claim, Lost, RESIGN_LIMIT, Terms, clock};

/// Attempts that fit into the time of a renewal, each with a connection of its own if the one before hangs.
const ATTEMPTS: u32 = 2;

/// A lease as this process has seen it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    holder: Option<String>,
    version: Option<String>,
    duration: Duration,
    /// When this version was first seen here, as time since boot.
    since: Duration,
}

/// What to do about a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It is ours, or free, or has run out, or there is none: write our name and the time.
    Write,
    /// Another one holds it.
    Wait,
}

/// Pure: what to do about the lease that was seen last, even if it is gone now. A lease that somebody deleted says
/// nothing about its holder, who may go on until it would have run out.
fn step(seen: Option<&Seen>, me: &str, now: Duration) -> Step {
    let Some(seen) = seen else { return Step::Write };
    match seen.holder.as_deref() {
        None | Some("") => Step::Write,
        Some(holder) if holder == me => Step::Write,
        Some(_) if now.saturating_sub(seen.since) >= seen.duration => Step::Write,
        Some(_) => Step::Wait,
    }
}

/// Why an attempt brought nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the API server did not answer within {0:?}")]
    Late(Duration),
    #[error("{0}")]
    Api(#[from] kube::Error),
    #[error("the clock cannot be read")]
    Clock,
}

/// The election among the replicas of one operator.
pub(super) struct Election {
    api: Api<Lease>,
    name: String,
    me: String,
    terms: Terms,
    claim: Claim,
    seen: Option<Seen>,
    /// As it is stored, as far as we know.
    lease: Option<Lease>,
}

impl Election {
    pub(super) fn new(client: Client, candidate: &Candidate, claim: Claim) -> Self {
        Self {
            api: Api::namespaced(client, &candidate.namespace),
            name: candidate.lease.clone(),
            me: candidate.identity.clone(),
            terms: candidate.terms,
            claim,
            seen: None,
            lease: None,
        }
    }

    /// Stands by until the lease is ours, tells so, and renews it until it is lost (an error) or `resigned` was used
    /// or dropped.
    pub(super) async fn run(
        &mut self,
        won: oneshot::Sender<()>,
        resigned: oneshot::Receiver<()>,
    ) -> Result<(), Lost> {
        let mut resigned = pin!(resigned);
        tokio::select! {
            _ = &mut resigned => return self.give_back().await,
            () = self.win() => {}
        }
        tracing::info!(lease = self.name, identity = self.me, "this replica leads");
        // Nobody listens when the process is about to stop.
        let _ = won.send(());
        let lost = tokio::select! {
            _ = &mut resigned => None,
            lost = self.hold() => resigned.try_recv().is_err().then_some(lost),
        };
        self.claim.end();
        match lost {
            Some(lost) => Err(lost),
            None => self.give_back().await,
        }
    }

    async fn win(&mut self) {
        let mut known = None;
        loop {
            if let Err(error) = self.attempt().await {
                tracing::warn!(lease = self.name, %error, "the lease cannot be read or written; trying again");
            }
            if self.claim.remaining().is_some() {
                return;
            }
            let holder = self.holder();
            if holder != known {
                let leader = holder.as_deref().unwrap_or("nobody yet");
                tracing::info!(
                    lease = self.name,
                    identity = self.me,
                    leader,
                    "this replica stands by"
                );
                known = holder;
            }
            tokio::time::sleep(self.terms.retry_period).await;
        }
    }

    async fn hold(&mut self) -> Lost {
        let mut reason = "this process was held up".to_owned();
        loop {
            let Some(left) = self.claim.remaining() else {
                return Lost::Expired(reason);
            };
            tokio::time::sleep(self.terms.retry_period.min(left)).await;
            // What ran out is not renewed, even if nobody took it: somebody may have seen that it had.
            let Some(left) = self.claim.remaining() else {
                return Lost::Expired(reason);
            };
            match timeout(left, self.attempt()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(lease = self.name, %error, "the lease was not renewed; trying again");
                    reason = error.to_string();
                }
                Err(_) => reason = Failure::Late(left).to_string(),
            }
            match self.holder() {
                Some(holder) if holder != self.me => return Lost::Taken(holder),
                _ => {}
            }
        }
    }

    fn holder(&self) -> Option<String> {
        let holder = self.seen.as_ref()?.holder.clone();
        holder.filter(|holder| !holder.is_empty())
    }

    /// One renewal, or one look and the write that is due. A conflict is no error; the next look tells who was faster.
    async fn attempt(&mut self) -> Result<(), Failure> {
        let limit = self.terms.renew_deadline / ATTEMPTS;
        timeout(limit, self.look_and_write())
            .await
            .map_err(|_| Failure::Late(limit))?
    }

    async fn look_and_write(&mut self) -> Result<(), Failure> {
        // The holder knows the version and need not look.
        if !self.is_ours() {
            let found = self.api.get_opt(&self.name).await?;
            self.look_at(found)?;
        }
        let sent = clock::since_boot().ok_or(Failure::Clock)?;
        if step(self.seen.as_ref(), &self.me, sent) == Step::Wait {
            return Ok(());
        }
        let renewal = self.claim.remaining().is_some();
        let lease = self.renewed();
        let written = match &self.lease {
            None => self.api.create(&PostParams::default(), &lease).await,
            Some(_) => self.api.replace(&self.name, &PostParams::default(), &lease).await,
        };
        match written {
            Ok(lease) => {
                self.look_at(Some(lease))?;
                // One that ran out while the answer was awaited stays so.
                if !renewal || self.claim.remaining().is_some() {
                    // Counted from before the request left: nobody can have seen the renewal earlier.
                    self.claim.extend(sent + self.terms.renew_deadline);
                }
                Ok(())
            }
            Err(error) => {
                // Whatever it was, the lease may be another one now. One that is gone was deleted; when there was none,
                // it is its namespace that is missing.
                let existed = self.lease.take().is_some();
                let raced = matches!(&error, kube::Error::Api(status)
                    if status.code == 409 || (existed && status.code == 404));
                if !raced {
                    return Err(error.into());
                }
                let found = self.api.get_opt(&self.name).await?;
                self.look_at(found)
            }
        }
    }

    fn is_ours(&self) -> bool {
        let spec = self.lease.as_ref().and_then(|lease| lease.spec.as_ref());
        spec.is_some_and(|spec| spec.holder_identity.as_deref() == Some(&self.me))
    }

    fn look_at(&mut self, lease: Option<Lease>) -> Result<(), Failure> {
        let now = clock::since_boot().ok_or(Failure::Clock)?;
        if let Some(lease) = &lease {
            let version = lease.resource_version();
            let known = self.seen.as_ref().filter(|seen| seen.version == version);
            let since = known.map_or(now, |seen| seen.since);
            let spec = lease.spec.clone().unwrap_or_default();
            let seconds = spec
                .lease_duration_seconds
                .and_then(|seconds| u64::try_from(seconds).ok());
            // Its holder's terms count, and ours if it has none that can be used.
            let duration = seconds
                .filter(|seconds| *seconds > 0)
                .map_or(self.terms.lease_duration, Duration::from_secs);
            self.seen = Some(Seen {
                holder: spec.holder_identity,
                version,
                duration,
                since,
            });
        }
        self.lease = lease;
        Ok(())
    }

    /// The lease with our name and the present time.
    fn renewed(&self) -> Lease {
        let now = MicroTime(Timestamp::now());
        let old = self.lease.as_ref();
        let before = old.and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let ours = before.holder_identity.as_deref() == Some(&self.me);
        let transitions = before
            .lease_transitions
            .unwrap_or(0)
            .saturating_add(i32::from(!ours && old.is_some()));
        let metadata = match old {
            Some(lease) => lease.metadata.clone(),
            None => ObjectMeta {
                name: Some(self.name.clone()),
                ..ObjectMeta::default()
            },
        };
        let acquired = before
            .acquire_time
            .filter(|_| ours)
            .unwrap_or_else(|| now.clone());
        let spec = LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(self.terms.lease_duration.as_secs().max(1)).ok(),
            acquire_time: Some(acquired),
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        };
        Lease {
            metadata,
            spec: Some(spec),
        }
    }

    /// Gives the lease back if it is ours, so that a successor need not wait for its end. Best effort.
    async fn give_back(&mut self) -> Result<(), Lost> {
        self.claim.end();
        let given = timeout(RESIGN_LIMIT, async {
            while self.release().await? {}
            Ok::<(), Failure>(())
        });
        match given.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the lease was not given back; it runs out by itself"),
            Err(_) => tracing::warn!("the lease was not given back in time; it runs out by itself"),
        }
        Ok(())
    }

    /// Whether it has to be tried again: a renewal may still have been under way.
    async fn release(&mut self) -> Result<bool, Failure> {
        let found = self.api.get_opt(&self.name).await?;
        self.look_at(found)?;
        if !self.is_ours() {
            return Ok(false);
        }
        let Some(mut lease) = self.lease.clone() else {
            return Ok(false);
        };
        if let Some(spec) = lease.spec.as_mut() {
            spec.holder_identity = None;
            spec.renew_time = Some(MicroTime(Timestamp::now()));
        }
        match self.api.replace(&self.name, &PostParams::default(), &lease).await {
            Ok(_) => {
                tracing::info!(lease = self.name, "the lease was given back");
                Ok(false)
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(holder: Option<&str>) -> Seen {
        Seen {
            holder: holder.map(str::to_owned),
            version: None,
            duration: Duration::from_secs(15),
            since: Duration::from_secs(1_000),
        }
    }

    #[test]
    fn a_lease_is_taken_only_when_it_is_free_ours_or_has_run_out() {
        let at = |seconds: u64| Duration::from_secs(1_000 + seconds);
        assert_eq!(step(None, "a", at(0)), Step::Write);
        assert_eq!(step(Some(&seen(None)), "a", at(0)), Step::Write);
        assert_eq!(step(Some(&seen(Some(""))), "a", at(0)), Step::Write);
        assert_eq!(step(Some(&seen(Some("a"))), "a", at(99)), Step::Write);
        assert_eq!(step(Some(&seen(Some("b"))), "a", at(14)), Step::Wait);
        assert_eq!(step(Some(&seen(Some("b"))), "a", at(15)), Step::Write);
    }
}
