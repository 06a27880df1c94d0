//! Launches: create a process from a command or from reported work.

use crate::detached::run_to_completion;
use crate::engine::{Engine, EngineShared};
use crate::error::{EngineError, LaunchBlocked};
use longhaul_domain::{
    AwakeTime, Deadline, Event, Level, Lineage, Placement, Process, ProcessId, ResourceLimits, SlotKey, Spec,
    Work,
};
use longhaul_failpoint::crashpoint;
use longhaul_ports::{
    ClaimRequest, Lease, StoreError, StoreRejection, StoredProcess, Submission, SubmitLimits, SubmitOutcome,
};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// Maximum number of tries of one launch if the queue policy keeps changing.
const MAX_POLICY_RETRIES: u32 = 20;
/// Maximum number of times that a launch is sent again because its answer was lost. Each try may take as long as the
/// timeout of the store.
const MAX_RESENDS: u32 = 2;

/// Delay before the next request to a store after an error.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Request to launch a process.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Spec of the new process.
    pub spec: Spec,
    /// Parent of the new process; `None` for a root.
    pub parent: Option<ProcessId>,
    /// The process whose command makes the launch, if any.
    pub launcher: Launcher,
    /// Environment of the caller, which is stored under the hash of its content.
    pub captured: Option<Vec<(String, String)>>,
    /// True to reject the launch if the process would have to wait for a slot. Reported work with a concurrency key
    /// then also needs a slot.
    pub no_queue: bool,
}

/// The process whose command makes a launch. If that process is restarted, it is expected to make the launch again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Launcher {
    /// The command of the parent makes the launch.
    #[default]
    Parent,
    /// The command of the given process makes the launch. The process may be the parent or another process.
    Process(ProcessId),
    /// A person or another program makes the launch; no command of a managed process does.
    Outside,
}

/// Result of a launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchOutcome {
    /// The launched process, or the earlier process with the same launch key.
    pub stored: StoredProcess,
    /// False if `stored` is an earlier process with the same launch key.
    pub created: bool,
}

impl Engine {
    /// Accepts a new process. The process is durable when the call returns, and starts when a slot is free.
    ///
    /// # Errors
    /// - [`EngineError::Refused`] with the guard of the store that rejected the launch.
    /// - [`EngineError::KeyConflict`] if the launch key belongs to a process with other parameters.
    /// - [`EngineError::ShuttingDown`] if the engine is shutting down.
    /// - [`EngineError::EnvironmentNotPortable`] for a captured environment if the process may run on another node.
    /// - [`EngineError::Invalid`] for a delayed launch with `no_queue`, or for a watch or readiness check that is not
    ///   supported.
    ///
    /// # Cancel safety
    /// The launch continues if the future is dropped.
    pub async fn launch(&self, launch: Launch) -> Result<LaunchOutcome, EngineError> {
        let core = self.core.clone();
        let roots = core.settings.roots();
        run_to_completion(async move { core.launch(launch, roots).await }).await
    }

    /// Launches like [`Engine::launch`], but without applying the limit on roots. Intended for short work of the
    /// program that runs the engine. The process counts as a root while it is running. A process that is waiting for a
    /// free root slot is claimed before this process, unless it has a lower priority.
    ///
    /// # Errors
    /// As for [`Engine::launch`].
    pub async fn launch_beside(&self, launch: Launch) -> Result<LaunchOutcome, EngineError> {
        let core = self.core.clone();
        run_to_completion(async move { core.launch(launch, u32::MAX).await }).await
    }
}

