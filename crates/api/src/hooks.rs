//! Command hooks: configured commands that run as processes when an event occurs.
//!
//! - Each hook has its own task, which reads the event log and runs one command at a time.
//! - For each event, hooks for ends wait until the hooks for starts have processed the log up to this event. For a
//!   single process, the start hook therefore always runs before the end hook.
//! - A hook run is a normal process with a timeout, an output log and an ending. Its launch key is derived from the
//!   event, so that a restarted manager does not run the hook twice.
//! - Events of hook processes and their descendants do not call hooks. If they did, a hook that launches a process
//!   would trigger itself forever.

mod order;

pub use order::{Hook, HookError, HookPlan, HookTrigger, PLACEHOLDERS};

use crate::api::Api;
use crate::completions::CompletionBatches;
use crate::convert::{LaunchDefaults, ending, launch};
use crate::error::ApiError;
use crate::events::log_reader::{LogReader, patiently};
use crate::events::place::read_cursor;
use crate::events::reader::EventReader;
use crate::events::{EventFilter, EventItem, Events};
use crate::webhook::first_place;
use longhaul_domain::{ProcessId, ProgressDetection, State, Status};
use longhaul_engine::ports::{EventCursor, ReaderCursors, StoredProcess};
use longhaul_engine::{Engine, LaunchOutcome, WaitCondition, WaitMode};
use longhaul_wire::api::LaunchRequest;
use longhaul_wire::event::{BatchView, Envelope};
use order::HookCall;
use std::sync::Arc;
use std::time::Duration;
use tokio::select;
use tokio::sync::watch;

/// Process type of hook runs.
pub(crate) const HOOK_TYPE: &str = "custom:hook";
/// Delay before a launch that the manager could not accept is tried again.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// Delay after which the cursor of a hook is saved if no further event has called the hook.
const CURSOR_SYNC_INTERVAL: Duration = Duration::from_secs(5);

/// Starts the tasks of all hooks. The tasks run until the engine shuts down. A hook without a saved cursor is called
/// only for events that occur after this call. `window` is the time window of the completion batches, which determine
/// when all processes of a session have ended.
pub fn start(api: &Api, hooks: Vec<Hook>, window: Duration, bookmarks: &Arc<dyn ReaderCursors>) {
    let hooks: Vec<_> = hooks.into_iter().map(|hook| (hook, watch::Sender::new(None))).collect();
    let is_for_starts = |(hook, _): &&(Hook, watch::Sender<_>)| hook.moment == HookTrigger::Start;
    let starts: Vec<_> = hooks.iter().filter(is_for_starts).map(|(_, done)| done.subscribe()).collect();
    for (hook, done) in hooks {
        let before = match hook.moment {
            HookTrigger::End | HookTrigger::Failure => starts.clone(),
            HookTrigger::Start | HookTrigger::SessionComplete => Vec::new(),
        };
        let bookmarks = bookmarks.clone();
        let runner = HookRunner { api: api.clone(), hook, bookmarks, kept: None, done, before };
        tokio::spawn(async move {
            // The task ends when the engine shuts down.
            let _ended = runner.run(window).await;
        });
    }
}

/// The task of one hook.
struct HookRunner {
    api: Api,
    hook: Hook,
    bookmarks: Arc<dyn ReaderCursors>,
    kept: Option<EventCursor>,
    /// Publishes the cursor up to which all events have been processed.
    done: watch::Sender<Option<EventCursor>>,
    /// Cursors of the other hooks that must be called before this hook.
    before: Vec<watch::Receiver<Option<EventCursor>>>,
}

