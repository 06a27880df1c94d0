//! The launches that the clients request.

use crate::member::{KEYS, label};
use crate::worker::{Manner, arguments};
use longhaul_tests::Chance;
use longhaul_wire::api::{CommandRequest, EnvironmentRequest, LaunchRequest, RetryRequest};
use std::path::Path;

const SESSIONS: [&str; 3] = ["red", "green", "blue"];

/// Returns a random launch request with this launch key.
pub(crate) fn drawn(
    chance: &mut Chance,
    launch_key: &str,
    nodes: &[String],
    parents: &[String],
    (journal, work): (&Path, &Path),
) -> LaunchRequest {
    let limited = chance.below(4) < 3;
    let key = if limited { chance.pick(&KEYS).map(|(key, _)| key.to_owned()) } else { None };
    let life = if chance.odds(4) { 1_000 + chance.below(1_500) } else { 20 + chance.below(400) };
    let code = if chance.odds(5) { 7 } else { 0 };
    let manner = match chance.below(8) {
        0 => Manner::Stubborn,
        1 => Manner::Litter,
        _ => Manner::Gentle,
    };
    let parent_id = if chance.odds(3) { chance.pick(parents) } else { None };
    let mut request = LaunchRequest {
        command: Some(CommandRequest {
            program: "bash".to_owned(),
            args: arguments(&journal.to_string_lossy(), life, code, manner),
            directory: work.to_string_lossy().into_owned(),
            environment: EnvironmentRequest {
                declared: [("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())].into(),
                bare: true,
                ..EnvironmentRequest::default()
            },
            grace_ms: Some(300),
            timeout_ms: if chance.odds(20) { 300 } else { 0 },
            ..CommandRequest::default()
        }),
        session_id: chance.pick(&SESSIONS).map(str::to_owned),
        launch_key: Some(launch_key.to_owned()),
        parent_id,
        key,
        priority: Some(i64::try_from(chance.below(5)).unwrap_or(0)),
        children: Some(chance.pick(&["keep", "keep", "keep", "cancel", "wait"]).unwrap_or("keep").to_owned()),
        ..LaunchRequest::default()
    };
    match chance.below(6) {
        0 => request.any_node = true,
        1 => {
            request.node_labels = chance.pick(nodes).map(|node| label(&node).to_owned()).into_iter().collect()
        }
        2 => request.node = chance.pick(nodes),
        _ => {}
    }
    if chance.odds(3) {
        request.retry = Some(RetryRequest {
            retries: 3,
            first_ms: Some(100),
            cap_ms: Some(400),
            after_interruption: true,
            ..RetryRequest::default()
        });
    }
    request
}
