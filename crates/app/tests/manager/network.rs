//! Tests of the network listeners of a manager, from the point of view of a client.

mod certificate;
mod served;

use crate::bench::{Bench, until};
use crate::client::{Reply, Web};
use served::Served;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

/// Content type that a web page may send to another site without the browser first requesting permission from the
/// server.
const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn manager_listens_on_the_configured_addresses_and_prints_them() {
    let served = Served::new(&["--listen", "127.0.0.1:0", "--listen", "[::1]:0"]);
    let listed = std::fs::read_to_string(served.bench.state().join("listen")).unwrap();
    let urls: Vec<&str> = listed.lines().collect();
    assert_eq!(urls.len(), 2);
    assert!(urls[0].starts_with("http://127.0.0.1:") && urls[1].starts_with("http://[::1]:"), "{urls:?}");
    assert!(!urls[0].ends_with(":0"), "the port is the one that was taken");
    let mode = served.bench.state().join("listen").metadata().unwrap().mode();
    assert_eq!(mode & 0o777, 0o600);
    let said = served.bench.run(&["version"]);
    assert!(urls.iter().all(|url| said.out.contains(url)), "{said:?}");
    for url in &urls {
        let web = Web::at(url);
        let version = web.get("/v1/version", &[&web.host(), &served.control()]);
        assert_eq!(version.status, 200, "{version:?}");
        assert_eq!(version.json()["listen"], serde_json::json!(urls));
    }
    let state = served.end();
    assert!(!state.state().join("listen").exists() && !state.state().join("longhaul.sock").exists());
}

#[test]
fn client_without_a_token_receives_no_data() {
    let served = Served::new(&["--listen", "127.0.0.1:0"]);
    let web = served.web();
    for path in ["/v1/processes", "/v1/health", "/v1/version", "/metrics", "/mcp", "/nowhere", "/"] {
        for header in [
            None,
            Some("Authorization: Bearer longhaul_0000000000000000000000000000000000000000".to_owned()),
            Some("Authorization: Basic bG9uZ2hhdWw6bG9uZ2hhdWw=".to_owned()),
            Some(format!("X-Authorization: {}", served.control())),
            Some(format!("{}0", served.control())),
        ] {
            let mut headers = vec![web.host()];
            headers.extend(header.clone());
            let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
            let reply = web.get(path, &headers);
            assert_eq!(reply.status, 401, "{path} {header:?}");
            assert!(reply.header("www-authenticate").unwrap().starts_with("Bearer"));
            assert!(reply.header("access-control-allow-origin").is_none());
            assert!(["token_required", "token_unknown"].contains(&reply.slug().as_str()), "{reply:?}");
        }
    }
    let with_query = web.get(&format!("/v1/processes?token={}", served.token(false)), &[&web.host()]);
    assert_eq!(with_query.status, 401, "a token in a URL ends up in logs");
}

#[test]
fn web_page_has_no_access() {
    let served = Served::new(&["--listen", "127.0.0.1:0"]);
    let web = served.web();
    let (host, control) = (web.host(), served.control());
    for path in ["/v1/processes", "/v1/health", "/mcp"] {
        let other_scheme = format!("https://{}", web.address);
        for origin in ["http://evil.example", "null", "http://127.0.0.1:1", &other_scheme, "file://"] {
            let origin = format!("Origin: {origin}");
            for method in ["GET", "POST", "OPTIONS"] {
                let reply = web.ask(method, path, &[&host, &control, &origin], "");
                assert_eq!((reply.status, reply.slug().as_str()), (403, "forbidden_origin"), "{origin}");
                assert!(reply.headers.iter().all(|(name, _)| !name.starts_with("access-control")));
            }
        }
        let image = web.get(path, &[&host, &control, "Sec-Fetch-Site: cross-site"]);
        assert_eq!(image.slug(), "forbidden_origin");
        for name in ["evil.example", &format!("evil.example:{}", web.port()), "127.0.0.1", "localhost"] {
            let rebound = web.get(path, &[&format!("Host: {name}"), &control]);
            assert_eq!((rebound.status, rebound.slug().as_str()), (403, "forbidden_host"), "{name}");
        }
        assert_eq!(web.get(path, &[&control]).slug(), "forbidden_host");
        assert_eq!(web.get(path, &[&host, &host, &control]).slug(), "forbidden_host");
    }
    for kind in [FORM, "text/plain", "multipart/form-data; boundary=x"] {
        for path in ["/v1/processes", "/v1/reset", "/mcp"] {
            let kind = format!("Content-Type: {kind}");
            let posted =
                web.ask("POST", path, &[&host, &control, &kind], "{\"command\":{\"program\":\"true\"}}");
            assert_eq!((posted.status, posted.slug().as_str()), (415, "unsupported_media_type"), "{kind}");
        }
    }
    let local = format!("Host: localhost:{}", web.port());
    assert_eq!(web.get("/v1/health", &[&local, &control]).status, 200);
    assert!(served.bench.run(&["status", "-a", "--json"]).out.contains("[]"), "nothing was started");
}

