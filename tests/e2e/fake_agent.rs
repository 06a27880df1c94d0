//! Fake programs that replace agents and the tools of remote services in tests.

use longhaul_tests::{Answer, Home};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

/// A state directory whose commands find fake programs in `PATH`.
pub(crate) struct FakeAgents {
    pub(crate) home: Home,
}

impl FakeAgents {
    pub(crate) fn new() -> Self {
        let agents = Self { home: Home::new() };
        fs::create_dir_all(agents.bin()).unwrap();
        fs::create_dir_all(agents.remote()).unwrap();
        agents
    }

    /// Adds a program.
    pub(crate) fn add(&self, name: &str, script: &str) {
        let path = self.bin().join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Adds an agent that writes its arguments, separated by NUL bytes, to the file `NAME.args`, and prints `output`.
    pub(crate) fn add_agent(&self, name: &str, output: &str) {
        fs::write(self.bin().join(format!("{name}.out")), output).unwrap();
        let bin = self.bin().display().to_string();
        self.add(
            name,
            &format!("#!/bin/sh\nprintf '%s\\0' \"$@\" > {name}.args\nexec cat {bin}/{name}.out\n"),
        );
    }

    /// Returns the arguments with which an agent was called.
    pub(crate) fn arguments_of(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.home.work().join(format!("{name}.args"))).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    /// Returns the directory of the files that control the fake remote service.
    pub(crate) fn remote(&self) -> PathBuf {
        self.home.work().join("remote")
    }

    pub(crate) fn set_remote(&self, file: &str, text: &str) {
        let draft = self.remote().join("draft");
        fs::write(&draft, text).unwrap();
        fs::rename(draft, self.remote().join(file)).unwrap();
    }

    /// Returns the number of lines in a file that the fake remote service writes.
    pub(crate) fn count(&self, file: &str) -> usize {
        fs::read_to_string(self.remote().join(file)).map_or(0, |text| text.lines().count())
    }

    /// Returns a `longhaul` command whose environment contains the fake programs.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.home.command(args);
        command
            .env("PATH", format!("{}:/usr/bin:/bin", self.bin().display()))
            .env("FAKE_REMOTE", self.remote());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Answer {
        Answer::of(self.command(args).output().unwrap())
    }

    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let answer = self.run(args);
        assert_eq!(answer.code, 0, "longhaul {args:?}: {answer:?}");
        answer.out.trim_end().to_owned()
    }

    fn bin(&self) -> PathBuf {
        self.home.work().join("bin")
    }
}
