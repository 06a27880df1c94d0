//! What was probably meant by a path that leads nowhere.

use std::fs;
use std::path::{Path, PathBuf};

/// Gives the path of this directory entry's most similar neighbour, else the nearest ancestor that exists.
pub(crate) fn nearest_path(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    let mut missing = path.as_path();
    let mut parent = missing.parent()?;
    while !parent.exists() {
        missing = parent;
        parent = missing.parent()?;
    }
    let found = similar_entry(missing, parent).unwrap_or_else(|| parent.to_owned());
    // The rest may exist below the name that was meant.
    let rest = path.strip_prefix(missing).ok().filter(|rest| !rest.as_os_str().is_empty());
    let rest = rest.map(|rest| found.join(rest));
    Some(rest.filter(|whole| found != parent && whole.exists()).unwrap_or(found))
}

fn similar_entry(path: &Path, directory: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let entries = fs::read_dir(directory).ok()?.filter_map(Result::ok);
    let names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    Some(directory.join(similar(name, &names)?))
}

/// Gives the name that is most like `word`, if one is alike.
fn similar<'a>(word: &str, names: &'a [String]) -> Option<&'a str> {
    let reach = (word.chars().count() / 3).max(1);
    names
        .iter()
        .map(|name| (distance(word, name), name.as_str()))
        .filter(|(distance, _)| (1..=reach).contains(distance))
        .min()
        .map(|(_, name)| name)
}

/// Counts how many characters have to be put in, taken out, replaced, or swapped with the next one.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut older: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    let mut before = None;
    for (index, old) in from.chars().enumerate() {
        let mut next = vec![index + 1];
        let mut left = index + 1;
        let mut new_before = None;
        for (column, new) in to.iter().copied().enumerate() {
            let at = |row: &[usize], place: usize| row.get(place).copied().unwrap_or(usize::MAX - 1);
            let mut least =
                (at(&row, column) + usize::from(old != new)).min(at(&row, column + 1) + 1).min(left + 1);
            if before == Some(new) && new_before == Some(old) && column > 0 {
                least = least.min(at(&older, column - 1) + 1);
            }
            next.push(least);
            left = least;
            new_before = Some(new);
        }
        older = std::mem::replace(&mut row, next);
        before = Some(old);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_directory_is_found_and_a_strange_one_leads_to_its_parent() {
        let top = tempfile::tempdir().unwrap();
        let home = top.path().join("home");
        fs::create_dir_all(home.join("me")).unwrap();
        let nearest = |path: &str| nearest_path(&top.path().join(path)).unwrap();
        assert_eq!(nearest("hmoe").as_os_str(), home.as_os_str(), "and nothing behind it");
        assert_eq!(nearest("hmoe/me"), home.join("me"));
        assert_eq!(nearest("hmoe/nobody"), home);
        assert_eq!(nearest("home/nothing/at/all"), home);
        assert_eq!(nearest("strange"), top.path());
    }

    #[test]
    fn distance_counts_a_swap_as_one() {
        assert_eq!(distance("hmoe", "home"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
