//! Finds a program and checks its working directory before the start, so that an error message can suggest a similar
//! name.

use super::nearest::{names_in, nearest};
use longhaul_domain::{StartFailure, StartStage};
use longhaul_shim::is_shortage;
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Search path for programs if the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Checks that a working directory exists and may be entered.
pub(super) fn check_directory(directory: &str) -> Result<(), StartFailure> {
    let path = Path::new(directory);
    if !path.is_absolute() {
        let detail = format!("the working directory {directory:?} is not an absolute path");
        return Err(failed(StartStage::Directory, Errno::INVAL, detail));
    }
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_dir() => {
            Err(failed(StartStage::Directory, Errno::NOTDIR, format!("{directory} is not a directory")))
        }
        Ok(_) if !is_allowed(path, Access::EXEC_OK) => {
            let detail = format!("permission to enter the directory {directory} is denied");
            Err(failed(StartStage::Directory, Errno::ACCESS, detail))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(missing(StartStage::Directory, "directory", path, &error)),
    }
}

/// Checks that a file for the standard input exists and may be read.
pub(super) fn check_stdin(file: &str) -> Result<(), StartFailure> {
    let path = Path::new(file);
    if !path.is_absolute() {
        let detail = format!("the standard input {file:?} is not an absolute path");
        return Err(failed(StartStage::Stdin, Errno::INVAL, detail));
    }
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            Err(failed(StartStage::Stdin, Errno::ISDIR, format!("the standard input {file} is a directory")))
        }
        Ok(_) if !is_allowed(path, Access::READ_OK) => {
            let detail = format!("permission to read the standard input {file} is denied");
            Err(failed(StartStage::Stdin, Errno::ACCESS, detail))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(missing(StartStage::Stdin, "file", path, &error)),
    }
}

/// Finds a program. An absolute path is used unchanged. A relative path is resolved against the working directory. A
/// name without a slash is searched for in `PATH`.
pub(super) fn find(
    program: &str,
    directory: &str,
    environment: &[(String, String)],
) -> Result<PathBuf, StartFailure> {
    if program.is_empty() {
        return Err(failed(StartStage::Program, Errno::NOENT, "the name of the program is empty".to_owned()));
    }
    if program.contains('/') {
        let path = Path::new(directory).join(program);
        return check_program(&path).map(|()| path);
    }
    let path = environment.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_str());
    let searched: Vec<PathBuf> = path
        .unwrap_or(DEFAULT_PATH)
        .split(':')
        .map(|entry| Path::new(directory).join(if entry.is_empty() { "." } else { entry }))
        .collect();
    let mut unfit = None;
    // Skip directories that do not contain the program. Similar names are searched for only if no directory contains
    // it.
    for candidate in searched.iter().map(|each| each.join(program)) {
        match candidate.try_exists() {
            Ok(true) => {}
            Err(error) if is_shortage(&error) => {
                return Err(missing(StartStage::Program, "program", &candidate, &error));
            }
            Ok(false) | Err(_) => continue,
        }
        match check_program(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(failure) if failure.errno.is_some_and(is_short) => return Err(failure),
            Err(failure) => unfit = unfit.or(Some(failure)),
        }
    }
    Err(unfit.unwrap_or_else(|| unknown(program, &searched)))
}

fn check_program(path: &Path) -> Result<(), StartFailure> {
    let shown = path.display();
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            let detail = format!("{shown} is a directory, not a program");
            Err(failed(StartStage::Program, Errno::ISDIR, detail))
        }
        Ok(_) if !is_allowed(path, Access::EXEC_OK) => {
            let detail = format!("{shown} is not executable; chmod +x makes a script executable");
            Err(failed(StartStage::Program, Errno::ACCESS, detail))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(missing(StartStage::Program, "program", path, &error)),
    }
}

/// Returns the error for a path that cannot be used. For a missing path, the message contains the nearest existing
/// parent directory and the most similar name in it.
fn missing(stage: StartStage, what: &str, path: &Path, error: &io::Error) -> StartFailure {
    let errno = error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error);
    let shown = path.display();
    if errno != Errno::NOENT {
        return failed(stage, errno, format!("the {what} {shown} cannot be used: {error}"));
    }
    let parent = path.ancestors().skip(1).find(|each| each.is_dir()).unwrap_or(Path::new("/"));
    let below = path.strip_prefix(parent).ok().and_then(|rest| rest.iter().next()?.to_str());
    let names = names_in([parent]);
    let mut detail = format!("there is no {what} {shown}");
    if path.parent() != Some(parent) {
        detail.push_str(&format!("; the nearest directory that exists is {}", parent.display()));
    }
    if let Some(near) = below.and_then(|name| nearest(name, names.iter().map(String::as_str))) {
        detail.push_str(&format!("; nearest: {}", parent.join(near).display()));
    }
    failed(stage, errno, detail)
}