impl EngineShared {
    async fn launch(self: &Arc<Self>, launch: Launch, roots: u32) -> Result<LaunchOutcome, EngineError> {
        let now = self.parts.clock.now();
        if launch.no_queue && launch.spec.not_before.is_some_and(|moment| moment > now) {
            return Err(EngineError::Invalid {
                what: "launch",
                why: "a launch with a delay cannot also require a free slot now".to_owned(),
                help: Some("use either the delay or `no_queue`, not both".to_owned()),
            });
        }
        self.check(&launch.spec)?;
        if launch.captured.is_some()
            && launch.spec.command().is_some()
            && !self.is_here(&launch.spec.placement)
        {
            return Err(EngineError::EnvironmentNotPortable { here: self.here().clone() });
        }
        let mut spec = launch.spec;
        let lineage = match launch.parent {
            Some(parent) => {
                let lineage = self.join(parent, &mut spec).await?;
                let is_inside = match launch.launcher {
                    Launcher::Parent => true,
                    Launcher::Process(launcher) => lineage.ancestors.contains(&launcher),
                    Launcher::Outside => false,
                };
                if is_inside { lineage } else { lineage.attached() }
            }
            None => Lineage::default(),
        };
        if let (Work::Command(command), Some(captured)) = (&mut spec.work, &launch.captured) {
            let kept = self.parts.environments.keep(captured).await;
            command.environment.captured =
                Some(kept.map_err(|source| EngineError::EnvironmentStore { source })?);
        }
        self.submit(spec, lineage, launch.no_queue, roots).await
    }

