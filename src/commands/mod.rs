//! What the program does for people at a terminal and in a pipeline, beside running as the operator: each command
//! sees the cluster as the operator would, once, and ends.

pub mod import;
mod ink;
pub mod orphans;
pub mod plan;
mod question;
pub mod session;
pub mod site;
