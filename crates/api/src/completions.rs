//! Notices: how a session learns that its processes ended, those that end together at once.
//!
//! An agent that started fifty processes wants to be woken once, not fifty times. What ends within a window of the
//! first is told in one notice. By the times in the log it is decided what belongs together, so that a subscriber that
//! comes back, or a manager that was started anew, tells the same notices again.

mod batcher;
mod live_count;

use crate::api::Api;
use crate::convert::{dating, rfc3339, seconds};
use crate::error::ApiError;
use crate::events::envelope::{error_of, exit_of};
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

/// What ends within such a time of the first is told at once, where nothing else is configured.
pub const NOTICE_WINDOW: Duration = Duration::from_millis(250);
/// The most ends in one notice.
const MAX_BATCH: usize = 1_000;

/// A stream of notices of one session. Dropping it ends it.
#[derive(Debug)]
pub struct CompletionStream(CompletionBatches);

/// The ends of one session or of all, put together.
#[derive(Debug)]
pub(crate) struct CompletionBatches {
    engine: Engine,
    reader: EventReader,
    window: Duration,
    only: Option<SessionId>,
    groups: BTreeMap<SessionId, SessionCounts>,
    /// The place behind everything that was read.
    read: EventCursor,
    done: VecDeque<BatchView>,
    has_gap: bool,
}

/// What is known of a session.
#[derive(Debug)]
struct SessionCounts {
    live: BTreeSet<ProcessId>,
    /// Whether anything ever belonged to it.
    is_known: bool,
    batcher: Batcher<EndedProcessView>,
}

impl Api {
    /// Tells which processes of a session ended, those that end together at once: after the cursor of a notice, or from
    /// now on; with `follow` it goes on. The first notice says where the session stands, and has nothing in `ended`.
    ///
    /// # Errors
    /// The session or the cursor makes no sense, or the store does not answer.
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
    /// Parks until there is a notice; none when it is over, because everything was told, or because the engine has ended.
    /// Dropping the call loses nothing.
    pub async fn next(&mut self) -> Option<BatchView> {
        self.0.next().await
    }

    /// The same as a stream.
    pub fn into_stream(self) -> impl Stream<Item = BatchView> + Send + 'static {
        stream::unfold(self, |mut notices| async move { Some((notices.next().await?, notices)) })
    }
}

impl CompletionBatches {
    /// Of all sessions that a reader wants.
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

    /// Of one session alone, which stands as it stood at a place.
    async fn open_for(&mut self, session: SessionId, place: EventCursor, moment: CountTime) -> Option<()> {
        self.read = place;
        self.meet(&session, moment).await?;
        let view = self.standing(&session);
        self.done.push_back(view);
        self.only = Some(session);
        Some(())
    }

    /// The next batch; none when it is over. Dropping the call loses nothing.
    pub(crate) async fn next(&mut self) -> Option<BatchView> {
        loop {
            if let Some(view) = self.step().await? {
                return Some(view);
            }
        }
    }

    /// Goes one step on, after most of which there is nothing to tell yet.
    pub(crate) async fn step(&mut self) -> Option<Option<BatchView>> {
        if let Some(view) = self.done.pop_front() {
            return Some(Some(view));
        }
        let due = self.groups.values().filter_map(|group| group.batcher.due()).min();
        let engine = self.engine.clone();
        let seen = select! {
            // What is there is read before anything is given up waiting for.
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

    /// The place that a reader may go on from without missing what was read but not given yet.
    pub(crate) fn place(&self) -> EventCursor {
        let waiting = self.groups.values().filter_map(|group| group.batcher.waiting_since()).min();
        waiting.map_or(self.read, |first| EventCursor(first.0.saturating_sub(1)).min(self.read))
    }

    /// Everything that waits is done before anything changes, so that it may be dropped and done again.
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
                    let view = self.standing(&session);
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
                let view = self.told(&session, batch);
                self.done.push_back(view);
            }
        }
        Some(())
    }

    /// Finds out who of a session lived at a moment, unless it is known.
    async fn meet(&mut self, session: &SessionId, moment: CountTime) -> Option<()> {
        if !self.groups.contains_key(session) {
            let live = live(&self.engine, session, moment).await?;
            let is_known = !live.is_empty() || has_any(&self.engine, session).await?;
            let batcher = Batcher::new(self.window, MAX_BATCH);
            self.groups.insert(session.clone(), SessionCounts { live, is_known, batcher });
        }
        Some(())
    }

    /// Gives what nobody is waited for any longer; everything without a moment.
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
                let view = self.told(&session, batch);
                self.done.push_back(view);
            }
            if is_over {
                self.groups.remove(&session);
            }
        }
    }

    fn told(&mut self, session: &SessionId, batch: CompletionBatch<EndedProcessView>) -> BatchView {
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

    /// Where a session stands.
    fn standing(&mut self, session: &SessionId) -> BatchView {
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
        error: error_of(ending),
        duration_s: subject.started_at.map(|began| seconds(logged.event.at.since(began))),
        completed_at_precision: dating(ending).map(ToOwned::to_owned),
    }
}
