//! Tests of `stats`, `prune` and `reset`.

use super::*;
use longhaul_wire::api::{PruneReply, ResetReply};

#[test]
fn stats_are_a_table_and_a_document() {
    let came = said("stats --session s --tree 0a1b -p atlas", true, |_| answered(&samples::stats()));
    assert_eq!(came.asked, ["GET /v1/stats?session=s&tree=0a1b&project=atlas"]);
    assert_eq!((came.code(), came.out.lines().count()), (0, 8));
    let came = said("stats --json", false, |_| answered(&samples::stats()));
    let document: Value = serde_json::from_str(&came.out).unwrap();
    assert_eq!(document["schema"], json!("longhaul/stats/v1"));
    assert_eq!(document.pointer("/total/p95_ms"), Some(&json!(125_000)));
}

fn pruned(dry_run: bool) -> FakeResponse {
    answered(&PruneReply {
        dry_run,
        ids: vec![samples::failed().id, samples::cancelled().id],
        count: 2,
        bytes: 1_536,
        total: 9,
    })
}

#[test]
fn prune_prints_the_deleted_amount_and_a_dry_run_the_planned_amount() {
    let came = said("prune --older-than 90d --keep 5 --bytes 1G", false, |_| pruned(false));
    assert_eq!(came.asked, ["POST /v1/prune"]);
    assert_eq!(
        came.body(0),
        json!({"older_than_ms": 7_776_000_000_u64, "keep": 5, "bytes": 1 << 30, "dry_run": false})
    );
    assert_eq!(
        (came.out.as_str(), came.err.as_str()),
        ("", "2 records were deleted, and 1.5 KiB of output\n")
    );
    let came = said("prune --keep 0 --dry-run", false, |_| pruned(true));
    assert_eq!(came.out, format!("{}\n{}\n", samples::failed().id, samples::cancelled().id));
    assert_eq!(came.err, "2 records would be deleted, and 1.5 KiB of output\n");
    let came = said("prune --keep 5", false, |_| answered(&PruneReply::default()));
    assert_eq!((came.code(), came.err.as_str()), (0, "there are no ended processes to prune\n"));
}

fn cleared(asked: &FakeRequest) -> FakeResponse {
    if asked.method == "GET" {
        return list(&[samples::running()]);
    }
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    answered(&ResetReply {
        dry_run: body["dry_run"] == json!(true),
        stopped: vec![samples::running().id],
        removed: 3,
        remaining: Vec::new(),
    })
}

#[test]
fn reset_without_a_terminal_requires_yes_and_names_the_processes() {
    let came = said("reset", false, cleared);
    assert_eq!(came.code(), 2);
    assert!(came.bodies.iter().all(|body| !body.contains("\"confirm\":true")), "{:?}", came.bodies);
    let Err(CliError::Choice { what, candidates, help }) = came.outcome else {
        panic!("it went on");
    };
    assert_eq!(
        what,
        "1 process would be stopped, 3 records would be deleted, and there is no terminal to ask"
    );
    assert!(candidates[0].starts_with("0a1b2c3d tests") && help == "longhaul reset --yes", "{candidates:?}");
}

#[test]
fn reset_with_yes_stops_the_processes_and_reports_them() {
    let came = said("reset --yes", false, cleared);
    assert_eq!((came.code(), came.out.as_str()), (0, ""));
    assert_eq!(came.body(2), json!({"dry_run": false, "confirm": true}));
    assert_eq!(came.err, "stopped 0a1b2c3d tests\n1 process stopped, 3 records deleted\n");
}

#[test]
fn dry_run_of_clear_stops_nothing() {
    let came = said("reset --dry-run", false, cleared);
    assert_eq!((came.code(), came.out), (0, format!("{}\n", samples::running().id)));
    assert_eq!(came.err, "1 process would be stopped, 3 records would be deleted\n");
    assert_eq!(came.asked.iter().filter(|asked| asked.starts_with("POST")).count(), 1);
}

#[test]
fn clear_that_leaves_something_behind_is_a_failure() {
    let came = said("reset -y", false, |asked| {
        if asked.method == "GET" {
            return list(&[]);
        }
        let stopped = vec![samples::running().id];
        answered(&ResetReply { remaining: stopped.clone(), stopped, ..ResetReply::default() })
    });
    assert_eq!(came.code(), 1);
    assert!(came.err.contains("1 process did not stop"), "{}", came.err);
    let came = said("reset", false, |asked| {
        if asked.method == "GET" { list(&[]) } else { answered(&ResetReply::default()) }
    });
    assert_eq!((came.code(), came.err.as_str()), (0, "there is nothing to delete\n"));
}
