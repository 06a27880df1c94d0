//! Tests of `wait`.

use super::*;

#[test]
fn wait_returns_the_exit_code_and_prints_each_end() {
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
fn timeout_takes_precedence_over_the_failure_of_another_process() {
    let came = said("wait 0a1b b7d0 --timeout 10ms", false, |_| {
        std::thread::sleep(std::time::Duration::from_millis(15));
        waited(&[samples::failed(), samples::running()], true)
    });
    assert_eq!(came.code(), 75);
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
    assert_eq!(reply["schema"], json!("longhaul/wait/v1"));
    assert_eq!((came.code(), came.err.as_str()), (1, ""));
}

#[test]
fn wait_survives_a_manager_that_breaks_off() {
    let tries = Rc::new(Cell::new(0));
    let came = said("wait b7d0", false, move |_| {
        tries.set(tries.get() + 1);
        if tries.get() < 3 { FakeResponse::Raw(Vec::new()) } else { waited(&[samples::failed()], false) }
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
fn wait_pauses_before_it_repeats_an_unreadable_answer() {
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

/// Returns a server-sent event that contains one batch of completions.
fn notice(cursor: &str, ended: &[(&str, &str)], live: u32) -> Vec<u8> {
    let mut counts = std::collections::BTreeMap::new();
    for (_, status) in ended {
        *counts.entry(*status).or_insert(0) += 1;
    }
    let ended: Vec<Value> = ended
        .iter()
        .map(|(name, status)| json!({"id": "0a1b2c3d-1", "name": name, "status": status}))
        .collect();
    let data = json!({
        "session": "s1", "ended": ended, "counts": counts, "live_count": live, "all_complete": live == 0,
        "cursor": cursor,
    });
    format!("id: {cursor}\nevent: notice\ndata: {data}\n\n").into_bytes()
}

fn notices(pieces: &[Vec<u8>]) -> FakeResponse {
    FakeResponse::Stream { pieces: pieces.to_vec(), proper: false }
}

#[test]
fn wait_for_a_session_prints_each_batch_and_counts_earlier_ends() {
    let asked_before = Cell::new(false);
    let came = said("wait --session s1", false, move |asked| {
        if asked.path.starts_with("/v1/sessions") {
            assert_eq!(asked.path, "/v1/sessions/s1/completions?format=sse&follow=true");
            return notices(&[
                b":\n\n".to_vec(),
                notice("e-1", &[], 3),
                notice("e-5", &[("a", "completed"), ("b", "failed")], 1),
                notice("e-6", &[("tests", "completed")], 0),
            ]);
        }
        assert_eq!(asked.path, "/v1/processes?all=true&session=s1&limit=200");
        let tests =
            if asked_before.replace(true) { ended(samples::running(), 0) } else { samples::running() };
        list(&[tests, samples::failed()])
    });
    assert_eq!(came.code(), 1, "the linter failed before anybody waited");
    assert_eq!(
        came.err,
        "b7d0ha00 ruff ✗ failed (exit 1) after 48s\n\
         2 ended: 1 completed, 1 failed (0a1b2c3d b); 1 still lives\n\
         0a1b2c3d tests ✓ completed; all have ended\n"
    );
}

#[test]
fn wait_for_a_session_that_is_over_says_so() {
    let done = || ended(samples::running(), 0);
    let came = said("wait --session s1", false, move |asked| match asked.path.starts_with("/v1/sessions") {
        true => notices(&[notice("e-1", &[], 0)]),
        false => list(&[ProcessView { status: "completed".to_owned(), ..done() }]),
    });
    assert_eq!(
        (came.code(), came.err.as_str()),
        (0, "0a1b2c3d tests ✓ completed (exit 0) after 2m; all have ended\n")
    );
}

#[test]
fn wait_for_a_session_resumes_under_the_next_manager() {
    let came = said("wait --session s1 --json", false, |asked| match asked.path.as_str() {
        "/v1/sessions/s1/completions?format=sse&follow=true" => notices(&[notice("e-1", &[], 1)]),
        "/v1/sessions/s1/completions?format=sse&follow=true&after=e-1" => {
            notices(&[notice("e-1", &[], 1), notice("e-9", &[("tests", "failed")], 0)])
        }
        _ => list(&[ended(samples::running(), 7)]),
    });
    assert_eq!(came.code(), 7);
    let lines: Vec<Value> = came.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "each notice in a line: {}", came.out);
    assert_eq!(lines[2].pointer("/ended/0/status"), Some(&json!("failed")));
}

#[test]
fn wait_for_a_session_gives_up_when_its_time_is_over() {
    let came = said("wait --session s1 --timeout 50ms", false, |asked| {
        if asked.path.starts_with("/v1/sessions") {
            let held = Rc::new(Cell::new(false));
            return FakeResponse::Held { first: notice("e-1", &[], 1), may_go_on: held, rest: Vec::new() };
        }
        list(&[samples::running()])
    });
    assert_eq!(came.code(), 75);
    assert_eq!(came.err, "0a1b2c3d tests ● still running, 41 %, eta ~3m\n");
}

#[test]
fn wait_for_an_empty_session_reports_no_process() {
    let came = said("wait --session s1", false, |asked| {
        if asked.path.starts_with("/v1/sessions") { notices(&[notice("e-1", &[], 0)]) } else { list(&[]) }
    });
    assert_eq!(came.code(), 3);
    let by_poll = said("wait --session s1 --for running", false, |_| list(&[]));
    assert_eq!(by_poll.code(), 3);
    let beside = said("wait --session s1 0a1b", false, |_| list(&[]));
    assert_eq!((beside.code(), beside.asked.len()), (3, 1));
    assert!(matches!(&came.outcome, Err(failure) if failure.slug() == "session_not_found"));
}

#[test]
fn wait_for_a_session_in_json_lists_earlier_ends_once() {
    let failed = samples::failed();
    let again = json!({
        "session": "s1", "ended": [{"id": failed.id, "status": "failed"}, {"id": "b", "status": "completed"}],
        "counts": {"failed": 1, "completed": 1}, "live_count": 0, "all_complete": true, "cursor": "e-5",
    });
    let second = format!("id: e-5\nevent: notice\ndata: {again}\n\n").into_bytes();
    let came = said("wait --session s1 --json", false, move |asked| {
        if asked.path.starts_with("/v1/sessions") {
            return notices(&[notice("e-1", &[], 1), second.clone()]);
        }
        list(&[samples::running(), samples::failed()])
    });
    let lines: Vec<Value> = came.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0].pointer("/ended/0/id"), Some(&json!(failed.id)));
    assert_eq!((&lines[0]["counts"], &lines[0]["live_count"]), (&json!({"failed": 1}), &json!(1)));
    assert_eq!(lines[1]["ended"].as_array().unwrap().len(), 1, "{}", came.out);
    assert_eq!(lines[1]["counts"], json!({"completed": 1}));
}

#[test]
fn long_poll_names_only_so_many() {
    let many: Vec<ProcessView> = (0..450)
        .map(|n| ProcessView {
            id: format!("p{n:03}"),
            status: "pending".to_owned(),
            ..ProcessView::default()
        })
        .collect();
    let came = said("wait --session s1 --for running", false, move |asked| {
        if !asked.path.starts_with("/v1/wait") {
            return list(&many);
        }
        let named = asked.path.matches("id=p").count();
        assert!(named <= 200, "{named}");
        let ids = asked.path.split("id=").skip(1).map(|rest| rest[..4].to_owned());
        let done = ids.map(|id| ProcessView { id, status: "completed".to_owned(), ..ProcessView::default() });
        waited(&done.collect::<Vec<_>>(), false)
    });
    assert_eq!((came.code(), came.asked.len()), (0, 4), "{:?}", came.asked.len());
}

#[test]
fn wait_for_readiness_is_zero_once_it_is_there_and_else_the_code_of_the_end() {
    let ready = |ready| ProcessView { ready: Some(ready), ..samples::running() };
    let came = said("wait --for ready 0a1b", false, move |_| waited(&[ready(true)], false));
    assert_eq!((came.code(), came.err.as_str()), (0, "0a1b2c3d tests ● ready\n"));
    assert!(came.asked[0].contains("for=ready"), "{:?}", came.asked);
    let failed = said("wait --for ready 0a1b", false, |_| waited(&[ended(samples::running(), 7)], false));
    assert_eq!(failed.code(), 7);
    let late = said("wait --for ready 0a1b --timeout 10ms", false, move |_| {
        std::thread::sleep(std::time::Duration::from_millis(15));
        waited(&[ready(false)], true)
    });
    assert_eq!(late.code(), 75);
    assert!(late.err.contains("still running (not ready)"), "{}", late.err);
}
