//! What the API server's audit log says about the operator's requests.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;

use crate::stage::{OPERATOR_NAMESPACE, StageError};

/// Requests of the operator so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiCalls {
    /// Writes by `resource` or `resource/subresource`.
    pub writes: BTreeMap<String, u64>,
    /// Reads of single objects.
    pub reads: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    stage: String,
    verb: String,
    user: User,
    object_ref: Option<Reference>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
struct Reference {
    resource: Option<String>,
    subresource: Option<String>,
}

impl ApiCalls {
    /// Counts the log.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(path: &Path) -> Result<Self, StageError> {
        let what = || format!("cannot read the audit log {}", path.display());
        let file = std::fs::File::open(path).map_err(|source| StageError::Io { what: what(), source })?;
        let user = format!("system:serviceaccount:{OPERATOR_NAMESPACE}:hostwright");
        let mut calls = Self::default();
        for line in BufReader::new(file).lines() {
            let line = line.map_err(|source| StageError::Io { what: what(), source })?;
            // The last line may be half written.
            let Ok(line) = serde_json::from_str::<Line>(&line) else {
                continue;
            };
            if line.user.username == user && line.stage == "ResponseComplete" {
                calls.count(&line);
            }
        }
        Ok(calls)
    }

    fn count(&mut self, line: &Line) {
        let Some(Reference {
            resource: Some(resource),
            subresource,
        }) = &line.object_ref
        else {
            return;
        };
        match line.verb.as_str() {
            "create" | "update" | "patch" | "delete" | "deletecollection" => {
                let what = match subresource {
                    Some(subresource) => format!("{resource}/{subresource}"),
                    None => resource.clone(),
                };
                *self.writes.entry(what).or_default() += 1;
            }
            "get" => self.reads += 1,
            _ => {}
        }
    }

    /// What came after an earlier count.
    pub fn since(&self, before: &Self) -> Self {
        let writes = self
            .writes
            .iter()
            .map(|(what, count)| (what.clone(), count - before.writes.get(what).unwrap_or(&0)));
        Self {
            writes: writes.filter(|(_, count)| *count > 0).collect(),
            reads: self.reads - before.reads,
        }
    }
}
