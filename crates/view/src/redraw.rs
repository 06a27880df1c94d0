//! Folding of lines that a program redraws repeatedly, such as progress bars.

/// Returns the last state of a line that was redrawn with carriage returns.
///
/// The last state starts after the last carriage return that is followed by other text. The line ending, and carriage
/// returns directly before it, are preserved. A redraw counts as a replacement of the whole line. If an earlier state
/// is longer, a terminal would still show the end of the earlier state; this function removes it.
///
/// # Examples
///
/// ```
/// use longhaul_view::fold_redraws;
///
/// assert_eq!(fold_redraws(b" 10%\r 50%\r100%\n"), b"100%\n");
/// assert_eq!(fold_redraws(b"an ordinary line\r\n"), b"an ordinary line\r\n");
/// ```
#[must_use]
pub fn fold_redraws(line: &[u8]) -> &[u8] {
    let start = memchr::memrchr(b'\r', drawn(line)).map_or(0, |before| before + 1);
    line.get(start..).unwrap_or_default()
}

/// Returns the line without the carriage returns and line feeds at its end.
fn drawn(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
    line.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn last_redraw_wins() {
        assert_eq!(fold_redraws(b"1\r2\r3"), b"3");
        assert_eq!(fold_redraws(b"1\r2\r3\r\n"), b"3\r\n");
    }

    #[test]
    fn return_that_waits_for_the_next_redraw_hides_nothing() {
        assert_eq!(fold_redraws(b" 50%\r 60%\r"), b" 60%\r");
    }

    #[test]
    fn erased_line_is_folded_to_its_later_text() {
        assert_eq!(fold_redraws(b"long text\r\x1b[Kdone\n"), b"\x1b[Kdone\n");
    }

    #[test]
    fn line_of_only_carriage_returns_is_unchanged() {
        assert_eq!(fold_redraws(b"\r\r\n"), b"\r\r\n");
        assert_eq!(fold_redraws(b""), b"");
    }

    proptest! {
        #[test]
        fn folding_is_an_end_of_the_line_and_settles_at_once(line in "[ab\r]{0,24}\n?") {
            let folded = fold_redraws(line.as_bytes());
            prop_assert!(line.as_bytes().ends_with(folded));
            prop_assert_eq!(fold_redraws(folded), folded);
            prop_assert!(!drawn(folded).contains(&b'\r'));
        }

        #[test]
        fn line_without_returns_is_untouched(line in "[ab ]{0,24}\n?") {
            prop_assert_eq!(fold_redraws(line.as_bytes()), line.as_bytes());
        }
    }
}
