use crate::bench::{Bench, Said};
use std::process::Command;

/// Script that fills a separate tmpfs disk, kills the manager, and prints the exit codes of commands on the full disk.
/// The disk disappears when the last process in its mount namespace exits.
const SCRIPT: &str = r#"
set -e
mount -t tmpfs -o size=24m,mode=700 tmpfs "$DISK"
export LONGHAUL_STATE_DIR="$DISK/state"
id=$("$L" run -b -- sh -c 'echo hello; exec sleep 60')
"$L" wait --for running "$id" 2>/dev/null
old=$(sed -n s/^pid=//p "$LONGHAUL_STATE_DIR/manager.lock")
dd if=/dev/zero of="$DISK/fill" bs=1k 2>/dev/null || true
kill -9 "$old"
while kill -0 "$old" 2>/dev/null; do sleep 0.01; done
set +e
"$L" status --json; echo "status $?"
"$L" logs "$id"; echo "logs $?"
"$L" wait --timeout 10ms "$id"; echo "wait $?"
"$L" cancel "$id"; echo "cancel $?"
"$L" wait --timeout 10s "$id"; echo "ended $?"
kill "$(sed -n s/^pid=//p "$LONGHAUL_STATE_DIR/manager.lock")"
"#;

#[test]
#[ignore = "mounts a disk of its own"]
fn next_manager_starts_on_a_full_disk_and_serves_the_running_processes() {
    for store in ["sqlite:", "fs:"] {
        let bench = Bench::new().with_config(&format!("store = \"{store}\"\n"));
        let said = on_a_disk_of_its_own(&bench, SCRIPT);
        for line in ["\"running\"", "status 0", "hello", "logs 0", "wait 75", "cancel 0", "ended 143"] {
            assert!(said.out.contains(line), "{store} {line}: {}\n{}", said.out, said.err);
        }
    }
}

/// Like `SCRIPT`, but on a disk that is too small for the reserve, and with a log file that cannot grow.
const SMALL: &str = r#"
set -e
mount -t tmpfs -o size=6m,mode=700 tmpfs "$DISK"
export LONGHAUL_STATE_DIR="$DISK/state"
"$L" run -b -- sleep 60
old=$(sed -n s/^pid=//p "$LONGHAUL_STATE_DIR/manager.lock")
head -c $((4096 - $(wc -c < "$LONGHAUL_STATE_DIR/manager.log") % 4096)) /dev/zero | tr '\\0' x >> "$LONGHAUL_STATE_DIR/manager.log"
dd if=/dev/zero of="$DISK/fill" bs=1k 2>/dev/null || true
kill -9 "$old"
while kill -0 "$old" 2>/dev/null; do sleep 0.01; done
set +e
"$L" status; echo "status $?"
rm "$DISK/fill"
"$L" cancel --all --yes; echo "cancel $?"
kill "$(sed -n s/^pid=//p "$LONGHAUL_STATE_DIR/manager.lock")"
"#;

#[test]
#[ignore = "mounts a disk of its own"]
fn manager_without_any_disk_space_fails_and_names_the_full_disk() {
    for store in ["sqlite:", "fs:"] {
        let bench = Bench::new().with_config(&format!("store = \"{store}\"\n"));
        let said = on_a_disk_of_its_own(&bench, SMALL);
        for line in ["status 6", "cancel 0"] {
            assert!(said.out.contains(line), "{store} {line}: {}\n{}", said.out, said.err);
        }
        for part in ["is full", "store_full", "free some disk space"] {
            assert!(said.err.contains(part), "{store} {part}: {}", said.err);
        }
    }
}

/// Script that runs a command whose state directory is on a small disk. The command reports 20,000 failed tests with
/// long messages, and its output fills the disk.
const TESTS: &str = r#"
set -e
mount -t tmpfs -o size=12m,mode=700 tmpfs "$DISK"
export LONGHAUL_STATE_DIR="$DISK/state"
cd "$HOME"
message=$(head -c 500 /dev/zero | tr '\0' m)
{ echo '<testsuite name="s">'
  seq 20000 | sed "s|.*|<testcase classname='c' name='t&'><failure message='$message'>&</failure></testcase>|"
  echo '</testsuite>'; } > fails.xml
set +e
timeout -k 1 60 "$L" run -q --id-file id --report junit:rd.xml -- \
  sh -c 'cp fails.xml rd.xml; head -c 8000000 /dev/zero; exit 1' > /dev/null; echo "run $?"
for _ in $(seq 300); do "$L" inspect @last | grep -q '"tests": null' || break; sleep 0.1; done
"$L" inspect @last; echo "inspect $?"
find "$LONGHAUL_STATE_DIR" \( -name '*tests.jsonl' -o -name '*.part' \) -size +1 -printf 'left %f %s\n'
"$L" run -- true; echo "next $?"
kill "$(sed -n s/^pid=//p "$LONGHAUL_STATE_DIR/manager.lock")"
"#;

#[test]
#[ignore = "mounts a disk of its own"]
fn test_results_leave_the_last_disk_space_to_records() {
    for store in ["sqlite:", "fs:"] {
        let bench = Bench::new().with_config(&format!("store = \"{store}\"\n"));
        let said = on_a_disk_of_its_own(&bench, TESTS);
        for part in
            ["run 1", "\"failed\": 20000", "the disk of the state directory is full", "inspect 0", "next 0"]
        {
            assert!(said.out.contains(part), "{store} {part}: {}\n{}", said.out, said.err);
        }
        assert!(!said.out.contains("left "), "{store}: {}", said.out);
    }
}

fn on_a_disk_of_its_own(bench: &Bench, script: &str) -> Said {
    let disk = bench.top().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mut command = apart();
    command.args(["sh", "-c", script]).env("HOME", bench.top()).env("DISK", &disk);
    command.env_remove("LONGHAUL_STATE_DIR").env("L", env!("CARGO_BIN_EXE_longhaul"));
    Said::of(command.output().expect("unshare of util-linux gives the test a disk of its own"))
}

/// Returns a command that executes a program in its own mount namespace. Without root privileges, the command also
/// creates a user namespace.
fn apart() -> Command {
    let mut command = Command::new("unshare");
    command.arg("--mount");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg("--");
    command
}
