//! Tests of `queue` and `why`.

use super::*;

#[test]
fn queues_are_a_table_and_a_document() {
    let came = said("queue", true, |_| answered(&samples::listing()));
    assert_eq!((came.code(), came.asked), (0, vec!["GET /v1/queues".to_owned()]));
    assert_eq!(came.out.lines().count(), 5);
    assert_eq!(came.err, "all other keys have 1 slot\n");
    let came = said("queue --json", false, |_| answered(&samples::listing()));
    let document: Value = serde_json::from_str(&came.out).unwrap();
    assert_eq!(document["schema"], json!("longhaul/queues/v1"));
    assert_eq!(document.pointer("/queues/1/waiting"), Some(&json!(2)));
    assert_eq!(said("queue -o name", false, |_| answered(&samples::listing())).out, "cargo\ndeploy\n");
}

#[test]
fn one_queue_names_holders_and_the_next() {
    let came = said("queue cargo", true, |_| {
        let mut listing = samples::listing();
        listing.queues = vec![samples::queue()];
        answered(&listing)
    });
    assert_eq!(came.asked, ["GET /v1/queues/cargo"]);
    assert_eq!(came.out.lines().count(), 2, "limits of other keys are not asked for: {}", came.out);
    assert!(came.out.contains("0a1b2c3d  9f8e7d6c"), "{}", came.out);
}

#[test]
fn limits_and_holds_are_set_for_a_key_or_a_pattern() {
    for (line, path, body, reported) in [
        (
            "queue cargo --limit 2",
            "cargo",
            json!({"slots": 2, "held": null, "by": null}),
            "cargo has 2 slots\n",
        ),
        ("queue * --limit 0", "%2A", json!({"slots": 0, "held": null, "by": null}), "* has no limit\n"),
        (
            "queue claude-* --limit default",
            "claude-%2A",
            json!({"slots": "default", "held": null, "by": null}),
            "claude-* has the limit of the next matching pattern, or the default\n",
        ),
        (
            "queue cargo --hold",
            "cargo",
            json!({"slots": null, "held": true, "by": "ada"}),
            "cargo is on hold: waiting processes keep waiting, and running processes continue\n",
        ),
        (
            "queue cargo --release --limit 1",
            "cargo",
            json!({"slots": 1, "held": false, "by": null}),
            "cargo has 1 slot, and is released\n",
        ),
    ] {
        let around = CallerContext::of(Path::new("/"), &[("USER", "ada")]);
        let came = said_from(around, line, false, None, Box::new(|_| answered(&samples::listing())));
        assert_eq!((came.code(), came.out.as_str()), (0, ""), "{line}");
        assert_eq!(came.asked, [format!("PATCH /v1/queues/{path}")], "{line}");
        assert_eq!((came.body(0), came.err.as_str()), (body, reported), "{line}");
    }
}

#[test]
fn one_that_waits_is_moved_to_the_front_or_to_a_priority() {
    let moved = |line: &str| {
        said(line, false, |_| {
            let mut process = samples::queued();
            process.priority = 7;
            changed(&process, true)
        })
    };
    let came = moved("queue move 9f8e --first");
    assert_eq!(came.asked, ["POST /v1/processes/9f8e/priority"]);
    assert_eq!(came.body(0), json!({"priority": null, "first": true}));
    assert_eq!(came.err, "9f8e7d6c build has priority 7, before all others that wait for the same key\n");
    let came = moved("queue move 9f8e --priority -5");
    assert_eq!(came.body(0), json!({"priority": -5, "first": false}));
    assert_eq!(came.err, "9f8e7d6c build has priority 7\n");
    let came = said("queue move 0a1b --first", false, |_| problem(409, "invalid_status_transition"));
    assert_eq!(came.code(), 4);
}

#[test]
fn why_prints_a_text_block_or_json() {
    let came = said("why 9f8e", false, |_| answered(&samples::why()));
    assert_eq!((came.code(), came.asked), (0, vec!["GET /v1/processes/9f8e/why".to_owned()]));
    assert!(
        came.out.contains("  position   2, 1 ahead\n") && came.out.contains("0a1b2c3d tests"),
        "{}",
        came.out
    );
    let came = said("why 9f8e --json", false, |_| answered(&samples::why()));
    let reported: Value = serde_json::from_str(&came.out).unwrap();
    assert_eq!((&reported["why"], &reported["position"]), (&json!("queued"), &json!(2)));
    assert_eq!(said("why nope", false, |_| problem(404, "process_not_found")).code(), 3);
}

#[test]
fn why_without_an_id_takes_the_only_one_that_waits() {
    let came = said("why", false, |asked| {
        if asked.path.ends_with("/why") { answered(&samples::why()) } else { list(&[samples::queued()]) }
    });
    assert_eq!(came.asked[0], "GET /v1/processes?status=pending&limit=200");
    assert_eq!(came.asked[1], format!("GET /v1/processes/{}/why", samples::queued().id));
    let came = said("why", false, |_| list(&[]));
    assert_eq!((came.code(), came.out.as_str(), came.err.as_str()), (0, "", "nothing waits\n"));
    let came = said("why", false, |_| list(&[samples::queued(), samples::queued()]));
    assert_eq!(came.code(), 2);
    assert!(matches!(came.outcome, Err(CliError::Choice { candidates, .. }) if candidates.len() == 2));
}
