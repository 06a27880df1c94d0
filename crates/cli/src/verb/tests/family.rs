//! Tests of process trees, levels and sessions.

use super::*;
use longhaul_wire::api::{OutcomeView, OutcomesReply, PauseReply, Problem, ProcessesReply};

fn outcomes() -> OutcomesReply {
    let refused = Problem {
        slug: "invalid_status_transition".to_owned(),
        title: "cannot pause a process that is pending".to_owned(),
        status: 409,
        ..Problem::default()
    };
    OutcomesReply {
        outcomes: vec![
            OutcomeView {
                id: samples::running().id,
                process: Some(samples::running()),
                changed: true,
                ..OutcomeView::default()
            },
            OutcomeView {
                id: samples::failed().id,
                process: Some(samples::failed()),
                note: Some("already_ended".to_owned()),
                ..OutcomeView::default()
            },
            OutcomeView { id: samples::queued().id, problem: Some(refused), ..OutcomeView::default() },
        ],
    }
}

fn paced() -> FakeResponse {
    let mut each = outcomes().outcomes;
    let process = each.remove(0).process.unwrap();
    answered(&PauseReply { process, changed: true, note: None, descendants: each })
}

#[test]
fn pause_reports_each_process_and_each_failure() {
    let came = said("pause 0a1b", false, |_| paced());
    assert_eq!(came.asked, ["POST /v1/processes/0a1b/pause"]);
    assert_eq!((came.body(0), came.code()), (json!({"no_descendants": false}), 4));
    assert!(
        came.err.starts_with("0a1b2c3d tests is running\nb7d0ha00 ruff had already ended: failed\n"),
        "{}",
        came.err
    );
    assert!(came.err.contains("cannot pause a process that is pending"), "{}", came.err);
    for verb in ["pause", "resume"] {
        let came =
            said(&format!("{verb} 0a1b --no-descendants"), false, |_| changed(&samples::running(), true));
        assert_eq!((came.body(0), came.code()), (json!({"no_descendants": true}), 0));
    }
}

#[test]
fn outcomes_are_one_document_for_programs() {
    let came = said("pause 0a1b --json", false, |_| paced());
    let document: Value = serde_json::from_str(&came.out).unwrap();
    assert_eq!(document.pointer("/descendants/1/problem/type"), Some(&json!("invalid_status_transition")));
    let problem: Value = serde_json::from_str(&came.err).unwrap();
    assert_eq!(problem["type"], json!("invalid_status_transition"));
}

#[test]
fn level_of_one_tree_is_cancelled_without_a_question() {
    let came = said("cancel --level 1 --tree 0a1b --force", false, |asked| {
        if asked.method == "POST" {
            let mut reply = outcomes();
            reply.outcomes.truncate(1);
            answered(&reply)
        } else {
            waited(&[samples::cancelled()], false)
        }
    });
    assert_eq!((came.code(), came.asked[0].as_str()), (0, "POST /v1/cancel"));
    assert_eq!(came.body(0), json!({"level": 1, "tree": "0a1b", "force": true}));
    assert!(came.err.contains("c0ffee00 server ⊘ cancelled"), "{}", came.err);
}

#[test]
fn level_of_all_trees_needs_a_yes() {
    let answer = |asked: &FakeRequest| {
        if asked.method == "POST" { answered(&OutcomesReply::default()) } else { list(&[samples::running()]) }
    };
    let came = said("cancel --level 0", false, answer);
    assert_eq!((came.code(), came.asked), (2, vec!["GET /v1/processes?level=0&limit=200".to_owned()]));
    let came = said("cancel --level 0 -y", false, answer);
    assert_eq!((came.code(), came.asked.last().unwrap().as_str()), (0, "POST /v1/cancel"));
    assert_eq!(came.err, "no live process is on level 0\n");
}

#[test]
fn tree_of_a_process_is_drawn() {
    let came = said("tree aaaa", true, |_| {
        let processes = samples::family().into_iter().filter(|each| each.id.starts_with('a')).collect();
        answered(&ProcessesReply { processes })
    });
    assert_eq!(came.asked, ["GET /v1/processes/aaaa/tree"]);
    assert!(
        came.out.starts_with("aaaa0000 train ● running") && came.out.contains("│  └─ aaaa0011"),
        "{}",
        came.out
    );
    assert_eq!(said("tree nope", false, |_| problem(404, "process_not_found")).code(), 3);
}

