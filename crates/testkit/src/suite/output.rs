//! Contract of every output log.

use crate::fakes::SequentialIds;
use crate::suite::{must, parked, refused, some, soon};
use async_trait::async_trait;
use longhaul_domain::{AttemptNo, Timestamp};
use longhaul_ports::{
    AttemptKey, IdSource, OutputError, OutputLog, OutputPage, OutputRead, OutputSource, ProgressPage,
};
use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

/// Writer for the output that a rule reads.
#[async_trait]
pub trait OutputFeed: Debug + Send + Sync + 'static {
    /// Appends to the output of a running attempt. Creates the output if it does not exist. `bytes` may be empty. When
    /// the call returns, the bytes can be read.
    async fn write(&self, key: AttemptKey, source: OutputSource, bytes: &[u8]);

    /// Appends to the progress file of a running attempt. Creates the file if it does not exist. When the call returns,
    /// the bytes can be read. Returns false if the output log has no progress files; the rules about progress files then
    /// check nothing.
    async fn write_progress(&self, _key: AttemptKey, _bytes: &[u8]) -> bool {
        false
    }

    /// Waits until this time has passed on the clock of the output.
    async fn pass(&self, span: Duration);
}

/// Fixture for one rule: an empty output log and a writer.
#[derive(Debug)]
pub struct OutputFixture {
    /// Output log under test.
    pub output: Arc<dyn OutputLog>,
    /// Writer of the output.
    pub pen: Arc<dyn OutputFeed>,
    ids: SequentialIds,
    _guard: Option<Box<dyn Any + Send + Sync>>,
}

impl OutputFixture {
    /// Creates a fixture from an output log and the writer of its output.
    #[must_use]
    pub fn new(output: Arc<dyn OutputLog>, pen: Arc<dyn OutputFeed>) -> Self {
        Self { output, pen, ids: SequentialIds::default(), _guard: None }
    }

    /// Keeps `guard`, such as a temporary directory, alive as long as the fixture.
    #[must_use]
    pub fn guarded(self, guard: impl Any + Send + Sync) -> Self {
        Self { _guard: Some(Box::new(guard)), ..self }
    }

    fn key(&self) -> AttemptKey {
        AttemptKey { id: self.ids.process(), attempt: AttemptNo(1) }
    }

    async fn out(&self, key: AttemptKey, text: &str) {
        self.pen.write(key, OutputSource::Stdout, text.as_bytes()).await;
    }

    async fn err(&self, key: AttemptKey, text: &str) {
        self.pen.write(key, OutputSource::Stderr, text.as_bytes()).await;
    }

    async fn progress(&self, key: AttemptKey, from: u64) -> ProgressPage {
        must(self.output.read_progress(key, from).await)
    }

    async fn page(&self, key: AttemptKey, wanted: OutputRead) -> OutputPage {
        must(self.output.read(key, wanted).await)
    }
}

/// Opens a fixture.
pub fn open(open: impl FnOnce() -> OutputFixture) -> OutputFixture {
    open()
}

const ALL: OutputRead = OutputRead { from: 0, limit: 1 << 20, only: None };

fn bytes(page: &OutputPage) -> Vec<u8> {
    page.chunks.iter().flat_map(|chunk| chunk.bytes.clone()).collect()
}

/// Every written byte can be read, whatever its value. Bytes are read in the order of writing, each with its stream.
pub async fn every_byte_is_read_in_order(world: &OutputFixture) {
    let key = world.key();
    let every: Vec<u8> = (0..=255).collect();
    world.pen.write(key, OutputSource::Stdout, &every).await;
    world.err(key, "wrong\n").await;
    world.out(key, "right\n").await;
    let page = world.page(key, ALL).await;
    let mut expected = every;
    expected.extend(b"wrong\nright\n");
    assert_eq!(bytes(&page), expected);
    assert_eq!((page.next, page.gap, page.end), (268, 0, 268));
    let wrong: Vec<_> = page.chunks.iter().filter(|chunk| chunk.source == OutputSource::Stderr).collect();
    let wrong = some(wrong.first());
    assert_eq!((wrong.offset, wrong.bytes.as_slice()), (256, b"wrong\n".as_slice()));
    let mut offset = 0;
    for chunk in &page.chunks {
        assert_eq!(chunk.offset, offset, "pieces are neighbours");
        offset += u64::try_from(chunk.bytes.len()).unwrap_or(u64::MAX);
    }
    assert_eq!(must(world.output.size(key).await).end, 268);
}

