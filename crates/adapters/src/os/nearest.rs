//! The name that somebody may have meant.

use std::collections::BTreeSet;

/// How many names are compared at most.
const MOST: usize = 20_000;

/// Finds the name that is nearest to another one, if any is near enough to have been meant.
pub(super) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let patience = (name.chars().count() / 3).clamp(1, 3);
    let near = candidates.into_iter().take(MOST).filter_map(|each| {
        let distance = distance(name, each, patience)?;
        (distance > 0).then_some((distance, each))
    });
    near.min().map(|(_, each)| each)
}

/// Lists the names in directories, each once; those that cannot be read are left out.
pub(super) fn names_in<'a>(directories: impl IntoIterator<Item = &'a std::path::Path>) -> BTreeSet<String> {
    let entries = directories.into_iter().filter_map(|directory| std::fs::read_dir(directory).ok());
    let names = entries.flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.take(MOST).collect()
}

/// Counts the letters to insert, remove, replace or swap with a neighbour; none if there are more than `most`.
fn distance(left: &str, right: &str, most: usize) -> Option<usize> {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    if left.len().abs_diff(right.len()) > most {
        return None;
    }
    let mut above: Vec<usize> = Vec::new();
    let mut line: Vec<usize> = (0..=right.len()).collect();
    let mut before_letter = None;
    for (row, letter) in left.iter().enumerate() {
        let mut next = vec![row.saturating_add(1)];
        let mut before_other = None;
        for (column, other) in right.iter().enumerate() {
            let at = |line: &[usize], place: Option<usize>| {
                place.and_then(|place| line.get(place).copied()).unwrap_or(usize::MAX)
            };
            let replaced = at(&line, Some(column)).saturating_add(usize::from(letter != other));
            let removed = at(&line, column.checked_add(1)).saturating_add(1);
            let inserted = at(&next, Some(column)).saturating_add(1);
            let swaps = before_letter == Some(other) && before_other == Some(letter);
            let swapped =
                if swaps { at(&above, column.checked_sub(1)).saturating_add(1) } else { usize::MAX };
            next.push(replaced.min(removed).min(inserted).min(swapped));
            before_other = Some(other);
        }
        before_letter = Some(letter);
        above = std::mem::replace(&mut line, next);
    }
    line.last().copied().filter(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_found() {
        let names = ["python3", "perl", "cargo", "git"];
        assert_eq!(nearest("pyhton3", names), Some("python3"));
        assert_eq!(nearest("cargoo", names), Some("cargo"));
        assert_eq!(nearest("gti", names), Some("git"));
    }

    #[test]
    fn what_is_too_far_away_is_not_offered() {
        assert_eq!(nearest("ls", ["python3", "perl"]), None);
        assert_eq!(nearest("", ["abc"]), None);
    }

    #[test]
    fn distances_are_counted_as_people_count_typing_errors() {
        for (left, right, expected) in [
            ("abc", "abc", 0),
            ("abc", "acb", 1),
            ("abc", "ab", 1),
            ("abc", "xbc", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(left, right, 9), Some(expected), "{left} {right}");
        }
    }
}
