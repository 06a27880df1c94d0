use super::*;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

const ROOM: usize = 4 * 1024;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Connector that returns connections prepared by a test.
struct Ways(tokio::sync::Mutex<mpsc::UnboundedReceiver<Result<DuplexStream, ConnectRefusal>>>);

impl Connector for Ways {
    type Stream = DuplexStream;

    async fn dial(&self) -> Result<DuplexStream, ConnectRefusal> {
        let none =
            || Err(ConnectRefusal { slug: "manager_unreachable".to_owned(), why: "no manager".to_owned() });
        self.0.lock().await.try_recv().unwrap_or_else(|_| none())
    }
}

/// Test fixture: the client's end of a proxy, and a sender for prepared manager connections.
struct World {
    to: tokio::io::WriteHalf<DuplexStream>,
    from: BufReader<tokio::io::ReadHalf<DuplexStream>>,
    ways: mpsc::UnboundedSender<Result<DuplexStream, ConnectRefusal>>,
    carried: JoinHandle<io::Result<()>>,
}

/// The manager's end of one connection.
struct Manager(BufReader<DuplexStream>);

fn world() -> World {
    let (ways, dialled) = mpsc::unbounded_channel();
    let (near, far) = duplex(ROOM);
    let (client, out) = tokio::io::split(far);
    let (from, to) = tokio::io::split(near);
    let carrier = StdioProxy::new(Ways(tokio::sync::Mutex::new(dialled)), client, out);
    World { to, from: BufReader::new(from), ways, carried: tokio::spawn(carrier.carry()) }
}

impl World {
    /// Prepares the connection that the proxy gets when it connects next. Returns the manager's end of the connection.
    fn manager(&self) -> Manager {
        let (near, far) = duplex(ROOM);
        self.ways.send(Ok(far)).unwrap();
        Manager(BufReader::new(near))
    }

    async fn say(&mut self, message: Value) {
        self.to.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }

    async fn hear(&mut self) -> Value {
        heard(&mut self.from).await
    }
}

impl Manager {
    async fn hear(&mut self) -> Value {
        heard(&mut self.0).await
    }

    async fn say(&mut self, message: Value) {
        self.0.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }
}

async fn heard(from: &mut (impl AsyncBufReadExt + Unpin)) -> Value {
    let mut line = String::new();
    tokio::time::timeout(TIMEOUT, from.read_line(&mut line)).await.unwrap().unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

fn call(id: i64) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call" })
}

fn answer(id: i64) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": {} })
}

/// Performs the MCP handshake between the client and its first manager.
async fn introduce(world: &mut World, manager: &mut Manager) {
    world.say(json!({ "id": 0, "method": "initialize", "params": { "clientInfo": {} } })).await;
    manager.hear().await;
    manager.say(answer(0)).await;
    world.hear().await;
    world.say(json!({ "method": "notifications/initialized" })).await;
    manager.hear().await;
}

