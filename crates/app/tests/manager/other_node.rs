//! Tests that a state directory keeps its node name as long as processes of that node have not ended.

use crate::bench::{Bench, Said, until};
use crate::shared_store::Server;
use rustix::process::Signal;

#[test]
fn live_processes_of_a_node_are_not_abandoned_by_a_new_node_name() {
    let bench = Bench::new();
    let Some(server) = Server::start(&bench) else { return };
    for store in ["sqlite:".to_owned(), server.url("named")] {
        let named = |name: &str| format!("store = \"{store}\"\n{name}");
        let bench = Bench::new().with_config(&named("node.id = \"u\"\n"));
        let id = bench.launch("until [ -e go ]; do sleep 0.05; done; exit 5");
        until("it runs", || bench.show(&id)["status"] == "running");
        bench.end_manager(Signal::KILL);

        let bench = bench.with_config(&named("node.id = \"uu\"\n"));
        let said = bench.run(&["status"]);
        assert_eq!(said.code, 6, "{store} {said:?}");
        for part in
            ["node_id_mismatch", "from u to uu, because 1 process has not ended", &id, "node.id = \"u\""]
        {
            assert!(said.err.contains(part), "{store}: {part} in {}", said.err);
        }

        let bench = bench.with_config(&named(""));
        assert_eq!(
            bench.show(&id)["status"],
            "running",
            "{store}: without a name the node keeps its former one"
        );
        assert!(version(&bench).contains("node u,"), "{store}: {}", version(&bench));
        std::fs::write(bench.top().join("go"), "").unwrap();
        assert_eq!(bench.run(&["wait", &id]).code, 5, "{store}");
        bench.end_manager(Signal::TERM);

        let bench = bench.with_config(&named("node.id = \"uu\"\n"));
        assert_eq!(bench.run(&["status"]).code, 0, "{store}: ended processes do not block the start");
        assert!(version(&bench).contains("node uu,"), "{store}: {}", version(&bench));
        bench.end_manager(Signal::TERM);
    }
}

#[test]
fn waiting_work_of_a_node_is_not_stranded_by_another_name() {
    let bench = Bench::new().with_config("node.id = \"u\"\n");
    let said = bench.run(&["run", "-b", "--delay", "1h", "--", "true"]);
    assert_eq!(said.code, 0, "{said:?}");
    let id = said.out.trim().to_owned();
    bench.end_manager(Signal::TERM);
    let other =
        |words: &[&str]| Said::of(bench.command(words).env("LONGHAUL_NODE_ID", "uu").output().unwrap());
    let said = other(&["status"]);
    assert!(said.code == 6 && said.err.contains("node_id_mismatch") && said.err.contains(&id), "{said:?}");
    assert_eq!(bench.run(&["cancel", &id]).code, 0);
    bench.end_manager(Signal::TERM);
    assert_eq!(other(&["status"]).code, 0);
}

fn version(bench: &Bench) -> String {
    bench.run(&["version"]).out
}
