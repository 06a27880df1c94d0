//! The verbs against a manager that answers as told.

use super::logs::logs_to;
use super::*;
use crate::arguments::{Cli, Format, Verb, read};
use crate::client::fake::{Answer, Asked, Fake, output, problem, process};
use crate::console::{Console, Kept};
use crate::render::samples;
use crate::request::Surroundings;
use longhaul_wire::api::ProcessView;
use longhaul_wire::output::FrameKind;
use serde_json::{Value, json};
use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;

/// What came of a command line.
struct Came {
    outcome: Result<i32, Failure>,
    out: String,
    err: String,
    asked: Vec<String>,
    bodies: Vec<String>,
}

impl Came {
    fn code(&self) -> i32 {
        match &self.outcome {
            Ok(code) => *code,
            Err(failure) => of_failure(failure, Regime::Control),
        }
    }
}

#[test]
fn background_launch_prints_the_id_and_nothing_else() {
    let came = said("run -b -- true", false, |_| launched(&samples::queued()));
    assert_eq!(came.code(), 0);
    assert_eq!(came.out, "9f8e7d6c-2222-4222-8222-222222222222\n");
    assert_eq!(came.err, "");
    assert_eq!(came.asked, ["POST /v1/processes"]);
    let body: Value = serde_json::from_str(&came.bodies[0]).unwrap();
    assert_eq!(body.pointer("/command/program"), Some(&json!("true")));
}

#[test]
fn background_launch_tells_a_person_pid_log_and_what_to_do() {
    let came = said("run -b -- true", true, |asked| {
        if asked.path.starts_with("/v1/wait") {
            waited(&[samples::running()], false)
        } else {
            launched(&samples::queued())
        }
    });
    assert_eq!(came.out, "0a1b2c3d-1111-4111-8111-111111111111\n");
    for text in
        ["pid 4711", "/state/attempts/0a1b2c3d/1/output.log", "logs -f", "longhaul wait", "longhaul cancel"]
    {
        assert!(came.err.contains(text), "{text}: {}", came.err);
    }
}

#[test]
fn broken_launch_is_repeated_only_with_a_launch_key() {
    let breaks_once = || {
        let tries = Rc::new(Cell::new(0));
        move |_: &Asked| {
            tries.set(tries.get() + 1);
            if tries.get() == 1 { Answer::Raw(Vec::new()) } else { launched(&samples::queued()) }
        }
    };
    let came = said("run -b -- true", false, breaks_once());
    assert_eq!((came.code(), came.asked.len()), (6, 1));
    let report = crate::failure::report(&came.outcome.unwrap_err()).text(str::to_owned);
    assert!(report.contains("not known whether") && report.contains("[connection_broken]"), "{report}");
    assert!(report.contains("longhaul status -a") && report.contains("--launch-key"), "{report}");
    let came = said("run -b --launch-key k -- true", false, breaks_once());
    assert_eq!((came.code(), came.asked.len()), (0, 2));
}

#[test]
fn restart_without_an_answer_may_have_been_taken() {
    let came = said("restart -b b7d0", false, |_| Answer::Raw(Vec::new()));
    assert_eq!(came.code(), 6);
    let report = crate::failure::report(&came.outcome.unwrap_err()).text(str::to_owned);
    assert!(report.contains("not known whether") && report.contains("longhaul status -a"), "{report}");
}

#[test]
fn launch_that_cannot_be_told_names_its_id() {
    let came = said_to("run -b -- true", false, Some(std::io::ErrorKind::StorageFull), |_| {
        launched(&samples::queued())
    });
    assert_eq!(came.code(), 1);
    let report = crate::failure::report(&came.outcome.unwrap_err()).text(str::to_owned);
    assert!(report.contains(&samples::queued().id) && report.contains("[output_unwritable]"), "{report}");
}

#[test]
fn variables_that_are_no_text_are_named_once() {
    let lost = |line: &str| said(line, false, |_| launched(&samples::queued())).err;
    assert_eq!(lost("run -b -- true"), "");
    for (line, told) in [
        ("run -b -- true", true),
        ("run -b -q -- true", false),
        ("run -b --clear-env -- true", false),
        ("run -b -e ODD=x -- true", false),
    ] {
        let came = said_lost(line, |_| launched(&samples::queued()));
        assert_eq!(came.err.matches("ODD").count(), usize::from(told), "{line}: {}", came.err);
    }
}

