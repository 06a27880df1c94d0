//! Completion batches, which report to a session which of its processes have ended.
//!
//! An agent that started fifty processes should be woken once, not fifty times. Therefore all processes that end within
//! a time window are reported in one batch. Only the times in the event log decide which process ends belong to the
//! same batch. A reconnecting subscriber or a restarted manager therefore produces the same batches again.

mod batcher;
mod live_count;

use crate::api::Api;
use crate::convert::{dating, rfc3339, seconds};
use crate::error::ApiError;
use crate::events::envelope::{exit_of, stated_error};
use crate::events::log_reader::LogReader;
use crate::events::place::{cursor_text, read_cursor};
use crate::events::reader::{EventReader, ReaderItem};
use crate::events::{EventFilter, EventSnapshot, EventSubject};
use batcher::{Batcher, CompletionBatch};
use futures_util::stream::{self, Stream};
use live_count::{CountTime, has_any, live};
use longhaul_domain::{Ending, Fact, ProcessId, SessionId, Timestamp};
use longhaul_engine::ports::{EventCursor, LoggedEvent};
use longhaul_engine::{Engine, EngineError};
use longhaul_wire::event::{BatchView, EndedProcessView};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use tokio::select;

/// Default time window of a batch. It starts when the first process ends.
pub const NOTICE_WINDOW: Duration = Duration::from_millis(250);
/// Maximum number of ended processes in one batch.
const MAX_BATCH: usize = 1_000;

/// A stream of the completion batches of one session. Dropping the value ends the stream.
#[derive(Debug)]
pub struct CompletionStream(CompletionBatches);

/// Groups the ended processes of one session, or of all sessions, into batches.
#[derive(Debug)]
pub(crate) struct CompletionBatches {
    engine: Engine,
    reader: EventReader,
    window: Duration,
    only: Option<SessionId>,
    groups: BTreeMap<SessionId, SessionCounts>,
    /// Cursor behind the last item that was read from the event log.
    read: EventCursor,
    done: VecDeque<BatchView>,
    has_gap: bool,
}

/// Process counts and the open batch of one session.
#[derive(Debug)]
struct SessionCounts {
    live: BTreeSet<ProcessId>,
    /// True if the session has, or had, at least one process.
    is_known: bool,
    batcher: Batcher<EndedProcessView>,
}

impl Api {
    /// Returns batches of ended processes of a session: the batches after the cursor of an earlier batch, or the
    /// batches from now on. With `follow`, the stream waits for further processes to end. The first batch reports the
    /// current state of the session and has no entries in `ended`.
    ///
    /// # Errors
    /// Returns an error if the session or the cursor is invalid, or if the store does not respond.
    pub async fn notices(
        &self,
        session: &str,
        after: Option<&str>,
        follow: bool,
    ) -> Result<CompletionStream, ApiError> {
        let session: SessionId = session.parse()?;
        let place = match after {
            Some(after) => read_cursor(after)?,
            None => Some(self.engine.log_end().await?),
        };
        let trail = LogReader::after(&self.engine, place, follow).await?;
        let wanted = EventFilter::of_session(Some(session.clone()));
        let reader = EventReader::of(&self.engine, &self.relay, trail, wanted);
        let mut batches = CompletionBatches::of(&self.engine, reader, self.notice_window);
        let moment = match after {
            Some(_) => CountTime::behind(&self.engine, place).await,
            None => Some(CountTime::Now),
        };
        let moment = moment.ok_or(EngineError::ShuttingDown)?;
        let opened = batches.open_for(session, place.unwrap_or_default(), moment).await;
        opened.ok_or(EngineError::ShuttingDown)?;
        Ok(CompletionStream(batches))
    }
}

impl CompletionStream {
    /// Waits for the next batch. Returns `None` at the end of the stream, or when the engine has shut down.
    ///
    /// # Cancel safety
    /// Dropping the call loses no batch.
    pub async fn next(&mut self) -> Option<BatchView> {
        self.0.next().await
    }

