//! What the commands of a run do: they write down that they began and that they end.

use std::collections::BTreeMap;
use std::path::Path;

/// For sh. Each line is one write that appends.
const SCRIPT: &str = r#"
printf '%s %s start %s %s\n' "$LONGHAUL_ID" "$LONGHAUL_ATTEMPT" $$ "$PPID" >> "$1"
echo begun
sleep "$2"
echo done >&2
printf '%s %s end %s %s\n' "$LONGHAUL_ID" "$LONGHAUL_ATTEMPT" $$ "$PPID" >> "$1"
exit "$3"
"#;

/// The arguments of `sh` for a command that lives for so many milliseconds and exits with a code.
pub(crate) fn arguments(journal: &Path, life: u64, code: i32) -> Vec<String> {
    let seconds = format!("{}.{:03}", life / 1_000, life % 1_000);
    ["-c", SCRIPT, "worker", &journal.to_string_lossy(), &seconds, &code.to_string()]
        .map(str::to_owned)
        .into()
}

/// What one process wrote.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    /// Each begin: the attempt, the command, and its supervisor.
    pub(crate) begins: Vec<Begin>,
    pub(crate) has_ended: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Begin {
    pub(crate) pid: u32,
    pub(crate) supervisor: u32,
}

/// Everything that was written, by the ids of the processes.
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
