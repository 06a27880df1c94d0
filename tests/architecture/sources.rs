//! Checks the style of source files.

use crate::workspace::Source;
use std::fmt;

/// Maximum number of lines of a source file, without the tests at its end.
const MAX_LINES: usize = 500;

/// The only files that may name concrete adapters.
const COMPOSITION: [&str; 2] = ["crates/app/src/compose.rs", "crates/app/src/compose/"];

/// Texts in source code that show that it reads the wall clock.
const WALL_CLOCK: [&str; 3] = ["SystemTime::now()", "ClockId::Realtime", ".wall()"];
/// Files that may read the wall clock. They display it, store it next to monotonic time, or use a protocol that has no
/// other time.
const MAY_READ_WALL_CLOCK: [&str; 10] = [
    "crates/adapters/src/system/clock.rs",
    "crates/adapters/src/os/examine.rs",
    "crates/adapters/src/redis/examination.rs",
    "crates/api/src/webhook/delivery.rs",
    "crates/api/src/metrics.rs",
    "crates/api/src/peers/proof.rs",
    "crates/app/src/doctor/bundle.rs",
    "crates/engine/src/subscribe/log.rs",
    "crates/shim/src/clock.rs",
    "crates/testkit/src/suite/clock.rs",
];

/// Texts that code must not contain. Each text is split in two parts, so that this file does not break its own rule.
const BANNED: [(&str, &str); 5] = [
    (concat!("#[", "allow("), "say expect, with a reason"),
    (concat!("#![", "allow("), "say expect, with a reason"),
    (concat!("#[", "ignore]"), "say why the test is ignored"),
    (concat!("todo", "!("), "finish it"),
    (concat!("unimplemented", "!("), "finish it"),
];

/// A source file, or a line of a source file, that breaks a style rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Breach {
    TooLong { path: String, lines: usize },
    ModuleFile { path: String },
    Banned { path: String, line: usize, text: &'static str, instead: &'static str },
    Adapter { path: String, line: usize },
    WallClock { path: String, line: usize },
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { path, lines } => {
                write!(f, "{path} has {lines} lines before its tests, {MAX_LINES} are allowed")
            }
            Self::ModuleFile { path } => write!(f, "{path} should be named after its module"),
            Self::Banned { path, line, text, instead } => {
                write!(f, "{path}:{line} contains {text}: {instead}")
            }
            Self::Adapter { path, line } => {
                write!(f, "{path}:{line} names a concrete adapter, which {} alone may", COMPOSITION[0])
            }
            Self::WallClock { path, line } => {
                write!(
                    f,
                    "{path}:{line} reads the wall clock, which may be set at any time: use monotonic time"
                )
            }
        }
    }
}

/// Finds every breach of the style rules in the given files.
pub(crate) fn breaches(sources: &[Source]) -> Vec<Breach> {
    sources.iter().flat_map(breaches_of).collect()
}

fn breaches_of(source: &Source) -> Vec<Breach> {
    let path = || source.path.clone();
    let mut breaches = Vec::new();
    let lines = lines_before_tests(source);
    if in_a_crate(&source.path) && lines > MAX_LINES {
        breaches.push(Breach::TooLong { path: path(), lines });
    }
    if source.path.ends_with("/mod.rs") {
        breaches.push(Breach::ModuleFile { path: path() });
    }
    for (line, code) in
        (1..).zip(source.text.lines()).filter(|(_, code)| !code.trim_start().starts_with("//"))
    {
        for (text, instead) in BANNED {
            if code.contains(text) {
                breaches.push(Breach::Banned { path: path(), line, text, instead });
            }
        }
        if code.contains("longhaul_adapters") && in_the_program(&source.path) {
            breaches.push(Breach::Adapter { path: path(), line });
        }
        let reads_wall_clock = WALL_CLOCK.iter().any(|text| code.contains(text));
        let is_product = in_a_crate(&source.path) && line <= lines;
        if reads_wall_clock && is_product && !MAY_READ_WALL_CLOCK.contains(&source.path.as_str()) {
            breaches.push(Breach::WallClock { path: path(), line });
        }
    }
    breaches
}

fn in_a_crate(path: &str) -> bool {
    let mut parts = path.split('/');
    parts.next() == Some("crates") && parts.nth(1) == Some("src") && !path.ends_with("/tests.rs")
}

fn in_the_program(path: &str) -> bool {
    path.starts_with("crates/app/src/") && !COMPOSITION.iter().any(|allowed| path.starts_with(allowed))
}

/// Returns the number of lines before the test module at the end of the file. Returns the number of all lines if there
/// is no test module.
pub(crate) fn lines_before_tests(source: &Source) -> usize {
    let lines: Vec<&str> = source.text.lines().collect();
    lines
        .windows(2)
        .rposition(|pair| matches!(pair, ["#[cfg(test)]", module] if module.starts_with("mod ")))
        .unwrap_or(lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_over_the_limit_is_reported() {
        let text = "fn f() {}\n".repeat(MAX_LINES + 1);
        assert_eq!(
            reported("crates/engine/src/transact.rs", &text),
            ["crates/engine/src/transact.rs has 501 lines before its tests, 500 are allowed"]
        );
    }

    #[test]
    fn tests_at_the_end_do_not_count() {
        let text =
            format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "fn f() {}\n".repeat(500), "\n".repeat(300));
        assert_eq!(reported("crates/engine/src/transact.rs", &text), [""; 0]);
    }

    #[test]
    fn module_file_is_reported() {
        assert_eq!(reported("crates/engine/src/turn/mod.rs", "").len(), 1);
    }

    #[test]
    fn every_banned_text_is_reported_with_its_line() {
        for (text, instead) in BANNED {
            let code = format!("\n    {text}dead_code)]\n");
            assert_eq!(
                reported("crates/engine/src/transact.rs", &code),
                [format!("crates/engine/src/transact.rs:2 contains {text}: {instead}")]
            );
        }
    }

    #[test]
    fn ignored_test_with_a_reason_is_not_reported() {
        assert_eq!(reported("tests/e2e/main.rs", "#[ignore = \"takes an hour\"]\n"), [""; 0]);
    }

    #[test]
    fn adapter_named_outside_the_composition_is_reported() {
        let code = "use longhaul_adapters::memory::MemoryStore;\n";
        assert_eq!(reported("crates/app/src/serve.rs", code).len(), 1);
        assert_eq!(reported("crates/app/src/compose.rs", code), [""; 0]);
        assert_eq!(reported("crates/app/src/serve.rs", "// not longhaul_adapters\n"), [""; 0]);
    }

    #[test]
    fn read_of_the_wall_clock_is_reported_outside_of_tests() {
        for text in WALL_CLOCK {
            assert_eq!(
                reported("crates/engine/src/timers.rs", &format!("let now = {text};\n")).len(),
                1,
                "{text}"
            );
            assert_eq!(reported("crates/adapters/src/system/clock.rs", &format!("{text}\n")), [""; 0]);
            let tested = format!("#[cfg(test)]\nmod tests {{\n    let now = {text};\n}}\n");
            assert_eq!(reported("crates/engine/src/timers.rs", &tested), [""; 0]);
        }
    }

    fn reported(path: &str, text: &str) -> Vec<String> {
        let source = Source { path: path.to_owned(), text: text.to_owned() };
        breaches(&[source]).iter().map(Breach::to_string).collect()
    }
}
