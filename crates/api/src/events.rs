//! Events, as subscribers are told of them.
//!
//! Each subscriber reads the event log at his own pace and keeps his place: whoever reads slowly, or not at all, costs
//! a page of memory and holds nobody up. What the log lets go of meanwhile is told as a gap, and the stream goes on.

pub(crate) mod letter;
pub(crate) mod place;
mod subject;
mod tail;
pub(crate) mod trail;

use crate::api::Api;
use crate::convert::rfc3339;
use crate::fault::Fault;
use futures_util::stream::{self, Stream};
use letter::{envelope, gap};
use longhaul_domain::{Fact, ProcessId, Progress, SessionId};
use longhaul_engine::Engine;
use longhaul_engine::ports::{AttemptKey, Cursor, Logged};
use longhaul_wire::event::{Begins, Envelope, EventKind, EventsRequest};
use place::{cursor_text, read_cursor};
pub(crate) use subject::{Subject, Subjects};
use tail::tail;
use trail::{Step, Trail};

/// What a subscriber is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// Something became true. The events of one process come in their order, each with an id that it keeps for ever.
    Event(Box<Envelope>),
    /// Events are missing: the log does not keep them any more, or was started anew. It goes on behind them.
    Gap(Box<Envelope>),
    /// Everything that was there has been told. It comes once.
    CaughtUp {
        /// The place behind it.
        cursor: String,
    },
}

/// A stream of events. Dropping it ends it.
#[derive(Debug)]
pub struct Events {
    engine: Engine,
    trail: Trail,
    subjects: Subjects,
    wanted: Wanted,
    read: Option<Cursor>,
}

/// Which events somebody wants; empty means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) session: Option<SessionId>,
    pub(crate) process: Option<ProcessId>,
    pub(crate) kinds: Vec<EventKind>,
}

impl Api {
    /// Tells what became true, and with `follow` what becomes true from now on.
    ///
    /// # Errors
    /// The request makes no sense, or the log cannot be read.
    pub async fn events(&self, request: &EventsRequest) -> Result<Events, Fault> {
        let engine = &self.engine;
        let session = request.session.as_deref().map(str::parse).transpose()?;
        let process = match &request.process {
            Some(reference) => Some(engine.find(reference).await?),
            None => None,
        };
        let wanted = Wanted { session, process, kinds: kinds(&request.types)? };
        let trail = match request.after.as_deref() {
            Some(after) => Trail::after(engine, read_cursor(after)?, request.follow).await?,
            None if request.follow => Trail::from_now(engine).await?,
            None => Trail::after(engine, None, false).await?,
        };
        Ok(Events::of(engine, trail, wanted))
    }
}

impl Events {
    pub(crate) fn of(engine: &Engine, trail: Trail, wanted: Wanted) -> Self {
        Self { engine: engine.clone(), trail, subjects: Subjects::default(), wanted, read: None }
    }

    /// Parks until there is something to tell; none when it is over, because everything was told, or because the engine
    /// has ended. Dropping the call loses nothing.
    pub async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some(told) = self.step().await? {
                return Some(told);
            }
        }
    }

    /// Goes one step on, also past what is not wanted, of which nothing is told.
    pub(crate) async fn step(&mut self) -> Option<Option<Told>> {
        let step = self.trail.look().await?.clone();
        let told = self.tell(&step).await?;
        self.trail.take();
        self.read = Some(step.place());
        Some(told)
    }

    /// The place behind everything that was read, whether it was wanted or not; none before the first.
    pub(crate) const fn read(&self) -> Option<Cursor> {
        self.read
    }

    /// The same as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Told> + Send + 'static {
        stream::unfold(self, |mut events| async move { Some((events.next().await?, events)) })
    }

    /// What a subscriber is told of a step, if anything; the outer none means that the engine has ended.
    async fn tell(&mut self, step: &Step) -> Option<Option<Told>> {
        let here = self.engine.node();
        match step {
            Step::CaughtUp(place) => Some(Some(Told::CaughtUp { cursor: cursor_text(*place) })),
            Step::Gap { from, to } => {
                let now = rfc3339(self.engine.now());
                Some(Some(Told::Gap(Box::new(gap(*from, *to, now, here)))))
            }
            Step::Event(logged) => self.tell_event(logged).await,
        }
    }

    async fn tell_event(&mut self, logged: &Logged) -> Option<Option<Told>> {
        if self.wanted.process.is_some_and(|process| process != logged.id) {
            return Some(None);
        }
        let engine = &self.engine;
        let subject = self.subjects.with(engine, logged.id, &logged.event).await?;
        let begins = subject.as_ref().map(|subject| subject.begins);
        let is_of_session = match (&self.wanted.session, &subject) {
            (None, _) => true,
            (Some(session), Some(subject)) => subject.session.as_ref() == Some(session),
            (Some(_), None) => false,
        };
        let kind = EventKind::of(&logged.event.fact, begins).filter(|kind| {
            is_of_session && (self.wanted.kinds.is_empty() || self.wanted.kinds.contains(kind))
        });
        let told = match kind {
            Some(kind) => Some(self.written(kind, logged).await?),
            None => None,
        };
        if let Fact::Ended { .. } = logged.event.fact {
            self.subjects.forget(logged.id);
        }
        Some(told)
    }

    async fn written(&mut self, kind: EventKind, logged: &Logged) -> Option<Told> {
        let engine = &self.engine;
        if kind.is_end() {
            self.subjects.complete(engine, logged.id, logged.cursor).await?;
        }
        let subject = self.subjects.known(logged.id);
        let mut envelope = envelope(kind, logged, subject, engine.node());
        if let Fact::StageChanged { stage } = &logged.event.fact {
            // The log keeps the stage alone: how far it is can be told as long as it stands there.
            let stored = engine.process(logged.id).await.ok();
            let live = stored.filter(|stored| !stored.process.status().is_ended());
            let vitals = live.map(|stored| stored.vitals).filter(|now| now.stage.as_ref() == Some(stage));
            envelope.data.progress = vitals.and_then(|now| now.progress).map(Progress::percent);
        }
        if let Some(key) = output_of(engine, logged, subject) {
            envelope.data.tail = tail(engine, key).await;
        }
        Some(Told::Event(Box::new(envelope)))
    }
}

/// The output that shows how a process ended, if it had any and has it here.
fn output_of(engine: &Engine, logged: &Logged, subject: Option<&Subject>) -> Option<AttemptKey> {
    let Fact::Ended { ending, .. } = &logged.event.fact else { return None };
    let subject = subject.filter(|subject| subject.begins == Begins::WhenSpawned)?;
    let is_silent = ending.exit().is_some_and(|exit| exit.output_bytes == 0);
    if is_silent || subject.node.as_ref() != Some(engine.node()) {
        return None;
    }
    Some(AttemptKey { id: logged.id, attempt: subject.attempt? })
}

/// Reads the words of events, each of which may be several between commas.
pub(crate) fn kinds(words: &[String]) -> Result<Vec<EventKind>, Fault> {
    let words =
        words.iter().flat_map(|words| words.split(',')).map(str::trim).filter(|word| !word.is_empty());
    words
        .map(|word| {
            word.parse().map_err(|error| {
                let all = EventKind::ALL.map(EventKind::as_str).join(", ");
                Fault::unreadable("event", word, &error).help(format!("one of {all}"))
            })
        })
        .collect()
}