#[test]
fn empty_command_is_wrong_usage() {
    let words = ["longhaul", "run", "--", ""];
    let Cli { command: Verb::Run(args), global } = read(words.map(Into::into)).unwrap() else {
        panic!("another verb");
    };
    let around = Surroundings::of(Path::new("/"), &[]);
    let failure = crate::request::launch_request(&args, &global, &around).unwrap_err();
    assert_eq!(of_failure(&failure, Regime::PassThrough), 2);
}

#[test]
fn background_launch_in_json_is_the_whole_answer() {
    let came = said("run -b --json -- true", true, |_| launched(&samples::queued()));
    let answer: Value = serde_json::from_str(&came.out).unwrap();
    assert_eq!(answer.pointer("/created"), Some(&json!(true)));
    assert_eq!(came.err, "");
}

#[test]
fn id_file_holds_the_id_and_is_made_before_the_launch() {
    let top = tempfile::tempdir().unwrap();
    let file = top.path().join("id");
    let came =
        said(
            &format!("run -b --id-file {} -- true", file.display()),
            false,
            |_| launched(&samples::queued()),
        );
    assert_eq!(came.code(), 0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "9f8e7d6c-2222-4222-8222-222222222222\n");
    let came = said("run -b --id-file /nonexistent/id -- true", false, |_| launched(&samples::queued()));
    assert_eq!((came.code(), came.asked.len()), (1, 0));
}

#[test]
fn dry_run_asks_for_nothing() {
    let came = said("run --dry-run -e SECRET=x -- make", false, |_| Answer::Silence);
    assert_eq!((came.code(), came.asked.len()), (0, 0));
    assert!(came.out.contains("\"make\"") && !came.out.contains("\"x\""), "{}", came.out);
}

#[test]
fn refused_launch_keeps_its_code() {
    assert_eq!(said("run -b -- true", false, |_| problem(409, "no_slot")).code(), 5);
    assert_eq!(said("run -b -- true", false, |_| problem(503, "store_unavailable")).code(), 6);
}

#[test]
fn status_prints_what_lives() {
    let came = said("status", false, |_| list(&[samples::running()]));
    assert_eq!(came.out.lines().count(), 2);
    assert_eq!(came.asked, ["GET /v1/processes?limit=200"]);
}

#[test]
fn status_of_nothing_is_one_sentence_on_standard_error() {
    let came = said("status", false, |_| list(&[]));
    assert_eq!((came.code(), came.out.as_str()), (0, ""));
    assert_eq!(came.err, "nothing is running; longhaul status -a shows what has ended\n");
}

#[test]
fn status_in_json_has_a_schema_even_when_empty() {
    let came = said("status --json", false, |_| list(&[]));
    let document: Value = serde_json::from_str(&came.out).unwrap();
    assert_eq!(
        document,
        json!({"schema": "longhaul/status/v1", "at": samples::NOW, "processes": [], "cursor": null})
    );
    assert_eq!(came.err, "");
}

#[test]
fn status_collects_all_pages() {
    let came = said("status -a -o name", false, |asked| {
        if asked.path.contains("cursor=next") {
            list(&[samples::failed()])
        } else {
            Answer::Json(
                200,
                json!({"processes": [samples::running()], "cursor": "next", "at": samples::NOW}),
            )
        }
    });
    assert_eq!(came.out, format!("{}\n{}\n", samples::running().id, samples::failed().id));
    assert_eq!(
        came.asked,
        ["GET /v1/processes?all=true&limit=200", "GET /v1/processes?all=true&limit=200&cursor=next"]
    );
}

#[test]
fn limit_is_the_size_of_the_page() {
    let came = said("status -l -o name", false, |_| {
        Answer::Json(200, json!({"processes": [samples::running()], "cursor": "next", "at": samples::NOW}))
    });
    assert_eq!(came.asked, ["GET /v1/processes?all=true&limit=1"]);
}

