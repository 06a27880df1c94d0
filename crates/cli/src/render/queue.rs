//! Formats queues, and the reason why a process is waiting.

use super::amount::{length, rough};
use super::detail::{port_holder, source_place};
use super::grid::{Align, grid};
use super::line::short;
use super::moment::RenderTime;
use super::table::TableFormat;
use crate::status::ParsedStatus;
use longhaul_view::clean_label;
use longhaul_wire::api::{HoldView, HolderView, ProcessView, QueueListing, QueueView, WhyView};

/// Maximum number of slot-holding processes that are listed.
const MAX_NAMED: usize = 10;

/// Formats the queues as a table. The limits of unused keys follow below the table.
pub(crate) fn queues(listing: &QueueListing, look: TableFormat, now: RenderTime) -> String {
    let mut heads = vec![
        ("KEY", Align::Left),
        ("LIMIT", Align::Right),
        ("RUNNING", Align::Right),
        ("WAITING", Align::Right),
        ("OLDEST WAIT", Align::Right),
        ("HELD BY", Align::Left),
    ];
    if look.wide {
        heads.extend([("HOLDERS", Align::Left), ("NEXT", Align::Left)]);
    }
    let mut rows: Vec<Vec<String>> = listing.queues.iter().map(|queue| row(queue, look, now)).collect();
    let shown = |key: &str| listing.queues.iter().any(|queue| queue.key.as_deref() == Some(key));
    for (key, slots) in listing.slots.iter().filter(|(key, _)| !shown(key)) {
        let mut row = vec![clean_label(key).into_owned(), limit(Some(*slots).filter(|slots| *slots > 0))];
        row.resize(heads.len(), "-".to_owned());
        rows.push(row);
    }
    grid(&heads, &rows, look)
}

/// Formats the reason why a process is waiting.
pub(crate) fn why(why: &WhyView, unicode: bool, now: RenderTime) -> String {
    let process = ProcessView { status: why.status.clone(), ..ProcessView::default() };
    let glyph = ParsedStatus::of(&process).glyph(unicode);
    let mut text =
        format!("{} {glyph} {}: {}\n", named(&why.id, why.name.as_deref()), why.status, why.reason);
    for (label, value) in why_facts(why, now) {
        text.push_str(&format!("  {label:<10} {value}\n"));
    }
    clean_lines(&text)
}

fn row(queue: &QueueView, look: TableFormat, now: RenderTime) -> Vec<String> {
    let id = |id: &String| if look.face.terminal { short(id).to_owned() } else { id.clone() };
    let oldest = match (&queue.oldest_at, queue.oldest_wait_ms) {
        (Some(at), _) if !look.face.terminal => at.clone(),
        (_, Some(millis)) => rough(millis),
        (_, None) => "-".to_owned(),
    };
    let mut row = vec![
        queue.key.as_deref().map_or_else(|| "-".to_owned(), |key| clean_label(key).into_owned()),
        limit(queue.slots),
        queue.running.to_string(),
        queue.waiting.to_string(),
        oldest,
        queue.held.as_ref().map_or_else(|| "-".to_owned(), |hold| held(hold, look, now)),
    ];
    if look.wide {
        let holders: Vec<String> = queue.holders.iter().map(id).collect();
        row.push(Some(holders.join(" ")).filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned()));
        row.push(queue.waiters.first().map_or_else(|| "-".to_owned(), id));
    }
    row
}

fn limit(slots: Option<u32>) -> String {
    slots.map_or_else(|| "none".to_owned(), |slots| slots.to_string())
}

fn held(hold: &HoldView, look: TableFormat, now: RenderTime) -> String {
    let by = hold.by.as_deref().unwrap_or("unknown");
    let by = clean_label(by);
    if look.face.terminal { format!("{by}, {}", now.ago(&hold.since)) } else { by.into_owned() }
}

/// Returns the facts that explain a wait or a failure, each with its label.
pub(super) fn why_facts(why: &WhyView, now: RenderTime) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let mut add = |label, value: Option<String>| facts.extend(value.map(|value| (label, value)));
    add("key", why.key.clone());
    add(
        "position",
        why.position.map(|position| match why.ahead.unwrap_or_else(|| position.saturating_sub(1)) {
            0 => format!("{position}, next"),
            ahead => format!("{position}, {ahead} ahead"),
        }),
    );
    let contended = matches!(why.why.as_str(), "queued" | "node_full");
    add("slots", why.slots.filter(|_| contended).map(|slots| slots.to_string()));
    let more = why.holders.len().saturating_sub(MAX_NAMED);
    for (index, holder) in why.holders.iter().take(MAX_NAMED).enumerate() {
        add(if index == 0 { "taken by" } else { "" }, Some(holder_text(holder, now)));
    }
    add("", (more > 0).then(|| format!("and {more} more")));
    add(
        "held by",
        why.held.as_ref().map(|hold| {
            let by = hold.by.as_deref().unwrap_or("unknown");
            format!("{by}, since {} ({})", now.clock(&hold.since), now.ago(&hold.since))
        }),
    );
    add(
        "due",
        why.due_at.as_deref().map(|due| match now.until(due) {
            Some(left) => format!("{} (in {left})", now.clock(due)),
            None => now.clock(due),
        }),
    );
    add("attempt", why.next_attempt.map(|attempt| format!("{attempt} is next")));
    add("last", why.last_error.clone());
    add("error at", why.first_error.as_ref().and_then(source_place));
    add("port", why.first_error.as_ref().and_then(port_holder));
    for attempt in &why.earlier_attempts {
        let ended = now.clock(&attempt.ended_at);
        add("before", Some(format!("attempt {}, {ended}: {}", attempt.attempt, attempt.ending)));
    }
    add("runs on", why.placement.clone());
    let waits = why.why != "not_waiting" && !why.queued_at.is_empty();
    add(
        "since",
        waits.then(|| {
            let waited = now.millis_since(&why.queued_at).map(length);
            let waited = waited.map(|waited| format!(" ({waited})")).unwrap_or_default();
            format!("{}{waited}", now.clock(&why.queued_at))
        }),
    );
    for (index, (command, what)) in next_steps(why).into_iter().enumerate() {
        add(if index == 0 { "next" } else { "" }, Some(format!("{command:<44} {what}")));
    }
    facts
}