    /// Converts the completion stream to a [`Stream`].
    pub fn into_stream(self) -> impl Stream<Item = BatchView> + Send + 'static {
        stream::unfold(self, |mut notices| async move { Some((notices.next().await?, notices)) })
    }
}

impl CompletionBatches {
    /// Creates batches for all sessions that occur in the events from `reader`.
    pub(crate) fn of(engine: &Engine, reader: EventReader, window: Duration) -> Self {
        Self {
            engine: engine.clone(),
            reader,
            window,
            only: None,
            groups: BTreeMap::new(),
            read: EventCursor::default(),
            done: VecDeque::new(),
            has_gap: false,
        }
    }

    /// Limits the batches to one session, and queues a first batch that reports the state of this session at cursor
    /// `place`.
    async fn open_for(&mut self, session: SessionId, place: EventCursor, moment: CountTime) -> Option<()> {
        self.read = place;
        self.meet(&session, moment).await?;
        let view = self.current_view(&session);
        self.done.push_back(view);
        self.only = Some(session);
        Some(())
    }

    /// Waits for the next batch. Returns `None` at the end of the log or when the engine has shut down. Cancel safe:
    /// dropping the call loses no batch.
    pub(crate) async fn next(&mut self) -> Option<BatchView> {
        loop {
            if let Some(view) = self.step().await? {
                return Some(view);
            }
        }
    }

    /// Processes one item of the event log. The inner value is `None` if no batch is complete yet.
    pub(crate) async fn step(&mut self) -> Option<Option<BatchView>> {
        if let Some(view) = self.done.pop_front() {
            return Some(Some(view));
        }
        let due = self.groups.values().filter_map(|group| group.batcher.due()).min();
        let engine = self.engine.clone();
        let seen = select! {
            // All available events are read before a batch is closed because its time window is over.
            biased;
            seen = self.reader.look() => seen.cloned(),
            () = at(&engine, due) => {
                self.close(due);
                return Some(self.done.pop_front());
            }
        };
        let Some(seen) = seen else {
            self.close(None);
            return self.done.pop_front().map(Some);
        };
        self.take_in(&seen).await?;
        self.reader.take();
        Some(self.done.pop_front())
    }

    /// Returns the cursor from which a reader can resume. A reader that resumes from this cursor receives the ended
    /// processes of the open batch again.
    pub(crate) fn place(&self) -> EventCursor {
        let waiting = self.groups.values().filter_map(|group| group.batcher.waiting_since()).min();
        waiting.map_or(self.read, |first| EventCursor(first.0.saturating_sub(1)).min(self.read))
    }

    /// Processes one log item. All awaits come before the first change of state, so that a caller can safely drop and
    /// repeat the call.
    async fn take_in(&mut self, seen: &ReaderItem) -> Option<()> {
        match seen {
            ReaderItem::Event(shape) => {
                self.take_event(shape).await?;
                self.read = shape.logged.cursor;
            }
            ReaderItem::Gap { to, .. } => {
                for session in self.groups.keys().cloned().collect::<Vec<_>>() {
                    let live = live(&self.engine, &session, CountTime::Now).await?;
                    if let Some(group) = self.groups.get_mut(&session) {
                        group.live = live;
                    }
                }
                (self.has_gap, self.read) = (true, *to);
                if let Some(session) = self.only.clone() {
                    let view = self.current_view(&session);
                    self.done.push_back(view);
                }
            }
            ReaderItem::Unwanted(place) | ReaderItem::CaughtUp(place) => self.read = *place,
        }
        Some(())
    }