#[test]
fn page_of_the_manager_itself_is_let_in_with_a_token() {
    let served = Served::new(&["--listen", "127.0.0.1:0"]);
    let web = served.web();
    let (host, control) = (web.host(), served.control());
    for own in [format!("http://{}", web.address), format!("http://localhost:{}", web.port())] {
        let own = format!("Origin: {own}");
        assert_eq!(web.get("/v1/health", &[&host, &control, &own]).status, 200, "{own}");
        assert_eq!(web.get("/v1/health", &[&host, &own]).slug(), "token_required", "{own}");
        let json = "Content-Type: application/json";
        let asked = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}";
        let accept = "Accept: application/json, text/event-stream";
        let reply = web.ask("POST", "/mcp", &[&host, &control, &own, json, accept], asked);
        assert_eq!(reply.status, 200, "{own}: {reply:?}");
    }
}

#[test]
fn unreadable_call_of_an_agent_gets_a_json_rpc_error() {
    let served = Served::new(&["--listen", "127.0.0.1:0"]);
    let web = served.web();
    let (host, control) = (web.host(), served.control());
    let headers = [
        &*host,
        &*control,
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
        "MCP-Protocol-Version: 2025-06-18",
    ];
    for (body, code, id) in [
        ("{", -32_700, serde_json::Value::Null),
        ("nonsense", -32_700, serde_json::Value::Null),
        ("[]", -32_600, serde_json::Value::Null),
        ("7", -32_600, serde_json::Value::Null),
        ("{\"jsonrpc\":\"2.0\",\"id\":7}", -32_600, serde_json::json!(7)),
        ("{\"jsonrpc\":\"1.0\",\"id\":\"a\",\"method\":\"ping\"}", -32_600, serde_json::json!("a")),
    ] {
        let reply = web.ask("POST", "/mcp", &headers, body);
        assert_eq!(reply.status, 400, "{body}: {reply:?}");
        assert_eq!(reply.header("content-type"), Some("application/json"), "{body}");
        assert!(reply.header("x-request-id").is_some(), "{body}: {reply:?}");
        let reported = reply.json();
        assert_eq!((&reported["error"]["code"], &reported["id"]), (&code.into(), &id), "{body}: {reported}");
    }
}

#[test]
fn rejected_client_receives_the_reason_although_its_body_arrives_late() {
    let served = Served::new(&["--listen", "127.0.0.1:0"]);
    let web = served.web();
    let reading = format!("Authorization: Bearer {}", served.token(true));
    for (token, slug) in [(reading.as_str(), "read_only"), ("Authorization: Bearer x", "token_unknown")] {
        let mut stream = TcpStream::connect(&web.address).unwrap();
        let head = [&web.host(), token, "Content-Type: application/json", "Content-Length: 2"].join("\r\n");
        write!(stream, "POST /v1/reset HTTP/1.1\r\n{head}\r\nConnection: close\r\n\r\n").unwrap();
        // The delay is so long that a server which does not wait for the body would have closed the connection.
        std::thread::sleep(Duration::from_millis(100));
        write!(stream, "{{}}").unwrap();
        let reply = Reply::of_one(&mut stream);
        assert_eq!(reply.slug(), slug);
    }
}

