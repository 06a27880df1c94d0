//! Tests of `read_artifacts`.

use crate::world::{Era, World, launch, with};
use longhaul_testkit::fakes::FakeArtifactStore;
use serde_json::{Value, json};
use std::time::Duration;

/// Starts a command that keeps all files below its working directory, and returns its id after its end.
async fn ended(
    world: &World,
    client: &crate::world::Client,
    write: impl FnOnce(&FakeArtifactStore),
) -> Value {
    write(&world.artifacts);
    let asked = with(launch("exit 0"), "artifacts", json!(["**", "none"]));
    let asked = with(asked, "cwd", json!("/work"));
    let id = client.call("start_background_process", asked).await["process_id"].clone();
    world.pass(Duration::from_secs(1)).await;
    id
}

#[tokio::test]
async fn files_are_listed_and_read_in_pages_that_join() {
    let world = World::new().await;
    let client = world.client(Era::Stateless).await;
    let text: String = (0..3_000).map(|n| format!("zeile {n} \u{fc}\u{1f6a2}\n")).collect();
    let id = ended(&world, &client, |files| {
        files.write("/work/log.txt", text.as_bytes());
        files.write("/work/image", b"\x89PNG\x00\xff\xfe");
        files.link("/work/link");
    })
    .await;
    let list = client.call("read_artifacts", json!({ "process_id": id })).await;
    assert_eq!(list["state"], "copied");
    assert_eq!(list["files"][1], json!({ "path": "log.txt", "bytes": text.len() }));
    assert_eq!(list["skipped"][0]["path"], "link");
    assert_eq!(list["unmatched"], json!(["none"]));
    let (mut joined, mut pages, mut offset) = (String::new(), 0, json!(0));
    loop {
        let asked = json!({ "process_id": id, "path": "log.txt", "offset": offset, "max_tokens": 500 });
        let page = client.call("read_artifacts", asked).await;
        assert!(page.to_string().len() <= 500 * 4 + 160, "{}", page.to_string().len());
        joined.push_str(page["text"].as_str().unwrap());
        pages += 1;
        offset = page["next_offset"].clone();
        if offset.is_null() {
            break;
        }
    }
    assert!(joined == text && pages > 10, "{pages}");
    let image = client.call("read_artifacts", json!({ "process_id": id, "path": "image" })).await;
    assert_eq!((&image["binary"], &image["text"]), (&json!(true), &Value::Null));
    let refusal = client.refusal("read_artifacts", json!({ "process_id": id, "path": "../x" })).await;
    assert!(refusal.to_string().contains("artifact_not_found"), "{refusal}");
}

#[tokio::test]
async fn long_list_fits_its_budget_and_counts_the_omitted_entries() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    let id = ended(&world, &client, |files| {
        for n in 0..150 {
            files.write(&format!("/work/dir/file-with-a-long-name-{n}"), b"x");
            files.link(&format!("/work/links/{n}"));
        }
    })
    .await;
    let list = client.call("read_artifacts", json!({ "process_id": id, "max_tokens": 300 })).await;
    assert!(list.to_string().len() <= 300 * 4 + 160, "{}", list.to_string().len());
    let shown = |part: &str| list[part].as_array().map_or(0, Vec::len);
    let omitted = usize::try_from(list["omitted"].as_u64().unwrap()).unwrap();
    assert_eq!(shown("files") + shown("skipped") + shown("unmatched") + omitted, 301);
    assert!(shown("files") > 5, "{list}");
}