#[test]
fn status_of_a_project_filters_by_it() {
    let came = said("status atlas", false, |_| list(&[samples::running()]));
    assert_eq!(came.asked.last().unwrap(), "GET /v1/processes?project=atlas&limit=200");
    assert_eq!(came.code(), 0);
}

#[test]
fn status_of_an_id_is_its_page() {
    let came = said("status 0a1b", false, |asked| {
        assert_eq!(asked.path, "/v1/processes/0a1b");
        process(&samples::running())
    });
    assert!(came.out.contains("next       longhaul logs -f 0a1b2c3d"), "{}", came.out);
}

#[test]
fn status_of_an_unknown_id_is_three() {
    let came = said("status 0a1b", false, |asked| {
        if asked.path.starts_with("/v1/processes/") { problem(404, "process_not_found") } else { list(&[]) }
    });
    assert_eq!(came.code(), 3);
}

#[test]
fn wait_passes_the_code_on_and_tells_of_each_end() {
    let came = said("wait 0a1b b7d0", false, |asked| {
        if asked.path.contains("id=0a1b&id=b7d0") {
            waited(&[samples::running(), samples::failed()], false)
        } else {
            assert!(asked.path.contains("id=0a1b") && !asked.path.contains("b7d0"), "{}", asked.path);
            waited(&[ended(samples::running(), 7)], false)
        }
    });
    assert_eq!(came.code(), 7, "the first in the order of the arguments");
    assert_eq!(
        came.err,
        "b7d0ha00 ruff ✗ failed (exit 1) after 48s\n0a1b2c3d tests ✗ failed (exit 7) after 2m\n"
    );
    assert_eq!(came.out, "");
}

#[test]
fn wait_that_is_over_is_75_and_says_where_it_stands() {
    let came = said("wait 0a1b --timeout 10ms", false, |_| {
        std::thread::sleep(std::time::Duration::from_millis(15));
        waited(&[samples::running()], true)
    });
    assert_eq!(came.code(), 75);
    assert_eq!(came.err, "0a1b2c3d tests ● still running, 41 %, eta ~3m\n");
    assert!(came.asked[0].contains("&timeout_ms="), "{:?}", came.asked);
}

#[test]
fn wait_for_any_takes_the_first_that_ended() {
    let came =
        said("wait --any 0a1b b7d0", false, |_| waited(&[samples::running(), samples::failed()], false));
    assert_eq!(came.code(), 1);
    assert_eq!(came.asked.len(), 1);
}

#[test]
fn wait_for_a_start_is_zero_once_it_runs() {
    let came = said("wait --for running 0a1b", false, |_| waited(&[samples::running()], false));
    assert_eq!(came.code(), 0);
    assert!(came.asked[0].contains("for=running"), "{:?}", came.asked);
}

#[test]
fn wait_in_json_is_the_reply() {
    let came = said("wait --json b7d0", false, |_| waited(&[samples::failed()], false));
    let reply: Value = serde_json::from_str(&came.out).unwrap();
    assert_eq!(reply.pointer("/processes/0/status"), Some(&json!("failed")));
    assert_eq!((came.code(), came.err.as_str()), (1, ""));
}

#[test]
fn wait_survives_a_manager_that_breaks_off() {
    let tries = Rc::new(Cell::new(0));
    let came = said("wait b7d0", false, move |_| {
        tries.set(tries.get() + 1);
        if tries.get() < 3 { Answer::Raw(Vec::new()) } else { waited(&[samples::failed()], false) }
    });
    assert_eq!((came.code(), came.asked.len()), (1, 3));
}

#[test]
fn wait_survives_a_manager_that_is_being_replaced() {
    let tries = Rc::new(Cell::new(0));
    let came = said("wait b7d0", false, move |_| {
        tries.set(tries.get() + 1);
        if tries.get() == 1 { problem(503, "shutting_down") } else { waited(&[samples::failed()], false) }
    });
    assert_eq!((came.code(), came.asked.len()), (1, 2));
}

#[test]
fn wait_does_not_ask_without_a_pause_what_it_cannot_understand() {
    let came = said("wait 0a1b --timeout 350ms", false, |_| {
        let mut odd = samples::running();
        odd.status = "hibernating".to_owned();
        waited(&[odd], false)
    });
    assert_eq!(came.code(), 75);
    assert!(came.asked.len() < 10, "{}", came.asked.len());
}

