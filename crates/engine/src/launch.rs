//! Launches: a command or reported work becomes a process.

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

/// So often a launch is tried again when the queue policy changed under it.
const MAX_POLICY_RETRIES: u32 = 20;
/// So often a launch is sent again whose answer was lost. Each of them may take as long as the store has patience.
const MAX_RESENDS: u32 = 2;

/// The wait before a store that failed is asked again.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// What to launch.
#[derive(Clone, Debug)]
pub struct Launch {
    /// What is asked for.
    pub spec: Spec,
    /// Whose child it is.
    pub parent: Option<ProcessId>,
    /// From inside of which process it is launched.
    pub launcher: Launcher,
    /// The caller's environment, to be kept under its hash.
    pub captured: Option<Vec<(String, String)>>,
    /// Refuse it instead of letting it wait for a slot. Reported work with a key takes one then.
    pub no_queue: bool,
}

/// From inside of which process something is launched: only that one launches it again when it is restarted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Launcher {
    /// Its parent.
    #[default]
    Parent,
    /// This one, which may be its parent or another process.
    Process(ProcessId),
    /// None of ours: a person, or another program.
    Outside,
}

/// What came of a launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchOutcome {
    /// The process.
    pub stored: StoredProcess,
    /// False if its launch key was taken before: this is the process that has it.
    pub created: bool,
}

impl Engine {
    /// Accepts new work: durable when it returns, and started as soon as its turn comes. Dropping the call does not
    /// take it back.
    ///
    /// # Errors
    /// [`EngineError::Refused`] with the guard that it met, [`EngineError::KeyConflict`],
    /// [`EngineError::ShuttingDown`]; [`EngineError::EnvironmentStays`] for a captured environment of what may run on
    /// another node; [`EngineError::Invalid`] for what waits for a moment and may not wait for a slot,
    /// or asks to be told of something that cannot be found out.
    pub async fn launch(&self, launch: Launch) -> Result<LaunchOutcome, EngineError> {
        let core = self.core.clone();
        let roots = core.settings.roots();
        run_to_completion(async move { core.launch(launch, roots).await }).await
    }

