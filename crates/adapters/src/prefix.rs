//! Prefixes of process ids.

/// Returns the lowest and the highest id that start with this text. Returns `None` if no id can start with it.
pub(crate) fn range(begin: &str) -> Option<([u8; 16], [u8; 16])> {
    const HYPHENS: [usize; 4] = [8, 13, 18, 23];
    if begin.len() > 36 {
        return None;
    }
    let mut digits = Vec::with_capacity(32);
    for (place, c) in begin.bytes().enumerate() {
        match c {
            b'-' if HYPHENS.contains(&place) => {}
            b'0'..=b'9' if !HYPHENS.contains(&place) => digits.push(c - b'0'),
            b'a'..=b'f' if !HYPHENS.contains(&place) => digits.push(c - b'a' + 10),
            _ => return None,
        }
    }
    let fill = |rest: u8| {
        let mut id = [0_u8; 16];
        for (place, byte) in id.iter_mut().enumerate() {
            let digit = |at: usize| digits.get(at).copied().unwrap_or(rest);
            *byte = digit(2 * place) << 4 | digit(2 * place + 1);
        }
        id
    };
    Some((fill(0), fill(15)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_prefix_covers_exactly_the_ids_that_are_printed_so() {
        let id = Uuid::from_u128(0x0123_4567_89ab_4def_8123_4567_89ab_cdef);
        let text = id.to_string();
        for end in 0..=text.len() {
            let (low, high) = range(&text[..end]).unwrap();
            assert!(low <= *id.as_bytes() && *id.as_bytes() <= high, "{end}");
            assert!(Uuid::from_bytes(low).to_string().starts_with(&text[..end]));
            assert!(Uuid::from_bytes(high).to_string().starts_with(&text[..end]));
        }
    }

    #[test]
    fn prefix_that_is_not_part_of_an_id_matches_no_id() {
        for begin in ["0123A", "012345678", "01234567-89ab4", "%", "0123 ", "-"] {
            assert_eq!(range(begin), None, "{begin}");
        }
        assert_eq!(range(&"0".repeat(37)), None);
    }
}
