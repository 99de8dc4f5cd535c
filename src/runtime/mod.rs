//! The process around the operator: logs, metrics, the admin server, shutdown, the way to Kubernetes.
//!
//! Nothing here knows a resource's meaning or a back-end. `main` puts the pieces together.

pub mod admin;
pub mod kubernetes;
pub mod leader;
pub mod metrics;
mod process;
pub mod shutdown;
pub mod telemetry;