    /// The same for short work of this engine's owner that must not wait behind others: the limit on roots does not hold
    /// it back, though it counts there while it runs. What waits for a free root goes before it unless its priority is
    /// lower.
    ///
    /// # Errors
    /// As [`Engine::launch`].
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
                why: "what waits for a moment cannot be refused for want of a slot now".to_owned(),
                help: Some("take either the delay or the refusal, not both".to_owned()),
            });
        }
        self.check(&launch.spec)?;
        if launch.captured.is_some()
            && launch.spec.command().is_some()
            && !self.is_here(&launch.spec.placement)
        {
            return Err(EngineError::EnvironmentStays { here: self.here().clone() });
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
            let kept = self.parts.vault.keep(captured).await;
            command.environment.captured = Some(kept.map_err(|source| EngineError::Vault { source })?);
        }
        self.submit(spec, lineage, launch.no_queue, roots).await
    }

    /// Whether what the launch asks to be told of makes sense, and this node can do it if it is to run here.
    fn check(&self, spec: &Spec) -> Result<(), EngineError> {
        if let Some(command) = spec.command() {
            crate::monitor::check(command)?;
        }
        match spec.unsupported_by(self.parts.spawner.capabilities()) {
            Some(what) if self.is_here(&spec.placement) => Err(EngineError::Invalid {
                what: "launch",
                why: format!("commands of this node do not support {what}"),
                help: None,
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether what is placed so runs on this node and no other.
    fn is_here(&self, placement: &Placement) -> bool {
        match placement {
            Placement::Here => true,
            Placement::Node(node) => node == self.here(),
            Placement::Labels(_) | Placement::Anywhere => false,
        }
    }

    /// The place of a child of `parent`. It belongs to the session of its parent, unless it names one of its own: whoever
    /// listens for the ends of a session is told of all the work that it led to.
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
            return Err(EngineError::Clearing);
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
        process.seal = self.parts.notary.seal(&process);
        let mut unheard = None;
        let sent = self.send(&process, &events, (no_queue, roots), &mut unheard).await;
        match (sent, unheard) {
            (Err(error), Some(verify_lease)) if !is_decided(&error) => {
                self.begin_if_accepted(process.id);
                Err(verify_lease.into())
            }
            (Err(EngineError::Refused { refusal: refusal @ StoreRejection::NoSlot { .. } }), _) => {
                Err(match self.standstill(&process).await {
                    Some(standstill) => EngineError::NotAtOnce { standstill },
                    None => EngineError::Refused { refusal },
                })
            }
            (sent, _) => sent,
        }
    }

    /// What keeps it from being started at once, whatever room there is; none if it is a matter of slots and turns.
    async fn standstill(&self, process: &Process) -> Option<LaunchBlocked> {
        if !self.may_run(process) {
            return Some(LaunchBlocked::Elsewhere);
        }
        if self.tenure.held_until(self.parts.clock.now()).is_some() {
            return Some(LaunchBlocked::Settles);
        }
        // Who cannot be asked leaves the cause that the store told.
        let known = self.parts.store.list_nodes().await.unwrap_or_default();
        let drains = known.iter().any(|node| node.facts.id == *self.here() && node.draining);
        drains.then(|| LaunchBlocked::Drains { node: self.here().clone() })
    }

    /// Sends it until there is an answer; what is left in `unheard` may have been accepted before that.
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
                self.until_given_back().await;
            }
            let submission = Submission {
                process: process.clone(),
                events: events.to_vec(),
                limits: self.limits_of(process),
                claim_for: Some(ClaimRequest { lease: self.lease(), roots })
                    .filter(|_| self.may_run(process) && self.tenure.is_living(self.parts.clock.now())),
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
                // The id makes sure that it counts once.
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

    /// Waits while the nodes give back what the store lost: the holder of a launch key may be part of that.
    async fn until_given_back(&self) {
        while let Some(until) = self.tenure.held_until(self.parts.clock.now()) {
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
            SubmitOutcome::Waiting(stored) | SubmitOutcome::Claimed(stored) => Ok(self.begun(stored)),
            // The first answer was lost.
            SubmitOutcome::Existing { id, stored: Some(stored), .. } if id == process.id => {
                Ok(self.begun(stored))
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

    /// The launch failed after an answer was lost: if it was accepted all the same, it may be this node's already, and
    /// nobody else would ever start it.
    fn begin_if_accepted(self: &Arc<Self>, id: ProcessId) {
        let core = self.clone();
        tokio::spawn(async move {
            while !core.is_closing() {
                match core.load(id).await {
                    Ok(stored) => {
                        core.begun(stored);
                        return;
                    }
                    Err(EngineError::NotFound { .. }) => return,
                    Err(error) => {
                        tracing::warn!(%id, %error, "it cannot be told yet whether it was accepted")
                    }
                }
                let until: AwakeTime = core.parts.clock.awake().plus(RETRY_DELAY);
                core.parts.clock.sleep_until(Deadline::Awake(until)).await;
            }
        });
    }

    /// Whoever launched need not wait for the start.
    fn begun(self: &Arc<Self>, stored: StoredProcess) -> LaunchOutcome {
        self.settle(&stored);
        // Another node may have claimed it before an answer that was lost.
        if self.author_of(&stored).is_some() {
            self.perform_beside(stored.clone());
        }
        LaunchOutcome { stored, created: true }
    }

    /// What a launch does not bound itself is bounded as its level is.
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

    /// The key of a launch for an agent: its model, else the configured one.
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

/// Whether a store that refuses so looked first whether the process is there: then it is not.
const fn is_decided(error: &EngineError) -> bool {
    let looked = matches!(error, EngineError::Refused { refusal } if !matches!(refusal, StoreRejection::Full | StoreRejection::StalePolicy { .. }));
    looked || matches!(error, EngineError::KeyConflict { .. } | EngineError::LaunchPruned { .. })
}
