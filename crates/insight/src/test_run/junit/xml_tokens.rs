//! Splits XML that arrives in chunks into tokens, in bounded memory.

use quick_xml::escape::resolve_xml_entity;

/// Maximum length in bytes of the name of an element or attribute; the rest is dropped.
const MAX_NAME_LEN: usize = 64;
/// Maximum length in bytes of an attribute value; the rest is dropped.
const MAX_VALUE_LEN: usize = 16 * 1024;
/// Maximum number of attributes of an element; further attributes are dropped.
const MAX_ATTRIBUTES: usize = 24;
/// Maximum length of a reference such as `&#x1F680;`. Longer references are treated as text.
const MAX_REFERENCE_LEN: usize = 12;

/// A token of an XML document.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum XmlToken<'a> {
    /// A start tag.
    Start {
        /// Name of the element.
        name: &'a [u8],
        /// Names and values of the attributes, decoded.
        attributes: &'a [XmlAttribute],
        /// True for an empty element such as `<a/>`. No end tag follows.
        is_empty: bool,
    },
    /// An end tag.
    End {
        /// Name of the element.
        name: &'a [u8],
    },
    /// Decoded text.
    Text(&'a [u8]),
    /// The document declares entities or is not XML. The value is the reason. No further tokens follow.
    Refused(&'static str),
}

/// An attribute of a start tag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct XmlAttribute {
    /// Name.
    pub(super) name: Vec<u8>,
    /// Decoded value.
    pub(super) value: Vec<u8>,
}

/// Splits XML into tokens. Entities that a document declares are never expanded.
#[derive(Clone, Debug, Default)]
pub(super) struct XmlTokens {
    state: XmlState,
    /// Name of the current tag.
    name: Vec<u8>,
    /// Attributes of the current tag. Only the first `used` entries are valid; the other entries remain so that their
    /// memory can be reused.
    attributes: Vec<XmlAttribute>,
    used: usize,
    /// Bytes of the current reference or of the start of a declaration.
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum XmlState {
    #[default]
    Text,
    /// After `&` in text.
    TextReference,
    /// Behind `<`.
    Open,
    StartName,
    /// Between the attributes of a start tag.
    Inside,
    AttributeName,
    /// After the name of an attribute.
    BeforeValue,
    Value(u8),
    /// After `&` in an attribute value.
    ValueReference(u8),
    /// After `/` in a start tag.
    Closing,
    EndName,
    /// Behind `<!`.
    Declaration,
    /// In a comment, with the number of consecutive `-` just before.
    Comment(u8),
    /// In CDATA, with the number of consecutive `]` just before.
    Data(u8),
    /// In `<!DOCTYPE …>`, with the nesting depth of `[`.
    Doctype(u8),
    /// In `<? … ?>`; true if the last byte was `?`.
    Instruction(bool),
    Refused,
}

impl XmlTokens {
    /// Returns true if the document may end here, because no tag, comment or similar construct is open.
    pub(super) const fn is_between(&self) -> bool {
        matches!(self.state, XmlState::Text | XmlState::TextReference)
    }

    /// Reads the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8], emit: &mut impl FnMut(XmlToken<'_>)) {
        let mut rest = bytes;
        while let Some(first) = rest.first() {
            let used = match self.state {
                XmlState::Text => self.text(rest, emit),
                XmlState::Value(quote) => self.value(rest, quote),
                XmlState::Comment(dashes) => self.comment(rest, dashes),
                XmlState::Data(brackets) => self.data(rest, brackets, emit),
                XmlState::Refused => return,
                XmlState::TextReference
                | XmlState::Open
                | XmlState::StartName
                | XmlState::Inside
                | XmlState::AttributeName
                | XmlState::BeforeValue
                | XmlState::ValueReference(_)
                | XmlState::Closing
                | XmlState::EndName
                | XmlState::Declaration
                | XmlState::Doctype(_)
                | XmlState::Instruction(_) => self.byte(*first, emit),
            };
            rest = rest.get(used..).unwrap_or_default();
        }
    }

