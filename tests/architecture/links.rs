//! Checks the links between the pages of the documentation.

use std::fmt;

/// A documentation page and its text.
pub(crate) struct Page<'a> {
    /// Path of the page, relative to the root of the workspace.
    pub(crate) path: &'a str,
    pub(crate) text: &'a str,
}

/// A link whose file or heading does not exist.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    page: String,
    line: usize,
    target: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { page, line, target } = self;
        write!(f, "{page}:{line} links to {target}, which does not exist")
    }
}

/// Finds each relative link to a file that is not in `paths`, and each link to a `#heading` that does not exist in
/// `pages`.
pub(crate) fn breaches(pages: &[Page<'_>], paths: &[String]) -> Vec<Breach> {
    let mut found = Vec::new();
    for page in pages {
        for (line, text) in (1..).zip(page.text.lines()) {
            for target in targets(text).filter(|target| !exists(page, target, pages, paths)) {
                found.push(Breach { page: page.path.to_owned(), line, target: target.to_owned() });
            }
        }
    }
    found
}

/// Returns the targets of the relative links in a line.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let after = line.split("](").skip(1);
    after
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target)
        .filter(|target| !target.contains("://"))
}

fn exists(page: &Page<'_>, target: &str, pages: &[Page<'_>], paths: &[String]) -> bool {
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() { page.path.to_owned() } else { resolved(page.path, file) };
    let has_heading =
        |page: &Page<'_>| page.text.lines().any(|line| anchor(line).is_some_and(|anchor| anchor == heading));
    match pages.iter().find(|page| page.path == path) {
        Some(page) => heading.is_empty() || has_heading(page),
        None => heading.is_empty() && paths.contains(&path),
    }
}

/// Converts the path of `file`, which is relative to the folder of `page`, to a path relative to the workspace root.
fn resolved(page: &str, file: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in file.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Returns the anchor of a heading, derived in the same way as by GitHub and mdBook.
fn anchor(line: &str) -> Option<String> {
    let title = line.strip_prefix('#')?.trim_start_matches('#').strip_prefix(' ')?;
    let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    Some(kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_file_and_missing_heading_are_found() {
        let tour =
            Page { path: "docs/tour.md", text: "## Trees and sessions\n[a](../README.md) [b](#run)\n" };
        let readme = Page {
            path: "README.md",
            text: "[x](docs/tour.md#trees-and-sessions) [y](docs/gone.md) [z](https://a.b)",
        };
        let found: Vec<String> =
            breaches(&[tour, readme], &[]).iter().map(|breach| breach.target.clone()).collect();
        assert_eq!(found, ["#run", "docs/gone.md"]);
    }
}
