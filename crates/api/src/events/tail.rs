//! Adds the output tail to events.

use longhaul_engine::Engine;
use longhaul_engine::ports::{AttemptKey, OutputRead};
use longhaul_view::{TerminalPolicy, fold_redraws, sanitize};
use longhaul_wire::event::MAX_TAIL_LEN;

/// Number of output bytes that are read. This is more than the tail needs, because escape sequences and redrawn lines
/// are removed.
const READ: u32 = 8_192;
/// Maximum number of pages that are read to reach the end of the output.
const MAX_PAGES: u32 = 64;

/// Returns the last output lines of an ended attempt. Returns `None` if the attempt wrote no output, or if its output
/// cannot be read on this node.
pub(crate) async fn tail(engine: &Engine, key: AttemptKey) -> Option<String> {
    let size = engine.output_size(key).await.ok()?;
    let begin = size.end.saturating_sub(READ.into());
    let mut from = begin;
    let mut bytes = Vec::new();
    for _ in 0..MAX_PAGES {
        let page = engine.output(key, OutputRead { from, limit: READ, only: None }).await.ok()?;
        bytes.extend(page.chunks.into_iter().flat_map(|chunk| chunk.bytes));
        if page.next >= page.end || page.next <= from {
            break;
        }
        from = page.next;
    }
    let bytes = if begin > 0 { without_cut_line(&bytes) } else { &bytes };
    Some(shown(bytes)).filter(|text| !text.is_empty())
}

/// Removes the first line, because its start may be missing. If no other line contains text, keeps the part of the
/// first line that exists.
fn without_cut_line(bytes: &[u8]) -> &[u8] {
    let feed = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let rest = bytes.get(feed + 1..).unwrap_or_default();
    if !rest.trim_ascii().is_empty() {
        return rest;
    }
    // Remove the last bytes of a character whose first bytes are missing.
    let start = bytes.iter().take(3).position(|byte| byte & 0xc0 != 0x80).unwrap_or(0);
    bytes.get(start..).unwrap_or_default()
}

fn shown(bytes: &[u8]) -> String {
    let mut text = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        text.extend_from_slice(fold_redraws(line));
    }
    let text = String::from_utf8_lossy(&sanitize(&text, TerminalPolicy::Plain)).into_owned();
    last_lines(text.trim_end()).to_owned()
}

/// Returns the last complete lines of a text that fit into [`MAX_TAIL_LEN`] bytes. If even the last line is too long,
/// returns the end of this line.
fn last_lines(text: &str) -> &str {
    let begin = text.ceil_char_boundary(text.len().saturating_sub(MAX_TAIL_LEN));
    let (before, kept) = text.split_at(begin);
    if before.is_empty() || before.ends_with('\n') {
        return kept;
    }
    kept.split_once('\n').map_or(kept, |(_, whole)| whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tail_is_whole_lines_that_no_terminal_obeys() {
        let long = "größe \u{1b}[31m☃\u{1b}[0m\n".repeat(1_000);
        let text = shown(long.as_bytes());
        let line = "größe ☃\n".len();
        assert!(text.len() <= MAX_TAIL_LEN && text.len() > MAX_TAIL_LEN - line, "{}", text.len());
        assert!(text.lines().all(|line| line == "größe ☃"), "{text}");
        assert_eq!(shown(b"10%\r20%\r100%\ndone\n\n"), "100%\ndone");
        assert_eq!(shown(b"\xff\xfe"), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn tail_has_every_line_that_fits_however_many_these_are() {
        let lines: String = (1..=300).map(|n| format!("{n}\n")).collect();
        assert_eq!(shown(lines.as_bytes()), lines.trim_end());
        let exact = format!("{}\n{}", "a".repeat(100), "b".repeat(MAX_TAIL_LEN));
        assert_eq!(shown(exact.as_bytes()), "b".repeat(MAX_TAIL_LEN));
        let traceback = format!("{}\nassert 2 == 3", "E   ".repeat(400));
        assert_eq!(shown(traceback.as_bytes()), traceback);
    }

    #[test]
    fn line_without_its_start_is_shown_only_if_there_is_no_other_line() {
        assert_eq!(without_cut_line(b"cut\nwhole\n"), b"whole\n");
        assert_eq!(without_cut_line(b"cut\n\n \n"), b"cut\n\n \n");
        assert_eq!(without_cut_line(b"cut"), b"cut");
        assert_eq!(without_cut_line("öö\n".as_bytes().get(1..).unwrap()), "ö\n".as_bytes());
        assert_eq!(without_cut_line(b""), b"");
    }

    #[test]
    fn tail_of_one_long_line_is_its_end_in_whole_characters() {
        let text = shown("ö".repeat(MAX_TAIL_LEN).as_bytes());
        assert_eq!(text, "ö".repeat(MAX_TAIL_LEN / 2));
        assert_eq!(shown("☃".repeat(MAX_TAIL_LEN).as_bytes()).len(), MAX_TAIL_LEN / 3 * 3);
    }
}
