//! The processes whose events a webhook or a hook receives.

use longhaul_wire::event::Envelope;

/// Selects events by the type, project and status of their process. An empty list selects all values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessScope {
    /// Process types, such as `test_suite`.
    pub types: Vec<String>,
    /// Names of projects.
    pub projects: Vec<String>,
    /// Statuses of the process after the event, such as `timeout`.
    pub statuses: Vec<String>,
}

impl ProcessScope {
    /// Returns true if the scope includes the process of an event. An event that does not concern a process, such as a
    /// gap, is always included.
    pub(crate) fn includes(&self, envelope: &Envelope) -> bool {
        envelope.subject.is_none()
            || contains(&self.types, envelope.data.process_type.as_ref())
                && contains(&self.projects, envelope.data.project.as_ref())
                && contains(&self.statuses, envelope.data.status.as_ref())
    }
}

fn contains(selected: &[String], value: Option<&String>) -> bool {
    selected.is_empty() || value.is_some_and(|value| selected.contains(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_wire::event::EventData;

    #[test]
    fn scope_includes_events_whose_process_has_a_selected_type_project_and_status() {
        let event = |kind: &str, project: Option<&str>| Envelope {
            subject: Some("id".to_owned()),
            data: EventData {
                process_type: Some(kind.to_owned()),
                project: project.map(str::to_owned),
                status: Some("failed".to_owned()),
                ..EventData::default()
            },
            ..Envelope::default()
        };
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let scope = |types: &[&str], projects: &[&str]| ProcessScope {
            types: list(types),
            projects: list(projects),
            ..ProcessScope::default()
        };
        assert!(ProcessScope::default().includes(&event("custom", None)));
        assert!(scope(&["test_suite"], &[]).includes(&event("test_suite", None)));
        assert!(!scope(&["test_suite"], &[]).includes(&event("custom", None)));
        assert!(scope(&["custom"], &["site", "shop"]).includes(&event("custom", Some("shop"))));
        assert!(!scope(&["custom"], &["site"]).includes(&event("custom", Some("shop"))));
        assert!(!scope(&[], &["site"]).includes(&event("custom", None)));
        let of_status =
            |statuses: &[&str]| ProcessScope { statuses: list(statuses), ..scope(&["custom"], &[]) };
        assert!(of_status(&["timeout", "failed"]).includes(&event("custom", None)));
        assert!(!of_status(&["timeout"]).includes(&event("custom", None)));
        assert!(!of_status(&["failed"]).includes(&event("build", None)));
        assert!(scope(&["custom"], &["site"]).includes(&Envelope::default()), "a gap concerns every reader");
    }
}
