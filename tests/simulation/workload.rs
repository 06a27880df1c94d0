//! Random requests that the simulation sends to the engines.

use crate::node::SharedState;
use crate::oracle::Oracle;
use crate::specs::{KEYS, SESSIONS, priority, session, span, spec};
use longhaul_domain::{
    Action, JsonText, Level, ProcessId, Progress, ProgressReport, Retention, SessionId, SessionPolicy,
    SlotKey, StopCause,
};
use longhaul_engine::{
    ActionOutcome, Engine, EngineError, InterruptedRestartOptions, Launch, LaunchOutcome, Launcher,
    MemberOutcome, RestartScope,
};
use longhaul_tests::Chance;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Receives the answer to one request and records it in the oracle.
#[derive(Clone)]
struct Desk {
    oracle: Arc<Mutex<Oracle>>,
    number: u64,
}

/// Sends one random request to an engine. The answer arrives later, or never if the engine crashes first.
pub(crate) fn ask(shared_state: &SharedState, chance: &mut Chance, engine: &Engine, number: u64) {
    let desk = Desk { oracle: shared_state.oracle.clone(), number };
    let mut chance = chance.fork();
    let ids: Vec<ProcessId> = shared_state.with(|oracle| {
        let mut known: Vec<_> = oracle.lives.iter().map(|(id, life)| (life.number, *id)).collect();
        known.sort_unstable();
        known.into_iter().rev().take(12).map(|(_, id)| id).collect()
    });
    let engine = engine.clone();
    let Some(id) = chance.pick(&ids) else {
        return launch(desk, chance, engine, ids);
    };
    match chance.below(48) {
        0..=19 => launch(desk, chance, engine, ids),
        20..=25 => command(desk, chance, engine, id),
        26..=31 => whole_trees(desk, chance, engine, id),
        32..=35 => policy(desk, chance, engine, id),
        36..=41 => reports(desk, chance, engine, id),
        _ => upkeep(desk, chance, engine, id),
    }
}

