//! Checks that `longhaul doctor` makes on this machine: the store, containment, the clock, and processes without a
//! supervisor.

use super::containment;
use crate::config::{ManagerConfig, StoreChoice};
use crate::doctor::{DoctorCheck, amount};
use crate::enclosing_shim::ATTEMPTS;
use crate::failure::causes;
use crate::store_mark;
use crate::stores::{Stores, unknown};
use longhaul_adapters::fs::FsStore;
pub(crate) use longhaul_adapters::os::SupervisedAttempt;
use longhaul_adapters::os::{HostSurvey, containment_here, deserted_groups, names_left};
use longhaul_adapters::sqlite::SqliteStore;
use longhaul_adapters::system::{FileEnvironmentStore, SystemClock};
use longhaul_cli::shell_word;
use longhaul_client::StateDir;
use longhaul_domain::{Containment, ProcessId};
use longhaul_engine::ports::{Clock, EventCursor, StoreError};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Maximum time until the store responds.
const STORE_TIMEOUT: Duration = Duration::from_secs(6);
/// Advice for the user if a store cannot be reached.
const UNREACHABLE_HELP: &str = "check that the store is reachable and that the configuration names the right store: longhaul config show \
     --origin";
/// Number of free inodes below which the check reports a problem. When no inode is left, launches are refused.
const LOW_INODES: u64 = 1_000;
/// Maximum number of pids in the text report; the JSON report contains all of them.
const MAX_PIDS: usize = 20;
/// Maximum number of characters of a command line in the report.
const MAX_COMMAND_LEN: usize = 80;
/// Smallest change of the wall clock that causes a warning.
const MIN_REPORTED_JUMP: Duration = Duration::from_secs(60);

/// Checks a SQLite database. This function neither creates nor changes a file.
pub(crate) fn of_database(path: &Path) -> DoctorCheck {
    const NAME: &str = "store";
    let shown = format!("sqlite:{}", path.display());
    let error = match SqliteStore::look(path) {
        Ok(None) => {
            return DoctorCheck::ok(
                NAME,
                format!("{shown} does not exist yet; the first manager creates it"),
            );
        }
        Ok(Some(found)) => {
            let told = format!("{shown}, {}", amount(found.bytes));
            let check = if found.whole {
                DoctorCheck::ok(NAME, format!("{told}, no damaged pages"))
            } else {
                DoctorCheck::ok(NAME, told).because("the database is too large to check every page")
            };
            return check.with("bytes", found.bytes);
        }
        Err(error) => error,
    };
    let check = DoctorCheck::obstacle(NAME, shown).because(error.to_string());
    check.so(if let StoreError::Corrupt { .. } = error {
        "keep a copy of the file; copy its readable records to a new store with `longhaul store copy`; if the file \
         is missing, the next manager creates an empty store"
    } else if let Some(help) = error.format_help() {
        help
    } else if let StoreError::ReadOnly { .. } = error {
        "make the file writable for its user (chmod u+rw), or mount its file system writable"
    } else {
        "check the file and its directory"
    })
}

/// Checks a file store. If a manager is running, the check does not read the files, because the manager has read them
/// when it started.
pub(crate) fn of_files(path: &Path, choice: &StoreChoice, is_managed: bool) -> DoctorCheck {
    const NAME: &str = "store";
    let found = if is_managed { Ok(Some(EventCursor::default())) } else { FsStore::end_of(path) };
    match found {
        Ok(Some(_)) => DoctorCheck::ok(NAME, choice.to_string()),
        Ok(None) => {
            DoctorCheck::ok(NAME, format!("{choice} does not exist yet; the first manager creates it"))
        }
        Err(error) => DoctorCheck::obstacle(NAME, choice.to_string())
            .because(causes(&error).unwrap_or_else(|| error.to_string()))
            .so("keep a copy of the store before you change it; this check changed nothing"),
    }
}

