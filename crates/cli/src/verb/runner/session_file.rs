//! Stores the id of a remote session in a file, so that the session is never created twice.

use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Name of the directory that contains the session files, inside the state directory.
const DIRECTORY: &str = "remote-sessions";

/// Stored knowledge about the remote session of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(super) enum StoredSession {
    /// The command that creates the session was started, and its end is unknown. A session may exist.
    Starting,
    /// The command that creates the session has failed without printing an id. A session may exist, so a retry does not
    /// repeat the command. A restart that a client requests repeats the command.
    StartFailed {
        /// Reason of the failure.
        why: String,
    },
    /// The command that creates the session has ended, and a session may exist, but its id is unknown.
    Unidentified {
        /// Reason why the id is unknown.
        why: String,
    },
    /// The session exists.
    Created {
        /// Id of the session.
        session: String,
    },
    /// The process was restarted, and the new process follows the session.
    Continued {
        /// Id of the new process.
        by: String,
    },
}

/// The session file of one process.
#[derive(Clone, Debug)]
pub(super) struct SessionFile {
    path: PathBuf,
}

impl SessionFile {
    /// Returns the session file of a process. The file need not exist.
    pub(super) fn of(state_dir: &Path, process: &str) -> Self {
        Self { path: state_dir.join(DIRECTORY).join(format!("{process}.json")) }
    }

    /// Returns the ids of all processes that have a session file.
    pub(super) fn all(state_dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(state_dir.join(DIRECTORY)).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file. Returns `None` if the file does not exist. A damaged file counts as [`StoredSession::Starting`],
    /// because a session may exist.
    pub(super) fn read(&self) -> io::Result<Option<StoredSession>> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Ok(Some(serde_json::from_str(&text).unwrap_or(StoredSession::Starting))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == ErrorKind::InvalidData => Ok(Some(StoredSession::Starting)),
            Err(error) => Err(error),
        }
    }

    /// Replaces the content of the file. The content is durable when the function returns.
    pub(super) fn write(&self, stored: &StoredSession) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        match fs::DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let draft = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(serde_json::to_string(stored)?.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &self.path)?;
        File::open(directory)?.sync_all()
    }

    /// Removes the file. A missing file is not an error.
    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_file_can_be_read_again() {
        let top = tempfile::tempdir().unwrap();
        let file = SessionFile::of(top.path(), "p1");
        assert_eq!(file.read().unwrap(), None);
        let created = StoredSession::Created { session: "12".to_owned() };
        let why = "x".to_owned();
        for stored in [
            StoredSession::Starting,
            StoredSession::StartFailed { why: why.clone() },
            StoredSession::Unidentified { why },
            created,
            StoredSession::Continued { by: "p2".to_owned() },
        ] {
            file.write(&stored).unwrap();
            assert_eq!(file.read().unwrap(), Some(stored));
        }
        assert_eq!(SessionFile::all(top.path()), ["p1"]);
        file.remove().unwrap();
        file.remove().unwrap();
        assert_eq!(file.read().unwrap(), None);
        assert_eq!(SessionFile::all(top.path()), [""; 0]);
    }

    #[test]
    fn damaged_file_means_that_a_session_may_exist() {
        let top = tempfile::tempdir().unwrap();
        let file = SessionFile::of(top.path(), "p1");
        file.write(&StoredSession::Starting).unwrap();
        for damage in [b"" as &[u8], b"{\"state\":\"moon\"}", b"\xff"] {
            fs::write(file.path(), damage).unwrap();
            assert_eq!(file.read().unwrap(), Some(StoredSession::Starting));
        }
    }
}
