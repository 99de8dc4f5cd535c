//! Showing sites and zones.

use std::io::Write;

use jiff::Timestamp;
use kube::api::ListParams;

use super::place::{Listed, Namespaced, Place};
use super::restore::of_site;
use super::{SiteError, json, tree, view, zone};
use crate::api::{DnsZone, SiteBackup, SiteRestore, WordPressSite};
use crate::commands::ink::{self, Ink, harmless};
use crate::config::{OutputFormat, Shown, StatusOptions};

/// Shows what was asked for.
pub(super) async fn status(options: &StatusOptions, out: &mut (impl Write + Send)) -> Result<(), SiteError> {
    let place = Place::open(&options.place).await?;
    let ink = Ink::new(ink::for_output());
    let now = Timestamp::now();
    let text = matches!(options.place.output, OutputFormat::Text);
    match &options.name {
        None => all(&place, options, out).await,
        Some(Shown::Site(name)) => {
            let site: WordPressSite = place.get(name).await?;
            let mut notes = Vec::new();
            let (backups, restores) = futures::join!(
                belonging::<SiteBackup>(&place, name),
                belonging::<SiteRestore>(&place, name)
            );
            let backups = backups.unwrap_or_else(|note| noted(&mut notes, note));
            let restores = restores.unwrap_or_else(|note| noted(&mut notes, note));
            let view = view::site(&site, &backups, &restores, notes);
            match text {
                true => Ok(write!(out, "{}", tree::render(&tree::site(&view), now, ink))?),
                false => json(&view, out),
            }
        }
        Some(Shown::Zone(name)) => {
            let view = zone::zone(&place.get::<DnsZone>(name).await?);
            match text {
                true => Ok(write!(out, "{}", tree::render(&zone::tree(&view), now, ink))?),
                false => json(&view, out),
            }
        }
    }
}

fn noted<K>(notes: &mut Vec<String>, note: String) -> Vec<K> {
    notes.push(note);
    Vec::new()
}

/// What belongs to a site. What cannot be listed is told and stops nothing: whoever may see a site need not be allowed
/// to see its backups.
async fn belonging<K: Namespaced>(place: &Place, site: &str) -> Result<Vec<K>, String> {
    let listed = place.list(of_site(site), false).await;
    listed
        .map(|listed| listed.objects)
        .map_err(|error| error.to_string())
}

async fn all(place: &Place, options: &StatusOptions, out: &mut (impl Write + Send)) -> Result<(), SiteError> {
    let everywhere = options.all_namespaces;
    let Listed { objects, unreadable } = place
        .list::<WordPressSite>(ListParams::default(), everywhere)
        .await?;
    let views: Vec<_> = objects
        .iter()
        .map(|site| view::site(site, &[], &[], Vec::new()))
        .collect();
    if matches!(options.place.output, OutputFormat::Json) {
        // Backups and restores are told with one site only: here they would be a list more for each.
        let mut answer =
            serde_json::json!({ "format": view::FORMAT, "sites": views, "warnings": unreadable });
        for site in answer
            .get_mut("sites")
            .and_then(|sites| sites.as_array_mut())
            .into_iter()
            .flatten()
        {
            if let Some(site) = site.as_object_mut() {
                for key in ["format", "backups", "restores", "notes"] {
                    site.remove(key);
                }
            }
        }
        return json(&answer, out);
    }
    if views.is_empty() {
        match everywhere {
            true => writeln!(out, "There is no WordPressSite.")?,
            false => writeln!(
                out,
                "There is no WordPressSite in namespace {}; -n names another one, -A shows all.",
                place.namespace
            )?,
        }
    } else {
        let ink = Ink::new(ink::for_output());
        write!(out, "{}", tree::lines(&views, everywhere, Timestamp::now(), ink))?;
    }
    for sentence in unreadable {
        writeln!(out, "warning: {}", harmless(&sentence))?;
    }
    Ok(())
}
