//! The journal: a file in which the commands of a run record their start and their end.

use std::collections::BTreeMap;
use std::path::Path;

/// A script for sh. Each journal line is written with a single append.
const SCRIPT: &str = r#"
printf '%s %s start %s %s\n' "$LONGHAUL_ID" "$LONGHAUL_ATTEMPT" $$ "$PPID" >> "$1"
echo begun
sleep "$2"
echo done >&2
printf '%s %s end %s %s\n' "$LONGHAUL_ID" "$LONGHAUL_ATTEMPT" $$ "$PPID" >> "$1"
exit "$3"
"#;

/// Returns the arguments of `sh` for a command that runs for `life` milliseconds and exits with `code`.
pub(crate) fn arguments(journal: &Path, life: u64, code: i32) -> Vec<String> {
    let seconds = format!("{}.{:03}", life / 1_000, life % 1_000);
    ["-c", SCRIPT, "worker", &journal.to_string_lossy(), &seconds, &code.to_string()]
        .map(str::to_owned)
        .into()
}

/// The journal lines of one process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    /// The starts of the process, each with the pids of the command and of its shim.
    pub(crate) begins: Vec<Begin>,
    pub(crate) has_ended: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Begin {
    pub(crate) pid: u32,
    pub(crate) supervisor: u32,
}

/// Reads the journal. Returns its lines grouped by process id.
pub(crate) fn read(path: &Path) -> BTreeMap<String, Trace> {
    let mut traces: BTreeMap<String, Trace> = BTreeMap::new();
    for line in String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [id, _, word, pid, supervisor] = words.as_slice() else { continue };
        let trace = traces.entry((*id).to_owned()).or_default();
        match (*word, pid.parse(), supervisor.parse()) {
            ("start", Ok(pid), Ok(supervisor)) => trace.begins.push(Begin { pid, supervisor }),
            ("end", ..) => trace.has_ended = true,
            _ => {}
        }
    }
    traces
}
