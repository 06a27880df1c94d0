//! Replaces unsafe characters in names and JSON text that are shown on a terminal.

use std::borrow::Cow;

/// Makes a name safe to display in one table cell on one line.
///
/// Characters that control a terminal or change the direction of text are replaced by visible characters: ASCII control
/// characters by their symbols (`␛` for an escape, `␊` for a line feed), all others by `�`. A safe name is returned
/// unchanged.
///
/// # Examples
///
/// ```
/// use longhaul_view::clean_label;
///
/// assert_eq!(clean_label("nightly build"), "nightly build");
/// assert_eq!(clean_label("a\u{1b}[31mb\n"), "a␛[31mb␊");
/// ```
#[must_use]
pub fn clean_label(name: &str) -> Cow<'_, str> {
    if name.chars().all(|c| shown(c) == c) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.chars().map(shown).collect())
}

/// Escapes characters in JSON text that would control a terminal: control characters, Unicode line separators, and
/// characters that change the direction of text. The JSON value does not change.
///
/// # Examples
///
/// ```
/// use longhaul_view::clean_json;
///
/// assert_eq!(clean_json("{\"a\":\"\u{9b}31m\"}"), r#"{"a":"\u009b31m"}"#);
/// assert_eq!(clean_json("{\n  \"a\": \"ü\"\n}"), "{\n  \"a\": \"ü\"\n}");
/// ```
#[must_use]
pub fn clean_json(text: &str) -> Cow<'_, str> {
    // The JSON serializer has already escaped the ASCII control characters inside strings. The remaining control
    // characters, such as line feeds, are the layout of the text.
    let is_harmful = |c: char| c == '\u{7f}' || (!c.is_ascii() && shown(c) != c);
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if is_harmful(c) {
            clean.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            clean.push(c);
        }
    }
    Cow::Owned(clean)
}

/// Returns true if a character changes the direction of the text around it.
pub(crate) const fn turns_text(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn shown(c: char) -> char {
    match c {
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or(char::REPLACEMENT_CHARACTER),
        '\u{7f}' => '␡',
        '\u{80}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => char::REPLACEMENT_CHARACTER,
        c if turns_text(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn json_text_has_no_character_that_steers_a_terminal() {
        let steering = ('\0'..='\u{ffff}')
            .filter(|c| c.is_control() || turns_text(*c) || "\u{2028}\u{2029}".contains(*c));
        let text: String = steering.chain("ü尺🚀\"\\".chars()).collect();
        let mut quoted = String::from("\"");
        for c in text.chars() {
            match c {
                '"' | '\\' => quoted.extend(['\\', c]),
                c if c < ' ' => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
                c => quoted.push(c),
            }
        }
        quoted.push('"');
        let clean = clean_json(&quoted);
        assert!(clean.chars().all(|c| shown(c) == c), "{clean}");
        assert!(
            clean.contains("\\u009b") && clean.contains("\\u202e") && clean.contains("\\u2028"),
            "{clean}"
        );
        assert!(clean.contains("ü尺🚀"), "{clean}");
    }

    #[test]
    fn harmless_name_is_not_copied() {
        assert!(matches!(clean_label("größe 尺寸 🚀"), Cow::Borrowed(_)));
    }

    #[test]
    fn every_replacement_can_be_seen() {
        assert_eq!(clean_label("\0\t\r\n\u{1b}\u{7f}"), "␀␉␍␊␛␡");
        assert_eq!(clean_label("\u{9b}\u{202e}\u{2066}\u{2028}x"), "����x");
    }

    proptest! {
        #[test]
        fn cleaned_label_is_one_line_without_controls(name in any::<String>()) {
            let label = clean_label(&name);
            prop_assert!(label.chars().all(|c| !c.is_control() && !turns_text(c)));
            prop_assert_eq!(label.chars().count(), name.chars().count());
            prop_assert_eq!(clean_label(&label).into_owned(), label.clone().into_owned());
        }
    }
}
