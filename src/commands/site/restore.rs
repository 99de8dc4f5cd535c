//! Asking for a backup, and for a roll-back.

use std::io::{IsTerminal, Write};

use kube::ResourceExt;
use kube::api::{ListParams, ObjectMeta};

use super::place::Place;
use super::{SiteError, tell};
use crate::api::{
    BackupPhase, DeletionPolicy, SiteBackup, SiteBackupSpec, SiteRestore, SiteRestoreSpec, WordPressSite,
};
use crate::commands::question::confirmed;
use crate::config::{RestoreOptions, SiteOptions};

/// Name of the snapshot of a site as it was made.
const INITIAL: &str = "initial";

/// Metadata of an object for a site. The API server completes the name, so that two at a time do not meet.
fn named_after(site: &WordPressSite) -> ObjectMeta {
    ObjectMeta {
        generate_name: Some(format!("{}-", site.name_any())),
        namespace: site.namespace(),
        ..ObjectMeta::default()
    }
}

/// Makes a SiteBackup.
pub(super) async fn backup(options: &SiteOptions, out: &mut (impl Write + Send)) -> Result<(), SiteError> {
    let place = Place::open(&options.place).await?;
    let site = place.living_site(&options.name).await?;
    let backup = SiteBackup {
        metadata: named_after(&site),
        spec: SiteBackupSpec {
            site: options.name.clone(),
            deletion_policy: DeletionPolicy::default(),
        },
        status: None,
    };
    let made = place.create(&backup).await?;
    let sentence = format!(
        "SiteBackup {}/{} is made; the snapshot of {} is taken as soon as the site is free.",
        place.namespace,
        made.name_any(),
        options.name
    );
    tell(&options.place, &sentence, &made, out)
}

/// Makes a SiteRestore, after a question.
pub(super) async fn restore(
    options: &RestoreOptions,
    out: &mut (impl Write + Send),
) -> Result<(), SiteError> {
    let refused = |sentence: String| Err(SiteError::Refused(sentence));
    let name = &options.site.name;
    let place = Place::open(&options.site.place).await?;
    let site = place.living_site(name).await?;
    let backups: Vec<SiteBackup> = match place.list(of_site(name), false).await {
        Ok(listed) => listed.objects,
        // Whoever may not list backups may still go back to one whose name is known.
        Err(_) if options.initial || options.yes => Vec::new(),
        Err(error) => return Err(error),
    };
    let chosen = match &options.backup {
        Some(backup) => Some(usable(place.get(backup).await?, name, &backups)?),
        None => None,
    };
    if !options.yes {
        let question = question(name, chosen.as_ref(), &backups);
        if !std::io::stdin().is_terminal() {
            return refused(format!("{question} At no terminal, say --yes; nothing was done."));
        }
        // Standard output may be a file: the question is for the person.
        if !confirmed(&question, &mut std::io::stderr()).await? {
            return refused("Nothing was done.".to_owned());
        }
    }
    let restore = SiteRestore {
        metadata: named_after(&site),
        spec: SiteRestoreSpec {
            site: name.clone(),
            backup: options.backup.clone(),
            snapshot: options.initial.then(|| INITIAL.to_owned()),
            ttl_seconds_after_finished: None,
        },
        status: None,
    };
    let made = place.create(&restore).await?;
    let sentence = format!(
        "SiteRestore {}/{} is made: {name} is rolled back as soon as the site is free.",
        place.namespace,
        made.name_any()
    );
    tell(&options.site.place, &sentence, &made, out)
}

/// Objects of one site.
pub(super) fn of_site(name: &str) -> ListParams {
    ListParams::default().fields(&format!("spec.site={name}"))
}

/// The backup, if a site can be rolled back to it.
pub(super) fn usable(backup: SiteBackup, site: &str, others: &[SiteBackup]) -> Result<SiteBackup, SiteError> {
    let phase = backup.status.as_ref().and_then(|status| status.phase);
    let name = backup.name_any();
    let problem = match phase {
        _ if backup.spec.site != site => format!("is one of site {}", backup.spec.site),
        Some(BackupPhase::Ready) => return Ok(backup),
        Some(BackupPhase::Pending | BackupPhase::Taking) | None => "is not taken yet".to_owned(),
        Some(BackupPhase::Refused) => "was refused, there is no snapshot".to_owned(),
        Some(BackupPhase::Lost) => "is lost, there is no snapshot any more".to_owned(),
        Some(BackupPhase::Terminating) => "is being deleted".to_owned(),
    };
    let ready: Vec<String> = others
        .iter()
        .filter(|other| {
            other.spec.site == site
                && other.status.as_ref().and_then(|status| status.phase) == Some(BackupPhase::Ready)
        })
        .map(ResourceExt::name_any)
        .collect();
    let there = match ready.is_empty() {
        true => "there is no other; --initial goes back to the site as it was made".to_owned(),
        false => format!("{site} can go back to {}", ready.join(", ")),
    };
    Err(SiteError::Refused(format!(
        "SiteBackup {name} {problem}; {there}"
    )))
}

/// What a roll-back would cost. Pure.
pub(super) fn question(site: &str, chosen: Option<&SiteBackup>, backups: &[SiteBackup]) -> String {
    let taken = |backup: &SiteBackup| {
        let status = backup.status.as_ref()?;
        status.created_at.as_ref().map(|time| time.0)
    };
    let since = chosen.and_then(taken);
    let newer: Vec<String> = backups
        .iter()
        .filter(|backup| chosen.is_none_or(|chosen| chosen.name_any() != backup.name_any()))
        // Everything is newer than the beginning.
        .filter(|backup| taken(backup).is_some_and(|time| since.is_none_or(|since| time > since)))
        .map(ResourceExt::name_any)
        .collect();
    let back = match (chosen, since) {
        (None, _) => "the state in which it was made".to_owned(),
        (Some(backup), None) => backup.name_any(),
        (Some(backup), Some(time)) => format!("{}, taken {time}", backup.name_any()),
    };
    let mut question = format!(
        "{site} goes back to {back}. Files and database are as they were then; what came after is gone for good."
    );
    if !newer.is_empty() {
        question.push_str(&format!(" Newer backups may be lost: {}.", newer.join(", ")));
    }
    question
}
