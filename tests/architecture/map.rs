//! Checks that the paths in ARCHITECTURE.md exist.

use std::fmt;

/// A path in ARCHITECTURE.md that does not exist in the workspace.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    line: usize,
    path: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, path } = self;
        write!(f, "ARCHITECTURE.md:{line} names {path}, which does not exist there")
    }
}

/// Finds every path in the tables of ARCHITECTURE.md that does not exist. A path exists if it is one of `paths` or the
/// end of one. In a row that starts with a crate, a shortened path is relative to that crate or to `docs`.
pub(crate) fn breaches(document: &str, paths: &[String]) -> Vec<Breach> {
    let rows = document.lines().zip(1..).filter(|(line, _)| line.starts_with('|'));
    rows.flat_map(|(row, line)| missing(row, paths).into_iter().map(move |path| Breach { line, path }))
        .collect()
}

fn missing(row: &str, paths: &[String]) -> Vec<String> {
    let named: Vec<String> = code_spans(row).filter(|span| is_path(span)).flat_map(alternatives).collect();
    let first_cell = row.split('|').nth(1).unwrap_or_default().trim().trim_matches('`');
    let krate: Option<Vec<&str>> =
        first_cell.starts_with("crates/").then(|| first_cell.split('/').take(2).collect());
    let is_allowed = |path: &str| match &krate {
        Some(krate) => lies_below(path, &krate.join("/")) || lies_below(path, "docs"),
        None => true,
    };
    let exists =
        |named: &str| paths.iter().any(|path| path == named || is_allowed(path) && is_end_of(named, path));
    named.into_iter().filter(|named| !exists(named.trim_end_matches('/'))).collect()
}

fn code_spans(row: &str) -> impl Iterator<Item = &str> {
    row.split('`').skip(1).step_by(2)
}

fn is_path(span: &str) -> bool {
    let has_ending = [".rs", ".lua", ".txt", ".md"].iter().any(|ending| span.ends_with(ending));
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "/._-{},".contains(c);
    (has_ending || span.contains('/')) && span.chars().all(plain)
}

/// Expands `folder/{one,two}.rs`.
fn alternatives(span: &str) -> Vec<String> {
    let parts = span.split_once('{').and_then(|(head, rest)| Some((head, rest.split_once('}')?)));
    match parts {
        Some((head, (names, tail))) => names.split(',').map(|name| format!("{head}{name}{tail}")).collect(),
        None => vec![span.to_owned()],
    }
}

fn lies_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn is_end_of(named: &str, path: &str) -> bool {
    path.strip_suffix(named).is_some_and(|head| head.is_empty() || head.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(row: &str) -> Vec<String> {
        let paths = [
            "crates/domain",
            "crates/engine",
            "crates/domain/src/decide.rs",
            "crates/engine/src/transact.rs",
            "crates/engine/src",
            "docs/compose.md",
        ];
        breaches(row, &paths.map(str::to_owned)).iter().map(|breach| breach.path.clone()).collect()
    }

    #[test]
    fn path_that_exists_is_not_reported() {
        assert!(reported("| what cancel does | `domain/src/decide.rs` | `engine/src` |").is_empty());
        assert!(
            reported("| `crates/domain` | pure rules | `decide.rs`, `compose.md`, `Process` |").is_empty()
        );
    }

    #[test]
    fn path_that_does_not_exist_is_reported() {
        assert_eq!(reported("| a | `domain/src/{decide,evolve}.rs` |"), ["domain/src/evolve.rs"]);
        assert_eq!(reported("| a | `ecide.rs` |"), ["ecide.rs"]);
    }

    #[test]
    fn shortened_path_of_another_crate_than_that_of_its_row_is_reported() {
        assert_eq!(reported("| `crates/engine` | use cases | `decide.rs` |"), ["decide.rs"]);
    }

    #[test]
    fn text_outside_of_tables_is_not_read() {
        assert!(reported("see `nowhere.rs`").is_empty());
    }
}
