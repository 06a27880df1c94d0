//! Launches and restarts of processes.

use crate::api::Api;
use crate::convert::{launch, launched};
use crate::error::ApiError;
use longhaul_domain::{Placement, Revision};
use longhaul_wire::api::{LaunchReply, LaunchRequest};

impl Api {
    /// Launches a command or registers reported work.
    ///
    /// # Errors
    /// Returns an error if the request is invalid, or if the engine refuses the launch.
    pub async fn launch(&self, request: LaunchRequest) -> Result<LaunchReply, ApiError> {
        let engine = &self.engine;
        let parent = match request.parent_id.as_deref() {
            Some(reference) => Some(engine.find(reference).await.map_err(ApiError::of_parent)?),
            None => None,
        };
        let launch = launch(request, parent, engine.now(), &self.defaults)?;
        self.check_place(&launch.spec.placement).await?;
        Ok(launched(engine, &engine.launch(launch).await?).await)
    }

    /// Refuses a placement that names a node which never joined the store, because the name is probably misspelt.
    async fn check_place(&self, placement: &Placement) -> Result<(), ApiError> {
        let Placement::Node(node) = placement else { return Ok(()) };
        if node == self.engine.node() {
            return Ok(());
        }
        let known = self.engine.nodes().await?;
        if known.iter().any(|known| known.facts.id == *node) {
            return Ok(());
        }
        Err(ApiError::of_place(node.clone(), known.into_iter().map(|known| known.facts.id)))
    }

    /// Launches an ended process again, as a new process.
    ///
    /// # Errors
    /// Returns an error if the reference does not match exactly one process, or if the process has not ended.
    pub async fn restart(
        &self,
        reference: &str,
        expected: Option<Revision>,
    ) -> Result<LaunchReply, ApiError> {
        let engine = &self.engine;
        let id = engine.find(reference).await?;
        Ok(launched(engine, &engine.restart(id, expected).await?).await)
    }

    /// Launches an ended process again, as a new process, at most once for each launch key. The new process gets the
    /// key. See [`restart`](Self::restart).
    ///
    /// # Errors
    /// Returns the errors of [`restart`](Self::restart), and an error if the key is invalid or was used for a different
    /// launch.
    pub async fn restart_once(
        &self,
        reference: &str,
        expected: Option<Revision>,
        key: &str,
    ) -> Result<LaunchReply, ApiError> {
        let engine = &self.engine;
        let id = engine.find(reference).await?;
        Ok(launched(engine, &engine.restart_once(id, expected, key.parse()?).await?).await)
    }
}
