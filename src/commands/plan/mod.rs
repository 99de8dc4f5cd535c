//! `hostwright plan`: what the operator would do right now for objects as they are, or as manifests would make them.
//!
//! It runs the kinds' own observe and plan against the live back-ends, through gates that refuse every write, and
//! stores nothing in the cluster: manifests are laid over live objects by the API server's own dry run.

mod answer;
mod manifest;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource, ResourceExt};

use crate::api::{DnsZone, WordPressSite};
use crate::config::{OutputFormat, PlanOptions};
use crate::controllers::runner::{Foretell, Kind, rehearse};

use self::answer::{Answer, ObjectAnswer};
use self::manifest::{Document, Laid, Read, lay};
use super::ink;
use super::session::{Access, Session, SessionError};

/// Objects that are looked at at the same time; the Providers' own limits bound the calls.
const AT_ONCE: usize = 16;

/// No answer could be given.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The cluster could not be read.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A file could not be read.
    #[error("{file}: {reason}")]
    File {
        /// Its path.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The answer has no form.
    #[error("the answer cannot be written: {0}")]
    Output(#[from] serde_json::Error),
}

/// Tells what the operator would do.
///
/// # Errors
/// When the files or the cluster cannot be read. What is wrong with one object is part of the answer.
pub async fn plan(options: &PlanOptions) -> Result<ExitCode, PlanError> {
    let Read { documents, skipped } = manifest::read(options)?;
    let session = Session::open(&options.session, Access::ReadOnly).await?;
    let mut answer = Answer::new(skipped, &session.unreadable);
    match options.all {
        true => {
            let within = options.namespace.as_ref().map(ToString::to_string);
            let served = |object: &dyn Fn() -> Option<String>| within.is_none() || object() == within;
            let sites = session.sites.each();
            let sites = sites.filter(|site| served(&|| site.namespace()));
            let sites = present(sites.collect());
            answer.add(tell(session.site_kind.as_ref(), sites, options.pass_deadline).await);
            let zones = session.zones.each();
            let zones = zones.filter(|zone| served(&|| zone.namespace()));
            let zones = present(zones.collect());
            answer.add(tell(session.zone_kind.as_ref(), zones, options.pass_deadline).await);
        }
        false => laid_over(&session, &documents, options.pass_deadline, &mut answer).await,
    }
    match options.output {
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(&answer.finished())?),
        OutputFormat::Text => print!("{}", answer.finished().text(ink::for_output())),
    }
    Ok(ExitCode::from(answer.exit_code()))
}

/// Objects as they are in the cluster, in the order of their names.
fn present<K: Resource>(objects: Vec<Arc<K>>) -> Vec<Laid<K>> {
    let mut laid: Vec<Laid<K>> = objects
        .into_iter()
        .map(|object| Laid {
            object,
            exists: true,
            notes: Vec::new(),
        })
        .collect();
    laid.sort_by_key(|laid| (laid.object.namespace(), laid.object.name_any()));
    laid
}

/// The objects of manifests.
async fn laid_over(session: &Session, documents: &[Document], deadline: Duration, answer: &mut Answer) {
    let (mut sites, mut zones) = (Vec::new(), Vec::new());
    for (number, document) in documents.iter().enumerate() {
        let Document { name, namespace, .. } = document;
        let (exists, problem) = match document.kind {
            manifest::Planned::Site => {
                let api = Api::<WordPressSite>::namespaced(session.client.clone(), namespace);
                let laid = lay(&api, &session.sites, document, number).await;
                let known = session.sites.get(&ObjectRef::new(name).within(namespace));
                (known.is_some(), laid.map(|laid| sites.push(laid)))
            }
            manifest::Planned::Zone => {
                let api = Api::<DnsZone>::namespaced(session.client.clone(), namespace);
                let laid = lay(&api, &session.zones, document, number).await;
                let known = session.zones.get(&ObjectRef::new(name).within(namespace));
                (known.is_some(), laid.map(|laid| zones.push(laid)))
            }
        };
        if let Err(problem) = problem {
            answer.add(vec![ObjectAnswer::refused(document, exists, problem)]);
        }
    }
    // Who comes first among the objects of the files is judged with all of them, as after an apply.
    sites.iter().for_each(|laid| session.site_kind.seen(&laid.object));
    zones.iter().for_each(|laid| session.zone_kind.seen(&laid.object));
    answer.add(tell(session.site_kind.as_ref(), sites, deadline).await);
    answer.add(tell(session.zone_kind.as_ref(), zones, deadline).await);
}

/// Plays a pass of each object. Those that exist go first and together; what new ones are given depends on who
/// comes before, so that they come one by one.
async fn tell<K: Foretell>(kind: &K, objects: Vec<Laid<K::Object>>, deadline: Duration) -> Vec<ObjectAnswer> {
    let (old, new): (Vec<_>, Vec<_>) = objects.into_iter().enumerate().partition(|(_, laid)| {
        // Without a status nothing was made for it.
        laid.exists && K::status(&laid.object) != K::Status::default()
    });
    let one = |(at, laid): (usize, Laid<K::Object>)| async move {
        let rehearsal = rehearse(kind, Arc::clone(&laid.object), deadline).await;
        (at, ObjectAnswer::of(K::KIND.label(), &laid, rehearsal))
    };
    let mut answers: Vec<_> = futures::stream::iter(old)
        .map(one)
        .buffered(AT_ONCE)
        .collect()
        .await;
    for laid in new {
        answers.push(one(laid).await);
    }
    answers.sort_by_key(|(at, _)| *at);
    answers.into_iter().map(|(_, answer)| answer).collect()
}
