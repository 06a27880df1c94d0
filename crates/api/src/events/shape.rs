//! Combines events with data about their processes. The data is collected only once for all subscribers.

use crate::events::EventFilter;
use crate::events::envelope::envelope;
use crate::events::serialized::SerializedEvent;
use crate::events::subject::{EventSubject, SubjectCache};
use crate::events::tail::tail;
use longhaul_domain::{Fact, Progress};
use longhaul_engine::Engine;
use longhaul_engine::ports::{AttemptKey, LoggedEvent};
use longhaul_wire::event::{EventKind, StartTrigger};
use tokio::sync::OnceCell;

/// An event, together with the data about its process at the time of the event.
#[derive(Debug)]
pub(crate) struct EventSnapshot {
    pub(crate) logged: LoggedEvent,
    /// Event type that subscribers see. `None` for internal events.
    pub(crate) kind: Option<EventKind>,
    /// Data about the process. `None` if the process was pruned.
    pub(crate) subject: Option<EventSubject>,
    telling: OnceCell<SerializedEvent>,
}

impl EventSnapshot {
    /// Combines an event with the data about its process. Events must be passed in the order of the log, because each
    /// call updates `subjects`. The inner value is `None` if the filter excludes the event; the outer value is `None`
    /// when the engine has shut down. Cancel safe.
    pub(crate) async fn of(
        engine: &Engine,
        subjects: &mut SubjectCache,
        logged: &LoggedEvent,
        wanted: &EventFilter,
    ) -> Option<Option<Self>> {
        let (id, fact) = (logged.id, &logged.event.fact);
        if !wanted.is_of_process(id) {
            return Some(None);
        }
        let subject = subjects.with(engine, id, &logged.event).await?;
        let kind = EventKind::of(fact, subject.map(|subject| subject.begins));
        let is_wanted = wanted.is_of_session(subject) && wanted.is_of_kind(kind);
        if is_wanted && kind.is_some_and(EventKind::is_end) {
            subjects.complete(engine, id, logged.cursor).await?;
        }
        let shape = is_wanted.then(|| Self {
            logged: logged.clone(),
            kind,
            subject: subjects.known(id).cloned(),
            telling: OnceCell::new(),
        });
        if let Fact::Ended { .. } = fact {
            subjects.forget(id);
        }
        Some(shape)
    }

    /// Returns true if the event matches a filter.
    pub(crate) fn is_wanted(&self, wanted: &EventFilter) -> bool {
        wanted.is_of_process(self.logged.id)
            && wanted.is_of_session(self.subject.as_ref())
            && wanted.is_of_kind(self.kind)
    }

    /// Returns the event as subscribers receive it, or `None` for internal events. The first call reads the output tail
    /// and the current progress.
    pub(crate) async fn telling(&self, engine: &Engine) -> Option<SerializedEvent> {
        let kind = self.kind?;
        Some(self.telling.get_or_init(|| self.serialize(kind, engine)).await.clone())
    }

    async fn serialize(&self, kind: EventKind, engine: &Engine) -> SerializedEvent {
        let Self { logged, subject, .. } = self;
        let mut envelope = envelope(kind, logged, subject.as_ref(), engine.node());
        if let Fact::StageChanged { stage } = &logged.event.fact {
            // A stage event contains no progress. The progress is read from the record of the process, which contains
            // it as long as the stage is current.
            let stored = engine.process(logged.id).await.ok();
            let live = stored.filter(|stored| !stored.process.status().is_ended());
            let live_stats =
                live.map(|stored| stored.live_stats).filter(|now| now.stage.as_ref() == Some(stage));
            envelope.data.progress = live_stats.and_then(|now| now.progress).map(Progress::percent);
        }
        if let Some(key) = self.output(engine) {
            envelope.data.output =
                tail(engine, key).await.map(|tail| with_first_error(&logged.event.fact, tail));
        }
        SerializedEvent::of(envelope)
    }

    /// Returns the key of the output whose tail shows how the process ended. Returns `None` if the process wrote
    /// nothing, or if its output is on another node.
    fn output(&self, engine: &Engine) -> Option<AttemptKey> {
        let Fact::Ended { ending, .. } = &self.logged.event.fact else { return None };
        let subject = self.subject.as_ref().filter(|subject| subject.begins == StartTrigger::WhenSpawned)?;
        let is_silent = ending.exit().is_some_and(|exit| exit.output_bytes == 0);
        if is_silent || subject.node.as_ref() != Some(engine.node()) {
            return None;
        }
        Some(AttemptKey { id: self.logged.id, attempt: subject.attempt? })
    }

    /// Returns the approximate memory size in bytes, including the serialized texts.
    pub(crate) fn weight(&self) -> usize {
        const PLAIN: usize = 4_096;
        let said = match &self.logged.event.fact {
            Fact::OutputMatched { pattern, line, .. } => pattern.len() + line.len(),
            Fact::Ended { .. } => longhaul_wire::event::MAX_TAIL_LEN,
            Fact::TestsReported(report) => crate::convert::test_report_len(report),
            Fact::TestsDoubted(doubt) => doubt.kind.len() + doubt.message.len(),
            Fact::Submitted
            | Fact::Claimed { .. }
            | Fact::Spawned { .. }
            | Fact::NeverRan
            | Fact::BecameDue
            | Fact::NodeLost { .. }
            | Fact::Restored { .. }
            | Fact::RetryScheduled { .. }
            | Fact::StageChanged { .. }
            | Fact::OutcomeReported(_)
            | Fact::Paused { .. }
            | Fact::Resumed { .. }
            | Fact::StopRequested { .. }
            | Fact::KillStarted { .. }
            | Fact::BecameStuck
            | Fact::AwaitingChildren { .. }
            | Fact::CascadeStarted { .. }
            | Fact::CascadeEnded
            | Fact::Prioritized { .. }
            | Fact::SessionEnded { .. }
            | Fact::SessionKept
            | Fact::ConditionStarted { .. }
            | Fact::ConditionEnded { .. }
            | Fact::SignalSent { .. }
            | Fact::OrphanStopRequested { .. }
            | Fact::LateExit { .. } => 0,
        };
        let command = self.subject.iter().flat_map(|subject| &subject.command);
        // Each text is stored four times: in this value, in the envelope and in two serialized forms.
        PLAIN + 4 * (said + command.map(|word| word.len() + 24).sum::<usize>())
    }
}

/// Adds all lines of the first error in front of the output tail, unless the tail already contains them.
fn with_first_error(fact: &Fact, tail: String) -> String {
    let Fact::Ended { ending, .. } = fact else { return tail };
    let error = ending.exit().and_then(|exit| exit.first_error.as_ref());
    match error.and_then(|error| error.detail.as_deref()) {
        Some(detail) if !tail.contains(detail) => format!("{detail}\n[...]\n{tail}"),
        Some(_) | None => tail,
    }
}
