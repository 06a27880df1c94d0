//! Writes JSON output. Control characters are escaped, because the output may be shown on a terminal.

use crate::failure::CliError;
use longhaul_view::clean_json;
use serde::Serialize;

/// Returns the value as JSON on one line.
pub(crate) fn on_one_line<T: Serialize + ?Sized>(value: &T) -> Result<String, CliError> {
    finished(serde_json::to_string(value))
}

/// Returns the value as indented JSON on several lines.
pub(crate) fn indented<T: Serialize + ?Sized>(value: &T) -> Result<String, CliError> {
    finished(serde_json::to_string_pretty(value))
}

fn finished(text: serde_json::Result<String>) -> Result<String, CliError> {
    let text = text.map_err(|error| CliError::Output { source: error.into() })?;
    Ok(format!("{}\n", clean_json(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn untrusted_text_controls_no_terminal_and_is_decoded_unchanged() {
        let steering: String = ('\0'..='\u{9f}')
            .chain("\u{61c}\u{200e}\u{200f}\u{202a}\u{202e}\u{2066}\u{2069}\u{2028}\u{2029}".chars())
            .collect();
        let value = json!({ steering.clone(): [steering, "größe 尺寸 🚀"] });
        for text in [on_one_line(&value).unwrap(), indented(&value).unwrap()] {
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
            let bare: String = text.chars().filter(|c| *c != '\n').collect();
            assert!(!bare.chars().any(char::is_control), "{text}");
            assert!(bare.contains("größe 尺寸 🚀"), "{text}");
            for escaped in
                ["\\u007f", "\\u009b", "\\u009d", "\\u061c", "\\u200f", "\\u202e", "\\u2069", "\\u2028"]
            {
                assert!(text.contains(escaped), "{escaped}: {text}");
            }
        }
    }
}
