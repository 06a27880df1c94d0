//! Prepares output for display. No control sequence may reach the terminal, and the result must not depend on how the
//! bytes are split into chunks.

use super::Verdict;
use longhaul_view::{Sanitizer, TerminalPolicy, clean_label, fold_redraws, last_lines, sanitize};

pub(super) fn take(bytes: &[u8]) -> Verdict {
    let plain = sanitize(bytes, TerminalPolicy::Plain);
    let tame = |byte: &u8| *byte >= 0x20 && *byte != 0x7f || matches!(*byte, b'\n' | b'\r' | b'\t');
    assert!(plain.iter().all(tame), "a control byte is displayed: {plain:?}");
    assert_eq!(sanitize(&plain, TerminalPolicy::Plain), plain, "clean output is changed");
    for terminal in [TerminalPolicy::Plain, TerminalPolicy::Colour] {
        let half = bytes.len() / 2;
        let (mut sanitizer, mut pieces) = (Sanitizer::new(terminal), Vec::new());
        sanitizer.push(&bytes[..half], &mut pieces);
        sanitizer.push(&bytes[half..], &mut pieces);
        sanitizer.finish(&mut pieces);
        assert_eq!(pieces, sanitize(bytes, terminal), "the result depends on how the bytes are split");
    }
    let last = last_lines(bytes, 2);
    assert!(bytes.ends_with(last), "the last lines are not at the end");
    assert!(fold_redraws(bytes).len() <= bytes.len(), "folding makes the output longer");
    let text = std::str::from_utf8(bytes).map_err(|_| "the input is not text".to_owned())?;
    let label = clean_label(text);
    assert!(!label.chars().any(char::is_control), "a label contains a control character: {label:?}");
    Ok(())
}
