//! Tests of `run` and `restart`.

use super::*;
use longhaul_wire::api::StartFailureView;

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
fn background_launch_prints_pid_log_and_hints_on_a_terminal() {
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
fn background_launch_of_a_missing_program_fails_as_in_the_foreground() {
    for (errno, code, reason) in
        [(2, 127, "there is no program slep; nearest: sleep"), (13, 126, "no permission")]
    {
        let mut failed = samples::queued();
        failed.status = "failed".to_owned();
        failed.work = "command".to_owned();
        failed.reason = Some(reason.to_owned());
        failed.start_failure = Some(StartFailureView { stage: "program".to_owned(), errno: Some(errno) });
        let mut starting = samples::queued();
        starting.status = "starting".to_owned();
        for terminal in [false, true] {
            let (failed, starting) = (failed.clone(), starting.clone());
            let came = said("run -b -- slep", terminal, move |asked| {
                if asked.path.starts_with("/v1/wait") {
                    waited(std::slice::from_ref(&failed), false)
                } else {
                    launched(&starting)
                }
            });
            assert_eq!(came.code(), code);
            assert_eq!(came.out, "9f8e7d6c-2222-4222-8222-222222222222\n");
            assert!(came.err.contains(reason), "{}", came.err);
            for hint in ["logs -f", "longhaul wait", "longhaul cancel"] {
                assert!(!came.err.contains(hint), "{}", came.err);
            }
        }
    }
}

#[test]
fn missing_program_that_waits_for_a_slot_is_not_waited_for() {
    let came = said("run -b -- slep", false, |_| launched(&samples::queued()));
    assert_eq!((came.code(), came.asked.len()), (0, 1), "{:?}", came.asked);
}

#[test]
fn command_line_given_as_a_program_is_shown_how_to_run() {
    let mut failed = samples::queued();
    failed.status = "failed".to_owned();
    failed.work = "command".to_owned();
    failed.command = vec!["sleep 1 && echo it's done".to_owned()];
    failed.start_failure = Some(StartFailureView { stage: "program".to_owned(), errno: Some(2) });
    let came = said("run -b -- slep", false, move |_| launched(&failed));
    assert!(came.err.contains(r"longhaul run --shell 'sleep 1 && echo it'\''s done'"), "{}", came.err);
}

#[test]
fn broken_launch_is_repeated_only_with_a_launch_key() {
    let breaks_once = || {
        let tries = Rc::new(Cell::new(0));
        move |_: &FakeRequest| {
            tries.set(tries.get() + 1);
            if tries.get() == 1 { FakeResponse::Raw(Vec::new()) } else { launched(&samples::queued()) }
        }
    };
    let came = said("run -b -- true", false, breaks_once());
    assert_eq!((came.code(), came.asked.len()), (6, 1));
    let report = crate::failure::report(&came.outcome.unwrap_err()).text(str::to_owned);
    assert!(
        report.contains("unknown whether the manager executed the request")
            && report.contains("[connection_broken]"),
        "{report}"
    );
    assert!(report.contains("longhaul status -a") && report.contains("--launch-key"), "{report}");
    let came = said("run -b --launch-key k -- true", false, breaks_once());
    assert_eq!((came.code(), came.asked.len()), (0, 2));
}

#[test]
fn restart_without_an_answer_may_have_been_taken() {
    let came = said("restart -b b7d0", false, |_| FakeResponse::Raw(Vec::new()));
    assert_eq!(came.code(), 6);
    assert!(
        came.err.contains("unknown whether the manager executed the request")
            && came.err.contains("longhaul status -a"),
        "{}",
        came.err
    );
}

#[test]
fn launch_whose_id_cannot_be_printed_names_its_id_in_the_error() {
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
    let around = CallerContext::of(Path::new("/"), &[]);
    let failure =
        crate::request::launch_request(&args, &global, &around, Path::new("/s"), false).unwrap_err();
    assert_eq!(of_failure(&failure, ExitCodeMode::PassThrough), 2);
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
    let came = said("run --dry-run -e SECRET=x -- make", false, |_| FakeResponse::Silence);
    assert_eq!((came.code(), came.asked.len()), (0, 0));
    assert!(came.out.contains("\"make\"") && !came.out.contains("\"x\""), "{}", came.out);
}

#[test]
fn refused_launch_keeps_its_code() {
    assert_eq!(said("run -b -- true", false, |_| problem(409, "no_slot")).code(), 5);
    assert_eq!(said("run -b -- true", false, |_| problem(503, "store_unavailable")).code(), 6);
}

#[test]
fn restart_in_the_background_prints_the_new_id() {
    let came = said("restart -b b7d0", false, |_| launched(&samples::queued()));
    assert_eq!(came.out, format!("{}\n", samples::queued().id));
    assert_eq!(came.asked, ["POST /v1/processes/b7d0/restart"]);
}

#[test]
fn restart_of_a_running_process_has_exit_code_four() {
    let came = said("restart 0a1b", false, |_| problem(409, "invalid_status_transition"));
    assert_eq!(came.code(), 4);
}

#[test]
fn interrupted_work_is_restarted_and_the_new_ids_are_printed() {
    let mut again = samples::running();
    again.restarted_from = Some(samples::interrupted().id);
    let reply = json!({"processes": [again]});
    let came = said("restart --interrupted", false, move |_| FakeResponse::Json(200, reply.clone()));
    assert_eq!((came.code(), came.out), (0, format!("{}\n", samples::running().id)));
    assert_eq!(
        (came.asked, came.bodies),
        (vec!["POST /v1/restart-interrupted".to_owned()], vec!["{\"ids\":[]}".to_owned()])
    );
    let came =
        said("restart --interrupted dead beef", false, |_| FakeResponse::Json(200, json!({"processes": []})));
    assert_eq!((came.code(), came.out.as_str()), (0, ""));
    assert_eq!(came.err, "no interrupted process is left to restart\n");
    assert_eq!(came.body(0), json!({"ids": ["dead", "beef"]}));
}

#[test]
fn interrupted_work_of_a_project_is_named_to_the_manager() {
    let nothing = |_: &FakeRequest| FakeResponse::Json(200, json!({"processes": []}));
    let came = said("restart --interrupted -p atlas", false, nothing);
    assert_eq!(came.body(0), json!({"ids": [], "project": "atlas"}));
    let came = said("restart --interrupted -p atlas dead", false, nothing);
    assert_eq!(came.body(0), json!({"ids": ["dead"]}), "who names it means it");
}

#[test]
fn skipped_interrupted_processes_are_reported() {
    let id = samples::interrupted().id;
    let skipped =
        json!([{"id": id, "name": "kid", "reason": "ancestor_restarted", "detail": "277e4c23 launches it"}]);
    let reply = json!({"processes": [samples::running()], "skipped": skipped});
    let came = said("restart --interrupted", false, move |_| FakeResponse::Json(200, reply.clone()));
    assert_eq!((came.code(), came.out), (0, format!("{}\n", samples::running().id)));
    let hint = "if the launcher ends without launching such a child again: \
                longhaul restart --interrupted --with-children; to restart a child at once, name it: \
                longhaul restart --interrupted ID\n";
    assert_eq!(came.err, format!("not restarted: {} (kid): 277e4c23 launches it\n{hint}", &id[..8]));
    let reply = json!({"processes": [], "skipped": skipped});
    let came = said("restart --interrupted", false, move |_| FakeResponse::Json(200, reply.clone()));
    assert!(!came.err.contains("no interrupted process"), "{}", came.err);
}

#[test]
fn restart_of_interrupted_processes_prints_each_once_on_a_terminal() {
    let (old, new) = (samples::interrupted().id, samples::running().id);
    let mut again = samples::running();
    again.restarted_from = Some(old.clone());
    let reply = json!({"processes": [again]});
    let came = said("restart --interrupted", true, move |_| FakeResponse::Json(200, reply.clone()));
    assert_eq!((came.out.lines().count(), came.err.as_str()), (1, ""));
    assert!(came.out.starts_with(&new[..8]) && came.out.contains(&old[..8]), "{}", came.out);
}

#[test]
fn dry_run_of_a_restart_prints_the_planned_restarts() {
    let id = samples::interrupted().id;
    let reply = json!({"dry_run": true, "planned": [samples::interrupted()]});
    let answer = reply.clone();
    let came = said("restart --interrupted --with-children --dry-run", false, move |_| {
        FakeResponse::Json(200, answer.clone())
    });
    assert_eq!(came.body(0), json!({"ids": [], "with_children": true, "dry_run": true}));
    let row = format!("{} train would be restarted\n", &id[..8]);
    assert_eq!((came.code(), came.out.as_str()), (0, row.as_str()), "off a terminal as on one");
    let answer = reply.clone();
    let came =
        said("restart --interrupted --dry-run", true, move |_| FakeResponse::Json(200, answer.clone()));
    assert_eq!(came.out, row);
    let came = said("restart --interrupted --dry-run --json", false, move |_| {
        FakeResponse::Json(200, reply.clone())
    });
    assert!(came.out.contains("\"planned\""), "{}", came.out);
}

#[test]
fn only_one_process_is_restarted_in_the_foreground() {
    let came = said("restart a b", false, |_| FakeResponse::Silence);
    assert_eq!((came.code(), came.asked.len()), (2, 0));
    let came = said("restart -b a b", false, |_| launched(&samples::queued()));
    assert_eq!((came.code(), came.out.lines().count()), (0, 2));
}

/// Runs a command line as if it were executed inside a process of the simulated manager.
fn inside(line: &str, terminal: bool, answer: impl Fn(&FakeRequest) -> FakeResponse + 'static) -> Came {
    let around = CallerContext::of(Path::new("/"), &[("LONGHAUL_ID", "p1"), ("USER", "ada")]);
    said_from(around, line, terminal, None, Box::new(answer))
}

#[test]
fn adopted_parent_that_is_unknown_is_given_up_with_a_hint() {
    let came = inside("run -b -- true", true, |asked| {
        if asked.method == "GET" {
            return if asked.path.starts_with("/v1/wait") {
                waited(&[samples::running()], false)
            } else {
                problem(404, "process_not_found")
            };
        }
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        if body["parent_id"] == json!("p1") {
            problem(404, "process_not_found")
        } else {
            launched(&samples::queued())
        }
    });
    assert_eq!(came.code(), 0);
    assert_eq!(came.asked[..3], ["POST /v1/processes", "GET /v1/processes/p1", "POST /v1/processes"]);
    assert!(came.err.starts_with("this manager does not know the process p1, in which"), "{}", came.err);
}

#[test]
fn adopted_parent_that_is_known_stays_and_a_named_one_is_never_given_up() {
    let came = inside("run -b -- true", false, |asked| {
        if asked.method == "GET" { process(&samples::failed()) } else { problem(409, "parent_not_found") }
    });
    assert_eq!(
        (came.code(), came.asked.len()),
        (5, 2),
        "it has ended: that is no reason to get away from it"
    );
    let came = inside("track start --parent nope", false, |_| problem(404, "process_not_found"));
    assert_eq!((came.code(), came.asked.len()), (3, 1));
    let came = inside("run -b -- true", false, |_| problem(409, "ancestor_stopping"));
    assert_eq!((came.code(), came.asked.len()), (5, 1));
}

#[test]
fn used_launch_key_reports_the_state_of_its_process() {
    for (outcome, told) in [("already_running", "and is live"), ("already_ended", "and has ended")] {
        let answer = json!({"process": samples::failed(), "created": false, "outcome": outcome});
        let came =
            said("run -b --launch-key k -- true", false, move |_| FakeResponse::Json(200, answer.clone()));
        assert!(came.code() == 0 && came.err.contains(told), "{}", came.err);
    }
}
