//! What the commands of a run do: they write to the journal that they live, for as long as they do.

/// For bash: it tells the time and waits without another process.
///
/// Each line is one write that appends, so that the order of the lines is an order in which all of it happened. The
/// command holds its slot before its first line and still after its last one, and after the last one of what it leaves
/// behind.
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
    # What a command leaves behind is swept after it.
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

/// How a command goes about its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It ends when it is asked to.
    Gentle,
    /// It has to be killed.
    Stubborn,
    /// It leaves a process behind when it ends.
    Litter,
}

/// The arguments of `bash` for a command that lives for so many milliseconds and exits with a code.
pub(crate) fn arguments(journal: &str, life: u64, code: i32, manner: Manner) -> Vec<String> {
    let manner = match manner {
        Manner::Gentle => "gentle",
        Manner::Stubborn => "stubborn",
        Manner::Litter => "litter",
    };
    ["-c", SCRIPT, "worker", journal, &life.to_string(), &code.to_string(), manner].map(str::to_owned).into()
}
