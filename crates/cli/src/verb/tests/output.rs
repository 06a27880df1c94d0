//! Tests of `logs`.

use super::*;

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
fn logs_of_a_session_are_those_of_its_commands_oldest_first() {
    let came = said("logs --session S1", false, |asked| match &*asked.path {
        path if path.contains("session=S1") => {
            let reported = ProcessView { work: "reported".to_owned(), ..samples::queued() };
            list(&[samples::failed(), reported, samples::running()])
        }
        path if path.contains("/output") => {
            output(&[(FrameKind::Stdout, 0, b"one\n"), (FrameKind::End, 4, b"")])
        }
        path if path.contains(&samples::failed().id) => process(&samples::failed()),
        _ => process(&samples::running()),
    });
    assert_eq!(came.code(), 0, "{}", came.err);
    let read: Vec<&String> = came.asked.iter().filter(|path| path.contains("/output")).collect();
    let of = |id: String| format!("GET /v1/processes/{id}/output?lines=50");
    assert_eq!(read, [&of(samples::running().id), &of(samples::failed().id)]);
    let unknown = said("logs --session nope", false, |_| list(&[]));
    assert!(matches!(&unknown.outcome, Err(failure) if failure.slug() == "session_not_found"));
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
fn log_flags_reach_the_manager() {
    let end = |_: &FakeRequest| output(&[(FrameKind::End, 0, b"")]);
    let asked = |line| said(line, false, end).asked[0].clone();
    assert_eq!(asked("logs x -n all --stream stderr"), "GET /v1/processes/x/output?stream=stderr");
    assert_eq!(
        asked("logs x --since 10m --attempt 2"),
        "GET /v1/processes/x/output?attempt=2&since=600000ms"
    );
    assert_eq!(asked("logs x -f -n 5"), "GET /v1/processes/x/output?follow=true&lines=5");
}

#[test]
fn gap_is_reported_on_standard_error() {
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
fn lost_output_is_reported_by_every_read_of_the_log() {
    const NOTE: &str = "41 bytes of the output could not be stored and are lost";
    fn answer(asked: &FakeRequest, kept: &[u8]) -> FakeResponse {
        let end = kept.len() as u64;
        let mut frames = vec![(FrameKind::Stdout, 0, kept)];
        frames.retain(|_| !kept.is_empty());
        frames.extend([(FrameKind::Note, end, NOTE.as_bytes()), (FrameKind::End, end, b"")]);
        if asked.path.contains("/output") { output(&frames) } else { process(&samples::running()) }
    }
    for kept in [b"one\n" as &[u8], b""] {
        for line in ["logs x", "logs x -n 2", "logs x --fold", "logs x --grep two"] {
            let has_no_match = line.contains("grep");
            for terminal in [false, true] {
                let came = said(line, terminal, move |asked| answer(asked, kept));
                assert_eq!(came.err, format!("{NOTE}\n"), "{line} on a terminal: {terminal}");
                assert_eq!(came.code(), i32::from(has_no_match));
            }
            let came = said(&format!("{line} --json"), false, move |asked| answer(asked, kept));
            let reported = json!({ "id": samples::running().id, "note": NOTE });
            let has_told =
                came.out.lines().any(|each| serde_json::from_str::<Value>(each).unwrap() == reported);
            assert!(has_told, "{line}: {}", came.out);
        }
    }
}

#[test]
fn gap_is_reported_in_json_too() {
    let came = said("logs --json x", false, |asked| {
        if asked.path.contains("/output") {
            output(&[(FrameKind::Stdout, 0, b"one\n"), (FrameKind::Gap, 90, b""), (FrameKind::End, 90, b"")])
        } else {
            process(&samples::running())
        }
    });
    let last: Value = serde_json::from_str(came.out.lines().last().unwrap()).unwrap();
    assert_eq!(last, json!({ "id": samples::running().id, "dropped_bytes": 86 }));
}

#[test]
fn terminal_is_protected_from_output_unless_it_is_raw() {
    let evil = |_: &FakeRequest| output(&[(FrameKind::Stdout, 0, b"a\x1b[2Jb\n"), (FrameKind::End, 6, b"")]);
    assert_eq!(said("logs x", true, evil).out, "ab\n");
    assert_eq!(said("logs --raw x", true, evil).out, "a\u{1b}[2Jb\n");
    assert_eq!(said("logs x", false, evil).out, "a\u{1b}[2Jb\n");
}

#[test]
fn matches_are_printed_like_grep_prints_them() {
    let some = |_: &FakeRequest| {
        output(&[
            (FrameKind::Stdout, 0, b"one\n\x1b[31mERR"),
            (FrameKind::Stdout, 12, b"OR\x1b[0m two\nthree\n"),
            (FrameKind::End, 29, b""),
        ])
    };
    let came = said("logs x --grep error -i -C 1", false, some);
    assert_eq!((came.code(), came.out.as_str()), (0, "1-one\n2:ERROR two\n3-three\n"));
    assert_eq!(came.asked, ["GET /v1/processes/x/output"]);
    let none = said("logs x --grep error", false, some);
    assert_eq!((none.code(), none.out.as_str()), (1, ""));
    let raw = said("logs x --grep e$ --raw --max-matches 1", false, some);
    assert_eq!((raw.code(), raw.out.as_str()), (0, "1:one\n"));
    let broken = said("logs x --grep (", false, some);
    assert_eq!((broken.code(), broken.asked.len()), (2, 0));
    let Err(CliError::Usage { why, .. }) = broken.outcome else { panic!("{}", broken.err) };
    assert!(why.unwrap().contains("unclosed group"));
}

#[test]
fn matches_have_their_numbers_wherever_the_search_begins() {
    let five = |asked: &FakeRequest| {
        let all = b"one\ntwo\nthree\nfour\nfive\n";
        let from = if asked.path.contains("lines=3") || asked.path.contains("from=8") { 8 } else { 0 };
        let from = if asked.path.contains("since=") { 14 } else { from };
        let from = if asked.path.contains("from=14") { 14 } else { from };
        output(&[(FrameKind::Stdout, from, &all[from as usize..]), (FrameKind::End, 24, b"")])
    };
    assert_eq!(said("logs x --grep o -n 3", false, five).out, "4:four\n");
    assert_eq!(said("logs x --grep e -n 3", false, five).out, "3:three\n5:five\n");
    assert_eq!(said("logs x --grep f --since 1m", false, five).out, "4:four\n5:five\n");
    assert_eq!(said("logs x --grep f -n 3 -f", false, five).out, "4:four\n5:five\n");
    let found: Value = serde_json::from_str(
        &said("logs x --grep four -n 3 --json", false, move |asked| {
            if asked.path.contains("/output") { five(asked) } else { process(&samples::running()) }
        })
        .out,
    )
    .unwrap();
    assert_eq!(found["line"], json!(4));
}

#[test]
fn matches_behind_a_gap_have_no_number() {
    let far = 1 << 20;
    let all = move |begin: u64| {
        let head = [(FrameKind::Stdout, 0, b"one\n" as &[u8]), (FrameKind::Gap, far, b"")];
        let rest = [(FrameKind::Stdout, far, b"two\n" as &[u8]), (FrameKind::Stdout, far + 4, b"foo\n")];
        let end = [(FrameKind::End, far + 8, b"" as &[u8])];
        let frames = head.into_iter().chain(rest).chain(end).filter(|frame| frame.1 >= begin);
        output(&frames.collect::<Vec<_>>())
    };
    for (lines, found) in [(1, "foo\n"), (2, "…two\nfoo\n"), (3, "1:one\n…two\nfoo\n")] {
        let begin = [0, far + 4, far, 0][lines];
        let came = said(&format!("logs x --grep o -n {lines}"), false, move |asked| {
            let is_meant = asked.path.contains("lines=") || asked.path.contains("from=");
            all(if is_meant { begin } else { 0 })
        });
        assert_eq!((came.code(), came.out.as_str()), (0, found));
    }
}

#[test]
fn folded_log_shows_the_last_redraw_and_counts_repeats() {
    let came = said("logs x --fold", false, |_| {
        output(&[
            (FrameKind::Stdout, 0, b" 10%\r100%\nsame\nsa"),
            (FrameKind::Stdout, 19, b"me\nend"),
            (FrameKind::End, 25, b""),
        ])
    });
    assert_eq!((came.code(), came.out.as_str()), (0, "100%\nsame ×2\nend"));
}

#[test]
fn folded_json_keeps_the_stream_and_the_time_of_each_run() {
    let came = said("logs x --fold --json", false, |asked| {
        if !asked.path.contains("/output") {
            return process(&samples::running());
        }
        output(&[
            (FrameKind::Stdout, 0, b"one\none\n"),
            (FrameKind::Stderr, 8, b"bad\nbad\n"),
            (FrameKind::End, 16, b""),
        ])
    });
    let lines: Vec<Value> = came.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown: Vec<_> = lines.iter().map(|line| (line["stream"].as_str(), line["text"].as_str())).collect();
    assert_eq!(
        shown,
        [(Some("stdout"), Some("one ×2\n")), (Some("stderr"), Some("bad ×2\n"))],
        "{}",
        came.out
    );
}

#[test]
fn followed_output_continues_after_a_broken_connection() {
    let tries = Rc::new(Cell::new(0));
    let came = said("logs -f x", false, move |_| {
        tries.set(tries.get() + 1);
        match tries.get() {
            1 => FakeResponse::Stream {
                pieces: vec![longhaul_client::fake::frames(&[(FrameKind::Stdout, 0, b"one\n")])],
                proper: false,
            },
            2 => FakeResponse::Raw(Vec::new()),
            _ => output(&[(FrameKind::Stdout, 4, b"two\n"), (FrameKind::End, 8, b"")]),
        }
    });
    assert_eq!((came.code(), came.out.as_str()), (0, "one\ntwo\n"));
    assert_eq!(came.asked.last().unwrap(), "GET /v1/processes/x/output?follow=true&from=4");
}

#[test]
fn output_that_is_not_followed_and_breaks_is_a_failure() {
    let came = said("logs x", false, |_| FakeResponse::Stream { pieces: vec![vec![1, 2, 3]], proper: true });
    assert_eq!(came.code(), 6);
}

#[test]
fn followed_processes_are_distinguished_by_a_prefix() {
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
