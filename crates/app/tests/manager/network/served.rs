//! Test bench with a manager that listens on the network.

use crate::bench::{Bench, Said, until};
use crate::client::Web;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

/// A manager that listens on the network.
pub(super) struct Served {
    pub(super) bench: Bench,
    server: std::process::Child,
}

impl Served {
    pub(super) fn new(words: &[&str]) -> Self {
        Self::on(Bench::new(), words)
    }

    pub(super) fn on(bench: Bench, words: &[&str]) -> Self {
        let log = bench.state().join("manager.log");
        std::fs::create_dir_all(bench.state()).unwrap();
        std::fs::set_permissions(bench.state(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let mut command = bench.command(&["serve", "--log"]);
        let server = command.arg(&log).args(words).stderr(Stdio::null()).spawn().unwrap();
        let served = Self { bench, server };
        until("it listens", || served.bench.run(&["--no-autostart", "status"]).code == 0);
        served
    }

    pub(super) fn url(&self) -> String {
        let listed = std::fs::read_to_string(self.bench.state().join("listen")).unwrap();
        listed.lines().next().unwrap().to_owned()
    }

    pub(super) fn web(&self) -> Web {
        Web::at(&self.url())
    }

    pub(super) fn token(&self, read_only: bool) -> String {
        let words: &[&str] = if read_only { &["token", "--read-only"] } else { &["token"] };
        let said: Said = self.bench.run(words);
        assert_eq!(said.code, 0, "{said:?}");
        said.out.trim().to_owned()
    }

    /// Returns the `Authorization` header with the token for full access.
    pub(super) fn control(&self) -> String {
        format!("Authorization: Bearer {}", self.token(false))
    }

    /// Ends the manager and returns the test bench.
    pub(super) fn end(mut self) -> Bench {
        self.bench.end_manager(rustix::process::Signal::TERM);
        assert!(self.server.wait().unwrap().success());
        self.bench
    }
}
