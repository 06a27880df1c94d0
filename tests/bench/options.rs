//! What the caller wants.

use crate::Failure;

/// How to call it.
pub(crate) const USAGE: &str = "\
bench [--quick] [--only NAME] [--list]

  --quick      fewer repetitions: a look, not a measurement
  --only NAME  only the measures whose name begins so
  --list       the names

The program is LONGHAUL_BIN, else `longhaul` beside this one. Exit code 1 if a floor was missed.";

/// A call, understood.
pub(crate) struct Options {
    pub(crate) task: Task,
    pub(crate) quick: bool,
}

/// What to do.
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
                "--only" => only = Some(arguments.next().ok_or("--only wants a name")?),
                "--list" => return Ok(Self { task: Task::List, quick }),
                "--help" | "-h" => return Ok(Self { task: Task::Explain, quick }),
                other => return Err(format!("unknown argument {other:?}\n\n{USAGE}").into()),
            }
        }
        Ok(Self { task: Task::Measure { only }, quick })
    }
}
