//! Reads the output of an attempt while it is written, and passes it to consumers.

use super::consumer_set::ConsumerSet;
use super::follower::WatchStart;
use crate::engine::EngineShared;
use longhaul_domain::{AwakeTime, Deadline, Observation};
use longhaul_ports::{AttemptKey, OutputError, OutputRead};
use std::time::Duration;
use tokio::sync::watch;

/// Maximum number of bytes in one read. The limit is low, because a consumer does not yield and would block its thread
/// while it parses a large page.
const PAGE: u32 = 256 * 1024;
/// Time without new output after which unfinished lines are passed to the consumers.
const QUIET: Duration = Duration::from_millis(200);
/// Minimum time between two reports of a state.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Minimum time between two reads if no consumer needs output immediately. A few large pages cost less than many small
/// pages.
const READ_INTERVAL: Duration = Duration::from_millis(250);
/// Minimum time between two reads if a consumer is urgent and the command writes continuously. Without this limit, each
/// write would cause a read.
const URGENT_INTERVAL: Duration = Duration::from_millis(20);
/// Number of reads in quick succession after which the command counts as writing continuously.
const MAX_QUICK_READS: u32 = 8;
/// Maximum duration of a series of reads without a pause if no consumer is urgent. With this limit, the consumers use
/// at most a tenth of a processor core while the command runs. The rest of a large output is read after the command has
/// ended.
const READ_TIME: Duration = Duration::from_millis(25);
/// Delay before the reader asks a full consumer again whether it accepts output.
const FULL_DELAY: Duration = Duration::from_millis(10);
/// Delay before the next read if there was no output, or if a notification reported new output but there was none.
const RETRY_DELAY: Duration = Duration::from_millis(100);
/// Maximum time to wait for the rest of the output after an exit.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_millis(300);
/// Number of unread bytes above which old output is skipped, if all consumers accept that.
const MAX_LAG: u64 = 8 * 1024 * 1024;
/// Number of bytes at the end of the output that are read even if older output was skipped.
const KEPT_LAG: u64 = 256 * 1024;

/// Passes the output to the consumers and calls `tell` with their reports. Returns when the output of an ended attempt
/// has been read, or when no consumer needs more output.
///
/// `over` contains the total output size in bytes as soon as the attempt has ended.
pub(super) async fn read_output(
    core: &EngineShared,
    key: AttemptKey,
    consumers: &mut ConsumerSet,
    begin: WatchStart,
    mut over: watch::Receiver<Option<u64>>,
    mut tell: impl FnMut(Observation),
) {
    let replayed = match begin {
        WatchStart::Here => 0,
        WatchStart::Before => core.parts.output.size(key).await.map_or(0, |size| size.end),
    };
    let mut reading = OutputReading::new(core, key, consumers, replayed);
    reading.run(&mut over, &mut tell).await;
}

struct OutputReading<'a> {
    core: &'a EngineShared,
    key: AttemptKey,
    consumers: &'a mut ConsumerSet,
    /// Offset of the next byte to read.
    next: u64,
    /// Size of the output when the follower started. An earlier run of the manager may already have reported states for
    /// this output, so only the last of these states is reported.
    replayed: u64,
    /// True if the consumers received output after their states were last reported.
    has_news: bool,
    /// Earliest time of the next report of states.
    report_at: AwakeTime,
    /// Earliest time of the next read of the output.
    read_at: AwakeTime,
    /// Time of the first read of the current series of reads; `None` if the next read starts a series.
    reads_since: Option<AwakeTime>,
    /// Number of reads in quick succession that reached the end of the output, and the time of the latest of these
    /// reads.
    quick_reads: (u32, AwakeTime),
    /// Time at which unfinished lines are passed to the consumers; `None` if there are no unfinished lines.
    quiet_at: Option<AwakeTime>,
    /// True if a notification reported new output that has not been read yet.
    is_notified: bool,
}

