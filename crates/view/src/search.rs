//! Searches a stream of output for matching lines.

use crate::entry::{MAX_PIECE_LEN, TRUNCATION_MARK, bare, boundary, drawn_over, is_harmless, shown};
use crate::page::RenderMode;
use crate::pattern::Pattern;
use crate::window::{Window, WindowEnd, wide};
use std::borrow::Cow;

/// Number of bytes by which two parts of a long line overlap. A match that is longer than the overlap and crosses the
/// border between two parts may be missed.
const OVERLAP: usize = 4 * 1024;
/// Size of the block of lines that is first searched as a whole, in bytes.
const BLOCK: usize = 8 * 1024;
/// Maximum number of bytes that are scanned to find the last state of a redrawn context line.
const REDRAW_LOOKBACK: usize = 256 * 1024;
/// Maximum number of searched bytes that are kept, so that a match can be shown with the lines before the match.
const MAX_CONTEXT_BYTES: usize = 16 * 1024;

/// Search hit: a line that matches the pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchHit {
    /// Line number, counted from 1; `None` if unknown.
    pub line: Option<u64>,
    /// Offset in the output log at which the line starts.
    pub offset: u64,
    /// Offset in the output log at which the line ends.
    pub next: u64,
    /// Text of the line. For a long line, only the part around the match.
    pub text: String,
    /// Context lines before the match, except lines that an earlier hit already contains.
    pub before: Vec<String>,
    /// Context lines after the match, up to the next hit.
    pub after: Vec<String>,
    /// Other context lines after the match, which the next hit already contains. Needed only if that hit is not shown.
    pub further: Vec<String>,
}

/// Searches output chunk by chunk. Only one chunk and a few context lines are in memory at a time.
///
/// Lines are searched in the form in which [`RenderMode`] shows them. Of a redrawn line, only the last state is
/// searched. A line of more than 64 KiB is searched in overlapping parts of 64 KiB, and each matching part is a
/// separate hit.
///
/// # Examples
///
/// ```
/// use longhaul_view::{CaseMode, WindowEnd, RenderMode, Pattern, Searcher};
///
/// let pattern = Pattern::new("^error", CaseMode::Kept)?;
/// let mut searcher = Searcher::new(pattern, 0, Some(1), RenderMode::Folded).context(1);
/// searcher.push(0, b"one\n\x1b[31merror\x1b[0m: two\nth");
/// searcher.push(25, b"ree\n");
/// searcher.finish(29, WindowEnd::Over);
/// let hits = searcher.take();
/// assert_eq!((hits[0].line, hits[0].text.as_str()), (Some(2), "error: two"));
/// assert_eq!((&hits[0].before[..], &hits[0].after[..]), (&["one".to_owned()][..], &["three".to_owned()][..]));
/// # Ok::<(), longhaul_view::PatternError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Searcher {
    pattern: Pattern,
    manner: RenderMode,
    context: usize,
    longest: usize,
    /// Number of hits that may still be reported.
    limit: usize,
    window: Window,
    /// Index in the window of the first line that has not been searched yet.
    at: usize,
    line: Option<u64>,
    /// Index in the window up to which the lines already belong to a hit or to its context.
    told: usize,
    hits: Vec<SearchHit>,
    /// Start index of each context line after the last hit.
    after: Vec<usize>,
    total: u64,
    lines: u64,
}

impl Searcher {
    /// Creates a searcher that starts at an offset of the output log. `line` is the number of the line at this offset.
    #[must_use]
    pub const fn new(pattern: Pattern, start: u64, line: Option<u64>, manner: RenderMode) -> Self {
        Self {
            pattern,
            manner,
            context: 0,
            longest: usize::MAX,
            limit: usize::MAX,
            window: Window::new(start),
            at: 0,
            line,
            told: 0,
            hits: Vec::new(),
            after: Vec::new(),
            total: 0,
            lines: 0,
        }
    }

    /// Sets the number of context lines before and after each hit.
    #[must_use]
    pub const fn context(mut self, lines: usize) -> Self {
        self.context = lines;
        self
    }

    /// Sets the maximum length of each line in a hit, in bytes. A longer line is cut.
    #[must_use]
    pub const fn longest(mut self, bytes: usize) -> Self {
        self.longest = bytes;
        self
    }

    /// Sets the maximum number of hits that are reported. Later hits are only counted.
    #[must_use]
    pub const fn limit(mut self, hits: usize) -> Self {
        self.limit = hits;
        self
    }

    /// Adds bytes that start at an offset of the output log, and searches all complete lines.
    pub fn push(&mut self, offset: u64, bytes: &[u8]) {
        self.window.push(offset, bytes);
        self.search();
        self.forget();
    }

    /// Ends the current line and continues at `offset`, because the bytes in between were dropped. From then on, line
    /// numbers are unknown.
    pub fn break_off(&mut self, offset: u64) {
        self.finish(offset, WindowEnd::Over);
        self.line = None;
        self.window = Window::new(offset).torn();
        (self.at, self.told) = (0, 0);
        self.after.clear();
    }

