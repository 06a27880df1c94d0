//! Rules about state directories: a node name belongs to one state directory as long as the node has a lease or owns
//! processes.

use super::lease::{GRACE, LEASE};
use super::world::{StoreFixture, node_id};
use crate::suite::{instead_of, kept, must, refused};
use longhaul_ports::{Lease, NodeDescriptor, NodeHome, StoreError, StoreRejection, StoredProcess};
use std::time::Duration;

const S: Duration = Duration::from_secs(1);

async fn join(world: &StoreFixture, name: &str, home: Option<&str>) -> Result<Lease, StoreError> {
    world.store.register(&facts(name, home)).await
}

fn facts(name: &str, home: Option<&str>) -> NodeDescriptor {
    let home = home.map(|home| NodeHome { id: home.to_owned(), place: place(home) });
    NodeDescriptor { id: node_id(name), home, boot: "a boot".to_owned(), version: "0.0.0".to_owned() }
}

fn place(home: &str) -> String {
    format!("/var/lib/{home} on a machine")
}

/// Checks that a registration was refused because the node name belongs to this state directory. There are two possible
/// reasons; both are accepted.
fn refused_for(home: &str, answer: Result<Lease, StoreError>) {
    match answer {
        Err(StoreError::Refused(
            StoreRejection::NameTaken { home: named, .. } | StoreRejection::NameHeld { home: named, .. },
        )) => assert_eq!(*named, NodeHome { id: home.to_owned(), place: place(home) }),
        answer => instead_of("a refusal that names the other home", &answer),
    }
}

/// While a node owns a process, a registration of its name from another state directory is refused. The refusal changes
/// neither the lease nor the owner.
pub async fn a_node_that_owns_processes_belongs_to_its_state_directory(world: &StoreFixture) {
    let lease = must(join(world, "a", Some("first")).await);
    let running = world.run(world.draft(), &lease).await;
    refused_for("first", join(world, "a", Some("second")).await);
    assert_eq!(world.load(running.process.id).await, running);
    must(world.store.renew_lease(&lease).await);
    let again = kept("its own home has the name at once", join(world, "a", Some("first")).await);
    assert_eq!(world.load(running.process.id).await, StoredProcess { owner: Some(again), ..running });
    kept("another name is free", join(world, "b", Some("second")).await);
}

/// If a node left with unfinished processes, its name still belongs to its state directory.
pub async fn a_node_that_left_with_unfinished_processes_belongs_to_its_state_directory(world: &StoreFixture) {
    let lease = must(join(world, "a", Some("first")).await);
    let running = world.run(world.draft(), &lease).await;
    must(world.store.leave(&lease).await);
    refused!(
        join(world, "a", Some("second")).await,
        StoreError::Refused(StoreRejection::NameHeld { node, home, open: 1, free_in: None })
            if *node == node_id("a") && home.id == "first"
    );
    let again = kept("its own home has the name at once", join(world, "a", Some("first")).await);
    assert_eq!(world.load(running.process.id).await.owner, Some(again));
}

/// If a node left without unfinished processes, any state directory may use its name.
pub async fn a_node_name_without_unfinished_processes_is_free_after_a_leave(world: &StoreFixture) {
    let lease = must(join(world, "a", Some("first")).await);
    let running = world.run(world.draft(), &lease).await;
    world.exit(&running, 0).await;
    must(world.store.leave(&lease).await);
    let next = kept("nothing is owned", join(world, "a", Some("second")).await);
    assert!(next.epoch > lease.epoch, "{next:?} after {lease:?}");
    world.run(world.draft(), &next).await;
    refused_for("second", join(world, "a", Some("first")).await);
}

