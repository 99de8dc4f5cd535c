//! What to do for a restore that shall be gone. Pure and total. Nothing outside belongs to it; the finalizer stays
//! until the step in flight is over, so that the site is not taken back in the middle of one.

use super::plan::{Progress, RestorePlan, progress, stuck, wait};
use super::restore::Observed;
use super::verdict::Verdict;
use crate::api::condition::reasons;
use crate::api::{RestorePhase, SiteRestoreStatus};
use crate::controllers::runner::Next;

/// Lock word of a roll-back.
const ROLLBACK_LOCK: &str = "rollback";
const RELEASED: Next = Next::Released { announce: false };

/// The plan for a restore that shall be gone.
pub fn gone(status: &SiteRestoreStatus, observed: &Observed) -> RestorePlan {
    let mut verdict = Verdict::of(status);
    let site = observed
        .site
        .as_ref()
        .filter(|site| status.site_uid.as_ref() == Some(&site.uid));
    if status.phase != Some(RestorePhase::RollingBack) || site.is_none() {
        return wait(verdict, RELEASED);
    }
    verdict.works(reasons::DELETING, "The step that is under way is waited for.");
    if let Some(refusal) = &observed.refusal {
        verdict.tasks.clone_from(&status.tasks);
        verdict.blocked(refusal.reason, refusal.message.clone());
        return wait(verdict, Next::Settled);
    }
    match progress(&mut verdict, status, observed) {
        Err(plan) => match plan.next {
            // A shut-down that failed is no step in flight.
            Next::Retry { .. } if plan.verdict.tasks.is_empty() && shut_down_failed(&plan) => {
                wait(plan.verdict, RELEASED)
            }
            _ => *plan,
        },
        Ok(Progress::Refused(sentence, container)) if container.lock.as_deref() == Some(ROLLBACK_LOCK) => {
            stuck(verdict, container, &sentence)
        }
        Ok(_) => wait(verdict, RELEASED),
    }
}

fn shut_down_failed(plan: &RestorePlan) -> bool {
    plan.verdict.ready.reason == reasons::TASK_FAILED
}
