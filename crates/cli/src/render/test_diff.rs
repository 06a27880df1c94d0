//! Formats the differences between two test runs.

use super::line::short;
use longhaul_view::clean_label;
use longhaul_wire::api::{TestDiffView, TestListView};

/// Maximum number of tests that are named in each list of differences.
const MAX_NAMED: usize = 50;

/// Formats the differences between the test results of two processes.
pub(crate) fn test_diff(diff: &TestDiffView) -> String {
    let mut text = format!("{} compared with {}\n", short(&diff.id), short(&diff.base_id));
    for incomplete in &diff.incomplete {
        let (which, effect) = match incomplete.as_str() {
            "base" => (short(&diff.base_id), "failures that are listed as new may have existed before"),
            _ => (short(&diff.id), "tests without a result may have run"),
        };
        text.push_str(&format!("the results of {which} are incomplete: {effect}\n"));
    }
    let lists = [
        ("new failures", &diff.new),
        ("fixed", &diff.fixed),
        ("still failing", &diff.still_failing),
        ("added tests", &diff.added),
        ("removed tests", &diff.removed),
    ];
    for (title, list) in lists.into_iter().filter(|(_, list)| list.count > 0) {
        text.push_str(&section(title, list));
    }
    if lists_are_empty(diff) {
        text.push_str("no differences\n");
    }
    text
}

fn lists_are_empty(diff: &TestDiffView) -> bool {
    [&diff.new, &diff.fixed, &diff.still_failing, &diff.added, &diff.removed]
        .into_iter()
        .all(|list| list.count == 0)
}

fn section(title: &str, list: &TestListView) -> String {
    let shown = list.ids.len().min(MAX_NAMED);
    let mut text = format!("\n{title} ({})\n", list.count);
    for id in list.ids.iter().take(shown) {
        text.push_str(&format!("  {}\n", clean_label(id)));
    }
    let more = list.count.saturating_sub(u64::try_from(shown).unwrap_or(u64::MAX));
    if more > 0 {
        text.push_str(&format!("  and {more} more\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_difference_has_its_number_and_its_tests() {
        let list = |count, ids: &[&str]| TestListView {
            count,
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        };
        let diff = TestDiffView {
            id: "0a1b2c3d-1".to_owned(),
            base_id: "9f8e7d6c-2".to_owned(),
            new: list(1, &["a"]),
            fixed: list(1_200, &["b", "c\u{1b}[2J"]),
            ..TestDiffView::default()
        };
        let cut = TestDiffView { incomplete: vec!["newer".to_owned(), "base".to_owned()], ..diff.clone() };
        let text = test_diff(&cut);
        assert!(text.contains("results of 0a1b2c3d are incomplete"), "{text}");
        assert!(text.contains("results of 9f8e7d6c are incomplete"), "{text}");
        let text = test_diff(&diff);
        assert!(text.starts_with("0a1b2c3d compared with 9f8e7d6c\n\nnew failures (1)\n  a\n"), "{text}");
        assert!(text.contains("fixed (1200)\n  b\n  c") && text.contains("and 1198 more"), "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains("no differences"), "{text}");
        assert!(test_diff(&TestDiffView::default()).contains("no differences"));
    }
}
