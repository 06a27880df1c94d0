//! Tests of the interface for a person at a terminal.

use longhaul_tests::{Home, program, until};
use std::io::Write;
use std::process::{Child, Stdio};

/// A command in a separate terminal, which the program `script` provides.
struct Terminal {
    child: Child,
    shown: std::path::PathBuf,
}

impl Terminal {
    fn of(home: &Home, arguments: &str) -> Self {
        let shown = home.work().join("shown");
        let line = format!("{} {arguments}", program("longhaul").display());
        let mut script = home.command_named("script");
        let child = script
            .args(["-qefc", &line])
            .arg(&shown)
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, shown }
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.shown).unwrap_or_default()).into_owned()
    }

    fn until_shown(&self, text: &str) {
        until(&format!("{text} is shown"), || self.shown().contains(text).then_some(()));
    }

    fn press(&mut self, keys: &str) {
        self.child.stdin.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    fn code(mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap()
    }
}

#[test]
fn enter_cancels_the_process_that_is_highlighted() {
    let home = Home::new();
    let first = home.launch(&["sleep", "600"]);
    let second = home.launch(&["sleep", "600"]);
    let mut terminal = Terminal::of(&home, "cancel");
    terminal.until_shown("Cancel which?");
    terminal.until_shown("project work");
    terminal.press("\r");
    assert_eq!(terminal.code(), 0);
    // The first entry of the list, which was selected, is the newest process.
    assert_eq!((home.status(&second).as_str(), home.status(&first).as_str()), ("cancelled", "running"));
}

#[test]
fn several_are_ticked_in_a_second_question() {
    let home = Home::new();
    let ids =
        [home.launch(&["sleep", "600"]), home.launch(&["sleep", "600"]), home.launch(&["sleep", "600"])];
    let mut terminal = Terminal::of(&home, "cancel");
    terminal.until_shown("several processes");
    terminal.press("\u{1b}[A\r");
    terminal.until_shown("[ ]");
    terminal.press("\r");
    terminal.until_shown("select one with the space bar");
    terminal.press(" \u{1b}[B ");
    terminal.press("\r");
    assert_eq!(terminal.code(), 0);
    let statuses = ids.map(|id| home.status(&id));
    assert_eq!(statuses, ["running", "cancelled", "cancelled"]);
}

#[test]
fn json_with_untrusted_text_sends_no_control_sequence_to_a_terminal() {
    let home = Home::new();
    let steering = "a\u{9b}31mb\u{9d}0;title\u{9c}\u{202e}c\u{2066}d\u{2028}e";
    let print = format!("printf '%s\\n' '{steering}'");
    let id = home.ok(&["run", "-b", "--name", "odd", "--description", steering, "--", "sh", "-c", &print]);
    assert_eq!(home.run(&["wait", &id]).code, 0);
    for (verb, is_whole) in [
        ("inspect odd", true),
        ("status -a --json", true),
        ("logs --json odd", true),
        ("logs --json --grep a odd", false),
        ("events --json", false),
    ] {
        let terminal = Terminal::of(&home, &format!("{verb} --color never"));
        let path = terminal.shown.clone();
        assert_eq!(terminal.code(), 0, "{verb}");
        let shown = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        let escaped = "a\\u009b31mb\\u009d0;title\\u009c\\u202ec\\u2066d\\u2028e";
        assert!(!is_whole || shown.contains(escaped), "{verb}: {shown}");
        let steers =
            |c: char| (c.is_control() && !"\r\n".contains(c)) || "\u{202e}\u{2066}\u{2028}".contains(c);
        assert!(!shown.chars().any(steers), "{verb}: {shown:?}");
    }
}
