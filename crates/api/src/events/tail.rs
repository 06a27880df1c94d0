//! The end of an output, as an event shows it.

use longhaul_engine::Engine;
use longhaul_engine::ports::{AttemptKey, Wanted};
use longhaul_view::{Terminal, fold_redraws, sanitize};
use longhaul_wire::event::LONGEST_TAIL;

/// So many lines are shown, if they are short.
const LINES: u32 = 20;
/// So much is read for them: what a terminal would obey, and what was drawn over, falls out of it.
const READ: u32 = 8_192;
/// So often a page is asked for until the end is reached.
const MOST_PAGES: u32 = 64;

/// The last words of an attempt that ended; none if it said nothing, or if what it said is not kept here.
pub(crate) async fn tail(engine: &Engine, key: AttemptKey) -> Option<String> {
    let size = engine.output_size(key).await.ok()?;
    let lines = engine.output_tail(key, LINES, None).await.ok()?;
    let mut from = lines.max(size.end.saturating_sub(READ.into()));
    let mut bytes = Vec::new();
    for _ in 0..MOST_PAGES {
        let page = engine.output(key, Wanted { from, most: READ, only: None }).await.ok()?;
        bytes.extend(page.chunks.into_iter().flat_map(|chunk| chunk.bytes));
        if page.next >= page.end || page.next <= from {
            break;
        }
        from = page.next;
    }
    Some(shown(&bytes)).filter(|text| !text.is_empty())
}

fn shown(bytes: &[u8]) -> String {
    let mut text = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        text.extend_from_slice(fold_redraws(line));
    }
    let text = String::from_utf8_lossy(&sanitize(&text, Terminal::Plain)).into_owned();
    let text = text.trim_end();
    let begin = text.len().saturating_sub(LONGEST_TAIL);
    let begin = (begin..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    text.get(begin..).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tail_is_short_whole_characters_that_no_terminal_obeys() {
        let long = "größe \u{1b}[31m☃\u{1b}[0m\n".repeat(1_000);
        let text = shown(long.as_bytes());
        assert!(text.len() <= LONGEST_TAIL && text.len() > LONGEST_TAIL - 4, "{}", text.len());
        assert!(!text.contains('\u{1b}') && text.ends_with('☃'));
        assert_eq!(shown(b"10%\r20%\r100%\ndone\n\n"), "100%\ndone");
        assert_eq!(shown(b"\xff\xfe"), "\u{fffd}\u{fffd}");
    }
}
