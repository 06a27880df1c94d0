//! Sample processes for tests, as a manager would return them.

use longhaul_wire::api::{
    ExitView, HoldView, HolderView, LevelStatsView, PendingView, ProcessView, QueueListing, QueueView,
    StatsView, SumUsageView, WhyView,
};

/// Time that counts as the current time in tests with these samples.
pub(crate) const NOW: &str = "2026-11-21T01:50:00Z";

/// A running test suite.
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

/// A build that is waiting for a slot.
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

/// A linter that exited with code 1.
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

/// A cancelled server that had to be killed and left three descendants behind, which were killed too.
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
            leftovers_killed: 3,
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

/// An interrupted process: the shim that supervised its command was killed.
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

/// A tree of four processes on three levels and one separate root process, in no particular order.
pub(crate) fn family() -> Vec<ProcessView> {
    let member =
        |id: &str, name: &str, parent: Option<&str>, level: u8, status: &str, at: &str| ProcessView {
            id: format!("{id}-0000-4000-8000-000000000000"),
            work: "command".to_owned(),
            name: Some(name.to_owned()),
            parent_id: parent.map(|parent| format!("{parent}-0000-4000-8000-000000000000")),
            root_id: format!(
                "{}-0000-4000-8000-000000000000",
                if id.starts_with('a') { "aaaa0000" } else { id }
            ),
            level,
            status: status.to_owned(),
            completed_at: (status == "completed").then(|| NOW.to_owned()),
            queued_at: format!("2026-11-21T01:{at}:00Z"),
            ..ProcessView::default()
        };
    let mut deep = member("aaaa0011", "deep", Some("aaaa0001"), 2, "pending", "13");
    deep.pending = Some(PendingView { why: "queued".to_owned(), ..PendingView::default() });
    deep.key = Some("cargo".to_owned());
    let mut top = member("aaaa0000", "train", None, 0, "running", "10");
    top.stage = Some("epoch 3".to_owned());
    top.progress = Some(30.4);
    vec![
        member("bbbb0000", "lint", None, 0, "running", "20"),
        deep,
        member("aaaa0002", "e2e", Some("aaaa0000"), 1, "paused", "12"),
        member("aaaa0001", "unit", Some("aaaa0000"), 1, "completed", "11"),
        top,
    ]
}

/// The queue in which the sample build is waiting.
pub(crate) fn queue() -> QueueView {
    QueueView {
        key: Some("cargo".to_owned()),
        slots: Some(1),
        running: 1,
        waiting: 2,
        oldest_at: Some("2026-11-21T01:47:00Z".to_owned()),
        oldest_wait_ms: Some(180_000),
        holders: vec![running().id],
        waiters: vec![queued().id, failed().id],
        ..QueueView::default()
    }
}

/// List of all queues: the processes without a key, a queue with waiting processes, a held queue, and a limit of an
/// unused key.
pub(crate) fn listing() -> QueueListing {
    let held = QueueView {
        key: Some("deploy".to_owned()),
        slots: Some(2),
        held: Some(HoldView { since: "2026-11-21T01:45:00Z".to_owned(), by: Some("ada".to_owned()) }),
        waiting: 1,
        oldest_wait_ms: Some(30_000),
        ..QueueView::default()
    };
    QueueListing {
        queues: vec![QueueView { running: 3, ..QueueView::default() }, queue(), held],
        slots: [("cargo".to_owned(), 1), ("claude-*".to_owned(), 4)].into(),
        default_slots: 1,
        at: NOW.to_owned(),
    }
}

/// The reason why the sample build is waiting.
pub(crate) fn why() -> WhyView {
    WhyView {
        id: queued().id,
        name: Some("build".to_owned()),
        status: "pending".to_owned(),
        why: "queued".to_owned(),
        reason: "it waits for a slot of the key cargo".to_owned(),
        key: Some("cargo".to_owned()),
        position: Some(2),
        ahead: Some(1),
        slots: Some(1),
        holders: vec![HolderView {
            id: running().id,
            name: Some("tests".to_owned()),
            status: Some("running".to_owned()),
            started_at: running().started_at,
        }],
        queued_at: queued().queued_at,
        at: NOW.to_owned(),
        ..WhyView::default()
    }
}

/// Statistics with two levels.
pub(crate) fn stats() -> StatsView {
    let counts = |completed, failed, timeout| {
        [("completed", completed), ("failed", failed), ("timeout", timeout)]
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(status, count)| (status.to_owned(), count))
            .collect()
    };
    let roots = LevelStatsView {
        level: Some(0),
        live: 1,
        by_status: counts(2, 1, 0),
        failures: 1,
        restarts: 1,
        mean_ms: Some(1_234),
        p95_ms: Some(125_000),
        usage: Some(SumUsageView {
            processes: 3,
            cpu_ms: 61_000,
            memory_bytes: 12 << 20,
            read_bytes: Some(1_024),
            written_bytes: None,
        }),
        uptime_ms: Some(125_000),
    };
    let children = LevelStatsView {
        level: Some(1),
        by_status: counts(3, 0, 1),
        failures: 1,
        ..LevelStatsView::default()
    };
    let total = LevelStatsView { level: None, by_status: counts(5, 1, 1), failures: 2, ..roots.clone() };
    StatsView { levels: vec![roots, children], total, at: NOW.to_owned(), ..StatsView::default() }
}
