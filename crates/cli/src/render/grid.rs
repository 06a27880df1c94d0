//! Rows of short texts below their heads.

use super::table::Look;

/// The space between two columns.
const GAP: &str = "  ";

/// On which side of its column a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// Writes rows: aligned for a terminal, else with tabs between the texts.
pub(crate) fn grid(heads: &[(&str, Side)], rows: &[Vec<String>], look: Look) -> String {
    let names: Vec<String> = heads.iter().map(|(head, _)| (*head).to_owned()).collect();
    let all: Vec<&Vec<String>> = std::iter::once(&names).chain(rows).collect();
    if !look.face.terminal {
        return all.iter().map(|row| row.join("\t") + "\n").collect();
    }
    let widths: Vec<usize> = (0..heads.len())
        .map(|column| all.iter().filter_map(|row| row.get(column)).map(|text| width(text)).max())
        .map(Option::unwrap_or_default)
        .collect();
    let mut text = String::new();
    for row in all {
        let cells: Vec<String> = row
            .iter()
            .zip(heads)
            .zip(&widths)
            .map(|((text, (_, side)), widest)| {
                let space = " ".repeat(widest.saturating_sub(width(text)));
                match side {
                    Side::Left => format!("{text}{space}"),
                    Side::Right => format!("{space}{text}"),
                }
            })
            .collect();
        text.push_str(cells.join(GAP).trim_end());
        text.push('\n');
    }
    text
}

fn width(text: &str) -> usize {
    text.chars().count()
}
