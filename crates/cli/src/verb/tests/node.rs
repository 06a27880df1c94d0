//! Tests of `node` and of launches on other nodes.

use super::*;
use longhaul_wire::api::{NodeListing, NodeView};

#[test]
fn nodes_are_a_table_a_document_and_names() {
    let came = said("node list", true, |_| answered(&listing()));
    assert_eq!((came.code(), came.asked), (0, vec!["GET /v1/nodes".to_owned()]));
    assert_eq!(came.out.lines().count(), 3, "{}", came.out);
    let document: Value =
        serde_json::from_str(&said("node list --json", false, |_| answered(&listing())).out).unwrap();
    assert_eq!(document["schema"], json!("longhaul/nodes/v1"));
    assert_eq!(document.pointer("/nodes/1/presence"), Some(&json!("left")));
    assert_eq!(said("node list -o name", false, |_| answered(&listing())).out, "alpha\nb/c\n");
}

#[test]
fn each_node_action_names_its_node() {
    for (line, asked, reported) in [
        ("node drain b/c", "POST /v1/nodes/b%2Fc/drain", "is draining"),
        ("node undrain b/c", "POST /v1/nodes/b%2Fc/undrain", "starts processes again"),
        ("node forget b/c --yes", "DELETE /v1/nodes/b%2Fc", "was forgotten"),
    ] {
        let came = said(line, false, |_| answered(&listing().nodes[1]));
        assert_eq!((came.code(), came.asked), (0, vec![asked.to_owned()]), "{line}");
        assert!(came.err.starts_with("node b/c ") && came.err.contains(reported), "{}", came.err);
    }
    let unknown = said("node drain gamma", false, |_| problem(404, "node_not_found"));
    assert_eq!(unknown.code(), 3);
    let alive = said("node forget alpha", false, |asked| match asked.method.as_str() {
        "GET" => answered(&listing()),
        _ => problem(409, "node_alive"),
    });
    assert_eq!(alive.code(), 4, "one that is there is not asked about");
}

#[test]
fn node_with_live_processes_is_not_forgotten_without_confirmation() {
    let forget = |line: &str, all: Vec<ProcessView>| {
        said(line, false, move |asked| match asked.path.as_str() {
            "/v1/nodes" => answered(&listing()),
            path if path.starts_with("/v1/processes") => list(&all),
            _ => answered(&listing().nodes[1]),
        })
    };
    let all = vec![samples::running(), samples::queued(), samples::failed()];
    let refused = forget("node forget b/c", all.clone());
    let Err(CliError::Choice { what, candidates, .. }) = &refused.outcome else {
        panic!("{:?}", refused.outcome)
    };
    assert!(
        what.starts_with(
            "1 process of node b/c, which may still be running there, would be recorded as inter"
        ),
        "{what}"
    );
    assert_eq!(candidates.len(), 1, "{candidates:?}");
    assert!(refused.asked[1].contains("node=b%2Fc"), "{:?}", refused.asked);
    assert!(!refused.asked.iter().any(|asked| asked.starts_with("DELETE")), "{:?}", refused.asked);
    assert_eq!(forget("node forget b/c --yes", all).code(), 0);
    assert_eq!(forget("node forget b/c", vec![samples::queued()]).code(), 0);
}

#[test]
fn launch_says_where_it_may_run() {
    let body = |line: &str| said(line, false, |_| launched(&samples::queued())).body(0);
    let named = body("run -b --node beta --clear-env -- true");
    assert_eq!(named["node"], "beta");
    assert_eq!(named.pointer("/command/environment/captured"), Some(&Value::Null));
    let labelled = body("run -b --node-label gpu --node-label os=linux -C /nowhere/here --clear-env -- true");
    assert_eq!(labelled["node_labels"], json!(["gpu", "os=linux"]));
    assert_eq!(labelled.pointer("/command/directory"), Some(&json!("/nowhere/here")));
    assert_eq!(body("run -b --any-node -C / --clear-env -- true")["any_node"], true);
    let here = body("run -b -- true");
    assert_eq!((&here["node"], &here["any_node"]), (&Value::Null, &json!(false)));
}

#[test]
fn shared_launch_needs_a_directory_and_an_environment_of_its_own() {
    for line in [
        "run -b --any-node -- true",
        "run -b --any-node -C / -- true",
        "run -b --any-node --clear-env -- true",
        "run -b --node-label gpu -C / -- true",
    ] {
        let came = said(line, false, |_| launched(&samples::queued()));
        assert_eq!((came.code(), came.asked.len()), (2, 0), "{line}");
    }
    assert!(read(["longhaul", "run", "--node", "a", "--any-node", "true"].map(Into::into)).is_err());
}

#[test]
fn status_of_one_node_asks_for_that_node() {
    let came = said("status --node b/c", false, |_| answered(&json!({"processes": []})));
    assert!(came.asked[0].contains("node=b%2Fc"), "{:?}", came.asked);
    assert!(came.err.contains("no process matches"), "{}", came.err);
}

fn listing() -> NodeListing {
    let node = |id: &str, presence: &str| NodeView {
        id: id.to_owned(),
        presence: presence.to_owned(),
        ..NodeView::default()
    };
    NodeListing {
        nodes: vec![node("alpha", "here"), node("b/c", "left")],
        at: "2026-11-21T01:50:00.000Z".to_owned(),
    }
}
