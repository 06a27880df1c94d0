//! Test programs that write too much output, or invalid output.

use crate::census::{again_and_again, ready};
use std::io::Write;

const PIECE: usize = 1 << 16;

/// Test program that writes output as fast as the pipe allows.
pub(crate) fn floods(_: &[String]) -> i32 {
    let line = "a line of output that has forty-two chars.\n".repeat(PIECE / 43);
    let mut out = std::io::stdout().lock();
    ready();
    again_and_again(|| out.write_all(line.as_bytes()).unwrap())
}

/// Test program that writes to both outputs as fast as possible.
pub(crate) fn floods_both(_: &[String]) -> i32 {
    let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr().lock());
    let piece = vec![b'\n'; PIECE];
    ready();
    again_and_again(|| {
        out.write_all(&piece).unwrap();
        err.write_all(&piece).unwrap();
    })
}

/// Test program that writes one line of the given number of mebibytes, without a line feed at its end.
pub(crate) fn long_line(words: &[String]) -> i32 {
    let mut out = std::io::stdout().lock();
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..words.concat().parse::<u32>().unwrap() {
        out.write_all(&piece).unwrap();
    }
    out.flush().unwrap();
    0
}

/// Test program that writes a thousand NUL bytes between two words.
pub(crate) fn nulls(_: &[String]) -> i32 {
    write_all(&[b"begin".as_slice(), &[0; 1_000], b"end"].concat())
}

/// Test program that writes all byte values in descending order, so that no two adjacent bytes form a valid character.
pub(crate) fn invalid_text(_: &[String]) -> i32 {
    write_all(&(0..=u8::MAX).rev().collect::<Vec<u8>>())
}

/// Test program that reports invalid progress values.
pub(crate) fn lies(_: &[String]) -> i32 {
    let claims = ["NaN", "-5", "1e999", "101", "99999999999999999999", "\u{1b}]0;x\u{7}"];
    let lines: String = claims
        .iter()
        .map(|claim| format!("::progress {claim}\nprogress: {claim}%\n[{claim}/{claim}] eta {claim}s\n"))
        .collect();
    write_all(lines.as_bytes())
}

fn write_all(bytes: &[u8]) -> i32 {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).unwrap();
    out.flush().unwrap();
    0
}