#[test]
fn named_hosts_and_pages_are_let_in() {
    let bench = Bench::new()
        .with_config("[listen]\nhosts = [\"Box.example:8443\"]\norigins = [\"https://dash.example\"]\n");
    let served = Served::on(bench, &["--listen", "127.0.0.1:0"]);
    let web = served.web();
    let control = served.control();
    assert_eq!(web.get("/v1/health", &["Host: box.example:8443", &control]).status, 200);
    assert_eq!(web.get("/v1/health", &["Host: box.example", &control]).status, 403);
    let from = |origin: &str| web.get("/v1/health", &[&web.host(), &control, origin]);
    let allowed = from("Origin: https://dash.example");
    assert_eq!(allowed.status, 200);
    assert!(allowed.header("access-control-allow-origin").is_none());
    assert_eq!(from("Origin: https://dash.example:444").status, 403);
    assert_eq!(from("Origin: null").status, 403);
}

#[test]
fn reading_token_reads_everything_and_changes_nothing() {
    let served = Served::new(&["--listen", "127.0.0.1:0"]);
    let web = served.web();
    let id = served.bench.launch("exec sleep 30");
    let reading = format!("Authorization: Bearer {}", served.token(true));
    let json = "Content-Type: application/json";
    let document = web.get("/v1/openapi.json", &[&web.host(), &reading]).json();
    let mut seen = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        let path = path.replace("{reference}", &id).replace(['{', '}'], "");
        for method in operations.as_object().unwrap().keys().filter(|key| *key != "parameters") {
            let method = method.to_uppercase();
            let reply = web.ask(&method, &path, &[&web.host(), &reading, json], "{}");
            if method == "GET" {
                assert!(![401, 403].contains(&reply.status), "{path}: {reply:?}");
            } else {
                assert_eq!((reply.status, reply.slug().as_str()), (403, "read_only"), "{method} {path}");
            }
            assert_eq!(web.ask(&method, &path, &[&web.host(), json], "{}").status, 401, "{method} {path}");
            seen += 1;
        }
    }
    assert!(seen > 25, "{seen} routes");
    until("the process runs in spite of all rejected requests", || {
        served.bench.show(&id)["status"] == "running"
    });
    let cancel = format!("/v1/processes/{id}/cancel");
    let cancelled = web.ask("POST", &cancel, &[&web.host(), &served.control(), json], "{}");
    assert_eq!(cancelled.status, 200, "{cancelled:?}");
}

