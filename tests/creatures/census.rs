//! Files through which a test program and its test exchange messages.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Environment variable that contains the path of the census file, in which each process of a test program registers
/// itself.
pub(crate) const CENSUS: &str = "ZOO_CENSUS";
const MAX_LIFE: Duration = Duration::from_secs(120);
const NAP: Duration = Duration::from_millis(50);

/// Registers this process in the census file, with its pid and start time, which together identify it.
pub(crate) fn enrol() {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let start = text.rsplit(')').next().and_then(|rest| rest.split_ascii_whitespace().nth(19)).unwrap();
    say(&format!("{} {start}\n", std::process::id()), "");
}

/// Reports to the test that the program has reached its final state and is waiting.
pub(crate) fn ready() {
    tell("ready", "");
}

/// Writes a value to a file, for the test to read.
pub(crate) fn tell(what: &str, word: &str) {
    say(&format!("{word}\n"), what);
}

/// Returns the path of a message file: the path of the census file, followed by a dot and the name `what`.
pub(crate) fn beside(what: &str) -> PathBuf {
    let mut path = std::env::var_os(CENSUS).unwrap();
    if !what.is_empty() {
        path.push(".");
        path.push(what);
    }
    path.into()
}

/// Waits until the time limit of test programs is reached. Returns the exit code that shows that the program was not
/// stopped before.
pub(crate) fn linger() -> i32 {
    let begin = Instant::now();
    while begin.elapsed() < MAX_LIFE {
        std::thread::sleep(NAP);
    }
    99
}

/// Repeats an action until the time limit of test programs is reached.
pub(crate) fn again_and_again(mut act: impl FnMut()) -> i32 {
    let begin = Instant::now();
    while begin.elapsed() < MAX_LIFE {
        act();
    }
    99
}

/// Waits until the test has created the message file with this name.
pub(crate) fn await_word(what: &str) {
    let begin = Instant::now();
    while !beside(what).exists() && begin.elapsed() < MAX_LIFE {
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn say(line: &str, what: &str) {
    // Write the line with a single append, so that lines of different processes do not mix.
    let mut file = OpenOptions::new().create(true).append(true).open(beside(what)).unwrap();
    file.write_all(line.as_bytes()).unwrap();
}
