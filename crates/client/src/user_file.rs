//! The few settings that a client reads from the configuration file of the user.
//!
//! A client needs only the state directory and the store. The manager reads and checks the complete configuration.

use longhaul_wire::api::Problem;
use longhaul_wire::store::StoreChoice;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// File name of a project's configuration file.
pub const PROJECT_FILE: &str = "longhaul.toml";
/// Directory name of a state directory that belongs to a project.
pub const PROJECT_STATE: &str = ".longhaul";
/// Configuration key of the state directory.
const STATE: &str = "state";
/// Configuration key of the store.
const STORE: &str = "store";
/// Environment variable that sets the store.
const STORE_VARIABLE: &str = "LONGHAUL_STORE";

/// Reason why the configuration file of the user cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UserFileError {
    /// The file cannot be read.
    #[error("the configuration file {} cannot be read", path.display())]
    Unreadable {
        /// Path of the file.
        path: PathBuf,
        /// Underlying error that caused this error.
        #[source]
        source: io::Error,
    },
    /// The file is not valid TOML.
    #[error("the configuration file {} is not valid TOML", path.display())]
    Syntax {
        /// Path of the file.
        path: PathBuf,
        /// Number of the invalid line, starting at 1.
        line: usize,
        /// Reason why the line is invalid.
        why: String,
    },
    /// The file names a state directory that is not valid.
    #[error("{text} is not a valid value of the configuration key {STATE}")]
    BadState {
        /// Path of the file.
        path: PathBuf,
        /// Line of the value, starting at 1.
        line: usize,
        /// The value as the file contains it.
        text: String,
        /// Reason why the value is not valid.
        why: &'static str,
    },
}

impl UserFileError {
    /// Returns the error in the form that all interfaces show.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let (detail, help) = match self {
            Self::Unreadable { source, .. } => (source.to_string(), None),
            Self::Syntax { line, why, .. } => (format!("line {line}: {why}"), None),
            Self::BadState { path, line, why, .. } => (
                format!("{why} ({}:{line})", path.display()),
                Some("give an absolute path in quotes; the path may start with ~/".to_owned()),
            ),
        };
        Problem {
            slug: "invalid_configuration".to_owned(),
            title: self.to_string(),
            detail: Some(detail),
            help,
            ..Problem::default()
        }
    }
}

/// Returns the path of the user's configuration file, whether or not the file exists. Returns `None` if neither
/// `XDG_CONFIG_HOME` nor `HOME` is an absolute path.
pub fn user_file(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")))?;
    Some(base.join("longhaul").join("config.toml"))
}

/// Returns the state directory that the user's configuration file names. The other values of the file are not checked.
/// Returns `None` if the file names no state directory.
pub(crate) fn state_of_user_file(path: &Path, home: Option<&Path>) -> Result<Option<PathBuf>, UserFileError> {
    let Some(setting) = read(path, STATE)? else { return Ok(None) };
    let bad = |why| UserFileError::BadState {
        path: path.to_owned(),
        line: setting.line,
        text: setting.shown.clone(),
        why,
    };
    let Some(text) = &setting.text else { return Err(bad("the value is not a string")) };
    let found = match (text.strip_prefix("~/"), home) {
        (Some(below), Some(home)) => home.join(below),
        (Some(_), None) => return Err(bad("HOME is not set")),
        (None, _) => PathBuf::from(text),
    };
    if found.is_absolute() { Ok(Some(found)) } else { Err(bad("the value is not an absolute path")) }
}

/// Returns the store that the environment or the user's configuration file sets, in the form in which a manager reports
/// its store. Returns `None` if no store is set, or if the file is invalid: the manager reports an invalid file when it
/// starts.
pub(crate) fn configured_store(
    state_dir: &Path,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Option<String> {
    let set =
        variable(STORE_VARIABLE).and_then(|value| value.into_string().ok()).filter(|url| !url.is_empty());
    let url = set.or_else(|| read(&user_file(&variable)?, STORE).ok()??.text)?;
    Some(StoreChoice::of(&url, state_dir).unwrap_or(StoreChoice::Other(url)).to_string())
}

/// Value of a key in the file.
struct FileSetting {
    /// The value, if it is a string.
    text: Option<String>,
    /// The value as the file contains it.
    shown: String,
    /// Line of the key, starting at 1.
    line: usize,
}

fn read(path: &Path, key: &str) -> Result<Option<FileSetting>, UserFileError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(source) => return Err(UserFileError::Unreadable { path: path.to_owned(), source }),
    };
    let line_of = |offset| 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    let table = DeTable::parse(&text).map_err(|error| UserFileError::Syntax {
        path: path.to_owned(),
        line: line_of(error.span().map_or(0, |span| span.start)),
        why: error.message().to_owned(),
    })?;
    Ok(table.get_ref().iter().find(|(name, _)| name.get_ref() == key).map(|(name, value)| FileSetting {
        text: if let DeValue::String(text) = value.get_ref() { Some(text.to_string()) } else { None },
        shown: text.get(value.span()).unwrap_or_default().to_owned(),
        line: line_of(name.span().start),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn state_of_the_users_file_is_absolute_or_below_home() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("config.toml");
        let state = |text: &str| {
            std::fs::write(&path, text).unwrap();
            state_of_user_file(&path, Some(Path::new("/home/me")))
        };
        assert_eq!(state("state = \"/a/b\"").unwrap(), Some("/a/b".into()));
        assert_eq!(state("state = \"~/b\"").unwrap(), Some("/home/me/b".into()));
        assert_eq!(state("stop.grace = 5").unwrap(), None);
        let error = state("# the state\nstate = \"b\"").unwrap_err().problem();
        assert_eq!(error.title, "\"b\" is not a valid value of the configuration key state");
        assert!(error.detail.unwrap().contains("config.toml:2"));
        assert!(state("state = 7").is_err());
        assert!(state("state = = ").is_err());
    }

    #[test]
    fn configured_store_comes_from_the_environment_or_the_users_file() {
        let top = tempfile::tempdir().unwrap();
        let file = top.path().join("longhaul/config.toml");
        std::fs::create_dir(file.parent().unwrap()).unwrap();
        let mut variables = BTreeMap::from([("XDG_CONFIG_HOME", top.path().display().to_string())]);
        let store = |variables: &BTreeMap<&str, String>| {
            configured_store(Path::new("/s"), |name| variables.get(name).map(OsString::from))
        };
        assert_eq!(store(&variables), None);
        std::fs::write(&file, "store = \"fs:\"\n").unwrap();
        assert_eq!(store(&variables).as_deref(), Some("fs:/s/store"));
        std::fs::write(&file, "store = 7\n").unwrap();
        assert_eq!(store(&variables), None);
        variables.insert(STORE_VARIABLE, "redis://me:hunter2@host".to_owned());
        assert_eq!(store(&variables).as_deref(), Some("redis://…@host"));
    }
}
