//! Test programs with tight resource limits.

use crate::census::{await_word, beside, linger, ready};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::io::Write;

const PIECE: usize = 1 << 20;

/// Test program that lowers all its resource limits as far as possible, and continues to run.
pub(crate) fn lowers_limits(_: &[String]) -> i32 {
    ready();
    for resource in [Resource::Nofile, Resource::Fsize, Resource::Nproc, Resource::Memlock, Resource::Core] {
        setrlimit(resource, none()).unwrap();
    }
    let mut out = std::io::stdout().lock();
    out.write_all(b"still here\n").unwrap();
    out.flush().unwrap();
    linger()
}

/// Test program that exceeds its limit on the file size.
pub(crate) fn over_file_size(_: &[String]) -> i32 {
    let mut file = std::fs::File::create(beside("too-large")).unwrap();
    setrlimit(Resource::Fsize, none()).unwrap();
    let _the_signal_comes_first = file.write_all(b"x");
    1
}

/// Test program that allocates memory until none is left.
pub(crate) fn eats_memory(_: &[String]) -> i32 {
    ready();
    await_word("go");
    let mut eaten = Vec::new();
    for _ in 0..1_024 {
        eaten.push(vec![1_u8; PIECE]);
    }
    i32::from(eaten.len() != 1_024)
}

fn none() -> Rlimit {
    Rlimit { current: Some(0), maximum: Some(0) }
}
