//! Finds the name that the user probably meant with a misspelt name.

/// Returns the name that is most similar to `word`. Returns `None` if no name is similar enough.
pub(super) fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let reach = (word.chars().count() / 3).max(1);
    names
        .map(|name| (strsim::osa_distance(word, name), name))
        .filter(|(distance, _)| *distance <= reach)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
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
        assert_eq!(find("sotre"), Some("store"), "letters that changed places count once");
    }
}
