//! Telling others what happens.

use crate::config::Outgoing;
use crate::state_dir::StateDir;
use longhaul_adapters::webhook::{FileBookmarks, HttpPost, PostOptions};
use longhaul_api::{Api, courier, hooks};
use longhaul_engine::ports::{Bookmarks, Post};
use std::sync::Arc;

/// Begins to tell others what happens, for as long as the engine goes on.
pub(crate) fn tell_others(api: &Api, state: &StateDir, outgoing: &Outgoing) {
    for warning in outgoing.warnings() {
        tracing::warn!("{warning}");
    }
    let bookmarks =
        |name: &str| -> Arc<dyn Bookmarks> { Arc::new(FileBookmarks::new(state.path().join(name))) };
    if !outgoing.webhooks.is_empty() {
        let options = PostOptions { authorities: outgoing.authorities.clone(), ..PostOptions::default() };
        let post: Arc<dyn Post> = Arc::new(HttpPost::new(&options));
        courier::start(api, outgoing.webhooks.clone(), &post, &bookmarks("webhooks"));
    }
    if !outgoing.hooks.is_empty() {
        hooks::start(api, outgoing.hooks.clone(), outgoing.window, &bookmarks("hooks"));
    }
}
