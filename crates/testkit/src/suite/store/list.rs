//! Rules about loading and listing records.

use super::world::{StoreFixture, cancel, ids};
use crate::suite::must;
use longhaul_domain::{
    AgentId, Level, NodeId, ProcessId, ProcessName, ProcessType, ProjectName, ReportedSpec, Seq, SessionId,
    SlotKey, Status, Work,
};
use longhaul_ports::{Listing, PageKey, PageRequest, ProcessFilter, SortOrder, StoredProcess};

const fn page(order: SortOrder, after: Option<PageKey>, limit: u32) -> PageRequest {
    PageRequest { order, after, limit }
}

async fn listed(world: &StoreFixture, filter: &ProcessFilter) -> Vec<ProcessId> {
    let all = page(SortOrder::OldestFirst, None, 1000);
    ids(&must(world.store.list(filter, &all).await).processes)
}

/// Lists all pages by following the cursors.
async fn all_pages(
    world: &StoreFixture,
    filter: &ProcessFilter,
    order: SortOrder,
    limit: u32,
) -> Vec<StoredProcess> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let Listing { processes, next, .. } =
            must(world.store.list(filter, &page(order, after, limit)).await);
        assert!(processes.len() <= usize::try_from(limit).unwrap_or(usize::MAX));
        found.extend(processes);
        match next {
            Some(next) => {
                assert_ne!(after, Some(next), "a cursor has to get on");
                after = Some(next);
            }
            None => return found,
        }
    }
}

/// Records are loaded in the order of the requested ids. The answer contains `None` for an unknown id, and a repeated
/// id returns its record each time.
pub async fn records_are_loaded_in_the_requested_order(world: &StoreFixture) {
    let first = world.submit(world.draft()).await;
    let second = world.submit(world.draft()).await;
    let missing = world.draft().id;
    let (one, two) = (first.process.id, second.process.id);
    let found = must(world.store.load(&[two, missing, one, two]).await);
    assert_eq!(found, [Some(second.clone()), None, Some(first), Some(second)]);
    assert_eq!(must(world.store.load(&[]).await), []);
}

/// By default, pages list the newest process first. Each page continues at the end of the previous page.
pub async fn pages_list_the_newest_process_first(world: &StoreFixture) {
    let mut submitted = Vec::new();
    for _ in 0..7 {
        submitted.push(world.submit(world.draft()).await.process.id);
    }
    let filter = ProcessFilter::default();
    let oldest = all_pages(world, &filter, SortOrder::OldestFirst, 3).await;
    assert_eq!(ids(&oldest), submitted);
    submitted.reverse();
    let newest = all_pages(world, &filter, SortOrder::default(), 3).await;
    assert_eq!(ids(&newest), submitted);
    let whole = page(SortOrder::NewestFirst, None, 7);
    assert_eq!(must(world.store.list(&filter, &whole).await).processes.len(), 7);
}

/// A page contains at least one and at most a thousand records, regardless of the requested size.
pub async fn a_page_contains_one_to_a_thousand_records(world: &StoreFixture) {
    let mut submits = tokio::task::JoinSet::new();
    for _ in 0..1_001 {
        let new = world.submission(world.draft().reported()).await;
        let store = world.store.clone();
        submits.spawn(async move { store.submit(new).await });
    }
    for submitted in submits.join_all().await {
        must(submitted);
    }
    for order in [SortOrder::NewestFirst, SortOrder::OldestFirst] {
        let mut counts = Vec::new();
        let mut after = None;
        for limit in [0, u32::MAX, 1_001] {
            let listing = must(world.store.list(&ProcessFilter::default(), &page(order, after, limit)).await);
            counts.push(listing.processes.len());
            after = listing.next;
            if after.is_none() {
                break;
            }
        }
        let whole = must(world.store.list(&ProcessFilter::default(), &page(order, None, 1_001)).await);
        assert!(whole.next.is_some(), "a page of a thousand leaves one for the next");
        assert_eq!((counts.as_slice(), whole.processes.len()), ([1, 1_000].as_slice(), 1_000), "{order:?}");
    }
}