#[test]
fn wait_of_a_person_shows_at_once_where_it_stands() {
    let came = said("wait 0a1b", true, |asked| {
        if asked.path.contains("timeout_ms=0") {
            waited(&[samples::running()], true)
        } else {
            waited(&[ended(samples::running(), 0)], false)
        }
    });
    assert!(
        came.asked[0].ends_with("&timeout_ms=0") && came.asked[1].ends_with("&timeout_ms=2000"),
        "{:?}",
        came.asked
    );
}

#[test]
fn logs_ask_for_fifty_lines_and_print_them() {
    let came = said("logs 0a1b", false, |_| {
        output(&[
            (FrameKind::Stdout, 0, b"one\n"),
            (FrameKind::Stderr, 4, b"two\n"),
            (FrameKind::End, 8, b""),
        ])
    });
    assert_eq!((came.code(), came.out.as_str()), (0, "one\ntwo\n"));
    assert_eq!(came.asked, ["GET /v1/processes/0a1b/output?lines=50"]);
}

#[test]
fn log_in_json_names_the_whole_id() {
    let came = said("logs --json 0a1b", false, |asked| {
        if asked.path.contains("/output") {
            output(&[(FrameKind::Stdout, 0, b"one\n"), (FrameKind::End, 4, b"")])
        } else {
            process(&samples::running())
        }
    });
    let piece: Value = serde_json::from_str(&came.out).unwrap();
    assert_eq!(piece["id"], json!(samples::running().id));
}

#[test]
fn watch_of_a_pipe_tells_of_each_end_once() {
    let looks = Rc::new(Cell::new(0));
    let came = said("status -w", false, move |asked| {
        if asked.path.starts_with("/v1/wait") {
            return waited(&[ended(samples::running(), 7)], false);
        }
        if asked.path.starts_with("/v1/processes/") {
            return process(&ended(samples::running(), 7));
        }
        looks.set(looks.get() + 1);
        match looks.get() {
            1 => list(&[samples::running(), samples::queued()]),
            2 | 3 => list(&[samples::queued()]),
            _ => problem(500, "internal"),
        }
    });
    assert!(came.outcome.is_err(), "the watch goes on until something fails");
    let rows: Vec<&str> = came.out.lines().filter(|line| line.contains("0a1b2c3d")).collect();
    assert_eq!(rows.len(), 2, "{}", came.out);
    assert!(rows[0].contains("running") && rows[1].contains("failed"), "{rows:?}");
}

#[test]
fn log_flags_reach_the_manager() {
    let end = |_: &Asked| output(&[(FrameKind::End, 0, b"")]);
    let asked = |line| said(line, false, end).asked[0].clone();
    assert_eq!(asked("logs x -n all --stream stderr"), "GET /v1/processes/x/output?stream=stderr");
    assert_eq!(
        asked("logs x --since 10m --attempt 2"),
        "GET /v1/processes/x/output?attempt=2&since=600000ms"
    );
    assert_eq!(asked("logs x -f -n 5"), "GET /v1/processes/x/output?follow=true&lines=5");
}

#[test]
fn gap_is_told_on_standard_error() {
    let came = said("logs x", false, |_| {
        let far = 4 + (12 << 20);
        output(&[
            (FrameKind::Stdout, 0, b"one\n"),
            (FrameKind::Gap, far, b""),
            (FrameKind::Stdout, far, b"two\n"),
            (FrameKind::End, far + 4, b""),
        ])
    });
    assert_eq!((came.out.as_str(), came.err.as_str()), ("one\ntwo\n", "… 12 MiB dropped …\n"));
}

#[test]
fn terminal_is_protected_from_output_unless_it_is_raw() {
    let evil = |_: &Asked| output(&[(FrameKind::Stdout, 0, b"a\x1b[2Jb\n"), (FrameKind::End, 6, b"")]);
    assert_eq!(said("logs x", true, evil).out, "ab\n");
    assert_eq!(said("logs --raw x", true, evil).out, "a\u{1b}[2Jb\n");
    assert_eq!(said("logs x", false, evil).out, "a\u{1b}[2Jb\n");
}

