//! Determines whether a command runs tests, and which sources contain the results.

use longhaul_domain::{ProcessType, Spec, TestReporting};
use longhaul_insight::test_run::{DetectedTests, Framework, TestSource, detect, junit_paths};

/// Sources of the test results of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TestPlan {
    /// Framework that was detected in the command.
    pub(super) framework: Option<Framework>,
    /// Most reliable source in the output of the command.
    pub(super) output: TestSource,
    /// Paths of JUnit reports, relative to the working directory.
    pub(super) junit: Vec<String>,
    /// True if the launch has the type `test_suite` or requests test results. Otherwise, the test framework was only
    /// detected in the command, and the command may turn out to run no tests.
    pub(super) is_requested: bool,
}

impl TestPlan {
    /// Returns the plan for a process, or `None` if the process runs no tests.
    pub(crate) fn of(spec: &Spec) -> Option<Self> {
        let command = spec.command()?;
        let (is_requested, named) = match &command.tests {
            TestReporting::Off => return None,
            TestReporting::Detect => (spec.kind == ProcessType::TestSuite, None),
            TestReporting::Auto => (true, None),
            TestReporting::Junit(path) => (true, Some(path.clone())),
        };
        let argv: Vec<String> = std::iter::once(&command.program).chain(&command.args).cloned().collect();
        let names: Vec<&str> = command.environment.declared.iter().map(|(name, _)| name.as_str()).collect();
        let detected = detect(&argv, &names);
        if detected.is_none() && !is_requested {
            return None;
        }
        let DetectedTests { framework, output } =
            detected.unwrap_or(DetectedTests { framework: None, output: TestSource::Console });
        let mut junit: Vec<String> = named.into_iter().collect();
        junit.extend(junit_paths(framework, &argv));
        junit.dedup();
        Some(Self { framework, output, junit, is_requested })
    }

    /// Returns true if the pytest plugin can report the results.
    pub(super) fn uses_plugin(&self) -> bool {
        self.framework == Some(Framework::Pytest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{CommandSpec, Work};

    fn spec(program: &str, args: &[&str], tests: TestReporting) -> Spec {
        let command = CommandSpec { tests, ..CommandSpec::of(program, args, "/src") };
        Spec::of(Work::Command(Box::new(command)))
    }

    #[test]
    fn command_runs_tests_if_it_is_detected_requested_or_a_test_suite() {
        let plan = |spec: &Spec| TestPlan::of(spec).map(|plan| (plan.framework, plan.is_requested));
        assert_eq!(plan(&spec("make", &["all"], TestReporting::Detect)), None);
        assert_eq!(
            plan(&spec("pytest", &["-q"], TestReporting::Detect)),
            Some((Some(Framework::Pytest), false))
        );
        assert_eq!(plan(&spec("pytest", &["-q"], TestReporting::Off)), None);
        assert_eq!(plan(&spec("make", &["check"], TestReporting::Auto)), Some((None, true)));
        let suite = Spec { kind: ProcessType::TestSuite, ..spec("make", &["check"], TestReporting::Detect) };
        assert_eq!(plan(&suite), Some((None, true)));
    }

    #[test]
    fn reports_come_from_the_launch_and_from_the_command() {
        let named = TestReporting::Junit("out/*.xml".to_owned());
        let plan = TestPlan::of(&spec("pytest", &["--junitxml=a.xml"], named)).unwrap();
        assert_eq!(plan.junit, ["out/*.xml", "a.xml"]);
        assert!(plan.uses_plugin());
        let json = TestPlan::of(&spec("go", &["test", "-json"], TestReporting::Detect)).unwrap();
        assert_eq!((json.output, json.uses_plugin()), (TestSource::Stream, false));
    }
}
