//! Bounds the text of a result.

/// Maximum length of a result, in bytes. The output of the process contains the complete text.
const MAX_RESULT_LEN: usize = 32 * 1024;

/// Returns the text. If the text is too long, returns its start and a note about the removed bytes.
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
