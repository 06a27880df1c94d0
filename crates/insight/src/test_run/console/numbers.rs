//! Reads numbers in lists such as `3 failed, 2 passed`.

/// Splits a list at `separator`. Returns, for each part, the number at its start and the words after the number. Parts
/// without a number at the start are left out.
pub(super) fn numbered<'a>(list: &'a str, separator: &'a str) -> impl Iterator<Item = (u64, &'a str)> {
    list.split(separator).filter_map(|part| {
        let (number, words) = part.trim().split_once(' ')?;
        Some((number.parse().ok().filter(|number| *number < 1_000_000_000)?, words.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_with_their_words() {
        let found: Vec<_> = numbered("3 failed, 2 subtests passed, many skipped, 1 error", ", ").collect();
        assert_eq!(found, [(3, "failed"), (2, "subtests passed"), (1, "error")]);
    }
}
