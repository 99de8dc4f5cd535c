//! Asking a back-end how it is.

use kube::ResourceExt;

use crate::api::Provider;
use crate::controllers::connections::{Connections, Refusal};
use crate::controllers::sweeper::findings::Found;
use crate::providers::{Health, ProviderError};

/// What one look at a back-end came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Sight {
    /// Type of the Provider, as its field in the spec is called; empty when there is no connection.
    pub kind: &'static str,
    /// No connection, no answer, or how it is.
    pub result: Result<Result<Health, ProviderError>, Refusal>,
    /// What the last sweep since the start found.
    pub found: Option<Found>,
}

/// One look.
pub async fn look(connections: &Connections, provider: &Provider) -> Sight {
    match connections.of(&provider.name_any()) {
        Err(refusal) => Sight {
            kind: "",
            result: Err(refusal),
            found: None,
        },
        Ok(connection) => Sight {
            kind: connection.kind,
            result: Ok(connection.health.check().await),
            found: None,
        },
    }
}
