//! Tests of subcommands that change processes.

use super::*;

#[test]
fn cancel_waits_and_prints_the_result() {
    let came = said("cancel c0ff --force", false, |asked| {
        if asked.method == "POST" {
            assert_eq!(asked.body, "{\"force\":true,\"no_descendants\":false}");
            changed(&samples::running(), true)
        } else {
            waited(&[samples::cancelled()], false)
        }
    });
    assert_eq!(came.code(), 0);
    assert_eq!(came.err, "c0ffee00 server ⊘ cancelled (SIGKILL, 3 descendants killed) after 49m\n");
}

#[test]
fn cancel_of_an_ended_process_exits_with_zero_and_says_so() {
    let came = said("cancel b7d0", false, |_| changed(&samples::failed(), false));
    assert_eq!(came.code(), 0);
    assert_eq!(came.err, "already ended: b7d0ha00 ruff ✗ failed (exit 1) after 48s\n");
}

#[test]
fn cancel_waits_for_the_descendants_too() {
    let looks = Rc::new(Cell::new(0));
    let came = said("cancel c0ff", false, move |asked| {
        let mut process = samples::cancelled();
        process.cancelling_descendants = true;
        if asked.method == "POST" {
            return changed(&process, true);
        }
        looks.set(looks.get() + 1);
        process.cancelling_descendants = looks.get() < 2;
        answered(&process)
    });
    assert_eq!((came.code(), came.asked.len()), (0, 3), "{:?}", came.asked);
}

#[test]
fn cancel_on_an_absent_node_reports_the_stored_request_once() {
    let looks = Rc::new(Cell::new(0));
    let came = said("cancel 0a1b", false, move |asked| {
        let mut process = samples::running();
        process.node_id = Some("beta".to_owned());
        if asked.method == "POST" {
            return changed(&process, true);
        }
        looks.set(looks.get() + 1);
        process.conditions = vec!["unreachable".to_owned()];
        if looks.get() == 3 {
            process.status = "interrupted".to_owned();
        }
        waited(&[process], looks.get() < 3)
    });
    assert!(came.asked[1].ends_with("timeout_ms=1000"), "{:?}", came.asked);
    assert_eq!(
        came.err.matches("on node beta, which is absent: the request is stored").count(),
        1,
        "{}",
        came.err
    );
    assert!(came.err.contains("node beta stops it as soon as the node is back"), "{}", came.err);
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
    assert!(came.err.contains("longhaul cancel --force 0a1b2c3d"), "{}", came.err);
}