impl HookRunner {
    /// Runs the task. Returns `None` when the engine has shut down.
    async fn run(mut self, window: Duration) -> Option<()> {
        let engine = self.api.engine.clone();
        let place = first_place(&engine, self.bookmarks.as_ref(), self.hook.moment.as_str()).await?;
        self.kept = Some(place);
        self.done.send_replace(Some(place));
        let trail = patiently(&engine, || LogReader::after(&engine, Some(place), true)).await?;
        let reader = |wanted| EventReader::of(&engine, &self.api.relay, trail, wanted);
        match self.hook.moment.kinds() {
            Some(kinds) => {
                let events = Events::of(&engine, reader(EventFilter { kinds, ..EventFilter::default() }));
                self.follow_events(&engine, events).await
            }
            None => {
                let batches = CompletionBatches::of(&engine, reader(EventFilter::default()), window);
                self.follow_sessions(&engine, batches).await
            }
        }
    }

    async fn follow_events(&mut self, engine: &Engine, mut events: Events) -> Option<()> {
        loop {
            let told = select! {
                biased;
                told = events.step() => told?,
                () = engine.sleep(CURSOR_SYNC_INTERVAL), if events.read() > self.kept => {
                    self.keep(events.read()).await;
                    continue;
                }
            };
            match told {
                Some(EventItem::Event(envelope))
                    if self.hook.is_for(&envelope) && !is_of_hooks(engine, &envelope).await? =>
                {
                    self.let_others_finish(engine, events.read()).await?;
                    self.call(engine, &HookCall::of_event(&envelope)).await?;
                    self.keep(events.read()).await;
                }
                Some(EventItem::Gap(envelope)) => self.complain(&envelope),
                Some(EventItem::Event(_) | EventItem::CaughtUp { .. }) | None => {}
            }
            self.done.send_replace(events.read());
        }
    }

    /// Waits until the hooks in `before` have processed the log up to `place`. The wait is limited, because each hook
    /// run has a timeout. Returns `None` when the engine has shut down.
    async fn let_others_finish(&mut self, engine: &Engine, place: Option<EventCursor>) -> Option<()> {
        for done in &mut self.before {
            select! {
                // An error means that the other hook's task has ended and will not call its hook again.
                _ = done.wait_for(|done| *done >= place) => {}
                () = engine.over() => return None,
            }
        }
        Some(())
    }

    async fn follow_sessions(&mut self, engine: &Engine, mut batches: CompletionBatches) -> Option<()> {
        loop {
            let batch = select! {
                biased;
                batch = batches.step() => batch?,
                () = engine.sleep(CURSOR_SYNC_INTERVAL), if Some(batches.place()) > self.kept => {
                    self.keep(Some(batches.place())).await;
                    continue;
                }
            };
            if let Some(batch) = batch.filter(is_complete) {
                if !is_all_of_hooks(engine, &batch).await? {
                    self.call(engine, &HookCall::of_batch(&batch)).await?;
                }
                // Other sessions may have open batches that started earlier, so the saved cursor must not pass the
                // start of these batches.
                let told = read_cursor(&batch.cursor).ok().flatten();
                self.keep(told.map(|told| told.min(batches.place()))).await;
            }
        }
    }

    /// Runs the command of the hook and waits until the command ends. Returns `None` when the engine has shut down.
    async fn call(&self, engine: &Engine, call: &HookCall) -> Option<()> {
        let request = self.hook.request(call);
        let launched = loop {
            let fault = match self.launch(engine, request.clone()).await {
                Ok(launched) => break launched,
                Err(fault) => fault,
            };
            let problem = fault.problem();
            let (hook, why) = (self.hook.moment.as_str(), problem.title.as_str());
            match (problem.slug.as_str(), problem.status) {
                // The hook has already run for this event. That run had a different environment, or its record has been
                // pruned since.
                ("key_conflict" | "launch_pruned", _) => return Some(()),
                ("shutting_down", _) => return None,
                (_, 503 | 507) => tracing::warn!(hook, why, "could not launch a hook; retrying"),
                _ => {
                    tracing::warn!(hook, event = call.id, why, "skipped a hook that cannot be launched");
                    return Some(());
                }
            }
            select! {
                () = engine.sleep(RETRY_DELAY) => {}
                () = engine.over() => return None,
            }
        };
        let ids = [launched.stored.process.id];
        let ended = patiently(engine, || engine.wait(&ids, WaitCondition::Ended, WaitMode::All, None));
        let ended = select! {
            ended = ended => ended?,
            () = engine.over() => return None,
        };
        if let [stored] = ended.processes.as_slice() {
            self.judge(call, stored);
        }
        Some(())
    }

