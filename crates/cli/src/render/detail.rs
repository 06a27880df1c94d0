//! One process on a page of its own: what it is, why it stands where it stands, and what to do next.

use super::amount::{bytes, length, rough};
use super::line::short;
use super::moment::Now;
use crate::console::Face;
use crate::standing::Standing;
use crate::value::Signal;
use longhaul_view::clean_label;
use longhaul_wire::api::ProcessView;

/// Writes the page.
pub(crate) fn detail(process: &ProcessView, face: Face, unicode: bool, now: Now) -> String {
    let standing = Standing::of(process);
    let glyph = standing.glyph(unicode);
    let status = face.paint(standing.style(), &format!("{glyph} {}", clean_label(&process.status)));
    let mut text = format!("{}{status}\n", pad(&title(process)));
    for (label, value) in facts(process, now) {
        text.push_str(&format!("  {label:<10} {}\n", clean_label(&value)));
    }
    for (index, (command, what)) in next_steps(process).into_iter().enumerate() {
        let label = if index == 0 { "next" } else { "" };
        text.push_str(&format!("  {label:<10} {command:<34} {what}\n"));
    }
    text
}

fn title(process: &ProcessView) -> String {
    match &process.name {
        Some(name) => format!("{} ({})", clean_label(name), process.id),
        None => process.id.clone(),
    }
}

fn pad(title: &str) -> String {
    format!("{title}  ")
}

fn facts(process: &ProcessView, now: Now) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let mut add = |label, value: Option<String>| facts.extend(value.map(|value| (label, value)));
    add("why", why(process, now));
    add("conditions", Some(process.conditions.join(", ")).filter(|text| !text.is_empty()));
    add("about", process.description.clone());
    add("command", Some(command_line(&process.command)).filter(|text| !text.is_empty()));
    add("directory", process.directory.clone());
    add("project", process.project.clone());
    add("session", process.session_id.clone());
    add("progress", progress(process));
    add("stage", process.stage.clone());
    add(
        "attempt",
        Some(format!("{} of {}", process.attempt, process.max_attempts)).filter(|_| process.max_attempts > 1),
    );
    add(
        "pid",
        process.pid.map(|pid| match &process.containment {
            Some(containment) => format!("{pid} ({containment})"),
            None => pid.to_string(),
        }),
    );
    add("node", process.node_id.clone());
    add("parent", process.parent_id.clone());
    add("again", process.restarted_from.as_ref().map(|origin| format!("restarted from {origin}")));
    add("key", process.key.clone());
    add("queued", Some(process.queued_at.as_str()).filter(|at| !at.is_empty()).map(|at| now.clock(at)));
    add("started", process.started_at.as_deref().map(|at| format!("{} ({})", now.clock(at), now.ago(at))));
    add("ended", process.completed_at.as_deref().map(|at| format!("{} ({})", now.clock(at), now.ago(at))));
    add("took", process.duration_ms.filter(|_| process.completed_at.is_some()).map(length));
    add("exit", exit(process));
    add("output", process.output_bytes.map(bytes));
    add("log", process.log_path.clone());
    facts
}

fn why(process: &ProcessView, now: Now) -> Option<String> {
    let pending = process.pending.as_ref();
    let due = pending.and_then(|pending| pending.due_at.as_deref()).and_then(|due| now.until(due));
    let said = process
        .reason
        .clone()
        .or_else(|| process.error.clone())
        .or_else(|| pending.map(|pending| pending.why.clone()))?;
    Some(match due {
        Some(due) if !said.contains(" in ") => format!("{said}, in {due}"),
        _ => said,
    })
}

fn progress(process: &ProcessView) -> Option<String> {
    let progress = process.progress?;
    Some(match process.eta_ms {
        Some(eta) => format!("{progress:.0} %, eta ~{}", rough(eta)),
        None => format!("{progress:.0} %"),
    })
}

