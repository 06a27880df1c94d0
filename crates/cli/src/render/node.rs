//! Formats nodes as a table.

use super::grid::{Align, grid};
use super::moment::RenderTime;
use super::table::TableFormat;
use longhaul_view::clean_label;
use longhaul_wire::api::{NodeListing, NodeView};

const HEADS: [(&str, Align); 7] = [
    ("NODE", Align::Left),
    ("PRESENCE", Align::Left),
    ("SINCE", Align::Left),
    ("DRAINING", Align::Left),
    ("ROOTS", Align::Right),
    ("LABELS", Align::Left),
    ("VERSION", Align::Left),
];

/// Formats the node list. On a terminal, a star marks the node that sent this list.
pub(crate) fn nodes(listing: &NodeListing, look: TableFormat, now: RenderTime) -> String {
    let mut heads = HEADS.to_vec();
    if look.wide {
        heads.extend([("ADDRESS", Align::Left), ("LEASE UNTIL", Align::Left)]);
    }
    let rows: Vec<Vec<String>> = listing.nodes.iter().map(|node| row(node, look, now)).collect();
    grid(&heads, &rows, look)
}

fn row(node: &NodeView, look: TableFormat, now: RenderTime) -> Vec<String> {
    let star = if node.own && look.face.terminal { " *" } else { "" };
    let text = |text: Option<&str>| match text {
        Some(text) if !text.is_empty() => clean_label(text).into_owned(),
        Some(_) | None => "-".to_owned(),
    };
    // The lease end is shown only for nodes that are not present. The lease of a present node is always valid.
    let over = node.lease_until.as_deref().filter(|_| node.presence != "here");
    let mut row = vec![
        format!("{}{star}", text(Some(&node.id))),
        text(Some(&node.presence)),
        match over {
            Some(since) if look.face.terminal => now.ago(since),
            since => text(since),
        },
        if node.draining { "yes" } else { "no" }.to_owned(),
        node.roots.map_or_else(|| "-".to_owned(), |roots| roots.to_string()),
        text(Some(&node.labels.join(" "))),
        text(Some(&node.version)),
    ];
    if look.wide {
        row.extend([text(node.address.as_deref()), text(node.lease_until.as_deref())]);
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::ConsoleStream;

    #[test]
    fn table_of_nodes_shows_presence_and_drain() {
        assert_eq!(
            nodes(&listing(), look(true), now()),
            "\
NODE     PRESENCE     SINCE   DRAINING  ROOTS  LABELS        VERSION
alpha *  here         -       no           10  gpu os=linux  0.1.0
beta     unreachable  5s ago  yes           -  -             0.1.0
"
        );
    }

    #[test]
    fn pipes_get_exact_times_and_untrusted_text_stays_on_its_line() {
        let mut evil = listing();
        evil.nodes[1].labels = vec!["a\u{1b}[2J\nb".to_owned()];
        let text = nodes(&evil, look(false), now());
        assert_eq!(text.lines().count(), 3, "{text:?}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert!(text.contains("beta\tunreachable\t2026-11-21T01:49:55.000Z\tyes\t-\t"), "{text:?}");
    }

    fn listing() -> NodeListing {
        let until = |text: &str| Some(text.to_owned());
        let alpha = NodeView {
            id: "alpha".into(),
            own: true,
            presence: "here".into(),
            labels: vec!["gpu".into(), "os=linux".into()],
            roots: Some(10),
            version: "0.1.0".into(),
            lease_until: until("2026-11-21T01:50:04.000Z"),
            ..NodeView::default()
        };
        let beta = NodeView {
            id: "beta".into(),
            presence: "unreachable".into(),
            draining: true,
            version: "0.1.0".into(),
            lease_until: until("2026-11-21T01:49:55.000Z"),
            ..NodeView::default()
        };
        NodeListing { nodes: vec![alpha, beta], at: "2026-11-21T01:50:00.000Z".into() }
    }

    fn look(terminal: bool) -> TableFormat {
        TableFormat {
            face: ConsoleStream { terminal, colour: false },
            wide: false,
            unicode: true,
            width: 120,
        }
    }

    fn now() -> RenderTime {
        RenderTime::parse("2026-11-21T01:50:00.000Z", true)
    }
}
