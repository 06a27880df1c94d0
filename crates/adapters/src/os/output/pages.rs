//! Builds pages of output from the stored bytes and their index.

use super::{has_exit, progress_file};
use longhaul_domain::Timestamp;
use longhaul_ports::{Loss, OutputChunk, OutputPage, OutputRead, OutputSize, OutputSource, ProgressPage};
use longhaul_shim::{AttemptDirectory, OutputReader, OutputRun, ReadChunk, StreamId};
use std::io;
use std::os::fd::AsFd as _;

const MAX_PAGE_BYTES: u32 = 1 << 20;
const BLOCK: u64 = 64 << 10;

/// Open output files of one attempt.
#[derive(Debug)]
pub(super) struct OutputPages {
    directory: AttemptDirectory,
    log: OutputReader,
}

impl OutputPages {
    pub(super) fn new(directory: AttemptDirectory) -> io::Result<Self> {
        let log = OutputReader::open_at(directory.as_fd().try_clone_to_owned()?);
        Ok(Self { directory, log })
    }

    pub(super) fn size(&self) -> io::Result<OutputSize> {
        let gap = self.log.gap()?.map(|gap| (gap.start, gap.end));
        let last = self.log.last_time()?.map(|time| Timestamp(i64::try_from(time).unwrap_or(i64::MAX)));
        Ok(OutputSize { end: self.log.length()?, gap, last_at: last })
    }

    pub(super) fn losses(&self) -> io::Result<Vec<Loss>> {
        let reported = self.log.losses()?.into_iter();
        Ok(reported.map(|loss| Loss { offset: loss.offset, bytes: loss.bytes }).collect())
    }

    pub(super) fn read_progress(&self, from: u64) -> io::Result<Option<ProgressPage>> {
        progress_file::read(&self.directory, from)
    }

    pub(super) fn has_progress(&self) -> io::Result<bool> {
        progress_file::exists(&self.directory)
    }

    pub(super) fn has_progress_beyond(&self, offset: u64) -> io::Result<bool> {
        progress_file::has_changed(&self.directory, offset)
    }

    pub(super) fn has_ended(&self) -> bool {
        has_exit(&self.directory)
    }

    /// Returns true if output after this offset can be read.
    pub(super) fn goes_beyond(&self, offset: u64) -> io::Result<bool> {
        if self.log.length()? <= offset {
            return Ok(false);
        }
        // The shim writes the index entry after the bytes. Bytes without an entry cannot be read yet.
        Ok(self.log.entries(offset)?.next().transpose()?.is_some() || self.is_abandoned()?)
    }

    pub(super) fn read(&self, wanted: OutputRead) -> io::Result<OutputPage> {
        let end = self.log.length()?;
        let mut page = OutputPage { chunks: Vec::new(), next: wanted.from.min(end), gap: 0, end };
        let mut room = u64::from(wanted.limit.clamp(1, MAX_PAGE_BYTES));
        let mut time = 0;
        for run in self.log.entries(page.next)? {
            let run = run?;
            time = run.time;
            if !self.add(&mut page, &run, wanted.only, &mut room)? {
                return Ok(page);
            }
        }
        if page.next < end && self.is_abandoned()? {
            // The shim was killed after it wrote these bytes and before it wrote their index entry. It is unknown which
            // stream they belong to.
            let rest = OutputRun { range: page.next..end, stream: StreamId::Stdout, time };
            self.add(&mut page, &rest, wanted.only, &mut room)?;
        }
        Ok(page)
    }

    pub(super) fn last_lines(&self, lines: u32, only: Option<OutputSource>) -> io::Result<u64> {
        let lines = u64::from(lines);
        match only {
            None => self.log.offset_of_last_lines(lines),
            Some(_) if lines == 0 => self.log.length(),
            Some(only) => self.last_lines_of(lines, only),
        }
    }

    pub(super) fn since(&self, moment: Timestamp) -> io::Result<u64> {
        self.log.offset_at_time(u64::try_from(moment.0).unwrap_or(0))
    }