    fn text(&mut self, bytes: &[u8], emit: &mut impl FnMut(XmlToken<'_>)) -> usize {
        let end = memchr::memchr2(b'<', b'&', bytes).unwrap_or(bytes.len());
        let (text, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
        if !text.is_empty() {
            emit(XmlToken::Text(text));
        }
        match rest.first() {
            Some(b'<') => self.state = XmlState::Open,
            Some(_) => self.reference(XmlState::TextReference),
            None => return end,
        }
        end.saturating_add(1)
    }

    fn value(&mut self, bytes: &[u8], quote: u8) -> usize {
        let end = memchr::memchr2(quote, b'&', bytes).unwrap_or(bytes.len());
        let (text, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
        self.push_value(text);
        match rest.first() {
            Some(b'&') => self.reference(XmlState::ValueReference(quote)),
            Some(_) => self.state = XmlState::Inside,
            None => return end,
        }
        end.saturating_add(1)
    }

    fn comment(&mut self, bytes: &[u8], dashes: u8) -> usize {
        match bytes.first() {
            Some(b'-') => self.state = XmlState::Comment(dashes.saturating_add(1).min(2)),
            Some(b'>') if dashes == 2 => self.state = XmlState::Text,
            Some(_) | None => {
                self.state = XmlState::Comment(0);
                return memchr::memchr(b'-', bytes).unwrap_or(bytes.len()).max(1);
            }
        }
        1
    }

    fn data(&mut self, bytes: &[u8], brackets: u8, emit: &mut impl FnMut(XmlToken<'_>)) -> usize {
        match (bytes.first(), brackets) {
            (Some(b'>'), 2) => self.state = XmlState::Text,
            (Some(b']'), 0 | 1) => self.state = XmlState::Data(brackets + 1),
            (Some(b']'), _) => emit(XmlToken::Text(b"]")),
            _ => {
                let end = memchr::memchr(b']', bytes).unwrap_or(bytes.len()).max(1);
                if brackets > 0 {
                    emit(XmlToken::Text(b"]]".get(..usize::from(brackets)).unwrap_or_default()));
                }
                emit(XmlToken::Text(bytes.get(..end).unwrap_or_default()));
                self.state = XmlState::Data(0);
                return end;
            }
        }
        1
    }

    /// Reads one byte. Returns how many bytes were consumed.
    fn byte(&mut self, byte: u8, emit: &mut impl FnMut(XmlToken<'_>)) -> usize {
        match (self.state, byte) {
            (XmlState::TextReference, _) => return self.text_reference(byte, emit),
            (XmlState::ValueReference(quote), _) => return self.value_reference(byte, quote),
            (XmlState::Open, b'/') => self.start_name(XmlState::EndName, None),
            (XmlState::Open, b'?') => self.state = XmlState::Instruction(false),
            (XmlState::Open, b'!') => {
                self.held.clear();
                self.state = XmlState::Declaration;
            }
            (XmlState::Open, _) if is_name(byte) => self.start_name(XmlState::StartName, Some(byte)),
            (XmlState::Open, _) => self.refuse("a tag has no name", emit),
            (XmlState::StartName, _) if is_name(byte) => push_bounded(&mut self.name, byte, MAX_NAME_LEN),
            (XmlState::StartName | XmlState::Inside, b'/') => self.state = XmlState::Closing,
            (XmlState::StartName | XmlState::Inside, b'>') => self.end_start(false, emit),
            (XmlState::Closing, b'>') => self.end_start(true, emit),
            (XmlState::StartName | XmlState::Inside, _) if is_space(byte) => self.state = XmlState::Inside,
            (XmlState::Inside, _) if is_name(byte) => self.start_attribute(byte),
            (XmlState::AttributeName, _) if is_name(byte) => self.push_attribute_name(byte),
            (XmlState::AttributeName | XmlState::BeforeValue, b'=') => self.state = XmlState::BeforeValue,
            (XmlState::BeforeValue, b'"' | b'\'') => self.state = XmlState::Value(byte),
            (XmlState::AttributeName | XmlState::BeforeValue, _) if is_space(byte) => {
                self.state = XmlState::BeforeValue
            }
            (XmlState::EndName, b'>') => {
                self.state = XmlState::Text;
                emit(XmlToken::End { name: &self.name });
            }
            (XmlState::EndName, _) if is_name(byte) => push_bounded(&mut self.name, byte, MAX_NAME_LEN),
            (XmlState::EndName, _) if is_space(byte) => {}
            (XmlState::Declaration, _) => self.declaration(byte, emit),
            (XmlState::Doctype(depth), _) => self.doctype(byte, depth, emit),
            (XmlState::Instruction(true), b'>') => self.state = XmlState::Text,
            (XmlState::Instruction(_), _) => self.state = XmlState::Instruction(byte == b'?'),
            _ => self.refuse("a tag is malformed", emit),
        }
        1
    }

    fn start_name(&mut self, state: XmlState, first: Option<u8>) {
        self.name.clear();
        self.name.extend(first);
        self.used = 0;
        self.state = state;
    }

    fn end_start(&mut self, is_empty: bool, emit: &mut impl FnMut(XmlToken<'_>)) {
        self.state = XmlState::Text;
        let attributes = self.attributes.get(..self.used).unwrap_or_default();
        emit(XmlToken::Start { name: &self.name, attributes, is_empty });
    }

    fn start_attribute(&mut self, first: u8) {
        self.state = XmlState::AttributeName;
        // If there are too many attributes, each further attribute overwrites the last stored attribute.
        if self.used < MAX_ATTRIBUTES {
            self.used = self.used.saturating_add(1);
            if self.attributes.len() < self.used {
                self.attributes.push(XmlAttribute::default());
            }
        }
        if let Some(attribute) = self.attribute() {
            attribute.name.clear();
            attribute.value.clear();
            attribute.name.push(first);
        }
    }

    fn attribute(&mut self) -> Option<&mut XmlAttribute> {
        self.attributes.get_mut(self.used.checked_sub(1)?)
    }

    fn push_attribute_name(&mut self, byte: u8) {
        if let Some(attribute) = self.attribute() {
            push_bounded(&mut attribute.name, byte, MAX_NAME_LEN);
        }
    }

    fn push_value(&mut self, bytes: &[u8]) {
        if let Some(attribute) = self.attribute() {
            let room = MAX_VALUE_LEN.saturating_sub(attribute.value.len());
            attribute.value.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        }
    }

    fn reference(&mut self, state: XmlState) {
        self.held.clear();
        self.state = state;
    }

    fn text_reference(&mut self, byte: u8, emit: &mut impl FnMut(XmlToken<'_>)) -> usize {
        if !self.reads_reference(byte) {
            let mut text = [0; 4];
            match decoded(&self.held).filter(|_| byte == b';') {
                Some(c) => emit(XmlToken::Text(c.encode_utf8(&mut text).as_bytes())),
                None => {
                    emit(XmlToken::Text(b"&"));
                    emit(XmlToken::Text(&self.held));
                    self.state = XmlState::Text;
                    return 0;
                }
            }
            self.state = XmlState::Text;
        }
        1
    }

    fn value_reference(&mut self, byte: u8, quote: u8) -> usize {
        if !self.reads_reference(byte) {
            let held = std::mem::take(&mut self.held);
            let mut text = [0; 4];
            let decoded = decoded(&held).filter(|_| byte == b';');
            match decoded {
                Some(c) => self.push_value(c.encode_utf8(&mut text).as_bytes()),
                None => {
                    self.push_value(b"&");
                    self.push_value(&held);
                }
            }
            self.held = held;
            self.state = XmlState::Value(quote);
            return usize::from(decoded.is_some());
        }
        1
    }

    /// Adds a byte to the current reference. Returns false if the reference ended before this byte.
    fn reads_reference(&mut self, byte: u8) -> bool {
        let is_part = (byte.is_ascii_alphanumeric() || byte == b'#') && self.held.len() < MAX_REFERENCE_LEN;
        if is_part {
            self.held.push(byte);
        }
        is_part
    }

    fn declaration(&mut self, byte: u8, emit: &mut impl FnMut(XmlToken<'_>)) {
        self.held.push(byte);
        match self.held.as_slice() {
            b"--" => self.state = XmlState::Comment(0),
            b"[CDATA[" => self.state = XmlState::Data(0),
            b"DOCTYPE" => {
                self.held.clear();
                self.state = XmlState::Doctype(0);
            }
            held if [&b"--"[..], b"[CDATA[", b"DOCTYPE"].iter().any(|start| start.starts_with(held)) => {}
            _ => self.refuse("a declaration is unknown", emit),
        }
    }

    fn doctype(&mut self, byte: u8, depth: u8, emit: &mut impl FnMut(XmlToken<'_>)) {
        if self.held.len() >= b"<!ENTITY".len() {
            self.held.remove(0);
        }
        self.held.push(byte);
        match byte {
            _ if self.held.ends_with(b"<!ENTITY") => self.refuse("the report declares entities", emit),
            b'[' => self.state = XmlState::Doctype(depth.saturating_add(1)),
            b']' => self.state = XmlState::Doctype(depth.saturating_sub(1)),
            b'>' if depth == 0 => self.state = XmlState::Text,
            _ => {}
        }
    }

    fn refuse(&mut self, why: &'static str, emit: &mut impl FnMut(XmlToken<'_>)) {
        self.state = XmlState::Refused;
        emit(XmlToken::Refused(why));
    }
}

fn push_bounded(bytes: &mut Vec<u8>, byte: u8, limit: usize) {
    if bytes.len() < limit {
        bytes.push(byte);
    }
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':') || byte >= 0x80
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Returns the character for a reference such as `lt` or `#10`.
fn decoded(reference: &[u8]) -> Option<char> {
    let reference = std::str::from_utf8(reference).ok()?;
    let Some(number) = reference.strip_prefix('#') else {
        return resolve_xml_entity(reference)?.chars().next();
    };
    let number = match number.strip_prefix('x') {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => number.parse(),
    };
    char::from_u32(number.ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tokens(pieces: &[&[u8]]) -> Vec<String> {
        let (mut xml, mut found) = (XmlTokens::default(), Vec::new());
        let mut text = String::new();
        for piece in pieces {
            xml.push(piece, &mut |token| {
                if let XmlToken::Text(piece) = token {
                    text.push_str(&String::from_utf8_lossy(piece));
                    return;
                }
                if !text.is_empty() {
                    found.push(std::mem::take(&mut text));
                }
                let shown = String::from_utf8_lossy;
                found.push(match token {
                    XmlToken::Start { name, attributes, is_empty } => {
                        let attributes: String = attributes
                            .iter()
                            .map(|each| format!(" {}={}", shown(&each.name), shown(&each.value)))
                            .collect();
                        format!("<{}{attributes}{}", shown(name), if is_empty { "/>" } else { ">" })
                    }
                    XmlToken::End { name } => format!("</{}>", shown(name)),
                    XmlToken::Refused(why) => why.to_owned(),
                    XmlToken::Text(_) => String::new(),
                });
            });
        }
        found.extend(Some(text).filter(|text| !text.is_empty()));
        found
    }

    #[test]
    fn tags_texts_and_references_are_read() {
        let xml = b"<?xml version='1.0'?><!-- a - -- <b> --><a x = '1&lt;2' y=\"&#10;&#x41;&no;&\"><b/>&amp;\
            <![CDATA[<c>]] ]]]>&unknown; &</a >";
        let expected = ["<a x=1<2 y=\nA&no;&>", "<b/>", "&<c>]] ]&unknown; &", "</a>"];
        assert_eq!(tokens(&[xml]), expected);
    }

    #[test]
    fn declared_entities_are_refused() {
        let bomb = b"<!DOCTYPE a [<!ENTITY b \"ha\"><!ENTITY c \"&b;&b;\">]><a>&c;</a>";
        assert_eq!(tokens(&[bomb]), ["the report declares entities"]);
        assert_eq!(tokens(&[b"<!DOCTYPE a [<!ELEMENT a ANY>]><a/>"]), ["<a/>"]);
        assert_eq!(tokens(&[b"1 < 2"]), ["1 ", "a tag has no name"]);
    }

    #[test]
    fn names_values_and_attributes_are_bounded() {
        let long = "n".repeat(100_000);
        let many = " a='1'".repeat(1000);
        let mut xml = XmlTokens::default();
        let (mut longest, mut most) = (0, 0);
        xml.push(format!("<{long} {long}='{long}'{many}/>").as_bytes(), &mut |token| {
            if let XmlToken::Start { name, attributes, .. } = token {
                longest = name.len().max(attributes[0].value.len());
                most = attributes.len();
            }
        });
        assert_eq!((longest, most), (MAX_VALUE_LEN, MAX_ATTRIBUTES));
    }

    proptest! {
        #[test]
        fn tokens_do_not_depend_on_the_pieces(
            xml in "([ a<>&;/!'\"=\\[\\]-]|CDATA|DOCTYPE|&lt;|<a>|<!--|<!\\[CDATA\\[|ENTITY){0,40}",
            cut in 0_usize..120,
        ) {
            let (first, second) = xml.as_bytes().split_at(cut.min(xml.len()));
            prop_assert_eq!(tokens(&[first, second]), tokens(&[xml.as_bytes()]));
        }
    }
}
