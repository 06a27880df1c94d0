//! Tests of network listeners with TLS.

use super::served::Served;
use crate::bench::Bench;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

#[test]
fn certificate_is_shown_to_those_who_connect() {
    let bench = Bench::new();
    let made =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let (cert, key) = (bench.top().join("cert.pem"), bench.top().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let words = ["--listen", "127.0.0.1:0", "--tls-cert", "cert.pem", "--tls-key", "key.pem"];
    let serve: Vec<&str> = std::iter::once("serve").chain(words).collect();
    let open_key = bench.run(&serve);
    assert_eq!(open_key.code, 6, "{open_key:?}");
    assert!(open_key.err.contains("other users can read the private key"), "{}", open_key.err);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let served = Served::on(bench, &words);
    let web = served.web();
    assert!(served.url().starts_with("https://127.0.0.1:"));
    let reply = web.over_tls(made.cert.der(), "/v1/health", &[&web.host(), &served.control()]);
    assert_eq!(reply.status, 200);
    assert_eq!(web.over_tls(made.cert.der(), "/v1/health", &[&web.host()]).status, 401);
    let mut plain = TcpStream::connect(&web.address).unwrap();
    plain.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    plain.write_all(format!("GET /v1/health HTTP/1.1\r\n{}\r\n\r\n", web.host()).as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "nothing is said in the clear");
}

#[test]
fn certificate_that_is_no_good_is_named() {
    let bench = Bench::new();
    let (one, other) = (
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap(),
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap(),
    );
    let write = |name: &str, text: &str| {
        let path = bench.top().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    write("cert.pem", &one.cert.pem());
    write("key.pem", &one.signing_key.serialize_pem());
    write("other.pem", &other.signing_key.serialize_pem());
    write("garbage.pem", "-----BEGIN NOTHING-----\n");
    for (cert, key) in [
        ("cert.pem", "other.pem"),
        ("cert.pem", "cert.pem"),
        ("key.pem", "key.pem"),
        ("garbage.pem", "key.pem"),
        ("cert.pem", "missing.pem"),
    ] {
        let words = ["serve", "--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key];
        let said = bench.run(&words);
        assert_eq!(said.code, 6, "{cert} {key}: {said:?}");
        assert!(said.err.contains("cannot_listen") && said.err.contains(".pem"), "{}", said.err);
    }
    assert_eq!(bench.run(&["serve", "--listen", "127.0.0.1:0", "--tls-cert", "cert.pem"]).code, 2);
}