/// Checks a store of a kind that the program added. Opens the store like a manager that starts, even if there is no
/// state directory.
pub(crate) async fn of_added(
    state_dir: &Path,
    choice: &StoreChoice,
    url: &str,
    stores: &Stores,
) -> DoctorCheck {
    const NAME: &str = "store";
    let reached = async {
        let clock = SystemClock::for_looking(state_dir)
            .map_err(|error| StoreError::Unavailable { source: error.into() })?;
        let clock: Arc<dyn Clock> = Arc::new(clock);
        match stores.open(url, &clock, None).await {
            Some(opened) => {
                let opened = opened?;
                opened.policy().await?;
                Ok(match StateDir::find(state_dir) {
                    Ok(state) => store_mark::lost_of(&state, choice, opened.as_ref()).await,
                    Err(_) => None,
                })
            }
            None => Err(StoreError::Unavailable { source: unknown(url).into() }),
        }
    };
    let shown = choice.to_string();
    match tokio::time::timeout(STORE_TIMEOUT, reached).await {
        Ok(Ok(None)) => DoctorCheck::ok(NAME, format!("{shown} is reachable")),
        Ok(Ok(Some(lost))) => {
            DoctorCheck::obstacle(NAME, lost.to_string()).because(lost.why()).so(lost.help())
        }
        Ok(Err(error)) => {
            let check = DoctorCheck::obstacle(NAME, format!("{shown} cannot be used: {error}"));
            let check = match causes(&error) {
                Some(why) => check.because(why),
                None => check,
            };
            check.so(UNREACHABLE_HELP)
        }
        Err(_) => DoctorCheck::obstacle(
            NAME,
            format!("{shown} did not answer within {} s", STORE_TIMEOUT.as_secs()),
        )
        .so(UNREACHABLE_HELP),
    }
}

/// Checks which mechanism can group the descendants of commands on this machine.
pub(crate) fn of_containment(settings: &ManagerConfig) -> DoctorCheck {
    const NAME: &str = "containment";
    let (mechanism, why_not_better) = containment_here(containment(settings.containment));
    let check = match mechanism {
        Containment::Cgroup => DoctorCheck::ok(NAME, "cgroup"),
        Containment::Subreaper => DoctorCheck::ok(NAME, "subreaper"),
        Containment::Group => DoctorCheck::warning(NAME, "group").so(
            "remove the setting `shim.containment`; with `group`, descendants that leave their process group \
                 cannot be tracked",
        ),
    };
    match why_not_better {
        Some(why) => check.because(why),
        None => check,
    }
}

/// Checks by how much the wall clock has changed since the first manager after the last boot started.
pub(crate) fn of_clock(state_dir: &Path) -> DoctorCheck {
    const NAME: &str = "clock";
    match SystemClock::wall_ahead_ms(state_dir) {
        Ok(ahead_ms) => of_drift(NAME, ahead_ms),
        Err(error) => DoctorCheck::obstacle(NAME, error.to_string())
            .because("without this file, recorded times could go backwards, so no manager starts")
            .so("restore the file, or remove it if no other version of longhaul wrote it"),
    }
}

fn of_drift(name: &'static str, ahead_ms: Option<i64>) -> DoctorCheck {
    let Some(ahead_ms) = ahead_ms else {
        return DoctorCheck::ok(name, "no manager has started since the last boot");
    };
    let apart = Duration::from_millis(ahead_ms.unsigned_abs());
    if apart < MIN_REPORTED_JUMP {
        return DoctorCheck::ok(name, "unchanged since the first manager of this boot started")
            .with("ahead_ms", ahead_ms);
    }
    let (seconds, way) = (apart.as_secs(), if ahead_ms < 0 { "back" } else { "ahead" });
    DoctorCheck::warning(
        name,
        format!("the wall clock was set {seconds} s {way} after the first manager of this boot started"),
    )
    .because(
        "only displayed times are affected: they follow the old setting of the clock until the next boot",
    )
    .so("reboot the machine if displayed times must be correct; otherwise do nothing")
    .with("ahead_ms", ahead_ms)
}

/// Inspects the live attempts of a state directory.
pub(crate) fn attempts(state_dir: &Path) -> io::Result<HostSurvey> {
    HostSurvey::of(&state_dir.join(ATTEMPTS))
}

/// Reports running attempts without a supervisor, and descendants that are still running although their attempt has
/// ended.
pub(crate) fn of_orphans(state_dir: &Path, seen: &io::Result<HostSurvey>, is_managed: bool) -> DoctorCheck {
    const NAME: &str = "orphans";
    match seen {
        Ok(seen) => of_seen(NAME, seen, deserted_groups(), is_managed),
        Err(error) => {
            DoctorCheck::problem(NAME, format!("the attempt directories cannot be listed: {error}")).so(
                format!(
                    "make the directory readable for its user: chmod u+rwx {}",
                    state_dir.join(ATTEMPTS).display()
                ),
            )
        }
    }
}

