//! Formats the details of one process: its fields, the reason for its status, and commands that the user may need next.

use super::amount::{bytes, length};
use super::line::{command_words, descendants, ports, remaining, short};
use super::moment::RenderTime;
use super::test_run::test_counts;
use crate::console::ConsoleStream;
use crate::shell_word::shell_line;
use crate::status::ParsedStatus;
use crate::value::SignalArg;
use longhaul_view::clean_label;
use longhaul_wire::api::{
    ExitView, FirstErrorView, LimitsView, PortHolderView, ProcessView, TestsView, TokensView, TreeUsageView,
    UsageView,
};

/// Minimum width of the column that shows the next commands, in characters.
const STEP: usize = 34;
/// Maximum number of failed tests that are named.
const MAX_TESTS: usize = 3;
/// Minimum time without output, in milliseconds. A shorter time is not shown.
const MIN_SHOWN_SILENCE_MS: u64 = 2_000;

/// Formats all details of a process.
pub(crate) fn detail(process: &ProcessView, face: ConsoleStream, unicode: bool, now: RenderTime) -> String {
    let mut text = heading(process, face, unicode);
    text.extend(facts(process, now).iter().map(|(label, value)| fact_line(label, value)));
    text.push_str(&step_lines(&next_steps(process)));
    text
}

/// Formats the first line about a process: its title and its status.
pub(super) fn heading(process: &ProcessView, face: ConsoleStream, unicode: bool) -> String {
    let standing = ParsedStatus::of(process);
    let glyph = standing.glyph(unicode);
    let status = face.paint(standing.style(), &format!("{glyph} {}", clean_label(&process.status)));
    format!("{}{status}\n", pad(&title(process)))
}

/// Formats one fact about a process as a line.
pub(super) fn fact_line(label: &str, value: &str) -> String {
    format!("  {label:<10} {}\n", clean_label(value))
}

