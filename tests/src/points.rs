//! Finds the crash points in the source code.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A crash point: a place in the code at which tests can kill, fail or delay a program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// The name of the point, as in the macro call.
    pub name: String,
    /// True if tests can make the step after the point fail.
    pub can_fail: bool,
}

/// The macros that define crash points, each with true if its points can fail.
const MACROS: [(&str, bool); 2] = [("failpoint!(", true), ("crashpoint!(", false)];

/// Returns all crash points in the sources of the product, sorted by name.
///
/// # Errors
/// If the sources cannot be read.
pub fn points() -> io::Result<Vec<Point>> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("crates");
    let mut files = Vec::new();
    for member in fs::read_dir(crates)? {
        let member = member?.path();
        // Skip the `failpoint` crate: its sources contain the macros, but define no crash points.
        if !member.ends_with("failpoint") {
            find(&member.join("src"), &mut files)?;
        }
    }
    let mut points = Vec::new();
    for file in files {
        points.extend(points_in(&fs::read_to_string(file)?));
    }
    points.sort();
    points.dedup();
    Ok(points)
}

/// Returns the crash points of one source file. Their names are the string literals in the macro calls.
#[must_use]
pub fn points_in(source: &str) -> Vec<Point> {
    let mut points = Vec::new();
    for (name, can_fail) in MACROS {
        for rest in source.split(name).skip(1) {
            let texts = in_brackets(rest).split('"').skip(1).step_by(2);
            points.extend(texts.map(|text| Point { name: text.to_owned(), can_fail }));
        }
    }
    points
}

/// Returns the text before the parenthesis that closes the macro call.
fn in_brackets(rest: &str) -> &str {
    let mut depth = 1_usize;
    let end = rest.find(|letter| {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest)
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_however_a_point_is_written() {
        let source = r#"
            failpoint!("a.sync")?;
            tried().and_then(|()| failpoint!("b.rename").map_err(wrap("not a point")));
            crashpoint!(match kind(1) { One => "c.one", Two => "c.two" });
        "#;
        let found: Vec<(String, bool)> =
            points_in(source).into_iter().map(|point| (point.name, point.can_fail)).collect();
        let expected = [("a.sync", true), ("b.rename", true), ("c.one", false), ("c.two", false)];
        assert_eq!(found, expected.map(|(name, can_fail)| (name.to_owned(), can_fail)));
    }
}