    /// Searches the remaining bytes. `next` is the offset at which the output log continues, and `ending` says whether
    /// more output may follow.
    pub fn finish(&mut self, next: u64, ending: WindowEnd) {
        self.window.close(next, ending);
        self.search();
        if ending == WindowEnd::More {
            // A later search that resumes at `place` will find the lines from this index on again.
            self.cut_the_last_hit(self.at);
        }
        self.told = self.told.min(self.at);
    }

    /// Switches to counting: further hits are counted but not reported.
    pub const fn count_only(&mut self) {
        self.limit = 0;
    }

    /// Removes and returns the hits whose context lines are already complete.
    pub fn take(&mut self) -> Vec<SearchHit> {
        let is_open = self.told > self.at;
        let kept = if is_open { self.hits.pop() } else { None };
        let hits = std::mem::take(&mut self.hits);
        self.hits.extend(kept);
        hits
    }

    /// Returns the number of matching lines found so far.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Returns the number of lines searched so far.
    #[must_use]
    pub const fn lines(&self) -> u64 {
        self.lines
    }

    /// Returns the offset of the first line that has not been searched completely, and its line number if known.
    #[must_use]
    pub fn place(&self) -> (u64, Option<u64>) {
        (self.window.offset(self.at), self.line)
    }

    fn search(&mut self) {
        // End of a block of lines that may contain a match. The lines in this block are searched one by one.
        let mut near = self.at;
        loop {
            if self.at >= near {
                near = self.pass();
            }
            while let Some(over) = self.drawn_over(self.at) {
                self.at += over;
            }
            let Some(line) = self.next_line(self.at) else { return };
            let text = self.text(&line);
            let is_hit = self.pattern.is_match(&text);
            if is_hit && self.limit > 0 && !self.record_hit(&line) {
                return;
            }
            self.total += u64::from(is_hit);
            match line.form {
                MatchForm::Whole => {
                    self.lines += 1;
                    self.line = self.line.map(|line| line + 1);
                    self.at = line.end;
                }
                MatchForm::Piece => self.at = if is_hit { line.end } else { line.end - OVERLAP },
                MatchForm::Unfinished => {
                    self.lines += 1;
                    if is_hit || self.window.ending() == WindowEnd::Over {
                        self.at = line.end;
                    }
                    return;
                }
            }
        }
    }

    /// Skips blocks of lines that certainly contain no match. Returns the end of the next block that may contain one.
    fn pass(&mut self) -> usize {
        loop {
            let rest = self.window.slice(self.at, self.window.bytes().len());
            let block = rest.get(..BLOCK).unwrap_or(rest);
            let Some(last) = memchr::memrchr(b'\n', block) else { return self.at };
            let lines = block.get(..=last).unwrap_or_default();
            let end = self.at + lines.len();
            if !is_harmless(lines) || self.pattern.may_match(lines) {
                return end;
            }
            let count = wide(memchr::memchr_iter(b'\n', lines).count());
            self.lines += count;
            self.line = self.line.map(|line| line + count);
            self.at = end;
        }
    }

    /// Stores a hit with its context lines. Returns false if the context lines after the hit have not been read yet.
    fn record_hit(&mut self, line: &SearchedLine) -> bool {
        let mut after = Vec::new();
        let mut end = line.end;
        if line.form == MatchForm::Whole {
            while after.len() < self.context {
                match self.settled_line(end) {
                    Some(next) => {
                        after.push(next.start);
                        end = next.end;
                    }
                    None if self.window.ending() == WindowEnd::More => return false,
                    None => break,
                }
            }
        }
        self.cut_the_last_hit(line.start);
        let text = self.text(line);
        let found = self.pattern.find(&text).unwrap_or_default();
        let hit = SearchHit {
            line: self.line,
            offset: self.window.offset(line.start),
            next: self.window.offset(line.end),
            text: around(&text, found, self.longest),
            before: self.before(line.start),
            after: after.iter().filter_map(|start| self.line_text(*start)).collect(),
            further: Vec::new(),
        };
        self.hits.push(hit);
        self.limit -= 1;
        self.after = after;
        self.told = end;
        true
    }

    /// Moves those context lines of the last hit that start at index `start` or later to [`SearchHit::further`],
    /// because a later hit contains them.
    fn cut_the_last_hit(&mut self, start: usize) {
        let kept = self.after.iter().filter(|after| **after < start).count();
        if let Some(last) = self.hits.last_mut()
            && kept < self.after.len()
        {
            let mut cut = last.after.split_off(kept.min(last.after.len()));
            cut.append(&mut last.further);
            last.further = cut;
            self.told = self.told.min(start);
        }
    }

