//! Attempts that no record tells of.

use crate::announce::ATTEMPTS;
use crate::config::StoreChoice;
use crate::state_dir::StateDir;
use longhaul_domain::ProcessId;
use longhaul_engine::ports::{Filter, PageAsk, Store};
use std::fs;
use std::path::Path;

/// Tells the log when an empty store begins where attempts lie: its records were lost, or are in another one, and what
/// lives among them is found by nobody.
pub(super) async fn tell_of_strangers(state: &StateDir, choice: &StoreChoice, store: &dyn Store) {
    if matches!(choice, StoreChoice::Memory) {
        // It begins empty each time.
        return;
    }
    let attempts = state.path().join(ATTEMPTS);
    if !holds_attempts(&attempts) {
        return;
    }
    let page = PageAsk { order: Default::default(), after: None, most: 1 };
    let listed = store.list(&Filter::default(), &page).await;
    if listed.is_ok_and(|listing| listing.processes.is_empty() && listing.damaged.is_empty()) {
        tracing::warn!(
            "the store {choice} is empty, but {} holds attempts: their records were lost or are in another store, \
             and what still runs of them is not known here",
            attempts.display()
        );
    }
}

fn holds_attempts(directory: &Path) -> bool {
    let is_one = |name: &str| name.parse::<ProcessId>().is_ok();
    fs::read_dir(directory)
        .is_ok_and(|found| found.flatten().any(|entry| entry.file_name().to_str().is_some_and(is_one)))
}
