//! Routes of the API, with one file for each resource. Each file declares its paths with their requests and responses.

mod artifacts;
mod control;
mod document;
mod events;
mod health;
mod input;
mod launch;
mod level;
mod list;
mod maintenance;
mod metrics;
mod node;
mod output;
mod queue;
mod report;
mod search;
mod session;
mod show;
mod stats;
mod tests;
mod text;
mod wait;

use crate::idempotency::IdempotencyCache;
use crate::route::Route;

/// Returns every route of the API.
pub(crate) fn entries() -> Vec<Route> {
    let replays = IdempotencyCache::default();
    [
        launch::entries(),
        list::entries(),
        show::entries(),
        report::entries(),
        control::entries(&replays),
        input::entries(),
        output::entries(),
        artifacts::entries(),
        tests::entries(&replays),
        text::entries(),
        search::entries(),
        level::entries(),
        queue::entries(),
        node::entries(),
        session::entries(),
        stats::entries(),
        maintenance::entries(&replays),
        wait::entries(),
        events::entries(),
        health::entries(),
        metrics::entries(),
        document::entries(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