#[test]
fn agent_that_may_only_read_finds_no_tool_that_changes_anything() {
    let served = Served::new(&["--listen", "127.0.0.1:0"]);
    let web = served.web();
    let ask = |token: &str, body: &serde_json::Value| {
        let headers = [
            &*web.host(),
            &format!("Authorization: Bearer {token}"),
            "Content-Type: application/json",
            "Accept: application/json, text/event-stream",
            "MCP-Protocol-Version: 2025-06-18",
        ];
        let reply = web.ask("POST", "/mcp", &headers, &body.to_string());
        assert_eq!(reply.status, 200, "{:?}", String::from_utf8_lossy(&reply.body));
        reply.json()
    };
    let list = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {} });
    let names = |token: &str| -> Vec<String> {
        let answer = ask(token, &list);
        let tools = answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}"));
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    };
    let (all, reading) = (names(&served.token(false)), names(&served.token(true)));
    assert!(all.iter().any(|name| name == "start_background_process"), "{all:?}");
    assert!(reading.iter().any(|name| name == "get_process_status"), "{reading:?}");
    for changing in ["start_background_process", "stop_background_process", "register_process"] {
        assert!(!reading.iter().any(|name| name == changing), "{reading:?}");
    }
    let top = served.bench.top().display().to_string();
    let start = serde_json::json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
        "name": "start_background_process",
        "arguments": { "process_type": "custom", "name": "sneaky", "command": "true", "cwd": top },
    } });
    let refused = ask(&served.token(true), &start);
    assert!(refused["error"].is_object() || refused["result"]["isError"] == true, "{refused}");
    assert_eq!(served.bench.run(&["status", "-a", "-o", "name"]).out, "");
    let started = ask(&served.token(false), &start);
    assert!(started["result"]["isError"] != true && started["error"].is_null(), "{started}");
    let mode = served.bench.state().join("mcp.sock").metadata().unwrap().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn work_is_launched_over_the_network_as_over_the_socket() {
    let served = Served::new(&["--listen", "127.0.0.1:0"]);
    let web = served.web();
    let top = served.bench.top().display().to_string();
    let body = serde_json::json!({ "command": { "program": "true", "directory": top } }).to_string();
    let headers = [&*web.host(), &*served.control(), "Content-Type: application/json; charset=utf-8"];
    let launched = web.ask("POST", "/v1/processes", &headers, &body);
    assert!([200, 201].contains(&launched.status), "{launched:?}");
    let large = format!("{{\"pad\":\"{}\"}}", "x".repeat(1024 * 1024));
    let refused = web.ask("POST", "/v1/processes", &headers, &large);
    assert_eq!((refused.status, refused.slug().as_str()), (413, "payload_too_large"));
    let chunk = |length: usize| format!("{length:x}\r\n{}\r\n", " ".repeat(length));
    let chunked = [headers[0], headers[1], headers[2], "Transfer-Encoding: chunked"];
    for (path, chunks) in [("/v1/processes", 20), ("/mcp", 80)] {
        let refused = web.ask("POST", path, &chunked, &chunk(64 * 1024).repeat(chunks));
        assert_eq!((refused.status, refused.slug().as_str()), (413, "payload_too_large"), "{path}");
        let broken = web.ask("POST", path, &chunked, "zzz\r\n");
        assert_eq!((broken.status, broken.slug().as_str()), (400, "invalid_request"), "{path}");
    }
}

#[test]
fn tokens_are_private_made_at_first_need_and_changed_without_a_restart() {
    let bench = Bench::new();
    bench.launch("true");
    assert!(!bench.state().join("token").exists(), "no listener needs a token yet");
    bench.end_manager(rustix::process::Signal::TERM);
    let served = Served::on(bench, &["-vv", "--listen", "127.0.0.1:0"]);
    let (control, reading) = (served.token(false), served.token(true));
    for (name, token) in [("token", &control), ("token.read", &reading)] {
        let path = served.bench.state().join(name);
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o600);
        assert_eq!(std::fs::read_to_string(path).unwrap().trim_end(), token);
    }
    let web = served.web();
    let asked =
        |token: &str| web.get("/v1/health", &[&web.host(), &format!("Authorization: Bearer {token}")]).status;
    assert_eq!((asked(&control), asked(&reading)), (200, 200));
    let next = served.bench.run(&["token", "--rotate"]).out.trim().to_owned();
    assert_eq!((asked(&control), asked(&next), asked(&reading)), (401, 200, 200));
    let bench = served.end();
    let log = bench.log();
    assert!([control, reading, next].iter().all(|token| !log.contains(token)), "{log}");
}

