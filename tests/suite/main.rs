//! The one integration test program: everything that needs real HTTP or more than one module.

// Clippy's own exception for tests does not reach the functions that tests share.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on stops"
)]

mod admin;
mod api_rules;
mod architecture;
mod backups;
mod chart;
mod commands;
mod container_host;
mod contracts;
mod convergence;
mod delegation;
mod dns_host;
mod documents;
mod drift;
mod edge;
mod examples;
mod fence;
mod hold;
mod installer;
mod ispconfig_transcripts;
mod leader;
mod legacy;
mod name_servers;
mod npm_transcripts;
mod proxmox;
mod queue;
mod reverse_proxy;
mod reverse_proxy_certificates;
mod scenarios;
mod secret_guard;
mod site_life;
mod transport;
mod world;
mod zone_file;
mod zone_life;
