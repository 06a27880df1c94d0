//! Formats rows of short texts as columns with headings.

use super::table::TableFormat;

/// Text between two columns.
const COLUMN_GAP: &str = "  ";

/// Alignment of a text within its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Formats rows. For a terminal the columns are aligned; for any other output, tabs separate the texts.
pub(crate) fn grid(heads: &[(&str, Align)], rows: &[Vec<String>], look: TableFormat) -> String {
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
                    Align::Left => format!("{text}{space}"),
                    Align::Right => format!("{space}{text}"),
                }
            })
            .collect();
        text.push_str(cells.join(COLUMN_GAP).trim_end());
        text.push('\n');
    }
    text
}

fn width(text: &str) -> usize {
    text.chars().count()
}
