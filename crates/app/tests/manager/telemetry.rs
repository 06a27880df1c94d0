use crate::bench::{Bench, until};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::mpsc;

#[test]
fn requests_are_reported_to_a_collector() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (reported, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut piece = [0; 4_096];
            while !is_whole(&request) {
                match stream.read(&mut piece) {
                    Ok(0) | Err(_) => break,
                    Ok(length) => request.extend(&piece[..length]),
                }
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            if reported.send(String::from_utf8_lossy(&request).into_owned()).is_err() {
                return;
            }
        }
    });
    let bench = Bench::new();
    let mut serve = bench.command(&["serve"]);
    let mut server =
        serve.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).stderr(Stdio::null()).spawn().unwrap();
    until("it answers", || bench.run(&["--no-autostart", "status"]).code == 0);
    bench.end_manager(Signal::TERM);
    assert!(server.wait().unwrap().success());
    let all: String = heard.try_iter().collect();
    assert!(all.contains("POST /v1/traces") && all.contains("application/x-protobuf"), "{all}");
    assert!(all.contains("longhaul") && all.contains("/v1/processes") && all.contains("request"), "{all}");
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some(head) = text.find("\r\n\r\n") else { return false };
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    let begin = request.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(head) + 4;
    length.is_some_and(|length| request.len() >= begin + length.trim().parse::<usize>().unwrap())
}
