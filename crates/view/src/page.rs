//! Pages of output with a limited size.

use crate::budget::{char_length, fitting, json_length};
use crate::cursor::OutputCursor;
use crate::entry::{EntriesEnd, WindowEntries};
use crate::sanitizer::may_be_completed;
use crate::window::{Window, WindowEnd, wide};

/// Form in which output is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenderMode {
    /// Folded form: redrawn lines are reduced to their last state, repeated lines are counted, control bytes are
    /// removed, and long lines are cut off with a mark.
    Folded,
    /// Raw form: output is shown as it was written, except that invalid UTF-8 becomes `U+FFFD`.
    Raw,
}

/// One page of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Text of the page.
    pub text: String,
    /// Cursor at which the next page starts.
    pub next: OutputCursor,
    /// Reason why the page ends at this cursor.
    pub stop: PageStop,
}

/// Reason why a page ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageStop {
    /// The page has reached its size limit.
    Full,
    /// The next entry does not end inside the window. The caller must try again with a window that is at least twice as
    /// large.
    Undecided,
    /// The whole window is shown, except bytes that cannot be shown before more output is known.
    Drained,
}

/// Returns a page with as much of the start of a window as fits into `room` bytes of JSON. `from` is the cursor at the
/// start of the window.
///
/// A page ends at the end of a line. The only exception is a first line that is longer than the page: this line is cut,
/// and the next page continues inside it. The concatenated pages are equal to one page without a size limit, whatever
/// their sizes are. If there is output and `room` is at least 6, the page shows at least one character.
///
/// # Examples
///
/// ```
/// use longhaul_domain::{AttemptNo, ProcessId};
/// use longhaul_view::{StreamSelection, OutputCursor, WindowEnd, RenderMode, PageStop, Window, page};
///
/// let owner: ProcessId = "6b1f0a52-4d36-4b1e-9a57-0b6f3c0d9e11".parse()?;
/// let from = OutputCursor::new(owner, AttemptNo(1), StreamSelection::Both);
/// let mut window = Window::new(0);
/// window.push(0, b" 50%\r100%\nok\nok\ndone\n");
/// window.close(21, WindowEnd::Over);
/// let first = page(&window, &from, 14, RenderMode::Folded);
/// assert_eq!((first.text.as_str(), first.stop), ("100%\nok ×2\n", PageStop::Full));
/// # Ok::<(), longhaul_domain::InvalidText>(())
/// ```
#[must_use]
pub fn page(window: &Window, from: &OutputCursor, room: usize, manner: RenderMode) -> Page {
    match manner {
        RenderMode::Folded => folded(window, from, room),
        RenderMode::Raw => raw(window, from, room),
    }
}

fn folded(window: &Window, from: &OutputCursor, room: usize) -> Page {
    let mut entries = WindowEntries::new(window, Some(*from), 0);
    let mut text = String::new();
    let (mut used, mut end, mut line) = (0, 0, from.line);
    let mut skip = usize::try_from(from.skip).unwrap_or(usize::MAX);
    loop {
        let entry = match entries.next() {
            Ok(entry) => entry,
            Err(stop) => {
                let stop = match stop {
                    EntriesEnd::Undecided => PageStop::Undecided,
                    EntriesEnd::Done => PageStop::Drained,
                };
                let has_moved = end > 0 || window.bytes().is_empty();
                let next = if has_moved { from.on_line(window.offset(end), line) } else { *from };
                return Page { text, next, stop };
            }
        };
        let begun = entry.text.floor_char_boundary(skip);
        let rest = entry.text.get(begun..).unwrap_or_default();
        let cost = json_length(rest);
        if used + cost > room {
            let here = from.on_line(window.offset(entry.start), line);
            if !text.is_empty() {
                return Page { text, next: here, stop: PageStop::Full };
            }
            let part = fitting(rest, room);
            let skip = u32::try_from(begun + part.len()).unwrap_or(u32::MAX);
            return Page { text: part.to_owned(), next: OutputCursor { skip, ..here }, stop: PageStop::Full };
        }
        text.push_str(rest);
        used += cost;
        skip = 0;
        end = entry.end;
        line = line.map(|line| line.saturating_add(entry.feeds));
    }
}

fn raw(window: &Window, from: &OutputCursor, room: usize) -> Page {
    let is_over = window.ending() == WindowEnd::Over;
    let mut text = RenderedText::default();
    let mut stop = PageStop::Drained;
    'all: for piece in window.bytes().utf8_chunks() {
        for c in piece.valid().chars() {
            if !text.add(c, c.len_utf8(), room) {
                stop = PageStop::Full;
                break 'all;
            }
        }
        let invalid = piece.invalid();
        if invalid.is_empty() {
            continue;
        }
        if !is_over && text.end + invalid.len() == window.bytes().len() && may_be_completed(invalid) {
            break;
        }
        if !text.add(char::REPLACEMENT_CHARACTER, invalid.len(), room) {
            stop = PageStop::Full;
            break;
        }
    }
    if stop == PageStop::Full && text.lines_end > 0 {
        text.back_to_the_last_line();
    }
    if stop == PageStop::Drained && window.ending() == WindowEnd::More {
        stop = PageStop::Undecided;
    }
    let feeds = memchr::memchr_iter(b'\n', window.slice(0, text.end)).count();
    let line = from.line.map(|line| line.saturating_add(wide(feeds)));
    Page { text: text.text, next: from.on_line(window.offset(text.end), line), stop }
}

/// Text of a raw page, and the number of window bytes from which the text was made.
#[derive(Debug, Default)]
struct RenderedText {
    text: String,
    used: usize,
    end: usize,
    /// Length of `text` up to and including its last line feed. `lines_end` is the corresponding number of window
    /// bytes.
    lines_text: usize,
    lines_end: usize,
}

impl RenderedText {
    fn add(&mut self, c: char, length: usize, room: usize) -> bool {
        let used = self.used + char_length(c);
        if used > room {
            return false;
        }
        self.text.push(c);
        self.used = used;
        self.end += length;
        if c == '\n' {
            (self.lines_text, self.lines_end) = (self.text.len(), self.end);
        }
        true
    }

    fn back_to_the_last_line(&mut self) {
        self.text.truncate(self.lines_text);
        self.end = self.lines_end;
    }
}

#[cfg(test)]
mod tests;
