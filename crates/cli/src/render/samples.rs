//! Processes for tests, as a manager tells of them.

use longhaul_wire::api::{ExitView, PendingView, ProcessView};

/// When the samples are looked at.
pub(crate) const NOW: &str = "2026-11-21T01:50:00Z";

/// A test suite at work.
pub(crate) fn running() -> ProcessView {
    ProcessView {
        id: "0a1b2c3d-1111-4111-8111-111111111111".to_owned(),
        work: "command".to_owned(),
        kind: "custom".to_owned(),
        name: Some("tests".to_owned()),
        project: Some("atlas".to_owned()),
        command: vec!["cargo".to_owned(), "test".to_owned(), "two words".to_owned()],
        directory: Some("/home/ada/atlas".to_owned()),
        status: "running".to_owned(),
        stage: Some("412/1000".to_owned()),
        progress: Some(41.2),
        eta_ms: Some(182_000),
        attempt: 1,
        max_attempts: 3,
        node_id: Some("laptop".to_owned()),
        pid: Some(4711),
        containment: Some("cgroup".to_owned()),
        queued_at: "2026-11-21T01:47:59Z".to_owned(),
        started_at: Some("2026-11-21T01:48:00Z".to_owned()),
        duration_ms: Some(120_000),
        output_bytes: Some(1_536),
        log_path: Some("/state/attempts/0a1b2c3d/1/output.log".to_owned()),
        ..ProcessView::default()
    }
}

/// A build that waits for a slot.
pub(crate) fn queued() -> ProcessView {
    ProcessView {
        id: "9f8e7d6c-2222-4222-8222-222222222222".to_owned(),
        work: "command".to_owned(),
        name: Some("build".to_owned()),
        project: Some("atlas".to_owned()),
        command: vec!["make".to_owned()],
        status: "pending".to_owned(),
        pending: Some(PendingView { why: "queued".to_owned(), ..PendingView::default() }),
        reason: Some("waits for a slot of key cargo".to_owned()),
        key: Some("cargo".to_owned()),
        max_attempts: 1,
        queued_at: "2026-11-21T01:49:30Z".to_owned(),
        ..ProcessView::default()
    }
}

/// A linter that found something.
pub(crate) fn failed() -> ProcessView {
    ProcessView {
        id: "b7d0ha00-3333-4333-8333-333333333333".to_owned(),
        work: "command".to_owned(),
        project: Some("atlas".to_owned()),
        command: vec!["ruff".to_owned(), "check".to_owned()],
        status: "failed".to_owned(),
        reason: Some("exited with code 1".to_owned()),
        exit: Some(ExitView { code: Some(1), ..ExitView::default() }),
        exit_code: Some(1),
        attempt: 1,
        max_attempts: 1,
        queued_at: "2026-11-21T01:35:00Z".to_owned(),
        started_at: Some("2026-11-21T01:36:00Z".to_owned()),
        completed_at: Some("2026-11-21T01:36:48Z".to_owned()),
        duration_ms: Some(48_000),
        ..ProcessView::default()
    }
}

/// A server that was told to end, and needed to be told twice.
pub(crate) fn cancelled() -> ProcessView {
    ProcessView {
        id: "c0ffee00-4444-4444-8444-444444444444".to_owned(),
        work: "command".to_owned(),
        name: Some("server".to_owned()),
        command: vec!["serve".to_owned()],
        status: "cancelled".to_owned(),
        exit: Some(ExitView {
            signal: Some(9),
            stopped_by: Some("user".to_owned()),
            last_signal: Some(9),
            swept: 3,
            ..ExitView::default()
        }),
        attempt: 1,
        queued_at: "2026-11-21T01:00:00Z".to_owned(),
        started_at: Some("2026-11-21T01:00:00Z".to_owned()),
        completed_at: Some("2026-11-21T01:49:00Z".to_owned()),
        duration_ms: Some(2_940_000),
        ..ProcessView::default()
    }
}

/// Work whose supervisor was killed.
pub(crate) fn interrupted() -> ProcessView {
    ProcessView {
        id: "deadbeef-5555-4555-8555-555555555555".to_owned(),
        work: "command".to_owned(),
        name: Some("train".to_owned()),
        command: vec!["python".to_owned(), "train.py".to_owned()],
        status: "interrupted".to_owned(),
        reason: Some("supervisor killed".to_owned()),
        attempt: 1,
        queued_at: "2026-11-21T00:00:00Z".to_owned(),
        started_at: Some("2026-11-21T00:00:00Z".to_owned()),
        completed_at: Some("2026-11-21T01:00:00Z".to_owned()),
        duration_ms: Some(3_600_000),
        ..ProcessView::default()
    }
}
