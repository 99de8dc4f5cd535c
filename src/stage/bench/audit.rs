//! What the API server's audit log says about one client's requests.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::stage::{OPERATOR_NAMESPACE, StageError};

/// Requests of one client so far.
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

/// Reads the log as it grows.
#[derive(Debug)]
pub struct AuditTail {
    path: PathBuf,
    user: String,
    /// Bytes that are counted.
    offset: u64,
    calls: ApiCalls,
    requests: u64,
}

impl AuditTail {
    /// The requests of one user; nothing is read yet.
    pub fn new(path: impl Into<PathBuf>, user: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            user: user.into(),
            offset: 0,
            calls: ApiCalls::default(),
            requests: 0,
        }
    }

    /// Counts what the log has by now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&mut self) -> Result<&ApiCalls, StageError> {
        let failed = |source| StageError::Io {
            what: format!("cannot read the audit log {}", self.path.display()),
            source,
        };
        let mut file = File::open(&self.path).map_err(failed)?;
        file.seek(SeekFrom::Start(self.offset)).map_err(failed)?;
        let mut news = Vec::new();
        file.read_to_end(&mut news).map_err(failed)?;
        // The last line may be half written.
        let whole = news
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let lines = news.get(..whole).unwrap_or_default();
        self.offset += u64::try_from(whole).unwrap_or_default();
        for line in lines.split(|byte| *byte == b'\n') {
            let Ok(line) = serde_json::from_slice::<Line>(line) else {
                continue;
            };
            if line.user.username == self.user && line.stage == "ResponseComplete" {
                self.calls.count(&line);
                self.requests += u64::from(!line.renews_lease());
            }
        }
        Ok(&self.calls)
    }

    /// All requests that [`AuditTail::read`] has seen, those for a Lease left out: they come for ever.
    pub fn requests(&self) -> u64 {
        self.requests
    }
}

impl Line {
    fn renews_lease(&self) -> bool {
        let resource = self.object_ref.as_ref().and_then(|of| of.resource.as_deref());
        resource == Some("leases")
    }
}

impl ApiCalls {
    /// Counts the operator's requests in the log.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(path: &Path) -> Result<Self, StageError> {
        let user = format!("system:serviceaccount:{OPERATOR_NAMESPACE}:hostwright");
        AuditTail::new(path, user).read().cloned()
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