    async fn take_event(&mut self, shape: &EventSnapshot) -> Option<()> {
        let EventSnapshot { logged, subject, .. } = shape;
        let event = &logged.event;
        let Some(subject) = subject else { return Some(()) };
        let Some(session) = subject.session.clone() else { return Some(()) };
        if let Fact::Submitted = &event.fact {
            if let Some(group) = self.groups.get_mut(&session) {
                group.live.insert(logged.id);
                group.is_known = true;
                group.batcher.added(event.at, group.live.len());
            }
            return Some(());
        }
        let Fact::Ended { ending, .. } = &event.fact else { return Some(()) };
        self.meet(&session, CountTime::of(&self.engine, event.at, logged.cursor)).await?;
        let ended = view_of(logged, subject, ending);
        let now = self.engine.now();
        if let Some(group) = self.groups.get_mut(&session) {
            group.live.remove(&logged.id);
            group.is_known = true;
            let before = group.batcher.end(now, event.at, logged.cursor, ended, group.live.len());
            if let Some(batch) = before {
                let view = self.batch_view(&session, batch);
                self.done.push_back(view);
            }
        }
        Some(())
    }

    /// Loads the processes of a session that were live at a given time, unless this session has been loaded before.
    async fn meet(&mut self, session: &SessionId, moment: CountTime) -> Option<()> {
        if !self.groups.contains_key(session) {
            let live = live(&self.engine, session, moment).await?;
            let is_known = !live.is_empty() || has_any(&self.engine, session).await?;
            let batcher = Batcher::new(self.window, MAX_BATCH);
            self.groups.insert(session.clone(), SessionCounts { live, is_known, batcher });
        }
        Some(())
    }

    /// Closes all batches whose time window is over at `due`, or all batches if `due` is `None`.
    fn close(&mut self, due: Option<Timestamp>) {
        let sessions: Vec<SessionId> = self.groups.keys().cloned().collect();
        for session in sessions {
            let Some(group) = self.groups.get_mut(&session) else { continue };
            if due.is_some() && group.batcher.due() > due {
                continue;
            }
            let batch = group.batcher.close();
            let is_over = group.live.is_empty() && self.only.is_none();
            if let Some(batch) = batch {
                let view = self.batch_view(&session, batch);
                self.done.push_back(view);
            }
            if is_over {
                self.groups.remove(&session);
            }
        }
    }

    fn batch_view(&mut self, session: &SessionId, batch: CompletionBatch<EndedProcessView>) -> BatchView {
        let mut counts = BTreeMap::new();
        for ended in &batch.ends {
            *counts.entry(ended.status.clone()).or_insert(0) += 1;
        }
        BatchView {
            session: session.to_string(),
            ended: batch.ends,
            counts,
            live_count: u32::try_from(batch.live).unwrap_or(u32::MAX),
            all_complete: batch.live == 0,
            time: Some(rfc3339(batch.since)),
            gap: std::mem::take(&mut self.has_gap),
            cursor: cursor_text(batch.last),
        }
    }

    /// Returns a batch that reports the current state of a session and contains no ended processes.
    fn current_view(&mut self, session: &SessionId) -> BatchView {
        let group = self.groups.get(session);
        let live = group.map_or(0, |group| group.live.len());
        BatchView {
            session: session.to_string(),
            live_count: u32::try_from(live).unwrap_or(u32::MAX),
            all_complete: live == 0 && group.is_some_and(|group| group.is_known),
            gap: std::mem::take(&mut self.has_gap),
            cursor: cursor_text(self.read),
            ..BatchView::default()
        }
    }
}

async fn at(engine: &Engine, moment: Option<Timestamp>) {
    match moment {
        Some(moment) => engine.sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

fn view_of(logged: &LoggedEvent, subject: &EventSubject, ending: &Ending) -> EndedProcessView {
    let (exit_code, signal) = exit_of(ending);
    EndedProcessView {
        id: logged.id.to_string(),
        name: subject.name.as_ref().map(ToString::to_string),
        kind: subject.kind.to_string(),
        status: ending.status().as_str().to_owned(),
        exit_code,
        signal,
        error: stated_error(ending, Some(&subject.reported)),
        duration_s: subject.started_at.map(|began| seconds(logged.event.at.since(began))),
        completed_at_precision: dating(ending).map(ToOwned::to_owned),
    }
}
