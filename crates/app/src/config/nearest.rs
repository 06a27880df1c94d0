//! The name that was probably meant.

/// The name that is most like `word`, if one is alike.
pub(super) fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let reach = (word.chars().count() / 3).max(1);
    names
        .map(|name| (distance(word, name), name))
        .filter(|(distance, _)| *distance <= reach)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// How many characters have to be put in, taken out or replaced.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, old) in from.chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        let mut left = index + 1;
        next.push(left);
        for ((new, above), diagonal) in to.iter().zip(row.iter().skip(1)).zip(&row) {
            let replaced = diagonal + usize::from(old != *new);
            left = replaced.min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_name_is_found_and_a_strange_one_is_not() {
        let names = ["limits.max_parallel", "limits.max_levels", "store"];
        let find = |word| nearest(word, names.into_iter());
        assert_eq!(find("limits.max_paralel"), Some("limits.max_parallel"));
        assert_eq!(find("stor"), Some("store"));
        assert_eq!(find("colour"), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