/// Formats the commands that the user may need next, one on each line.
pub(super) fn step_lines(steps: &[(String, &'static str)]) -> String {
    let widest = steps.iter().map(|(command, _)| command.len()).max().unwrap_or_default().max(STEP);
    let line = |(index, (command, what)): (usize, &(String, &str))| {
        let label = if index == 0 { "next" } else { "" };
        format!("  {label:<10} {command:<widest$} {what}\n")
    };
    steps.iter().enumerate().map(line).collect()
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

/// Returns the facts about a process, each with its label.
pub(super) fn facts(process: &ProcessView, now: RenderTime) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let mut add = |label, value: Option<String>| facts.extend(value.map(|value| (label, value)));
    add("why", why(process, now));
    // Show the reported error only if the reason does not already contain it.
    let is_new =
        |error: &&String| process.reason.as_ref().is_some_and(|reason| !reason.contains(error.as_str()));
    add("error", process.error.as_ref().filter(is_new).cloned());
    add("result", process.result.as_ref().map(result));
    add("error at", process.first_error.as_ref().and_then(source_place));
    add("port", process.first_error.as_ref().and_then(port_holder));
    add(
        "search",
        process
            .first_error_incomplete
            .then(|| "the output was not searched completely for its first error".to_owned()),
    );
    add("tests", process.tests.as_ref().map(tests));
    let warning = process.tests.as_ref().and_then(|tests| tests.warning.as_ref());
    add("warning", warning.map(|warning| warning.message.clone()));
    add("conditions", Some(process.conditions.join(", ")).filter(|text| !text.is_empty()));
    add("as of", process.stale_since.as_deref().map(|at| format!("{} ({})", now.clock(at), now.ago(at))));
    add(
        "ending",
        process.cancelling_descendants.then(|| "its descendants, which have not all ended".to_owned()),
    );
    add("ready", ready(process));
    add("silent", silent(process));
    add("listens", listens(process));
    add("about", process.description.clone());
    add("prompt", process.prompt.as_deref().map(short_text));
    add("command", Some(shell_line(command_words(process))).filter(|text| !text.is_empty()));
    add("directory", process.directory.clone());
    add("input", input(process));
    add("project", process.project.clone());
    add("session", session(process, now));
    add("agent", agent(process));
    add("runner", runner(process));
    add("tokens", process.tokens.as_ref().map(tokens));
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
    add("uses", process.usage.as_ref().map(usage));
    add("used", process.exit.as_ref().and_then(|exit| used(&exit.usage)));
    add("limits", process.limits.as_ref().and_then(|asked| limits(asked, process.usage.as_ref())));
    add("parent", process.parent_id.as_ref().map(|parent| format!("{parent} (level {})", process.level)));
    add("children", children(process));
    add("again", process.restarted_from.as_ref().map(|origin| format!("restarted from {origin}")));
    add("key", process.key.clone());
    add("queued", Some(process.queued_at.as_str()).filter(|at| !at.is_empty()).map(|at| now.clock(at)));
    add("started", process.started_at.as_deref().map(|at| format!("{} ({})", now.clock(at), now.ago(at))));
    let (before, most) = match process.completed_at_precision.as_deref() {
        Some("latest") => ("at or before ", "at most "),
        Some("given_up") => ("unknown; interrupted at ", ""),
        Some(_) | None => ("", ""),
    };
    add(
        "ended",
        process.completed_at.as_deref().map(|at| format!("{before}{} ({})", now.clock(at), now.ago(at))),
    );
    let is_given_up = process.completed_at_precision.as_deref() == Some("given_up");
    let took = process.duration_ms.filter(|_| process.completed_at.is_some() && !is_given_up);
    add("took", took.map(|millis| format!("{most}{}", length(millis))));
    add("exit", process.exit.as_ref().and_then(exit).map(|told| told + sent_by(process)));
    add("late", late(process));
    add(
        "output",
        process.output_bytes.map(|size| match is_removed(process) {
            true => format!("{}, deleted to free space", bytes(size)),
            false => bytes(size),
        }),
    );
    add("log", process.log_path.clone());
    facts
}

/// Formats the test results. Names the first failures, except failures that the reason already names.
fn tests(tests: &TestsView) -> String {
    let first: Vec<&str> = tests.failures.iter().take(MAX_TESTS).map(|case| case.id.as_str()).collect();
    let named = if first.is_empty() { String::new() } else { format!(": {}", first.join(", ")) };
    let failed = tests.failed.saturating_add(tests.errors);
    let more = failed.saturating_sub(u64::try_from(first.len()).unwrap_or(u64::MAX));
    let more = if more > 0 && !first.is_empty() { format!(" and {more} more") } else { String::new() };
    format!("{}{named}{more}", test_counts(tests))
}

fn ready(process: &ProcessView) -> Option<String> {
    let live = !ParsedStatus::of(process).is_ended();
    process.ready.filter(|_| live).map(|ready| if ready { "yes".to_owned() } else { "not yet".to_owned() })
}

fn silent(process: &ProcessView) -> Option<String> {
    process
        .idle_ms
        .filter(|millis| *millis >= MIN_SHOWN_SILENCE_MS)
        .map(|millis| format!("for {}", length(millis)))
}

fn listens(process: &ProcessView) -> Option<String> {
    process.listening_ports.as_deref().map(ports).filter(|text| !text.is_empty())
}

fn input(process: &ProcessView) -> Option<String> {
    match process.stdin.as_deref() {
        Some("file") => Some("from a file".to_owned()),
        Some("pipe") => Some("from `longhaul send`".to_owned()),
        _ => None,
    }
}

fn is_removed(process: &ProcessView) -> bool {
    process.conditions.iter().any(|condition| condition == "output_removed")
}

fn why(process: &ProcessView, now: RenderTime) -> Option<String> {
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

/// Returns the source location of an error as `file:line:column`, as compilers print it.
pub(super) fn source_place(error: &FirstErrorView) -> Option<String> {
    let mut place = error.file.clone()?;
    for number in [error.line, error.column].into_iter().map_while(|number| number) {
        place.push_str(&format!(":{number}"));
    }
    Some(place)
}

/// Describes the process that was using the port which a failed command could not open.
pub(super) fn port_holder(error: &FirstErrorView) -> Option<String> {
    let PortHolderView { port, pid, name } = error.port_holder.as_ref()?;
    Some(format!("port {port} was held by {name} (process {pid}) when the command ended"))
}

fn progress(process: &ProcessView) -> Option<String> {
    let progress = process.progress.map(|progress| format!("{progress:.0} %"));
    let parts: Vec<String> = progress.into_iter().chain(remaining(process)).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Returns the session of the process, and what happens to the process when the session ends.
fn session(process: &ProcessView, now: RenderTime) -> Option<String> {
    let mut text = process.session_id.clone()?;
    let rule = match (process.on_session_end.as_str(), process.session_grace_ms) {
        ("cancel", _) => Some("cancelled when the session ends".to_owned()),
        ("grace", Some(grace)) => Some(format!("cancelled {} after the session ends", length(grace))),
        _ => None,
    };
    let rule = match process.cancel_at.as_deref() {
        Some(by) => Some(format!("which has ended; cancelled at {}", now.clock(by))),
        None => rule,
    };
    if let Some(rule) = rule {
        text.push_str(&format!(", {rule}"));
    }
    Some(text)
}

/// Returns a result as one short line. `longhaul inspect` prints the complete result.
fn result(result: &serde_json::Value) -> String {
    short_text(&result.as_str().map_or_else(|| result.to_string(), str::to_owned))
}

/// Returns the start of a text in one line.
fn short_text(text: &str) -> String {
    const MAX_LEN: usize = 200;
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let start: String = words.chars().take(MAX_LEN).collect();
    if start.len() < words.len() { format!("{start}…") } else { start }
}

fn runner(process: &ProcessView) -> Option<String> {
    let mut text = process.runner.clone()?;
    if let Some(model) = &process.model {
        text.push_str(&format!(", model {model}"));
    }
    if let Some(session) = &process.agent_session_id {
        text.push_str(&format!(", session {session}"));
    }
    Some(text)
}

fn tokens(tokens: &TokensView) -> String {
    format!("{} in, {} out, {} from the cache", tokens.input, tokens.output, tokens.cached)
}

fn agent(process: &ProcessView) -> Option<String> {
    let mut text = process.agent_id.clone().or_else(|| process.agent_type.clone())?;
    if let (Some(_), Some(kind)) = (&process.agent_id, &process.agent_type) {
        text.push_str(&format!(" ({kind})"));
    }
    if !process.capabilities.is_empty() {
        text.push_str(&format!(", can {}", process.capabilities.join(", ")));
    }
    Some(text)
}

fn children(process: &ProcessView) -> Option<String> {
    let rule = |word: &str| match word {
        "cancel" => Some("are cancelled when the process ends"),
        "wait" => Some("the process ends after its children"),
        _ => None,
    };
    let after_failure = |word: &str| match word {
        "cancel" => "are cancelled when the process fails",
        "wait" => "if the process fails, it ends after its children",
        _ => "keep running when the process fails",
    };
    let (always, on_failure) = (process.children.as_str(), process.children_on_failure.as_str());
    if on_failure.is_empty() || on_failure == always {
        return rule(always).map(str::to_owned);
    }
    let parts = rule(always).into_iter().chain([after_failure(on_failure)]);
    Some(parts.collect::<Vec<_>>().join("; "))
}

fn usage(usage: &TreeUsageView) -> String {
    let mut parts = vec![
        format!("{} of processor time", length(usage.cpu_ms)),
        format!("{} of memory", bytes(usage.memory_bytes)),
        if usage.processes == 1 { "1 process".to_owned() } else { format!("{} processes", usage.processes) },
    ];
    parts.extend(usage.read_bytes.map(|read| format!("{} read", bytes(read))));
    parts.extend(usage.written_bytes.map(|written| format!("{} written", bytes(written))));
    parts.join(", ")
}

/// Formats the resources that an ended attempt used. Returns `None` if this usage is unknown.
fn used(usage: &UsageView) -> Option<String> {
    let cpu = usage.user_ms.saturating_add(usage.system_ms);
    (usage.peak_memory_bytes > 0).then(|| {
        format!("{} of processor time, at most {} of memory", length(cpu), bytes(usage.peak_memory_bytes))
    })
}

/// Returns the requested resource limits and the mechanism that enforces them. Returns `None` if there are no limits.
fn limits(limits: &LimitsView, usage: Option<&TreeUsageView>) -> Option<String> {
    let mut parts = Vec::new();
    parts.extend(
        limits
            .cpu_seconds
            .map(|seconds| format!("{} of processor time", length(seconds.saturating_mul(1000)))),
    );
    parts.extend(limits.memory_bytes.map(|memory| format!("{} of memory", bytes(memory))));
    parts.extend(limits.open_files.map(|files| format!("{files} open files")));
    parts.extend(limits.processes.map(|processes| format!("{processes} processes")));
    parts.extend(limits.file_bytes.map(|size| format!("files of {}", bytes(size))));
    if parts.is_empty() {
        return None;
    }
    let by = usage.map(|usage| format!(" (by {})", usage.limited_by)).unwrap_or_default();
    Some(parts.join(", ") + &by)
}

/// Formats an exit that was observed only after the process had been recorded as interrupted. Such an exit does not
/// change the status.
fn late(process: &ProcessView) -> Option<String> {
    let seen = process.late_exit.as_ref().and_then(exit)?;
    Some(format!("the command ended later: {seen}"))
}

/// Returns a remark if the process was ended by a signal that longhaul did not send.
fn sent_by(process: &ProcessView) -> &'static str {
    match process.ended_by.as_deref() {
        Some("outside") => ", sent by another program",
        Some(_) | None => "",
    }
}

fn exit(exit: &ExitView) -> Option<String> {
    let mut parts = Vec::new();
    match (exit.code, exit.signal) {
        (_, Some(signal)) => parts.push(format!(
            "by {}{}",
            SignalArg::of(signal),
            if exit.core { ", core dumped" } else { "" }
        )),
        (Some(code), None) => parts.push(format!("code {code}")),
        (None, None) => {}
    }
    parts.extend(exit.stopped_by.as_ref().map(|by| format!("stopped by {by}")));
    parts.extend(exit.paused.then(|| "while paused".to_owned()));
    parts.extend(exit.exit_unobserved.then(|| "while no manager was running".to_owned()));
    parts.extend(exit.limit.as_ref().map(|limit| format!("over its limit of {limit}")));
    parts.extend(
        (exit.leftovers_killed > 0).then(|| format!("{} killed", descendants(exit.leftovers_killed))),
    );
    parts.extend(
        (exit.leftovers_found > 0).then(|| format!("{} left over", descendants(exit.leftovers_found))),
    );
    parts.extend(exit.output_open.then(|| "other programs kept its output open".to_owned()));
    parts.extend((exit.dropped_bytes > 0).then(|| format!("{} of output lost", bytes(exit.dropped_bytes))));
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Returns the commands that the user may need next, each with its purpose.
pub(super) fn next_steps(process: &ProcessView) -> Vec<(String, &'static str)> {
    let id = short(&process.id);
    let step = |verb: &str, what| (format!("longhaul {verb} {id}"), what);
    let streamed = process.work != "reported" && !is_removed(process);
    let mut steps = match ParsedStatus::of(process) {
        ParsedStatus::Pending if process.pending.as_ref().is_some_and(|pending| pending.why == "retry") => {
            vec![step("retry", "retry now"), step("cancel", "give up")]
        }
        ParsedStatus::Pending => vec![
            step("why", "explain the wait"),
            step("wait --for running", "wait until it starts"),
            step("cancel", "give up"),
        ],
        ParsedStatus::Starting | ParsedStatus::Running | ParsedStatus::OtherLive => {
            vec![step("wait", "wait until it ends"), step("cancel", "stop it")]
        }
        ParsedStatus::Paused => vec![step("resume", "resume the process"), step("cancel", "stop it")],
        ParsedStatus::Stopping => vec![step("wait", "wait until it ends"), step("cancel --force", "kill it")],
        ParsedStatus::Failed
        | ParsedStatus::Timeout
        | ParsedStatus::Cancelled
        | ParsedStatus::Interrupted
            if process.work == "reported" =>
        {
            vec![("longhaul track start".to_owned(), "register the work again")]
        }
        ParsedStatus::Failed
        | ParsedStatus::Timeout
        | ParsedStatus::Cancelled
        | ParsedStatus::Interrupted => {
            vec![step("restart -b", "run it again")]
        }
        ParsedStatus::Completed | ParsedStatus::OtherEnded => Vec::new(),
    };
    let asks = process.conditions.iter().any(|condition| condition == "waiting_for_input");
    if asks && process.stdin.as_deref() == Some("pipe") {
        steps.insert(0, (format!("longhaul send {id} TEXT"), "send a line of input"));
    }
    if streamed {
        let live = !ParsedStatus::of(process).is_ended();
        steps.insert(
            0,
            if live { step("logs -f", "follow its output") } else { step("logs", "show its output") },
        );
    }
    if has_failed_tests(process) {
        steps.insert(0, step("tests", "show what failed"));
    }
    steps
}

/// Returns true if the process ran tests and some of them failed.
pub(crate) fn has_failed_tests(process: &ProcessView) -> bool {
    process.tests.as_ref().is_some_and(|tests| tests.failed > 0 || tests.errors > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;
    use longhaul_wire::api::ListeningPortView;

    #[test]
    fn page_of_a_running_process() {
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
             longhaul wait 0a1b2c3d             wait until it ends
             longhaul cancel 0a1b2c3d           stop it
"
        );
    }

    #[test]
    fn page_shows_the_runner_its_tokens_and_the_start_of_the_result() {
        let mut process = samples::running();
        process.runner = Some("claude".to_owned());
        process.model = Some("opus".to_owned());
        process.agent_session_id = Some("s1".to_owned());
        process.tokens = Some(TokensView { input: 7, output: 8, cached: 9 });
        process.prompt = Some("fix\nit".to_owned());
        process.command = ["longhaul", "--state-dir", "/s", "--no-autostart", "runner", "{\"steps\":{}}"]
            .map(str::to_owned)
            .to_vec();
        process.result = Some(format!("Done:\n{}", "x".repeat(300)).into());
        let page = page(&process);
        let result = format!("  result     Done: {}…\n", "x".repeat(194));
        for line in [
            "  prompt     fix it\n",
            "  command    longhaul --state-dir /s --no-autostart runner\n",
            "  runner     claude, model opus, session s1\n",
            "  tokens     7 in, 8 out, 9 from the cache\n",
            &result,
        ] {
            assert!(page.contains(line), "{page}");
        }
    }

    #[test]
    fn page_shows_session_agent_usage_limits_and_children() {
        let mut process = samples::running();
        process.session_id = Some("s1".to_owned());
        process.on_session_end = "grace".to_owned();
        process.session_grace_ms = Some(30_000);
        process.agent_id = Some("a1".to_owned());
        process.agent_type = Some("coder".to_owned());
        process.capabilities = vec!["read".to_owned(), "write".to_owned()];
        process.children = "wait".to_owned();
        process.parent_id = Some("cafe".to_owned());
        process.level = 1;
        process.usage = Some(TreeUsageView {
            processes: 3,
            cpu_ms: 61_000,
            memory_bytes: 12 << 20,
            read_bytes: Some(1_024),
            written_bytes: None,
            limited_by: "cgroup".to_owned(),
        });
        process.limits = Some(LimitsView { memory_bytes: Some(1 << 30), ..LimitsView::default() });
        let shown = page(&process);
        for line in [
            "  session    s1, cancelled 30s after the session ends\n",
            "  agent      a1 (coder), can read, write\n",
            "  uses       1m 1s of processor time, 12 MiB of memory, 3 processes, 1 KiB read\n",
            "  limits     1 GiB of memory (by cgroup)\n",
            "  parent     cafe (level 1)\n",
            "  children   the process ends after its children\n",
        ] {
            assert!(shown.contains(line), "{line}{shown}");
        }
        process.cancel_at = Some("2026-11-21T01:51:00Z".to_owned());
        assert!(page(&process).contains("s1, which has ended; cancelled at 2026-11-21 01:51:00 UTC\n"));
    }

    #[test]
    fn page_shows_an_incomplete_error_search_and_the_children_policy_for_failures() {
        let mut process = samples::failed();
        assert!(!page(&process).contains("  search "));
        process.first_error_incomplete = true;
        assert!(
            page(&process)
                .contains("  search     the output was not searched completely for its first error\n")
        );
        let children = |children: &str, on_failure: &str| {
            let mut process = samples::failed();
            (process.children, process.children_on_failure) = (children.to_owned(), on_failure.to_owned());
            page(&process).lines().find_map(|line| line.strip_prefix("  children   ").map(str::to_owned))
        };
        assert_eq!(children("keep", "keep"), None);
        assert_eq!(children("keep", "cancel").as_deref(), Some("are cancelled when the process fails"));
        assert_eq!(
            children("cancel", "keep").as_deref(),
            Some("are cancelled when the process ends; keep running when the process fails")
        );
    }

    #[test]
    fn page_says_that_output_was_removed_and_does_not_offer_it() {
        let mut process = samples::failed();
        process.output_bytes = Some(1_536);
        assert!(page(&process).contains("longhaul logs"), "{}", page(&process));
        process.conditions = vec!["output_removed".to_owned()];
        let page = page(&process);
        assert!(page.contains("  output     1.5 KiB, deleted to free space\n"), "{page}");
        assert!(!page.contains("longhaul logs"), "{page}");
    }

    #[test]
    fn page_shows_a_late_exit() {
        let mut process = samples::interrupted();
        assert!(!page(&process).contains("late"), "{}", page(&process));
        process.late_exit = Some(ExitView { code: Some(9), ..ExitView::default() });
        let page = page(&process);
        assert!(page.contains("  late       the command ended later: code 9\n"), "{page}");
    }

    #[test]
    fn page_of_a_running_process_shows_its_conditions() {
        let mut process = samples::running();
        process.ready = Some(false);
        process.idle_ms = Some(63_000);
        process.stdin = Some("pipe".to_owned());
        process.conditions = vec!["waiting_for_input".to_owned()];
        let listens = |address: &str| ListeningPortView { address: address.to_owned(), port: 80 };
        process.listening_ports = Some(vec![listens("127.0.0.1"), listens("::")]);
        let shown = page(&process);
        for line in [
            "  conditions waiting_for_input\n",
            "  ready      not yet\n",
            "  silent     for 1m 3s\n",
            "  listens    127.0.0.1:80, [::]:80\n",
            "  input      from `longhaul send`\n",
            "longhaul send 0a1b2c3d TEXT",
        ] {
            assert!(shown.contains(line), "{line}{shown}");
        }
        process.stdin = Some("null".to_owned());
        process.idle_ms = Some(5);
        let shown = page(&process);
        assert!(!shown.contains("longhaul send") && !shown.contains("  silent"), "{shown}");
    }

    #[test]
    fn page_of_a_waiting_process_shows_the_reason() {
        let page = page(&samples::queued());
        assert!(page.contains("  why        waits for a slot of key cargo\n"), "{page}");
        assert!(page.contains("longhaul wait --for running 9f8e7d6c"), "{page}");
    }

    #[test]
    fn page_of_a_stopped_process_shows_the_signal_and_killed_descendants() {
        let page = page(&samples::cancelled());
        assert!(page.contains("  exit       by SIGKILL, stopped by user, 3 descendants killed\n"), "{page}");
        assert!(page.contains("longhaul restart -b c0ffee00"), "{page}");
        let one = ExitView { leftovers_killed: 1, leftovers_found: 1, ..ExitView::default() };
        assert_eq!(exit(&one).as_deref(), Some("1 descendant killed, 1 descendant left over"));
    }

    #[test]
    fn page_shows_the_circumstances_of_the_end() {
        let mut process = samples::failed();
        process.ended_by = Some("outside".to_owned());
        process.exit = Some(ExitView {
            signal: Some(9),
            paused: true,
            exit_unobserved: true,
            output_open: true,
            ..ExitView::default()
        });
        let page = page(&process);
        let told = "  exit       by SIGKILL, while paused, while no manager was running, other programs kept its output open, \
                    sent by another program\n";
        assert!(page.contains(told), "{page}");
    }

    #[test]
    fn unobserved_end_is_shown_as_the_latest_possible_time() {
        let mut process = samples::interrupted();
        assert!(page(&process).contains("  ended      2026"), "{}", page(&process));
        process.completed_at_precision = Some("latest".to_owned());
        let page = page(&process);
        for line in ["  ended      at or before 2026-11-21 01:00:00 UTC (", "  took       at most 1h\n"] {
            assert!(page.contains(line), "{line}{page}");
        }
        let line = super::super::line::ended_line(&process, true);
        assert!(line.ends_with(" after at most 1h"), "{line}");
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
    fn untrusted_text_cannot_forge_lines() {
        let mut process = samples::running();
        process.description = Some("a\n  why        forged\u{1b}[2J".to_owned());
        let page = page(&process);
        assert!(!page.contains('\u{1b}') && !page.contains("\n  why"), "{page}");
    }

    fn page(process: &ProcessView) -> String {
        detail(process, ConsoleStream::default(), true, RenderTime::parse(samples::NOW, true))
    }
}
