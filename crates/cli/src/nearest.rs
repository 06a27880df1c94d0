//! Finds the existing path or name that is most similar to one that does not exist.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the existing path that is most similar to a missing path. If there is no similar path, returns the missing
/// path's nearest existing ancestor.
pub(crate) fn nearest_path(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    let mut missing = path.as_path();
    let mut parent = missing.parent()?;
    while !parent.exists() {
        missing = parent;
        parent = missing.parent()?;
    }
    let found = similar_entry(missing, parent).unwrap_or_else(|| parent.to_owned());
    // Below the corrected name, the remaining components of the path may exist.
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

/// Returns the name that is most similar to `word`. Returns `None` if all names differ too much.
pub(crate) fn similar<'a>(word: &str, names: &'a [String]) -> Option<&'a str> {
    let reach = (word.chars().count() / 3).max(1);
    names
        .iter()
        .map(|name| (strsim::osa_distance(word, name), name.as_str()))
        .filter(|(distance, _)| (1..=reach).contains(distance))
        .min()
        .map(|(_, name)| name)
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
        assert_eq!(nearest("hmoe/missing"), home);
        assert_eq!(nearest("home/nothing/at/all"), home);
        assert_eq!(nearest("strange"), top.path());
    }
}