fn of_seen(name: &'static str, seen: &HostSurvey, groups: usize, is_managed: bool) -> DoctorCheck {
    let HostSurvey { supervised, elsewhere, unsupervised, survivors, more } = seen;
    let supervised = supervised.len();
    let also = if *more { " (not all attempts were inspected)" } else { "" };
    let told = match unsupervised {
        0 => format!("none; running attempts with a shim: {supervised}{also}"),
        _ => format!("running attempts without a shim: {unsupervised}, with a shim: {supervised}{also}"),
    };
    let told = match survivors.as_slice() {
        [] => told,
        pids => format!("{told}; alive: {}", listed(pids)),
    };
    let told = match elsewhere.len() {
        0 => told,
        elsewhere => {
            format!("{told}; running attempts of the directory that this one is a copy of: {elsewhere}")
        }
    };
    let check = if !survivors.is_empty() && (is_managed || *unsupervised == 0) {
        DoctorCheck::warning(name, told)
            .because(
                "the attempts of these processes have ended, or their shim and their manager were \
                 killed",
            )
            .so("inspect the processes with ps -f; if they are still listed one minute later, end them \
                 with kill")
    } else if *unsupervised > 0 {
        DoctorCheck::warning(name, told)
            .because(
                "the shims of these attempts were killed, and no manager is running that could \
                 supervise the commands",
            )
            .so("run `longhaul status` to start a manager, which supervises the commands")
    } else if supervised > 0 && !is_managed {
        DoctorCheck::ok(name, told).because(
            "no manager is running; the next manager adopts the attempts that have records in its store",
        )
    } else if groups > 0 {
        DoctorCheck::ok(name, format!("{told}; {groups} empty control groups"))
            .because("killed managers left the control groups; the next manager removes them")
    } else {
        DoctorCheck::ok(name, told)
    };
    check
        .with("supervised", supervised)
        .with("unsupervised", *unsupervised)
        .with("survivors", survivors.clone())
        .with("empty_groups", groups)
}

/// Reports shims that a signal has stopped. Returns `None` if there are none.
pub(crate) fn of_supervisors(seen: &HostSurvey) -> Option<DoctorCheck> {
    let stopped: Vec<u32> =
        seen.supervised.iter().filter(|each| each.is_stopped).filter_map(|each| each.supervisor).collect();
    let pids: Vec<String> = stopped.iter().map(u32::to_string).collect();
    (!stopped.is_empty()).then(|| {
        DoctorCheck::warning("supervisors", format!("shims stopped by a signal: {}", listed(&stopped)))
            .because("while a shim is stopped, the exit of its command is not recorded")
            .so(format!("continue the shims: kill -CONT {}", pids.join(" ")))
            .with("stopped", stopped)
    })
}

/// Returns the live attempts of the given processes with the data that the user needs to stop them. For a process
/// without a supervised attempt, returns only its directory.
pub(crate) fn live_attempts(state_dir: &Path, ids: &BTreeSet<ProcessId>) -> Vec<LiveAttempt> {
    let seen = attempts(state_dir).unwrap_or_default();
    let supervised = seen.supervised.into_iter().filter_map(|each| {
        let id = each.id()?.parse().ok()?;
        ids.contains(&id).then(|| LiveAttempt {
            id,
            pid: each.command.or(each.supervisor),
            command: each.command.map(command_of).unwrap_or_default(),
            directory: each.directory,
        })
    });
    let mut live: Vec<LiveAttempt> = supervised.collect();
    let found: BTreeSet<ProcessId> = live.iter().map(|each| each.id).collect();
    live.extend(ids.difference(&found).map(|id| LiveAttempt {
        id: *id,
        pid: None,
        command: String::new(),
        directory: state_dir.join(ATTEMPTS).join(id.to_string()),
    }));
    live
}

#[derive(Clone, Debug)]
pub(crate) struct LiveAttempt {
    pub(crate) id: ProcessId,
    /// Pid of the command. If that pid is unknown, the pid of the shim.
    pub(crate) pid: Option<u32>,
    /// Command line of the command. Empty if it cannot be read.
    pub(crate) command: String,
    /// Attempt directory. For a process without a supervised attempt, the directory that contains all its attempts.
    pub(crate) directory: PathBuf,
}

