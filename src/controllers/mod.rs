//! From objects to the world outside and back: one folder per kind, with the same four steps, and the runner
//! that drives them all.

pub mod connections;
pub mod dns_zone;
pub mod fact;
pub mod judgement;
pub mod ledger;
pub mod operator;
pub mod provider;
pub mod runner;
pub mod shared_read;
pub mod site_backup;
pub mod site_restore;
pub mod sweeper;
pub mod tasks;
pub mod turns;
pub mod wordpress_site;
