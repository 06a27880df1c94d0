//! End of an output, limited to a size.

use crate::budget::{char_length, json_length};
use crate::cursor::OutputCursor;
use crate::entry::{FoldedLine, MAX_LINE_LEN, WindowEntries, boundary, drawn_over, shown};
use crate::page::RenderMode;
use crate::window::Window;

/// End of an output, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailBuffer {
    /// Text to show.
    pub text: String,
    /// Cursor at the start of the text.
    pub start: OutputCursor,
    /// Cursor at the end of the text, where the output continues.
    pub next: OutputCursor,
}

/// Returns as much of the end of a window as fits into `room` bytes of JSON.
///
/// The text starts with a whole line. If the last line alone does not fit, only the end of this line is shown.
///
/// `starts_line` is false if the window starts in the middle of a line. If other lines follow, the rest of that line is
/// left out. If that line was redrawn, its last state is shown nevertheless.
#[must_use]
pub fn tail(
    window: &Window,
    base: &OutputCursor,
    starts_line: bool,
    room: usize,
    manner: RenderMode,
) -> TailBuffer {
    let bytes = window.bytes();
    let (text, start, end) = match manner {
        RenderMode::Folded => {
            let first = if starts_line { 0 } else { last_state_or_next_line(bytes) };
            folded(window, base, first, room)
        }
        RenderMode::Raw => raw(window, if starts_line { 0 } else { behind_first_line(bytes) }, room),
    };
    TailBuffer { text, start: base.at(window.offset(start)), next: base.at(window.offset(end)) }
}

fn folded(window: &Window, base: &OutputCursor, first: usize, room: usize) -> (String, usize, usize) {
    let mut entries = WindowEntries::new(window, Some(*base), first);
    let mut all = Vec::new();
    while let Ok(entry) = entries.next() {
        all.push(entry);
    }
    let Some(last) = all.last() else { return (String::new(), first, first) };
    let end = last.end;
    if last.is_cut || json_length(&last.text) > room {
        let (text, start) = end_of(window, last, room);
        return (text, start, end);
    }
    let (mut used, mut start) = (0, end);
    let mut kept = Vec::new();
    for entry in all.iter().rev() {
        used += json_length(&entry.text);
        if used > room {
            break;
        }
        start = entry.start;
        kept.push(entry.text.as_str());
    }
    kept.reverse();
    (kept.concat(), start, end)
}

/// Returns the end of a line that is too long to be shown completely, and the index at which the returned text starts.
/// If equal lines were folded into one line, and the folded line does not fit, only the last of the equal lines is
/// shown.
fn end_of(window: &Window, line: &FoldedLine, room: usize) -> (String, usize) {
    let raw = window.slice(line.start, line.end);
    let ending = if line.text.ends_with('\n') { "\n" } else { "" };
    let last_line = start_of_last_line(raw);
    let mut limit = MAX_LINE_LEN.min(room);
    loop {
        let begin = boundary(raw, raw.len().saturating_sub(limit).max(last_line));
        let text = format!("{}{ending}", shown(raw.get(begin..).unwrap_or_default()));
        if json_length(&text) <= room {
            return (text, line.start + begin);
        }
        if limit == 0 {
            return (String::new(), line.end);
        }
        limit /= 2;
    }
}

fn start_of_last_line(bytes: &[u8]) -> usize {
    let content = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    memchr::memrchr(b'\n', content).map_or(0, |feed| feed + 1)
}

fn raw(window: &Window, first: usize, room: usize) -> (String, usize, usize) {
    let bytes = window.bytes();
    let mut start = boundary(bytes, bytes.len().saturating_sub(room).max(first));
    let text = String::from_utf8_lossy(window.slice(start, bytes.len())).into_owned();
    let mut over = json_length(&text).saturating_sub(room);
    if over == 0 && start <= first {
        return (text, start, bytes.len());
    }
    'all: for piece in window.slice(start, bytes.len()).utf8_chunks() {
        for c in piece.valid().chars() {
            if over == 0 {
                break 'all;
            }
            over = over.saturating_sub(char_length(c));
            start += c.len_utf8();
        }
        if over == 0 {
            break;
        }
        if !piece.invalid().is_empty() {
            over = over.saturating_sub(char_length(char::REPLACEMENT_CHARACTER));
            start += piece.invalid().len();
        }
    }
    let begins_line = start.checked_sub(1).is_none_or(|before| bytes.get(before) == Some(&b'\n'));
    if !begins_line {
        start += behind_first_line(window.slice(start, bytes.len()));
    }
    (String::from_utf8_lossy(window.slice(start, bytes.len())).into_owned(), start, bytes.len())
}

