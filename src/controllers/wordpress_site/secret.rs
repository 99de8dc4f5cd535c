//! The Secret with a site's passwords: made once, owned by the site, never shown anywhere else.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, Resource, ResourceExt};
use secrecy::{ExposeSecret, SecretString};

use super::{SiteKind, SiteSubject};
use crate::api::WordPressSite;
use crate::domain::Fqdn;
use crate::providers::fence::{Closed, fenced};
use crate::providers::{ErrorKind, ProviderError};
use crate::runtime::metrics::{Kind as MetricKind, WriteResult, WriteVerb};

/// Characters of a generated password; 24 of 62 different ones carry 142 bits.
const PASSWORD_LENGTH: usize = 24;
/// What passwords are made of: no character that a shell, SQL or PHP treats specially.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// Name of the Secret: the site's name and this.
const SUFFIX: &str = "-wordpress";

/// Keys of the Secret.
const ADMIN_PASSWORD: &str = "password";
const DATABASE_PASSWORD: &str = "databasePassword";

/// The passwords of a site.
pub struct Passwords {
    /// WordPress' first administrator.
    pub admin: SecretString,
    /// The database user.
    pub database: SecretString,
}

/// Name of a site's Secret.
pub fn name_of(site: &WordPressSite) -> String {
    format!("{}{SUFFIX}", site.name_any())
}

impl SiteKind {
    /// The passwords of a site, generated and stored before anybody else is given them.
    pub(super) async fn passwords(
        &self,
        subject: &SiteSubject,
        host: &Fqdn,
        user: &str,
    ) -> Result<Passwords, ProviderError> {
        let site = subject.object.as_ref();
        let api = self.secrets(site);
        let passwords = Passwords {
            admin: password()?,
            database: password()?,
        };
        let secret = secret(site, host, user, &passwords);
        let result = self.write(api.create(&PostParams::default(), &secret)).await;
        self.metrics.api_write(
            MetricKind::WordPressSite,
            WriteVerb::Secret,
            WriteResult::of(&result),
        );
        match result {
            Ok(_) => Ok(passwords),
            // Made by an earlier pass: its passwords are the ones that the container may know already.
            Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {
                self.stored(site, &api).await
            }
            Err(error) => Err(refused(site, &error)),
        }
    }

    async fn stored(&self, site: &WordPressSite, api: &Api<Secret>) -> Result<Passwords, ProviderError> {
        self.metrics.api_read(MetricKind::WordPressSite);
        let secret = api
            .get(&name_of(site))
            .await
            .map_err(|error| refused(site, &error))?;
        if !owned(&secret, site) {
            let message = format!(
                "Secret {} exists and does not belong to this site; remove or rename it",
                name_of(site)
            );
            return Err(ProviderError::new(ErrorKind::Conflict, message));
        }
        let key = |key: &str| {
            let value = secret.data.as_ref().and_then(|data| data.get(key));
            let text = value.and_then(|value| std::str::from_utf8(&value.0).ok());
            text.map(SecretString::from).ok_or_else(|| {
                let message = format!("Secret {} has no key {key}; delete the Secret if the site was never installed, else restore the key", name_of(site));
                ProviderError::new(ErrorKind::Conflict, message)
            })
        };
        Ok(Passwords {
            admin: key(ADMIN_PASSWORD)?,
            database: key(DATABASE_PASSWORD)?,
        })
    }

    /// Removes the Secret if it is the site's.
    pub(super) async fn remove_secret(&self, subject: &SiteSubject) -> Result<(), ProviderError> {
        let site = subject.object.as_ref();
        let api = self.secrets(site);
        self.metrics.api_read(MetricKind::WordPressSite);
        let secret = match api.get_opt(&name_of(site)).await {
            Ok(Some(secret)) if owned(&secret, site) => secret,
            Ok(_) => return Ok(()),
            Err(error) => return Err(refused(site, &error)),
        };
        let condition = Preconditions {
            uid: secret.uid(),
            resource_version: None,
        };
        let params = DeleteParams {
            preconditions: Some(condition),
            ..DeleteParams::default()
        };
        let result = self.write(api.delete(&name_of(site), &params)).await;
        self.metrics.api_write(
            MetricKind::WordPressSite,
            WriteVerb::Secret,
            WriteResult::of(&result),
        );
        match result {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
            Err(error) => Err(refused(site, &error)),
        }
    }

    async fn write<T>(&self, work: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
        let closed = || kube::Error::Service(Box::new(Closed));
        fenced(self.fence.as_ref(), work, closed).await
    }

    fn secrets(&self, site: &WordPressSite) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &site.namespace().unwrap_or_default())
    }
}

fn owned(secret: &Secret, site: &WordPressSite) -> bool {
    secret
        .owner_references()
        .iter()
        .any(|owner| Some(&owner.uid) == site.uid().as_ref())
}

fn refused(site: &WordPressSite, error: &kube::Error) -> ProviderError {
    let message = format!("the API server did not take or give Secret {}", name_of(site));
    ProviderError::new(ErrorKind::Unavailable, message).with_detail(error)
}

fn secret(site: &WordPressSite, host: &Fqdn, user: &str, passwords: &Passwords) -> Secret {
    let owner = OwnerReference {
        api_version: WordPressSite::api_version(&()).into_owned(),
        kind: WordPressSite::kind(&()).into_owned(),
        name: site.name_any(),
        uid: site.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    };
    let entry = |key: &str, value: &str| (key.to_owned(), ByteString(value.as_bytes().to_vec()));
    Secret {
        metadata: ObjectMeta {
            name: Some(name_of(site)),
            namespace: site.namespace(),
            labels: Some(BTreeMap::from([(
                "app.kubernetes.io/managed-by".to_owned(),
                "hostwright".to_owned(),
            )])),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        data: Some(BTreeMap::from([
            entry("url", &format!("https://{host}")),
            entry("username", user),
            entry(ADMIN_PASSWORD, passwords.admin.expose_secret()),
            entry(DATABASE_PASSWORD, passwords.database.expose_secret()),
        ])),
        ..Secret::default()
    }
}

/// A new password from the operating system's random source, every character equally likely.
fn password() -> Result<SecretString, ProviderError> {
    // The largest multiple of the alphabet's length below 256: bytes above it would favour some characters.
    const LIMIT: u8 = 248;
    let mut text = String::with_capacity(PASSWORD_LENGTH);
    while text.len() < PASSWORD_LENGTH {
        let mut bytes = [0_u8; 64];
        getrandom::fill(&mut bytes).map_err(|error| {
            ProviderError::new(
                ErrorKind::Unavailable,
                "the operating system gave no random bytes for a password",
            )
            .with_detail(error)
        })?;
        let fair = bytes.iter().filter(|byte| **byte < LIMIT);
        let letters = fair.filter_map(|byte| ALPHABET.get(usize::from(*byte) % ALPHABET.len()));
        text.extend(
            letters
                .take(PASSWORD_LENGTH - text.len())
                .map(|letter| char::from(*letter)),
        );
    }
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_plain_and_different() {
        let (a, b) = (password().unwrap(), password().unwrap());
        assert_eq!(a.expose_secret().len(), PASSWORD_LENGTH);
        assert!(a.expose_secret().bytes().all(|byte| ALPHABET.contains(&byte)));
        assert_ne!(a.expose_secret(), b.expose_secret());
    }
}
