//! Formats processes as a tree of parents and children.

use super::line::{few_words, short, title};
use super::table::TableFormat;
use crate::status::ParsedStatus;
use longhaul_view::clean_label;
use longhaul_wire::api::ProcessView;
use std::collections::{BTreeMap, BTreeSet};

/// Texts that draw the lines between a parent and its children.
struct TreeBranches {
    child: &'static str,
    last_child: &'static str,
    past: &'static str,
    past_last: &'static str,
}

const UNICODE: TreeBranches =
    TreeBranches { child: "├─ ", last_child: "└─ ", past: "│  ", past_last: "   " };
const ASCII: TreeBranches = TreeBranches { child: "|- ", last_child: "`- ", past: "|  ", past_last: "   " };

/// Draws the trees, starting with the oldest process. A process whose parent is not in the list is drawn as a root.
pub(crate) fn tree(processes: &[ProcessView], look: TableFormat) -> String {
    let known: BTreeSet<&str> = processes.iter().map(|process| process.id.as_str()).collect();
    let mut children: BTreeMap<Option<&str>, Vec<&ProcessView>> = BTreeMap::new();
    for process in processes {
        let parent = process.parent_id.as_deref().filter(|parent| known.contains(parent));
        children.entry(parent).or_default().push(process);
    }
    for siblings in children.values_mut() {
        siblings.sort_by(|left, right| (&left.queued_at, &left.id).cmp(&(&right.queued_at, &right.id)));
    }
    let lines = if look.face.terminal && look.unicode { &UNICODE } else { &ASCII };
    let mut text = String::new();
    // Depth-first traversal. `pile` is a stack: its last element is drawn next.
    let mut pile: Vec<(&ProcessView, String, String)> = Vec::new();
    let tops = children.get(&None).map(Vec::as_slice).unwrap_or_default();
    pile.extend(tops.iter().rev().map(|top| (*top, String::new(), String::new())));
    while let Some((process, lead, below)) = pile.pop() {
        text.push_str(&format!("{lead}{}\n", row(process, look)));
        let siblings = children.get(&Some(process.id.as_str())).map(Vec::as_slice).unwrap_or_default();
        for (place, child) in siblings.iter().rev().enumerate() {
            let (at, past) =
                if place == 0 { (lines.last_child, lines.past_last) } else { (lines.child, lines.past) };
            pile.push((child, format!("{below}{at}"), format!("{below}{past}")));
        }
    }
    text
}

fn row(process: &ProcessView, look: TableFormat) -> String {
    let id = if look.face.terminal && !look.wide { short(&process.id) } else { &process.id };
    let standing = ParsedStatus::of(process);
    let glyph = standing.glyph(look.face.terminal && look.unicode);
    let status = format!("{glyph} {}", clean_label(&process.status));
    let mut parts = vec![id.to_owned()];
    parts.extend(title(process).map(|title| clean_label(title).into_owned()));
    parts.push(look.face.paint(standing.style(), &status));
    let said =
        few_words(process).filter(|_| standing != ParsedStatus::Running || !process.conditions.is_empty());
    parts.extend(said);
    let mut text = parts.join(" ");
    if let Some(stage) = process.stage.as_deref().filter(|stage| !stage.is_empty()) {
        text.push_str(&format!(", {}", clean_label(stage)));
    }
    if let Some(progress) = process.progress.filter(|_| !standing.is_ended()) {
        text.push_str(&format!(", {:.0}%", progress.clamp(0.0, 100.0)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::ConsoleStream;
    use crate::render::samples;

    #[test]
    fn trees_are_drawn_with_the_oldest_first() {
        assert_eq!(
            tree(&samples::family(), look(true, true)),
            "\
aaaa0000 train ● running, epoch 3, 30%
├─ aaaa0001 unit ✓ completed
│  └─ aaaa0011 deep ◌ pending queued (cargo)
└─ aaaa0002 e2e ‖ paused
bbbb0000 lint ● running
"
        );
    }

    #[test]
    fn terminal_without_line_characters_gets_ascii_and_a_pipe_gets_complete_ids() {
        let shown = tree(&samples::family(), look(true, false));
        assert!(
            shown.is_ascii() && shown.contains("|- aaaa0001 unit v completed\n|  `- aaaa0011"),
            "{shown}"
        );
        let shown = tree(&samples::family(), look(false, true));
        assert!(shown.is_ascii() && shown.contains("`- aaaa0002-0000-4000-8000-000000000000 e2e"), "{shown}");
    }

    #[test]
    fn process_whose_parent_is_not_there_begins_a_tree() {
        let orphan: Vec<ProcessView> = samples::family().into_iter().filter(|each| each.level > 0).collect();
        let shown = tree(&orphan, look(true, true));
        assert!(shown.starts_with("aaaa0001 unit"), "{shown}");
        assert_eq!(shown.lines().count(), 3);
    }

    #[test]
    fn untrusted_text_cannot_forge_rows() {
        let mut process = samples::running();
        process.stage = Some("a\nb\u{1b}[2J".to_owned());
        let shown = tree(&[process], look(true, true));
        assert_eq!(shown.lines().count(), 1);
        assert!(!shown.contains('\u{1b}'));
    }

    fn look(terminal: bool, unicode: bool) -> TableFormat {
        TableFormat { face: ConsoleStream { terminal, colour: false }, wide: false, unicode, width: 120 }
    }
}