#[test]
fn token_that_others_may_read_keeps_the_manager_from_serving() {
    let bench = Bench::new();
    assert_eq!(bench.run(&["token"]).code, 0);
    let path = bench.state().join("token");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    for words in [&["token"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        let said = bench.run(words);
        assert_eq!(said.code, 6, "{said:?}");
        assert!(said.err.contains("chmod 600") && said.err.contains("private_file_unusable"), "{}", said.err);
    }
    assert_eq!(bench.run(&["run", "--", "true"]).code, 0, "a manager without listeners needs no token");
}

#[test]
fn other_machines_have_access_only_if_the_configuration_allows_it() {
    let bench = Bench::new();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let said = bench.run(&["serve", "--listen", address]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains("--allow-remote"), "{}", said.err);
        let said = bench.run(&["serve", "--listen", address, "--allow-remote"]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(
            said.err.contains("--tls-cert") && said.err.contains("--insecure-behind-proxy"),
            "{}",
            said.err
        );
    }
    assert!(!bench.is_serving());
    let served = Served::on(bench, &["--listen", "0.0.0.0:0", "--insecure-behind-proxy"]);
    let web = served.web();
    let loopback = Web::at(&format!("http://127.0.0.1:{}", web.port()));
    assert_eq!(loopback.get("/v1/health", &[&loopback.host(), &served.control()]).status, 200);
    let wildcard = format!("Host: 0.0.0.0:{}", web.port());
    assert_eq!(loopback.get("/v1/health", &[&wildcard, &served.control()]).status, 403);
    let forwarded = ["Host: evil.example", "X-Forwarded-Host: 127.0.0.1", &served.control()];
    assert_eq!(loopback.get("/v1/health", &forwarded).status, 403, "proxy headers are ignored");
}

#[test]
fn used_port_is_reported_and_does_not_affect_local_clients() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let bench = Bench::new().with_config(&format!("listen.addresses = [\"{address}\"]\n"));
    let said = bench.run(&["serve"]);
    assert_eq!(said.code, 6, "{said:?}");
    assert!(said.err.contains(&address) && said.err.contains("cannot_listen"), "{}", said.err);
    bench.launch("true");
    assert!(bench.log().contains("cannot listen"), "{}", bench.log());
}

#[test]
fn bad_clients_change_nothing_for_good_ones() {
    let served = Served::new(&["--listen", "127.0.0.1:0"]);
    let web = served.web();
    let control = served.control();
    let mut good = Good::connect(&web, &control);
    let mut bad = Vec::new();
    for number in 0..1_000 {
        let Ok(mut stream) = TcpStream::connect(&web.address) else { continue };
        let host = web.host();
        let words = match number % 7 {
            0 => String::new(),
            1 => "GET /v1/health HTTP/1.1\r\nHo".to_owned(),
            2 => "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}".to_owned(),
            3 => format!("POST /v1/processes HTTP/1.1\r\n{host}\r\nContent-Length: 99999999\r\n\r\n{{"),
            4 => format!("GET /v1/openapi.json HTTP/1.1\r\n{host}\r\n{control}\r\n\r\n").repeat(20),
            5 => format!("GET /v1/wait?ids=x HTTP/1.1\r\n{host}\r\nAuthorization: Bearer unknown\r\n\r\n"),
            _ => format!("GET / HTTP/1.1\r\n{}", "X: y\r\n".repeat(90)),
        };
        let _ = stream.write_all(words.as_bytes());
        bad.push(stream);
    }
    assert!(bad.len() > 900, "{}", bad.len());
    for _ in 0..20 {
        for stream in &mut bad {
            // The client regularly sends one more byte, so that the head of the request stays incomplete.
            let _ = stream.set_nonblocking(true);
            let _ = stream.write(b"x");
        }
        assert_eq!(served.bench.run(&["run", "-b", "--", "true"]).code, 0);
        assert_eq!(good.ask(), 200, "the connection is older than the unauthenticated ones");
        assert_eq!(
            web.get("/v1/health", &[&web.host(), &served.control()]).status,
            200,
            "a new connection is accepted"
        );
    }
    let pid = served.bench.manager().unwrap().as_raw_nonzero();
    let open = || std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    until("most unauthenticated connections are closed", || open() < 600);
}

/// A client that keeps its connection open.
struct Good {
    stream: TcpStream,
    request: String,
}

impl Good {
    fn connect(web: &Web, control: &str) -> Self {
        let stream = TcpStream::connect(&web.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let request = format!("GET /v1/health HTTP/1.1\r\n{}\r\n{control}\r\n\r\n", web.host());
        let mut good = Self { stream, request };
        assert_eq!(good.ask(), 200);
        good
    }

    fn ask(&mut self) -> u16 {
        self.stream.write_all(self.request.as_bytes()).unwrap();
        Reply::of_one(&mut self.stream).status
    }
}
