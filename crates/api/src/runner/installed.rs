//! Checks that the program of an agent is installed.

use super::expansion::ExpandedRunner;
use crate::error::ApiError;
use longhaul_domain::CommandSpec;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Search path for programs if the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Refuses a launch whose agent is not installed, before the launch is recorded. `captured` is the environment of the
/// caller.
pub(crate) fn check_installed(
    runner: &ExpandedRunner,
    command: &CommandSpec,
    captured: Option<&[(String, String)]>,
) -> Result<(), ApiError> {
    let ExpandedRunner { program, program_key, .. } = runner;
    let runner = &runner.choice.name;
    let declared = command.environment.declared.iter();
    let all = declared.chain(captured.unwrap_or_default());
    let path = all.into_iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_str());
    let path = path.unwrap_or(DEFAULT_PATH);
    if candidates(program, Path::new(&command.directory), path).any(|file| is_program(&file)) {
        return Ok(());
    }
    let place = if program.contains('/') { String::new() } else { format!(" in PATH ({path})") };
    Err(ApiError::new(
        409,
        "runner_not_installed",
        format!("the agent of the runner {runner} is not installed"),
    )
    .because(format!("there is no program {program:?}{place}"))
    .help(format!("install it, or set `runner.{runner}.{program_key}` to a command with its path")))
}

fn candidates<'a>(
    program: &'a str,
    directory: &'a Path,
    path: &'a str,
) -> impl Iterator<Item = PathBuf> + 'a {
    let has_place = program.contains('/');
    let places = if has_place { "." } else { path };
    places
        .split(':')
        .map(move |place| directory.join(if place.is_empty() { "." } else { place }).join(program))
}

fn is_program(path: &Path) -> bool {
    const EXECUTE: u32 = 0o111;
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & EXECUTE != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{AgentOutputFormat, EnvironmentSpec, RunnerChoice};

    #[test]
    fn program_is_searched_in_the_path_of_the_command() {
        let top = tempfile::tempdir().unwrap();
        let bin = top.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        for (name, mode) in [("agent", 0o700), ("notes", 0o600)] {
            std::fs::write(bin.join(name), "#!/bin/sh\n").unwrap();
            std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let path = |value: &str| vec![("PATH".to_owned(), value.to_owned())];
        let check =
            |program: &str, declared: Vec<(String, String)>, captured: Option<Vec<(String, String)>>| {
                let mut command = CommandSpec::of(program, &[], top.path().to_str().unwrap());
                command.environment = EnvironmentSpec { declared, ..EnvironmentSpec::default() };
                let runner = ExpandedRunner {
                    choice: RunnerChoice { name: "x".to_owned(), output: AgentOutputFormat::Unread },
                    program: program.to_owned(),
                    program_key: "start",
                    stays_here: true,
                };
                check_installed(&runner, &command, captured.as_deref())
            };
        assert!(check("agent", path("/nowhere:bin"), None).is_ok());
        assert!(check("agent", Vec::new(), Some(path(bin.to_str().unwrap()))).is_ok());
        assert!(check("bin/agent", Vec::new(), None).is_ok());
        assert!(check("agent", path("/nowhere"), Some(path("bin"))).is_err(), "declared variables win");
        let missing = check("notes", path("bin"), None).unwrap_err();
        assert_eq!(missing.problem().slug, "runner_not_installed");
        assert!(missing.problem().help.as_ref().unwrap().contains("`runner.x.start`"));
        assert!(missing.problem().detail.as_ref().unwrap().contains("\"notes\" in PATH (bin)"));
    }
}