fn unknown(program: &str, searched: &[PathBuf]) -> StartFailure {
    let names = names_in(searched.iter().map(PathBuf::as_path));
    let places: Vec<String> = searched.iter().map(|each| each.display().to_string()).collect();
    let mut detail = format!("there is no program {program} in PATH ({})", places.join(", "));
    if let Some(near) = nearest(program, names.iter().map(String::as_str)) {
        detail.push_str(&format!("; nearest: {near}"));
    }
    failed(StartStage::Program, Errno::NOENT, detail)
}

/// Returns true if the path may be accessed in this way. Also returns true if the check failed for lack of resources.
fn is_allowed(path: &Path, access: Access) -> bool {
    match accessat(CWD, path, access, AtFlags::EACCESS) {
        Ok(()) => true,
        Err(errno) => is_short(errno.raw_os_error()),
    }
}

fn is_short(raw: i32) -> bool {
    is_shortage(&io::Error::from_raw_os_error(raw))
}

pub(super) fn failed(stage: StartStage, errno: Errno, detail: String) -> StartFailure {
    StartFailure { stage, errno: Some(errno.raw_os_error()), detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn path_of(value: &str) -> Vec<(String, String)> {
        vec![("PATH".to_owned(), value.to_owned())]
    }

    fn tool(directory: &Path, name: &str, mode: u32) -> String {
        let path = directory.join(name);
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_name_is_searched_in_the_path_of_the_given_environment_only() {
        let dir = tempfile::tempdir().unwrap();
        let tool = tool(dir.path(), "my-tool", 0o755);
        let found = find("my-tool", "/", &path_of(&format!("/nowhere:{}", dir.path().display())));
        assert_eq!(found, Ok(PathBuf::from(tool)));
        assert!(find("my-tool", "/", &path_of("/nowhere")).is_err());
        assert!(find("sh", "/", &[]).is_ok());
    }

    #[test]
    fn the_error_of_a_missing_program_names_the_searched_path_and_the_nearest_name() {
        let dir = tempfile::tempdir().unwrap();
        tool(dir.path(), "my-tool", 0o755);
        let path = dir.path().display().to_string();
        let failure = find("my-tol", "/", &path_of(&path)).unwrap_err();
        assert_eq!((failure.stage, failure.errno), (StartStage::Program, Some(2)));
        assert!(failure.detail.contains(&path) && failure.detail.ends_with("nearest: my-tool"));
        let failure = find("./my-tol", &path, &[]).unwrap_err();
        assert!(failure.detail.ends_with("/my-tool"), "{}", failure.detail);
    }

    #[test]
    fn a_file_that_is_not_a_program_is_distinguished_from_a_missing_file() {
        let dir = tempfile::tempdir().unwrap();
        tool(dir.path(), "script", 0o644);
        let path = dir.path().display().to_string();
        for program in ["script", "./script"] {
            let failure = find(program, &path, &path_of(&path)).unwrap_err();
            assert_eq!(failure.errno, Some(13), "{}", failure.detail);
        }
        assert_eq!(find("/", "/", &[]).unwrap_err().errno, Some(21));
    }

    #[test]
    fn a_missing_directory_names_the_nearest_that_exists() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sources")).unwrap();
        let here = dir.path().display().to_string();
        let failure = check_directory(&format!("{here}/source/a/b")).unwrap_err();
        assert_eq!(failure.stage, StartStage::Directory);
        assert!(failure.detail.contains(&format!("that exists is {here}")), "{}", failure.detail);
        assert!(failure.detail.ends_with("/sources"), "{}", failure.detail);
        assert_eq!(check_directory("relative").unwrap_err().errno, Some(22));
        assert_eq!(check_directory("/dev/null").unwrap_err().errno, Some(20));
        assert!(check_directory(&here).is_ok());
    }

    #[test]
    fn a_missing_input_file_is_reported() {
        assert_eq!(check_stdin("/no/such").unwrap_err().stage, StartStage::Stdin);
        assert_eq!(check_stdin("/").unwrap_err().errno, Some(21));
        assert!(check_stdin("/dev/null").is_ok());
    }
}
