//! The commands of a chaos run. They write to the journal while they are running.

/// A script for bash. It reads the time and waits without starting other processes.
///
/// Each line is written with a single append, so that the order of the lines is the order of the events. The command
/// already holds its slot when it writes its first line. It still holds the slot after its last line, and after the
/// last line of its leftovers.
const SCRIPT: &str = r#"
journal=$1 life=$2 code=$3 manner=$4
exec 9<> <(:)
say() {
    printf '%s %s %s %s %s %s %s\n' "$LONGHAUL_ID" "$LONGHAUL_ATTEMPT" "$1" "${EPOCHREALTIME/[.,]/}" $$ "$PPID" "$2" >> "$journal"
}
case $manner in
stubborn) trap '' TERM ;;
*) trap 'say end 143; exit 143' TERM ;;
esac
say start "$LONGHAUL_SOCKET"
if [ "$manner" = litter ]; then
    # The manager kills this process after the end of the command.
    (trap '' TERM; while :; do say live below; read -rt 0.1 -u 9; done) &
fi
until=$((${EPOCHREALTIME/[.,]/} + life * 1000))
while [ "${EPOCHREALTIME/[.,]/}" -lt "$until" ]; do
    read -rt 0.1 -u 9
    say live here
done
say end "$code"
exit "$code"
"#;

/// Reaction of a command to SIGTERM, and the processes that it leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Ends when it receives `SIGTERM`.
    Gentle,
    /// Ignores `SIGTERM`, and must be killed.
    Stubborn,
    /// Leaves a running process behind when it ends.
    Litter,
}

/// Returns the arguments of `bash` for a command that runs for `life` milliseconds and exits with `code`.
pub(crate) fn arguments(journal: &str, life: u64, code: i32, manner: Manner) -> Vec<String> {
    let manner = match manner {
        Manner::Gentle => "gentle",
        Manner::Stubborn => "stubborn",
        Manner::Litter => "litter",
    };
    ["-c", SCRIPT, "worker", journal, &life.to_string(), &code.to_string(), manner].map(str::to_owned).into()
}