/// Result of a read of one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PageRead {
    /// The page was read, and there is more output after it.
    More,
    /// The page contained the rest of the output that has been written so far.
    End,
    /// There was no new output.
    Nothing,
}

impl<'a> OutputReading<'a> {
    fn new(core: &'a EngineShared, key: AttemptKey, consumers: &'a mut ConsumerSet, replayed: u64) -> Self {
        let (next, now) = (consumers.start(), core.parts.clock.awake());
        Self {
            core,
            key,
            consumers,
            next,
            replayed,
            has_news: false,
            report_at: now,
            read_at: now,
            reads_since: None,
            quick_reads: (0, now),
            quiet_at: None,
            is_notified: false,
        }
    }

    async fn run(&mut self, over: &mut watch::Receiver<Option<u64>>, tell: &mut impl FnMut(Observation)) {
        let clock = &self.core.parts.clock;
        let at = |moment: AwakeTime| clock.sleep_until(Deadline::Awake(moment));
        let mut until: Option<AwakeTime> = None;
        while !self.consumers.is_done() {
            let written = *over.borrow_and_update();
            if written.is_some() {
                until.get_or_insert_with(|| clock.awake().plus(DRAIN_TIMEOUT));
            }
            let rests = until.is_none() && self.read_at > clock.awake();
            let read = if rests { PageRead::Nothing } else { self.read(tell).await };
            let now = clock.awake();
            if let (Some(written), Some(until)) = (written, until) {
                let is_complete = read == PageRead::Nothing && self.next >= written;
                if is_complete || until <= now {
                    return self.finish(is_complete, tell);
                }
            }
            self.report_states_if_due(now, tell);
            let reads_on = read == PageRead::More || (read == PageRead::End && until.is_some());
            if reads_on || self.consumers.is_done() {
                continue;
            }
            let rests = until.is_none() && self.read_at > now;
            let soon = now.plus(RETRY_DELAY);
            tokio::select! {
                biased;
                changed = over.changed(), if until.is_none() => {
                    if changed.is_err() {
                        return;
                    }
                }
                () = at(self.report_at), if self.has_unreported_states() => {}
                () = at(self.read_at), if rests => {}
                () = wait_for_growth(self.core, self.key, self.next), if !rests && !self.is_notified => {
                    self.is_notified = true;
                }
                () = at(soon), if !rests && self.is_notified => self.is_notified = false,
                () = at(self.quiet_at.unwrap_or(soon)), if self.quiet_at.is_some() => self.pass_unfinished(tell),
                () = at(until.unwrap_or(soon)), if until.is_some() => {}
            }
        }
    }

    /// Reads one page and passes it to the consumers.
    async fn read(&mut self, tell: &mut impl FnMut(Observation)) -> PageRead {
        let clock = &self.core.parts.clock;
        if self.consumers.is_full() {
            clock.sleep_until(Deadline::Awake(clock.awake().plus(FULL_DELAY))).await;
            if self.consumers.is_full() {
                return PageRead::Nothing;
            }
        }
        let reads_since = *self.reads_since.get_or_insert(clock.awake());
        let wanted = OutputRead { from: self.next, limit: PAGE, only: self.consumers.stream() };
        let page = match self.core.parts.output.read(self.key, wanted).await {
            Ok(page) if page.next > self.next => page,
            Ok(_) | Err(OutputError::Missing { .. }) => return PageRead::Nothing,
            Err(error) => {
                tracing::debug!(id = %self.key.id, %error, "could not read the output of an attempt; retrying");
                return PageRead::Nothing;
            }
        };
        self.consumers.push(&page);
        self.consumers.take_immediate().into_iter().for_each(tell);
        self.next = page.next;
        if page.end.saturating_sub(page.next) > MAX_LAG && self.consumers.may_skip() {
            self.consumers.interrupt();
            self.next = page.end.saturating_sub(KEPT_LAG);
        }
        self.is_notified = false;
        self.has_news = true;
        let read = if self.next < page.end { PageRead::More } else { PageRead::End };
        let now = self.core.parts.clock.awake();
        if let Some(interval) = self.rest_after(read, now.since(reads_since), now) {
            self.read_at = now.plus(interval);
            self.reads_since = None;
        }
        if !page.chunks.is_empty() {
            self.quiet_at = Some(self.read_at.max(now).plus(QUIET));
        }
        // Yield, so that the consumers of a large output do not occupy this thread.
        tokio::task::yield_now().await;
        read
    }