    fn before(&self, start: usize) -> Vec<String> {
        let mut begin = start;
        let mut lines = Vec::new();
        while lines.len() < self.context && begin > self.told {
            let Some((b'\n', earlier)) = self.window.slice(0, begin).split_last() else {
                // The preceding bytes are only a part of a long line and not a whole line.
                break;
            };
            begin = memchr::memrchr(b'\n', earlier).map_or(0, |feed| feed + 1).max(self.told);
            lines.extend(self.line_text(begin));
        }
        lines.reverse();
        lines
    }

    fn line_text(&self, start: usize) -> Option<String> {
        let line = self.settled_line(start)?;
        Some(around(&self.text(&line), (0, 0), self.longest))
    }

    /// Returns the number of bytes of the long line at `start` that a redraw has overwritten. Returns `None` for a
    /// shorter line, which is folded as a whole.
    fn drawn_over(&self, start: usize) -> Option<usize> {
        let rest = self.window.slice(start, self.window.bytes().len());
        let longest = rest.get(..MAX_PIECE_LEN).filter(|_| rest.len() > MAX_PIECE_LEN)?;
        match self.manner {
            RenderMode::Folded if memchr::memchr(b'\n', longest).is_none() => drawn_over(longest),
            RenderMode::Folded | RenderMode::Raw => None,
        }
    }

    /// Returns the last state of the line at `start`. For a long redrawn line, returns the first state after
    /// [`REDRAW_LOOKBACK`] bytes.
    fn settled_line(&self, start: usize) -> Option<SearchedLine> {
        let mut at = start;
        while let Some(over) = self.drawn_over(at).filter(|_| at - start < REDRAW_LOOKBACK) {
            at += over;
        }
        self.next_line(at)
    }

    fn next_line(&self, start: usize) -> Option<SearchedLine> {
        let rest = self.window.slice(start, self.window.bytes().len());
        let longest = rest.get(..MAX_PIECE_LEN).unwrap_or(rest);
        if let Some(feed) = memchr::memchr(b'\n', longest) {
            return Some(SearchedLine { start, end: start + feed + 1, form: MatchForm::Whole });
        }
        if rest.len() > MAX_PIECE_LEN {
            return Some(SearchedLine {
                start,
                end: start + boundary(rest, MAX_PIECE_LEN),
                form: MatchForm::Piece,
            });
        }
        let is_last = self.window.ending() != WindowEnd::More && !rest.is_empty();
        is_last.then(|| SearchedLine { start, end: start + rest.len(), form: MatchForm::Unfinished })
    }

    fn text(&self, line: &SearchedLine) -> Cow<'_, [u8]> {
        let raw = self.window.slice(line.start, line.end);
        let bare = bare(raw);
        match self.manner {
            RenderMode::Raw => Cow::Borrowed(bare),
            // If the start of the line is missing, a mark takes its place, so that a pattern such as `^x` does not
            // match at this position.
            RenderMode::Folded if self.window.is_torn_at(line.start) && drawn_over(bare).is_none() => {
                Cow::Owned(format!("{TRUNCATION_MARK}{}", shown(raw)).into_bytes())
            }
            RenderMode::Folded if is_harmless(bare) => Cow::Borrowed(bare),
            RenderMode::Folded => Cow::Owned(shown(raw).into_bytes()),
        }
    }

    /// Removes those bytes from the window that are no longer needed.
    fn forget(&mut self) {
        let mut keep = self.at;
        for _ in 0..self.context {
            let Some(before) = keep.checked_sub(1) else { break };
            keep = memchr::memrchr(b'\n', self.window.slice(0, before)).map_or(0, |feed| feed + 1);
        }
        let gone = keep.max(self.at.saturating_sub(MAX_CONTEXT_BYTES));
        self.window.forget(gone);
        self.at -= gone;
        self.told = self.told.saturating_sub(gone);
        for after in &mut self.after {
            *after = after.saturating_sub(gone);
        }
    }
}

/// Byte range and form of a line in the window.
#[derive(Clone, Copy, Debug)]
struct SearchedLine {
    start: usize,
    end: usize,
    form: MatchForm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MatchForm {
    Whole,
    Piece,
    Unfinished,
}

/// Returns a line as text. If the line is longer than `longest` bytes, returns only the part around the match.
fn around(line: &[u8], (from, to): (usize, usize), longest: usize) -> String {
    if line.len() <= longest {
        return String::from_utf8_lossy(line).into_owned();
    }
    let spare = longest.saturating_sub(to - from);
    let begin = boundary(line, from.saturating_sub(spare / 3).min(line.len().saturating_sub(longest)));
    let end = boundary(line, begin.saturating_add(longest));
    let text = String::from_utf8_lossy(line.get(begin..end).unwrap_or_default());
    let (left, right) = (if begin > 0 { "…" } else { "" }, if end < line.len() { "…" } else { "" });
    format!("{left}{text}{right}")
}

#[cfg(test)]
mod tests;
