use crate::bench::{Bench, until};
use rustix::process::Signal;

#[test]
fn work_in_files_outlives_a_killed_manager() {
    let bench = with_files(Bench::new());
    let done = bench.launch("exit 3");
    assert_eq!(bench.run(&["wait", &done]).code, 3);
    let id = bench.launch("sleep 1; exit 7");
    until("it runs", || bench.show(&id)["status"] == "running");
    bench.end_manager(Signal::KILL);
    assert_eq!(bench.run(&["wait", &id]).code, 7);
    assert_eq!(bench.show(&done)["status"], "failed");
    assert!(bench.state().join("store/FORMAT").exists() && !bench.state().join("longhaul.db").exists());
    let text = std::fs::read_to_string(bench.state().join("store/commits/000000000001.jsonl")).unwrap();
    assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{text}");
}

#[test]
fn damaged_files_are_left_untouched_and_named() {
    let bench = with_files(Bench::new());
    let id = bench.launch("true");
    assert_eq!(bench.run(&["wait", &id]).code, 0);
    bench.end_manager(Signal::TERM);
    let file = bench.state().join("store/commits/000000000002.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    let damaged = text.replacen("\"end\"", "\"and\"", 1);
    std::fs::write(&file, &damaged).unwrap();
    let said = bench.run(&["run", "-b", "--", "true"]);
    assert_eq!(said.code, 6, "{said:?}");
    assert!(said.err.contains("000000000002.jsonl") && said.err.contains("help:"), "{}", said.err);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), damaged);
}

#[test]
fn store_is_copied_there_and_back_with_everything() {
    let bench = Bench::new();
    let failed = bench.launch("exit 4");
    assert_eq!(bench.run(&["wait", &failed]).code, 4);
    let alive = bench.launch("exec sleep 30");
    until("it runs", || bench.show(&alive)["status"] == "running");
    let before = (bench.show(&failed), bench.show(&alive)["pid"].clone());

    let refused = bench.run(&["store", "copy", "sqlite:", "fs:"]);
    assert_eq!(refused.code, 6, "{refused:?}");
    let pid = bench.manager().unwrap().as_raw_nonzero();
    assert!(refused.err.contains(&format!("process {pid}")), "{}", refused.err);

    bench.end_manager(Signal::TERM);
    let copied = bench.run(&["--json", "store", "copy", "sqlite:", "fs:"]);
    assert_eq!(copied.code, 0, "{copied:?}");
    let reported: serde_json::Value = serde_json::from_str(&copied.out).unwrap();
    assert_eq!((&reported["processes"], &reported["compared"]), (&2.into(), &true.into()));
    assert!(reported["events"].as_u64().unwrap() >= 5, "{reported}");

    let bench = with_files(bench);
    assert_eq!((bench.show(&failed), bench.show(&alive)["pid"].clone()), before);
    assert_eq!(bench.show(&alive)["status"], "running");
    let more = bench.launch("exit 5");
    assert_eq!(bench.run(&["wait", &more]).code, 5);
    bench.end_manager(Signal::TERM);

    let again = bench.run(&["store", "copy", "fs:", "sqlite:"]);
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.err.contains("already exists"), "{}", again.err);
    std::fs::remove_file(bench.state().join("longhaul.db")).unwrap();
    let back = bench.run(&["store", "copy", "fs:", "sqlite:"]);
    assert_eq!(back.code, 0, "{back:?}");
    assert!(back.out.contains("3 processes"), "{}", back.out);
    std::fs::remove_file(bench.top().join(".config/longhaul/config.toml")).unwrap();
    assert_eq!(bench.show(&more)["exit"]["code"], 5);
    assert_eq!(bench.show(&alive)["status"], "running");
}

#[test]
fn copy_that_makes_no_sense_is_refused_and_leaves_nothing() {
    let bench = Bench::new();
    bench.launch("true");
    bench.end_manager(Signal::TERM);
    for (from, to, code) in [
        ("sqlite:", "sqlite:", 1),
        ("memory", "fs:x", 2),
        ("sqlite:", "memory", 2),
        ("sqlite:", "redis://:hunter2@127.0.0.1:1", 6),
        ("sqlite:", "mysql://:hunter2@host", 2),
        ("fs:missing", "sqlite:x", 1),
        ("sqlite:missing.db", "fs:x", 1),
    ] {
        let said = bench.run(&["store", "copy", from, to]);
        assert_eq!(said.code, code, "{from} {to}: {said:?}");
        assert!(!said.err.contains("hunter2"), "{}", said.err);
    }
    std::fs::write(bench.state().join("x.db"), "text").unwrap();
    let said = bench.run(&["store", "copy", "sqlite:x.db", "fs:x"]);
    assert_eq!(said.code, 6, "{said:?}");
    for name in ["x", "x.copying", "missing", "missing.db", "store"] {
        assert!(!bench.state().join(name).exists(), "{name}");
    }
}

#[test]
fn leftover_of_an_interrupted_copy_is_removed_and_reported() {
    let bench = Bench::new();
    bench.launch("true");
    bench.end_manager(Signal::TERM);
    let place = |name: &str| bench.state().join(name);
    std::fs::copy(place("longhaul.db"), place("x.db.copying")).unwrap();
    std::fs::write(place("x.db.copying-wal"), "").unwrap();
    assert_eq!(bench.run(&["store", "copy", "sqlite:", "fs:first"]).code, 0);
    std::fs::rename(place("first"), place("x.copying")).unwrap();
    for to in ["sqlite:x.db", "fs:x"] {
        let said = bench.run(&["store", "copy", "sqlite:", to]);
        assert_eq!(said.code, 0, "{to}: {said:?}");
        assert!(said.out.contains(".copying, which an interrupted copy had left"), "{to}: {}", said.out);
    }
    for name in ["x.db.copying", "x.db.copying-wal", "x.copying"] {
        assert!(!place(name).exists(), "{name}");
    }
    std::fs::write(place("y.db.copying"), "precious").unwrap();
    let said = bench.run(&["store", "copy", "sqlite:", "sqlite:y.db"]);
    assert!(said.code == 1 && said.err.contains("y.db.copying already exists"), "{said:?}");
    assert_eq!(std::fs::read_to_string(place("y.db.copying")).unwrap(), "precious");
}

fn with_files(bench: Bench) -> Bench {
    let config = bench.top().join(".config/longhaul");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("config.toml"), "store = \"fs:\"\n").unwrap();
    bench
}