fn holder_text(holder: &HolderView, now: RenderTime) -> String {
    let mut text = named(&holder.id, holder.name.as_deref());
    if let Some(status) = &holder.status {
        text.push_str(&format!(", {status}"));
    }
    if let Some(at) = &holder.started_at {
        text.push_str(&format!(" since {} ({})", now.clock(at), now.ago(at)));
    }
    text
}

fn next_steps(why: &WhyView) -> Vec<(String, &'static str)> {
    let id = short(&why.id);
    let key =
        why.key.as_deref().filter(|key| key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)));
    match why.why.as_str() {
        "queued" => {
            let mut steps = vec![(format!("longhaul queue move {id} --first"), "move it to the front")];
            steps.extend(key.map(|key| (format!("longhaul queue {key} --limit N"), "raise the limit")));
            steps
        }
        "held" => key
            .map(|key| (format!("longhaul queue {key} --release"), "release the queue"))
            .into_iter()
            .collect(),
        "retry" => vec![(format!("longhaul retry {id}"), "retry now")],
        _ => Vec::new(),
    }
}

fn named(id: &str, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("{} {name}", short(id)),
        None => short(id).to_owned(),
    }
}

/// Escapes control characters in every line.
fn clean_lines(text: &str) -> String {
    text.lines().map(|line| clean_label(line).into_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::ConsoleStream;
    use crate::render::samples;

    #[test]
    fn table_of_queues() {
        assert_eq!(
            queues(&samples::listing(), look(true, false), now()),
            "\
KEY       LIMIT  RUNNING  WAITING  OLDEST WAIT  HELD BY
-          none        3        0            -  -
cargo         1        1        2           3m  -
deploy        2        0        1          30s  ada, 5m ago
claude-*      4        -        -            -  -
"
        );
    }

    #[test]
    fn wide_table_names_holders_and_the_next() {
        let shown = queues(&samples::listing(), look(true, true), now());
        assert!(shown.lines().next().unwrap().ends_with("HELD BY      HOLDERS   NEXT"), "{shown}");
        assert!(shown.contains("-            0a1b2c3d  9f8e7d6c"), "{shown}");
    }

    #[test]
    fn pipe_gets_tabs_whole_ids_and_moments() {
        let shown = queues(&samples::listing(), look(false, true), now());
        assert_eq!(
            shown.lines().nth(2).unwrap(),
            "cargo\t1\t1\t2\t2026-11-21T01:47:00Z\t-\t0a1b2c3d-1111-4111-8111-111111111111\t\
             9f8e7d6c-2222-4222-8222-222222222222"
        );
    }

    #[test]
    fn queued_process_is_shown_with_position_and_slot_holders() {
        assert_eq!(
            why(&samples::why(), true, now()),
            "\
9f8e7d6c build ◌ pending: it waits for a slot of the key cargo
  key        cargo
  position   2, 1 ahead
  slots      1
  taken by   0a1b2c3d tests, running since 2026-11-21 01:48:00 UTC (2m ago)
  since      2026-11-21 01:49:30 UTC (30s)
  next       longhaul queue move 9f8e7d6c --first         move it to the front
             longhaul queue cargo --limit N               raise the limit
"
        );
    }

    #[test]
    fn held_delayed_and_retried_processes_are_shown_with_their_times() {
        let held = WhyView {
            why: "held".to_owned(),
            holders: Vec::new(),
            held: Some(HoldView { since: "2026-11-21T01:45:00Z".to_owned(), by: Some("ada".to_owned()) }),
            ..samples::why()
        };
        let text = why(&held, true, now());
        assert!(text.contains("  held by    ada, since 2026-11-21 01:45:00 UTC (5m ago)\n"), "{text}");
        assert!(text.contains("longhaul queue cargo --release"), "{text}");
        let retry = WhyView {
            id: samples::queued().id,
            status: "pending".to_owned(),
            why: "retry".to_owned(),
            due_at: Some("2026-11-21T01:50:04Z".to_owned()),
            next_attempt: Some(2),
            last_error: Some("exit 1".to_owned()),
            ..WhyView::default()
        };
        let text = why(&retry, false, now());
        assert!(text.contains("  due        2026-11-21 01:50:04 UTC (in 4.0s)\n"), "{text}");
        assert!(text.contains("  attempt    2 is next\n  last       exit 1\n"), "{text}");
        assert!(text.contains("longhaul retry 9f8e7d6c"), "{text}");
    }

    #[test]
    fn untrusted_text_stays_on_its_line() {
        let mut evil = samples::why();
        evil.name = Some("a\u{1b}[2J".to_owned());
        let text = why(&evil, true, now());
        assert!(!text.contains('\u{1b}'), "{text:?}");
        let mut many = samples::why();
        many.holders = vec![many.holders[0].clone(); 12];
        assert!(why(&many, true, now()).contains("             and 2 more\n"));
    }

    fn look(terminal: bool, wide: bool) -> TableFormat {
        TableFormat { face: ConsoleStream { terminal, colour: false }, wide, unicode: true, width: 120 }
    }

    fn now() -> RenderTime {
        RenderTime::parse(samples::NOW, true)
    }
}
