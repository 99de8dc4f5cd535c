//! `kubectl hostwright` and the same words of `hostwright`: what a customer and the hoster do with one site.
//!
//! Each command reads, or writes one field or one object that `kubectl` could write as well, with the rights of the
//! person who calls it. Nothing here talks to a back-end: the operator does what is asked for, and `status` tells how far
//! it is.

mod change;
mod credentials;
mod near;
mod open;
mod place;
mod restore;
mod status;
mod tree;
mod view;
mod zone;

#[cfg(test)]
mod tests;

use std::io::Write;
use std::process::ExitCode;

use kube::Resource;
use serde::Serialize;

use crate::config::{OutputFormat, PlaceOptions, SiteCommand};
use crate::runtime::kubernetes::ConnectError;

/// Who the API server says wrote what these commands write.
const MANAGER: &str = "kubectl-hostwright";

/// The command could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// No client.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The API server refused, or did not answer.
    #[error("{what}: {reason}")]
    Api {
        /// What was asked of it.
        what: String,
        /// Its words.
        reason: String,
    },
    /// What is asked for cannot be done; the whole sentence.
    #[error("{0}")]
    Refused(String),
    /// The output was closed.
    #[error("the output cannot be written: {0}")]
    Output(#[from] std::io::Error),
}

/// Runs one of the commands.
///
/// # Errors
/// When the cluster is out of reach, the object is not there, or the API server refuses.
pub async fn run(command: &SiteCommand, out: &mut (impl Write + Send)) -> Result<ExitCode, SiteError> {
    use change::Change;
    match command {
        SiteCommand::Status(options) => status::status(options, out).await?,
        SiteCommand::Backup(options) => restore::backup(options, out).await?,
        SiteCommand::Restore(options) => restore::restore(options, out).await?,
        SiteCommand::Restart(options) => change::change(options, Change::Restart, out).await?,
        SiteCommand::Suspend(options) => change::change(options, Change::Suspend, out).await?,
        SiteCommand::Resume(options) => change::change(options, Change::Resume, out).await?,
        SiteCommand::Start(options) => change::change(options, Change::Start, out).await?,
        SiteCommand::Stop(options) => change::change(options, Change::Stop, out).await?,
        SiteCommand::Open(options) => open::open(options, out).await?,
        SiteCommand::Credentials(options) => credentials::credentials(options, out).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes what came of it: the sentence, or the object as it is stored now.
fn tell<K>(place: &PlaceOptions, sentence: &str, object: &K, out: &mut impl Write) -> Result<(), SiteError>
where
    K: Resource + Clone + Serialize,
{
    match place.output {
        OutputFormat::Text => writeln!(out, "{sentence}")?,
        OutputFormat::Json => {
            let mut object = object.clone();
            object.meta_mut().managed_fields = None;
            json(&object, out)?;
        }
    }
    Ok(())
}

/// Writes a value for programs.
fn json(value: &impl Serialize, out: &mut impl Write) -> Result<(), SiteError> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(std::io::Error::from)?;
    Ok(writeln!(out)?)
}