/// The offset of a byte never changes.
pub async fn bytes_keep_their_offsets(world: &OutputFixture) {
    let key = world.key();
    world.out(key, "0123").await;
    world.err(key, "4567").await;
    let before = world.page(key, ALL).await;
    world.out(key, "89").await;
    for from in 0..=10 {
        let page = world.page(key, OutputRead { from, ..ALL }).await;
        let expected = b"0123456789".get(usize::try_from(from).unwrap_or(0)..).unwrap_or_default();
        assert_eq!(bytes(&page), expected);
        assert_eq!((page.next, page.end), (10, 10));
        if let Some(first) = page.chunks.first() {
            assert_eq!(first.offset, from);
        }
    }
    assert_eq!(before.next, 8);
}

/// A page contains at most the requested number of bytes. The next page starts at the position that the page reports.
pub async fn each_page_continues_at_the_end_of_the_previous_page(world: &OutputFixture) {
    let key = world.key();
    for line in 0..40 {
        world.out(key, &format!("line {line}\n")).await;
        world.err(key, &format!("warning {line}\n")).await;
    }
    let whole = bytes(&world.page(key, ALL).await);
    for limit in [1, 7, 64] {
        let mut found = Vec::new();
        let mut from = 0;
        loop {
            let page = world.page(key, OutputRead { from, limit, only: None }).await;
            let bytes = bytes(&page);
            assert!(bytes.len() <= usize::try_from(limit).unwrap_or(0));
            found.extend(bytes);
            if page.next == page.end {
                break;
            }
            assert!(page.next > from, "a page has to get on");
            from = page.next;
        }
        assert_eq!(found, whole);
    }
}

/// A read of one stream returns only bytes of that stream, even if it spans several pages.
pub async fn a_read_of_one_stream_returns_only_this_stream(world: &OutputFixture) {
    let key = world.key();
    for _ in 0..10 {
        world.out(key, "out\n").await;
        world.err(key, "error\n").await;
    }
    for (only, expected) in
        [(OutputSource::Stdout, "out\n".repeat(10)), (OutputSource::Stderr, "error\n".repeat(10))]
    {
        for limit in [1 << 20, 9] {
            let mut found = Vec::new();
            let mut from = 0;
            for _ in 0..200 {
                let page = world.page(key, OutputRead { from, limit, only: Some(only) }).await;
                assert!(page.chunks.iter().all(|chunk| chunk.source == only));
                found.extend(bytes(&page));
                from = page.next;
                if page.next == page.end {
                    break;
                }
            }
            assert_eq!(String::from_utf8_lossy(&found), expected);
        }
    }
}

/// A read beyond the end returns an empty page, not an error.
pub async fn a_read_beyond_the_end_returns_an_empty_page(world: &OutputFixture) {
    let key = world.key();
    world.out(key, "").await;
    assert_eq!(must(world.output.size(key).await).end, 0);
    assert_eq!(world.page(key, ALL).await.chunks, []);
    world.out(key, "text").await;
    let page = world.page(key, OutputRead { from: 4, ..ALL }).await;
    assert_eq!((page.chunks, page.next, page.end), (Vec::new(), 4, 4));
    assert_eq!(world.page(key, OutputRead { from: 1000, ..ALL }).await.chunks, []);
}

/// For an attempt that never ran, every method returns the error `Missing`, because the attempt has no output.
pub async fn an_attempt_that_never_ran_has_no_output(world: &OutputFixture) {
    let key = world.key();
    let output = &world.output;
    refused!(output.size(key).await, OutputError::Missing { key: named } if *named == key);
    refused!(output.read(key, ALL).await, OutputError::Missing { .. });
    refused!(output.last_lines(key, 5, None).await, OutputError::Missing { .. });
    refused!(output.since(key, Timestamp(0)).await, OutputError::Missing { .. });
    refused!(soon(output.grown(key, 0)).await, OutputError::Missing { .. });
}

/// The last lines of an output are counted from its end. An unfinished line counts as a line.
pub async fn the_last_lines_are_counted_from_the_end(world: &OutputFixture) {
    let key = world.key();
    world.out(key, "one\n").await;
    world.err(key, "two\n").await;
    world.out(key, "three\n\n").await;
    let last = |lines, only| world.output.last_lines(key, lines, only);
    let expected = [(0, 15), (1, 14), (2, 8), (3, 4), (4, 0), (5, 0), (1000, 0)];
    for (lines, offset) in expected {
        assert_eq!(must(last(lines, None).await), offset, "{lines} lines");
    }
    assert_eq!(must(last(1, Some(OutputSource::Stderr)).await), 4);
    assert_eq!(must(last(2, Some(OutputSource::Stdout)).await), 8);
    world.out(key, "unfinished").await;
    assert_eq!(must(last(1, None).await), 15);
    assert_eq!(must(last(2, None).await), 14);
}

