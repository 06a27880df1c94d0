//! Command-line options of the benchmark.

use crate::Failure;

/// Usage text.
pub(crate) const USAGE: &str = "\
bench [--quick] [--only NAME] [--list]

  --quick      fewer repetitions, for a quick check
  --only NAME  only the measurements whose name starts with NAME
  --list       list the names

The program is LONGHAUL_BIN, or else `longhaul` next to this program. The exit code is 1 if a floor was missed.";

/// Parsed options.
pub(crate) struct Options {
    pub(crate) task: Task,
    pub(crate) quick: bool,
}

/// Action that the options request from the benchmark program.
pub(crate) enum Task {
    Explain,
    List,
    Measure { only: Option<String> },
}

impl Options {
    pub(crate) fn read(arguments: impl IntoIterator<Item = String>) -> Result<Self, Failure> {
        let mut arguments = arguments.into_iter();
        let mut quick = false;
        let mut only = None;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => quick = true,
                "--only" => only = Some(arguments.next().ok_or("--only requires a name")?),
                "--list" => return Ok(Self { task: Task::List, quick }),
                "--help" | "-h" => return Ok(Self { task: Task::Explain, quick }),
                other => return Err(format!("unknown argument {other:?}\n\n{USAGE}").into()),
            }
        }
        Ok(Self { task: Task::Measure { only }, quick })
    }
}
