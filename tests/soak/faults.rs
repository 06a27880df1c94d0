//! The faults of a run: kills running and starting managers, and shims with or without a manager.

use crate::ground::Ground;
use crate::journal;
use crate::leaks;
use crate::manager::Manager;
use longhaul_tests::ask::{Answer, ask};
use longhaul_tests::{Chance, kill, stat, within};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Time within which a manager must answer again.
const RETURN: Duration = Duration::from_secs(30);
/// Maximum pause between two faults, in milliseconds.
const PAUSE: u64 = 600;
/// After this time, a manager watches all processes that it adopted.
const ADOPTION: Duration = Duration::from_secs(5);
/// Maximum time in milliseconds after which a starting manager is killed.
const BEGINNING: u64 = 150;

/// All faults of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultHistory {
    managers: u64,
    beginning: u64,
    supervisors: u64,
    both: u64,
    /// The managers that exited without being killed.
    left: Vec<String>,
    /// The processes whose shim was killed.
    pub(crate) orphaned: BTreeSet<String>,
    /// Those of them whose pipes no manager held. Their next write to the broken pipe may kill them.
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

/// The manager and the faults in progress.
pub(crate) struct FaultInjector {
    ground: Ground,
    chance: Chance,
    manager: Manager,
    /// The time at which the manager was started.
    since: Instant,
    may_kill_it: bool,
    past: FaultHistory,
}

impl FaultInjector {
    pub(crate) fn new(ground: &Ground, chance: Chance) -> Self {
        let manager = Manager::start(ground);
        let since = Instant::now();
        Self {
            ground: ground.clone(),
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
            let answer = ask(&self.ground.socket(), "GET", "/v1/version", &Value::Null, timeout);
            matches!(answer, Answer::Response { status: 200, .. }).then_some(())
        });
    }

    /// Kills only shims from now on.
    pub(crate) fn let_the_manager_live(&mut self) {
        self.may_kill_it = false;
        self.until_it_answers();
    }

    /// Waits for a while, then injects one fault.
    pub(crate) fn step(&mut self) {
        // The pause limits the fault rate; it waits for no event.
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
        // No manager watches the processes now.
        self.since = Instant::now();
        if with_supervisor {
            self.past.both += 1;
            self.kill_supervisor();
        }
        // No manager runs for a while.
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
        self.manager = Manager::start(&self.ground);
        self.since = Instant::now();
    }

    fn kill_supervisor(&mut self) {
        let lives: Vec<_> = journal::read(&self.ground.journal())
            .into_iter()
            .filter(|(_, trace)| !trace.has_ended)
            .filter_map(|(id, trace)| Some((id, *trace.begins.last()?)))
            // Other processes may have got these process ids by now. Only the parent of the command is its shim.
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
