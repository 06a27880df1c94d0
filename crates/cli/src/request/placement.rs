//! Directories, files, and the project that they belong to.

use super::CallerContext;
use crate::failure::CliError;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Gives the directory that the command works in, as the caller names it; it has to be there unless that is elsewhere.
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

/// Gives the absolute path of a file, which can be read unless it lies elsewhere.
pub(super) fn file(said: &Path, elsewhere: bool, around: &CallerContext) -> Result<String, CliError> {
    let path = absolute(said, around)?;
    if elsewhere {
        return text(&path);
    }
    fs::metadata(&path).map_err(|source| CliError::file("read", &path, source))?;
    text(&path)
}

/// Gives a path as text.
pub(super) fn text(path: &Path) -> Result<String, CliError> {
    path.to_str().map(str::to_owned).ok_or_else(|| CliError::Usage {
        what: format!("the path {} is not UTF-8", path.display()),
        why: Some("records of processes contain only UTF-8 text".to_owned()),
        help: "rename the directory, or use another one".to_owned(),
    })
}

/// Gives the name of the git repository that a directory lies in, else its own.
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
    // Dots are taken out where the file system agrees on what they mean.
    Ok(fs::canonicalize(&joined).unwrap_or(joined))
}
