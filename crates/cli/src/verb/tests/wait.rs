//! Waiting for an end.

use super::*;

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
fn wait_for_a_session_counts_what_has_ended_before() {
    let came = said("wait --session s1", false, |asked| {
        if asked.path.starts_with("/v1/wait") {
            assert!(asked.path.contains("id=0a1b2c3d") && !asked.path.contains("b7d0ha00"), "{}", asked.path);
            return waited(&[ended(samples::running(), 0)], false);
        }
        assert_eq!(asked.path, "/v1/processes?all=true&session=s1&limit=200");
        list(&[samples::running(), samples::failed()])
    });
    assert_eq!(came.code(), 1, "the linter failed before anybody waited");
    assert!(came.err.starts_with("b7d0ha00 ruff ✗ failed (exit 1) after 48s\n"), "{}", came.err);
}

#[test]
fn wait_for_a_session_without_processes_is_done() {
    let came = said("wait --session s1 --json", false, |_| list(&[]));
    assert_eq!(came.code(), 0);
    assert_eq!(came.out, "{\"processes\":[],\"timed_out\":false}\n");
}

#[test]
fn long_poll_names_only_so_many() {
    let many: Vec<ProcessView> = (0..450)
        .map(|n| ProcessView {
            id: format!("p{n:03}"),
            status: "running".to_owned(),
            ..ProcessView::default()
        })
        .collect();
    let came = said("wait --session s1", false, move |asked| {
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
