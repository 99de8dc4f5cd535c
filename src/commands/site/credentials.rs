//! A site's user and passwords, for the eyes of the person at the terminal. They are held as secrets on the way and
//! written to the standard output and nowhere else.

use std::io::{IsTerminal, Write};

use k8s_openapi::api::core::v1::Secret;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::place::Place;
use super::view::ready_message;
use super::{SiteError, json};
use crate::api::WordPressSite;
use crate::commands::ink::harmless;
use crate::config::{CredentialsOptions, OutputFormat};

/// Keys of the Secret, with what they are called.
const KEYS: [(&str, &str); 4] = [
    ("url", "address"),
    ("username", "user"),
    ("password", "password"),
    ("databasePassword", "database password"),
];

/// Prints a site's credentials.
pub(super) async fn credentials(
    options: &CredentialsOptions,
    out: &mut (impl Write + Send),
) -> Result<(), SiteError> {
    if !options.plain && !std::io::stdout().is_terminal() {
        return Err(SiteError::Refused(
            "passwords are printed to a terminal only; say --plain when a file, a pipe or a log shall have them"
                .to_owned(),
        ));
    }
    let place = Place::open(&options.site.place).await?;
    let name = &options.site.name;
    let site: WordPressSite = place.get(name).await?;
    let refused =
        |problem: String| SiteError::Refused(format!("WordPressSite {}/{name} {problem}", place.namespace));
    let status = site.status.as_ref();
    let Some(secret_name) = status.and_then(|status| status.credentials_secret.as_deref()) else {
        return Err(refused(format!("has no passwords yet: {}", ready_message(&site))));
    };
    let Some(secret) = place.secret(secret_name).await? else {
        return Err(refused(format!(
            "names Secret {secret_name} for its passwords, which is not there"
        )));
    };
    let found = entries(&secret);
    match options.site.place.output {
        OutputFormat::Text => {
            let width = found
                .iter()
                .map(|(_, shown, _)| shown.len())
                .max()
                .unwrap_or_default();
            for (_, shown, value) in &found {
                writeln!(out, "{shown:width$}  {}", harmless(value.expose_secret()))?;
            }
        }
        OutputFormat::Json => {
            let pairs = found
                .iter()
                .map(|(key, _, value)| ((*key).to_owned(), Value::from(value.expose_secret())));
            json(&pairs.collect::<Map<String, Value>>(), out)?;
        }
    }
    Ok(())
}

/// What the Secret has of the known keys.
pub(super) fn entries(secret: &Secret) -> Vec<(&'static str, &'static str, SecretString)> {
    let value = |key: &str| {
        let bytes = &secret.data.as_ref()?.get(key)?.0;
        let text = std::str::from_utf8(bytes).ok()?;
        Some(SecretString::from(text))
    };
    KEYS.iter()
        .filter_map(|(key, shown)| Some((*key, *shown, value(key)?)))
        .collect()
}
