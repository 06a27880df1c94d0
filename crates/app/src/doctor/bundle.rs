//! The diagnostics bundle: one file with the data that a support request needs, without secrets.
//!
//! Each field in the bundle is listed explicitly, so a new field of a record is not included automatically. For
//! processes, the bundle contains no arguments, environment, texts or output. The log and the configuration are copied
//! as text, and likely secrets are removed from them.

mod scrub;

use super::Diagnosis;
use crate::failure::ProgramError;
use longhaul_cli::manager_records;
use longhaul_client::LOG;
use longhaul_client::ManagerLocator;
use longhaul_wire::api::ProcessView;
use rustix::fs::{Mode, OFlags};
use scrub::Scrub;
use serde_json::json;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Number of bytes from the end of the log that the bundle contains.
const LOG_END: u64 = 128 * 1024;
/// Maximum number of characters in a line of the log; the rest of the line is cut.
const MAX_LINE_LEN: usize = 2_000;
/// Files in the state directory whose entire content is a secret.
const SECRET_FILES: [&str; 2] = ["token", "token.read"];

/// Inputs of a diagnostics bundle.
pub(crate) struct DiagnosticsBundle<'a> {
    /// Result of `longhaul doctor`.
    pub(crate) found: &'a Diagnosis,
    /// Configuration as `longhaul config show --origin` prints it. `None` if the configuration is invalid.
    pub(crate) configuration: Option<String>,
    /// Socket and state directory of the manager.
    pub(crate) place: &'a ManagerLocator,
}

impl DiagnosticsBundle<'_> {
    /// Writes the bundle to a new file that only the current user can read. Returns the path of the file. Refuses to
    /// overwrite an existing file.
    pub(crate) fn write(&self, path: Option<&Path>) -> Result<PathBuf, ProgramError> {
        let path = path.map_or_else(default_name, Path::to_owned);
        let failed = |source| ProgramError::System { tried: "write the diagnostics bundle", source };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR);
        let mut file = File::from(file.map_err(|errno| failed(errno.into()))?);
        file.write_all(self.text().as_bytes()).map_err(failed)?;
        Ok(path)
    }

    fn text(&self) -> String {
        let state_dir = &self.place.state_dir;
        let mut scrub = Scrub::default();
        for name in SECRET_FILES {
            scrub.add_secrets(&end_of(&state_dir.join(name), LOG_END).unwrap_or_default());
        }
        let parts = [
            ("longhaul", versions()),
            ("doctor", self.found.text.clone()),
            (
                "configuration",
                self.configuration
                    .as_deref()
                    .map_or("the configuration is not valid\n".to_owned(), without_hooks),
            ),
            ("processes", self.processes()),
            ("end of the manager's log", log(state_dir)),
        ];
        let mut text = String::new();
        for (title, part) in parts {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "==== {title} ====\n{}", scrub.apply(&part));
        }
        text
    }

    fn processes(&self) -> String {
        match manager_records(self.place) {
            Ok(Some(records)) => {
                let lines: Vec<String> =
                    records.iter().map(|record| format!("{}\n", facts(record))).collect();
                lines.concat()
            }
            Ok(None) => "no manager answers, and doctor started no manager\n".to_owned(),
            Err(problem) => format!("{}\n", problem.title),
        }
    }
}

fn default_name() -> PathBuf {
    let seconds =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    format!("longhaul-doctor-{seconds}.txt").into()
}

fn versions() -> String {
    let line = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let system = line("/etc/os-release");
    let name = system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("unknown");
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = line("/proc/meminfo");
    format!(
        "version {}\nkernel {}\nsystem {}\narchitecture {}, {cpus} processors, {}\nuser {}\n",
        env!("CARGO_PKG_VERSION"),
        line("/proc/sys/kernel/osrelease").trim(),
        name.trim_matches('"'),
        std::env::consts::ARCH,
        memory.lines().next().unwrap_or("memory unknown"),
        rustix::process::geteuid().as_raw(),
    )
}