#[test]
fn cancel_without_an_id_and_a_terminal_lists_candidates() {
    for line in ["cancel", "cancel --all"] {
        let came = said(line, false, |_| list(&[samples::running()]));
        assert_eq!(came.code(), 2, "{line}");
        let Err(CliError::Choice { candidates, .. }) = came.outcome else {
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
fn cancel_of_a_session_cancels_its_live_processes_after_a_yes() {
    let unanswered = said("cancel --session S1", false, |_| list(&[samples::running()]));
    assert_eq!((unanswered.code(), unanswered.asked.len()), (2, 1), "{}", unanswered.err);
    let came = said("cancel --session S1 -y --no-wait", false, |asked| {
        if asked.method == "POST" { changed(&samples::running(), true) } else { list(&[samples::running()]) }
    });
    assert_eq!(came.code(), 0);
    assert_eq!(came.asked[0], "GET /v1/processes?session=S1&limit=200");
    assert_eq!(came.asked[1], format!("POST /v1/processes/{}/cancel", samples::running().id));
}

#[test]
fn expected_revision_is_handed_over_and_is_that_of_one_process() {
    for (line, path) in [
        ("cancel x --expect-revision 7 --no-wait", "/v1/processes/x/cancel?revision=7"),
        ("pause x --expect-revision 7", "/v1/processes/x/pause?revision=7"),
        ("resume x --expect-revision 7", "/v1/processes/x/resume?revision=7"),
        ("signal x USR1 --expect-revision 7", "/v1/processes/x/signal?revision=7"),
        ("retry x --expect-revision 7", "/v1/processes/x/retry?revision=7"),
        ("queue move x --first --expect-revision 7", "/v1/processes/x/priority?revision=7"),
        ("track complete x --expect-revision 7", "/v1/processes/x/complete?revision=7"),
        ("track fail x --error e --expect-revision 7", "/v1/processes/x/fail?revision=7"),
    ] {
        let came = said(line, false, |_| changed(&samples::failed(), true));
        assert_eq!((came.code(), came.asked), (0, vec![format!("POST {path}")]), "{line}");
    }
    let came = said("restart -b x --expect-revision 7", false, |_| launched(&samples::queued()));
    assert_eq!(came.asked, ["POST /v1/processes/x/restart?revision=7"]);
    for line in ["cancel a b", "pause a b", "retry a b", "restart -b a b"] {
        let came = said(&format!("{line} --expect-revision 7"), false, |_| FakeResponse::Silence);
        assert_eq!((came.code(), came.asked.len()), (2, 0), "{line}");
    }
    assert_eq!(said("pause x --expect-revision 7", false, |_| problem(409, "revision_conflict")).code(), 1);
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
fn impossible_action_has_exit_code_four() {
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
    assert_eq!(said("progress 1 --id=", false, |_| FakeResponse::Silence).code(), 2);
}

#[test]
fn signal_is_named_by_its_number_and_goes_to_the_tree_if_asked() {
    let came = said("signal x SIGUSR1", false, |_| changed(&samples::running(), true));
    assert_eq!((came.code(), came.asked.clone()), (0, vec!["POST /v1/processes/x/signal".to_owned()]));
    assert_eq!(came.body(0), json!({"signal": "10", "tree": false}));
    assert!(came.err.contains("sending a signal to 0a1b2c3d tests, which is running"), "{}", came.err);
    let came = said("signal x 1 --tree", false, |_| changed(&samples::running(), true));
    assert_eq!(came.body(0), json!({"signal": "1", "tree": true}));
    let unknown = ["longhaul", "signal", "x", "FROB"].map(std::ffi::OsString::from);
    assert_eq!(crate::arguments::read(unknown).unwrap_err().exit_code(), 2);
}

#[test]
fn signal_that_the_node_has_not_sent_yet_is_not_said_to_be_sent() {
    let asked = json!({"process": samples::running(), "changed": true, "note": "asked"});
    let came = said("signal x SIGUSR1", false, move |_| answered(&asked));
    assert_eq!(came.code(), 0);
    assert_eq!(
        came.err,
        "0a1b2c3d tests has not received the signal yet: its node laptop received the request and will send the signal\n"
    );
}

#[test]
fn result_and_error_of_a_command_are_reported_from_inside_it() {
    let answer = |asked: &FakeRequest| {
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("PATCH", "/v1/processes/0a1b"));
        changed(&samples::running(), true)
    };
    let body = |line: &str| -> Value { serde_json::from_str(&said(line, false, answer).bodies[0]).unwrap() };
    assert_eq!(body(r#"result {"rows":3} --id 0a1b"#)["result"]["rows"], 3);
    assert_eq!(body("result -5 --id 0a1b")["result"], -5);
    assert_eq!(body("error diskfull --id 0a1b")["error"], "diskfull");
    let top = tempfile::tempdir().unwrap();
    let file = top.path().join("result.json");
    std::fs::write(&file, "[1, 2]").unwrap();
    assert_eq!(body(&format!("result @{} --id 0a1b", file.display()))["result"][1], 2);
    for wrong in ["result {rows --id 0a1b", "result 1 --id=", "error x --id="] {
        assert_eq!(said(wrong, false, |_| FakeResponse::Silence).code(), 2, "{wrong}");
    }
    assert_ne!(said("result @/nonexistent --id 0a1b", false, |_| FakeResponse::Silence).code(), 0);
}
