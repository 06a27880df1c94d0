use crate::world::{World, command, reported, retrying, seconds};
use longhaul_domain::{Action, AttemptNo, Level, ProcessId, SessionId, Spec, Status};
use longhaul_engine::ports::{
    AttemptKey, OutputLog, OutputSource, PageRequest, ProcessFilter, SortOrder, StoredProcess,
};
use longhaul_engine::{Launch, Launcher, LevelStats, ProcessStats};
use std::collections::BTreeMap;
use std::time::Duration;

/// A simple random number generator, sufficient to build different trees.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

impl World {
    async fn child(&self, spec: Spec, parent: Option<ProcessId>) -> Option<ProcessId> {
        let launch = Launch { spec, parent, launcher: Launcher::Parent, captured: None, no_queue: false };
        self.engine.launch(launch).await.ok().map(|launched| launched.stored.process.id)
    }

    async fn forest(&self, chance: &mut Chance) {
        let mut ids = Vec::new();
        for _ in 0..40 {
            let millis = chance.below(5_000);
            let spec = match chance.below(7) {
                0 => command("run"),
                1 => command(&format!("exit 1 {millis}")),
                2 => command(&format!("lost {millis}")),
                3 => retrying("exit 1", 2),
                4 => reported(|_| {}),
                5 => command("stubborn"),
                _ => command(&format!("exit 0 {millis}")),
            };
            let session = SessionId::new(if chance.below(2) == 0 { "one" } else { "two" }).unwrap();
            let spec = Spec { session: Some(session), ..spec };
            let place = usize::try_from(chance.below(1 + ids.len() as u64)).unwrap();
            if let Some(id) = self.child(spec, ids.get(place).copied()).await {
                ids.push(id);
            }
            self.pass(Duration::from_millis(chance.below(800))).await;
            if chance.below(5) == 0 && !ids.is_empty() {
                let place = usize::try_from(chance.below(ids.len() as u64)).unwrap();
                let _ = match chance.below(3) {
                    0 => self.ask(ids[place], Action::Pause).await.is_ok(),
                    1 => self.engine.restart(ids[place], None).await.is_ok(),
                    _ => {
                        let cause = longhaul_domain::StopCause::User;
                        self.ask(ids[place], Action::Cancel { cause }).await.is_ok()
                    }
                };
            }
        }
    }

    async fn matching(&self, filter: &ProcessFilter) -> Vec<StoredProcess> {
        let page = PageRequest { order: SortOrder::OldestFirst, after: None, limit: 1_000 };
        self.engine.list(filter, &page).await.unwrap().processes
    }
}

/// Computes the expected statistics in the simplest way.
fn recount(records: &[&StoredProcess]) -> LevelStats {
    let of = |fits: &dyn Fn(&Status) -> bool| {
        records.iter().filter(|stored| fits(&stored.process.status())).count() as u64
    };
    let by_status = Status::ALL.into_iter().map(|status| (status, of(&|found| *found == status)));
    let spans: Vec<Duration> = records
        .iter()
        .filter_map(|stored| Some(stored.process.completed_at()?.since(stored.process.started_at?)))
        .collect();
    let is_enough =
        |limit: &Duration| spans.iter().filter(|span| *span <= limit).count() * 100 >= spans.len() * 95;
    let millis: u128 = spans.iter().map(Duration::as_millis).sum();
    LevelStats {
        live: of(&|status| !status.is_ended()),
        by_status: by_status.filter(|(_, count)| *count > 0).collect(),
        failures: of(&|status| matches!(status, Status::Failed | Status::Timeout | Status::Interrupted)),
        restarts: records
            .iter()
            .map(|stored| {
                let process = &stored.process;
                u64::from(process.retries) + u64::from(process.lineage.restarted_from.is_some())
            })
            .sum(),
        mean: millis
            .checked_div(spans.len() as u128)
            .map(|mean| Duration::from_millis(mean.try_into().unwrap())),
        p95: spans.iter().filter(|span| is_enough(span)).min().copied(),
    }
}

