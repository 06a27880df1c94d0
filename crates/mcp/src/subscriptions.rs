//! Update notifications for subscribed resources.
//!
//! A process resource is updated when the state of the process changes. New output does not update it. A session
//! resource is updated when processes of the session end. Processes that end within a short time are reported in one
//! update, which lists them in `_meta` under `dev.longhaul/notice`.

mod changes;

use crate::error::ToolError;
use crate::resource;
use changes::ChangeBatcher;
use longhaul_api::{Api, CompletionStream};
use longhaul_domain::{ProcessId, SessionId};
use longhaul_wire::event::BatchView;
use rmcp::model::{
    NotificationMetaObject, ResourceUpdatedNotification, ResourceUpdatedNotificationParam, ServerNotification,
};
use rmcp::service::{Peer, RoleServer, SubscriptionContext};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

/// Maximum number of resources to which one client can subscribe.
const MAX_RESOURCES: usize = 256;
/// Name of the field in `_meta` that contains a batch of completions.
const NOTICE: &str = "dev.longhaul/notice";

/// Subscriptions of one connection in the older protocol era. Clones share the same subscriptions.
#[derive(Clone, Debug, Default)]
pub(crate) struct LegacySubscriptions {
    wanted: Arc<Mutex<SubscribedResources>>,
}

#[derive(Debug, Default)]
struct SubscribedResources {
    processes: BTreeMap<ProcessId, String>,
    is_followed: bool,
    sessions: BTreeMap<String, AbortHandle>,
    /// Tasks that send updates. They are aborted when the connection ends.
    tasks: JoinSet<()>,
}

/// Returns true if clients can subscribe to this URI.
pub(crate) fn can_be_heard(uri: &str) -> bool {
    resource::process(uri).is_some() || resource::session(uri).is_some()
}

impl LegacySubscriptions {
    /// Sends updates of these resources until the subscription ends.
    pub(crate) async fn follow(
        &self,
        api: &Api,
        uris: Vec<String>,
        context: &SubscriptionContext,
    ) -> Result<(), ToolError> {
        let (tell, mut reported) = mpsc::channel(MAX_RESOURCES);
        // The tasks are aborted when this set is dropped.
        let mut tasks = JoinSet::new();
        let mut processes = BTreeMap::new();
        for uri in uris.into_iter().take(MAX_RESOURCES) {
            match (resource::process(&uri), resource::session(&uri)) {
                (Some(id), _) => drop(processes.insert(id, uri)),
                (None, Some(session)) => {
                    let notices = notices(api, &session).await?;
                    tasks.spawn(pass_on(notices, uri, tell.clone()));
                }
                (None, None) => {}
            }
        }
        let changes = ChangeBatcher::from_now(api).await?;
        tasks.spawn(send_changes(changes, processes, tell));
        loop {
            let update = tokio::select! {
                () = context.cancelled() => return Ok(()),
                update = reported.recv() => update,
            };
            let Some(update) = update else { return Ok(()) };
            if context.sink().send(update).await.is_err() {
                return Ok(());
            }
        }
    }

    /// Starts sending updates of a resource.
    ///
    /// # Errors
    /// The client has reached the maximum number of subscriptions, or the event log cannot be read.
    pub(crate) async fn add(&self, api: &Api, uri: String, peer: &Peer<RoleServer>) -> Result<(), ToolError> {
        if self.is_full(&uri) {
            return Err(ToolError::invalid(format!(
                "one client may subscribe to at most {MAX_RESOURCES} resources"
            )));
        }
        match (resource::process(&uri), resource::session(&uri)) {
            (Some(id), _) => self.add_process(api, id, uri, peer).await,
            (None, Some(session)) => self.add_session(api, &session, uri, peer).await,
            (None, None) => Ok(()),
        }
    }

    /// Stops sending updates of a resource.
    pub(crate) fn remove(&self, uri: &str) {
        let mut wanted = self.lock();
        if let Some(id) = resource::process(uri) {
            wanted.processes.remove(&id);
        }
        if let Some(task) = wanted.sessions.remove(uri) {
            task.abort();
        }
    }

