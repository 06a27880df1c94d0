//! Rules about launch keys: a launch with a used key in the same session never starts a second process.

use super::world::{StoreFixture, cancel};
use crate::suite::{must, some};
use longhaul_domain::{EnvironmentHash, ProcessId, Retention, Work};
use longhaul_ports::{StoredProcess, SubmitOutcome};
use std::time::Duration;

fn existing(submitted: SubmitOutcome) -> (ProcessId, Option<StoredProcess>, bool) {
    some(match submitted {
        SubmitOutcome::Existing { id, stored, same_spec } => Some((id, stored, same_spec)),
        SubmitOutcome::Waiting(_) | SubmitOutcome::Claimed(_) => None,
    })
}

/// A second launch with the same key returns the first process.
pub async fn a_repeated_launch_key_returns_the_first_process(world: &StoreFixture) {
    let first = world.submit(world.draft().session("s").launch_key("l")).await;
    let again = world.draft().session("s").launch_key("l");
    let id = again.id;
    let (found, stored, same_spec) = existing(must(world.try_submit(again).await));
    assert_eq!((found, same_spec), (first.process.id, true));
    assert_eq!(stored, Some(first));
    assert!(!world.exists(id).await);
}

/// If a launch with a used key has a different command, the store reports that it differs from the first launch.
pub async fn a_repeated_launch_key_reports_a_different_spec(world: &StoreFixture) {
    let first = world.submit(world.draft().session("s").launch_key("l")).await;
    let mut other = world.draft().session("s").launch_key("l");
    if let Work::Command(command) = &mut other.spec.work {
        command.args.push("more".to_owned());
    }
    let (found, _, same_spec) = existing(must(world.try_submit(other).await));
    assert_eq!((found, same_spec), (first.process.id, false));
}

/// The comparison of two launches with the same key ignores the captured environment.
pub async fn a_launch_key_ignores_the_inherited_environment(world: &StoreFixture) {
    let first = world.submit(world.draft().session("s").launch_key("l")).await;
    let mut again = world.draft().session("s").launch_key("l");
    if let Work::Command(command) = &mut again.spec.work {
        command.environment.captured = Some(EnvironmentHash("another one".to_owned()));
    }
    let (found, _, same_spec) = existing(must(world.try_submit(again).await));
    assert_eq!((found, same_spec), (first.process.id, true));
}

/// Launch keys of different sessions are independent of each other. Launches without a session have a separate set of
/// keys.
pub async fn a_launch_key_belongs_to_its_session(world: &StoreFixture) {
    for draft in [
        world.draft().session("s").launch_key("l"),
        world.draft().session("t").launch_key("l"),
        world.draft().launch_key("l"),
    ] {
        world.submit(draft).await;
    }
    let again = world.draft().launch_key("l");
    existing(must(world.try_submit(again).await));
}

/// A launch key stays in use after its process has ended, and even after the record was pruned.
pub async fn a_launch_key_outlives_its_process(world: &StoreFixture) {
    let first = world.submit(world.draft().launch_key("l")).await;
    let ended = must(world.turn(&first, cancel()).await);
    let (_, stored, _) = existing(must(world.try_submit(world.draft().launch_key("l")).await));
    assert_eq!(stored, Some(ended));
    world.clock.advance(Duration::from_secs(3600));
    let rule = Retention { age: Some(Duration::from_secs(60)), count: None, before: None };
    assert_eq!(must(world.store.prune(&rule, 10).await).ids, [first.process.id]);
    let (id, stored, _) = existing(must(world.try_submit(world.draft().launch_key("l")).await));
    assert_eq!((id, stored), (first.process.id, None));
}