#[test]
fn followed_output_goes_on_where_the_connection_broke() {
    let tries = Rc::new(Cell::new(0));
    let came = said("logs -f x", false, move |_| {
        tries.set(tries.get() + 1);
        match tries.get() {
            1 => Answer::Stream {
                pieces: vec![crate::client::fake::frames(&[(FrameKind::Stdout, 0, b"one\n")])],
                proper: false,
            },
            2 => Answer::Raw(Vec::new()),
            _ => output(&[(FrameKind::Stdout, 4, b"two\n"), (FrameKind::End, 8, b"")]),
        }
    });
    assert_eq!((came.code(), came.out.as_str()), (0, "one\ntwo\n"));
    assert_eq!(came.asked.last().unwrap(), "GET /v1/processes/x/output?follow=true&from=4");
}

#[test]
fn output_that_is_not_followed_and_breaks_is_a_failure() {
    let came = said("logs x", false, |_| Answer::Stream { pieces: vec![vec![1, 2, 3]], proper: true });
    assert_eq!(came.code(), 6);
}

#[test]
fn followed_processes_are_told_apart() {
    let came = said("logs -f 0a1b b7d0", false, |asked| {
        if asked.path.ends_with("/0a1b") {
            process(&samples::running())
        } else if asked.path.ends_with("/b7d0") {
            process(&samples::failed())
        } else if asked.path.contains("0a1b2c3d") {
            output(&[(FrameKind::Stdout, 0, b"alpha\n"), (FrameKind::End, 6, b"")])
        } else {
            output(&[(FrameKind::Stdout, 0, b"beta"), (FrameKind::End, 4, b"")])
        }
    });
    let mut lines: Vec<&str> = came.out.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["b7d0ha00 | beta", "tests | alpha"]);
}

#[test]
fn followed_log_exits_as_the_process_did_when_asked() {
    let came = said("logs -f --exit-status b7d0", false, |asked| {
        if asked.path.starts_with("/v1/wait") {
            waited(&[samples::failed()], false)
        } else {
            output(&[(FrameKind::End, 0, b"")])
        }
    });
    assert_eq!(came.code(), 1);
}

#[test]
fn cancel_waits_and_says_what_happened() {
    let came = said("cancel c0ff --now", false, |asked| {
        if asked.method == "POST" {
            assert_eq!(asked.body, "{\"force\":true}");
            changed(&samples::running(), true)
        } else {
            waited(&[samples::cancelled()], false)
        }
    });
    assert_eq!(came.code(), 0);
    assert_eq!(came.err, "c0ffee00 server ⊘ cancelled (SIGKILL, 3 descendants swept) after 49m\n");
}

#[test]
fn cancel_of_what_has_ended_is_zero_and_says_so() {
    let came = said("cancel b7d0", false, |_| changed(&samples::failed(), false));
    assert_eq!(came.code(), 0);
    assert_eq!(came.err, "already ended: b7d0ha00 ruff ✗ failed (exit 1) after 48s\n");
}

#[test]
fn cancel_that_is_stuck_is_a_failure_with_a_way_out() {
    let came = said("cancel 0a1b", false, |asked| {
        let mut stuck = samples::running();
        stuck.status = "stopping".to_owned();
        stuck.conditions = vec!["stuck".to_owned()];
        if asked.method == "POST" { changed(&stuck, true) } else { waited(&[stuck], true) }
    });
    assert_eq!(came.code(), 1);
    assert!(came.err.contains("longhaul cancel --now 0a1b2c3d"), "{}", came.err);
}

#[test]
fn cancel_without_an_id_and_a_terminal_lists_candidates() {
    for line in ["cancel", "cancel --all"] {
        let came = said(line, false, |_| list(&[samples::running()]));
        assert_eq!(came.code(), 2, "{line}");
        let Err(Failure::Choice { candidates, .. }) = came.outcome else {
            panic!("{line}");
        };
        assert_eq!(candidates, ["0a1b2c3d tests"]);
    }
}

