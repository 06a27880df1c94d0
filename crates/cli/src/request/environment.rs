//! Current directory and environment variables of the caller.

use super::variables_file;
use crate::failure::CliError;
use crate::value::EnvArg;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, fmt, fs, io};

/// Current directory and environment variables of the caller.
#[derive(Clone)]
pub(crate) struct CallerContext {
    directory: Option<PathBuf>,
    variables: Vec<(OsString, OsString)>,
}

impl CallerContext {
    /// Captures the current directory and the environment variables of this program.
    pub(crate) fn here() -> Self {
        Self { directory: env::current_dir().ok(), variables: env::vars_os().collect() }
    }

    /// Creates a test value with the given directory and variables.
    #[cfg(test)]
    pub(crate) fn of(directory: &Path, variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { directory: Some(directory.to_owned()), variables }
    }

    /// Adds a variable whose value is not UTF-8.
    #[cfg(test)]
    pub(crate) fn with_lost(mut self, name: &str) -> Self {
        use std::os::unix::ffi::OsStringExt;
        self.variables.push((name.into(), OsString::from_vec(vec![b's', 0xff])));
        self
    }

    /// Returns the current directory. Fails if the directory no longer exists.
    pub(crate) fn directory(&self) -> Result<PathBuf, CliError> {
        self.directory.clone().ok_or_else(|| CliError::File {
            verb: "work in",
            path: ".".into(),
            nearest: None,
            source: io::Error::from(io::ErrorKind::NotFound),
        })
    }

    /// Returns the value of a variable. Returns `None` if the variable is not set, empty or not UTF-8.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        let (_, value) = self.variables.iter().find(|(each, _)| each == name)?;
        value.to_str().filter(|value| !value.is_empty()).map(str::to_owned)
    }

    /// Returns the id of the process inside which the caller is running. Returns `None` if the caller is not running
    /// inside a process, or if that process belongs to a manager with another socket.
    pub(crate) fn own_process(&self, socket: &Path) -> Option<String> {
        let own = self.variable("LONGHAUL_SOCKET").map(PathBuf::from);
        let same = own.is_none_or(|own| own == socket || is_same_file(&own, socket));
        self.variable("LONGHAUL_ID").filter(|_| same)
    }

    /// Returns all variables whose name and value are UTF-8.
    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        let texts = self.variables.iter().map(|(name, value)| (name.to_str(), value.to_str()));
        texts.filter_map(|(name, value)| Some((name?.to_owned(), value?.to_owned()))).collect()
    }

    /// Returns the names of the variables that are not UTF-8. Invalid bytes in these names are replaced.
    pub(crate) fn lost_variables(&self) -> Vec<String> {
        let lost =
            self.variables.iter().filter(|(name, value)| name.to_str().is_none() || value.to_str().is_none());
        lost.map(|(name, _)| name.to_string_lossy().into_owned()).collect()
    }
}

impl fmt::Debug for CallerContext {
    /// Prints only the names of the variables, because the values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings")
            .field("directory", &self.directory)
            .field("variables", &self.variables.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .finish()
    }
}

fn is_same_file(left: &Path, right: &Path) -> bool {
    matches!((fs::canonicalize(left), fs::canonicalize(right)), (Ok(left), Ok(right)) if left == right)
}

/// Collects the variables that are declared in files and on the command line. Variables on the command line take
/// precedence.
pub(super) fn declared(
    files: &[PathBuf],
    said: &[EnvArg],
    around: &CallerContext,
) -> Result<BTreeMap<String, String>, CliError> {
    let mut all = BTreeMap::new();
    for file in files {
        let text = variables_file::read(file).map_err(|source| CliError::file("read", file, source))?;
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let line = line.strip_prefix("export ").unwrap_or(line);
            let declared: EnvArg = line.parse().map_err(|error| CliError::Usage {
                what: format!("line {number} of {} declares no variable", file.display()),
                why: Some(format!("{error}")),
                help: "write one NAME=VALUE a line".to_owned(),
            })?;
            add(&mut all, &declared, around)?;
        }
    }
    for declared in said {
        add(&mut all, declared, around)?;
    }
    Ok(all)
}

fn add(
    all: &mut BTreeMap<String, String>,
    declared: &EnvArg,
    around: &CallerContext,
) -> Result<(), CliError> {
    let value = match declared.value() {
        Some(value) => value.to_owned(),
        None => own_value(declared.name(), around)?,
    };
    all.insert(declared.name().to_owned(), value);
    Ok(())
}

fn own_value(name: &str, around: &CallerContext) -> Result<String, CliError> {
    let found = around.variables.iter().find(|(each, _)| each == name);
    found.and_then(|(_, value)| value.to_str()).map(str::to_owned).ok_or_else(|| CliError::Usage {
        what: format!("the environment variable {name} is not set, or is not UTF-8 text"),
        why: Some(
            "a variable without a value is copied from the environment of this command, which must \
            contain it as UTF-8 text"
                .to_owned(),
        ),
        help: format!("-e {name}=VALUE"),
    })
}