    /// Returns the pause before the next read; `None` if the next read follows immediately. `read_time` is the duration
    /// of the current series of reads.
    fn rest_after(&mut self, read: PageRead, read_time: Duration, now: AwakeTime) -> Option<Duration> {
        let is_end = read != PageRead::More;
        if !self.consumers.is_urgent() {
            return (is_end || read_time >= READ_TIME).then_some(READ_INTERVAL);
        }
        let (count, last) = self.quick_reads;
        if is_end {
            let is_quick = now.since(last) <= URGENT_INTERVAL.saturating_mul(2);
            self.quick_reads = (if is_quick { count.saturating_add(1) } else { 0 }, now);
        }
        is_end.then_some(if count > MAX_QUICK_READS { URGENT_INTERVAL } else { Duration::ZERO })
    }

    const fn has_unreported_states(&self) -> bool {
        self.has_news && self.next >= self.replayed
    }

    fn report_states_if_due(&mut self, now: AwakeTime, tell: &mut impl FnMut(Observation)) {
        if self.has_unreported_states() && self.report_at <= now {
            self.consumers.take_latest().into_iter().for_each(tell);
            self.has_news = false;
            self.report_at = now.plus(REPORT_INTERVAL);
        }
    }

    fn pass_unfinished(&mut self, tell: &mut impl FnMut(Observation)) {
        self.quiet_at = None;
        self.has_news = true;
        self.consumers.quiet();
        self.consumers.take_immediate().into_iter().for_each(tell);
    }

    fn finish(&mut self, is_complete: bool, tell: &mut impl FnMut(Observation)) {
        self.pass_unfinished(tell);
        self.consumers.finish(is_complete).into_iter().for_each(tell);
    }
}

