//! The address of a site.

use std::io::Write;
use std::process::Stdio;

use super::place::Place;
use super::view::ready_message;
use super::{SiteError, json};
use crate::api::WordPressSite;
use crate::config::{OpenOptions, OutputFormat};

/// What shows an address in a person's browser.
const SHOWS: &str = match cfg!(target_os = "macos") {
    true => "open",
    false => "xdg-open",
};

/// The address, if it is one that a browser may be given. Pure.
pub(super) fn address(site: &WordPressSite) -> Result<String, String> {
    let status = site.status.as_ref();
    let Some(url) = status.and_then(|status| status.url.as_deref()) else {
        return Err(format!("has no address yet: {}", ready_message(site)));
    };
    let whole = url.starts_with("https://") || url.starts_with("http://");
    match whole && url.chars().all(|c| c.is_ascii_graphic()) {
        true => Ok(url.to_owned()),
        false => Err("has an address in its status that is none of a web site".to_owned()),
    }
}

/// Prints the address, and shows it when asked to.
pub(super) async fn open(options: &OpenOptions, out: &mut (impl Write + Send)) -> Result<(), SiteError> {
    let place = Place::open(&options.site.place).await?;
    let name = &options.site.name;
    let site: WordPressSite = place.get(name).await?;
    let url = address(&site).map_err(|problem| {
        SiteError::Refused(format!("WordPressSite {}/{name} {problem}", place.namespace))
    })?;
    match options.site.place.output {
        OutputFormat::Text => writeln!(out, "{url}")?,
        OutputFormat::Json => json(&serde_json::json!({ "url": url }), out)?,
    }
    if options.browser {
        show(&url).await?;
    }
    Ok(())
}

async fn show(url: &str) -> Result<(), SiteError> {
    let ended = tokio::process::Command::new(SHOWS)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .await;
    let problem = match ended {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => format!("it ended with {status}"),
        Err(error) => error.to_string(),
    };
    Err(SiteError::Refused(format!(
        "{SHOWS} did not show {url}: {problem}"
    )))
}