    fn is_full(&self, uri: &str) -> bool {
        let wanted = self.lock();
        let is_new =
            !wanted.sessions.contains_key(uri) && !wanted.processes.values().any(|known| known == uri);
        is_new && wanted.processes.len() + wanted.sessions.len() >= MAX_RESOURCES
    }

    async fn add_process(
        &self,
        api: &Api,
        id: ProcessId,
        uri: String,
        peer: &Peer<RoleServer>,
    ) -> Result<(), ToolError> {
        let is_first = {
            let mut wanted = self.lock();
            wanted.processes.insert(id, uri);
            !std::mem::replace(&mut wanted.is_followed, true)
        };
        if is_first {
            let changes =
                ChangeBatcher::from_now(api).await.inspect_err(|_| self.lock().is_followed = false)?;
            // The task has only a weak reference to the subscriptions, so that it ends together with the connection.
            let following = send_subscribed(Arc::downgrade(&self.wanted), changes, peer.clone());
            self.lock().tasks.spawn(following);
        }
        Ok(())
    }

    async fn add_session(
        &self,
        api: &Api,
        session: &SessionId,
        uri: String,
        peer: &Peer<RoleServer>,
    ) -> Result<(), ToolError> {
        let notices = notices(api, session).await?;
        let mut wanted = self.lock();
        if !wanted.sessions.contains_key(&uri) {
            let task = wanted.tasks.spawn(send_notices(notices, uri.clone(), peer.clone()));
            wanted.sessions.insert(uri, task);
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, SubscribedResources> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns a stream of the completions of a session that occur from now on.
async fn notices(api: &Api, session: &SessionId) -> Result<CompletionStream, ToolError> {
    Ok(api.notices(session.as_str(), None, true).await?)
}

async fn send_subscribed(
    wanted: std::sync::Weak<Mutex<SubscribedResources>>,
    mut changes: ChangeBatcher,
    peer: Peer<RoleServer>,
) {
    let uris = |is_meant: &dyn Fn(ProcessId) -> bool| -> Vec<String> {
        let Some(wanted) = wanted.upgrade() else { return Vec::new() };
        let wanted = wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.processes.iter().filter(|(id, _)| is_meant(**id)).map(|(_, uri)| uri.clone()).collect()
    };
    while let Some(changed) = changes.next(|id| !uris(&|other| other == id).is_empty()).await {
        for uri in uris(&|id| changed.has(id)) {
            if peer.is_transport_closed() || peer.send_notification(updated(&uri, None)).await.is_err() {
                return;
            }
        }
    }
}

async fn send_notices(mut notices: CompletionStream, uri: String, peer: Peer<RoleServer>) {
    while let Some(batch) = notices.next().await {
        if batch.ended.is_empty() {
            continue;
        }
        if peer.is_transport_closed() || peer.send_notification(updated(&uri, Some(&batch))).await.is_err() {
            return;
        }
    }
}

async fn pass_on(mut notices: CompletionStream, uri: String, tell: mpsc::Sender<ServerNotification>) {
    while let Some(batch) = notices.next().await {
        if !batch.ended.is_empty() && tell.send(updated(&uri, Some(&batch))).await.is_err() {
            return;
        }
    }
}

async fn send_changes(
    mut changes: ChangeBatcher,
    uris: BTreeMap<ProcessId, String>,
    tell: mpsc::Sender<ServerNotification>,
) {
    while let Some(changed) = changes.next(|id| uris.contains_key(&id)).await {
        for uri in uris.iter().filter(|(id, _)| changed.has(**id)).map(|(_, uri)| uri) {
            if tell.send(updated(uri, None)).await.is_err() {
                return;
            }
        }
    }
}

fn updated(uri: &str, notice: Option<&BatchView>) -> ServerNotification {
    let mut update = ResourceUpdatedNotification::new(ResourceUpdatedNotificationParam::new(uri));
    if let Some(notice) = notice.and_then(|notice| serde_json::to_value(notice).ok()) {
        let mut meta = NotificationMetaObject::default();
        meta.insert(NOTICE.to_owned(), notice);
        update.extensions.insert(meta);
    }
    ServerNotification::ResourceUpdatedNotification(update)
}
