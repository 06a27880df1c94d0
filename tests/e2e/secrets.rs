//! A secret in an environment must be stored only in the promised places.

use crate::socket::configure;
use longhaul_tests::{GATED, Home, is_alive, kill, program, until};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The secret that the test searches for everywhere.
const MARKER: &str = "m4rk3r-5ecret-0f0e1d";
/// Output that proves that the command received the secret.
const SAID: &str = "said-by-the-command-itself";

#[test]
fn a_secret_of_the_environment_is_only_in_the_environment_store_and_in_output() {
    let home = Home::new();
    let receiver = Receiver::open(&home);
    // Start the manager with a client that has no secret, because a manager inherits the environment of the client that
    // starts it.
    let _ = home.ok(&["run", "--", "true"]);
    let launch = |line: &str| {
        let mut command = home.command(&["run", "-b", "--", "sh", "-c", line]);
        let output = command.env("API_TOKEN", MARKER).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let reported = format!("{output:?}");
        assert!(!reported.contains(MARKER), "{reported}");
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
            assert!(!holds(&shown), "every process of this user can read the secret in {file} of {pid}");
        }
    }
    kill("-KILL", manager);
    until("the manager has exited", || (!is_alive(manager)).then_some(()));
    home.open_gate();
    until("the command has exited", || (!is_alive(pid)).then_some(()));
    assert_eq!(home.run(&["wait", &watched]).code, 3, "the command got its secret");
    assert_eq!(home.ok(&["logs", &watched]), SAID);

    let bundle = home.work().join("bundle.txt");
    let said = home.command(&["doctor", "--bundle"]).arg(&bundle).env("API_TOKEN", MARKER).output().unwrap();
    assert!(!holds(&said.stdout) && !holds(&said.stderr), "{said:?}");
    assert!(
        fs::read_to_string(&bundle).unwrap().contains(&watched),
        "the bundle contains the process: {said:?}"
    );
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
    until("both endings were sent", || {
        let letters = receiver.letters();
        let has = |id: &str| letters.iter().any(|letter| String::from_utf8_lossy(letter).contains(id));
        (has(&crashed) && has(&watched)).then_some(())
    });
    assert!(!receiver.letters().iter().any(|letter| holds(letter)), "the secret was sent to the receiver");
    home.end_manager("-TERM");
    let copy = home.work().join("copy");
    let stores = [format!("sqlite:{}/longhaul.db", home.state().display()), format!("fs:{}", copy.display())];
    let _ = home.ok(&["store", "copy", &stores[0], &stores[1]]);
    assert!(!files_with(&copy, watched.as_bytes()).is_empty(), "the copy contains the process");

    let places = files_with(home.state().parent().unwrap(), MARKER.as_bytes());
    let environments = home.state().join("environments");
    let (kept, strange): (Vec<_>, Vec<_>) =
        places.into_iter().partition(|path| path.starts_with(&environments));
    assert!(!kept.is_empty(), "the search does not even find the file of the environment");
    // Ignore core dumps. If the kernel writes one, it belongs to the command and is in the working directory of the
    // command.
    let strange: Vec<_> = strange.into_iter().filter(|path| !is_core(path)).collect();
    assert_eq!(strange, Vec::<PathBuf>::new());
}

/// Returns the complete response of the manager.
fn answer(home: &Home, path: &str) -> Vec<u8> {
    let mut stream = UnixStream::connect(home.state().join("longhaul.sock")).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: longhaul\r\nconnection: close\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Returns the secret in a form that a shell decodes but that a search for the secret does not find.
fn half_hidden() -> String {
    let (head, tail) = MARKER.split_at(6);
    format!("'{head}''{tail}'")
}

fn holds(bytes: &[u8]) -> bool {
    has(bytes, MARKER.as_bytes())
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn is_core(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("core"))
}

/// Returns every file below a directory that contains the bytes `part`.
fn files_with(directory: &Path, part: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            found.extend(files_with(&path, part));
        } else if kind.is_file() && has(&fs::read(&path).unwrap(), part) {
            found.push(path);
        }
    }
    found
}

/// A server that receives the webhook requests of a manager.
struct Receiver(Arc<Mutex<Vec<Vec<u8>>>>);

impl Receiver {
    /// Starts a receiver, and configures a webhook to it for all events of the managers of this state directory.
    fn open(home: &Home) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        configure(
            home,
            &format!(
                "webhooks.allow = [\"{url}\"]\n[webhook.ci]\nurl = \"{url}/\"\nsecret = \"of the receiver\"\n"
            ),
        );
        let letters = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&letters);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                if let Some(letter) = letter(&stream) {
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(letter);
                    let _ = stream.write_all(b"HTTP/1.1 204 Good\r\nconnection: close\r\n\r\n");
                }
            }
        });
        Self(letters)
    }

    fn letters(&self) -> Vec<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads all bytes of a webhook request. Returns `None` if the connection closed before the end of the request.
fn letter(stream: &TcpStream) -> Option<Vec<u8>> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some([head.into_bytes(), body].concat())
}