/// Waits until the output may have grown. If growth cannot be watched, returns after [`RETRY_DELAY`].
async fn wait_for_growth(core: &EngineShared, key: AttemptKey, beyond: u64) {
    if core.parts.output.grown(key, beyond).await.is_err() {
        let again = core.parts.clock.awake().plus(RETRY_DELAY);
        core.parts.clock.sleep_until(Deadline::Awake(again)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{Fixture, command, running};
    use crate::monitor::output_consumer::{OutputConsumer, ReportPace};
    use longhaul_domain::{Condition, Timestamp};
    use longhaul_ports::{Clock as _, OutputChunk, OutputSource};
    use longhaul_testkit::fakes::VirtualClock;
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};

    /// Log of the calls of a consumer: `+` and the length of a chunk, `?` for missing output, `_` for silence, `.` for
    /// the end, and `!` for the end of incomplete output.
    #[derive(Clone, Debug)]
    struct Recorder {
        pace: ReportPace,
        stream: Option<OutputSource>,
        is_full: Arc<AtomicBool>,
        log: Arc<Mutex<Vec<String>>>,
        clock: VirtualClock,
        /// Times at which output was read.
        times: Arc<Mutex<BTreeSet<AwakeTime>>>,
        read: u64,
    }

    impl Recorder {
        fn new(fixture: &Fixture, pace: ReportPace) -> Self {
            let clock = fixture.clock.clone();
            Self {
                pace,
                stream: None,
                is_full: Arc::default(),
                log: Arc::default(),
                clock,
                times: Arc::default(),
                read: 0,
            }
        }

        fn note(&self, text: impl Into<String>) {
            self.log.lock().unwrap().push(text.into());
        }

        fn text(&self) -> String {
            self.log.lock().unwrap().join(" ")
        }
    }

    impl OutputConsumer for Recorder {
        fn stream(&self) -> Option<OutputSource> {
            self.stream
        }

        fn is_full(&self) -> bool {
            self.is_full.load(Ordering::Relaxed)
        }

        fn pace(&self) -> ReportPace {
            self.pace
        }

        fn push(&mut self, chunk: &OutputChunk) {
            self.times.lock().unwrap().insert(self.clock.awake());
            self.read += u64::try_from(chunk.bytes.len()).unwrap();
            self.note(format!("+{}@{}", chunk.bytes.len(), chunk.offset));
        }

        fn interrupt(&mut self) {
            self.note("?");
        }

        fn quiet(&mut self) {
            self.note("_");
        }

        /// Reports a condition whose time is the number of bytes read so far.
        fn take_reports(&mut self) -> Vec<Observation> {
            vec![Observation::ConditionObserved {
                attempt: longhaul_domain::AttemptNo(1),
                condition: Condition::Ready,
                holds: true,
                at: Timestamp(i64::try_from(self.read).unwrap()),
            }]
        }

        fn finish(&mut self, is_complete: bool) -> Vec<Observation> {
            self.note(if is_complete { "." } else { "!" });
            self.take_reports()
        }
    }

    const STATES: ReportPace = ReportPace::Latest { may_skip: false };

    fn read_bytes(reports: &[Observation]) -> Vec<i64> {
        let read = |report: &Observation| {
            let Observation::ConditionObserved { at, .. } = report else { panic!("{report:?}") };
            at.0
        };
        reports.iter().map(read).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn output_of_an_ended_attempt_is_awaited_for_a_short_time_and_complete_output_not_at_all() {
        for (written, waited, log) in [
            (9, Duration::ZERO, "+9@0 _ ."),
            (8, Duration::ZERO, "+9@0 _ ."),
            (20, DRAIN_TIMEOUT, "+9@0 _ _ !"),
        ] {
            let fixture = Fixture::new(false).await;
            let core = &fixture.engine.core;
            let stored = running(1, command());
            let key = AttemptKey { id: stored.process.id, attempt: stored.process.attempt };
            fixture.spawner.output().write(key, OutputSource::Stdout, b"one\ntwo 2");
            let (_over, told) = watch::channel(Some(written));
            let recorder = Recorder::new(&fixture, ReportPace::Immediate);
            let mut consumers = ConsumerSet::single(recorder.clone());
            let began = core.parts.clock.awake();
            let reading = read_output(core, key, &mut consumers, WatchStart::Here, told, drop);
            fixture.clock.run_until(Duration::from_secs(60), reading).await.expect("it ends");
            assert_eq!(core.parts.clock.awake().since(began), waited, "{written}");
            assert_eq!(recorder.text(), log);
        }
    }

    /// Follows an attempt that writes ten bytes every 100 ms for five seconds. Returns the log of the consumer, the number
    /// of times at which it got output, and its reports.
    async fn followed(pace: ReportPace) -> (String, usize, Vec<i64>) {
        let fixture = Fixture::new(false).await;
        let core = fixture.engine.core.clone();
        let stored = running(1, command());
        let key = AttemptKey { id: stored.process.id, attempt: stored.process.attempt };
        let output = fixture.spawner.output();
        output.write(key, OutputSource::Stdout, &[b'x'; 10]);
        let (over, told) = watch::channel(None);
        let recorder = Recorder::new(&fixture, pace);
        let mut consumers = ConsumerSet::single(recorder.clone());
        let task = tokio::spawn(async move {
            let mut reports = Vec::new();
            read_output(&core, key, &mut consumers, WatchStart::Here, told, |report| reports.push(report))
                .await;
            reports
        });
        for _ in 1..50 {
            fixture.clock.run_for(Duration::from_millis(100)).await;
            output.write(key, OutputSource::Stdout, &[b'x'; 10]);
        }
        over.send_replace(Some(500));
        let reports = fixture.clock.run_until(Duration::from_secs(60), task).await.expect("it ends").unwrap();
        let reads = recorder.times.lock().unwrap().len();
        (recorder.text(), reads, read_bytes(&reports))
    }

    #[tokio::test(start_paused = true)]
    async fn states_are_reported_once_per_second_and_facts_at_once() {
        let (log, reads, reports) = followed(STATES).await;
        assert!((5..=7).contains(&reports.len()), "{reports:?}");
        assert_eq!(reports.last(), Some(&500));
        assert!(reads <= 22, "{reads}");
        assert!(!log.contains("_ +"), "output that is written all the time is never quiet: {log}");
        let (_, reads, reports) = followed(ReportPace::Immediate).await;
        assert!(reads >= 49 && reports.len() >= 50, "{reads} {reports:?}");
    }

    /// Returns the number of reads per second of an urgent consumer, if the command writes every `gap` milliseconds.
    async fn urgent_reads(gap: u64) -> usize {
        let fixture = Fixture::new(false).await;
        let core = fixture.engine.core.clone();
        let stored = running(1, command());
        let key = AttemptKey { id: stored.process.id, attempt: stored.process.attempt };
        let (_over, told) = watch::channel(None);
        let recorder = Recorder::new(&fixture, ReportPace::Immediate);
        let mut consumers = ConsumerSet::single(recorder.clone());
        let output = fixture.spawner.output();
        let task = tokio::spawn(async move {
            read_output(&core, key, &mut consumers, WatchStart::Here, told, drop).await;
        });
        for _ in 0..1_000 / gap {
            output.write(key, OutputSource::Stdout, b"x");
            fixture.clock.run_for(Duration::from_millis(gap)).await;
        }
        task.abort();
        recorder.times.lock().unwrap().len()
    }

    #[tokio::test(start_paused = true)]
    async fn command_that_writes_all_the_time_does_not_cause_a_read_after_each_write() {
        let (often, seldom) = (urgent_reads(1).await, urgent_reads(50).await);
        assert!((40..=70).contains(&often), "{often}");
        assert_eq!(seldom, 20);
    }

    #[tokio::test(start_paused = true)]
    async fn consumers_of_one_stream_do_not_read_the_other_one() {
        let fixture = Fixture::new(false).await;
        let core = &fixture.engine.core;
        let stored = running(1, command());
        let key = AttemptKey { id: stored.process.id, attempt: stored.process.attempt };
        let output = fixture.spawner.output();
        output.write(key, OutputSource::Stdout, b"one");
        output.write(key, OutputSource::Stderr, b"two!");
        output.write(key, OutputSource::Stdout, b"three");
        let stream = Some(OutputSource::Stderr);
        let recorder = Recorder { stream, ..Recorder::new(&fixture, ReportPace::Immediate) };
        let mut consumers = ConsumerSet::single(recorder.clone());
        let (_over, told) = watch::channel(Some(12));
        let reading = read_output(core, key, &mut consumers, WatchStart::Here, told, drop);
        fixture.clock.run_until(Duration::from_secs(60), reading).await.expect("it ends");
        assert_eq!(recorder.text(), "+4@3 _ .");
    }

    #[tokio::test(start_paused = true)]
    async fn consumer_gets_no_output_while_its_results_have_to_be_stored() {
        let fixture = Fixture::new(false).await;
        let core = fixture.engine.core.clone();
        let stored = running(1, command());
        let key = AttemptKey { id: stored.process.id, attempt: stored.process.attempt };
        fixture.spawner.output().write(key, OutputSource::Stdout, b"one");
        let recorder = Recorder::new(&fixture, STATES);
        recorder.is_full.store(true, Ordering::Relaxed);
        let mut consumers = ConsumerSet::single(recorder.clone());
        let (over, told) = watch::channel(None);
        let task = tokio::spawn(async move {
            read_output(&core, key, &mut consumers, WatchStart::Here, told, drop).await;
        });
        fixture.clock.run_for(Duration::from_secs(1)).await;
        assert_eq!(recorder.text(), "");
        recorder.is_full.store(false, Ordering::Relaxed);
        fixture.clock.run_for(Duration::from_secs(1)).await;
        over.send_replace(Some(3));
        fixture.clock.run_until(Duration::from_secs(60), task).await.expect("it ends").unwrap();
        assert_eq!(recorder.text(), "+3@0 _ _ .");
    }

    #[tokio::test(start_paused = true)]
    async fn states_take_at_most_a_tenth_of_the_time() {
        let fixture = Fixture::new(false).await;
        let core = &fixture.engine.core;
        let key = AttemptKey { id: running(1, command()).process.id, attempt: longhaul_domain::AttemptNo(1) };
        let mut consumers = ConsumerSet::single(Recorder::new(&fixture, STATES));
        let mut reading = OutputReading::new(core, key, &mut consumers, 0);
        let now = core.parts.clock.awake();
        let mut rest = |read, millis| reading.rest_after(read, Duration::from_millis(millis), now);
        assert_eq!(rest(PageRead::More, 24), None);
        assert_eq!(rest(PageRead::More, 25), Some(READ_INTERVAL));
        assert_eq!(rest(PageRead::End, 0), Some(READ_INTERVAL));
        assert!(READ_TIME * 10 <= READ_INTERVAL);
    }

    #[tokio::test(start_paused = true)]
    async fn state_in_the_middle_of_replayed_output_is_not_reported() {
        let fixture = Fixture::new(false).await;
        let core = &fixture.engine.core;
        let stored = running(1, command());
        let key = AttemptKey { id: stored.process.id, attempt: stored.process.attempt };
        let size = u64::from(PAGE) + 5;
        let text = vec![b'x'; usize::try_from(size).unwrap()];
        fixture.spawner.output().write(key, OutputSource::Stdout, &text);
        for (replayed, counts) in [(0, [1, 2]), (size, [0, 1])] {
            let mut consumers = ConsumerSet::single(Recorder::new(&fixture, STATES));
            let mut reading = OutputReading::new(core, key, &mut consumers, replayed);
            let (mut reports, mut now) = (Vec::new(), core.parts.clock.awake());
            for count in counts {
                reading.read(&mut drop).await;
                now = now.plus(REPORT_INTERVAL);
                reading.report_states_if_due(now, &mut |report| reports.push(report));
                assert_eq!(reports.len(), count, "{replayed}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn output_is_skipped_only_if_the_consumer_accepts_it() {
        let size = usize::try_from(MAX_LAG).unwrap() + PAGE as usize + 1;
        for (may_skip, gaps) in [(true, 1), (false, 0)] {
            let fixture = Fixture::new(false).await;
            let core = &fixture.engine.core;
            let stored = running(1, command());
            let key = AttemptKey { id: stored.process.id, attempt: stored.process.attempt };
            fixture.spawner.output().write(key, OutputSource::Stdout, &vec![b'x'; size]);
            let (_over, told) = watch::channel(Some(u64::try_from(size).unwrap()));
            let recorder = Recorder::new(&fixture, ReportPace::Latest { may_skip });
            let mut consumers = ConsumerSet::single(recorder.clone());
            let reading = read_output(core, key, &mut consumers, WatchStart::Here, told, drop);
            fixture.clock.run_until(Duration::from_secs(60), reading).await.expect("it ends");
            let log = recorder.text();
            assert_eq!(log.matches('?').count(), gaps, "{log}");
            assert!(log.ends_with('.'), "{log}");
        }
    }
}
