//! Launches.

use crate::api::Api;
use crate::convert::{launch, launched};
use crate::error::ApiError;
use longhaul_domain::{Placement, Revision};
use longhaul_wire::api::{LaunchReply, LaunchRequest};

impl Api {
    /// Launches a command or registers reported work.
    ///
    /// # Errors
    /// What is wrong with the request, or why it is refused.
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

    /// Refuses what is placed on a node that never joined the store, which is misspelt more often than expected.
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

    /// Runs the command of an ended process again, as a new process.
    ///
    /// # Errors
    /// Nobody is meant, or it has not ended.
    pub async fn restart(
        &self,
        reference: &str,
        expected: Option<Revision>,
    ) -> Result<LaunchReply, ApiError> {
        let engine = &self.engine;
        let id = engine.find(reference).await?;
        Ok(launched(engine, &engine.restart(id, expected).await?).await)
    }

    /// As [`restart`](Self::restart), but at most once under a launch key, which the new process gets.
    ///
    /// # Errors
    /// As [`restart`](Self::restart), or the key is none or stands for something else.
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
