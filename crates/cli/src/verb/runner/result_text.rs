//! Bounds the text of a result.

use super::tool_run::ToolOutput;

/// Maximum length of a result, in bytes. The output of the process contains the complete text.
const MAX_RESULT_LEN: usize = 32 * 1024;

/// Returns the standard output of a tool. If the text is too long, returns its start and a note with the number of
/// removed bytes.
pub(super) fn bounded(output: &ToolOutput) -> String {
    let text = output.stdout.trim_end_matches(['\r', '\n']);
    let is_whole = output.unkept_len == 0;
    let start = text.get(..text.floor_char_boundary(MAX_RESULT_LEN)).unwrap_or(text);
    if start.len() == text.len() && is_whole {
        return text.to_owned();
    }
    let kept = if is_whole { text } else { output.stdout.as_str() };
    let rest = u64::try_from(kept.len().saturating_sub(start.len())).unwrap_or(u64::MAX);
    format!(
        "{start}\n… {} more bytes are in the output of the process",
        rest.saturating_add(output.unkept_len)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(stdout: String, unkept_len: u64) -> ToolOutput {
        ToolOutput { stdout, unkept_len, ..ToolOutput::default() }
    }

    #[test]
    fn long_result_is_cut_with_the_number_of_all_missing_bytes() {
        assert_eq!(bounded(&output("diff\n".to_owned(), 0)), "diff");
        for (length, unkept_len, more) in [
            (MAX_RESULT_LEN, 0, None),
            (MAX_RESULT_LEN + 5, 0, Some(5)),
            (1 << 20, 2_000_000, Some(3_015_808)),
        ] {
            let text = bounded(&output("x".repeat(length), unkept_len));
            let note = more.map(|more| format!("\n… {more} more bytes are in the output of the process"));
            assert_eq!(text, "x".repeat(MAX_RESULT_LEN) + &note.unwrap_or_default());
        }
        let wide = bounded(&output(format!("x{}", "ü".repeat(MAX_RESULT_LEN)), 0));
        let more = 2 * MAX_RESULT_LEN + 1 - (MAX_RESULT_LEN - 1);
        assert!(wide.ends_with(&format!("ü\n… {more} more bytes are in the output of the process")));
    }
}
