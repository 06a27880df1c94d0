//! Reads a JSON document that arrives in chunks, in bounded memory.

/// Maximum depth of objects and arrays.
const MAX_DEPTH: usize = 64;
/// Maximum length of a key in bytes; the rest is dropped.
const MAX_KEY_LEN: usize = 128;
/// Maximum length of a scalar in bytes, before its escapes are decoded; the rest is dropped.
const MAX_SCALAR_LEN: usize = 32 * 1024;

/// A token of a JSON document.
#[derive(Debug, PartialEq)]
pub(super) enum JsonToken<'a> {
    /// An object or an array starts.
    Open,
    /// An object or an array ends.
    Close,
    /// A string, decoded.
    Text(&'a str),
    /// A number.
    Number(f64),
    /// `true`, `false` or `null`, or an invalid scalar.
    Other(&'a str),
}

/// Splits a JSON document into tokens. Each token is passed on with its path: the keys of all objects around it. The
/// elements of an array have an empty key.
#[derive(Clone, Debug, Default)]
pub(super) struct JsonScanner {
    state: ScannerState,
    /// Keys of the open objects and arrays; the outermost is first.
    path: Vec<Level>,
    held: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Level {
    is_object: bool,
    key: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ScannerState {
    /// Before a key or a value, or before a separator between them.
    #[default]
    Between,
    /// After a colon.
    BeforeValue,
    Text {
        is_key: bool,
        is_escaped: bool,
    },
    /// Inside a number or a word.
    Word,
    /// After the end of the document.
    Ended,
    Invalid,
}

impl JsonScanner {
    /// Returns true if the end of the document was read.
    pub(super) fn has_ended(&self) -> bool {
        self.state == ScannerState::Ended
    }

    /// Returns true if the bytes are not a JSON document.
    pub(super) fn is_invalid(&self) -> bool {
        self.state == ScannerState::Invalid
    }

    /// Reads the next bytes. Returns how many of them belong to the document.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        emit: &mut impl FnMut(&JsonPath<'_>, JsonToken<'_>),
    ) -> usize {
        let mut rest = bytes;
        while let Some(first) = rest.first() {
            let used = match self.state {
                ScannerState::Text { is_key, is_escaped } => self.text(rest, is_key, is_escaped, emit),
                ScannerState::Word => self.word(rest, emit),
                ScannerState::Between | ScannerState::BeforeValue => {
                    self.sign(*first, emit);
                    1
                }
                ScannerState::Ended | ScannerState::Invalid => break,
            };
            rest = rest.get(used..).unwrap_or_default();
        }
        bytes.len().saturating_sub(rest.len())
    }

    fn sign(&mut self, byte: u8, emit: &mut impl FnMut(&JsonPath<'_>, JsonToken<'_>)) {
        let is_object = self.path.last().is_some_and(|level| level.is_object);
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b',' if self.state == ScannerState::Between => {}
            b':' if self.state == ScannerState::Between && is_object => {
                self.state = ScannerState::BeforeValue
            }
            b'{' | b'[' if self.path.len() < MAX_DEPTH => {
                emit(&JsonPath(&self.path), JsonToken::Open);
                self.path.push(Level { is_object: byte == b'{', key: String::new() });
                self.state = ScannerState::Between;
            }
            b'}' | b']' if !self.path.is_empty() && is_object == (byte == b'}') => {
                self.path.pop();
                emit(&JsonPath(&self.path), JsonToken::Close);
                self.end_value();
            }
            b'"' => {
                self.held.clear();
                let is_key = is_object && self.state == ScannerState::Between;
                self.state = ScannerState::Text { is_key, is_escaped: false };
            }
            b'-' | b'0'..=b'9' | b'a'..=b'z' => {
                self.held.clear();
                self.held.push(byte);
                self.state = ScannerState::Word;
            }
            _ => self.state = ScannerState::Invalid,
        }
    }

    fn text(
        &mut self,
        bytes: &[u8],
        is_key: bool,
        is_escaped: bool,
        emit: &mut impl FnMut(&JsonPath<'_>, JsonToken<'_>),
    ) -> usize {
        if is_escaped {
            self.hold(bytes.get(..1).unwrap_or_default());
            self.state = ScannerState::Text { is_key, is_escaped: false };
            return 1;
        }
        let end = memchr::memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len());
        self.hold(bytes.get(..end).unwrap_or_default());
        match bytes.get(end) {
            None => return end,
            Some(b'\\') => {
                self.hold(b"\\");
                self.state = ScannerState::Text { is_key, is_escaped: true };
            }
            Some(_) => {
                let text = decoded(&self.held);
                match self.path.last_mut().filter(|_| is_key) {
                    Some(level) => {
                        level.key.clear();
                        level.key.push_str(crate::bounded_text::cut(&text, MAX_KEY_LEN));
                        self.state = ScannerState::Between;
                    }
                    None => {
                        emit(&JsonPath(&self.path), JsonToken::Text(&text));
                        self.end_value();
                    }
                }
            }
        }
        end.saturating_add(1)
    }

    fn word(&mut self, bytes: &[u8], emit: &mut impl FnMut(&JsonPath<'_>, JsonToken<'_>)) -> usize {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        let end = bytes.iter().position(|byte| !is_part(byte));
        self.hold(bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default());
        let Some(end) = end else { return bytes.len() };
        let word = std::str::from_utf8(&self.held).unwrap_or_default();
        let token = match word {
            "true" | "false" | "null" => JsonToken::Other(word),
            _ => word.parse().map_or(JsonToken::Other(word), JsonToken::Number),
        };
        emit(&JsonPath(&self.path), token);
        self.end_value();
        end
    }

    fn end_value(&mut self) {
        self.state = if self.path.is_empty() { ScannerState::Ended } else { ScannerState::Between };
    }

    fn hold(&mut self, bytes: &[u8]) {
        let room = MAX_SCALAR_LEN.saturating_sub(self.held.len());
        self.held.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }
}

