//! Starts webhooks and hooks.

use crate::config::NotificationSettings;
use longhaul_adapters::webhook::{FileReaderCursors, HttpWebhookTransport, WebhookOptions};
use longhaul_api::{Api, hooks, webhook};
use longhaul_client::StateDir;
use longhaul_engine::ports::{ReaderCursors, WebhookTransport};
use std::sync::Arc;

/// Starts the configured webhooks and hooks. They run until the engine shuts down.
pub(crate) fn start_notifications(api: &Api, state: &StateDir, outgoing: &NotificationSettings) {
    for warning in outgoing.warnings() {
        tracing::warn!("{warning}");
    }
    let bookmarks =
        |name: &str| -> Arc<dyn ReaderCursors> { Arc::new(FileReaderCursors::new(state.path().join(name))) };
    if !outgoing.webhooks.is_empty() {
        let options =
            WebhookOptions { authorities: outgoing.authorities.clone(), ..WebhookOptions::default() };
        let post: Arc<dyn WebhookTransport> = Arc::new(HttpWebhookTransport::new(&options));
        webhook::start(api, outgoing.webhooks.clone(), &post, &bookmarks("webhooks"));
    }
    if !outgoing.hooks.is_empty() {
        hooks::start(api, outgoing.hooks.clone(), outgoing.window, &bookmarks("hooks"));
    }
}
