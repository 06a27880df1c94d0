//! Determines the directory, the input file and the project of a launch.

use super::CallerContext;
use crate::failure::CliError;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Returns the absolute path of the directory in which the command runs. The directory must exist, unless `elsewhere`
/// says that the command may run on another machine.
pub(super) fn directory(
    said: Option<&Path>,
    elsewhere: bool,
    around: &CallerContext,
) -> Result<PathBuf, CliError> {
    let Some(said) = said else {
        return around.directory();
    };
    let directory = absolute(said, around)?;
    if elsewhere {
        return Ok(directory);
    }
    let unusable = |source| CliError::file("work in", &directory, source);
    if fs::metadata(&directory).map_err(unusable)?.is_dir() {
        Ok(directory)
    } else {
        Err(unusable(io::Error::from(ErrorKind::NotADirectory)))
    }
}

/// Returns the absolute path of a file. The file must exist, unless `elsewhere` says that the command may run on
/// another machine.
pub(super) fn file(said: &Path, elsewhere: bool, around: &CallerContext) -> Result<String, CliError> {
    let path = absolute(said, around)?;
    if elsewhere {
        return text(&path);
    }
    fs::metadata(&path).map_err(|source| CliError::file("read", &path, source))?;
    text(&path)
}

/// Converts a path to text. Fails if the path is not UTF-8.
pub(super) fn text(path: &Path) -> Result<String, CliError> {
    path.to_str().map(str::to_owned).ok_or_else(|| CliError::Usage {
        what: format!("the path {} is not UTF-8", path.display()),
        why: Some("records of processes contain only UTF-8 text".to_owned()),
        help: "rename the directory, or use another one".to_owned(),
    })
}

/// Returns the name of the git repository that contains the directory. Outside of a repository, returns the name of the
/// directory itself.
pub(super) fn project(directory: &Path) -> Option<String> {
    let root = directory.ancestors().find(|ancestor| ancestor.join(".git").exists());
    let name = root.unwrap_or(directory).file_name()?;
    name.to_str().map(str::to_owned)
}

fn absolute(said: &Path, around: &CallerContext) -> Result<PathBuf, CliError> {
    if said.is_absolute() {
        return Ok(said.to_owned());
    }
    let joined = around.directory()?.join(said);
    // `canonicalize` resolves `..` in the same way as the file system. If the path does not exist, it is returned
    // unresolved.
    Ok(fs::canonicalize(&joined).unwrap_or(joined))
}
