//! The installation of WordPress in the container.

use super::super::site::{Action, Observed};
use super::super::verdict::Verdict;
use crate::api::WordPressSiteStatus;
use crate::api::condition::kinds;
use crate::controllers::fact::Fact;
use crate::providers::ProviderError;
use crate::providers::container_host::Container;
use crate::providers::site_installer::InstallState;

/// What a site says while its installation runs.
pub(super) const INSTALLING: &str = "WordPress is being installed.";

pub(super) fn install(
    verdict: &mut Verdict,
    status: &WordPressSiteStatus,
    container: &Container,
    observed: &Observed,
    actions: &mut Vec<Action>,
) {
    // What was taken over was installed by somebody else: its page tells.
    if verdict.is_good(kinds::INSTALL_READY) || status.adopted {
        return;
    }
    let begin = Action::Install {
        node: container.node.clone(),
    };
    match &observed.install {
        Fact::Unread => {}
        Fact::Unknown(error) => verdict.failed(kinds::INSTALL_READY, error),
        Fact::Known(InstallState::Done) => verdict.good(kinds::INSTALL_READY, "WordPress is installed."),
        Fact::Known(InstallState::Running) => {
            verdict.making(kinds::INSTALL_READY, INSTALLING);
        }
        Fact::Known(InstallState::Idle) => {
            verdict.making(kinds::INSTALL_READY, INSTALLING);
            actions.push(begin);
        }
        // First it is said and waited, then tried again: the wait grows with the failures.
        Fact::Known(InstallState::Failed(error)) if was_said(status, error) => {
            verdict.making(kinds::INSTALL_READY, INSTALLING);
            actions.push(begin);
        }
        Fact::Known(InstallState::Failed(_)) => {}
    }
}

/// Says a failure of the installation, once nothing else is to be done in this pass: what has been said is tried
/// again by the next round.
pub(super) fn say_failure(
    verdict: &mut Verdict,
    status: &WordPressSiteStatus,
    observed: &Observed,
    actions: &[Action],
) {
    if let Fact::Known(InstallState::Failed(error)) = &observed.install
        && actions.is_empty()
        && !verdict.is_good(kinds::INSTALL_READY)
        && !was_said(status, error)
    {
        verdict.failed(kinds::INSTALL_READY, error);
    }
}

fn was_said(status: &WordPressSiteStatus, error: &ProviderError) -> bool {
    status
        .conditions
        .iter()
        .any(|condition| condition.type_ == kinds::INSTALL_READY && condition.message == error.message())
}
