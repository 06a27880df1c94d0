//! A test program that damages the files of its own attempt.

#![expect(clippy::print_stdout, reason = "the program prints output that it then destroys")]

use crate::census::{linger, ready};
use crate::system::parent;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A forged exit record with a valid checksum.
const FORGED: &str = "longhaul-exit 1\nkind=exited\ncode=0\nended_at=1\nwall=1\nsettled=1\n";

/// Test program that damages its own attempt directory. The word selects the kind of damage.
pub(crate) fn vandal(words: &[String]) -> i32 {
    let directory = attempt_directory();
    println!("before");
    std::thread::sleep(std::time::Duration::from_millis(50));
    match words.concat().as_str() {
        "truncates" => {
            for name in ["output.log", "output.idx", "identity"] {
                let _there_may_be_none =
                    OpenOptions::new().write(true).truncate(true).open(directory.join(name));
            }
        }
        "forges" => forge(&directory),
        "links" => {
            for name in ["output.log", "exit", "identity", "ctl"] {
                let _there_may_be_none = fs::remove_file(directory.join(name));
                symlink("/dev/zero", directory.join(name)).unwrap();
            }
        }
        "blocks" => {
            // `exit.tmp` is the file that reserves disk space for the exit record.
            let _there_may_be_none = fs::remove_file(directory.join("exit.tmp"));
            for name in ["exit", "exit.tmp"] {
                fs::create_dir_all(directory.join(name).join("full")).unwrap();
            }
        }
        "removes" => fs::remove_dir_all(&directory).unwrap(),
        other => unreachable!("{other}"),
    }
    println!("after");
    ready();
    linger()
}

fn forge(directory: &Path) {
    let text = format!("{FORGED}end={:08x}\n", crc32(FORGED.as_bytes()));
    let mut file = fs::File::create(directory.join("exit")).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Returns the attempt directory of this process. It is found through the shim, which holds the directory open.
fn attempt_directory() -> PathBuf {
    let held = fs::read_dir(format!("/proc/{}/fd", parent())).unwrap();
    let mut places = held.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    places
        .find(|place| place.is_dir() && place.components().any(|part| part.as_os_str() == "attempts"))
        .unwrap()
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| {
        (0..8).fold(
            sum ^ u32::from(*byte),
            |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 },
        )
    };
    !bytes.iter().fold(u32::MAX, step)
}
