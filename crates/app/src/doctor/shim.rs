//! Checks that the shim program can be executed and has the same version as this program.

use super::check::DoctorCheck;
use crate::config::ManagerConfig;
use crate::shim::find;
use longhaul_shim::{SHIM_VARIABLE, VERSION_ARGUMENT};
use rustix::fs::{Access, access};
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const NAME: &str = "shim";
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Maximum time until the shim program prints its version.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// Maximum number of bytes that are read from the output of the program. A name and a version are shorter.
const MAX_OUTPUT_BYTES: u64 = 256;

/// Checks which program is used as the shim, and which version it has.
pub(super) fn shim(settings: &ManagerConfig) -> DoctorCheck {
    match find(settings.shim.as_deref()) {
        Ok(path) if std::env::current_exe().is_ok_and(|own| own == path) => version_check(&path, VERSION),
        Ok(path) => looked_at(&path),
        Err(error) => DoctorCheck::problem(NAME, format!("the shim cannot be found: {error}")),
    }
}

fn looked_at(path: &Path) -> DoctorCheck {
    match access(path, Access::EXEC_OK).map_err(io::Error::from).and_then(|()| shim_version(path, PROGRAM_TIMEOUT)) {
        Ok(said) => match version_in(&said) {
            Some(version) => version_check(path, version),
            None => DoctorCheck::warning(NAME, path.display().to_string())
                .because("the program does not report its version, so it is a shim of another release, or not a shim")
                .so(mending()),
        },
        Err(error) => DoctorCheck::problem(NAME, format!("{} cannot be executed", path.display()))
            .because(format!("{error}; without a shim no command can start"))
            .so("correct `shim.path`, or put longhaul-shim next to longhaul"),
    }
}

/// Extracts the version from the output of a shim. Returns `None` if the output has another form, or if it contains
/// characters that are unsafe to print on a terminal.
fn version_in(said: &str) -> Option<&str> {
    let version = said.trim_end().strip_prefix("longhaul-shim ")?;
    version.chars().all(|letter| letter.is_ascii_graphic()).then_some(version)
}

fn version_check(path: &Path, version: &str) -> DoctorCheck {
    let found = format!("{}, {version}", path.display());
    let check = if version == VERSION {
        DoctorCheck::ok(NAME, found)
    } else {
        DoctorCheck::warning(NAME, found)
            .because(format!(
                "this program has version {VERSION}; attempts of the other shim version are still \
                              supervised"
            ))
            .so(mending())
    };
    check.with("version", version)
}

fn mending() -> String {
    format!(
        "put longhaul-shim {VERSION} next to longhaul, or correct `shim.path`; running processes continue"
    )
}

/// Executes the program like a manager does, but with the argument that requests its version. Returns its output, or an
/// empty text after `time_limit`.
fn shim_version(path: &Path, time_limit: Duration) -> io::Result<String> {
    let mut program = Command::new(path)
        .arg(VERSION_ARGUMENT)
        .env_clear()
        .env(SHIM_VARIABLE, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let begun = Instant::now();
    while program.try_wait()?.is_none() {
        if begun.elapsed() > time_limit {
            program.kill()?;
            program.wait()?;
            return Ok(String::new());
        }
        sleep(POLL_INTERVAL);
    }
    let mut said = Vec::new();
    if let Some(out) = program.stdout.take() {
        out.take(MAX_OUTPUT_BYTES).read_to_end(&mut said)?;
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{CheckResult, DoctorReport};
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    fn program(top: &Path, script: &str, mode: u32) -> PathBuf {
        let path = top.join("longhaul-shim");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path
    }

    fn found(script: &str, mode: u32) -> DoctorReport {
        let top = tempfile::tempdir().unwrap();
        DoctorReport::of(vec![looked_at(&program(top.path(), script, mode))])
    }

    #[test]
    fn shim_of_another_version_is_reported_with_advice() {
        assert_eq!(found(&format!("echo longhaul-shim {VERSION}"), 0o755).health(), CheckResult::Ok);
        let older = found("echo longhaul-shim 0.0.1", 0o755);
        assert_eq!(older.health(), CheckResult::Warning);
        let text = older.text();
        assert!(text.contains("0.0.1") && text.contains("help: put longhaul-shim"), "{text}");
    }

    #[test]
    fn program_without_a_version_is_reported() {
        for script in ["exit 64", "echo longhaul 0.1.0", "printf 'longhaul-shim \\033[2J'"] {
            let report = found(script, 0o755);
            assert_eq!(report.health(), CheckResult::Warning, "{script}: {}", report.text());
            assert!(!report.text().contains('\u{1b}'), "{script}");
        }
        let top = tempfile::tempdir().unwrap();
        let silent = program(top.path(), "exec sleep 60", 0o755);
        assert_eq!(shim_version(&silent, POLL_INTERVAL).unwrap(), "", "the call does not wait");
    }

    #[test]
    fn shim_that_cannot_be_executed_is_a_problem() {
        assert_eq!(found("true", 0o644).health(), CheckResult::Problem);
        assert_eq!(
            DoctorReport::of(vec![looked_at(Path::new("/nowhere/longhaul-shim"))]).health(),
            CheckResult::Problem
        );
    }
}