/// Removes the commands of hooks from the configuration, because they may contain private texts.
fn without_hooks(shown: &str) -> String {
    let is_hook = |line: &str| line.starts_with("on_") && !line.contains("= []");
    let reported = |line: &str| match line.split_once(" = ") {
        Some((key, _)) if is_hook(line) => format!("{key} = ***\n"),
        Some(_) | None => format!("{line}\n"),
    };
    shown.lines().map(reported).collect()
}

/// Returns the data about a process that the bundle contains. Of the texts that the launch request contained, only the
/// file name of the program is included.
fn facts(process: &ProcessView) -> serde_json::Value {
    let program =
        process.command.first().map(|program| Path::new(program).file_name().unwrap_or(OsStr::new("")));
    json!({
        "id": process.id,
        "work": process.work,
        "type": process.kind,
        "program": program.map(OsStr::to_string_lossy),
        "arguments": process.command.len().saturating_sub(1),
        "status": process.status,
        "pending": process.pending.as_ref().map(|pending| &pending.why),
        "attempt": process.attempt,
        "max_attempts": process.max_attempts,
        "node_id": process.node_id,
        "parent_id": process.parent_id,
        "level": process.level,
        "pid": process.pid,
        "containment": process.containment,
        "ended_by": process.ended_by,
        "exit": process.exit,
        "start_failure": process.start_failure,
        "conditions": process.conditions,
        "cancelling_descendants": process.cancelling_descendants,
        "queued_at": process.queued_at,
        "started_at": process.started_at,
        "completed_at": process.completed_at,
        "timeout_ms": process.timeout_ms,
        "limits": process.limits,
        "output_bytes": process.output_bytes,
        "revision": process.revision,
    })
}

fn log(state_dir: &Path) -> String {
    match end_of(&state_dir.join(LOG), LOG_END) {
        Ok(text) => {
            let cut = |line: &str| format!("{}\n", line.chars().take(MAX_LINE_LEN).collect::<String>());
            text.lines().map(cut).collect()
        }
        Err(error) => format!("none: {error}\n"),
    }
}

/// Returns at most `limit` bytes from the end of a file. Refuses a symbolic link.
fn end_of(path: &Path, limit: u64) -> io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(limit)))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundle_contains_no_text_that_a_launcher_wrote() {
        let marker = || Some("marker-7c1d".to_owned());
        let process = ProcessView {
            name: marker(),
            project: marker(),
            session_id: marker(),
            description: marker(),
            metadata: Some(json!({ "a": "marker-7c1d" })),
            command: vec!["/bin/sh".to_owned(), "-c".to_owned(), "echo marker-7c1d".to_owned()],
            directory: marker(),
            reason: marker(),
            stage: marker(),
            key: marker(),
            launch_key: marker(),
            prompt: marker(),
            error: marker(),
            result: Some(json!("marker-7c1d")),
            ..ProcessView::default()
        };
        let reported = facts(&process);
        assert_eq!((&reported["program"], &reported["arguments"]), (&json!("sh"), &json!(2)));
        assert!(!reported.to_string().contains("marker-7c1d"), "{reported}");
    }

    #[test]
    fn commands_of_hooks_are_left_out() {
        let shown = "node.id = \"a\"\non_end = [\"tell marker-7c1d\"]\non_start = []  # default\n";
        let reported = without_hooks(shown);
        assert_eq!(reported, "node.id = \"a\"\non_end = ***\non_start = []  # default\n");
    }

    #[test]
    fn link_in_the_place_of_the_log_is_not_followed() {
        let top = tempfile::tempdir().unwrap();
        std::fs::write(top.path().join("precious"), "marker-7c1d").unwrap();
        std::os::unix::fs::symlink(top.path().join("precious"), top.path().join(LOG)).unwrap();
        assert!(!log(top.path()).contains("marker-7c1d"));
    }
}
