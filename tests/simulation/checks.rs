//! Compares what the simulated machines ran with the records.

use crate::world::World;
use longhaul_engine::ports::Clock;
use longhaul_testkit::fakes::FakeCall;
use std::time::Duration;

/// Time after which a running manager must have stopped an older attempt of a process that runs elsewhere.
const STOPPED: Duration = Duration::from_secs(10);

impl World {
    /// Checks that no attempt is started twice, and that no command is running whose record says that it has ended.
    pub(crate) fn check_machines(&mut self) {
        for node in &mut self.nodes {
            let here = node.id().clone();
            let journal = node.spawner.journal();
            let live = node.spawner.live();
            let from = std::mem::replace(&mut node.read, journal.len());
            self.shared_state.with(|oracle| {
                for entry in journal.iter().skip(from) {
                    let name = oracle.name(entry.key.id);
                    oracle.note(format_args!("{here}: {name}/{} {:?}", entry.key.attempt, entry.act));
                    if entry.act == FakeCall::Began
                        && let Some(first) = oracle.started.insert(entry.key, here.clone())
                    {
                        oracle.violated(format_args!(
                            "{name} started twice, on {first} and {here}: {:?}",
                            entry.key
                        ));
                    }
                }
                for key in live {
                    let life = oracle.lives.get(&key.id);
                    let over = life.is_none_or(|life| {
                        life.swept || life.has_ended() || life.process.attempt != key.attempt
                    });
                    if over && !oracle.lost.contains(&key) {
                        let name = oracle.name(key.id);
                        oracle.violated(format_args!(
                            "{name}/{} runs on {here}, and its record has ended",
                            key.attempt
                        ));
                    }
                }
            });
        }
        self.check_copies();
        for node in &self.nodes {
            for key in node.spawner.overlaps() {
                self.shared_state
                    .with(|oracle| oracle.violated(format_args!("{key:?} overlaps another attempt")));
            }
        }
    }

    /// Checks that two attempts of one process run at the same time only if no manager could stop the older one. A node
    /// that lost a process to another node must stop its attempt soon after its manager is running again.
    fn check_copies(&self) {
        let now = self.shared_state.clock.now();
        for node in &self.nodes {
            for key in node.spawner.live() {
                let is_at_work = node.at_work_since.is_some_and(|since| since.plus(STOPPED) <= now);
                self.shared_state.with(|oracle| {
                    let Some(life) = oracle.lives.get(&key.id) else { return };
                    if life.process.attempt <= key.attempt {
                        return;
                    }
                    oracle.again += 1;
                    if is_at_work || !oracle.lost.contains(&key) {
                        let (name, newer) = (oracle.name(key.id), life.process.attempt.0);
                        let here = node.id();
                        oracle.violated(format_args!(
                            "{name}/{} runs on {here} at the same time as /{newer}",
                            key.attempt
                        ));
                    }
                });
            }
        }
    }
}