/// The output since a given time starts with the first byte that was written at that time or later.
pub async fn output_since_a_time_starts_with_the_first_byte_at_that_time(world: &OutputFixture) {
    let key = world.key();
    world.out(key, "early").await;
    world.pen.pass(Duration::from_millis(60)).await;
    world.out(key, "late").await;
    let page = world.page(key, ALL).await;
    assert_eq!(bytes(&page), b"earlylate");
    let (first, last) = (some(page.chunks.first()), some(page.chunks.last()));
    assert_eq!((first.offset, last.offset), (0, 5));
    assert!(last.at.0 - first.at.0 >= 50, "{first:?} then {last:?}");
    let since = |moment| world.output.since(key, Timestamp(moment));
    assert_eq!(must(since(first.at.0).await), 0);
    assert_eq!(must(since(first.at.0 + 20).await), 5);
    assert_eq!(must(since(last.at.0).await), 5);
    assert_eq!(must(since(last.at.0 + 1_000_000).await), 9);
}

/// If there is more output, a wait for more output returns immediately. Otherwise, the call waits until more output is
/// written.
pub async fn a_wait_for_output_lasts_until_there_is_more(world: &OutputFixture) {
    let key = world.key();
    world.out(key, "text").await;
    must(soon(world.output.grown(key, 3)).await);
    let output = Arc::clone(&world.output);
    // The call may return too early. In that case the test repeats it.
    let waiter = tokio::spawn(async move {
        loop {
            must(output.grown(key, 4).await);
            if must(output.size(key).await).end > 4 {
                return;
            }
        }
    });
    let waiter = parked(waiter).await;
    world.err(key, "!").await;
    must(soon(waiter).await);
}

/// Each attempt of a process has separate output.
pub async fn each_attempt_has_separate_output(world: &OutputFixture) {
    let first = world.key();
    let second = AttemptKey { attempt: AttemptNo(2), ..first };
    world.out(first, "one").await;
    world.out(second, "two").await;
    assert_eq!(bytes(&world.page(first, ALL).await), b"one");
    assert_eq!(bytes(&world.page(second, ALL).await), b"two");
    assert_ne!(world.output.place(first), world.output.place(second));
}

/// A removal deletes the output of all attempts of the process, and no other output. The removal can be repeated.
pub async fn a_removal_deletes_the_output_of_all_attempts(world: &OutputFixture) {
    let first = world.key();
    let second = AttemptKey { attempt: AttemptNo(2), ..first };
    let other = world.key();
    for key in [first, second, other] {
        world.out(key, "text").await;
    }
    must(world.output.remove(first.id).await);
    for key in [first, second] {
        refused!(world.output.size(key).await, OutputError::Missing { .. });
    }
    assert_eq!(bytes(&world.page(other, ALL).await), b"text");
    must(world.output.remove(first.id).await);
    must(world.output.remove(world.key().id).await);
}

/// Processes with stored output are listed page by page, in the order of their ids. Each process is listed once,
/// regardless of the number of its attempts.
pub async fn processes_with_stored_output_are_listed_page_by_page(world: &OutputFixture) {
    assert_eq!(must(world.output.kept(None, 10).await), []);
    let mut ids = Vec::new();
    for _ in 0..5 {
        let first = world.key();
        world.out(first, "text").await;
        world.out(AttemptKey { attempt: AttemptNo(2), ..first }, "text").await;
        ids.push(first.id);
    }
    ids.sort_unstable();
    assert_eq!(must(world.output.kept(None, 100).await), ids);
    let (begin, end) = ids.split_at(2);
    assert_eq!(must(world.output.kept(None, 2).await), begin);
    assert_eq!(must(world.output.kept(begin.last().copied(), 100).await), end);
    let last = *some(ids.last());
    assert_eq!(must(world.output.kept(Some(last), 100).await), []);
    must(world.output.remove(last).await);
    let (_, rest) = some(ids.split_last());
    assert_eq!(must(world.output.kept(None, 100).await), rest);
}

/// A read of the progress file returns the error `Missing` if the attempt has no progress file, even if the attempt has
/// output.
pub async fn an_attempt_without_a_progress_file_has_no_progress(world: &OutputFixture) {
    let key = world.key();
    for _ in 0..2 {
        refused!(world.output.read_progress(key, 0).await, OutputError::Missing { key: named } if *named == key);
        refused!(soon(world.output.progress_grown(key, 0)).await, OutputError::Missing { .. });
        world.out(key, "text").await;
    }
}