#[test]
fn cancel_all_of_a_project_needs_a_yes_only() {
    let came = said("cancel --all -y -p atlas --no-wait", false, |asked| {
        if asked.method == "POST" { changed(&samples::running(), true) } else { list(&[samples::running()]) }
    });
    assert_eq!(came.code(), 0);
    assert_eq!(came.asked[0], "GET /v1/processes?project=atlas&limit=200");
    assert_eq!(came.asked[1], format!("POST /v1/processes/{}/cancel", samples::running().id));
}

#[test]
fn one_unknown_id_does_not_keep_the_others_from_their_turn() {
    let came = said("pause nope 0a1b", false, |asked| {
        if asked.path.contains("nope") {
            problem(404, "process_not_found")
        } else {
            changed(&samples::running(), true)
        }
    });
    assert_eq!(came.code(), 3);
    assert_eq!(came.asked.len(), 2);
    assert!(
        came.err.contains("[process_not_found]") && came.err.contains("0a1b2c3d tests is running"),
        "{}",
        came.err
    );
}

#[test]
fn illegal_order_is_four() {
    assert_eq!(said("resume x", false, |_| problem(409, "invalid_status_transition")).code(), 4);
    assert_eq!(said("retry x", false, |_| problem(409, "unsupported")).code(), 4);
}

#[test]
fn progress_needs_a_process() {
    let came = said("progress 412/1000 --stage tests --id 0a1b", false, |asked| {
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("PATCH", "/v1/processes/0a1b"));
        changed(&samples::running(), true)
    });
    assert_eq!((came.code(), came.out.as_str(), came.err.as_str()), (0, "", ""));
    let body: Value = serde_json::from_str(&came.bodies[0]).unwrap();
    assert_eq!((body["progress"].as_f64(), body["stage"].as_str()), (Some(41.2), Some("tests")));
    assert_eq!(said("progress 1 --id=", false, |_| Answer::Silence).code(), 2);
}

#[test]
fn restart_in_the_background_prints_the_new_id() {
    let came = said("restart -b b7d0", false, |_| launched(&samples::queued()));
    assert_eq!(came.out, format!("{}\n", samples::queued().id));
    assert_eq!(came.asked, ["POST /v1/processes/b7d0/restart"]);
}

#[test]
fn restart_of_what_runs_is_four() {
    let came = said("restart 0a1b", false, |_| problem(409, "invalid_status_transition"));
    assert_eq!(came.code(), 4);
}

#[test]
fn interrupted_work_is_restarted_once() {
    let came = said("restart --interrupted", false, |asked| {
        if asked.method == "POST" {
            return launched(&samples::queued());
        }
        let mut done_before = samples::interrupted();
        done_before.id = "aaaaaaaa-0000-4000-8000-000000000000".to_owned();
        let mut successor = samples::running();
        successor.restarted_from = Some(done_before.id.clone());
        list(&[successor, samples::interrupted(), done_before, samples::failed()])
    });
    assert_eq!(came.code(), 0);
    assert_eq!(came.asked[1..], [format!("POST /v1/processes/{}/restart", samples::interrupted().id)]);
}

#[test]
fn inspect_is_json_by_default() {
    let came = said("inspect 0a1b", false, |_| process(&samples::running()));
    let seen: ProcessView = serde_json::from_str(&came.out).unwrap();
    assert_eq!(seen, samples::running());
}

#[test]
fn explain_knows_words_in_brackets_too() {
    let (console, out, _err) = Console::kept(None, false);
    let args = crate::arguments::ExplainArgs { code: Some("[no_slot]".to_owned()) };
    assert_eq!(explain(&console, &args).unwrap(), 0);
    assert!(out.text().starts_with("no_slot\n\n"));
    let unknown = crate::arguments::ExplainArgs { code: Some("nonsense".to_owned()) };
    assert!(explain(&console, &unknown).is_err());
}

#[test]
fn explanations_are_json_where_that_is_asked_for() {
    let explained = |code: Option<&str>| -> Value {
        let (console, out, _err) = Console::kept(Some(Format::Json), false);
        let args = crate::arguments::ExplainArgs { code: code.map(str::to_owned) };
        assert_eq!(explain(&console, &args).unwrap(), 0);
        serde_json::from_str(&out.text()).unwrap()
    };
    assert_eq!(explained(Some("no_slot"))["type"], json!("no_slot"));
    assert_eq!(explained(None)["schema"], json!("longhaul/explain/v1"));
}

