//! Formats a list of processes as a table.

use super::amount::{bytes, length, rough};
use super::line::{command_words, few_words, ports, short, title};
use super::moment::RenderTime;
use crate::arguments::OutputFormat;
use crate::console::{Console, ConsoleStream};
use crate::status::ParsedStatus;
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table, TableStyle};
use longhaul_view::clean_label;
use longhaul_wire::api::ProcessView;
use std::collections::BTreeMap;

/// Width of a progress bar, in characters.
const BAR: usize = 10;
/// Space between two columns, in characters.
const COLUMN_GAP: usize = COLUMN_GAP_CELLS as usize;
const COLUMN_GAP_CELLS: u16 = 2;
/// Columns that a narrow terminal does not show, in the order in which they are dropped.
const SPARED: [&str; 5] = ["PROJECT", "STAGE", "STARTED", "ETA", "PROGRESS"];
/// Maximum length of a name in a narrow table, in characters.
const MAX_NAME_LEN: usize = 24;
const MAX_STATUS_LEN: usize = 44;

/// Format of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableFormat {
    pub(crate) face: ConsoleStream,
    pub(crate) wide: bool,
    pub(crate) unicode: bool,
    pub(crate) width: u16,
}

impl TableFormat {
    /// Returns the table format for the standard output of a console.
    pub(crate) fn of(console: &Console) -> Self {
        Self {
            face: console.out,
            wide: console.format == Some(OutputFormat::Wide),
            unicode: console.unicode,
            width: console.width,
        }
    }
}

/// Formats a list of processes. A terminal gets an aligned table; any other output gets tab-separated lines whose texts
/// are not truncated.
pub(crate) fn table(processes: &[ProcessView], look: TableFormat, now: RenderTime) -> String {
    if look.face.terminal { for_people(processes, look, now) } else { for_pipes(processes, look, now) }
}

/// Returns one line that counts the processes of a list by status. `rest` are the processes that are not shown, and
/// `more` means that `rest` is incomplete.
pub(crate) fn summary(shown: &[ProcessView], rest: &[ProcessView], more: bool) -> String {
    let mut ended: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut live, mut queued) = (0_usize, 0_usize);
    let mut failed = None;
    for process in shown.iter().chain(rest) {
        let standing = ParsedStatus::of(process);
        if standing.is_ended() {
            *ended.entry(&process.status).or_default() += 1;
        } else {
            live += 1;
        }
        queued += usize::from(standing == ParsedStatus::Pending);
        failed = failed.or((standing == ParsedStatus::Failed).then_some(process));
    }
    let mut parts = Vec::new();
    if !rest.is_empty() {
        let more = if more { "more than " } else { "" };
        parts.push(format!("{} of {more}{} shown", shown.len(), shown.len() + rest.len()));
    }
    parts.push(format!("{live} live"));
    if queued > 0 {
        parts.push(format!("{queued} waiting"));
    }
    parts.extend(ended.iter().map(|(status, count)| format!("{count} {}", clean_label(status))));
    let mut text = parts.join(" · ");
    if let Some(process) = failed {
        text.push_str(&format!(": longhaul logs {}", short(&process.id)));
    }
    text
}

