//! What a creature tells its keeper.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The variable with the name of the file in which each process of a creature says that it was born.
pub(crate) const CENSUS: &str = "ZOO_CENSUS";
const LONGEST_LIFE: Duration = Duration::from_secs(120);
const NAP: Duration = Duration::from_millis(50);

/// Says that this process was born: its id and its start, which name it for ever.
pub(crate) fn enrol() {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let start = text.rsplit(')').next().and_then(|rest| rest.split_ascii_whitespace().nth(19)).unwrap();
    say(&format!("{} {start}\n", std::process::id()), "");
}

/// Says that it has done its worst and waits for what comes.
pub(crate) fn ready() {
    tell("ready", "");
}

/// Says something that its keeper asks for.
pub(crate) fn tell(what: &str, word: &str) {
    say(&format!("{word}\n"), what);
}

/// Where its keeper says something.
pub(crate) fn beside(what: &str) -> PathBuf {
    let mut path = std::env::var_os(CENSUS).unwrap();
    if !what.is_empty() {
        path.push(".");
        path.push(what);
    }
    path.into()
}

/// Lives as long as it is let; returns the code of a creature that was forgotten.
pub(crate) fn linger() -> i32 {
    let begin = Instant::now();
    while begin.elapsed() < LONGEST_LIFE {
        std::thread::sleep(NAP);
    }
    99
}

/// Does something again and again for as long as a creature may live.
pub(crate) fn again_and_again(mut act: impl FnMut()) -> i32 {
    let begin = Instant::now();
    while begin.elapsed() < LONGEST_LIFE {
        act();
    }
    99
}

/// Waits until its keeper has written a file.
pub(crate) fn await_word(what: &str) {
    let begin = Instant::now();
    while !beside(what).exists() && begin.elapsed() < LONGEST_LIFE {
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn say(line: &str, what: &str) {
    // One write that appends, so that no two lines of different processes mix.
    let mut file = OpenOptions::new().create(true).append(true).open(beside(what)).unwrap();
    file.write_all(line.as_bytes()).unwrap();
}