#[tokio::test]
async fn lines_go_both_ways_and_the_end_of_the_client_ends_the_carrier() {
    let mut world = world();
    let mut manager = world.manager();
    world.say(call(1)).await;
    assert_eq!(manager.hear().await["id"], 1);
    manager.say(answer(1)).await;
    assert_eq!(world.hear().await["id"], 1);
    let note = json!({ "method": "notifications/progress", "params": {} });
    manager.say(note.clone()).await;
    assert_eq!(world.hear().await, note);
    world.to.shutdown().await.unwrap();
    tokio::time::timeout(TIMEOUT, world.carried).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn call_in_flight_is_answered_and_the_next_one_goes_to_the_next_manager() {
    let mut world = world();
    let mut first = world.manager();
    world.say(json!({ "id": 0, "method": "initialize", "params": { "clientInfo": {} } })).await;
    first.hear().await;
    first.say(answer(0)).await;
    world.hear().await;
    world.say(json!({ "method": "notifications/initialized" })).await;
    world.say(call(1)).await;
    first.hear().await;
    first.hear().await;
    drop(first);
    let lost = world.hear().await;
    assert_eq!((&lost["id"], &lost["error"]["data"]["retryable"]), (&json!(1), &json!(false)));

    let mut second = world.manager();
    world.say(call(2)).await;
    let again = second.hear().await;
    assert_eq!(again["method"], "initialize");
    assert_eq!(second.hear().await["method"], "notifications/initialized");
    assert_eq!(second.hear().await["id"], 2);
    second.say(json!({ "id": again["id"], "result": {} })).await;
    second.say(answer(2)).await;
    assert_eq!(world.hear().await["id"], 2);
}

#[tokio::test]
async fn start_in_flight_is_put_to_the_next_manager_as_it_was() {
    let mut world = world();
    let (mut first, mut second) = (world.manager(), world.manager());
    introduce(&mut world, &mut first).await;
    let arguments = json!({ "process_type": "build", "name": "n", "command": "true" });
    let params = json!({ "name": "start_background_process", "arguments": arguments });
    world.say(json!({ "id": 1, "method": "tools/call", "params": params })).await;
    let started = first.hear().await;
    assert!(started["params"]["arguments"]["launch_key"].is_string());
    drop(first);
    let again = second.hear().await;
    assert_eq!(again["method"], "initialize");
    assert_eq!(second.hear().await["method"], "notifications/initialized");
    assert_eq!(second.hear().await, started);
    second.say(json!({ "id": again["id"], "result": {} })).await;
    second.say(answer(1)).await;
    assert_eq!(world.hear().await, answer(1));
}

#[tokio::test]
async fn start_in_flight_outlives_managers_that_end_while_they_begin() {
    let mut world = world();
    let mut first = world.manager();
    introduce(&mut world, &mut first).await;
    let params = json!({ "name": "start_background_process", "arguments": { "name": "n" } });
    world.say(json!({ "id": 1, "method": "tools/call", "params": params })).await;
    let started = first.hear().await;
    for _ in 2..MAX_RECONNECTS {
        world.ways.send(Err(ConnectRefusal::silent())).unwrap();
    }
    let mut second = world.manager();
    drop(first);
    second.hear().await;
    second.hear().await;
    assert_eq!(second.hear().await, started);
    second.say(answer(1)).await;
    assert_eq!(world.hear().await, answer(1));
}

#[tokio::test]
async fn too_long_answer_becomes_an_error_and_the_next_answer_passes() {
    let mut world = world();
    let mut manager = world.manager();
    world.say(call(1)).await;
    world.say(call(2)).await;
    manager.hear().await;
    manager.hear().await;
    let answers = tokio::spawn(async move {
        manager.0.write_all(br#"{"jsonrpc":"2.0","id":1,"result":{"text":""#).await.unwrap();
        let piece = vec![b'x'; 64 * 1024];
        for _ in 0..=MAX_LINE_LEN / piece.len() {
            manager.0.write_all(&piece).await.unwrap();
        }
        manager.0.write_all(b"\"}}\n").await.unwrap();
        manager.say(answer(2)).await;
        manager
    });
    let reported = world.hear().await;
    assert_eq!(
        (&reported["id"], &reported["error"]["data"]["type"]),
        (&json!(1), &json!("answer_too_large"))
    );
    assert_eq!(world.hear().await, answer(2));
    drop(answers.await.unwrap());
}

#[tokio::test]
async fn reading_call_in_flight_is_put_to_the_next_manager() {
    let mut world = world();
    let (mut first, mut second) = (world.manager(), world.manager());
    world.say(json!({ "id": 1, "method": "tasks/get", "params": { "taskId": "t" } })).await;
    first.hear().await;
    drop(first);
    assert_eq!(second.hear().await["params"]["taskId"], "t");
    second.say(answer(1)).await;
    assert_eq!(world.hear().await, answer(1));
}

#[tokio::test]
async fn subscriber_is_notified_after_a_reconnection() {
    let mut world = world();
    let mut first = world.manager();
    introduce(&mut world, &mut first).await;
    let params = json!({ "uri": "longhaul://process/a" });
    world.say(json!({ "id": 1, "method": "resources/subscribe", "params": params })).await;
    first.hear().await;
    first.say(answer(1)).await;
    world.hear().await;
    // The proxy must also reconnect if the new manager ends immediately.
    drop(world.manager());
    drop(first);
    let mut second = world.manager();
    let introduced = second.hear().await;
    second.say(json!({ "id": introduced["id"], "result": {} })).await;
    assert_eq!(second.hear().await["method"], "notifications/initialized");
    let again = second.hear().await;
    assert_eq!((&again["method"], &again["params"]), (&json!("resources/subscribe"), &params));
    second.say(json!({ "id": again["id"], "result": {} })).await;
    let reported = world.hear().await;
    assert_eq!(
        (&reported["method"], &reported["params"]),
        (&json!("notifications/resources/updated"), &params)
    );
    second.say(json!({ "method": "notifications/resources/updated", "params": params, "own": true })).await;
    assert_eq!(world.hear().await["own"], true, "the notification arrived once");
}

#[tokio::test]
async fn listener_finds_a_manager_that_comes_later() {
    let mut world = world();
    let mut first = world.manager();
    introduce(&mut world, &mut first).await;
    let params = json!({ "uri": "longhaul://session/s" });
    world.say(json!({ "id": 1, "method": "resources/subscribe", "params": params })).await;
    first.hear().await;
    first.say(answer(1)).await;
    world.hear().await;
    for _ in 0..MAX_RECONNECTS {
        let none = ConnectRefusal { slug: "manager_unreachable".to_owned(), why: "no manager".to_owned() };
        world.ways.send(Err(none)).unwrap();
    }
    let mut second = world.manager();
    drop(first);
    assert_eq!(second.hear().await["method"], "initialize");
}

#[test]
fn pauses_grow_and_stay_bounded() {
    assert_eq!(
        [0, 1, 2, 3].map(pause),
        [Duration::ZERO, Duration::ZERO, RECONNECT_DELAY, RECONNECT_DELAY * 2]
    );
    assert_eq!([40, u32::MAX].map(pause), [MAX_RETRY_DELAY; 2]);
}

#[tokio::test]
async fn last_line_without_an_end_is_carried() {
    let mut world = world();
    let mut manager = world.manager();
    world.to.write_all(call(1).to_string().as_bytes()).await.unwrap();
    world.to.shutdown().await.unwrap();
    assert_eq!(manager.hear().await["id"], 1);
    manager.say(answer(1)).await;
    assert_eq!(world.hear().await["id"], 1);
    world.carried.await.unwrap().unwrap();
}

#[tokio::test]
async fn half_a_line_of_a_manager_is_not_carried() {
    let mut world = world();
    let mut manager = world.manager();
    world.say(call(1)).await;
    manager.hear().await;
    manager.0.write_all(br#"{"id":1,"result":{}}"#).await.unwrap();
    drop(manager);
    assert!(world.hear().await["error"].is_object());
}

#[tokio::test]
async fn introduction_outlives_the_manager_that_heard_it() {
    let mut world = world();
    let mut first = world.manager();
    let mut second = world.manager();
    world.say(json!({ "id": 0, "method": "initialize" })).await;
    first.hear().await;
    drop(first);
    assert_eq!(second.hear().await["id"], 0);
    second.say(answer(0)).await;
    assert_eq!(world.hear().await["id"], 0);
}

#[tokio::test]
async fn manager_that_never_says_anything_is_given_up() {
    let mut world = world();
    for _ in 0..MAX_RECONNECTS {
        drop(world.manager());
    }
    world.say(json!({ "id": 0, "method": "initialize" })).await;
    assert_eq!(world.hear().await["error"]["data"]["type"], "connection_broken");
}

#[tokio::test]
async fn refusal_of_the_manager_reaches_the_client() {
    let mut world = world();
    let mut manager = world.manager();
    world.say(json!({ "id": 0, "method": "initialize" })).await;
    manager.hear().await;
    let refusal = json!({ "type": "protocol_mismatch", "title": "it has form 2", "help": "update" });
    manager.say(json!({ "longhaul_mcp_error": refusal })).await;
    drop(manager);
    let reported = world.hear().await;
    assert_eq!(reported["error"]["message"], "it has form 2 (update)");
    assert_eq!(reported["error"]["data"]["type"], "protocol_mismatch");
}

#[tokio::test]
async fn calls_without_a_manager_get_errors_and_the_proxy_continues() {
    let mut world = world();
    world.say(call(1)).await;
    let reported = world.hear().await;
    assert_eq!((&reported["id"], &reported["error"]["message"]), (&json!(1), &json!("no manager")));
    let mut manager = world.manager();
    world.say(call(2)).await;
    assert_eq!(manager.hear().await["id"], 2);
}

#[tokio::test]
async fn slow_client_blocks_no_message_and_uses_no_extra_memory() {
    let mut world = world();
    let mut manager = world.manager();
    world.say(call(1)).await;
    manager.hear().await;
    // The manager sends more than the client reads, so its writes must soon block.
    let flood = tokio::spawn(async move {
        let line = format!("{}\n", json!({ "method": "notifications/message", "params": "x".repeat(1_000) }));
        let mut sent = 0_usize;
        while tokio::time::timeout(Duration::from_millis(100), manager.0.write_all(line.as_bytes()))
            .await
            .is_ok()
        {
            sent += line.len();
        }
        (manager, sent)
    });
    let (mut manager, sent) = flood.await.unwrap();
    // The manager can send only what fits into the two pipes, one buffer and one line.
    assert!(sent < 128 * 1024, "{sent}");
    world.say(json!({ "method": "notifications/cancelled" })).await;
    assert_eq!(manager.hear().await["method"], "notifications/cancelled");
}

#[tokio::test]
async fn answers_under_way_arrive_after_the_last_word_of_the_client() {
    let mut world = world();
    let mut manager = world.manager();
    world.say(call(1)).await;
    world.to.shutdown().await.unwrap();
    assert_eq!(manager.hear().await["id"], 1);
    manager.say(answer(1)).await;
    let mut rest = Vec::new();
    tokio::time::timeout(TIMEOUT, world.from.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&rest).unwrap()["id"], 1);
    world.carried.await.unwrap().unwrap();
}

#[tokio::test]
async fn line_that_is_too_long_is_answered_and_the_next_one_goes_through() {
    let mut world = world();
    let mut manager = world.manager();
    let writer = tokio::spawn(async move {
        let piece = vec![b'x'; 64 * 1024];
        for _ in 0..=MAX_LINE_LEN / piece.len() {
            world.to.write_all(&piece).await.unwrap();
        }
        world.to.write_all(format!("\n{}\n", call(5)).as_bytes()).await.unwrap();
        world
    });
    assert_eq!(manager.hear().await["id"], 5);
    let mut world = writer.await.unwrap();
    let reported = world.hear().await;
    let expected = json!({ "type": "payload_too_large", "retryable": false });
    assert_eq!(reported["error"]["data"], expected);
}

#[tokio::test]
async fn request_that_is_too_long_is_answered_by_its_id() {
    let mut world = world();
    let writer = tokio::spawn(async move {
        for begin in
            [r#"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"x":""#, r#"{"id":6,"result":""#]
        {
            world.to.write_all(begin.as_bytes()).await.unwrap();
            let piece = vec![b'x'; 64 * 1024];
            for _ in 0..=MAX_LINE_LEN / piece.len() {
                world.to.write_all(&piece).await.unwrap();
            }
            world.to.write_all(b"\"}}\n").await.unwrap();
        }
        world
    });
    let mut world = writer.await.unwrap();
    for id in [json!(5), Value::Null] {
        let reported = world.hear().await;
        assert_eq!((&reported["id"], &reported["error"]["data"]["type"]), (&id, &json!("payload_too_large")));
    }
}
