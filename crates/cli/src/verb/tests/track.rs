//! Tests of `track`.

use super::*;

#[test]
fn start_prints_only_the_id() {
    let came = said("track start --name migration --heartbeat 1m --node host-7", false, |_| {
        let mut process = samples::running();
        process.work = "reported".to_owned();
        launched(&process)
    });
    assert_eq!(
        (came.code(), came.out.trim_end(), came.err.as_str()),
        (0, samples::running().id.as_str(), "")
    );
    assert_eq!(came.asked, ["POST /v1/processes"]);
    let body = came.body(0);
    assert_eq!(body.pointer("/reported/heartbeat_ms"), Some(&json!(60_000)));
    assert_eq!(body.pointer("/reported/node_id"), Some(&json!("host-7")));
    assert_eq!((&body["command"], &body["name"]), (&Value::Null, &json!("migration")));
}

#[test]
fn start_prints_hints_on_a_terminal() {
    let came = said("track start", true, |_| {
        let mut process = samples::running();
        process.work = "reported".to_owned();
        launched(&process)
    });
    for text in ["track progress 0a1b2c3d 10", "track complete 0a1b2c3d", "track fail 0a1b2c3d --error WHY"] {
        assert!(came.err.contains(text), "{text}: {}", came.err);
    }
    assert!(!came.err.contains("logs -f"), "{}", came.err);
}

#[test]
fn progress_is_a_report_and_nothing_is_a_sign_of_life() {
    let came = said("track progress 0a1b 412/1000 --stage copy --expect-revision 3", false, |_| {
        changed(&samples::running(), true)
    });
    assert_eq!((came.code(), came.out.as_str(), came.err.as_str()), (0, "", ""));
    assert_eq!(came.asked, ["PATCH /v1/processes/0a1b?revision=3"]);
    assert_eq!(
        came.body(0),
        json!({"progress": 41.2, "stage": "copy", "eta_ms": null, "result": null, "error": null, "status": null})
    );
    let came = said("track progress 0a1b", false, |_| changed(&samples::running(), false));
    assert_eq!(
        came.body(0),
        json!({"progress": null, "stage": null, "eta_ms": null, "result": null, "error": null, "status": null})
    );
    assert_eq!(said("track progress x", false, |_| problem(404, "process_not_found")).code(), 3);
}

#[test]
fn end_hands_over_its_result_or_its_error() {
    let came =
        said("track complete 0a1b --result {\"rows\":5}", false, |_| changed(&samples::running(), true));
    assert_eq!((came.code(), came.body(0)), (0, json!({"result": {"rows": 5}})));
    let top = tempfile::tempdir().unwrap();
    let file = top.path().join("result.json");
    std::fs::write(&file, "[1, 2]").unwrap();
    let line = format!("track complete 0a1b --result-file {}", file.display());
    let came = said(&line, false, |_| changed(&samples::running(), true));
    assert_eq!(came.body(0), json!({"result": [1, 2]}));
    let came = said("track complete 0a1b", false, |_| changed(&samples::running(), true));
    assert_eq!(came.body(0), json!({"result": null}));
    let came = said("track fail 0a1b --error full", false, |_| changed(&samples::failed(), true));
    assert_eq!(
        (came.asked[0].as_str(), came.body(0)),
        ("POST /v1/processes/0a1b/fail", json!({"error": "full"}))
    );
}

#[test]
fn invalid_reports_have_their_exit_codes() {
    let came = said("track complete 0a1b --result {rows", false, |_| FakeResponse::Silence);
    assert_eq!((came.code(), came.asked.len()), (2, 0));
    let came = said("track complete 0a1b --result-file /nonexistent/file", false, |_| FakeResponse::Silence);
    assert_eq!((came.code(), came.asked.len()), (1, 0));
    for verb in ["complete x", "fail x --error e"] {
        let line = format!("track {verb}");
        assert_eq!(said(&line, false, |_| problem(409, "invalid_status_transition")).code(), 4, "{verb}");
        assert_eq!(said(&line, false, |_| problem(409, "unsupported")).code(), 4, "{verb}");
    }
    assert_eq!(said("track start --no-queue", false, |_| problem(409, "no_slot")).code(), 5);
}