    /// Launches the command even if the maximum number of root processes is running. Hooks do not wait for these
    /// processes, because they may run for hours.
    async fn launch(&self, engine: &Engine, request: LaunchRequest) -> Result<LaunchOutcome, ApiError> {
        let defaults = LaunchDefaults {
            watch: Vec::new(),
            progress: ProgressDetection::Off,
            no_queue: false,
            ..self.api.defaults.clone()
        };
        let launch = launch(request, None, engine.now(), &defaults)?;
        Ok(engine.launch_beside(launch).await?)
    }

    /// Logs a hook run that did not complete. The log is the only place where the failure is visible, because no client
    /// waits for a hook.
    fn judge(&self, call: &HookCall, stored: &StoredProcess) {
        let process = &stored.process;
        let State::Ended(ended) = &process.state else { return };
        let status = ended.ending.status();
        if status == Status::Completed {
            return;
        }
        let why = ending(&ended.ending);
        tracing::warn!(
            hook = self.hook.moment.as_str(),
            event = call.id,
            process = %process.id,
            %status,
            why,
            "a hook failed"
        );
    }

    /// Saves the cursor. If this fails, the events after the last saved cursor are processed again after a restart.
    /// Their launch keys prevent a second run of the hook.
    async fn keep(&mut self, place: Option<EventCursor>) {
        let Some(place) = place.filter(|place| Some(*place) > self.kept) else { return };
        let hook = self.hook.moment.as_str();
        match self.bookmarks.keep(hook, place).await {
            Ok(()) => self.kept = Some(place),
            Err(error) => tracing::warn!(hook, %error, "could not store the cursor of a hook"),
        }
    }

    fn complain(&self, gap: &Envelope) {
        let (from, to) = (gap.data.from.as_deref(), gap.data.to.as_deref());
        tracing::warn!(
            hook = self.hook.moment.as_str(),
            from,
            to,
            "skipped events that are no longer stored: the hook did not run for them"
        );
    }
}

/// Returns true if an event belongs to a hook process or to a descendant of one. Returns `None` when the engine has
/// shut down.
async fn is_of_hooks(engine: &Engine, envelope: &Envelope) -> Option<bool> {
    if envelope.data.process_type.as_deref() == Some(HOOK_TYPE) {
        return Some(true);
    }
    match (&envelope.data.parent_id, envelope.subject.as_deref().map(str::parse)) {
        (Some(_), Some(Ok(id))) => descends_from_hook(engine, id).await,
        _ => Some(false),
    }
}

/// Returns true if a batch contains only hook processes and their descendants. Returns `None` when the engine has shut
/// down.
async fn is_all_of_hooks(engine: &Engine, batch: &BatchView) -> Option<bool> {
    for ended in &batch.ended {
        let is_of_hooks = match ended.id.parse() {
            _ if ended.kind == HOOK_TYPE => true,
            Ok(id) => descends_from_hook(engine, id).await?,
            Err(_) => false,
        };
        if !is_of_hooks {
            return Some(false);
        }
    }
    Some(true)
}

/// Returns true if a process has a hook process among its ancestors. Returns `None` when the engine has shut down.
async fn descends_from_hook(engine: &Engine, id: ProcessId) -> Option<bool> {
    let ids = [id];
    let Some(stored) = patiently(engine, || engine.processes(&ids)).await?.pop().flatten() else {
        return Some(false);
    };
    let ancestors = stored.process.lineage.ancestors;
    if ancestors.is_empty() {
        return Some(false);
    }
    let ancestors = patiently(engine, || engine.processes(&ancestors)).await?;
    Some(ancestors.iter().flatten().any(|ancestor| ancestor.process.spec.kind.to_string() == HOOK_TYPE))
}

fn is_complete(batch: &BatchView) -> bool {
    batch.all_complete && !batch.ended.is_empty()
}
