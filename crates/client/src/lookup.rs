//! Finds the state directory to use.

use crate::user_file::{PROJECT_STATE, UserFileError, state_of_user_file, user_file};
use longhaul_wire::api::Problem;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Reason why no state directory was found.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// No source names a state directory, and neither `XDG_STATE_HOME` nor `HOME` contains an absolute path.
    #[error("the location of the state directory is unknown")]
    NoHome,
    /// The working directory was removed or is not accessible.
    #[error("the working directory cannot be found")]
    NoWorkingDirectory {
        /// Underlying error that caused this error.
        #[source]
        source: io::Error,
    },
    /// The configuration file of the user is invalid.
    #[error(transparent)]
    UserFile(#[from] UserFileError),
}

impl LookupError {
    /// Returns the error in the form that all interfaces show.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let why = match self {
            Self::UserFile(error) => return error.problem(),
            Self::NoHome => "neither XDG_STATE_HOME nor HOME contains an absolute path".to_owned(),
            Self::NoWorkingDirectory { source } => format!("the working directory cannot be found: {source}"),
        };
        Problem {
            slug: "state_dir_unusable".to_owned(),
            title: "the location of the state directory is unknown".to_owned(),
            detail: Some(why),
            help: Some("set the path: --state-dir DIR, or LONGHAUL_STATE_DIR".to_owned()),
            ..Problem::default()
        }
    }
}

/// Returns the absolute path of the state directory to use. `flag` is the value of `--state-dir`.
///
/// # Errors
/// [`LookupError`] if no source names a state directory.
pub fn state_dir(flag: Option<PathBuf>) -> Result<PathBuf, LookupError> {
    let variable = |name: &str| std::env::var_os(name);
    LookupRequest { flag, variable, here: std::env::current_dir() }.seek()
}

/// Inputs for finding the state directory.
struct LookupRequest<V> {
    /// Value of the flag `--state-dir`. The command-line parser also sets it from the variable `LONGHAUL_STATE_DIR`.
    flag: Option<PathBuf>,
    /// Function that returns the value of an environment variable.
    variable: V,
    /// Working directory, or the error if the working directory cannot be determined.
    here: io::Result<PathBuf>,
}

impl<V: Fn(&str) -> Option<OsString>> LookupRequest<V> {
    /// Returns the absolute path of the state directory from the first of these sources that names one:
    ///
    /// 1. The flag or `LONGHAUL_STATE_DIR`.
    /// 2. The socket path in `LONGHAUL_SOCKET`, which a managed process inherits.
    /// 3. The nearest `.longhaul` in the working directory or a directory above it.
    /// 4. The configuration file of the user.
    /// 5. The default in `XDG_STATE_HOME` or `HOME`.
    fn seek(self) -> Result<PathBuf, LookupError> {
        let variable =
            |name: &str| (self.variable)(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let flag = self.flag.filter(|path| !path.as_os_str().is_empty());
        if let Some(path) = flag.or_else(|| variable("LONGHAUL_STATE_DIR")) {
            return absolute(path, self.here);
        }
        if let Some(socket) = variable("LONGHAUL_SOCKET")
            && let Some(directory) = socket.parent().filter(|directory| directory.is_absolute())
        {
            return Ok(directory.to_owned());
        }
        // If the working directory was removed, ignore it and continue with the remaining sources.
        if let Some(found) = self.here.as_deref().ok().and_then(project_state) {
            return Ok(found);
        }
        if let Some(file) = user_file(&self.variable)
            && let Some(path) = state_of_user_file(&file, variable("HOME").as_deref())?
        {
            return Ok(path);
        }
        default_path(variable)
    }
}

/// Returns the nearest `.longhaul` directory that belongs to this user. `.longhaul` directories of other users are
/// ignored.
fn project_state(here: &Path) -> Option<PathBuf> {
    let me = rustix::process::geteuid().as_raw();
    here.ancestors()
        .map(|directory| directory.join(PROJECT_STATE))
        .find(|path| path.symlink_metadata().is_ok_and(|found| found.is_dir() && found.uid() == me))
}

fn default_path(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, LookupError> {
    let absolute = |name| variable(name).filter(|path: &PathBuf| path.is_absolute());
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map(|base| base.join("longhaul"))
        .ok_or(LookupError::NoHome)
}

fn absolute(path: PathBuf, here: io::Result<PathBuf>) -> Result<PathBuf, LookupError> {
    if path.is_absolute() {
        return Ok(path);
    }
    match here {
        Ok(here) => Ok(here.join(path)),
        Err(source) => Err(LookupError::NoWorkingDirectory { source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn sources_are_flag_then_environment_then_socket_then_project_then_user_file() {
        let top = tempfile::tempdir().unwrap();
        let project = top.path().join("project");
        let deep = project.join("src/deep");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::create_dir(project.join(".longhaul")).unwrap();
        let home = top.path().join("home");
        std::fs::create_dir_all(home.join(".config/longhaul")).unwrap();
        std::fs::write(home.join(".config/longhaul/config.toml"), "state = \"/from/file\"\n").unwrap();
        let mut variables = BTreeMap::from([
            ("LONGHAUL_STATE_DIR", "/from/environment".to_owned()),
            ("LONGHAUL_SOCKET", "/from/socket/longhaul.sock".to_owned()),
            ("HOME", home.display().to_string()),
        ]);

        let seek = |flag: Option<&str>, variables: &BTreeMap<&str, String>, here: &Path| {
            let seeker = LookupRequest {
                flag: flag.map(PathBuf::from),
                variable: |name: &str| variables.get(name).map(OsString::from),
                here: Ok(here.to_owned()),
            };
            seeker.seek().unwrap()
        };
        assert_eq!(seek(Some("/from/flag"), &variables, &deep), Path::new("/from/flag"));
        assert_eq!(seek(Some("near"), &variables, &deep), deep.join("near"));
        assert_eq!(seek(None, &variables, &deep), Path::new("/from/environment"));
        variables.insert("LONGHAUL_STATE_DIR", String::new());
        assert_eq!(seek(Some(""), &variables, &deep), Path::new("/from/socket"));
        variables.remove("LONGHAUL_STATE_DIR");
        assert_eq!(seek(None, &variables, &deep), Path::new("/from/socket"));
        variables.remove("LONGHAUL_SOCKET");
        assert_eq!(seek(None, &variables, &deep), project.join(".longhaul"));
        assert_eq!(seek(None, &variables, top.path()), Path::new("/from/file"));
        std::fs::remove_file(home.join(".config/longhaul/config.toml")).unwrap();
        assert_eq!(seek(None, &variables, top.path()), home.join(".local/state/longhaul"));
        variables.insert("XDG_STATE_HOME", "/xdg".to_owned());
        assert_eq!(seek(None, &variables, top.path()), Path::new("/xdg/longhaul"));
    }

    #[test]
    fn state_directory_is_unknown_without_a_home_directory() {
        let seeker = LookupRequest { flag: None, variable: |_: &str| None, here: Ok(PathBuf::from("/")) };
        assert!(matches!(seeker.seek(), Err(LookupError::NoHome)));
    }
}
