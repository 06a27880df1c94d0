use crate::world::{World, command, millis};
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn whole_record_has_every_field_whether_it_applies_or_not() {
    let world = World::new().await;
    let mut launch = command("exit 9 250");
    for (field, value) in [
        ("type", json!("build")),
        ("session_id", json!("s-1")),
        ("agent_id", json!("a-1")),
        ("capabilities", json!(["rust"])),
        ("key", json!("opus")),
        ("priority", json!(-3)),
        ("children", json!("cancel")),
        ("on_session_end", json!("grace")),
        ("session_grace_ms", json!(30_000)),
    ] {
        launch[field] = value;
    }
    launch["command"]["limits"] = json!({ "cpu_seconds": 10 });
    let id = world.submit(launch).await;
    world.pass(millis(1_000)).await;
    let shown = world.show(&id).await;
    let golden: Value = serde_json::from_str(include_str!("golden/process.json")).unwrap();
    assert_eq!(shown, golden, "shown now:\n{shown:#}");
}
