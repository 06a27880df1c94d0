//! What the machines did, held against the records.

use crate::world::World;
use longhaul_testkit::fakes::Act;

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
                    if entry.act == Act::Began
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
                    if over {
                        let name = oracle.name(key.id);
                        oracle.violated(format_args!(
                            "{name}/{} runs on {here}, its record is over",
                            key.attempt
                        ));
                    }
                }
            });
        }
        for node in &self.nodes {
            for key in node.spawner.overlaps() {
                self.ground.with(|oracle| oracle.violated(format_args!("{key:?} overlaps another attempt")));
            }
        }
    }
}
