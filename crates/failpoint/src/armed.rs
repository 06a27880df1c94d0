//! Failpoints in a build with debug assertions. A failpoint performs an action when a program passes it and a rule
//! requests the action.
#![expect(unsafe_code, reason = "a program can end itself by a signal through the C library only")]

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Name of the environment variable that contains the failpoint rules.
pub(super) const POINTS: &str = "LONGHAUL_FAILPOINTS";
/// Name of the environment variable that contains the path of the pass log.
pub(super) const SEEN: &str = "LONGHAUL_FAILPOINTS_SEEN";

const SIGKILL: i32 = 9;
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// The failpoint rules of this program, and the path of its pass log.
struct ArmedFailpoints {
    rules: Vec<PointRule>,
    seen: PathBuf,
    passes: AtomicU64,
}

/// Rule for one failpoint: its action, and the pass at which the action happens.
#[derive(Debug, PartialEq, Eq)]
struct PointRule {
    point: String,
    action: FailpointAction,
    when: FailpointTrigger,
}

#[derive(Debug, PartialEq, Eq)]
enum FailpointAction {
    Kill,
    Fail(i32),
    Panic,
    Delay(Duration),
}

#[derive(Debug, PartialEq, Eq)]
enum FailpointTrigger {
    Always,
    Nth(usize),
}

/// Passes a failpoint: records the pass and performs the action that a rule requests.
///
/// # Errors
/// The error that the rule requests.
///
/// # Panics
/// If the rule requests a panic.
#[track_caller]
pub fn pass(point: &str) -> io::Result<()> {
    static ARMED: OnceLock<Option<ArmedFailpoints>> = OnceLock::new();
    match ARMED.get_or_init(ArmedFailpoints::read) {
        Some(armed) => armed.pass(point),
        None => Ok(()),
    }
}

impl ArmedFailpoints {
    fn read() -> Option<Self> {
        let seen = std::env::var_os(SEEN)?.into();
        let rules = std::env::var(POINTS).unwrap_or_default();
        Some(Self {
            rules: rules.split(',').filter_map(PointRule::parse).collect(),
            seen,
            passes: AtomicU64::new(0),
        })
    }

    #[track_caller]
    fn pass(&self, point: &str) -> io::Result<()> {
        // Without an entry in the pass log, a test could not detect which pass triggered an action. Therefore a pass
        // that cannot be recorded performs no action.
        let Ok(no) = self.record(point) else {
            return Ok(());
        };
        let is_due = |rule: &&PointRule| {
            rule.point == point
                && match rule.when {
                    FailpointTrigger::Always => true,
                    FailpointTrigger::Nth(wanted) => wanted == no,
                }
        };
        match self.rules.iter().find(is_due) {
            // The action is not performed in a closure, because a panic must report the source line of the failpoint.
            Some(rule) => rule.action.act(point),
            None => Ok(()),
        }
    }

    /// Appends this pass to the pass log. Returns the number of this pass, counted from 1 over all programs that passed
    /// the same failpoint.
    fn record(&self, point: &str) -> io::Result<usize> {
        let mine =
            format!("{point} {} {}\n", std::process::id(), self.passes.fetch_add(1, Ordering::Relaxed));
        // Write the line with a single append, so that all programs see the lines in the same order.
        OpenOptions::new().append(true).create(true).open(&self.seen)?.write_all(mine.as_bytes())?;
        let all = std::fs::read_to_string(&self.seen)?;
        let of_point = |line: &&str| line.strip_prefix(point).is_some_and(|rest| rest.starts_with(' '));
        let before = all.lines().filter(of_point).position(|line| line == mine.trim_end());
        before.map(|before| before.saturating_add(1)).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl PointRule {
    fn parse(text: &str) -> Option<Self> {
        let (point, rest) = text.trim().split_once('=')?;
        let (action, when) = rest.split_once('@').unwrap_or((rest, "1"));
        let action = match action.split_once(':') {
            Some(("delay", span)) => FailpointAction::Delay(Duration::from_millis(span.parse().ok()?)),
            Some(_) => return None,
            None => match action {
                "kill" => FailpointAction::Kill,
                "eio" => FailpointAction::Fail(EIO),
                "enospc" => FailpointAction::Fail(ENOSPC),
                "panic" => FailpointAction::Panic,
                _ => return None,
            },
        };
        let when =
            if when == "*" { FailpointTrigger::Always } else { FailpointTrigger::Nth(when.parse().ok()?) };
        Some(Self { point: point.to_owned(), action, when })
    }
}

impl FailpointAction {
    #[track_caller]
    #[expect(clippy::panic, reason = "it is what was asked for")]
    fn act(&self, point: &str) -> io::Result<()> {
        match self {
            Self::Kill => end(),
            Self::Fail(errno) => Err(io::Error::from_raw_os_error(*errno)),
            Self::Panic => panic!("told to at {point}"),
            Self::Delay(span) => {
                std::thread::sleep(*span);
                Ok(())
            }
        }
    }
}

impl fmt::Debug for ArmedFailpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Armed").field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// Kills this program immediately with SIGKILL.
fn end() -> ! {
    // SAFETY: both functions take and return plain integers, and every supported platform links the C library.
    unsafe extern "C" {
        safe fn getpid() -> i32;
        safe fn kill(pid: i32, signal: i32) -> i32;
    }
    kill(getpid(), SIGKILL);
    loop {
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_rules_define_action_and_time() {
        let rule = |action, when| Some(PointRule { point: "a.b".to_owned(), action, when });
        assert_eq!(PointRule::parse("a.b=kill"), rule(FailpointAction::Kill, FailpointTrigger::Nth(1)));
        assert_eq!(
            PointRule::parse(" a.b=eio@3"),
            rule(FailpointAction::Fail(EIO), FailpointTrigger::Nth(3))
        );
        assert_eq!(
            PointRule::parse("a.b=enospc@*"),
            rule(FailpointAction::Fail(ENOSPC), FailpointTrigger::Always)
        );
        assert_eq!(PointRule::parse("a.b=panic"), rule(FailpointAction::Panic, FailpointTrigger::Nth(1)));
        let span = Duration::from_millis(250);
        assert_eq!(
            PointRule::parse("a.b=delay:250"),
            rule(FailpointAction::Delay(span), FailpointTrigger::Nth(1))
        );
        for wrong in ["", "a.b", "a.b=die", "a.b=kill@x", "a.b=delay:x", "a.b=kill:3"] {
            assert_eq!(PointRule::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn passes_are_counted_by_point_and_over_all_programs() {
        let seen = std::env::temp_dir().join(format!("failpoints-{}", std::process::id()));
        let rules = || ["a=eio@3", "b=enospc@*"].into_iter().filter_map(PointRule::parse).collect();
        let armed = || ArmedFailpoints { rules: rules(), seen: seen.clone(), passes: AtomicU64::new(0) };
        let (mut one, mut other) = (armed(), armed());
        // The second value simulates another program, so its pass counter must differ.
        *other.passes.get_mut() = 100;
        let errno = |result: io::Result<()>| result.err().and_then(|error| error.raw_os_error());
        assert_eq!(errno(one.pass("a")), None);
        assert_eq!(errno(one.pass("ab")), None);
        assert_eq!(errno(other.pass("a")), None);
        assert_eq!(errno(one.pass("a")), Some(EIO));
        assert_eq!(errno(other.pass("a")), None);
        assert_eq!([errno(one.pass("b")), errno(other.pass("b"))], [Some(ENOSPC); 2]);
        *one.passes.get_mut() = 0;
        std::fs::remove_file(&seen).unwrap();
    }
}