fn recounted(records: &[StoredProcess]) -> ProcessStats {
    let mut levels: BTreeMap<Level, Vec<&StoredProcess>> = BTreeMap::new();
    for stored in records {
        levels.entry(stored.process.lineage.level()).or_default().push(stored);
    }
    ProcessStats {
        levels: levels.into_iter().map(|(level, of)| (level, recount(&of))).collect(),
        total: recount(&records.iter().collect::<Vec<_>>()),
        damaged: Vec::new(),
        unverified: Vec::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn output_is_measured_until_the_record_contains_its_size() {
    let world = World::new().await;
    let (id, gone) = (world.launch("run").await, world.launch("lost 10").await);
    let waits = Spec { not_before: Some(longhaul_domain::Timestamp(i64::MAX)), ..command("run") };
    let waits = world.launch_spec(waits).await;
    let reports = world.launch_spec(reported(|_| {})).await;
    world.settle().await;
    let written = async |id| world.engine.written(&world.stored(id).await).await;
    assert_eq!((written(id).await, written(waits).await, written(reports).await), (Some(0), None, None));
    let before = world.stored(id).await;
    for id in [id, gone] {
        let key = AttemptKey { id, attempt: AttemptNo(1) };
        world.spawner.output().write(key, OutputSource::Stdout, b"hello\n");
    }
    assert_eq!(written(id).await, Some(6));
    assert_eq!(world.stored(id).await, before, "the statistics cause no commit");
    world.cancel(id).await;
    world.end(id).await;
    world.end(gone).await;
    assert_eq!(written(id).await, None, "the exit contains it");
    assert_eq!(
        written(gone).await,
        Some(6),
        "no other record counts the output of a process whose end was not observed"
    );
    world.spawner.output().remove(gone).await.unwrap();
    assert_eq!(written(gone).await, None);
}

#[tokio::test(start_paused = true)]
async fn statistics_equal_a_plain_recount_and_their_total_is_the_sum_of_the_levels() {
    let mut deepest = 0;
    for seed in 0..12 {
        let world = World::with(|settings| settings.max_parallel = 0).await;
        world.forest(&mut Chance(seed)).await;
        let session =
            ProcessFilter { session: Some(SessionId::new("one").unwrap()), ..ProcessFilter::default() };
        for scope in [ProcessFilter::default(), session] {
            let stats = world.engine.stats(&scope).await.unwrap();
            assert_eq!(stats, recounted(&world.matching(&scope).await), "seed {seed}");
            let sum = |of: &dyn Fn(&LevelStats) -> u64| stats.levels.values().map(of).sum::<u64>();
            assert_eq!(stats.total.live, sum(&|level| level.live));
            assert_eq!(stats.total.failures, sum(&|level| level.failures));
            assert_eq!(stats.total.restarts, sum(&|level| level.restarts));
            for (status, count) in &stats.total.by_status {
                assert_eq!(*count, sum(&|level| level.by_status.get(status).copied().unwrap_or(0)));
            }
            deepest = deepest.max(stats.levels.len());
        }
    }
    assert!(deepest > 2, "the forests were flat");
}

#[tokio::test(start_paused = true)]
async fn statistics_of_a_tree_count_its_top() {
    let world = World::new().await;
    let top = world.launch("run").await;
    world.child(command("run"), Some(top)).await.unwrap();
    world.launch("run").await;
    let scope = ProcessFilter { ancestor: Some(top), ..ProcessFilter::default() };
    let stats = world.engine.stats(&scope).await.unwrap();
    let live: Vec<(u8, u64)> = stats.levels.iter().map(|(level, stats)| (level.0, stats.live)).collect();
    assert_eq!((live, stats.total.live), (vec![(0, 1), (1, 1)], 2));
}

#[tokio::test(start_paused = true)]
async fn statistics_of_nothing_are_empty() {
    let world = World::new().await;
    assert_eq!(world.engine.stats(&ProcessFilter::default()).await.unwrap(), ProcessStats::default());
    let id = world.launch_spec(Spec { not_before: None, ..command("exit 0 3000") }).await;
    world.end(id).await;
    let stats = world.engine.stats(&ProcessFilter::default()).await.unwrap();
    assert_eq!((stats.total.mean, stats.total.p95), (Some(seconds(3)), Some(seconds(3))));
}
