//! Part of an output in memory, with the log offset of each byte.

/// Window into an output: bytes of the selected streams in the order of the output log, each with its log offset.
///
/// The offsets may have gaps: if only one stream is read, the bytes of the other stream are left out.
///
/// # Examples
///
/// ```
/// use longhaul_view::{WindowEnd, Window};
///
/// let mut window = Window::new(0);
/// window.push(0, b"one\n");
/// window.push(9, b"two\n");
/// window.close(13, WindowEnd::Over);
/// assert_eq!(window.bytes(), b"one\ntwo\n");
/// assert_eq!(window.offset(4), 9);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    bytes: Vec<u8>,
    runs: Vec<WindowRun>,
    next: u64,
    ending: WindowEnd,
    is_torn: bool,
}

/// What follows in the output after the last byte of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowEnd {
    /// The log contains more bytes, which have not been read yet.
    More,
    /// The log contains no more bytes at present, but the command may still write some.
    Pause,
    /// The output is complete: no more bytes will follow.
    Over,
}

/// Start of a range of bytes without gaps in their offsets: an index in the window and the log offset of the byte at
/// this index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct WindowRun {
    index: usize,
    offset: u64,
}

impl Window {
    /// Creates an empty window at an offset of the output log, in the state [`WindowEnd::More`].
    #[must_use]
    pub const fn new(start: u64) -> Self {
        Self { bytes: Vec::new(), runs: Vec::new(), next: start, ending: WindowEnd::More, is_torn: false }
    }

    /// Records that the bytes before the window were dropped. The start of the first line may then be missing, and a
    /// mark is shown in its place.
    #[must_use]
    pub fn torn(self) -> Self {
        Self { is_torn: true, ..self }
    }

    /// Appends bytes that start at an offset of the output log.
    pub fn push(&mut self, offset: u64, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.runs.is_empty() || self.next != offset {
            self.runs.push(WindowRun { index: self.bytes.len(), offset });
        }
        self.bytes.extend_from_slice(bytes);
        self.next = offset.saturating_add(wide(bytes.len()));
    }

    /// Sets the offset at which the output log continues after the window, and whether more output may follow.
    pub fn close(&mut self, next: u64, ending: WindowEnd) {
        self.next = self.next.max(next);
        self.ending = ending;
    }

    /// Removes the first `count` bytes.
    pub fn forget(&mut self, count: usize) {
        let count = count.min(self.bytes.len());
        self.is_torn &= count == 0;
        let first = WindowRun { index: count, offset: self.offset(count) };
        self.bytes.drain(..count);
        self.runs.retain(|run| run.index > count);
        self.runs.insert(0, first);
        for run in &mut self.runs {
            run.index -= count;
        }
        if self.bytes.is_empty() {
            self.runs.clear();
        }
    }

    /// Returns all bytes of the window.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the contiguous byte ranges, each with the log offset of its first byte.
    pub fn pieces(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let ends = self.runs.iter().skip(1).map(|run| run.index).chain([self.bytes.len()]);
        self.runs.iter().zip(ends).map(|(run, end)| (run.offset, self.slice(run.index, end)))
    }

    /// Returns the number of line feeds in the window.
    #[must_use]
    pub fn feeds(&self) -> u64 {
        wide(memchr::memchr_iter(b'\n', &self.bytes).count())
    }

    /// Returns the index after the line feed with this number, counted from 1. Returns `None` if the window has fewer
    /// line feeds.
    #[must_use]
    pub fn behind_feed(&self, number: u64) -> Option<usize> {
        let before = usize::try_from(number.checked_sub(1)?).ok()?;
        memchr::memchr_iter(b'\n', &self.bytes).nth(before).map(|feed| feed + 1)
    }

    /// Returns the bytes from index `from` to index `to`, without the byte at `to`. Returns an empty slice if the range
    /// is not inside the window.
    pub(crate) fn slice(&self, from: usize, to: usize) -> &[u8] {
        self.bytes.get(from..to).unwrap_or_default()
    }

    /// Returns the log offset of the byte at an index. For the index after the last byte, returns the offset at which
    /// the log continues.
    #[must_use]
    pub fn offset(&self, index: usize) -> u64 {
        if index >= self.bytes.len() {
            return self.next;
        }
        let behind = self.runs.partition_point(|run| run.index <= index);
        let run = behind.checked_sub(1).and_then(|place| self.runs.get(place));
        run.map_or(self.next, |run| run.offset.saturating_add(wide(index - run.index)))
    }

    /// Returns true if the start of the line at this index may be missing.
    pub(crate) const fn is_torn_at(&self, index: usize) -> bool {
        self.is_torn && index == 0
    }

    /// Returns the offset at which the output log continues after the window.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Returns what follows in the output after the window.
    #[must_use]
    pub const fn ending(&self) -> WindowEnd {
        self.ending
    }
}

/// Converts a length to `u64`.
pub(crate) fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn offset_between_two_runs_belongs_to_the_second_run() {
        let mut window = Window::new(5);
        window.push(5, b"ab");
        window.push(10, b"cd");
        assert_eq!([0, 1, 2, 3, 4, 9].map(|index| window.offset(index)), [5, 6, 10, 11, 12, 12]);
        window.close(20, WindowEnd::Pause);
        assert_eq!((window.offset(4), window.next(), window.ending()), (20, 20, WindowEnd::Pause));
    }

    #[test]
    fn feeds_are_counted_from_one() {
        let mut window = Window::new(0);
        window.push(0, b"a\n\nb");
        assert_eq!(
            (window.feeds(), [0, 1, 2, 3].map(|number| window.behind_feed(number))),
            (2, [None, Some(2), Some(3), None])
        );
    }

    proptest! {
        #[test]
        fn forgetting_changes_no_offset(
            pieces in prop::collection::vec((0_u64..3, prop::collection::vec(any::<u8>(), 0..4)), 0..6),
            forgotten in 0_usize..16,
        ) {
            let mut window = Window::new(0);
            for (hole, bytes) in pieces {
                let offset = window.next() + hole;
                window.push(offset, &bytes);
            }
            let whole = window.clone();
            let mut again = Window::new(0);
            for (offset, bytes) in whole.pieces() {
                again.push(offset, bytes);
            }
            again.close(whole.next(), WindowEnd::More);
            prop_assert_eq!(&again, &whole);
            let forgotten = forgotten.min(whole.bytes().len());
            window.forget(forgotten);
            prop_assert_eq!(window.bytes(), &whole.bytes()[forgotten..]);
            for index in 0..=window.bytes().len() {
                prop_assert_eq!(window.offset(index), whole.offset(index + forgotten));
            }
            window.push(100, b"x");
            prop_assert_eq!(window.offset(window.bytes().len() - 1), 100);
        }
    }
}
