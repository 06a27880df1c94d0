//! The text format of the files `identity` and `exit`: `key=value` lines with a checksum.
//!
//! The first line names the format and its version. The last line is `end=<crc32>`, the checksum of all lines before
//! it. Values are percent-escaped, so that a value cannot contain a line break. Readers ignore unknown keys.

use std::fmt;

/// Maximum length in bytes of a record that is read or written.
pub const MAX_RECORD_LEN: usize = 64 << 10;

/// Reason why bytes are not a valid record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordError {
    /// The content does not start with the line that names the expected format.
    NotARecord,
    /// The record has a format version that this library does not read.
    UnknownVersion,
    /// The checksum is absent or wrong: the record was truncated or changed.
    Torn,
    /// The record is longer than [`MAX_RECORD_LEN`].
    TooLong {
        /// Length of the record in bytes.
        length: usize,
    },
    /// A required key is absent.
    Missing {
        /// Name of the absent key.
        key: &'static str,
    },
    /// The value of a key has the wrong format.
    BadValue {
        /// Name of the key with the wrong value.
        key: &'static str,
    },
}

impl fmt::Display for RecordError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotARecord => out.write_str("not a record of an attempt"),
            Self::UnknownVersion => out.write_str("record of an unknown version"),
            Self::Torn => out.write_str("the record is truncated or changed"),
            Self::TooLong { length } => {
                write!(out, "the record has {length} bytes; at most {MAX_RECORD_LEN} are allowed")
            }
            Self::Missing { key } => write!(out, "record has no {key}"),
            Self::BadValue { key } => write!(out, "the record has a {key} of the wrong type"),
        }
    }
}

impl std::error::Error for RecordError {}

/// Builder for a text record, which is built line by line.
pub(crate) struct RecordWriter {
    bytes: Vec<u8>,
}

impl RecordWriter {
    pub(crate) fn new(form: &str) -> Self {
        Self { bytes: format!("{form} 1\n").into_bytes() }
    }

    pub(crate) fn bytes(&mut self, key: &str, value: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(key.as_bytes());
        self.bytes.push(b'=');
        for byte in value {
            if byte.is_ascii_graphic() && *byte != b'%' || *byte == b' ' {
                self.bytes.push(*byte);
            } else {
                self.bytes.extend_from_slice(format!("%{byte:02x}").as_bytes());
            }
        }
        self.bytes.push(b'\n');
        self
    }

    pub(crate) fn text(&mut self, key: &str, value: impl fmt::Display) -> &mut Self {
        self.bytes(key, value.to_string().as_bytes())
    }

    /// Adds a line to the record if the value is present.
    pub(crate) fn some(&mut self, key: &str, value: Option<impl fmt::Display>) -> &mut Self {
        if let Some(value) = value {
            self.text(key, value);
        }
        self
    }

    pub(crate) fn finish(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.bytes);
        let end = format!("end={:08x}\n", crc32(&bytes));
        bytes.extend_from_slice(end.as_bytes());
        bytes
    }
}

/// Lines of a text record whose checksum is correct.
pub(crate) struct RecordLines {
    lines: Vec<(Vec<u8>, Vec<u8>)>,
}

impl RecordLines {
    pub(crate) fn read(form: &str, bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > MAX_RECORD_LEN {
            return Err(RecordError::TooLong { length: bytes.len() });
        }
        let head = [form.as_bytes(), b" "].concat();
        let rest = bytes.strip_prefix(head.as_slice()).ok_or(RecordError::NotARecord)?;
        let body = checked_body(bytes).ok_or(RecordError::Torn)?;
        if !rest.starts_with(b"1\n") {
            return Err(RecordError::UnknownVersion);
        }
        let mut lines = Vec::new();
        for line in body.split(|byte| *byte == b'\n').skip(1).filter(|line| !line.is_empty()) {
            let mut parts = line.splitn(2, |byte| *byte == b'=');
            if let (Some(key), Some(value)) = (parts.next(), parts.next()) {
                lines.push((key.to_vec(), unescaped(value).ok_or(RecordError::Torn)?));
            }
        }
        Ok(Self { lines })
    }