impl Desk {
    fn with<T>(&self, look: impl FnOnce(&mut Oracle) -> T) -> T {
        look(&mut self.oracle.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn asks(&self, what: &str) {
        self.with(|oracle| oracle.note(format_args!("#{} asks {what}", self.number)));
    }

    fn answered(&self, what: impl Debug) {
        self.with(|oracle| oracle.note(format_args!("#{} gets {what:?}", self.number)));
    }

    fn launched(&self, launched: &Result<LaunchOutcome, EngineError>) {
        self.with(|oracle| match launched {
            Ok(LaunchOutcome { stored, created }) => {
                let id = stored.process.id;
                let name = oracle.name(id);
                oracle.note(format_args!("#{} gets {name}, created: {created}", self.number));
                if !oracle.lives.contains_key(&id) {
                    oracle.violated(format_args!("{id} was acknowledged and is lost"));
                }
            }
            Err(error) => oracle.note(format_args!("#{} gets {error:?}", self.number)),
        });
    }

    /// Records the answer to a request to end a process. If the request was accepted, the process must end.
    fn ends(&self, id: ProcessId, answer: &Result<ActionOutcome, EngineError>) {
        self.with(|oracle| match answer {
            Ok(answer) => {
                let told = (answer.changed, answer.note);
                oracle.note(format_args!("#{} gets {told:?}", self.number));
                if answer.changed {
                    oracle.must_end.insert(id);
                }
            }
            Err(error) => oracle.note(format_args!("#{} gets {error:?}", self.number)),
        });
    }

    fn several(&self, told: &Result<Vec<MemberOutcome>, EngineError>) {
        match told {
            Ok(told) => {
                let changed: Vec<_> = told
                    .iter()
                    .map(|each| {
                        each.outcome.as_ref().map(|answer| answer.changed).map_err(ToString::to_string)
                    })
                    .collect();
                self.answered(changed);
            }
            Err(error) => self.answered(error),
        }
    }
}

fn launch(desk: Desk, mut chance: Chance, engine: Engine, ids: Vec<ProcessId>) {
    let spec = spec(&mut chance, engine.now());
    let parent = if chance.odds(2) { chance.pick(&ids) } else { None };
    let captured = chance.odds(3).then(|| vec![("NUMBER".to_owned(), chance.below(3).to_string())]);
    let no_queue = chance.odds(8);
    desk.asks("for a launch");
    tokio::spawn(async move {
        let launched =
            engine.launch(Launch { spec, parent, launcher: Launcher::Parent, captured, no_queue }).await;
        desk.launched(&launched);
    });
}

fn command(desk: Desk, mut chance: Chance, engine: Engine, id: ProcessId) {
    let cause = StopCause::User;
    let (command, ends) = match chance.below(10) {
        0..=2 => (Action::Cancel { cause }, true),
        3 => (Action::Force { cause }, true),
        4 | 5 => (Action::Pause, false),
        6 | 7 => (Action::Resume, false),
        8 => (Action::RetryNow, false),
        _ => (Action::Prioritize { priority: priority(&mut chance) }, false),
    };
    let name = desk.with(|oracle| oracle.name(id));
    desk.asks(&format!("{name} to {command:?}"));
    tokio::spawn(async move {
        let answer = engine.command(id, command, None).await;
        if ends {
            desk.ends(id, &answer);
        } else {
            desk.answered(answer.map(|answer| (answer.changed, answer.note)));
        }
    });
}

fn whole_trees(desk: Desk, mut chance: Chance, engine: Engine, id: ProcessId) {
    let name = desk.with(|oracle| oracle.name(id));
    let force = chance.odds(3);
    let level = Level(u8::try_from(chance.below(3)).unwrap_or(0));
    match chance.below(8) {
        0..=3 => {
            desk.asks(&format!("to terminate {name}, force: {force}"));
            tokio::spawn(async move { desk.ends(id, &engine.terminate(id, force, None).await) });
        }
        4 => {
            desk.asks(&format!("to terminate level {level} of {name}"));
            tokio::spawn(async move { desk.several(&engine.terminate_level(level, Some(id), force).await) });
        }
        5 => {
            desk.asks(&format!("to pause the tree of {name}"));
            tokio::spawn(async move { desk.several(&engine.pause_tree(id).await) });
        }
        6 => {
            desk.asks(&format!("to resume the tree of {name}"));
            tokio::spawn(async move { desk.several(&engine.resume_tree(id).await) });
        }
        _ => {
            let session = chance.pick(&SESSIONS).and_then(|session| SessionId::new(session).ok());
            let policy = match chance.below(4) {
                0 => Some(SessionPolicy::Cancel),
                1 => Some(SessionPolicy::Grace(span(&mut chance, 3_000))),
                _ => None,
            };
            let Some(session) = session else { return };
            desk.asks(&format!("to end {session}"));
            tokio::spawn(async move { desk.several(&engine.end_session(&session, policy).await) });
        }
    }
}

fn policy(desk: Desk, mut chance: Chance, engine: Engine, id: ProcessId) {
    let Some(key) = chance.pick(&KEYS).and_then(|key| SlotKey::new(key).ok()) else { return };
    desk.asks("for a change of the queues");
    match chance.below(5) {
        0 | 1 => {
            let slots = (!chance.odds(4)).then(|| u32::try_from(chance.below(4)).unwrap_or(0));
            tokio::spawn(async move { desk.answered(engine.set_slots(key.as_str(), slots).await) });
        }
        2 => {
            tokio::spawn(async move { desk.answered(engine.hold_queue(&key, None).await) });
        }
        3 => {
            tokio::spawn(async move { desk.answered(engine.release_queue(&key).await) });
        }
        _ => {
            tokio::spawn(async move {
                let answer = engine.move_first(id).await;
                desk.answered(answer.map(|answer| answer.changed));
            });
        }
    }
}

fn reports(desk: Desk, mut chance: Chance, engine: Engine, id: ProcessId) {
    let command = match chance.below(5) {
        0 => Action::Complete { result: JsonText::checked("{}".to_owned()).ok() },
        1 => Action::Fail { error: "the work says so".to_owned() },
        _ => Action::Progress(ProgressReport {
            progress: Some(Progress::from_hundredths(u16::try_from(chance.below(10_001)).unwrap_or(0))),
            ..ProgressReport::default()
        }),
    };
    let name = desk.with(|oracle| oracle.name(id));
    desk.asks(&format!("{name} to {command:?}"));
    tokio::spawn(async move {
        let answer = engine.command(id, command, None).await;
        desk.answered(answer.map(|answer| (answer.changed, answer.note)));
    });
}

fn upkeep(desk: Desk, mut chance: Chance, engine: Engine, id: ProcessId) {
    let name = desk.with(|oracle| oracle.name(id));
    match chance.below(4) {
        0 | 1 => {
            desk.asks(&format!("to restart {name}"));
            tokio::spawn(async move { desk.launched(&engine.restart(id, None).await) });
        }
        2 => {
            desk.asks("to restart what was interrupted");
            tokio::spawn(async move {
                let launched =
                    engine.restart_interrupted(RestartScope::All, InterruptedRestartOptions::default()).await;
                desk.answered(launched.map(|all| all.launched.len()).map_err(|error| error.to_string()));
            });
        }
        _ => {
            let session = session(&mut chance);
            let age = Some(Duration::from_secs(2 + chance.below(20)));
            desk.asks(&format!("to prune, not {session:?}"));
            tokio::spawn(async move {
                let pruned = engine.prune(&Retention { age, count: None, before: None }, None, false).await;
                desk.answered(pruned.map(|pruned| pruned.ids.len()).map_err(|error| error.to_string()));
            });
        }
    }
}
