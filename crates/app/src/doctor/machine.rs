//! Checks of the configuration, the state directory, the socket and the manager.

use super::check::{DoctorCheck, amount};
use crate::config::{self, ConfigError, ConfigSources, RulesFault, StoreChoice};
use crate::location;
use longhaul_cli::manager_version;
use longhaul_client::ManagerLocator;
use longhaul_client::StateDir;
use longhaul_wire::api::VersionReply;
use rustix::fs::FileType;
use rustix::io::Errno;
use std::path::Path;

/// Free disk space in bytes below which the check warns.
const LOW_DISK_BYTES: u64 = 256 << 20;
/// Free disk space in bytes below which the check reports a problem, because launches will soon be refused.
const CRITICAL_DISK_BYTES: u64 = 2 << 20;

/// Checks that the configuration is valid.
pub(super) fn configuration(sources: &ConfigSources, error: Option<&ConfigError>) -> DoctorCheck {
    const NAME: &str = "configuration";
    if let Some(error) = error {
        let mut check = DoctorCheck::obstacle(NAME, error.to_string());
        if let Some(why) = error.why() {
            check = check.because(why);
        }
        return match error.help() {
            Some(help) => check.so(help),
            None => check,
        };
    }
    let strays: Vec<String> = config::strays(&sources.environment).iter().map(ToString::to_string).collect();
    if !strays.is_empty() {
        return DoctorCheck::warning(NAME, strays.join("; ")).because(
            "an unknown variable does not change the \
         configuration",
        );
    }
    let files = sources.user_file.iter().chain(&sources.project_files).filter(|path| path.exists());
    let files: Vec<String> = files.map(|path| path.display().to_string()).collect();
    if files.is_empty() {
        DoctorCheck::ok(NAME, "no configuration file exists")
    } else {
        DoctorCheck::ok(NAME, files.join(", "))
    }
}

/// Returns the result of the check if the file with the failure rules cannot be used.
pub(super) fn failure_rules(fault: &RulesFault) -> DoctorCheck {
    DoctorCheck::problem("failure_rules", fault.to_string())
        .because("longhaul searches the output of failed commands only with the built-in rules")
        .so(RulesFault::HELP)
}

/// Checks that a manager can use the state directory.
pub(super) fn state_dir(path: &Path) -> DoctorCheck {
    const NAME: &str = "state_dir";
    let shown = path.display();
    if !path.exists() && !path.is_symlink() {
        return DoctorCheck::ok(NAME, format!("{shown} does not exist yet; the first manager creates it"));
    }
    let found = match StateDir::find(path).and_then(|found| found.check().map(|()| found)) {
        Ok(found) => found,
        Err(error) => {
            return DoctorCheck::obstacle(NAME, error.to_string()).because(error.why()).so(error.help());
        }
    };
    if let Some(copied) = location::copied(&found) {
        return DoctorCheck::obstacle(NAME, copied.to_string()).because(copied.why()).so(copied.help());
    }
    let free = match found.free_bytes() {
        Ok(free) => free,
        Err(error) => {
            return DoctorCheck::warning(
                NAME,
                format!("the free space of {shown} cannot be determined: {error}"),
            );
        }
    };
    let stat = rustix::fs::fstat(&found).ok();
    let owned = stat.map_or_else(String::new, |stat| {
        format!(", mode {:04o}, owned by user {}", stat.st_mode & 0o7777, stat.st_uid)
    });
    let told = format!("{shown}{owned}, {} free", amount(free));
    let check = if free < CRITICAL_DISK_BYTES {
        DoctorCheck::problem(NAME, told).because("launches are refused when the disk is full")
    } else if free < LOW_DISK_BYTES {
        DoctorCheck::warning(NAME, told).because(
            "launches are refused when the disk is full; running processes \
         continue",
        )
    } else {
        return DoctorCheck::ok(NAME, told).with("free_bytes", free);
    };
    check
        .so("free some disk space; `longhaul prune` deletes ended processes and their output")
        .with("free_bytes", free)
}

/// Checks that only the current user can connect to the socket.
pub(super) fn socket(path: &Path) -> DoctorCheck {
    const NAME: &str = "socket";
    let shown = path.display();
    let stat = match rustix::fs::lstat(path) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => {
            return DoctorCheck::ok(NAME, format!("{shown} does not exist yet; a manager creates it"));
        }
        Err(errno) => {
            return DoctorCheck::problem(NAME, format!("{shown} cannot be inspected"))
                .because(std::io::Error::from(errno).to_string())
                .so("use a directory that you own: --state-dir DIR, or LONGHAUL_STATE_DIR");
        }
    };
    let (me, mode) = (rustix::process::geteuid().as_raw(), stat.st_mode & 0o7777);
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        return DoctorCheck::obstacle(NAME, format!("{shown} is not a socket"))
            .because("a manager does not remove files that it did not create")
            .so(format!("inspect the file, then remove it: rm {shown}"));
    }
    if stat.st_uid != me {
        return DoctorCheck::obstacle(NAME, format!("{shown} belongs to user {}", stat.st_uid))
            .because(format!(
                "you are user {me}; the owner of the socket could read everything that you launch"
            ))
            .so("use a directory that you own: --state-dir DIR, or LONGHAUL_STATE_DIR");
    }
    if mode & 0o077 != 0 {
        return DoctorCheck::warning(NAME, format!("{shown}, mode {mode:04o}"))
            .because(
                "the manager refuses other users, but the mode of the socket should already exclude them",
            )
            .so(format!("chmod 600 {shown}"));
    }
    DoctorCheck::ok(NAME, format!("{shown}, mode {mode:04o}"))
}

