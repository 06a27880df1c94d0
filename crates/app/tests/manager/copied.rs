//! Tests of copied state directories. In a copy, nothing runs until the copy is adopted.

use crate::bench::{Bench, Said, until};
use rustix::process::Signal;
use std::fs;
use std::process::Command;

/// Copies the state directory of a bench, including permissions and timestamps.
fn copy(bench: &Bench, to: &str) {
    let copied = Command::new("cp").arg("-a").arg(bench.state()).arg(bench.top().join(to)).status().unwrap();
    assert!(copied.success());
}

fn at(bench: &Bench, below: &str, words: &[&str]) -> Said {
    let state = bench.top().join(below);
    Said::of(bench.command(words).env("LONGHAUL_STATE_DIR", state).output().unwrap())
}

#[test]
fn copy_of_a_state_directory_runs_nothing_until_it_is_adopted() {
    for store in ["sqlite:", "fs:"] {
        let bench = Bench::new().with_config(&format!("store = \"{store}\"\n"));
        let id = bench.run(&["run", "-b", "--delay", "1s", "--", "sh", "-c", "echo one >> ran"]).out;
        let id = id.trim();
        let going = bench.launch("until [ -e go ]; do sleep 0.02; done; exit 5");
        until("it runs", || bench.show(&going)["status"] == "running");
        bench.end_manager(Signal::TERM);
        copy(&bench, "copy");
        for words in [&["status"][..], &["run", "-b", "--", "true"]] {
            let said = at(&bench, "copy", words);
            assert_ne!(said.code, 0, "{store} {said:?}");
            let original = bench.state().display().to_string();
            for part in ["state_dir_copied", &original, "longhaul store adopt"] {
                assert!(said.err.contains(part), "{store} {part} in {}", said.err);
            }
        }
        let doctor = at(&bench, "copy", &["doctor"]);
        assert!(doctor.code == 1 && doctor.out.contains("problem  state_dir"), "{store} {doctor:?}");

        // The copy is refused, because its manager could stop attempts that are running in the original.
        let early = at(&bench, "copy", &["store", "adopt", "--yes"]);
        assert!(early.code == 6 && early.err.contains("the original"), "{store} {early:?}");
        fs::write(bench.top().join("go"), "").unwrap();
        assert_eq!(bench.run(&["wait", id]).code, 0, "{store}");
        assert_eq!(bench.run(&["wait", &going]).code, 5, "{store}");
        assert_eq!(
            fs::read_to_string(bench.top().join("ran")).unwrap(),
            "one\n",
            "{store}: the command ran once"
        );
        let served = at(&bench, "copy", &["store", "adopt", "--yes"]);
        assert!(served.code == 6 && served.err.contains("the original"), "{store} {served:?}");

        bench.end_manager(Signal::TERM);
        until("the shims of ended processes are gone, and the delayed process is confirmed", || {
            let asked = at(&bench, "copy", &["store", "adopt"]);
            asked.code == 2 && asked.err.contains("1 waiting process would start here")
        });
        let adopted = at(&bench, "copy", &["store", "adopt", "--yes"]);
        assert!(
            adopted.code == 0 && adopted.out.contains("1 waiting process of the copied state directory"),
            "{store} {adopted:?}"
        );
        assert_eq!(bench.run(&["status"]).code, 0, "{store}: the original is unchanged");
        bench.end_manager(Signal::TERM);
        let ids = ["state", "copy"]
            .map(|name| fs::read_to_string(bench.top().join(name).join("state_id")).unwrap());
        assert_ne!(ids[0], ids[1], "{store}");
        let bench = bench.at("copy");
        let fresh = bench.launch("exit 3");
        assert_eq!(bench.run(&["wait", &fresh]).code, 3, "{store}");
        bench.end_manager(Signal::TERM);
        assert_eq!(bench.run(&["status"]).code, 0, "{store}: the adoption is permanent");
    }
}

#[test]
fn copy_is_not_adopted_while_work_of_the_removed_original_runs() {
    let bench = Bench::new();
    let id = bench.launch("until [ -e go ]; do sleep 0.02; done; exit 5");
    until("the process runs", || bench.show(&id)["status"] == "running");
    let pid = bench.show(&id)["pid"].to_string();
    bench.end_manager(Signal::TERM);
    copy(&bench, "copy");
    fs::remove_dir_all(bench.state()).unwrap();
    let early = at(&bench, "copy", &["store", "adopt", "--yes"]);
    assert!(early.code == 6 && early.err.contains(&format!("pids of the programs: {pid})")), "{early:?}");
    fs::write(bench.top().join("go"), "").unwrap();
    until("the program has ended", || at(&bench, "copy", &["store", "adopt", "--yes"]).code == 0);
    let bench = bench.at("copy");
    assert_eq!(bench.show(&id)["status"], "interrupted");
}

#[test]
fn moved_or_restored_state_directory_does_not_count_as_a_copy() {
    for store in ["sqlite:", "fs:"] {
        let bench = Bench::new().with_config(&format!("store = \"{store}\"\n"));
        let id = bench.launch("exit 3");
        assert_eq!(bench.run(&["wait", &id]).code, 3);
        bench.end_manager(Signal::TERM);
        copy(&bench, "backup");
        fs::remove_dir_all(bench.state()).unwrap();
        let back = Command::new("cp").arg("-a").arg(bench.top().join("backup")).arg(bench.state()).status();
        assert!(back.unwrap().success());
        assert_eq!(bench.show(&id)["exit"]["code"], 3, "{store}: a backup at its path");
        bench.end_manager(Signal::TERM);
        for name in ["moved", "moved again"] {
            fs::rename(bench.state(), bench.top().join(name)).unwrap();
            let said = at(&bench, name, &["status", "-a"]);
            assert_eq!(said.code, 0, "{store} {said:?}");
            let moved = Bench::new().with_state(bench.top().join(name));
            moved.end_manager(Signal::TERM);
            fs::rename(bench.top().join(name), bench.state()).unwrap();
        }
        assert_eq!(bench.show(&id)["exit"]["code"], 3, "{store}");
    }
}
