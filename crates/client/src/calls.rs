//! Typed calls for the most frequent requests.

use crate::client::{Client, RequestPath};
use crate::error::ClientError;
use longhaul_wire::api::{
    ActionReply, CancelRequest, LaunchReply, LaunchRequest, ProcessView, VersionReply, WaitReply,
};

/// Calls of the manager. Each call fails with a [`ClientError`] if the manager cannot be reached or refuses the
/// request.
impl Client {
    /// Launches a process, or registers reported work.
    ///
    /// # Errors
    /// Returns a [`ClientError`] if the request fails. If the connection was lost, the process may or may not have been
    /// created. A launch with a launch key can be repeated safely.
    pub async fn launch(&self, request: &LaunchRequest) -> Result<LaunchReply, ClientError> {
        self.send(&RequestPath::processes(), request).await
    }

    /// Returns the record of a process. `reference` is an id, the start of an id, or a name.
    ///
    /// # Errors
    /// Returns a [`ClientError`] if the request fails.
    pub async fn process(&self, reference: &str) -> Result<ProcessView, ClientError> {
        self.fetch(&RequestPath::process(reference)).await
    }

    /// Waits without a time limit until a process has ended, and returns its record.
    ///
    /// # Errors
    /// Returns a [`ClientError`] if the request fails.
    pub async fn wait(&self, reference: &str) -> Result<ProcessView, ClientError> {
        let path = RequestPath::wait().with("id", reference).with("mode", "all");
        let reply: WaitReply = self.fetch_slowly(&path, None).await?;
        let missing =
            || ClientError::Broken { why: "the reply of the manager contains no process".to_owned() };
        reply.processes.into_iter().next().ok_or_else(missing)
    }

    /// Cancels a process and its descendants.
    ///
    /// # Errors
    /// Returns a [`ClientError`] if the request fails.
    pub async fn cancel(&self, reference: &str, request: &CancelRequest) -> Result<ActionReply, ClientError> {
        self.send(&RequestPath::process_part(reference, "cancel"), request).await
    }

    /// Returns the version of the manager.
    ///
    /// # Errors
    /// Returns a [`ClientError`] if the request fails.
    pub async fn version(&self) -> Result<VersionReply, ClientError> {
        self.fetch(&RequestPath::version()).await
    }
}