fn exit(process: &ProcessView) -> Option<String> {
    let exit = process.exit.as_ref()?;
    let mut parts = Vec::new();
    match (exit.code, exit.signal) {
        (_, Some(signal)) => {
            parts.push(format!("by {}{}", Signal::of(signal), if exit.core { ", core dumped" } else { "" }))
        }
        (Some(code), None) => parts.push(format!("code {code}")),
        (None, None) => {}
    }
    parts.extend(exit.stopped_by.as_ref().map(|by| format!("stopped by {by}")));
    parts.extend((exit.swept > 0).then(|| format!("{} descendants swept", exit.swept)));
    parts.extend((exit.leftovers > 0).then(|| format!("{} descendants left over", exit.leftovers)));
    parts.extend((exit.dropped_bytes > 0).then(|| format!("{} of output lost", bytes(exit.dropped_bytes))));
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn next_steps(process: &ProcessView) -> Vec<(String, &'static str)> {
    let id = short(&process.id);
    let step = |verb: &str, what| (format!("longhaul {verb} {id}"), what);
    let streamed = process.work != "reported";
    let mut steps = match Standing::of(process) {
        Standing::Pending if process.pending.as_ref().is_some_and(|pending| pending.why == "retry") => {
            vec![step("retry", "try again now"), step("cancel", "give up")]
        }
        Standing::Pending => vec![step("wait --for running", "until it starts"), step("cancel", "give up")],
        Standing::Starting | Standing::Running | Standing::OtherLive => {
            vec![step("wait", "until it ends"), step("cancel", "stop it")]
        }
        Standing::Paused => vec![step("resume", "let it go on"), step("cancel", "stop it")],
        Standing::Stopping => vec![step("wait", "until it ends"), step("cancel --now", "kill it")],
        Standing::Failed | Standing::Timeout | Standing::Cancelled | Standing::Interrupted => {
            vec![step("restart -b", "run it again")]
        }
        Standing::Completed | Standing::OtherEnded => Vec::new(),
    };
    if streamed {
        let live = !Standing::of(process).is_ended();
        steps.insert(
            0,
            if live { step("logs -f", "follow its output") } else { step("logs", "see its output") },
        );
    }
    steps
}

/// Writes a command so that a shell would read it as it is.
fn command_line(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn page_of_what_runs() {
        assert_eq!(
            page(&samples::running()),
            "\
tests (0a1b2c3d-1111-4111-8111-111111111111)  ● running
  command    cargo test 'two words'
  directory  /home/ada/atlas
  project    atlas
  progress   41 %, eta ~3m
  stage      412/1000
  attempt    1 of 3
  pid        4711 (cgroup)
  node       laptop
  queued     2026-11-21 01:47:59 UTC
  started    2026-11-21 01:48:00 UTC (2m ago)
  output     1.5 KiB
  log        /state/attempts/0a1b2c3d/1/output.log
  next       longhaul logs -f 0a1b2c3d          follow its output
             longhaul wait 0a1b2c3d             until it ends
             longhaul cancel 0a1b2c3d           stop it
"
        );
    }

    #[test]
    fn page_of_what_waits_says_why() {
        let page = page(&samples::queued());
        assert!(page.contains("  why        waits for a slot of key cargo\n"), "{page}");
        assert!(page.contains("longhaul wait --for running 9f8e7d6c"), "{page}");
    }

    #[test]
    fn page_of_what_was_stopped_tells_the_signal_and_the_swept() {
        let page = page(&samples::cancelled());
        assert!(page.contains("  exit       by SIGKILL, stopped by user, 3 descendants swept\n"), "{page}");
        assert!(page.contains("longhaul restart -b c0ffee00"), "{page}");
    }

    #[test]
    fn retry_is_offered_with_the_time_that_is_left() {
        let mut process = samples::queued();
        process.reason = Some("retry 2 of 3 after exit 1".to_owned());
        let pending = process.pending.as_mut().unwrap();
        pending.why = "retry".to_owned();
        pending.due_at = Some("2026-11-21T01:50:04Z".to_owned());
        let page = page(&process);
        assert!(page.contains("retry 2 of 3 after exit 1, in 4.0s"), "{page}");
        assert!(page.contains("longhaul retry 9f8e7d6c"), "{page}");
    }

    #[test]
    fn words_of_strangers_cannot_forge_lines() {
        let mut process = samples::running();
        process.description = Some("a\n  why        forged\u{1b}[2J".to_owned());
        let page = page(&process);
        assert!(!page.contains('\u{1b}') && !page.contains("\n  why"), "{page}");
    }

    fn page(process: &ProcessView) -> String {
        detail(process, Face::default(), true, Now::said(samples::NOW, true))
    }
}