    pub(crate) fn bytes(&self, key: &'static str) -> Option<&[u8]> {
        let line = self.lines.iter().find(|(each, _)| each == key.as_bytes());
        line.map(|(_, value)| value.as_slice())
    }

    pub(crate) fn text(&self, key: &'static str) -> Result<Option<&str>, RecordError> {
        let bytes = self.bytes(key);
        bytes.map(std::str::from_utf8).transpose().map_err(|_| RecordError::BadValue { key })
    }

    pub(crate) fn parsed<T: std::str::FromStr>(&self, key: &'static str) -> Result<Option<T>, RecordError> {
        let text = self.text(key)?;
        text.map(str::parse).transpose().map_err(|_| RecordError::BadValue { key })
    }

    pub(crate) fn needed<T: std::str::FromStr>(&self, key: &'static str) -> Result<T, RecordError> {
        self.parsed(key)?.ok_or(RecordError::Missing { key })
    }

    pub(crate) fn number(&self, key: &'static str) -> Result<u64, RecordError> {
        Ok(self.parsed(key)?.unwrap_or(0))
    }

    pub(crate) fn flag(&self, key: &'static str) -> Result<bool, RecordError> {
        Ok(self.number(key)? != 0)
    }
}

/// Returns the bytes that the checksum in the last line covers, or `None` if the checksum is wrong.
fn checked_body(bytes: &[u8]) -> Option<&[u8]> {
    let text = bytes.strip_suffix(b"\n")?;
    let begin = text.iter().rposition(|byte| *byte == b'\n')?.checked_add(1)?;
    let (_, last) = text.split_at_checked(begin)?;
    let stated = last.strip_prefix(b"end=")?;
    let (body, _) = bytes.split_at_checked(begin)?;
    // Compare the checksums as text. A comparison as numbers would accept another spelling of the same number, such as
    // upper case, and thus an undetected change.
    (format!("{:08x}", crc32(body)).as_bytes() == stated).then_some(body)
}

fn unescaped(value: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let (digits, after) = after.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    Some(bytes)
}

/// Computes the CRC-32 that zip and Ethernet use. The computation is bit by bit, because records are short and a table
/// would cost memory in every shim.
fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
        }
    }
    !sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_the_well_known_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn newline_in_a_value_makes_no_line() {
        let bytes = RecordWriter::new("form").bytes("a", b"x\nb=1\n%\xff").finish();
        let lines = RecordLines::read("form", &bytes).unwrap();
        assert_eq!(lines.bytes("a"), Some(&b"x\nb=1\n%\xff"[..]));
        assert_eq!(lines.bytes("b"), None);
    }

    #[test]
    fn record_cut_at_any_byte_is_refused() {
        let bytes = RecordWriter::new("form").text("a", 1).text("b", "two").finish();
        for cut in 0..bytes.len() {
            assert!(RecordLines::read("form", &bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn record_with_any_bit_flipped_is_refused() {
        let bytes = RecordWriter::new("form").text("a", 1).text("b", "two").finish();
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[place] ^= 1 << bit;
                assert!(RecordLines::read("form", &changed).is_err(), "bit {bit} of byte {place}");
            }
        }
    }

    #[test]
    fn oversized_record_is_refused_before_it_is_looked_at() {
        let bytes = vec![b'x'; MAX_RECORD_LEN + 1];
        let error = RecordLines::read("form", &bytes).err();
        assert_eq!(error, Some(RecordError::TooLong { length: MAX_RECORD_LEN + 1 }));
    }

    #[test]
    fn other_version_is_named_as_such() {
        let mut bytes = b"form 2\n".to_vec();
        let end = format!("end={:08x}\n", crc32(&bytes));
        bytes.extend_from_slice(end.as_bytes());
        assert_eq!(RecordLines::read("form", &bytes).err(), Some(RecordError::UnknownVersion));
    }
}
