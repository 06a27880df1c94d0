//! Checks that each type name is defined only once in the workspace.

use crate::sources::lines_before_tests;
use crate::workspace::Source;
use std::collections::BTreeMap;
use std::fmt;

/// Type names that the shim may define a second time: its formats are frozen, and it imports no other crate.
const ALLOWED: [&str; 6] =
    ["Containment", "ExceededLimit", "Leftovers", "Loss", "OutputBound", "SignalTarget"];

/// A type name that several modules define.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    name: String,
    paths: Vec<String>,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is defined more than once: {}", self.name, self.paths.join(", "))
    }
}

/// Returns the type names that the product code defines more than once.
pub(crate) fn breaches(sources: &[Source]) -> Vec<Breach> {
    let mut defined: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for source in sources.iter().filter(|source| is_product(&source.path)) {
        for name in source.text.lines().take(lines_before_tests(source)).filter_map(defined_by) {
            defined.entry(name).or_default().push(&source.path);
        }
    }
    let is_breach = |(name, paths): &(&str, Vec<&str>)| paths.len() > 1 && !ALLOWED.contains(name);
    let breach = |(name, paths): (&str, Vec<&str>)| Breach {
        name: name.to_owned(),
        paths: paths.into_iter().map(str::to_owned).collect(),
    };
    defined.into_iter().filter(is_breach).map(breach).collect()
}

fn is_product(path: &str) -> bool {
    path.starts_with("crates/")
        && path.contains("/src/")
        && !path.ends_with("/tests.rs")
        && !path.contains("/tests/")
}

/// Returns the name of the type that a line defines. Ignores indented lines, which belong to an implementation or a
/// function.
fn defined_by(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub").map_or(line, |rest| match rest.strip_prefix('(') {
        Some(rest) => rest.split_once(')').map_or(rest, |(_, rest)| rest),
        None => rest,
    });
    let line = line.strip_prefix(' ').unwrap_or(line);
    let line = line.strip_prefix("unsafe ").unwrap_or(line);
    let rest = ["struct ", "enum ", "trait ", "type "].iter().find_map(|word| line.strip_prefix(word))?;
    rest.split(|each: char| !each.is_alphanumeric() && each != '_').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_name_that_two_modules_define_is_reported() {
        let sources = [
            source("crates/a/src/one.rs", "pub(crate) struct Line<'a> {\n    type Item;\n}\nenum Once {}\n"),
            source("crates/b/src/two.rs", "pub enum Line {}\ntype Loss = u8;\n"),
            source("crates/b/src/three.rs", "trait Loss {}\n#[cfg(test)]\nmod tests {\nstruct Once;\n}\n"),
            source("crates/b/tests/four.rs", "struct Once;\n"),
        ];
        let found: Vec<String> = breaches(&sources).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["Line is defined more than once: crates/a/src/one.rs, crates/b/src/two.rs"]);
    }
}
