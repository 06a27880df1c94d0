//! Finds the byte positions of an object and its members in JSON text.

use std::ops::Range;

/// Byte positions of an object and its members in JSON text.
pub(super) struct ObjectSpan {
    open: usize,
    close: usize,
    /// Byte ranges of the key and the value of each member.
    members: Vec<(Range<usize>, Range<usize>)>,
}

impl ObjectSpan {
    /// Returns the top-level object of the text.
    pub(super) fn top(text: &str) -> Option<Self> {
        Self::at(text, text.find('{')?)
    }

    /// Returns the object that begins at byte offset `open`. Returns `None` if no complete object begins at this
    /// offset.
    pub(super) fn at(text: &str, open: usize) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.get(open) != Some(&b'{') {
            return None;
        }
        let mut members = Vec::new();
        let mut place = skipped(bytes, open + 1)?;
        loop {
            match bytes.get(place)? {
                b'}' => return Some(Self { open, close: place, members }),
                b',' => place = skipped(bytes, place + 1)?,
                _ => {
                    let key = place..value_end(bytes, place)?;
                    let colon = skipped(bytes, key.end)?;
                    let start = skipped(bytes, colon + 1)?;
                    let value = start..value_end(bytes, start)?;
                    place = skipped(bytes, value.end)?;
                    members.push((key, value));
                }
            }
        }
    }

    /// Returns the positions of the object that is the value of the member `name`.
    pub(super) fn object(&self, text: &str, name: &str) -> Option<Self> {
        Self::at(text, self.value_of(text, name)?.start)
    }

    /// Returns the byte range of the value of the member `name`.
    pub(super) fn value_of(&self, text: &str, name: &str) -> Option<Range<usize>> {
        // If several members have the same name, JSON parsers use the last of them.
        let mut found = self.members.iter().rev();
        let is_named = |key: &Range<usize>| {
            text.get(key.clone()).and_then(|key| serde_json::from_str::<String>(key).ok()).as_deref()
                == Some(name)
        };
        found.find(|(key, _)| is_named(key)).map(|(_, value)| value.clone())
    }

    /// Returns the indentation of the first member. Returns `None` if other text precedes that member on its line.
    pub(super) fn indent(&self, text: &str) -> Option<String> {
        let (key, _) = self.members.first()?;
        let before = text.get(self.open + 1..key.start)?;
        let line = before.rsplit_once('\n')?.1;
        line.chars().all(|c| c == ' ' || c == '\t').then(|| line.to_owned()).filter(|line| !line.is_empty())
    }

    /// Returns the text with another member at the end of this object. `depth` is the nesting depth of the object, and
    /// `unit` is the indentation of one level.
    ///
    /// Inside an entry, the new member is added to the same line if all existing members share one line. In the outer
    /// objects, whose members are whole entries, the new member always gets separate lines, because entries are easier
    /// to read that way.
    pub(super) fn with(&self, text: &str, member: &str, unit: &str, depth: usize, newline: &str) -> String {
        let place = self.members.last().map_or(self.open + 1, |(_, value)| value.end);
        let comma = if self.members.is_empty() { "" } else { "," };
        let tail = text.get(place..self.close).unwrap_or_default();
        let (before, after) =
            (text.get(..place).unwrap_or_default(), text.get(self.close..).unwrap_or_default());
        let shares_a_line = !text.get(self.open..self.close).unwrap_or_default().contains('\n');
        if depth > 1 && shares_a_line && !self.members.is_empty() {
            return format!("{before}, {member}{tail}{after}");
        }
        let outer = unit.repeat(depth);
        let inner = self.indent(text).unwrap_or_else(|| format!("{outer}{unit}"));
        let end = if tail.contains('\n') { tail.to_owned() } else { format!("{newline}{outer}") };
        format!("{before}{comma}{newline}{inner}{member}{end}{after}")
    }
}

fn skipped(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.iter().position(|byte| !byte.is_ascii_whitespace()).map(|skipped| from + skipped)
}

/// Returns the end offset of the JSON value that starts at `start`.
fn value_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut place = start;
    loop {
        match bytes.get(place)? {
            b'"' => {
                place = string_end(bytes, place)?;
                if depth == 0 {
                    return Some(place);
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return Some(place),
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(place + 1);
                }
            }
            b',' | b':' if depth == 0 => return Some(place),
            byte if depth == 0 && byte.is_ascii_whitespace() => return Some(place),
            _ => {}
        }
        place += 1;
    }
}

fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut place = start + 1;
    loop {
        match bytes.get(place)? {
            b'\\' => place += 2,
            b'"' => return Some(place + 1),
            _ => place += 1,
        }
    }
}
