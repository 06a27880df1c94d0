//! The commands of a run: while they run, they write to the journal.

/// A script for bash, which reads the time and waits without another process.
///
/// Each line is one appending write, so that the order of the lines is the order of the events. The command holds its
/// slot before its first line, and still after its own last line and after the last line of the processes that it
/// leaves behind.
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

/// The behaviour of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Ends on `SIGTERM`.
    Gentle,
    /// Must be killed.
    Stubborn,
    /// Leaves a process behind when it ends.
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
