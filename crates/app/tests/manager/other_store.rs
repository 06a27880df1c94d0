//! A state directory whose work lives in one store is not served with another one.

use crate::bench::Bench;
use crate::bench::until;
use crate::shared_store::Server;
use rustix::process::Signal;

#[test]
fn live_work_of_one_store_outlives_the_change_to_another_one() {
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
        for part in ["other_store", &id, "longhaul.db", "store copy"] {
            assert!(said.err.contains(part), "{other}: {part} in {}", said.err);
        }
        assert!(!bench.state().join("store").exists(), "nothing is in the way of a copy");

        let bench = bench.with_config("");
        assert_eq!(bench.show(&id)["status"], "running", "{other}");
        std::fs::write(bench.top().join("go"), "").unwrap();
        assert_eq!(bench.run(&["wait", &id]).code, 5, "{other}");
        let attempts = std::fs::read_dir(bench.state().join("attempts").join(&id)).unwrap();
        assert_eq!(attempts.count(), 1, "{other}: there was one attempt");
        bench.end_manager(Signal::TERM);

        let bench = bench.with_config(&format!("store = \"{other}\"\n"));
        assert_eq!(bench.run(&["status"]).code, 0, "{other}: what has ended is in nobody's way");
        bench.end_manager(Signal::TERM);
    }
}

#[test]
fn live_work_goes_along_with_a_copy_of_its_store() {
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
fn live_work_of_a_store_that_is_given_up_is_left_alone() {
    let bench = Bench::new();
    let Some(server) = Server::start(&bench) else { return };
    let id = bench.launch("until [ -e go ]; do sleep 0.05; done; echo whole > came; exit 5");
    until("it runs", || bench.show(&id)["status"] == "running");
    bench.end_manager(Signal::KILL);
    let bench = bench.with_config(&format!("store = \"{}\"\n", server.url("new")));
    let adopted = bench.run(&["store", "adopt"]);
    assert!(adopted.code == 0 && adopted.out.contains("1 running process"), "{adopted:?}");
    assert_eq!(bench.run(&["status"]).code, 0);
    until("it is noticed", || bench.log().contains(&id));
    std::fs::write(bench.top().join("go"), "").unwrap();
    until("it went on", || bench.top().join("came").exists());
}