/// A read of the progress file starts at the requested offset. Each attempt has a separate file, and the file is
/// separate from the output.
pub async fn progress_is_read_once_from_an_offset_on(world: &OutputFixture) {
    let key = world.key();
    if !world.pen.write_progress(key, b"one\n").await {
        return;
    }
    let second = AttemptKey { attempt: AttemptNo(2), ..key };
    world.pen.write_progress(second, b"other\n").await;
    world.out(key, "output").await;
    let page = world.progress(key, 0).await;
    assert_eq!((page.bytes.as_slice(), page.skipped), (b"one\n".as_slice(), false));
    let empty = world.progress(key, page.next).await;
    assert_eq!((empty.bytes.as_slice(), empty.next, empty.skipped), (b"".as_slice(), page.next, false));
    world.pen.pass(Duration::from_millis(60)).await;
    world.pen.write_progress(key, b"two").await;
    let rest = world.progress(key, page.next).await;
    assert_eq!((rest.bytes.as_slice(), rest.skipped), (b"two".as_slice(), false));
    assert!(rest.at.0 - page.at.0 >= 50, "{rest:?} is later than {page:?}");
    assert_eq!(world.progress(second, 0).await.bytes, b"other\n");
    assert_eq!(bytes(&world.page(key, ALL).await), b"output");
}

/// A reader that keeps up receives every byte of the progress file, however much the command writes.
pub async fn no_progress_is_lost_however_much_is_written(world: &OutputFixture) {
    let key = world.key();
    if !world.pen.write_progress(key, b"").await {
        return;
    }
    let mut next = world.progress(key, 0).await.next;
    for round in 0..60 {
        let text = format!("{round:>20000}\n");
        world.pen.write_progress(key, text.as_bytes()).await;
        let page = world.progress(key, next).await;
        assert!(!page.skipped && page.bytes == text.as_bytes(), "round {round}");
        next = page.next;
    }
}

/// A read returns at most the last 64 KiB of the progress file, and reports that it has skipped earlier bytes.
pub async fn a_read_of_a_large_progress_file_returns_its_end(world: &OutputFixture) {
    let key = world.key();
    if !world.pen.write_progress(key, &vec![b'x'; 3 << 20]).await {
        return;
    }
    world.pen.write_progress(key, b"\nlast\n").await;
    // The second read starts after the first read may have removed bytes.
    for _ in 0..2 {
        let page = world.progress(key, 0).await;
        assert!(page.skipped && page.bytes.len() <= 64 << 10, "{} bytes", page.bytes.len());
        assert!(page.bytes.ends_with(b"x\nlast\n"));
    }
}

/// A wait for progress lasts until the command has written more to its progress file.
pub async fn a_wait_for_progress_lasts_until_there_is_more(world: &OutputFixture) {
    let key = world.key();
    if !world.pen.write_progress(key, b"one\n").await {
        return;
    }
    must(soon(world.output.progress_grown(key, 0)).await);
    let next = world.progress(key, 0).await.next;
    let output = Arc::clone(&world.output);
    // The call may return too early. In this case, the test calls it again.
    let waiter = tokio::spawn(async move {
        loop {
            must(output.progress_grown(key, next).await);
            if !must(output.read_progress(key, next).await).bytes.is_empty() {
                return;
            }
        }
    });
    let waiter = parked(waiter).await;
    world.pen.write_progress(key, b"two\n").await;
    must(soon(waiter).await);
}

/// Generates one test for each rule about output logs.
///
/// Takes a function that opens an [`OutputFixture`].
#[macro_export]
macro_rules! output_suite {
    ($open:expr $(,)?) => {
        $crate::rules_of! {
            $open, output,
            every_byte_is_read_in_order
            bytes_keep_their_offsets
            each_page_continues_at_the_end_of_the_previous_page
            a_read_of_one_stream_returns_only_this_stream
            a_read_beyond_the_end_returns_an_empty_page
            an_attempt_that_never_ran_has_no_output
            the_last_lines_are_counted_from_the_end
            output_since_a_time_starts_with_the_first_byte_at_that_time
            a_wait_for_output_lasts_until_there_is_more
            each_attempt_has_separate_output
            a_removal_deletes_the_output_of_all_attempts
            processes_with_stored_output_are_listed_page_by_page
            an_attempt_without_a_progress_file_has_no_progress
            progress_is_read_once_from_an_offset_on
            no_progress_is_lost_however_much_is_written
            a_read_of_a_large_progress_file_returns_its_end
            a_wait_for_progress_lasts_until_there_is_more
        }
    };
}