/// Checks which manager responds on the socket. Does not start a manager. The flag in the result is true if a manager
/// responds.
pub(super) fn manager(place: &ManagerLocator, store: Option<&StoreChoice>) -> (DoctorCheck, bool) {
    const NAME: &str = "manager";
    let answer = manager_version(place);
    let answers = !matches!(answer, Ok(None));
    let check = match answer {
        Ok(None) => {
            let socket = place.socket.display();
            DoctorCheck::ok(NAME, format!("no manager answers at {socket}; the next command starts one"))
        }
        Ok(Some(version)) => answering(&version, store.map(ToString::to_string).as_deref()),
        Err(problem) => {
            let check = DoctorCheck::problem(NAME, problem.title);
            let check = match problem.detail {
                Some(why) => check.because(why),
                None => check,
            };
            check.so(problem.help.unwrap_or_else(|| "end the process that listens on the socket".to_owned()))
        }
    };
    (check, answers)
}

/// Returns a warning that the named problems prevent the next manager from starting. If no problem is named, returns
/// `manager` unchanged.
pub(super) fn kept_away(manager: DoctorCheck, obstacles: &[&str]) -> DoctorCheck {
    const NAME: &str = "manager";
    if obstacles.is_empty() {
        return manager;
    }
    DoctorCheck::warning(NAME, "no manager answers, and none can start")
        .because(format!("no manager can start until these checks succeed: {}", obstacles.join(", ")))
}

fn answering(manager: &VersionReply, store: Option<&str>) -> DoctorCheck {
    const NAME: &str = "manager";
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    let VersionReply { version, pid, node_id, .. } = manager;
    let told = format!("{version}, process {pid}, node {node_id}");
    let restart =
        "end the manager with `kill` (running processes continue); the next command starts a new manager";
    match store {
        Some(store) if store != manager.store => DoctorCheck::warning(NAME, told)
            .because(format!(
                "the manager uses the store {}, but the configuration names {store}",
                manager.store
            ))
            .so(restart),
        Some(_) | None if version != VERSION => DoctorCheck::warning(NAME, told)
            .because(format!("this program has version {VERSION}"))
            .so(restart),
        Some(_) | None => DoctorCheck::ok(NAME, told),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::CheckResult;
    use crate::doctor::check::DoctorReport;

    fn health(check: DoctorCheck) -> CheckResult {
        DoctorReport::of(vec![check]).health()
    }

    #[test]
    fn directory_that_others_write_to_is_a_problem() {
        use std::os::unix::fs::PermissionsExt;
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("state");
        assert_eq!(health(state_dir(&path)), CheckResult::Ok);
        assert!(!path.exists(), "it was made by a look");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
        assert_ne!(health(state_dir(&path)), CheckResult::Problem);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
        assert_eq!(health(state_dir(&path)), CheckResult::Problem);
        std::fs::remove_dir(&path).unwrap();
        std::fs::write(&path, "").unwrap();
        assert_eq!(health(state_dir(&path)), CheckResult::Problem);
    }

    #[test]
    fn invalid_or_accessible_socket_is_reported() {
        use std::os::unix::fs::PermissionsExt;
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("s");
        assert_eq!(health(socket(&path)), CheckResult::Ok);
        std::fs::write(&path, "").unwrap();
        assert_eq!(health(socket(&path)), CheckResult::Problem);
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/run/other", &path).unwrap();
        assert_eq!(health(socket(&path)), CheckResult::Problem);
        std::fs::remove_file(&path).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        for (mode, expected) in [(0o600, CheckResult::Ok), (0o666, CheckResult::Warning)] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(health(socket(&path)), expected);
        }
    }

    #[test]
    fn manager_with_another_store_or_version_is_reported() {
        let manager = VersionReply {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            store: "memory".to_owned(),
            ..VersionReply::default()
        };
        assert_eq!(health(answering(&manager, Some("memory"))), CheckResult::Ok);
        assert_eq!(health(answering(&manager, None)), CheckResult::Ok);
        assert_eq!(health(answering(&manager, Some("sqlite:/x"))), CheckResult::Warning);
        let older = VersionReply { version: "0.0.1".to_owned(), ..manager };
        assert_eq!(health(answering(&older, Some("memory"))), CheckResult::Warning);
    }
}