/// Returns the command line of a pid as one line that is safe to print. Returns an empty string if the command line
/// cannot be read.
fn command_of(pid: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    if bytes.is_empty() {
        return String::new();
    }
    let text = String::from_utf8_lossy(bytes.strip_suffix(b"\0").unwrap_or(&bytes)).into_owned();
    let words: Vec<String> = text.split('\0').map(shell_word).collect();
    let line = words.join(" ");
    let shown = |c: char| {
        if c.is_ascii_graphic() || c == ' ' { c.to_string() } else { c.escape_unicode().to_string() }
    };
    line.chars().take(MAX_COMMAND_LEN).map(shown).collect()
}

/// Returns the running attempts whose shims write into another directory. In this case the inspected state directory is
/// a copy of that directory.
pub(crate) fn running_elsewhere(state_dir: &Path) -> Vec<SupervisedAttempt> {
    HostSurvey::of(&state_dir.join(ATTEMPTS)).map(|seen| seen.elsewhere).unwrap_or_default()
}

/// Checks the environment store of a state directory. Returns `None` if the environment store is empty.
pub(crate) fn of_environments(state_dir: &Path) -> Option<DoctorCheck> {
    const NAME: &str = "environments";
    let (kept, damaged) = match FileEnvironmentStore::look(state_dir) {
        Ok((0, _)) => return None,
        Ok(found) => found,
        Err(error) => {
            return Some(
                DoctorCheck::problem(NAME, format!("the captured environments cannot be read: {error}")).so(
                    format!(
                        "make the files readable for their user: chmod -R u+rwX {}",
                        state_dir.join("environments").display()
                    ),
                ),
            );
        }
    };
    let Some(first) = damaged.first() else {
        return Some(DoctorCheck::ok(NAME, format!("{kept} captured environments")));
    };
    Some(
        DoctorCheck::problem(
            NAME,
            format!("damaged captured environments: {} of {kept}; first: {first}", damaged.len()),
        )
        .because(
            "processes that were launched with a damaged environment cannot start or be retried",
        )
        .so("launch the process again from a shell with the same variables: this stores the environment again")
        .with("damaged", damaged),
    )
}