    /// Checks the patterns and the readiness condition of the spec. If the process is to run on this node, also checks
    /// that the node supports the spec.
    fn check(&self, spec: &Spec) -> Result<(), EngineError> {
        if let Some(command) = spec.command() {
            crate::monitor::check(command)?;
        }
        match spec.unsupported_by(self.parts.spawner.capabilities()) {
            Some(what) if self.is_here(&spec.placement) => Err(EngineError::Invalid {
                what: "launch",
                why: format!("commands on this node do not support {what}"),
                help: None,
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// Returns true if the placement allows this node only.
    fn is_here(&self, placement: &Placement) -> bool {
        match placement {
            Placement::Here => true,
            Placement::Node(node) => node == self.here(),
            Placement::Labels(_) | Placement::Anywhere => false,
        }
    }

    /// Returns the lineage of a child of `parent`. If the spec has no session, the child joins the session of its
    /// parent, so that the completions of a session include all work that results from the session.
    async fn join(&self, parent: ProcessId, spec: &mut Spec) -> Result<Lineage, EngineError> {
        match self.load(parent).await {
            Ok(stored) => {
                let theirs = &stored.process.spec.session;
                spec.session = spec.session.take().or_else(|| theirs.clone());
                Ok(stored.process.lineage.child_of(parent))
            }
            Err(EngineError::NotFound { .. }) => {
                Err(EngineError::Refused { refusal: StoreRejection::ParentMissing { parent } })
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn submit(
        self: &Arc<Self>,
        mut spec: Spec,
        lineage: Lineage,
        no_queue: bool,
        roots: u32,
    ) -> Result<LaunchOutcome, EngineError> {
        if self.is_closing() {
            return Err(EngineError::ShuttingDown);
        }
        if self.clearing.is_under_way() {
            return Err(EngineError::ResetInProgress);
        }
        if spec.key.is_none() {
            spec.key = self.key_of_agent(&spec);
        }
        if let Work::Reported(reported) = &mut spec.work
            && no_queue
            && spec.key.is_some()
        {
            reported.queued = true;
        }
        if spec.placement == Placement::Here {
            spec.placement = Placement::Node(self.here().clone());
        }
        self.bound(&mut spec, lineage.level());
        let (mut process, events) =
            Process::submit(&self.context(), self.parts.ids.process(), lineage, Arc::new(spec));
        process.signature = self.parts.signer.sign(&process);
        let mut unheard = None;
        let sent = self.send(&process, &events, (no_queue, roots), &mut unheard).await;
        match (sent, unheard) {
            (Err(error), Some(verify_lease)) if !is_decided(&error) => {
                self.begin_if_accepted(process.id);
                Err(verify_lease.into())
            }
            (Err(EngineError::Refused { refusal: refusal @ StoreRejection::NoSlot { .. } }), _) => {
                Err(match self.blocked_reason(&process).await {
                    Some(standstill) => EngineError::CannotStartNow { standstill },
                    None => EngineError::Refused { refusal },
                })
            }
            (sent, _) => sent,
        }
    }

    /// Returns the reason why no immediate start is possible. Returns `None` if only a missing slot or the order of the
    /// queue prevents the start.
    async fn blocked_reason(&self, process: &Process) -> Option<LaunchBlocked> {
        if !self.may_run(process) {
            return Some(LaunchBlocked::Elsewhere);
        }
        if self.lease_state.held_until(self.parts.clock.now()).is_some() {
            return Some(LaunchBlocked::Settles);
        }
        // If the nodes cannot be listed, this node counts as not draining. The caller then reports the rejection of the
        // store.
        let known = self.parts.store.list_nodes().await.unwrap_or_default();
        let drains = known.iter().any(|node| node.facts.id == *self.here() && node.draining);
        drains.then(|| LaunchBlocked::Drains { node: self.here().clone() })
    }

    /// Submits the process until the store answers. If an answer was lost, the error is stored in `unheard`: the store
    /// may have accepted that submission.
    async fn send(
        self: &Arc<Self>,
        process: &Process,
        events: &[Event],
        (no_queue, roots): (bool, u32),
        unheard: &mut Option<StoreError>,
    ) -> Result<LaunchOutcome, EngineError> {
        let mut repeats = 0;
        for _ in 0..MAX_POLICY_RETRIES {
            if process.spec.launch_key.is_some() {
                self.wait_for_restores().await;
            }
            let submission = Submission {
                process: process.clone(),
                events: events.to_vec(),
                limits: self.limits_of(process),
                claim_for: Some(ClaimRequest { lease: self.lease(), roots })
                    .filter(|_| self.may_run(process) && self.lease_state.may_claim(self.parts.clock.now())),
                fail_if_queued: no_queue,
            };
            crashpoint!("engine.submit");
            let submitted = self.parts.store.submit(submission).await;
            crashpoint!("engine.submitted");
            match submitted {
                Ok(submitted) => return self.accepted(submitted, process),
                Err(StoreError::Refused(StoreRejection::StalePolicy { .. })) => self.refresh_policy().await?,
                Err(StoreError::Fenced { node, epoch }) => {
                    if !self.verify_lease(Lease { node: node.clone(), epoch }).await {
                        return Err(StoreError::Fenced { node, epoch }.into());
                    }
                }
                // Sending again is safe: because of the process id, the store accepts the submission only one time.
                Err(error @ StoreError::Unknown { .. }) if repeats < MAX_RESENDS => {
                    repeats += 1;
                    *unheard = Some(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        let found = self.policy_version();
        Err(EngineError::Refused { refusal: StoreRejection::StalePolicy { found } })
    }

    /// Waits while nodes restore records that the store has lost, because one of these records may have the launch key.
    async fn wait_for_restores(&self) {
        while let Some(until) = self.lease_state.held_until(self.parts.clock.now()) {
            if self.is_closing() {
                return;
            }
            self.parts.clock.sleep_until(Deadline::At(until)).await;
        }
    }

    fn accepted(
        self: &Arc<Self>,
        submitted: SubmitOutcome,
        process: &Process,
    ) -> Result<LaunchOutcome, EngineError> {
        match submitted {
            SubmitOutcome::Waiting(stored) | SubmitOutcome::Claimed(stored) => Ok(self.spawn_start(stored)),
            // An earlier submission succeeded, but its answer was lost.
            SubmitOutcome::Existing { id, stored: Some(stored), .. } if id == process.id => {
                Ok(self.spawn_start(stored))
            }
            SubmitOutcome::Existing { stored: Some(stored), same_spec: true, .. } => {
                Ok(LaunchOutcome { stored, created: false })
            }
            SubmitOutcome::Existing { id, stored: None, same_spec: true } => {
                Err(EngineError::LaunchPruned { key: launch_key_of(process), id })
            }
            SubmitOutcome::Existing { id, stored, .. } => {
                let key = launch_key_of(process);
                let first = stored.map(|stored| stored.process.spec);
                let differs = first.map(|first| first.launch_differences(&process.spec)).unwrap_or_default();
                Err(EngineError::KeyConflict { key, holder: id, differs })
            }
        }
    }

    /// Starts the process if the store accepted a submission whose answer was lost. The process may already be claimed
    /// by this node, and no other code path would then start it.
    fn begin_if_accepted(self: &Arc<Self>, id: ProcessId) {
        let core = self.clone();
        tokio::spawn(async move {
            while !core.is_closing() {
                match core.load(id).await {
                    Ok(stored) => {
                        core.spawn_start(stored);
                        return;
                    }
                    Err(EngineError::NotFound { .. }) => return,
                    Err(error) => {
                        tracing::warn!(%id, %error, "could not find out whether a launch was accepted; retrying")
                    }
                }
                let until: AwakeTime = core.parts.clock.awake().plus(RETRY_DELAY);
                core.parts.clock.sleep_until(Deadline::Awake(until)).await;
            }
        });
    }

    /// Starts the accepted process in the background, so that the caller does not wait for the start.
    fn spawn_start(self: &Arc<Self>, stored: StoredProcess) -> LaunchOutcome {
        self.settle(&stored);
        // If an answer was lost, another node may have claimed the process in the meantime.
        if self.author_of(&stored).is_some() {
            self.perform_beside(stored.clone());
        }
        LaunchOutcome { stored, created: true }
    }

    /// Fills in the resource limits that the launch does not set with the limits of its level.
    fn bound(&self, spec: &mut Spec, level: Level) {
        let (Work::Command(command), Some(bounds)) = (&mut spec.work, self.settings.level_limits.get(&level))
        else {
            return;
        };
        let asked = command.limits;
        command.limits = ResourceLimits {
            cpu_seconds: asked.cpu_seconds.or(bounds.cpu_seconds),
            memory_bytes: asked.memory_bytes.or(bounds.memory_bytes),
            open_files: asked.open_files.or(bounds.open_files),
            processes: asked.processes.or(bounds.processes),
            file_bytes: asked.file_bytes.or(bounds.file_bytes),
        };
    }

    fn limits_of(&self, process: &Process) -> SubmitLimits {
        let known = self.policy.lock().unwrap_or_else(PoisonError::into_inner);
        let slots = process.spec.key.as_ref().and_then(|key| known.1.slots_of(key));
        SubmitLimits { policy: known.0, slots, tree: self.settings.tree }
    }

    /// Returns the concurrency key for the launch of an agent: its model, or the configured default if it has no model.
    /// Returns `None` if the launch has no prompt and is therefore not the launch of an agent.
    fn key_of_agent(&self, spec: &Spec) -> Option<SlotKey> {
        spec.agent.prompt.as_ref()?;
        let model = spec.agent.model.as_ref().and_then(|model| SlotKey::new(model).ok());
        model.or_else(|| self.settings.default_key.clone())
    }

    pub(crate) fn may_run(&self, process: &Process) -> bool {
        match &process.spec.placement {
            Placement::Here => false,
            placement @ (Placement::Node(_) | Placement::Anywhere | Placement::Labels(_)) => {
                self.settings.offer.fits(self.here(), placement)
            }
        }
    }
}

fn launch_key_of(process: &Process) -> String {
    process.spec.launch_key.as_ref().map_or_else(String::new, ToString::to_string)
}

/// Returns true for errors that prove that the process does not exist. The store searches for the id before it reports
/// one of these errors.
const fn is_decided(error: &EngineError) -> bool {
    let looked = matches!(error, EngineError::Refused { refusal } if !matches!(refusal, StoreRejection::Full | StoreRejection::StalePolicy { .. }));
    looked || matches!(error, EngineError::KeyConflict { .. } | EngineError::LaunchPruned { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{command, waiting};
    use longhaul_domain::PolicyVersion;

    #[test]
    fn error_proves_that_nothing_was_accepted_only_after_the_store_looked_for_the_id() {
        let id = waiting(1, command()).process.id;
        let refused = |refusal| EngineError::Refused { refusal };
        let (key, differs) = ("k".to_owned(), Vec::new());
        for proof in [
            refused(StoreRejection::ParentMissing { parent: id }),
            EngineError::KeyConflict { key: key.clone(), holder: id, differs },
            EngineError::LaunchPruned { key, id },
        ] {
            assert!(is_decided(&proof), "{proof:?}");
        }
        for other in [
            refused(StoreRejection::Full),
            refused(StoreRejection::StalePolicy { found: PolicyVersion::default() }),
            EngineError::ShuttingDown,
        ] {
            assert!(!is_decided(&other), "{other:?}");
        }
    }
}
