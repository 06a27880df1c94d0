//! Lines of a stream of output that match a pattern.

use crate::entry::{MAX_PIECE_LEN, TRUNCATION_MARK, bare, boundary, drawn_over, is_harmless, shown};
use crate::page::RenderMode;
use crate::pattern::Pattern;
use crate::window::{Window, WindowEnd, wide};
use std::borrow::Cow;

/// How far two windows of an endless line overlap, in bytes: a longer match may be missed where they meet.
const OVERLAP: usize = 4 * 1024;
/// Lines are first looked at together, so many bytes at once.
const BLOCK: usize = 8 * 1024;
/// So far behind a line is looked for the last state of one that is told after it.
const REDRAW_LOOKBACK: usize = 256 * 1024;
/// The most bytes that are kept of what was searched, for the lines before a match.
const MAX_CONTEXT_BYTES: usize = 16 * 1024;

/// A line that matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchHit {
    /// Its number, counted from 1, where it is known.
    pub line: Option<u64>,
    /// The offset in the log at which it begins.
    pub offset: u64,
    /// The offset in the log behind it.
    pub next: u64,
    /// The line, or the part of a long one around the match.
    pub text: String,
    /// The lines before it that no earlier hit told.
    pub before: Vec<String>,
    /// The lines after it, up to the next hit.
    pub after: Vec<String>,
    /// The lines behind those that are told by the next hit, or around it, if anybody tells it.
    pub further: Vec<String>,
}

/// Searches output piece by piece, as it comes, and keeps no more of it than one piece and a few lines.
///
/// A line is searched as [`RenderMode`] shows it: of one that was redrawn, its last state. What is longer than 64 KiB is
/// searched in windows of that size that overlap, and each of them is a hit of its own.
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
    /// How many more hits are told.
    most: usize,
    window: Window,
    /// The index of the first line that was not searched.
    at: usize,
    line: Option<u64>,
    /// The index up to which hits have told lines.
    told: usize,
    hits: Vec<SearchHit>,
    /// Where each line after the last hit begins.
    after: Vec<usize>,
    total: u64,
    lines: u64,
}

impl Searcher {
    /// Begins at an offset of the log, in the line of this number.
    #[must_use]
    pub const fn new(pattern: Pattern, start: u64, line: Option<u64>, manner: RenderMode) -> Self {
        Self {
            pattern,
            manner,
            context: 0,
            longest: usize::MAX,
            most: usize::MAX,
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

    /// Tells so many lines before and after each hit.
    #[must_use]
    pub const fn context(mut self, lines: usize) -> Self {
        self.context = lines;
        self
    }

    /// Tells at most so many bytes of a line.
    #[must_use]
    pub const fn longest(mut self, bytes: usize) -> Self {
        self.longest = bytes;
        self
    }

    /// Tells at most so many hits; those that follow are counted.
    #[must_use]
    pub const fn most(mut self, hits: usize) -> Self {
        self.most = hits;
        self
    }

    /// Adds bytes that begin at an offset of the log, and searches the lines that are whole by now.
    pub fn push(&mut self, offset: u64, bytes: &[u8]) {
        self.window.push(offset, bytes);
        self.search();
        self.forget();
    }

    /// Breaks the line off: bytes before this offset were dropped, and lines are no longer numbered.
    pub fn break_off(&mut self, offset: u64) {
        self.finish(offset, WindowEnd::Over);
        self.line = None;
        self.window = Window::new(offset).torn();
        (self.at, self.told) = (0, 0);
        self.after.clear();
    }

    /// Says where the log goes on, and searches what is left.
    pub fn finish(&mut self, next: u64, ending: WindowEnd) {
        self.window.close(next, ending);
        self.search();
        if ending == WindowEnd::More {
            // Whoever goes on from here finds these lines again.
            self.cut_the_last_hit(self.at);
        }
        self.told = self.told.min(self.at);
    }

    /// From now on, hits are counted and not told.
    pub const fn count_only(&mut self) {
        self.most = 0;
    }

    /// Gives the hits that are complete.
    pub fn take(&mut self) -> Vec<SearchHit> {
        let is_open = self.told > self.at;
        let kept = if is_open { self.hits.pop() } else { None };
        let hits = std::mem::take(&mut self.hits);
        self.hits.extend(kept);
        hits
    }

    /// Tells how many lines matched so far.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Tells how many lines were searched so far.
    #[must_use]
    pub const fn lines(&self) -> u64 {
        self.lines
    }

    /// Gives the offset of the first line that was not searched to its end, and its number where it is known.
    #[must_use]
    pub fn place(&self) -> (u64, Option<u64>) {
        (self.window.offset(self.at), self.line)
    }

    fn search(&mut self) {
        // The lines up to here may match, and are searched one by one.
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
            if is_hit && self.most > 0 && !self.tell(&line) {
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

    /// Passes over lines of which none matches, as far as that is easily seen, and gives the end of the lines behind
    /// them of which one may.
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

    /// Remembers a hit; false if the lines after it are not there yet.
    fn tell(&mut self, line: &SearchedLine) -> bool {
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
            after: after.iter().filter_map(|start| self.told_line(*start)).collect(),
            further: Vec::new(),
        };
        self.hits.push(hit);
        self.most -= 1;
        self.after = after;
        self.told = end;
        true
    }

    /// Lines after the last hit that are from this one on told by it or after it.
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
                // A window of an endless line is before it.
                break;
            };
            begin = memchr::memrchr(b'\n', earlier).map_or(0, |feed| feed + 1).max(self.told);
            lines.extend(self.told_line(begin));
        }
        lines.reverse();
        lines
    }

    fn told_line(&self, start: usize) -> Option<String> {
        let line = self.settled_line(start)?;
        Some(around(&self.text(&line), (0, 0), self.longest))
    }

    /// How much of the line there was drawn over by what follows; none where that is decided with the line.
    fn drawn_over(&self, start: usize) -> Option<usize> {
        let rest = self.window.slice(start, self.window.bytes().len());
        let longest = rest.get(..MAX_PIECE_LEN).filter(|_| rest.len() > MAX_PIECE_LEN)?;
        match self.manner {
            RenderMode::Folded if memchr::memchr(b'\n', longest).is_none() => drawn_over(longest),
            RenderMode::Folded | RenderMode::Raw => None,
        }
    }

    /// The last state of a line; of one that is drawn again and again, that which is far enough behind.
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
            // A pattern for the begin of a line must not find the place where one was torn.
            RenderMode::Folded if self.window.is_torn_at(line.start) && drawn_over(bare).is_none() => {
                Cow::Owned(format!("{TRUNCATION_MARK}{}", shown(raw)).into_bytes())
            }
            RenderMode::Folded if is_harmless(bare) => Cow::Borrowed(bare),
            RenderMode::Folded => Cow::Owned(shown(raw).into_bytes()),
        }
    }

    /// Lets go of what is needed no more.
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

/// A line of the window.
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

/// Gives a line as text; of one that is too long, the part around a match.
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
