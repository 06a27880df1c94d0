use crate::bench::{Bench, until};
use rustix::process::Signal;
use std::fs::File;
use std::process::Stdio;

#[test]
fn work_outlives_a_killed_manager_and_its_end_is_known() {
    let bench = Bench::new();
    let id = bench.launch("echo before; sleep 1; echo after; exit 7");
    until("it runs", || bench.show(&id)["status"] == "running");
    bench.end_manager(Signal::KILL);
    assert_eq!(bench.run(&["wait", &id]).code, 7);
    assert_eq!(bench.run(&["logs", &id]).out, "before\nafter\n");
    assert_eq!(bench.show(&id)["attempt"], 1);
}

#[test]
fn manager_that_is_told_to_end_leaves_its_work_running() {
    let bench = Bench::new();
    let id = bench.launch("exec sleep 30");
    until("it runs", || bench.show(&id)["status"] == "running");
    let pid = bench.show(&id)["pid"].clone();
    bench.end_manager(Signal::TERM);
    assert!(!bench.state().join("longhaul.sock").exists());
    let after = bench.show(&id);
    assert_eq!((&after["status"], &after["pid"]), (&"running".into(), &pid));
}

#[test]
fn manager_stops_everything_first_if_that_is_wanted() {
    let bench = Bench::new();
    let mut server = bench.command(&["serve", "--stop-processes"]).spawn().unwrap();
    until("it answers", || bench.run(&["--no-autostart", "status"]).code == 0);
    let id = bench.launch("exec sleep 30");
    until("it runs", || bench.show(&id)["status"] == "running");
    rustix::process::kill_process(bench.manager().unwrap(), Signal::TERM).unwrap();
    assert!(server.wait().unwrap().success());
    let ended = bench.show(&id);
    assert_eq!((&ended["status"], &ended["exit"]["stopped_by"]), (&"cancelled".into(), &"shutdown".into()));
}

#[test]
fn manager_whose_log_cannot_be_written_works_on() {
    for sink in ["full device", "closed pipe"] {
        let bench = Bench::new();
        let mut serve = bench.command(&["-vv", "serve"]);
        match sink {
            "full device" => serve.stderr(File::options().write(true).open("/dev/full").unwrap()),
            _ => serve.stderr(Stdio::piped()),
        };
        let mut server = serve.spawn().unwrap();
        drop(server.stderr.take());
        until("it answers", || bench.run(&["--no-autostart", "status"]).code == 0);
        let id = bench.launch("exit 3");
        assert_eq!(bench.run(&["--no-autostart", "wait", &id]).code, 3, "{sink}");
        assert_eq!(bench.manager().unwrap().as_raw_nonzero().get().unsigned_abs(), server.id(), "{sink}");
        bench.end_manager(Signal::TERM);
        assert!(server.wait().unwrap().success(), "{sink}");
    }
}

#[test]
fn project_has_work_of_its_own_after_init() {
    let bench = Bench::new();
    let project = bench.top().join("project");
    let deep = project.join("src");
    std::fs::create_dir_all(&deep).unwrap();
    let inside = |words: &[&str]| {
        let output =
            bench.command(words).env_remove("LONGHAUL_STATE_DIR").current_dir(&deep).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let made = bench.command(&["init"]).current_dir(&project).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let told = inside(&["run", "--", "sh", "-c", "echo $LONGHAUL_SOCKET"]);
    let own = Bench::new().with_state(project.join(".longhaul"));
    assert_eq!(told.trim(), own.state().join("longhaul.sock").to_str().unwrap());
    assert!(own.is_serving() && !bench.is_serving());
}
