//! Hostwright keeps paid hosting in step with the machines that it runs on.
//!
//! | module | is | may use |
//! | --- | --- | --- |
//! | [`config`] | arguments and environment, typed | `domain`, `runtime` |
//! | [`domain`] | words of the trade as types | nothing |
//! | [`api`] | the Kubernetes resources: data only | `domain` |
//! | [`providers`] | traits towards the back-ends, and one folder per vendor | `domain` |
//! | [`controllers`] | gate, observe, plan, act, report, requeue | all of the above |
//! | [`commands`] | what the program does for people at a terminal, then ends | all of these |
//! | [`runtime`] | process: logs, metrics, admin server, shutdown, leadership | `domain`, `providers::{gate, fence}` |
//! | `sim` | the vendors' simulators (feature `sim`) | nothing of the above |
//! | `stage` | API server, simulators and manifests for demo, tests and benchmark (feature `sim`) | `sim`, `api`, `config` |

pub mod api;
pub mod commands;
pub mod config;
pub mod controllers;
pub mod domain;
pub mod providers;
pub mod runtime;
#[cfg(feature = "sim")]
pub mod sim;
#[cfg(feature = "sim")]
pub mod stage;
