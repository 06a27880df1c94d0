//! Tests of the output tails in a shared store.

use crate::nodes::{Cluster, Node, id};
use crate::world::{command, seconds};
use longhaul_domain::{ProcessId, Status};
use longhaul_engine::EngineSettings;
use longhaul_engine::ports::{AttemptKey, NodeDescriptor, OutputSource, OutputTail};
use longhaul_testkit::fakes::{Fault, PortCall, ScriptedSpawner, SequentialIds};
use std::sync::Arc;

impl Cluster {
    /// Starts a node that stores at most this many bytes of each output.
    async fn node_with_tails(&self, name: &str, seed: u64, bytes: u32) -> Node {
        let facts =
            NodeDescriptor { id: id(name), home: None, boot: "b".to_owned(), version: "0".to_owned() };
        let settings = EngineSettings { output_tail_bytes: bytes, ..EngineSettings::of(facts) };
        let spawner = Arc::new(ScriptedSpawner::new(self.clock.clone()));
        self.start(settings, spawner, Arc::new(SequentialIds::seeded(seed))).await
    }
}

impl Node {
    /// Runs a command that writes this output and exits after one second.
    async fn says(&self, cluster: &Cluster, output: &[u8]) -> ProcessId {
        let process = self.launch(command("exit 0 1000")).await;
        cluster.pass(seconds(1) / 2).await;
        let key = AttemptKey { id: process, attempt: self.stored(process).await.process.attempt };
        self.spawner.output().write(key, OutputSource::Stdout, output);
        cluster.pass(seconds(1)).await;
        process
    }

    async fn tail(&self, process: ProcessId) -> Option<OutputTail> {
        self.engine.load_tail(process).await.unwrap().map(|(_, tail)| tail)
    }
}

fn bytes_of(tail: &OutputTail) -> Vec<u8> {
    tail.chunks.iter().flat_map(|chunk| chunk.bytes.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn the_last_output_can_be_read_on_every_node_after_the_end() {
    let cluster = Cluster::new();
    let a = cluster.node_with_tails("a", 1, 100_000).await;
    let b = cluster.node("b", 2).await;
    let output: Vec<u8> = (0..150_000_u32).map(|place| (place % 251) as u8).collect();
    let process = a.says(&cluster, &output).await;
    assert_eq!(b.status(process).await, Status::Completed);
    let tail = b.tail(process).await.unwrap();
    assert_eq!(tail.total, 150_000);
    assert!(bytes_of(&tail) == output[50_000..], "it is the end of the output");
    assert_eq!(tail.chunks[0].offset, 50_000);
    let (attempt, _) = b.engine.load_tail(process).await.unwrap().unwrap();
    assert_eq!(attempt.0, 1);
}

#[tokio::test(start_paused = true)]
async fn no_tail_is_stored_of_a_silent_command_or_where_the_node_stores_none() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node_with_tails("b", 2, 0).await);
    let silent = a.says(&cluster, b"").await;
    assert_eq!((a.status(silent).await, a.tail(silent).await), (Status::Completed, None));
    let process = b.says(&cluster, b"hello").await;
    assert_eq!((b.status(process).await, b.tail(process).await), (Status::Completed, None));
}

#[tokio::test(start_paused = true)]
async fn tail_that_the_store_did_not_take_is_stored_with_the_next_try_to_record_the_end() {
    for (fault, stored) in [(Fault::Unavailable, true), (Fault::Full, false)] {
        let cluster = Cluster::new();
        let a = cluster.node("a", 1).await;
        let process = a.launch(command("exit 0 1000")).await;
        cluster.pass(seconds(1) / 2).await;
        let key = AttemptKey { id: process, attempt: a.stored(process).await.process.attempt };
        a.spawner.output().write(key, OutputSource::Stderr, b"oops");
        a.trouble.fail_on(PortCall::Tail, 1, fault);
        a.trouble.fail_on(PortCall::Commit, 1, Fault::Unavailable);
        cluster.pass(seconds(3)).await;
        assert_eq!(a.status(process).await, Status::Completed);
        let tail = a.tail(process).await;
        assert_eq!(tail.map(|tail| bytes_of(&tail)), stored.then(|| b"oops".to_vec()), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn tail_delays_the_record_of_an_end_by_a_second_at_most() {
    let cluster = Cluster::new();
    let a = cluster.node("a", 1).await;
    a.trouble.fail_on(PortCall::Tail, 1, Fault::Late(seconds(60)));
    let process = a.says(&cluster, b"hello").await;
    assert_eq!(a.status(process).await, Status::Running);
    cluster.pass(seconds(1)).await;
    assert_eq!(a.status(process).await, Status::Completed);
}
