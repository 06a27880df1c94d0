//! A secret in an environment is where it was promised to be, and nowhere else.

use longhaul_tests::{GATED, Home, is_alive, kill, program, until};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// What is searched for in everything.
const MARKER: &str = "m4rk3r-5ecret-0f0e1d";
/// What the command says of it, so that it is known that it got there.
const SAID: &str = "said-by-the-command-itself";

#[test]
fn a_secret_of_the_environment_is_in_the_vault_and_the_output_of_its_command_and_nowhere_else() {
    let home = Home::new();
    // A manager that is started by a client has its environment: this one is not the secret's.
    let _ = home.ok(&["run", "--", "true"]);
    let launch = |line: &str| {
        let mut command = home.command(&["run", "-b", "--", "sh", "-c", line]);
        let output = command.env("API_TOKEN", MARKER).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let told = format!("{output:?}");
        assert!(!told.contains(MARKER), "{told}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let reporter = program("longhaul");
    let crashed = launch(&format!("ulimit -c unlimited; {} progress 40; kill -SEGV $$", reporter.display()));
    let watched = launch(&format!("{GATED}; test \"$API_TOKEN\" = {} && echo {SAID}; exit 3", half_hidden()));
    assert_ne!(home.run(&["wait", &crashed]).code, 0);
    let (pid, shim, manager) = (home.pid(&watched), home.shim(&watched), home.manager().unwrap());
    for pid in [shim, manager] {
        for file in ["cmdline", "environ"] {
            let shown = fs::read(format!("/proc/{pid}/{file}")).unwrap();
            assert!(!holds(&shown), "everybody of this user sees it in {file} of {pid}");
        }
    }
    kill("-KILL", manager);
    until("the manager is gone", || (!is_alive(manager)).then_some(()));
    home.open_gate();
    until("the command is over", || (!is_alive(pid)).then_some(()));
    assert_eq!(home.run(&["wait", &watched]).code, 3, "the command got its secret");
    assert_eq!(home.ok(&["logs", &watched]), SAID);

    let bundle = home.work().join("bundle.txt");
    let said = home.command(&["doctor", "--bundle"]).arg(&bundle).env("API_TOKEN", MARKER).output().unwrap();
    assert!(!holds(&said.stdout) && !holds(&said.stderr), "{said:?}");
    assert!(fs::read_to_string(&bundle).unwrap().contains(&watched), "the bundle tells of it: {said:?}");
    let answers =
        ["/v1/processes?all=true", "/v1/stats", "/v1/version", "/v1/queues", "/v1/nodes", "/metrics"];
    for path in answers.map(str::to_owned).into_iter().chain([format!("/v1/processes/{watched}")]) {
        let body = answer(&home, &path);
        assert!(body.starts_with(b"HTTP/1.1 200"), "{path}: {}", String::from_utf8_lossy(&body));
        assert!(!holds(&body), "{path}");
    }
    for words in [vec!["status", "-a"], vec!["inspect", &watched], vec!["explain", "launch_refused"]] {
        let answer = home.run(&words);
        assert!(!holds(answer.out.as_bytes()) && !holds(answer.err.as_bytes()), "{words:?}");
    }
    home.end_manager("-TERM");

    let places = files_with(home.state().parent().unwrap());
    let vault = home.state().join("vault");
    let (kept, strange): (Vec<_>, Vec<_>) = places.into_iter().partition(|path| path.starts_with(&vault));
    assert!(!kept.is_empty(), "the search finds nothing at all");
    // A core of the command is its own: where the machine writes one, it lies where the command worked.
    let strange: Vec<_> = strange.into_iter().filter(|path| !is_core(path)).collect();
    assert_eq!(strange, Vec::<PathBuf>::new());
}

/// All that the manager answers.
fn answer(home: &Home, path: &str) -> Vec<u8> {
    let mut stream = UnixStream::connect(home.state().join("longhaul.sock")).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: longhaul\r\nconnection: close\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// The marker in a form in which a shell reads it and a search does not.
fn half_hidden() -> String {
    let (head, tail) = MARKER.split_at(6);
    format!("'{head}''{tail}'")
}

fn holds(bytes: &[u8]) -> bool {
    bytes.windows(MARKER.len()).any(|window| window == MARKER.as_bytes())
}

fn is_core(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("core"))
}

/// Every file below a directory that holds the marker.
fn files_with(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            found.extend(files_with(&path));
        } else if kind.is_file() && holds(&fs::read(&path).unwrap()) {
            found.push(path);
        }
    }
    found
}
