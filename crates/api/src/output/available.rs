//! Reads the stored output tail of an attempt through the interface of an output log. The part before the tail counts
//! as a gap.

use longhaul_domain::AttemptNo;
use longhaul_engine::ports::{OutputChunk, OutputPage, OutputRead, OutputSize, OutputSource, OutputTail};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AvailableOutput {
    pub(crate) attempt: AttemptNo,
    pub(crate) tail: OutputTail,
}

impl AvailableOutput {
    pub(super) fn size(&self) -> OutputSize {
        let begin = self.tail.begin();
        OutputSize {
            end: self.tail.total,
            gap: (begin > 0).then_some((0, begin)),
            last_at: self.tail.chunks.last().map(|chunk| chunk.at),
        }
    }

    pub(super) fn read(&self, wanted: OutputRead) -> OutputPage {
        let begin = self.tail.begin();
        let from = wanted.from.max(begin);
        let mut left = usize::try_from(wanted.limit).unwrap_or(usize::MAX);
        let (mut chunks, mut next) = (Vec::new(), from);
        for chunk in &self.tail.chunks {
            let end = chunk.offset.saturating_add(wide(chunk.bytes.len()));
            if end <= from {
                continue;
            }
            if wanted.only.is_none_or(|only| only == chunk.source) {
                if left == 0 {
                    break;
                }
                let piece = cut(chunk, from, left);
                left = left.saturating_sub(piece.bytes.len());
                next = piece.offset.saturating_add(wide(piece.bytes.len()));
                chunks.push(piece);
                if next < end {
                    break;
                }
            } else {
                next = end;
            }
        }
        if left > 0 {
            next = next.max(self.tail.total);
        }
        OutputPage { chunks, next, gap: from.saturating_sub(wanted.from), end: self.tail.total }
    }

    /// Returns the offset at which the last `lines` lines start. If they start before the tail, returns the start of
    /// the tail.
    pub(super) fn last_lines(&self, lines: u32, only: Option<OutputSource>) -> u64 {
        let mut begin = self.tail.total;
        let mut left = u64::from(lines);
        let mut is_last = true;
        for chunk in
            self.tail.chunks.iter().rev().filter(|chunk| only.is_none_or(|only| only == chunk.source))
        {
            for (place, byte) in chunk.bytes.iter().enumerate().rev() {
                // A line feed at the very end of the output terminates the last line and does not start another one.
                if *byte == b'\n' && !std::mem::take(&mut is_last) {
                    left = left.saturating_sub(1);
                }
                is_last = false;
                if left == 0 {
                    return begin;
                }
                begin = chunk.offset.saturating_add(wide(place));
            }
        }
        begin
    }
}

/// Returns at most `limit` bytes of a chunk, starting at an offset.
fn cut(chunk: &OutputChunk, from: u64, limit: usize) -> OutputChunk {
    let skip = usize::try_from(from.saturating_sub(chunk.offset)).unwrap_or(usize::MAX);
    let bytes: Vec<u8> = chunk.bytes.iter().copied().skip(skip).take(limit).collect();
    OutputChunk { offset: chunk.offset.max(from), bytes, ..chunk.clone() }
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::Timestamp;

    fn kept() -> AvailableOutput {
        let chunk = |offset, source, text: &str| OutputChunk {
            offset,
            source,
            at: Timestamp(3),
            bytes: text.as_bytes().to_vec(),
        };
        let chunks = vec![
            chunk(100, OutputSource::Stdout, "one\ntwo\n"),
            chunk(108, OutputSource::Stderr, "oh\n"),
            chunk(111, OutputSource::Stdout, "three\nfour"),
        ];
        AvailableOutput { attempt: AttemptNo(1), tail: OutputTail { total: 121, chunks } }
    }

    fn text(wanted: OutputRead) -> (String, u64, u64) {
        let page = kept().read(wanted);
        let bytes: Vec<u8> = page.chunks.iter().flat_map(|chunk| chunk.bytes.clone()).collect();
        (String::from_utf8(bytes).unwrap(), page.next, page.gap)
    }

    #[test]
    fn offsets_are_those_of_the_whole_output() {
        let wanted = |from, limit| OutputRead { from, limit, only: None };
        assert_eq!(kept().size().gap, Some((0, 100)));
        assert_eq!(text(wanted(0, 1_000)), ("one\ntwo\noh\nthree\nfour".to_owned(), 121, 100));
        assert_eq!(text(wanted(104, 5)), ("two\no".to_owned(), 109, 0));
        assert_eq!(text(wanted(109, 1_000)), ("h\nthree\nfour".to_owned(), 121, 0));
        assert_eq!(text(wanted(121, 10)), (String::new(), 121, 0));
        let only = OutputRead { only: Some(OutputSource::Stderr), ..wanted(0, 1_000) };
        assert_eq!(text(only), ("oh\n".to_owned(), 121, 100));
        let one = OutputRead { only: Some(OutputSource::Stdout), ..wanted(104, 4) };
        assert_eq!(text(one), ("two\n".to_owned(), 111, 0));
    }

    #[test]
    fn pages_continue_at_the_end_of_the_previous_page() {
        for limit in 1..30 {
            for only in [None, Some(OutputSource::Stdout), Some(OutputSource::Stderr)] {
                let (mut from, mut all) = (0, String::new());
                while from < 121 {
                    let (piece, next, _) = text(OutputRead { from, limit, only });
                    assert!(next > from, "{from} {limit} {only:?}");
                    all.push_str(&piece);
                    from = next;
                }
                assert_eq!(all, text(OutputRead { from: 0, limit: 1_000, only }).0, "{limit} {only:?}");
            }
        }
    }

    #[test]
    fn last_lines_are_counted_from_the_end() {
        let kept = kept();
        assert_eq!(kept.last_lines(0, None), 121);
        assert_eq!(kept.last_lines(1, None), 117);
        assert_eq!(kept.last_lines(2, None), 111);
        assert_eq!(kept.last_lines(3, None), 108);
        assert_eq!(kept.last_lines(4, None), 104);
        assert_eq!(kept.last_lines(99, None), 100);
        assert_eq!(kept.last_lines(1, Some(OutputSource::Stderr)), 108);
        assert_eq!(kept.last_lines(3, Some(OutputSource::Stdout)), 104);
    }
}
