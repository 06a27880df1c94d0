use crate::world::World;

#[tokio::test(start_paused = true)]
async fn manager_is_ready_while_its_store_answers() {
    let world = World::new().await;
    let answer = world.get("/v1/ready").await;
    assert_eq!((answer.status.as_u16(), answer.json()["status"].as_str()), (200, Some("ready")));
    assert_eq!(answer.json()["recovery_pending"].as_u64(), Some(0));
    world.store.set_down(true);
    let problem = world.get("/v1/ready").await.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (503, "not_ready"));
    assert!(problem.detail.is_some());
    assert_eq!(world.get("/v1/health").await.status, 200);
    world.store.set_down(false);
    assert_eq!(world.get("/v1/ready").await.status, 200);
}