/// Returns a list of the first pids, followed by the number of pids that are left out.
pub(crate) fn listed(pids: &[u32]) -> String {
    let first: Vec<String> = pids.iter().take(MAX_PIDS).map(u32::to_string).collect();
    match pids.len().saturating_sub(MAX_PIDS) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// Checks the number of free inodes in the file system of the state directory. Returns `None` if enough inodes are
/// free, or if the file system has no inode limit.
pub(crate) fn of_names(state_dir: &Path) -> io::Result<Option<DoctorCheck>> {
    Ok(names_left(state_dir)?.filter(|left| *left < LOW_INODES).map(|left| {
        DoctorCheck::problem(
            "inodes",
            format!("{left} free inodes in the file system of the state directory"),
        )
        .because("each attempt needs several inodes, and launches are refused when no inode is free")
        .so("remove files from this file system; `longhaul prune` deletes ended processes and their output")
        .with("left", left)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::empty_store;
    use crate::doctor::{CheckResult, DoctorReport};

    fn result_text(check: DoctorCheck) -> (CheckResult, String) {
        let report = DoctorReport::of(vec![check]);
        (report.health(), report.text())
    }

    #[test]
    fn attempts_without_a_supervisor_are_reported_with_advice() {
        let seen = |supervised, unsupervised| {
            let survivors = (0..unsupervised).map(|pid| u32::try_from(pid).unwrap() + 70).collect();
            let supervised = vec![supervised_by(7, false); supervised];
            HostSurvey { supervised, unsupervised, survivors, ..HostSurvey::default() }
        };
        assert_eq!(result_text(of_seen("o", &seen(0, 0), 0, false)).0, CheckResult::Ok);
        assert_eq!(result_text(of_seen("o", &seen(3, 0), 0, false)).0, CheckResult::Ok);
        let (health, text) = result_text(of_seen("o", &seen(3, 1), 0, false));
        assert!(health == CheckResult::Warning && text.contains("longhaul status"), "{text}");
        // The survey contains no running attempts, but contains processes that are still running although their attempt
        // has ended.
        let ended = HostSurvey { survivors: (70..95).collect(), ..HostSurvey::default() };
        for (seen, is_managed) in [(seen(3, 1), true), (ended.clone(), true), (ended, false)] {
            let (health, text) = result_text(of_seen("o", &seen, 0, is_managed));
            assert!(health == CheckResult::Warning && text.contains("alive: 70"), "{text}");
            assert!(!text.contains("all is well"), "{text}");
        }
        assert!(result_text(of_seen("o", &seen(0, 0), 7, false)).1.contains("7 empty control groups"));
    }

    fn supervised_by(pid: u32, is_stopped: bool) -> SupervisedAttempt {
        SupervisedAttempt { directory: "/a/b/1".into(), supervisor: Some(pid), is_stopped, command: None }
    }

    #[test]
    fn stopped_shim_is_reported_with_the_command_that_continues_it() {
        let seen = |is_stopped| HostSurvey {
            supervised: vec![supervised_by(7, false), supervised_by(8, is_stopped)],
            ..HostSurvey::default()
        };
        assert_eq!(of_supervisors(&seen(false)), None);
        let (health, text) = result_text(of_supervisors(&seen(true)).unwrap());
        assert!(health == CheckResult::Warning && text.contains("kill -CONT 8\n"), "{text}");
    }

    #[test]
    fn processes_of_the_original_are_not_reported_as_orphans_in_a_copy() {
        let (health, text) = result_text(of_seen(
            "o",
            &HostSurvey { elsewhere: vec![supervised_by(7, false)], ..HostSurvey::default() },
            0,
            false,
        ));
        assert!(health == CheckResult::Ok && text.contains("is a copy of"), "{text}");
    }

    #[test]
    fn damaged_environment_is_reported() {
        let top = tempfile::tempdir().unwrap();
        assert_eq!(of_environments(top.path()), None);
        let directory = top.path().join("environments");
        std::fs::create_dir(&directory).unwrap();
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        std::fs::write(directory.join(empty), "").unwrap();
        assert_eq!(result_text(of_environments(top.path()).unwrap()).0, CheckResult::Ok);
        std::fs::write(directory.join(empty), "A").unwrap();
        let (health, text) = result_text(of_environments(top.path()).unwrap());
        assert!(health == CheckResult::Problem && text.contains(empty), "{text}");
    }

    #[test]
    fn a_changed_wall_clock_is_reported_as_harmless() {
        assert_eq!(result_text(of_drift("c", None)).0, CheckResult::Ok);
        assert_eq!(result_text(of_drift("c", Some(-900))).0, CheckResult::Ok);
        for (moved, way) in [(864_000_000, "864000 s ahead"), (-864_000_000, "864000 s back")] {
            let (health, text) = result_text(of_drift("c", Some(moved)));
            assert!(health == CheckResult::Warning && text.contains(way), "{text}");
        }
    }

    #[tokio::test]
    async fn a_store_that_the_program_added_is_asked_and_its_secrets_are_not_shown() {
        let mut stores = Stores::default();
        stores.add("away", |_| async { Err(StoreError::Unavailable { source: "no route to host".into() }) });
        stores.add("there", |opening| async move { Ok(empty_store(&opening.clock)) });
        let top = tempfile::tempdir().unwrap();
        let state = top.path().join("state");
        for (scheme, health) in
            [("there", CheckResult::Ok), ("away", CheckResult::Problem), ("unknown", CheckResult::Problem)]
        {
            let url = format!("{scheme}:host=x password=hunter2");
            let choice = StoreChoice::Other(url.clone());
            let (found, text) = result_text(of_added(&state, &choice, &url, &stores).await);
            assert_eq!(found, health, "{text}");
            assert!(!text.contains("hunter2") && !text.contains("host=x"), "{text}");
            assert_eq!(text.contains("no route to host"), scheme == "away", "{text}");
        }
        assert!(!state.exists(), "a look makes nothing");
    }

    #[test]
    fn a_damaged_store_of_files_is_a_problem_and_is_left_alone() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("store");
        let choice = StoreChoice::Fs(path.clone());
        assert_eq!(result_text(of_files(&path, &choice, false)).0, CheckResult::Ok);
        assert!(!path.exists());
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("FORMAT"), "precious").unwrap();
        assert_eq!(result_text(of_files(&path, &choice, false)).0, CheckResult::Problem);
        assert_eq!(std::fs::read_to_string(path.join("FORMAT")).unwrap(), "precious");
    }

    #[test]
    fn a_damaged_database_is_a_problem_and_is_left_alone() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("store.db");
        assert_eq!(result_text(of_database(&path)).0, CheckResult::Ok);
        assert!(!path.exists());
        std::fs::write(&path, "precious").unwrap();
        let (health, text) = result_text(of_database(&path));
        assert!(health == CheckResult::Problem && text.contains("help:"), "{text}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