#[test]
fn tree_shows_the_ended_ancestors_of_live_processes() {
    let came = said("tree", true, |asked| {
        let family = samples::family();
        if asked.path.ends_with("/tree") {
            let whole = family.into_iter().filter(|each| each.id.starts_with('a')).collect();
            return answered(&ProcessesReply { processes: whole });
        }
        let live: Vec<_> = family.into_iter().filter(|each| each.status != "completed").collect();
        list(&live)
    });
    assert_eq!(came.asked[1], "GET /v1/processes/aaaa0000-0000-4000-8000-000000000000/tree");
    assert_eq!(came.asked.len(), 2);
    let lines: Vec<&str> = came.out.lines().collect();
    assert_eq!(lines.len(), 5, "{}", came.out);
    assert!(
        lines[1].starts_with("├─ aaaa0001 unit ✓ completed") && lines[2].contains("aaaa0011"),
        "{}",
        came.out
    );
}

#[test]
fn forest_in_json_and_an_empty_one() {
    let came = said("tree --json", false, |_| list(&[samples::running()]));
    let document: Value = serde_json::from_str(&came.out).unwrap();
    assert_eq!(document["schema"], json!("longhaul/tree/v1"));
    assert_eq!(document.pointer("/processes/0/id"), Some(&json!(samples::running().id)));
    let came = said("tree", false, |_| list(&[]));
    assert_eq!((came.code(), came.out.as_str()), (0, ""));
    assert_eq!(came.err, "nothing is running; longhaul tree -a shows what has ended\n");
}

#[test]
fn session_end_reports_the_effect_on_each_process() {
    let came = said("session end s/1", false, |_| {
        let mut reply = outcomes();
        reply.outcomes.truncate(2);
        reply.outcomes[0].changed = false;
        reply.outcomes[0].note = Some("kept_by_policy".to_owned());
        answered(&reply)
    });
    assert_eq!((came.code(), came.asked[0].as_str()), (0, "POST /v1/sessions/s%2F1/end"));
    assert_eq!(came.body(0), json!({"policy": null, "grace_ms": null}));
    assert!(came.err.starts_with("0a1b2c3d tests continues, running\n"), "{}", came.err);
    let came =
        said("session end s --policy grace --grace 30s", false, |_| answered(&OutcomesReply::default()));
    assert_eq!(came.body(0), json!({"policy": "grace", "grace_ms": 30_000}));
    assert_eq!((came.code(), came.err.as_str()), (0, "no process of session s is live\n"));
    assert_eq!(said("session end nope", false, |_| problem(404, "session_not_found")).code(), 3);
}

#[test]
fn session_end_reports_the_grace_period() {
    let came = said("session end s", false, |_| {
        let mut reply = outcomes();
        reply.outcomes.truncate(1);
        if let Some(process) = &mut reply.outcomes[0].process {
            process.cancel_at = Some("2026-11-21T01:51:00Z".to_owned());
        }
        answered(&reply)
    });
    assert_eq!(came.err, "0a1b2c3d tests is running and will be cancelled at 2026-11-21 01:51:00 UTC\n");
}

#[test]
fn second_session_end_reports_the_earlier_cancel_time() {
    let came = said("session end s --policy grace --grace 60s", false, |_| {
        let mut reply = outcomes();
        reply.outcomes.truncate(1);
        reply.outcomes[0].changed = false;
        reply.outcomes[0].note = Some("no_change".to_owned());
        if let Some(process) = &mut reply.outcomes[0].process {
            process.cancel_at = Some("2026-11-21T01:51:00Z".to_owned());
        }
        answered(&reply)
    });
    let said =
        "0a1b2c3d tests is running and will still be cancelled at 2026-11-21 01:51:00 UTC, as announced\n";
    assert_eq!((came.code(), came.err.as_str()), (0, said));
}

#[test]
fn grace_of_a_session_belongs_to_its_policy_and_its_length_may_be_left_to_the_manager() {
    let came = said("session end s --policy cancel --grace 1s", false, |_| FakeResponse::Silence);
    assert_eq!((came.code(), came.asked.len()), (2, 0));
    let came = said("session end s --policy grace", false, |_| answered(&OutcomesReply::default()));
    assert_eq!(came.body(0), json!({"policy": "grace", "grace_ms": null}));
}