    /// Adds the bytes of a run to a page. Returns false as soon as the page is full or the log has no more bytes.
    fn add(
        &self,
        page: &mut OutputPage,
        run: &OutputRun,
        only: Option<OutputSource>,
        room: &mut u64,
    ) -> io::Result<bool> {
        if run.range.end <= page.next {
            return Ok(true);
        }
        page.gap = page.gap.saturating_add(run.range.start.saturating_sub(page.next));
        page.next = page.next.max(run.range.start);
        let source = source(run.stream);
        if only.is_some_and(|only| only != source) {
            page.next = run.range.end;
            return Ok(true);
        }
        while page.next < run.range.end {
            if *room == 0 {
                return Ok(false);
            }
            let wanted = run.range.end.saturating_sub(page.next).min(*room);
            let mut bytes = vec![0; usize::try_from(wanted).unwrap_or(0)];
            match self.log.read_at(page.next, &mut bytes)? {
                ReadChunk::Bytes(got) => {
                    bytes.truncate(got);
                    let count = u64::try_from(got).unwrap_or(u64::MAX);
                    *room = room.saturating_sub(count);
                    let at = Timestamp(i64::try_from(run.time).unwrap_or(i64::MAX));
                    push(page, OutputChunk { offset: page.next, source, at, bytes });
                    page.next = page.next.saturating_add(count);
                }
                ReadChunk::Gap { resume } => {
                    page.gap = page.gap.saturating_add(resume.saturating_sub(page.next));
                    page.next = resume;
                }
                ReadChunk::End => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Returns true if no process is writing this output, so that it will not grow.
    fn is_abandoned(&self) -> io::Result<bool> {
        Ok(self.has_ended() || !self.directory.is_locked()?)
    }

    fn last_lines_of(&self, lines: u64, only: OutputSource) -> io::Result<u64> {
        let floor = self.log.floor()?;
        let runs: Vec<OutputRun> = self
            .log
            .entries(floor)?
            .filter(|run| run.as_ref().map_or(true, |run| source(run.stream) == only))
            .collect::<io::Result<_>>()?;
        let Some(last) = runs.last() else {
            return self.log.length();
        };
        let end = last.range.end;
        let mut found = 0_u64;
        // Start of the next run. A line that is cut off by the end of the current run continues at this offset.
        let mut behind_run = end;
        for run in runs.iter().rev() {
            let (start, mut until) = (run.range.start.max(floor), run.range.end);
            while until > start {
                let begin = until.saturating_sub(BLOCK).max(start);
                let mut block = vec![0; usize::try_from(until.saturating_sub(begin)).unwrap_or(0)];
                if !self.fill(begin, &mut block)? {
                    // This range of the output was deleted while it was being read.
                    return Ok(until);
                }
                for (place, byte) in block.iter().enumerate().rev() {
                    let behind = begin.saturating_add(u64::try_from(place).unwrap_or(0)).saturating_add(1);
                    if *byte == b'\n' && behind != end {
                        found = found.saturating_add(1);
                        if found == lines {
                            return Ok(if behind == run.range.end { behind_run } else { behind });
                        }
                    }
                }
                until = begin;
            }
            behind_run = start;
        }
        Ok(behind_run)
    }

    fn fill(&self, offset: u64, buffer: &mut [u8]) -> io::Result<bool> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(u64::try_from(done).unwrap_or(0));
            match self.log.read_at(at, rest)? {
                ReadChunk::Bytes(got) => done = done.saturating_add(got),
                ReadChunk::Gap { .. } | ReadChunk::End => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// Appends a chunk to a page. Merges the chunk with the last chunk of the page if both are contiguous and have the same
/// stream and time.
fn push(page: &mut OutputPage, chunk: OutputChunk) {
    match page.chunks.last_mut() {
        Some(last)
            if last.source == chunk.source
                && last.at == chunk.at
                && last.offset.saturating_add(u64::try_from(last.bytes.len()).unwrap_or(0))
                    == chunk.offset =>
        {
            last.bytes.extend_from_slice(&chunk.bytes);
        }
        Some(_) | None => page.chunks.push(chunk),
    }
}

const fn source(stream: StreamId) -> OutputSource {
    match stream {
        StreamId::Stdout => OutputSource::Stdout,
        StreamId::Stderr => OutputSource::Stderr,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_shim::{EXIT, IndexEntry};
    use std::path::Path;

    const OUT: StreamId = StreamId::Stdout;
    const ERR: StreamId = StreamId::Stderr;

    fn written(path: &Path, pieces: &[(&str, StreamId, u64)]) -> OutputPages {
        let (mut log, mut index) = (Vec::new(), Vec::new());
        for (text, stream, time) in pieces {
            log.extend_from_slice(text.as_bytes());
            let end = log.len() as u64;
            index.extend_from_slice(&IndexEntry { end, stream: *stream, time: *time }.encode());
        }
        std::fs::write(path.join("output.log"), log).unwrap();
        std::fs::write(path.join("output.idx"), index).unwrap();
        OutputPages::new(AttemptDirectory::open(path).unwrap()).unwrap()
    }

    fn texts(page: &OutputPage) -> Vec<String> {
        page.chunks.iter().map(|chunk| String::from_utf8_lossy(&chunk.bytes).into_owned()).collect()
    }

    #[test]
    fn a_page_is_cut_where_the_stream_changes() {
        let dir = tempfile::tempdir().unwrap();
        let pages = written(dir.path(), &[("one\n", OUT, 5), ("two\n", ERR, 6), ("three\n", OUT, 7)]);
        let page = pages.read(OutputRead { from: 1, limit: 100, only: None }).unwrap();
        assert_eq!(texts(&page), ["ne\n", "two\n", "three\n"]);
        assert_eq!((page.next, page.end, page.gap), (14, 14, 0));
        assert_eq!(page.chunks.last().unwrap().at, Timestamp(7));
    }

    #[test]
    fn pages_of_any_size_put_together_are_the_whole() {
        let dir = tempfile::tempdir().unwrap();
        let pages = written(dir.path(), &[("one\n", OUT, 5), ("two\n", ERR, 6), ("three\n", OUT, 7)]);
        for limit in 1..20 {
            let (mut whole, mut from) = (String::new(), 0);
            loop {
                let page = pages.read(OutputRead { from, limit, only: None }).unwrap();
                whole.push_str(&texts(&page).concat());
                assert!(page.next > from || page.next == page.end);
                from = page.next;
                if from == page.end {
                    break;
                }
            }
            assert_eq!(whole, "one\ntwo\nthree\n");
        }
    }

    #[test]
    fn a_read_of_one_stream_omits_the_other_stream() {
        let dir = tempfile::tempdir().unwrap();
        let pages = written(dir.path(), &[("one\n", OUT, 5), ("two\n", ERR, 6), ("three\n", OUT, 7)]);
        let page = pages.read(OutputRead { from: 0, limit: 100, only: Some(OutputSource::Stdout) }).unwrap();
        assert_eq!(texts(&page), ["one\n", "three\n"]);
        assert_eq!((page.next, page.gap), (14, 0));
    }

    #[test]
    fn the_last_lines_are_counted_in_the_chosen_stream_only() {
        let dir = tempfile::tempdir().unwrap();
        let pages = written(dir.path(), &[("a\n", OUT, 1), ("b\nc\n", ERR, 2), ("d\ne", OUT, 3)]);
        let of = |lines, only| pages.last_lines(lines, only).unwrap();
        assert_eq!([of(0, None), of(1, None), of(2, None), of(9, None)], [9, 8, 6, 0]);
        let stdout = Some(OutputSource::Stdout);
        assert_eq!([of(1, stdout), of(2, stdout), of(3, stdout)], [8, 6, 0]);
        let stderr = Some(OutputSource::Stderr);
        assert_eq!([of(1, stderr), of(2, stderr)], [4, 2]);
    }

    #[test]
    fn bytes_without_an_index_entry_are_read_after_the_writer_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let pages = written(dir.path(), &[("one", OUT, 1)]);
        std::fs::write(dir.path().join("output.log"), "onetwo").unwrap();
        let lock = pages.directory.lock().unwrap().unwrap();
        assert_eq!(texts(&pages.read(OutputRead { from: 0, limit: 9, only: None }).unwrap()), ["one"]);
        assert!(!pages.goes_beyond(3).unwrap());
        drop(lock);
        assert_eq!(
            texts(&pages.read(OutputRead { from: 0, limit: 9, only: None }).unwrap()).concat(),
            "onetwo"
        );
        std::fs::write(dir.path().join(EXIT), "").unwrap();
        assert!(pages.goes_beyond(3).unwrap() && pages.has_ended());
    }

    #[test]
    fn the_first_byte_at_a_given_time_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let pages = written(dir.path(), &[("one", OUT, 10), ("two", OUT, 20)]);
        let since = |moment| pages.since(Timestamp(moment)).unwrap();
        assert_eq!([since(-5), since(10), since(11), since(21)], [0, 0, 3, 6]);
    }
}
