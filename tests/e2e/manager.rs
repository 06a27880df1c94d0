//! Each state directory has one manager, which starts when it is needed.

use longhaul_tests::{Home, until};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

#[test]
fn the_first_command_starts_the_manager_and_twenty_at_once_start_one() {
    let home = Home::new();
    let clients: Vec<_> = (0..20)
        .map(|_| {
            home.command(&["run", "-b", "--", "true"])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for client in clients {
        let output = client.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let log = std::fs::read_to_string(home.state().join("manager.log")).unwrap_or_default();
    assert!(home.manager().is_some(), "{log}");
    let all = home.ok(&["status", "-a", "--json"]);
    let all: serde_json::Value = serde_json::from_str(&all).unwrap();
    assert_eq!(all["processes"].as_array().unwrap().len(), 20);
}

#[test]
fn a_second_manager_is_refused_and_names_the_holder() {
    let home = Home::new();
    let _ = home.launch(&["true"]);
    let holder = home.manager().unwrap();
    let second = home.run(&["serve"]);
    assert_eq!(second.code, 6, "{second:?}");
    assert!(second.err.contains(&holder.to_string()), "{second:?}");
    assert_eq!(home.manager(), Some(holder));
}

#[test]
fn the_socket_is_private() {
    let home = Home::new();
    let _ = home.launch(&["true"]);
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(home.state()), 0o700);
    assert_eq!(mode(home.state().join("longhaul.sock")), 0o600);
}

#[test]
fn a_state_directory_with_a_very_long_path_works() {
    let home = Home::new();
    let long = home.work().join("d".repeat(120)).join("e".repeat(120));
    let run = |args: &[&str]| home.command(args).env("LONGHAUL_STATE_DIR", &long).output().unwrap();
    let output = run(&["run", "--", "echo", "hello"]);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "hello\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lock = std::fs::read_to_string(long.join("manager.lock")).unwrap();
    let pid: u32 = lock.lines().find_map(|line| line.strip_prefix("pid=")).unwrap().parse().unwrap();
    longhaul_tests::kill("-TERM", pid);
    until("the manager has exited", || (!longhaul_tests::is_alive(pid)).then_some(()));
}

#[test]
fn init_gives_a_project_its_own_state() {
    let home = Home::new();
    let project = home.work().join("project");
    std::fs::create_dir_all(project.join("below")).unwrap();
    let run = |args: &[&str], dir: &std::path::Path| {
        let mut command = home.command(args);
        command.env_remove("LONGHAUL_STATE_DIR").current_dir(dir).output().unwrap()
    };
    assert!(run(&["init"], &project).status.success());
    let output = run(&["run", "--", "echo", "here"], &project.join("below"));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "here\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lock = std::fs::read_to_string(project.join(".longhaul/manager.lock")).unwrap();
    let pid: u32 = lock.lines().find_map(|line| line.strip_prefix("pid=")).unwrap().parse().unwrap();
    longhaul_tests::kill("-TERM", pid);
    until("the manager has exited", || (!longhaul_tests::is_alive(pid)).then_some(()));
}

#[test]
fn version_answers_with_and_without_a_manager() {
    let home = Home::new();
    assert_eq!(home.run(&["version"]).code, 0);
    assert!(home.manager().is_none(), "asking for the version starts nothing");
    let _ = home.launch(&["true"]);
    assert!(home.ok(&["version"]).contains(env!("CARGO_PKG_VERSION")));
}
