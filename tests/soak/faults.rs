//! The faults of a soak run. They kill managers that are running or starting, and shims while a manager is running or
//! while none is.

use crate::journal;
use crate::leaks;
use crate::manager::Manager;
use crate::run_directory::RunDirectory;
use longhaul_tests::ask::{Answer, ask};
use longhaul_tests::{Chance, kill, stat, within};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Time limit within which a restarted manager must answer.
const RETURN: Duration = Duration::from_secs(30);
/// Maximum pause between two faults, in milliseconds.
const PAUSE: u64 = 600;
/// Time after the start of a manager within which it watches all processes that it adopted.
const ADOPTION: Duration = Duration::from_secs(5);
/// Maximum time in milliseconds from the start of a manager until it is killed during its startup.
const BEGINNING: u64 = 150;

/// All faults that were injected in a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultHistory {
    managers: u64,
    beginning: u64,
    supervisors: u64,
    both: u64,
    /// Descriptions of the managers that exited without being killed.
    left: Vec<String>,
    /// Ids of the processes whose shim was killed.
    pub(crate) orphaned: BTreeSet<String>,
    /// The `orphaned` processes whose output pipes no manager held when the shim was killed. The next write to the
    /// broken pipe may kill such a command.
    pub(crate) exit_unobserved: BTreeSet<String>,
}

impl fmt::Display for FaultHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { managers, beginning, supervisors, both, left, orphaned: _, exit_unobserved: _ } = self;
        write!(
            f,
            "killed: managers {managers}, of them during startup {beginning}; shims {supervisors}, of them \
             without a manager {both}; exited without a kill {left:?}"
        )
    }
}

/// Injects faults into the manager and the shims, and restarts the manager.
pub(crate) struct FaultInjector {
    run_directory: RunDirectory,
    chance: Chance,
    manager: Manager,
    /// Time of the latest start or kill of the manager.
    since: Instant,
    may_kill_it: bool,
    past: FaultHistory,
}

impl FaultInjector {
    pub(crate) fn new(run_directory: &RunDirectory, chance: Chance) -> Self {
        let manager = Manager::start(run_directory);
        let since = Instant::now();
        Self {
            run_directory: run_directory.clone(),
            chance,
            manager,
            since,
            may_kill_it: true,
            past: FaultHistory::default(),
        }
    }

    pub(crate) fn manager(&self) -> u32 {
        self.manager.pid()
    }

    pub(crate) const fn past(&self) -> &FaultHistory {
        &self.past
    }

    pub(crate) fn until_it_answers(&mut self) {
        within(RETURN, "the manager answers", || {
            self.restart_if_exited();
            let timeout = Duration::from_secs(2);
            let answer = ask(&self.run_directory.socket(), "GET", "/v1/version", &Value::Null, timeout);
            matches!(answer, Answer::Response { status: 200, .. }).then_some(())
        });
    }

    /// Stops killing the manager; from now on only shims are killed.
    pub(crate) fn let_the_manager_live(&mut self) {
        self.may_kill_it = false;
        self.until_it_answers();
    }

    /// Waits for a random time, then injects one fault.
    pub(crate) fn step(&mut self) {
        // The pause only limits the fault rate; it does not wait for an event.
        sleep(Duration::from_millis(self.chance.below(PAUSE)));
        self.restart_if_exited();
        match self.chance.below(8) {
            0..=3 if self.may_kill_it => self.kill_manager(false),
            4 if self.may_kill_it => self.kill_manager(true),
            _ => self.kill_supervisor(),
        }
    }

    /// Restarts the manager if it has exited without being killed.
    fn restart_if_exited(&mut self) {
        if let Some(how) = self.manager.has_left() {
            self.past.left.push(how);
            self.begin_anew();
        }
    }

    fn kill_manager(&mut self, with_supervisor: bool) {
        self.past.managers += 1;
        self.manager.end();
        // From now on, no manager watches the processes.
        self.since = Instant::now();
        if with_supervisor {
            self.past.both += 1;
            self.kill_supervisor();
        }
        // Let some time pass in which no manager is running.
        sleep(Duration::from_millis(self.chance.below(PAUSE)));
        self.begin_anew();
        while self.chance.odds(4) {
            self.past.managers += 1;
            self.past.beginning += 1;
            sleep(Duration::from_millis(self.chance.below(BEGINNING)));
            self.manager.end();
            self.begin_anew();
        }
    }

    fn begin_anew(&mut self) {
        self.manager = Manager::start(&self.run_directory);
        self.since = Instant::now();
    }

    fn kill_supervisor(&mut self) {
        let lives: Vec<_> = journal::read(&self.run_directory.journal())
            .into_iter()
            .filter(|(_, trace)| !trace.has_ended)
            .filter_map(|(id, trace)| Some((id, *trace.begins.last()?)))
            // Other processes may have reused these pids. Only a process that is still the parent of the command is its
            // shim.
            .filter(|(id, begin)| {
                stat(begin.pid).is_some_and(|stat| stat.parent == begin.supervisor && stat.state != 'Z')
                    && leaks::is_of(begin.pid, id)
            })
            .collect();
        let Some((id, begin)) = self.chance.pick(&lives) else { return };
        self.past.supervisors += 1;
        if self.since.elapsed() < ADOPTION {
            self.past.exit_unobserved.insert(id.clone());
        }
        self.past.orphaned.insert(id);
        kill("-KILL", begin.supervisor);
    }
}