/// While a reader goes through the pages, submissions and changes never make a record appear twice or vanish.
pub async fn pages_are_stable_during_changes(world: &StoreFixture) {
    let mut submitted = Vec::new();
    for _ in 0..10 {
        submitted.push(world.submit(world.draft()).await);
    }
    for order in [SortOrder::NewestFirst, SortOrder::OldestFirst] {
        let mut found: Vec<ProcessId> = Vec::new();
        let mut after: Option<PageKey> = None;
        loop {
            let listing = must(world.store.list(&ProcessFilter::default(), &page(order, after, 3)).await);
            found.extend(ids(&listing.processes));
            world.submit(world.draft()).await;
            if let Some(stored) = submitted.iter().find(|stored| found.contains(&stored.process.id)) {
                let present = world.load(stored.process.id).await;
                must(world.turn(&present, cancel()).await);
            }
            after = listing.next;
            // In this order, new records are added after the last page, so the loop must be ended explicitly.
            if after.is_none() || found.len() > 40 {
                break;
            }
            if order == SortOrder::OldestFirst
                && submitted.iter().all(|stored| found.contains(&stored.process.id))
            {
                break;
            }
        }
        for stored in &submitted {
            let times = found.iter().filter(|id| **id == stored.process.id).count();
            assert_eq!(times, 1, "{order:?}");
        }
    }
}

/// A cursor is valid even if the record at its position was pruned or never existed.
pub async fn a_cursor_needs_no_record(world: &StoreFixture) {
    let stored = world.submit(world.draft()).await;
    let before = page(SortOrder::NewestFirst, Some(PageKey(Seq(stored.seq.0 + 1000))), 5);
    let listing = must(world.store.list(&ProcessFilter::default(), &before).await);
    assert_eq!(ids(&listing.processes), [stored.process.id]);
    let behind = page(SortOrder::OldestFirst, Some(PageKey(Seq(stored.seq.0 + 1000))), 5);
    let listing = must(world.store.list(&ProcessFilter::default(), &behind).await);
    assert_eq!((listing.processes, listing.next), (Vec::new(), None));
}

/// Each condition of a filter takes effect alone and in combination with others.
pub async fn each_condition_of_a_filter_takes_effect(world: &StoreFixture) {
    let lease = world.node("a").await;
    let mut draft = world.draft().key("k").session("s");
    draft.spec.project = Some(must(ProjectName::new("p")));
    draft.spec.name = Some(must(ProcessName::new("n")));
    draft.spec.agent.agent_id = Some(must(AgentId::new("g")));
    draft.spec.kind = ProcessType::Build;
    let root = world.run(draft, &lease).await;
    let child = world.run(world.draft().child_of(&root), &lease).await;
    let plain = world.submit(world.draft()).await.process.id;
    let grandchild = world.submit(world.draft().child_of(&child)).await.process.id;
    let mut elsewhere = world.draft();
    elsewhere.spec.work =
        Work::Reported(ReportedSpec { node: Some(must(NodeId::new("label"))), ..ReportedSpec::default() });
    let elsewhere = world.submit(elsewhere).await.process.id;
    let ended = world.submit(world.draft().session("s")).await;
    let ended = must(world.turn(&ended, cancel()).await).process.id;
    let (root, child) = (root.process.id, child.process.id);
    let any = ProcessFilter::default;
    let checks: Vec<(&str, ProcessFilter, Vec<ProcessId>)> = vec![
        ("all", any(), vec![root, child, plain, grandchild, elsewhere, ended]),
        (
            "status",
            ProcessFilter { statuses: vec![Status::Cancelled, Status::Pending], ..any() },
            vec![plain, grandchild, ended],
        ),
        ("session", ProcessFilter { session: Some(must(SessionId::new("s"))), ..any() }, vec![root, ended]),
        ("project", ProcessFilter { project: Some(must(ProjectName::new("p"))), ..any() }, vec![root]),
        ("name", ProcessFilter { name: Some(must(ProcessName::new("n"))), ..any() }, vec![root]),
        ("node", ProcessFilter { node: Some(lease.node.clone()), ..any() }, vec![root, child]),
        ("label", ProcessFilter { node: Some(must(NodeId::new("label"))), ..any() }, vec![elsewhere]),
        ("owner", ProcessFilter { owner: Some(lease.node.clone()), ..any() }, vec![root, child]),
        ("no owner", ProcessFilter { owner: Some(must(NodeId::new("label"))), ..any() }, vec![]),
        ("parent", ProcessFilter { parent: Some(root), ..any() }, vec![child]),
        ("ancestor", ProcessFilter { ancestor: Some(root), ..any() }, vec![child, grandchild]),
        ("level", ProcessFilter { level: Some(Level(2)), ..any() }, vec![grandchild]),
        ("key", ProcessFilter { key: Some(must(SlotKey::new("k"))), ..any() }, vec![root]),
        ("agent", ProcessFilter { agent: Some(must(AgentId::new("g"))), ..any() }, vec![root]),
        ("kind", ProcessFilter { kind: Some(ProcessType::Build), ..any() }, vec![root]),
        (
            "other kinds",
            ProcessFilter { not_kind: Some(ProcessType::Build), ..any() },
            vec![child, plain, grandchild, elsewhere, ended],
        ),
        (
            "other kinds of a session",
            ProcessFilter {
                session: Some(must(SessionId::new("s"))),
                not_kind: Some(ProcessType::Build),
                ..any()
            },
            vec![ended],
        ),
        (
            "a kind and no kind",
            ProcessFilter { not_kind: Some(ProcessType::Build), kind: Some(ProcessType::Build), ..any() },
            vec![],
        ),
        (
            "prefix",
            ProcessFilter { id_prefix: Some(child.to_string().chars().take(11).collect()), ..any() },
            vec![child],
        ),
        ("whole id", ProcessFilter { id_prefix: Some(child.to_string()), ..any() }, vec![child]),
        ("no prefix", ProcessFilter { id_prefix: Some("%".to_owned()), ..any() }, vec![]),
        (
            "two",
            ProcessFilter {
                session: Some(must(SessionId::new("s"))),
                statuses: vec![Status::Cancelled],
                ..any()
            },
            vec![ended],
        ),
        ("none", ProcessFilter { session: Some(must(SessionId::new("S"))), ..any() }, vec![]),
    ];
    for (what, filter, expected) in checks {
        assert_eq!(listed(world, &filter).await, expected, "by {what}");
        let newest = all_pages(world, &filter, SortOrder::NewestFirst, 1).await;
        let mut newest = ids(&newest);
        newest.reverse();
        assert_eq!(newest, expected, "by {what}, page by page");
    }
}

