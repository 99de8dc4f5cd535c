//! The Proxmox client over real HTTP against a server with prepared answers.

mod behaviour;
mod requests;
pub mod scripted;
