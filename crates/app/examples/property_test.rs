//! A property test of a deployment. In any order of launches, the number of slots is never exceeded and every process
//! ends.
//!
//! `cargo test -p longhaul --example property_test` runs many cases; `cargo run -p longhaul --example property_test`
//! runs a few.

use longhaul_adapters::memory::MemoryStore;
use longhaul_domain::{CommandSpec, NodeId, Priority, SlotKey, Spec, Work};
use longhaul_engine::ports::{Clock, NodeDescriptor, PageRequest, ProcessFilter, SortOrder};
use longhaul_engine::{
    Engine, EnginePorts, EngineSettings, Launch, Launcher, Shutdown, WaitCondition, WaitMode,
};
use longhaul_testkit::fakes::{FakeEnvironmentStore, ScriptedSpawner, SequentialIds, VirtualClock};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::sync::Arc;
use std::time::Duration;

/// Number of slots of each key.
const SLOTS: [(&str, u32); 2] = [("opus", 1), ("sonnet", 2)];

/// A launch: key, priority, script of the command, and delay after the launch.
type Step = (usize, i64, String, u64);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let script = prop_oneof![
        (0..500_u64).prop_map(|ms| format!("sleep {ms}")),
        (1..9_u8, 0..500_u64).prop_map(|(code, ms)| format!("exit {code} {ms}")),
        (0..500_u64).prop_map(|ms| format!("lost {ms}")),
        Just("missing".to_owned()),
        Just("never".to_owned()),
    ];
    prop::collection::vec((0..SLOTS.len(), -5..5_i64, script, 0..300_u64), 1..25)
}

fn spec((key, priority, script, _): &Step) -> Result<Spec, Box<dyn std::error::Error>> {
    let words: Vec<&str> = script.split(' ').collect();
    let (program, args) = words.split_first().ok_or("there is no program")?;
    let (key, _) = SLOTS.get(*key).ok_or("there is no such key")?;
    Ok(Spec {
        key: Some(SlotKey::new(key)?),
        priority: Priority::new(*priority)?,
        ..Spec::of(Work::Command(Box::new(CommandSpec::of(program, args, "/"))))
    })
}

/// Runs the deployment. Returns the maximum number of concurrent processes for each key.
async fn run(steps: &[Step]) -> Result<Vec<u32>, Box<dyn std::error::Error>> {
    let clock = VirtualClock::default();
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let spawner = ScriptedSpawner::new(clock.clone());
    let parts = EnginePorts {
        store: Arc::new(MemoryStore::new(shared.clone())),
        output: Arc::new(spawner.output()),
        artifacts: Arc::new(spawner.artifacts()),
        spawner: Arc::new(spawner),
        prober: Arc::new(longhaul_engine::ports::NoopProber),
        signer: Arc::new(longhaul_engine::ports::NoopSigner),
        environments: Arc::new(FakeEnvironmentStore::default()),
        clock: shared,
        ids: Arc::new(SequentialIds::default()),
    };
    let node = NodeDescriptor {
        id: NodeId::new("here")?,
        home: None,
        boot: "b".to_owned(),
        version: "1".to_owned(),
    };
    let engine = Engine::start(parts, EngineSettings::of(node)).await?;
    for (key, slots) in SLOTS {
        engine.set_slots(key, Some(slots)).await?;
    }
    let (mut ids, mut limit) = (Vec::new(), vec![0; SLOTS.len()]);
    for step in steps {
        let launch = Launch {
            spec: spec(step)?,
            parent: None,
            launcher: Launcher::Parent,
            captured: None,
            no_queue: false,
        };
        ids.push(engine.launch(launch).await?.stored.process.id);
        clock.run_for(Duration::from_millis(step.3)).await;
        for view in engine.queues(None).await? {
            let place =
                SLOTS.iter().position(|(key, _)| view.key.as_ref().is_some_and(|k| k.as_str() == *key));
            if let Some(seen) = place.and_then(|place| limit.get_mut(place)) {
                *seen = u32::try_from(view.holders.len())?.max(*seen);
            }
        }
    }
    let all = engine.wait(&ids, WaitCondition::Ended, WaitMode::All, None);
    clock.run_until(Duration::from_secs(3600), all).await.ok_or("something never ends")??;
    let known = engine
        .list(
            &ProcessFilter::default(),
            &PageRequest { order: SortOrder::NewestFirst, limit: 100, after: None },
        )
        .await?;
    if known.processes.len() != steps.len() {
        return Err("something was lost".into());
    }
    clock.run_until(Duration::from_secs(60), engine.shut_down(Shutdown::StopAll)).await.ok_or("no end")??;
    Ok(limit)
}

/// Runs the property test with `cases` random cases.
fn holds(cases: u32) -> Result<(), Box<dyn std::error::Error>> {
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    runner.run(&steps(), |steps| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let fail = |error: String| TestCaseError::fail(error);
        let runtime = runtime.map_err(|error| fail(error.to_string()))?;
        let limit = runtime.block_on(run(&steps)).map_err(|error| fail(error.to_string()))?;
        for ((key, slots), seen) in SLOTS.iter().zip(limit) {
            prop_assert!(seen <= *slots, "{seen} ran under {key}, which has {slots} slots");
        }
        Ok(())
    })?;
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::io::Write;
    holds(8)?;
    writeln!(std::io::stdout(), "8 random lives kept their slots and ended")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn slots_are_kept_and_everything_ends_whatever_is_launched() {
        super::holds(64).unwrap_or_else(|error| panic!("{error}"));
    }
}
