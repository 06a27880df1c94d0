//! Measures the cost of a start. Run by hand:
//! `cargo test --release -p longhaul-adapters --features os,system -- --ignored measure`.

use crate::bench::{Bench, key};
use longhaul_adapters::os::ContainmentChoice;
use longhaul_domain::{CommandSpec, Observation};
use longhaul_ports::Spawner;
use std::time::{Duration, Instant};

const RUNS: u128 = 200;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn measure_the_cost_of_a_start() {
    for containment in [ContainmentChoice::Subreaper, ContainmentChoice::Auto, ContainmentChoice::Group] {
        let bench = Bench::with(containment);
        let (mut starts, mut lives) = (Vec::new(), Vec::new());
        let mut mechanism = None;
        for number in 0..RUNS {
            let mut order = bench.order(key(number), "");
            order.command = CommandSpec::of("/bin/true", &[], "/");
            let begin = Instant::now();
            bench.spawner.start(order).await.unwrap();
            match bench.next().await {
                Observation::Spawned { containment, .. } => mechanism = containment,
                other => panic!("{other:?}"),
            }
            starts.push(begin.elapsed());
            bench.exited().await;
            lives.push(begin.elapsed());
            bench.spawner.end_recorded(key(number)).await;
        }
        let (start, life) = (median(&mut starts), median(&mut lives));
        eprintln!("{containment:?} ({mechanism:?}): started after {start:?}, ended after {life:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn measure_the_resources_of_a_running_command() {
    let bench = Bench::new();
    let (memory, files) = (resident(), descriptors());
    for number in 0..RUNS {
        let mut order = bench.order(key(number), "");
        order.command = CommandSpec::of("/bin/sleep", &["3600"], "/");
        bench.spawner.start(order).await.unwrap();
        bench.spawned().await;
    }
    let count = usize::try_from(RUNS).unwrap();
    let grown = resident().saturating_sub(memory) / count;
    eprintln!("{grown} bytes and {} descriptors each", (descriptors() - files) / count);
    for number in 0..RUNS {
        bench.spawner.stop(key(number), crate::bench::by_user(true)).await.unwrap();
        bench.exited().await;
    }
}

/// Returns the CPU time of this program. It does not depend on the load of the machine.
fn spent() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap()
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn measure_the_cost_of_an_inspection() {
    for (processes, listens) in [(1, false), (100, false), (1_000, false), (1_000, true)] {
        let bench = Bench::new();
        let listener = listens.then(|| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let script =
            format!("i=1; while [ $i -lt {processes} ]; do sleep 3600 & i=$((i+1)); done; echo ready; cat");
        bench.start_reading(key(1), "sh", &["-c", &script]).await;
        bench.spawned().await;
        bench.says(key(1), "ready").await;
        crate::bench::until(async || bench.inspect(key(1)).await.waits_for_input).await;
        let (mut looks, mut usages) = (Vec::new(), Vec::new());
        for _ in 0..20 {
            let begin = spent();
            assert!(bench.inspect(key(1)).await.waits_for_input);
            looks.push(spent() - begin);
            let begin = spent();
            bench.spawner.usage(key(1)).await.unwrap();
            usages.push(spent() - begin);
        }
        let (look, usage) = (median(&mut looks), median(&mut usages));
        eprintln!("{processes} processes, a port is open: {listens}: inspection {look:?}, usage {usage:?}");
        drop(listener);
        bench.spawner.stop(key(1), crate::bench::by_user(true)).await.unwrap();
        bench.exited().await;
    }
}
