//! Splits output into the states of its lines, for programs that redraw a line.

/// Maximum length of a segment in bytes. Longer segments are dropped, because they contain no progress bar.
const MAX_SEGMENT_LEN: usize = 1024;

/// Splits output at line feeds and carriage returns. Each state of a redrawn line is therefore a separate segment.
#[derive(Clone, Debug, Default)]
pub(super) struct LineStates {
    held: Vec<u8>,
    is_too_long: bool,
}

impl LineStates {
    /// Adds bytes. Calls `segment` for each segment that ends within these bytes.
    pub(super) fn push(&mut self, bytes: &[u8], mut segment: impl FnMut(&[u8])) {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr2(b'\n', b'\r', rest) {
            let (piece, behind) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            if self.held.is_empty() && !self.is_too_long {
                if piece.len() <= MAX_SEGMENT_LEN {
                    segment(piece);
                }
            } else {
                self.hold(piece);
                self.show(&mut segment);
            }
            self.held.clear();
            self.is_too_long = false;
            rest = behind.get(1..).unwrap_or_default();
        }
        self.hold(rest);
    }

    /// Returns the segment that has not ended yet. A program that redraws a line may end it much later.
    pub(super) fn unfinished(&self) -> &[u8] {
        &self.held
    }

    fn hold(&mut self, bytes: &[u8]) {
        self.is_too_long |= self.held.len().saturating_add(bytes.len()) > MAX_SEGMENT_LEN;
        if self.is_too_long {
            self.held.clear();
        } else {
            self.held.extend_from_slice(bytes);
        }
    }

    fn show(&self, segment: &mut impl FnMut(&[u8])) {
        if !self.held.is_empty() {
            segment(&self.held);
        }
    }
}