/// Table column: its heading, and the function that formats its cells.
type TableColumn = (&'static str, fn(&ProcessView, TableFormat, RenderTime) -> String);

const COLUMNS: [TableColumn; 7] =
    [
        ("ID", |process, look, _| {
            if look.wide || !look.face.terminal { process.id.clone() } else { short(&process.id).to_owned() }
        }),
        ("PROJECT", |process, look, _| text(process.project.as_deref(), look, MAX_NAME_LEN)),
        ("NAME", |process, look, _| text(title(process), look, MAX_NAME_LEN)),
        ("STATUS", |process, look, _| status(process, look)),
        ("STAGE", |process, look, _| text(process.stage.as_deref(), look, MAX_NAME_LEN)),
        ("PROGRESS", |process, look, _| progress(process, look)),
        ("ETA", |process, _, _| eta(process)),
    ];

/// Formats the estimated remaining time. Adds a question mark if the estimate is based only on earlier runs.
fn eta(process: &ProcessView) -> String {
    let mark = if process.eta_source.as_deref() == Some("history") { "?" } else { "" };
    process.eta_ms.map_or_else(|| "-".to_owned(), |eta| format!("~{}{mark}", rough(eta)))
}

const STARTED: TableColumn = ("STARTED", |process, look, now| match &process.started_at {
    Some(started) if look.face.terminal => now.ago(started),
    Some(started) => started.clone(),
    None => "-".to_owned(),
});

const WIDE: [TableColumn; 13] = [
    ("CPU", |process, look, _| match &process.usage {
        Some(usage) if look.face.terminal => length(usage.cpu_ms),
        Some(usage) => format!("{}ms", usage.cpu_ms),
        None => "-".to_owned(),
    }),
    ("MEMORY", |process, look, _| match &process.usage {
        Some(usage) if look.face.terminal => bytes(usage.memory_bytes),
        Some(usage) => usage.memory_bytes.to_string(),
        None => "-".to_owned(),
    }),
    ("READ", |process, look, _| moved(process.usage.as_ref().and_then(|usage| usage.read_bytes), look)),
    ("WRITTEN", |process, look, _| moved(process.usage.as_ref().and_then(|usage| usage.written_bytes), look)),
    ("UPTIME", |process, look, _| match process.duration_ms {
        _ if ParsedStatus::of(process).is_ended() => "-".to_owned(),
        Some(millis) if look.face.terminal => length(millis),
        Some(millis) => format!("{millis}ms"),
        None => "-".to_owned(),
    }),
    ("SILENT", |process, look, _| match process.idle_ms {
        Some(millis) if look.face.terminal => length(millis),
        Some(millis) => format!("{millis}ms"),
        None => "-".to_owned(),
    }),
    ("PORTS", |process, look, _| {
        text(process.listening_ports.as_deref().map(ports).as_deref(), look, usize::MAX)
    }),
    ("TYPE", |process, look, _| text(Some(&process.kind), look, usize::MAX)),
    ("NODE", |process, look, _| text(process.node_id.as_deref(), look, usize::MAX)),
    ("PID", |process, _, _| process.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string())),
    ("ATTEMPT", |process, _, _| format!("{}/{}", process.attempt, process.max_attempts)),
    ("SESSION", |process, look, _| text(process.session_id.as_deref(), look, usize::MAX)),
    ("COMMAND", |process, look, _| text(Some(&command_words(process).join(" ")), look, usize::MAX)),
];

/// Formats the number of bytes that were read or written; `-` if the number is unknown.
fn moved(size: Option<u64>, look: TableFormat) -> String {
    match size {
        Some(size) if look.face.terminal => bytes(size),
        Some(size) => size.to_string(),
        None => "-".to_owned(),
    }
}

fn columns(look: TableFormat) -> impl Iterator<Item = TableColumn> {
    let wide: &[TableColumn] = if look.wide { &WIDE } else { &[] };
    COLUMNS.into_iter().chain([STARTED]).chain(wide.iter().copied())
}

/// Returns the columns that fit into the width of the terminal. In the wide format, returns all columns.
fn fitting(processes: &[ProcessView], look: TableFormat, now: RenderTime) -> Vec<TableColumn> {
    let mut columns: Vec<(TableColumn, usize)> = columns(look)
        .map(|(head, content)| {
            let widths = processes.iter().map(|process| content(process, look, now).chars().count());
            ((head, content), widths.chain([head.len()]).max().unwrap_or_default() + COLUMN_GAP)
        })
        .collect();
    for spared in SPARED {
        let width: usize = columns.iter().map(|(_, width)| width).sum();
        if !look.wide && width > usize::from(look.width) + COLUMN_GAP {
            columns.retain(|((head, _), _)| *head != spared);
        }
    }
    columns.into_iter().map(|(column, _)| column).collect()
}

