//! Results of the single checks, and the report that contains all of them.

use serde_json::{Map, Value, json};
use std::fmt::{self, Write as _};

/// Severity of a check result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CheckResult {
    /// The check found no fault.
    Ok,
    /// The checked part works, but the user should inspect it.
    Warning,
    /// The checked part does not work, or a guarantee is broken.
    Problem,
}

/// Result of one check.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DoctorCheck {
    name: &'static str,
    health: CheckResult,
    is_obstacle: bool,
    found: String,
    why: Option<String>,
    help: Option<String>,
    figures: Map<String, Value>,
}

/// Results of all checks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DoctorReport(Vec<DoctorCheck>);

impl DoctorCheck {
    /// Creates the result of a check that found no fault.
    pub(crate) fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self::of(name, CheckResult::Ok, found)
    }

    /// Creates the result of a check whose subject works but should be inspected.
    pub(crate) fn warning(name: &'static str, found: impl Into<String>) -> Self {
        Self::of(name, CheckResult::Warning, found)
    }

    /// Creates the result of a check whose subject does not work.
    pub(crate) fn problem(name: &'static str, found: impl Into<String>) -> Self {
        Self::of(name, CheckResult::Problem, found)
    }

    /// Creates the result for a problem that prevents a manager from starting.
    pub(crate) fn obstacle(name: &'static str, found: impl Into<String>) -> Self {
        Self { is_obstacle: true, ..Self::problem(name, found) }
    }

    pub(crate) fn is_problem(&self) -> bool {
        self.health == CheckResult::Problem
    }

    /// Returns the name of the check if its problem prevents a manager from starting. Returns `None` for all other
    /// results.
    pub(crate) fn as_obstacle(&self) -> Option<&'static str> {
        self.is_obstacle.then_some(self.name)
    }

    fn of(name: &'static str, health: CheckResult, found: impl Into<String>) -> Self {
        Self {
            name,
            health,
            is_obstacle: false,
            found: found.into(),
            why: None,
            help: None,
            figures: Map::new(),
        }
    }

    /// Sets the explanation of this result.
    pub(crate) fn because(self, why: impl Into<String>) -> Self {
        Self { why: Some(why.into()), ..self }
    }

    /// Sets the advice for the user on this result.
    pub(crate) fn so(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// Adds a value for programs, which appears in the JSON report only.
    pub(crate) fn with(mut self, name: &str, figure: impl Into<Value>) -> Self {
        self.figures.insert(name.to_owned(), figure.into());
        self
    }
}

impl DoctorReport {
    pub(crate) const fn of(checks: Vec<DoctorCheck>) -> Self {
        Self(checks)
    }

    /// Returns the most severe result of all checks.
    pub(crate) fn health(&self) -> CheckResult {
        self.0.iter().map(|check| check.health).max().unwrap_or(CheckResult::Ok)
    }

    /// Returns the report as text for people.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        let width = self.0.iter().map(|check| check.name.len()).max().unwrap_or_default();
        for DoctorCheck { name, health, found, why, help, .. } in &self.0 {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{:<8} {name:<width$}  {found}", health.to_string());
            let details = [("why: ", why), ("help:", help)];
            for (word, line) in details.iter().filter_map(|(word, line)| Some((word, line.as_ref()?))) {
                let _ = writeln!(out, "  {word} {line}");
            }
        }
        let _ = writeln!(out, "{}", self.sum());
        out
    }

    /// Returns the report as JSON for programs.
    pub(crate) fn json(&self) -> String {
        let checks: Vec<Value> = self
            .0
            .iter()
            .map(|DoctorCheck { name, health, is_obstacle: _, found, why, help, figures }| {
                let mut check = json!({ "name": name, "state": health.to_string(), "found": found });
                let optional = [
                    ("why", why.clone().map(Value::from)),
                    ("help", help.clone().map(Value::from)),
                    ("figures", (!figures.is_empty()).then(|| Value::Object(figures.clone()))),
                ];
                if let Some(fields) = check.as_object_mut() {
                    let reported =
                        optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
                    fields.extend(reported);
                }
                check
            })
            .collect();
        let all =
            json!({ "schema": "longhaul/doctor/v1", "state": self.health().to_string(), "checks": checks });
        format!("{all:#}\n")
    }

    fn sum(&self) -> String {
        let count = |health| self.0.iter().filter(|check| check.health == health).count();
        let named = |count, one, many| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            more => Some(format!("{more} {many}")),
        };
        let parts: Vec<String> = [
            named(count(CheckResult::Problem), "problem", "problems"),
            named(count(CheckResult::Warning), "warning", "warnings"),
        ]
        .into_iter()
        .flatten()
        .collect();
        if parts.is_empty() { "all is well".to_owned() } else { parts.join(", ") }
    }
}

impl fmt::Display for CheckResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        })
    }
}

/// Formats a number of bytes for people, such as `1.5 KiB`.
pub(crate) fn amount(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes.saturating_mul(10) / 1024;
    let mut units = UNITS.iter();
    let mut unit = units.next().unwrap_or(&"KiB");
    for next in units {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1024;
        unit = next;
    }
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> DoctorReport {
        DoctorReport::of(vec![
            DoctorCheck::ok("a", "fine"),
            DoctorCheck::warning("longer", "hm").because("it is so").with("bytes", 7),
            DoctorCheck::problem("b", "no").because("it broke").so("mend it"),
        ])
    }

    #[test]
    fn report_for_people_has_a_line_for_each_check_and_advice() {
        assert_eq!(
            report().text(),
            "ok       a       fine\n\
             warning  longer  hm\n  why:  it is so\n\
             problem  b       no\n  why:  it broke\n  help: mend it\n\
             1 problem, 1 warning\n"
        );
        assert_eq!(
            DoctorReport::of(vec![DoctorCheck::ok("a", "fine")]).text(),
            "ok       a  fine\nall is well\n"
        );
    }

    #[test]
    fn programs_read_the_same() {
        let reported: Value = serde_json::from_str(&report().json()).unwrap();
        assert_eq!(
            reported,
            json!({
                "schema": "longhaul/doctor/v1",
                "state": "problem",
                "checks": [
                    { "name": "a", "state": "ok", "found": "fine" },
                    { "name": "longer", "state": "warning", "found": "hm", "why": "it is so", "figures": { "bytes": 7 } },
                    { "name": "b", "state": "problem", "found": "no", "why": "it broke", "help": "mend it" },
                ],
            })
        );
    }

    #[test]
    fn amounts_are_read_at_a_glance() {
        let reported = [0, 1023, 1024, 1_536, 10 << 20, 5 << 30, u64::MAX].map(amount);
        assert_eq!(reported[..6], ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "10.0 MiB", "5.0 GiB"]);
        assert!(reported[6].ends_with(" TiB"), "{}", reported[6]);
    }
}
