//! What sweeps found, for the Provider's own passes, which alone write its status.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::condition::{Finding, State, kinds, reasons};
use crate::api::{Inventory, ProviderStatus};
use crate::controllers::connections::Refusal;
use crate::controllers::judgement::reason_of;
use crate::providers::ProviderError;

/// Why nothing follows from a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// One of [`reasons`].
    pub reason: &'static str,
    /// What could not be read or was not believed.
    pub message: String,
}

impl Obstacle {
    /// A read that failed.
    pub fn unread(what: &str, error: &ProviderError) -> Self {
        Self {
            reason: reason_of(error),
            message: format!("The sweep could not read {what}: {}", error.message()),
        }
    }

    /// A list that cannot be true.
    pub fn empty(what: &str) -> Self {
        Self {
            reason: reasons::EMPTY_LIST,
            message: format!(
                "The sweep was given an empty list of {what}, in which something of ours shall stand; nothing is concluded from that. Look whether the credentials still see everything, and whether the back-end is well."
            ),
        }
    }
}

impl From<Refusal> for Obstacle {
    fn from(Refusal { reason, message }: Refusal) -> Self {
        Self { reason, message }
    }
}

/// What the last sweep of a Provider came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// UID of the Provider.
    pub uid: String,
    /// What stands there; `None` when it was not counted.
    pub inventory: Option<Inventory>,
    /// Why it is not complete.
    pub obstacle: Option<Obstacle>,
}

impl Found {
    /// In the words of a condition. No times and no counts, which would change with every sweep.
    pub fn finding(&self) -> Finding {
        match &self.obstacle {
            None => Finding::new(
                kinds::SWEPT,
                State::True,
                reasons::SWEPT,
                "Everything is read and compared with what is known.",
            ),
            Some(obstacle) => Finding::new(
                kinds::SWEPT,
                State::False,
                obstacle.reason,
                obstacle.message.clone(),
            ),
        }
    }

    /// Whether a status says all this already.
    pub fn is_in(&self, status: &ProviderStatus) -> bool {
        let finding = self.finding();
        let says = |condition: &Condition| {
            condition.type_ == finding.kind
                && condition.status == finding.state.as_str()
                && condition.reason == finding.reason
                && condition.message == finding.message
        };
        let counted = self.inventory.is_none() || self.inventory == status.inventory;
        counted && status.conditions.iter().any(says)
    }
}

/// What sweeps found since the start, by name of the Provider.
#[derive(Debug, Default)]
pub struct Findings {
    found: Mutex<BTreeMap<String, Found>>,
}

impl Findings {
    /// Enters the result of a sweep.
    pub fn enter(&self, provider: &str, found: Found) {
        let mut all = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(provider.to_owned(), found);
    }

    /// Forgets a Provider that is gone.
    pub fn forget(&self, provider: &str) {
        let mut all = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(provider);
    }

    /// What the last sweep of the Provider with this UID found.
    pub fn of(&self, provider: &str, uid: &str) -> Option<Found> {
        let all = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(provider).filter(|found| found.uid == uid).cloned()
    }
}