/// Returns the index at which the last state of the first line starts if that line was redrawn. For any other line,
/// returns the result of [`behind_first_line`].
fn last_state_or_next_line(bytes: &[u8]) -> usize {
    let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |feed| feed + 1);
    drawn_over(bytes.get(..end).unwrap_or(bytes)).unwrap_or_else(|| behind_first_line(bytes))
}

/// Returns the index of the second line. If the text has only one line, returns the index of the first character
/// boundary.
fn behind_first_line(bytes: &[u8]) -> usize {
    let behind = memchr::memchr(b'\n', bytes).map(|feed| feed + 1);
    behind.filter(|behind| *behind < bytes.len()).unwrap_or_else(|| {
        let is_start = |byte: &u8| byte & 0b1100_0000 != 0b1000_0000;
        bytes.iter().take(4).position(is_start).unwrap_or(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::StreamSelection;
    use crate::page::page;
    use crate::window::WindowEnd;
    use longhaul_domain::{AttemptNo, ProcessId};
    use proptest::prelude::*;
    use uuid::Uuid;

    #[test]
    fn tail_begins_with_a_whole_line() {
        let window = window(b"rest of one\ntwo\nthree\n");
        let tail = |room| tail(&window, &base(), false, room, RenderMode::Folded);
        assert_eq!((tail(100).text.as_str(), tail(100).start.offset), ("two\nthree\n", 12));
        assert_eq!((tail(9).text.as_str(), tail(9).start.offset), ("three\n", 16));
    }

    #[test]
    fn last_state_of_a_line_that_began_before_the_window_is_shown() {
        let window = window(b"0%\r 50%\r100%\ndone\n");
        let tail = tail(&window, &base(), false, 100, RenderMode::Folded);
        assert_eq!((tail.text.as_str(), tail.start.offset), ("100%\ndone\n", 8));
    }

    #[test]
    fn last_of_equal_lines_is_shown_if_their_fold_does_not_fit() {
        let window = window(b"b\nb\n");
        let tail = |room| tail(&window, &base(), true, room, RenderMode::Folded);
        assert_eq!((tail(7).text.as_str(), tail(7).start.offset), ("b ×2\n", 0));
        assert_eq!((tail(6).text.as_str(), tail(6).start.offset), ("b\n", 2));
    }

    #[test]
    fn end_of_an_endless_line_is_shown() {
        let window = window(format!("{}the end", "é".repeat(200_000)).as_bytes());
        for manner in [RenderMode::Folded, RenderMode::Raw] {
            let tail = tail(&window, &base(), false, 1_000, manner);
            assert!(tail.text.ends_with("the end") && tail.text.len() > 400, "{}", tail.text.len());
            assert!(!tail.text.contains('\u{fffd}'));
        }
    }

    proptest! {
        #[test]
        fn tail_fits_and_is_equal_to_a_page_from_its_start(
            output in prop::collection::vec(prop::sample::select(vec![
                &b"\n"[..], b"a", b"b\n", b"\r", b"\"\"", b"\xc3\xa9", b"\xff", b"\x1b[1m",
            ]), 0..40),
            room in 6_usize..60,
            manner in prop_oneof![Just(RenderMode::Folded), Just(RenderMode::Raw)],
        ) {
            let window = window(&output.concat());
            let tail = tail(&window, &base(), true, room, manner);
            prop_assert!(json_length(&tail.text) <= room);
            prop_assert_eq!(tail.next.offset, window.bytes().len() as u64);
            let mut rest = Window::new(tail.start.offset);
            rest.push(tail.start.offset, &window.bytes()[usize::try_from(tail.start.offset).unwrap()..]);
            rest.close(tail.next.offset, WindowEnd::Over);
            let page = page(&rest, &tail.start, usize::MAX, manner);
            prop_assert_eq!(page.text, tail.text);
        }
    }

    fn window(output: &[u8]) -> Window {
        let mut window = Window::new(0);
        window.push(0, output);
        window.close(output.len() as u64, WindowEnd::Over);
        window
    }

    fn base() -> OutputCursor {
        OutputCursor::new(ProcessId::new(Uuid::from_u128(1)), AttemptNo(1), StreamSelection::Both)
    }
}
