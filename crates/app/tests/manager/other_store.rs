//! Tests that a state directory cannot be served with another store while it has running attempts with records in its
//! previous store.

use crate::bench::{Bench, Said, until};
use crate::shared_store::Server;
use rustix::process::Signal;

#[test]
fn live_processes_of_a_store_survive_a_change_to_another_store() {
    let bench = Bench::new();
    let Some(server) = Server::start(&bench) else { return };
    let others = ["fs:".to_owned(), server.url("new")];
    for other in others {
        let bench = Bench::new();
        let id = bench.launch("until [ -e go ]; do sleep 0.05; done; exit 5");
        until("it runs", || bench.show(&id)["status"] == "running");
        bench.end_manager(Signal::KILL);
        let bench = bench.with_config(&format!("store = \"{other}\"\n"));
        let said = bench.run(&["status"]);
        assert_eq!(said.code, 6, "{other} {said:?}");
        for part in ["store_mismatch", &id, "longhaul.db", "store copy"] {
            assert!(said.err.contains(part), "{other}: {part} in {}", said.err);
        }
        assert!(!bench.state().join("store").exists(), "nothing blocks a copy");

        let bench = bench.with_config("");
        assert_eq!(bench.show(&id)["status"], "running", "{other}");
        std::fs::write(bench.top().join("go"), "").unwrap();
        assert_eq!(bench.run(&["wait", &id]).code, 5, "{other}");
        let attempts = std::fs::read_dir(bench.state().join("attempts").join(&id)).unwrap();
        assert_eq!(attempts.count(), 1, "{other}: there was one attempt");
        bench.end_manager(Signal::TERM);

        let bench = bench.with_config(&format!("store = \"{other}\"\n"));
        assert_eq!(bench.run(&["status"]).code, 0, "{other}: ended processes do not block the start");
        bench.end_manager(Signal::TERM);
    }
}

#[test]
fn live_processes_are_part_of_a_copy_of_their_store() {
    let bench = Bench::new();
    let id = bench.launch("until [ -e go ]; do sleep 0.05; done; exit 5");
    until("it runs", || bench.show(&id)["status"] == "running");
    bench.end_manager(Signal::TERM);
    let other = bench.with_config("store = \"fs:\"\n");
    assert_eq!(other.run(&["status"]).code, 6);
    assert_eq!(other.run(&["store", "copy", "sqlite:", "fs:"]).code, 0);
    assert_eq!(other.show(&id)["status"], "running");
    std::fs::write(other.top().join("go"), "").unwrap();
    assert_eq!(other.run(&["wait", &id]).code, 5);
}

#[test]
fn live_processes_of_an_abandoned_store_continue() {
    let bench = Bench::new();
    let Some(server) = Server::start(&bench) else { return };
    let id = bench.launch("until [ -e go ]; do sleep 0.05; done; echo whole > came; exit 5");
    until("it runs", || bench.show(&id)["status"] == "running");
    bench.end_manager(Signal::KILL);
    let bench = bench.with_config(&format!("store = \"{}\"\n", server.url("new")));
    let unasked = bench.run(&["store", "adopt"]);
    assert!(unasked.code == 2 && unasked.err.contains("no terminal to ask"), "{unasked:?}");
    assert_eq!(bench.run(&["status"]).code, 6, "nothing was done");
    let adopted = bench.run(&["store", "adopt", "--yes"]);
    assert!(adopted.code == 0 && adopted.out.contains("1 running process"), "{adopted:?}");
    let again = bench.run(&["store", "adopt"]);
    assert!(again.code == 0 && again.out.contains("already"), "{again:?}");
    assert_eq!(bench.run(&["status"]).code, 0);
    until("the change is noticed", || bench.log().contains(&id));
    std::fs::write(bench.top().join("go"), "").unwrap();
    until("the command continued", || bench.top().join("came").exists());
}

#[test]
fn live_processes_with_records_in_memory_are_reported_and_abandoned() {
    let bench = Bench::new().with_config("store = \"memory\"\n");
    let id = bench.launch("until [ -e go ]; do sleep 0.05; done; echo whole > came");
    until("it runs", || bench.show(&id)["status"] == "running");
    bench.end_manager(Signal::KILL);
    let bench = bench.with_config("store = \"fs:\"\n");
    let said = bench.run(&["status"]);
    assert_eq!(said.code, 6, "{said:?}");
    assert!(
        said.err.contains("in the memory of the previous manager") && !said.err.contains("store copy"),
        "{said:?}"
    );
    assert_eq!(bench.run(&["store", "adopt", "--yes"]).code, 0);
    assert_eq!(bench.run(&["status"]).code, 0);
    bench.end_manager(Signal::TERM);

    let bench = bench.with_config("store = \"memory\"\n");
    let said = bench.run(&["status"]);
    assert!(said.code == 6 && !said.err.contains("store copy"), "{said:?}");
    assert_eq!(bench.run(&["store", "adopt", "--yes"]).code, 0);
    assert_eq!(bench.run(&["status"]).code, 0);
    std::fs::write(bench.top().join("go"), "").unwrap();
    until("the command continued", || bench.top().join("came").exists());
}

#[test]
fn configured_store_other_than_the_store_of_the_manager_is_reported() {
    let bench = Bench::new();
    assert_eq!(bench.run(&["status"]).code, 0);
    let naming = |words: &[&str]| {
        let store = "redis://me:secret@127.0.0.1:1/0?namespace=x";
        Said::of(bench.command(words).env("LONGHAUL_STORE", store).output().unwrap())
    };
    let said = naming(&["status"]);
    assert_eq!(said.code, 0, "{said:?}");
    for part in
        ["warning: the manager uses the store sqlite:", "127.0.0.1:1", "help: end that manager with `kill "]
    {
        assert!(said.err.contains(part), "{part} in {}", said.err);
    }
    assert!(!said.err.contains("secret"), "{}", said.err);
    let warns = |said: Said| said.err.contains("warning");
    assert!(!warns(naming(&["status", "--quiet"])) && !warns(naming(&["status", "--json"])));
    assert!(!warns(bench.run(&["status"])), "no store is configured");
    let same = bench.with_config("store = \"sqlite:\"\n");
    assert!(!warns(same.run(&["status"])), "the store is the same");
}