/// A state directory is identified only by its id, because it may be moved to another path.
pub async fn a_moved_state_directory_is_the_same(world: &StoreFixture) {
    let lease = must(join(world, "a", Some("first")).await);
    world.run(world.draft(), &lease).await;
    let mut moved = facts("a", Some("first"));
    if let Some(home) = &mut moved.home {
        "/elsewhere".clone_into(&mut home.place);
    }
    kept("its id is the same", world.store.register(&moved).await);
    let refused = join(world, "a", Some("second")).await;
    refused!(
        refused,
        StoreError::Refused(StoreRejection::NameTaken { home, .. } | StoreRejection::NameHeld { home, .. })
            if home.place == "/elsewhere"
    );
}

/// A registration without a state directory takes over the name immediately. After that, any state directory may use
/// the name. In this way, a user transfers the processes of a lost state directory to another state directory.
pub async fn a_registration_without_a_state_directory_takes_over_the_name(world: &StoreFixture) {
    let lease = must(join(world, "a", Some("first")).await);
    let running = world.run(world.draft(), &lease).await;
    let without_home = kept("it names no home", join(world, "a", None).await);
    refused!(world.store.renew_lease(&lease).await, StoreError::Fenced { .. });
    assert_eq!(world.load(running.process.id).await.owner, Some(without_home));
    let second = kept("the home is not known", join(world, "a", Some("second")).await);
    assert_eq!(world.load(running.process.id).await.owner, Some(second));
    refused_for("second", join(world, "a", Some("first")).await);
}

/// The list of nodes shows the state directory of each node with the other facts of its registration.
pub async fn state_directories_of_nodes_are_listed(world: &StoreFixture) {
    must(join(world, "a", Some("first")).await);
    must(join(world, "b", None).await);
    let expected = [facts("a", Some("first")), facts("b", None)];
    let mut listed = must(world.store.nodes().await);
    listed.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(listed, expected);
    let known: Vec<NodeDescriptor> =
        must(world.store.list_nodes().await).into_iter().map(|node| node.facts).collect();
    assert_eq!(known, expected);
}

/// If leases expire, a registration from another state directory is refused during the lease, even if the node owns no
/// process.
pub async fn a_node_name_belongs_to_one_state_directory_during_its_lease(world: &StoreFixture) {
    must(join(world, "a", None).await);
    must(join(world, "a", Some("first")).await);
    world.clock.advance(S * 2);
    refused!(
        join(world, "a", Some("second")).await,
        StoreError::Refused(StoreRejection::NameTaken { node, home, heard })
            if *node == node_id("a") && home.id == "first" && *heard == S * 2
    );
    let lease = kept("its own home is back at once", join(world, "a", Some("first")).await);
    must(world.store.leave(&lease).await);
    kept("it was left", join(world, "a", Some("second")).await);
    refused_for("second", join(world, "a", Some("first")).await);
    world.clock.advance(LEASE + S);
    let lease = kept("the other lease is over", join(world, "a", Some("first")).await);
    must(world.store.renew_lease(&lease).await);
    refused_for("first", join(world, "a", Some("second")).await);
}

/// If leases expire, a silent node loses its processes when its lease and grace period are over. Another state
/// directory can then use its name.
pub async fn a_node_name_with_unfinished_processes_is_refused_to_other_state_directories(
    world: &StoreFixture,
) {
    let id = world.submit(world.draft()).await.process.id;
    let lease = must(join(world, "a", Some("first")).await);
    assert_eq!(world.claim(&lease).await.len(), 1);
    world.clock.advance(LEASE + S);
    refused!(
        join(world, "a", Some("second")).await,
        StoreError::Refused(StoreRejection::NameHeld { open: 1, free_in: Some(free_in), .. }) if *free_in == GRACE - S
    );
    kept("no process changed its owner", world.store.renew_lease(&lease).await);
    world.clock.advance(LEASE + GRACE);
    kept("what it owned is lost now", join(world, "a", Some("second")).await);
    let orphan = world.load(id).await;
    assert_eq!(orphan.owner, None, "{orphan:?}");
    refused!(world.store.renew_lease(&lease).await, StoreError::Fenced { .. });
}
