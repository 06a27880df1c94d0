//! Describes the difference between two values.

use std::fmt::{Debug, Write};
use std::iter::zip;

/// Maximum number of fields in a description.
const MAX_NAMED: usize = 12;

/// Describes the difference between the store's value and the model's value. If both values have the same shape, the
/// description names the differing fields; otherwise it shows the part that differs. Returns `None` if the values are
/// equal.
pub(super) fn difference<T: Debug + PartialEq>(store: &T, model: &T) -> Option<String> {
    if store == model {
        return None;
    }
    let (store, model) = (format!("{store:#?}"), format!("{model:#?}"));
    let (theirs, ours): (Vec<&str>, Vec<&str>) = (store.lines().collect(), model.lines().collect());
    Some(if theirs.len() == ours.len() { fields(&theirs, &ours) } else { middle(&theirs, &ours) })
}

/// Compares two values of the same shape line by line.
fn fields(store: &[&str], model: &[&str]) -> String {
    let mut reported = String::new();
    let differing: Vec<usize> =
        zip(store, model).enumerate().filter(|(_, (one, other))| one != other).map(|(at, _)| at).collect();
    for at in differing.iter().take(MAX_NAMED) {
        let [one, other] = [store, model].map(|lines| lines.get(*at).map_or("", |line| value(line)));
        let _ = write!(reported, "\n  {}: the store {one}, the model {other}", path(model, *at));
    }
    if differing.len() > MAX_NAMED {
        let _ = write!(reported, "\n  and {} more", differing.len() - MAX_NAMED);
    }
    reported
}

/// Shows both values without the lines that they have in common at the start and at the end.
fn middle(store: &[&str], model: &[&str]) -> String {
    let before = zip(store, model).take_while(|(one, other)| one == other).count();
    let shorter = store.len().min(model.len()).saturating_sub(before);
    let after = zip(store.iter().rev(), model.iter().rev()).take_while(|(one, other)| one == other).count();
    let after = after.min(shorter);
    let part = |lines: &[&str]| {
        let part = lines.get(before..lines.len().saturating_sub(after)).unwrap_or_default();
        if part.is_empty() { " nothing".to_owned() } else { format!("\n{}", part.join("\n")) }
    };
    format!("\n  {}, the store:{}\n  the model:{}", path(model, before), part(store), part(model))
}

/// Returns the path of field names down to a line.
fn path(lines: &[&str], at: usize) -> String {
    let mut within: Vec<(usize, &str)> = Vec::new();
    for line in lines.iter().take(at.saturating_add(1)) {
        let depth = line.len().saturating_sub(line.trim_start().len());
        within.retain(|(above, _)| *above < depth);
        let name = line.trim().trim_end_matches([' ', '{', '(', '[', ',', ':']);
        within.push((depth, name.split_once(": ").map_or(name, |(field, _)| field)));
    }
    let last =
        within.pop().map(|(_, name)| name).filter(|_| lines.get(at).is_some_and(|line| line.contains(": ")));
    let names: Vec<&str> =
        within.into_iter().map(|(_, name)| name).chain(last).filter(|name| !name.is_empty()).collect();
    names.join(".")
}

fn value(line: &str) -> &str {
    let line = line.trim().trim_end_matches(',');
    line.split_once(": ").map_or(line, |(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[derive(Debug, PartialEq)]
    struct Record {
        name: &'static str,
        owners: Vec<(u8, Option<u8>)>,
    }

    #[test]
    fn the_fields_that_differ_are_named_with_their_path() {
        let store = [Record { name: "a", owners: vec![(1, Some(2))] }];
        let model = [Record { name: "b", owners: vec![(1, Some(3))] }];
        let reported = difference(&store, &model).unwrap();
        let expected = [
            "",
            "  Record.name: the store \"a\", the model \"b\"",
            "  Record.owners.Some: the store 2, the model 3",
        ];
        assert_eq!(reported.lines().collect::<Vec<_>>(), expected);
        assert_eq!(difference(&store, &store), None);
    }

    #[test]
    fn of_values_of_two_shapes_the_part_that_differs_is_shown() {
        let reported = difference(&vec!["first", "same"], &vec!["same"]).unwrap();
        assert!(reported.contains("the store:\n    \"first\",\n  the model: nothing"), "{reported}");
    }
}