/// Says a command line to a manager that answers so.
fn said(line: &str, terminal: bool, answer: impl Fn(&Asked) -> Answer + 'static) -> Came {
    said_from(surroundings(), line, terminal, None, answer)
}

/// Says it where standard output cannot be written for this reason.
fn said_to(
    line: &str,
    terminal: bool,
    unwritable: Option<std::io::ErrorKind>,
    answer: impl Fn(&Asked) -> Answer + 'static,
) -> Came {
    said_from(surroundings(), line, terminal, unwritable, answer)
}

/// Says it where the variable ODD is no text.
fn said_lost(line: &str, answer: impl Fn(&Asked) -> Answer + 'static) -> Came {
    said_from(surroundings().with_lost("ODD"), line, false, None, answer)
}

fn surroundings() -> Surroundings {
    Surroundings::of(Path::new("/"), &[("PATH", "/bin"), ("OWN", "\"x\"")])
}

fn said_from(
    around: Surroundings,
    line: &str,
    terminal: bool,
    unwritable: Option<std::io::ErrorKind>,
    answer: impl Fn(&Asked) -> Answer + 'static,
) -> Came {
    let words = ["longhaul"].into_iter().chain(line.split(' ')).map(Into::into);
    let Cli { global, command } = read(words).unwrap();
    let (mut console, out, err) = Console::kept(global.format(), terminal);
    console.yes = global.yes;
    console.quiet = global.quiet;
    if let Some(kind) = unwritable {
        out.refuse(kind);
    }
    Fake::run(answer, |fake| async move {
        let context = Context { client: fake.client(), console, global, around };
        let outcome = perform(&context, &command, out.clone()).await;
        Came { outcome, out: out.text(), err: err.text(), asked: fake.asked(), bodies: fake.bodies() }
    })
}

async fn perform(context: &Context, command: &Verb, mut out: Kept) -> Result<i32, Failure> {
    match command {
        Verb::Run(args) => run(context, args).await,
        Verb::Status(args) => status(context, args).await,
        Verb::Logs(args) => {
            let mut shown = Vec::new();
            let outcome = logs_to(context, args, &mut shown).await;
            std::io::Write::write_all(&mut out, &shown).unwrap();
            outcome
        }
        Verb::Wait(args) => wait(context, args).await,
        Verb::Cancel(args) => cancel(context, args).await,
        Verb::Restart(args) => restart(context, args).await,
        Verb::Retry(args) => retry(context, &args.ids).await,
        Verb::Pause(args) => pause(context, &args.ids).await,
        Verb::Resume(args) => resume(context, &args.ids).await,
        Verb::Inspect(args) => inspect(context, args).await,
        Verb::Progress(args) => progress(context, args).await,
        Verb::Serve(_)
        | Verb::Init(_)
        | Verb::Config(_)
        | Verb::Version
        | Verb::Completions(_)
        | Verb::Explain(_) => {
            panic!("no verb of a client")
        }
    }
}

fn launched(process: &ProcessView) -> Answer {
    Answer::Json(201, json!({"process": process, "created": true}))
}

fn changed(process: &ProcessView, changed: bool) -> Answer {
    Answer::Json(200, json!({"process": process, "changed": changed}))
}

fn list(processes: &[ProcessView]) -> Answer {
    Answer::Json(200, json!({"processes": processes, "cursor": null, "at": samples::NOW}))
}

fn waited(processes: &[ProcessView], timed_out: bool) -> Answer {
    Answer::Json(200, json!({"processes": processes, "timed_out": timed_out}))
}

fn ended(mut process: ProcessView, code: i32) -> ProcessView {
    process.status = "failed".to_owned();
    process.exit_code = Some(code);
    process
}

#[test]
fn formats_other_than_json_are_for_people() {
    for format in [Format::Table, Format::Wide, Format::Name] {
        let (console, _out, _err) = Console::kept(Some(format), false);
        assert!(!console.is_json());
    }
}
