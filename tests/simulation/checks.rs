//! What the machines did, held against the records.

use crate::world::World;
use longhaul_engine::ports::Clock;
use longhaul_testkit::fakes::FakeCall;
use std::time::Duration;

/// A manager that is at work has stopped a copy after this long.
const STOPPED: Duration = Duration::from_secs(10);

impl World {
    /// No attempt is started twice, and nothing runs whose record says that it is over.
    pub(crate) fn check_machines(&mut self) {
        for node in &mut self.nodes {
            let here = node.id().clone();
            let journal = node.spawner.journal();
            let live = node.spawner.live();
            let from = std::mem::replace(&mut node.read, journal.len());
            self.ground.with(|oracle| {
                for entry in journal.iter().skip(from) {
                    let name = oracle.name(entry.key.id);
                    oracle.note(format_args!("{here}: {name}/{} {:?}", entry.key.attempt, entry.act));
                    if entry.act == FakeCall::Began
                        && let Some(first) = oracle.started.insert(entry.key, here.clone())
                    {
                        oracle.violated(format_args!(
                            "{name} began twice, on {first} and {here}: {:?}",
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
                            "{name}/{} runs on {here}, its record is over",
                            key.attempt
                        ));
                    }
                }
            });
        }
        self.check_copies();
        for node in &self.nodes {
            for key in node.spawner.overlaps() {
                self.ground.with(|oracle| oracle.violated(format_args!("{key:?} overlaps another attempt")));
            }
        }
    }

    /// Of two attempts of a process the older runs on only where nobody could stop it: what its node lost and another got
    /// is over there soon after the manager is at work.
    fn check_copies(&self) {
        let now = self.ground.clock.now();
        for node in &self.nodes {
            for key in node.spawner.live() {
                let is_at_work = node.at_work_since.is_some_and(|since| since.plus(STOPPED) <= now);
                self.ground.with(|oracle| {
                    let Some(life) = oracle.lives.get(&key.id) else { return };
                    if life.process.attempt <= key.attempt {
                        return;
                    }
                    oracle.again += 1;
                    if is_at_work || !oracle.lost.contains(&key) {
                        let (name, newer) = (oracle.name(key.id), life.process.attempt.0);
                        let here = node.id();
                        oracle
                            .violated(format_args!("{name}/{} runs on {here} beside /{newer}", key.attempt));
                    }
                });
            }
        }
    }
}