/// Path of a token: the keys of the objects and arrays around it.
pub(super) struct JsonPath<'a>(&'a [Level]);

impl JsonPath<'_> {
    /// Returns true if the path consists of these keys; the outermost is first.
    pub(super) fn is(&self, keys: &[&str]) -> bool {
        self.0.len() == keys.len() && self.0.iter().zip(keys).all(|(level, key)| level.key == *key)
    }

    /// Returns the innermost key if the keys before it are equal to `keys`.
    pub(super) fn key_in(&self, keys: &[&str]) -> Option<&str> {
        let (last, outer) = self.0.split_last()?;
        Self(outer).is(keys).then_some(last.key.as_str())
    }
}

/// Decodes the escapes in a string. If the string was cut in the middle of an escape, this escape is dropped.
fn decoded(raw: &[u8]) -> String {
    let mut text = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        text.extend_from_slice(plain);
        let (c, used) = escaped(escape);
        if let Some(c) = c {
            text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        rest = escape.get(used..).unwrap_or_default();
    }
    text.extend_from_slice(rest);
    crate::bounded_text::clean(&text).into_owned()
}

/// Decodes the escape at the start of the bytes. Returns the character and the length of the escape.
fn escaped(bytes: &[u8]) -> (Option<char>, usize) {
    match bytes.get(1) {
        Some(b'n') => (Some('\n'), 2),
        Some(b't') => (Some('\t'), 2),
        Some(b'r') => (Some('\r'), 2),
        Some(b'b') => (Some('\u{8}'), 2),
        Some(b'f') => (Some('\u{c}'), 2),
        Some(b'u') => match (code(bytes), bytes.get(6..).and_then(code)) {
            (Some(high @ 0xd800..=0xdbff), Some(low @ 0xdc00..=0xdfff)) => {
                let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                (char::from_u32(code), 12)
            }
            (Some(code), _) => (Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)), 6),
            (None, _) => (None, bytes.len().min(6)),
        },
        Some(byte) => (Some(char::from(*byte)), 2),
        None => (None, 1),
    }
}

/// Returns the character code in an escape such as `\u00e4`.
fn code(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tokens(pieces: &[&[u8]]) -> (Vec<String>, bool) {
        let (mut scanner, mut found) = (JsonScanner::default(), Vec::new());
        for piece in pieces {
            scanner.push(piece, &mut |path, token| {
                let keys: Vec<&str> = path.0.iter().map(|level| level.key.as_str()).collect();
                found.push(format!("{} {token:?}", keys.join("/")));
            });
        }
        (found, scanner.has_ended())
    }

    #[test]
    fn scalars_have_their_path() {
        let json = br#" {"a": [1, {"b": "x\n\u00e4\ud83d\ude80\"", "c": null}], "d": -2.5e1} rest"#;
        let expected = [
            " Open",
            "a Open",
            "a/ Number(1.0)",
            "a/ Open",
            "a//b Text(\"x\\nä🚀\\\"\")",
            "a//c Other(\"null\")",
            "a/ Close",
            "a Close",
            "d Number(-25.0)",
            " Close",
        ];
        assert_eq!(tokens(&[json]), (expected.map(str::to_owned).to_vec(), true));
    }

    #[test]
    fn long_scalars_are_cut_and_deep_documents_are_invalid() {
        let json = format!("[\"{}\", 1]", "\\u00e4".repeat(100_000));
        let (mut scanner, mut longest) = (JsonScanner::default(), 0);
        scanner.push(json.as_bytes(), &mut |_, token| {
            if let JsonToken::Text(text) = token {
                longest = text.len();
            }
        });
        assert!(scanner.has_ended() && longest <= MAX_SCALAR_LEN, "{longest}");
        let mut deep = JsonScanner::default();
        deep.push("[".repeat(100_000).as_bytes(), &mut |_, _| {});
        assert!(deep.is_invalid());
    }

    proptest! {
        #[test]
        fn tokens_do_not_depend_on_the_pieces(json in "([{}\\[\\],: a1-]|\"[a\\\\nu0d8]{0,9}\"){0,30}", cut in 0_usize..200) {
            let (first, second) = json.as_bytes().split_at(cut.min(json.len()));
            prop_assert_eq!(tokens(&[first, second]), tokens(&[json.as_bytes()]));
        }
    }
}
