//! Bounds the text of a result.

/// Maximum length of a result, in bytes. The complete text is in the output.
const MAX_RESULT_LEN: usize = 32 * 1024;

/// Returns the start of a long text, followed by a note that text was removed.
pub(super) fn bounded(text: &str) -> String {
    let text = text.trim_end_matches(['\r', '\n']);
    let end = text.floor_char_boundary(MAX_RESULT_LEN);
    match text.split_at_checked(end) {
        Some((start, rest)) if !rest.is_empty() => {
            format!("{start}\n… {} more bytes are in the output of the process", rest.len())
        }
        Some(_) | None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_result_is_cut_with_a_note() {
        assert_eq!(bounded("diff\n"), "diff");
        let long = bounded(&"ü".repeat(MAX_RESULT_LEN));
        assert!(
            long.len() < MAX_RESULT_LEN + 80 && long.ends_with("more bytes are in the output of the process")
        );
    }
}
