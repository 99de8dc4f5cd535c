//! The demo's folder: made at the start, removed in the end, and never one that holds anything else.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::stage::StageError;

/// File with the process id of the demo that the folder belongs to. A folder without it is never removed.
const MARKER: &str = "demo.pid";
/// How long removing may take: a process that was just killed may still write its last file.
const REMOVE_LIMIT: Duration = Duration::from_secs(5);
/// Pause between two tries to remove it.
const REMOVE_PAUSE: Duration = Duration::from_millis(50);

/// The folder of one demo.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder, in place of what an earlier demo left there.
    ///
    /// # Errors
    /// When another demo uses it, when it holds something else, or when it cannot be made.
    pub fn make(path: &Path) -> Result<Self, StageError> {
        let failed = |source| StageError::Io {
            what: format!("cannot make the folder {}", path.display()),
            source,
        };
        let used = match fs::read_to_string(path.join(MARKER)) {
            Ok(text) => {
                let pid = text.trim().to_owned();
                if Path::new("/proc").join(&pid).exists() {
                    return Err(StageError::Other(format!(
                        "{} is used by another demo, process {pid}; end that one or give --folder",
                        path.display()
                    )));
                }
                true
            }
            Err(_) => false,
        };
        if used {
            fs::remove_dir_all(path).map_err(failed)?;
        }
        if fs::read_dir(path).is_ok_and(|mut files| files.next().is_some()) {
            return Err(StageError::Other(format!(
                "{} is not empty and not of an earlier demo; give another --folder",
                path.display()
            )));
        }
        // Credentials of the cluster are in it.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        fs::write(path.join(MARKER), format!("{}\n", std::process::id())).map_err(failed)?;
        let path = path.canonicalize().map_err(failed)?;
        Ok(Self { path })
    }

    /// Where a file of this name is.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file that can be run.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn program(&self, name: &str, text: &str) -> Result<(), StageError> {
        let path = self.file(name);
        let written = fs::write(&path, text)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o700)));
        written.map_err(|source| StageError::Io {
            what: format!("cannot write {}", path.display()),
            source,
        })
    }

    /// Removes it.
    ///
    /// # Errors
    /// When something stays.
    pub async fn remove(&self) -> Result<(), StageError> {
        let begun = Instant::now();
        loop {
            match fs::remove_dir_all(&self.path) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(_) if begun.elapsed() < REMOVE_LIMIT => tokio::time::sleep(REMOVE_PAUSE).await,
                Err(source) => {
                    return Err(StageError::Io {
                        what: format!("cannot remove {}", self.path.display()),
                        source,
                    });
                }
            }
        }
    }
}

/// A path as a person in the current directory would write it.
pub fn short(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let inside = here.as_deref().and_then(|here| path.strip_prefix(here).ok());
    inside.unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_made_and_removed() {
        let around = tempfile::tempdir().unwrap();
        let path = around.path().join("a/b");
        let folder = Folder::make(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        folder.program("kubectl", "#!/bin/sh\n").unwrap();
        folder.remove().await.unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn what_an_earlier_demo_left_is_replaced() {
        let around = tempfile::tempdir().unwrap();
        // No process has this number: Linux ends at 2^22.
        fs::write(around.path().join(MARKER), "4194305\n").unwrap();
        fs::write(around.path().join("old"), "").unwrap();
        let folder = Folder::make(around.path()).unwrap();
        assert!(!folder.file("old").exists());
    }

    #[test]
    fn a_folder_in_use_or_of_others_is_left_alone() {
        let around = tempfile::tempdir().unwrap();
        let _running = Folder::make(around.path()).unwrap();
        let said = Folder::make(around.path()).unwrap_err().to_string();
        assert!(said.contains("is used by another demo"), "{said}");

        let foreign = tempfile::tempdir().unwrap();
        fs::write(foreign.path().join("letter.txt"), "").unwrap();
        let said = Folder::make(foreign.path()).unwrap_err().to_string();
        assert!(said.contains("is not empty"), "{said}");
        assert!(foreign.path().join("letter.txt").exists());
    }
}