fn for_people(processes: &[ProcessView], look: TableFormat, now: RenderTime) -> String {
    let columns = fitting(processes, look, now);
    let mut table = Table::new();
    // A table that is still too wide is not rearranged: lines that the terminal wraps are better than text wrapped
    // within cells.
    table.set_content_arrangement(ContentArrangement::Disabled).load_style(TableStyle::new());
    if look.face.colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(columns.iter().map(|(head, _)| Cell::new(head)));
    for process in processes {
        let colour = ParsedStatus::of(process).colour().map(table_colour);
        table.add_row(columns.iter().map(|(head, content)| {
            let cell = Cell::new(content(process, look, now));
            match (*head, colour) {
                ("STATUS", Some(colour)) => cell.fg(colour),
                ("ETA", _) => cell.set_alignment(CellAlignment::Right),
                _ => cell,
            }
        }));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, COLUMN_GAP_CELLS));
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn for_pipes(processes: &[ProcessView], look: TableFormat, now: RenderTime) -> String {
    let mut text = columns(look).map(|(head, _)| head).collect::<Vec<_>>().join("\t");
    text.push('\n');
    for process in processes {
        let cells: Vec<String> = columns(look).map(|(_, content)| content(process, look, now)).collect();
        text.push_str(&cells.join("\t"));
        text.push('\n');
    }
    text
}

fn status(process: &ProcessView, look: TableFormat) -> String {
    let mut words = clean_label(&process.status).into_owned();
    if let Some(why) = few_words(process) {
        words.push(' ');
        words.push_str(&why);
    }
    if !look.face.terminal {
        return words;
    }
    let words = if look.wide { words } else { cut(&words, MAX_STATUS_LEN, look.unicode) };
    format!("{} {words}", ParsedStatus::of(process).glyph(look.unicode))
}

fn progress(process: &ProcessView, look: TableFormat) -> String {
    let Some(progress) = process.progress.map(|progress| progress.clamp(0.0, 100.0)) else {
        return "-".to_owned();
    };
    if !look.face.terminal {
        return format!("{progress:.0}%");
    }
    let (full, empty) = if look.unicode { ("█", "░") } else { ("#", ".") };
    let filled = (progress / 100.0 * BAR as f64).floor() as usize;
    format!("{}{} {progress:>3.0}%", full.repeat(filled), empty.repeat(BAR.saturating_sub(filled)))
}

fn text(text: Option<&str>, look: TableFormat, max_len: usize) -> String {
    match text {
        None | Some("") => "-".to_owned(),
        Some(text) if look.face.terminal && !look.wide => cut(&clean_label(text), max_len, look.unicode),
        Some(text) => clean_label(text).into_owned(),
    }
}

fn cut(text: &str, max_len: usize, unicode: bool) -> String {
    if text.chars().count() <= max_len {
        return text.to_owned();
    }
    let mark = if unicode { "…" } else { ".." };
    let kept: String = text.chars().take(max_len.saturating_sub(mark.chars().count())).collect();
    format!("{kept}{mark}")
}

