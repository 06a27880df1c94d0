//! Whoever kills: managers at work and managers that begin, and supervisors with or without one.

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

/// How long it takes at most until a manager answers again.
const RETURN: Duration = Duration::from_secs(30);
/// The pauses between two faults, in milliseconds.
const PAUSE: u64 = 600;
/// A manager that began so long ago watches everything that it found.
const ADOPTION: Duration = Duration::from_secs(5);
/// A manager is killed up to so many milliseconds after it began.
const BEGINNING: u64 = 150;

/// Everything that was done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past {
    managers: u64,
    beginning: u64,
    supervisors: u64,
    both: u64,
    /// How managers went that nobody killed.
    left: Vec<String>,
    /// The processes whose supervisor was killed.
    pub(crate) orphaned: BTreeSet<String>,
    /// Those of them that no manager held the pipes of: they may die of the next word that they say.
    pub(crate) exit_unobserved: BTreeSet<String>,
}

impl fmt::Display for Past {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { managers, beginning, supervisors, both, left, orphaned: _, exit_unobserved: _ } = self;
        write!(
            f,
            "killed: managers {managers}, of them at their beginning {beginning}; supervisors {supervisors}, of them \
             without a manager {both}; left by themselves {left:?}"
        )
    }
}

/// The manager, and what is being done to it.
pub(crate) struct Havoc {
    ground: Ground,
    chance: Chance,
    manager: Manager,
    /// Since when it may be asked.
    since: Instant,
    may_kill_it: bool,
    past: Past,
}

impl Havoc {
    pub(crate) fn new(ground: &Ground, chance: Chance) -> Self {
        let manager = Manager::start(ground);
        let since = Instant::now();
        Self { ground: ground.clone(), chance, manager, since, may_kill_it: true, past: Past::default() }
    }

    pub(crate) fn manager(&self) -> u32 {
        self.manager.pid()
    }

    pub(crate) const fn past(&self) -> &Past {
        &self.past
    }

    pub(crate) fn until_it_answers(&mut self) {
        within(RETURN, "the manager answers", || {
            self.look_after();
            let time_limit = Duration::from_secs(2);
            let answer = ask(&self.ground.socket(), "GET", "/v1/version", &Value::Null, time_limit);
            matches!(answer, Answer::Said { status: 200, .. }).then_some(())
        });
    }

    /// From now on only others are killed.
    pub(crate) fn let_the_manager_live(&mut self) {
        self.may_kill_it = false;
        self.until_it_answers();
    }

    /// Waits for a while, and does one thing.
    pub(crate) fn go_on(&mut self) {
        // The time in which nothing is done is what this waits for.
        sleep(Duration::from_millis(self.chance.below(PAUSE)));
        self.look_after();
        match self.chance.below(8) {
            0..=3 if self.may_kill_it => self.kill_manager(false),
            4 if self.may_kill_it => self.kill_manager(true),
            _ => self.kill_supervisor(),
        }
    }

    /// Starts it again if it went by itself.
    fn look_after(&mut self) {
        if let Some(how) = self.manager.has_left() {
            self.past.left.push(how);
            self.begin_anew();
        }
    }

    fn kill_manager(&mut self, with_supervisor: bool) {
        self.past.managers += 1;
        self.manager.end();
        // Nobody is there who watches.
        self.since = Instant::now();
        if with_supervisor {
            self.past.both += 1;
            self.kill_supervisor();
        }
        // Nobody is there for a moment.
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
            // The numbers may belong to somebody else by now, even both of them: only the parent of the command is its
            // supervisor.
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
