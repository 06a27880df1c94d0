//! Suggests a similar name for a misspelled one.

use std::collections::BTreeSet;

/// Maximum number of names that are compared with the misspelled one.
const MAX_COMPARED: usize = 20_000;
/// Maximum number of bytes of one UTF-8 character.
const MAX_CHAR_LEN: usize = 4;

/// Returns the candidate that is most similar to `name`, or `None` if no candidate is similar enough for a likely typo.
pub(super) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let time_limit = (name.chars().count() / 3).clamp(1, 3);
    let near = candidates.into_iter().take(MAX_COMPARED).filter_map(|each| {
        // The length in bytes excludes most candidates without a comparison of characters.
        if name.len().abs_diff(each.len()) > time_limit * MAX_CHAR_LEN {
            return None;
        }
        let distance = strsim::osa_distance(name, each);
        (1..=time_limit).contains(&distance).then_some((distance, each))
    });
    near.min().map(|(_, each)| each)
}

/// Returns the names of the entries in these directories, without duplicates. Unreadable directories are skipped.
pub(super) fn names_in<'a>(directories: impl IntoIterator<Item = &'a std::path::Path>) -> BTreeSet<String> {
    let entries = directories.into_iter().filter_map(|directory| std::fs::read_dir(directory).ok());
    let names = entries.flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.take(MAX_COMPARED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_similar_name_is_found() {
        let names = ["python3", "perl", "cargo", "git"];
        assert_eq!(nearest("pyhton3", names), Some("python3"));
        assert_eq!(nearest("cargoo", names), Some("cargo"));
        assert_eq!(nearest("gti", names), Some("git"));
    }

    #[test]
    fn a_name_with_many_differences_is_not_suggested() {
        assert_eq!(nearest("ls", ["python3", "perl"]), None);
        assert_eq!(nearest("", ["abc"]), None);
    }
}
