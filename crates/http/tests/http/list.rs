use crate::world::{World, command, millis, with};
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn list_shows_live_processes_newest_first_in_pages() {
    let world = World::new().await;
    let ended = world.launch("exit 0").await;
    world.pass(millis(10)).await;
    let mut live = Vec::new();
    for _ in 0..3 {
        live.push(world.launch("run").await);
    }
    live.reverse();
    assert_eq!(ids(&world, "").await.0, live);
    assert_eq!(ids(&world, "status=completed").await.0, [ended]);
    assert_eq!(ids(&world, "all=true").await.0.len(), 4);
    let (first, cursor) = ids(&world, "limit=2").await;
    let (second, end) = ids(&world, &format!("limit=2&cursor={}", cursor.unwrap())).await;
    assert_eq!([first, second].concat(), live);
    assert_eq!(end, None);
}

#[tokio::test(start_paused = true)]
async fn filters_narrow_the_list() {
    let world = World::new().await;
    let a = with(with(command("run"), "session_id", json!("s 1")), "project", json!("atlas"));
    let a = world.post("/v1/processes", with(a, "type", json!("custom:x"))).await.json();
    let a = a["process"]["id"].as_str().unwrap().to_owned();
    world.launch("run").await;
    for query in ["session=s%201", "project=atlas", "type=custom:x", &format!("prefix={}", &a[..6])] {
        assert_eq!(ids(&world, query).await.0, [a.as_str()], "{query}");
    }
    for query in ["session=none", "node=elsewhere", "key=none"] {
        assert!(ids(&world, query).await.0.is_empty(), "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn misspelt_filter_lists_nothing_but_the_mistake() {
    let world = World::new().await;
    for query in [
        "sesion=s",
        "limit=5&limit=6",
        "limit=0",
        "limit=x",
        "status=lost",
        "all=perhaps",
        "cursor=-1",
        "prefix=xyz",
    ] {
        let problem = world.get(&format!("/v1/processes?{query}")).await.problem();
        assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"), "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn unknown_value_of_a_filter_is_refused_with_the_known_ones() {
    let world = World::new().await;
    for (query, known) in
        [("type=test_siute", "test_suite"), ("not_type=hooks", "test_suite"), ("status=fialed", "failed")]
    {
        let problem = world.get(&format!("/v1/processes?{query}")).await.problem();
        assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"), "{query}");
        assert!(problem.detail.unwrap().contains(known), "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn list_and_its_rows_contain_the_time_of_the_last_change() {
    let world = World::new().await;
    let list = async || world.get("/v1/processes").await.json();
    assert!(list().await["last_changed"].is_null(), "nothing has happened yet");
    let (first, second) = (world.launch("run").await, world.launch("exit 0 60000").await);
    world.pass(millis(10)).await;
    let before = list().await;
    world.pass(millis(20_000)).await;
    let same = list().await;
    assert_eq!(before["last_changed"], same["last_changed"]);
    assert_ne!(before["at"], same["at"]);
    world.patch(&format!("/v1/processes/{first}"), json!({ "progress": 40 })).await;
    let reported = list().await;
    assert_ne!(reported["last_changed"], before["last_changed"]);
    let row = |list: &serde_json::Value, id: &str| {
        let rows = list["processes"].as_array().unwrap();
        rows.iter().find(|row| row["id"] == id).unwrap()["updated_at"].clone()
    };
    assert_eq!(row(&reported, &first), reported["last_changed"]);
    assert_eq!(row(&reported, &second), row(&before, &second));
    world.pass(millis(60_000)).await;
    let ended = list().await;
    assert_eq!(ended["processes"].as_array().unwrap().len(), 1);
    assert!(
        ended["last_changed"].as_str() > reported["last_changed"].as_str(),
        "a process has left the list"
    );
}

async fn ids(world: &World, query: &str) -> (Vec<String>, Option<String>) {
    let answer = world.get(&format!("/v1/processes?{query}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let list = answer.json();
    assert!(list["at"].is_string());
    let processes = list["processes"].as_array().unwrap();
    let ids = processes.iter().map(|process| process["id"].as_str().unwrap().to_owned()).collect();
    (ids, list["cursor"].as_str().map(str::to_owned))
}
