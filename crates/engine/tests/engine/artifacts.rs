use crate::attention::adjusted;
use crate::world::{World, retrying, seconds};
use longhaul_domain::{ArtifactPattern, CommandSpec, Spec, Status, Work};
use longhaul_engine::ports::AttemptKey;

fn keep_xml(command: &mut CommandSpec) {
    "/w".clone_into(&mut command.directory);
    command.artifacts = vec![ArtifactPattern::new("*.xml").unwrap()];
}

fn keeping(words: &str) -> Spec {
    adjusted(words, keep_xml)
}

impl World {
    /// Returns the paths of the artifacts of an attempt, or `None` if they were not copied.
    async fn kept(&self, key: AttemptKey) -> Option<Vec<String>> {
        let list = self.engine.artifacts(key).await.unwrap()?;
        Some(list.files.into_iter().map(|file| file.path).collect())
    }
}

#[tokio::test(start_paused = true)]
async fn artifacts_can_be_read_as_soon_as_the_end_is_visible() {
    let world = World::new().await;
    for (words, status) in [("exit 0", Status::Completed), ("exit 3", Status::Failed)] {
        world.spawner.artifacts().write("/w/a.xml", b"content");
        world.spawner.artifacts().write("/w/b.txt", b"other");
        let id = world.launch_spec(keeping(words)).await;
        assert_eq!(world.end(id).await, status);
        let key = world.key(id).await;
        assert_eq!(world.kept(key).await.unwrap(), ["a.xml"]);
        let part = world.engine.read_artifact(key, "a.xml", 0, 100).await.unwrap();
        assert_eq!(part.bytes, b"content");
        assert!(world.engine.read_artifact(key, "b.txt", 0, 100).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn cancelled_attempt_keeps_its_files_and_a_running_one_has_none_yet() {
    let world = World::new().await;
    let id = world.launch_spec(keeping("run")).await;
    world.pass(seconds(1)).await;
    world.spawner.artifacts().write("/w/a.xml", b"x");
    let key = world.key(id).await;
    assert_eq!(world.kept(key).await, None);
    world.cancel(id).await;
    assert_eq!(world.end(id).await, Status::Cancelled);
    assert_eq!(world.kept(key).await.unwrap(), ["a.xml"]);
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_artifacts_of_its_own() {
    let world = World::new().await;
    let mut spec = retrying("exit 1", 1);
    if let Work::Command(command) = &mut spec.work {
        keep_xml(command);
    }
    let id = world.launch_spec(spec).await;
    assert_eq!(world.end(id).await, Status::Failed);
    assert_eq!(world.spawner.artifacts().collected().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn command_without_patterns_is_not_searched() {
    let world = World::new().await;
    let id = world.launch("exit 0").await;
    world.end(id).await;
    assert_eq!(world.spawner.artifacts().collected(), []);
}

#[tokio::test(start_paused = true)]
async fn the_next_manager_copies_the_files_of_a_command_that_ended_without_one() {
    let mut world = World::new().await;
    let id = world.launch_spec(keeping("run")).await;
    world.pass(seconds(1)).await;
    world.engine.abandon();
    world.settle().await;
    let key = world.key(id).await;
    world.spawner.artifacts().write("/w/a.xml", b"x");
    world.spawner.exit(key, 0);
    world.crash().await;
    world.settle().await;
    assert_eq!(world.status(id).await, Status::Completed);
    assert_eq!(world.kept(key).await.unwrap(), ["a.xml"]);
}
