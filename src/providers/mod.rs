//! The seams to the world outside Kubernetes: one trait per kind of back-end, plain types, one error.
//!
//! Nothing here knows Kubernetes. Each vendor lives in a folder of its own (`client.rs` speaks HTTP,
//! `wire.rs` is its JSON, `mod.rs` implements the trait) and no vendor type, address, status code or id
//! format leaves that folder. All calls are idempotent in effect and bounded in time.

pub mod coalesce;
pub mod container_host;
pub mod delegation;
pub mod dns_host;
pub mod edge;
pub mod error;
pub mod fence;
pub mod gate;
pub mod health;
pub mod http;
pub mod reverse_proxy;
pub mod rows;
pub mod site_installer;

pub mod cloudflare;
pub mod ispconfig;
pub mod nginx_proxy_manager;
pub mod proxmox;
pub mod ssh_installer;
pub mod template_installer;

pub use container_host::ContainerHost;
pub use delegation::{
    AddressLookup, Addresses, Answering, Delegation, DelegationCheck, DelegationState, FoundAddresses,
    ResolverCheck, ResolverLookup, ResolverSettings, UNVERIFIED_AGE, VERIFIED_AGE,
};
pub use dns_host::DnsHost;
pub use error::{ErrorKind, ProviderError};
pub use health::{Health, HealthCheck};
pub use reverse_proxy::ReverseProxy;
pub use site_installer::SiteInstaller;