const fn table_colour(colour: anstyle::AnsiColor) -> Color {
    use anstyle::AnsiColor;
    match colour {
        AnsiColor::Black => Color::Black,
        AnsiColor::Red => Color::DarkRed,
        AnsiColor::Green => Color::DarkGreen,
        AnsiColor::Yellow => Color::DarkYellow,
        AnsiColor::Blue => Color::DarkBlue,
        AnsiColor::Magenta => Color::DarkMagenta,
        AnsiColor::Cyan => Color::DarkCyan,
        AnsiColor::White => Color::Grey,
        AnsiColor::BrightBlack => Color::DarkGrey,
        AnsiColor::BrightRed => Color::Red,
        AnsiColor::BrightGreen => Color::Green,
        AnsiColor::BrightYellow => Color::Yellow,
        AnsiColor::BrightBlue => Color::Blue,
        AnsiColor::BrightMagenta => Color::Magenta,
        AnsiColor::BrightCyan => Color::Cyan,
        AnsiColor::BrightWhite => Color::White,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;
    use longhaul_wire::api::TreeUsageView;

    #[test]
    fn terminal_gets_a_table() {
        let shown =
            table(&[samples::running(), samples::queued(), samples::failed()], look(true, false), now());
        assert_eq!(
            shown,
            "\
ID        PROJECT  NAME   STATUS                    STAGE     PROGRESS         ETA  STARTED
0a1b2c3d  atlas    tests  ● running                 412/1000  ████░░░░░░  41%  ~3m  2m ago
9f8e7d6c  atlas    build  ◌ pending queued (cargo)  -         -                  -  -
b7d0ha00  atlas    ruff   ✗ failed exit 1           -         -                  -  14m ago
"
        );
    }

    #[test]
    fn pipe_gets_whole_texts_between_tabs() {
        let shown = table(&[samples::running(), samples::failed()], look(false, false), now());
        assert_eq!(
            shown,
            "\
ID\tPROJECT\tNAME\tSTATUS\tSTAGE\tPROGRESS\tETA\tSTARTED
0a1b2c3d-1111-4111-8111-111111111111\tatlas\ttests\trunning\t412/1000\t41%\t~3m\t2026-11-21T01:48:00Z
b7d0ha00-3333-4333-8333-333333333333\tatlas\truff\tfailed exit 1\t-\t-\t-\t2026-11-21T01:36:00Z
"
        );
    }

    #[test]
    fn cell_with_untrusted_text_stays_one_cell() {
        let mut process = samples::running();
        process.name = Some("a\tb\n\u{1b}[2Jc".to_owned());
        let shown = table(&[process], look(false, false), now());
        assert_eq!(shown.lines().count(), 2);
        assert_eq!(shown.lines().nth(1).unwrap().split('\t').nth(2), Some("a␉b␊␛[2Jc"));
    }

    #[test]
    fn long_texts_are_cut_on_a_terminal_only() {
        let mut process = samples::running();
        process.stage = Some("x".repeat(60));
        assert!(
            table(&[process.clone()], look(true, false), now()).contains(&format!(" {}… ", "x".repeat(23)))
        );
        assert!(table(&[process.clone()], look(true, true), now()).contains(&"x".repeat(60)));
        assert!(table(&[process], look(false, false), now()).contains(&"x".repeat(60)));
    }

    #[test]
    fn narrow_terminal_does_without_some_columns() {
        let narrow = TableFormat { width: 50, ..look(true, false) };
        let shown = table(&[samples::running()], narrow, now());
        assert_eq!(
            shown,
            "\
ID        NAME   STATUS     PROGRESS         ETA
0a1b2c3d  tests  ● running  ████░░░░░░  41%  ~3m
"
        );
        assert!(
            table(&[samples::running()], TableFormat { width: 10, ..narrow }, now()).contains("● running")
        );
    }

    #[test]
    fn wide_table_shows_resource_usage_and_run_time() {
        let mut process = samples::running();
        process.usage = Some(TreeUsageView {
            cpu_ms: 61_500,
            memory_bytes: 12 << 20,
            read_bytes: Some(2_048),
            ..TreeUsageView::default()
        });
        let shown = table(&[process.clone(), samples::failed()], look(true, true), now());
        let row = shown.lines().nth(1).unwrap();
        assert!(row.contains("2m ago   1m 1s  12 MiB  2 KiB  -        2m "), "{shown}");
        assert!(
            shown.lines().nth(2).unwrap().contains("14m ago  -      -       -      -        -  "),
            "{shown}"
        );
        let piped = table(&[process], look(false, true), now());
        assert!(piped.contains("\t61500ms\t12582912\t2048\t-\t120000ms\t"), "{piped}");
    }

    #[test]
    fn counts_are_printed_in_one_line() {
        let all = [samples::running(), samples::queued(), samples::failed(), samples::cancelled()];
        assert_eq!(
            summary(&all, &[], false),
            "2 live · 1 waiting · 1 cancelled · 1 failed: longhaul logs b7d0ha00"
        );
        assert_eq!(summary(&[samples::running()], &[], false), "1 live");
        let one = [samples::running()];
        assert_eq!(
            summary(&one, &[samples::failed()], false),
            "1 of 2 shown · 1 live · 1 failed: longhaul logs b7d0ha00"
        );
        assert_eq!(summary(&one, &one, true), "1 of more than 2 shown · 2 live");
    }

    fn look(terminal: bool, wide: bool) -> TableFormat {
        TableFormat { face: ConsoleStream { terminal, colour: false }, wide, unicode: true, width: 120 }
    }

    fn now() -> RenderTime {
        RenderTime::parse(samples::NOW, true)
    }
}