/// An id prefix of one digit finds all ids that start with this digit.
pub async fn a_short_prefix_finds_every_matching_id(world: &StoreFixture) {
    let mut submitted = Vec::new();
    for _ in 0..40 {
        submitted.push(world.submit(world.draft()).await.process.id);
    }
    for digit in "0123456789abcdef".chars() {
        let expected: Vec<_> =
            submitted.iter().copied().filter(|id| id.to_string().starts_with(digit)).collect();
        let filter = ProcessFilter { id_prefix: Some(digit.to_string()), ..ProcessFilter::default() };
        assert_eq!(listed(world, &filter).await, expected);
    }
}

/// A session filter lists all processes of the session: live and ended, of every kind, on every node.
pub async fn a_session_lists_its_processes_on_every_node(world: &StoreFixture) {
    let [here, there] = [world.node("a").await, world.node("b").await];
    let session =
        |name: &str| ProcessFilter { session: Some(must(SessionId::new(name))), ..ProcessFilter::default() };
    let root = world.run(world.draft().session("s"), &here).await;
    world.run(world.draft().session("s2").child_of(&root), &here).await;
    let elsewhere = world.run(world.draft().session("s"), &there).await;
    let done = world.exit(&elsewhere, 0).await;
    let child = world.submit(world.draft().session("s").child_of(&root)).await;
    let reported = world.submit(world.draft().session("s").reported()).await;
    world.submit(world.draft()).await;
    world.submit(world.draft().session("S")).await;
    let expected = [&root, &done, &child, &reported].map(|stored| stored.process.id);
    assert_eq!(listed(world, &session("s")).await, expected);
    assert_eq!(listed(world, &session("none")).await, []);
    let live = ProcessFilter { statuses: vec![Status::Running], ..session("s") };
    assert_eq!(listed(world, &live).await, [root.process.id, reported.process.id]);
    let newest = all_pages(world, &session("s"), SortOrder::NewestFirst, 2).await;
    assert_eq!(ids(&newest).into_iter().rev().collect::<Vec<_>>(), expected);
}
