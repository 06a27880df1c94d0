//! Tests with typical commands: a server, a build and a test run.

use longhaul_tests::{Home, until};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

#[test]
fn a_real_server_serves_is_followed_and_is_stopped() {
    let home = Home::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    std::fs::write(home.work().join("page"), "from the server").unwrap();
    let id = home.ok(&[
        "run",
        "-b",
        "--type",
        "server",
        "--name",
        "web",
        "--",
        "python3",
        "-m",
        "http.server",
        "--bind",
        "127.0.0.1",
        &port.to_string(),
    ]);
    let page = until("the page", || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.write_all(b"GET /page HTTP/1.0\r\n\r\n").ok()?;
        let mut page = String::new();
        stream.read_to_string(&mut page).ok()?;
        Some(page)
    });
    assert!(page.ends_with("from the server"));
    until("the request in the log", || home.ok(&["logs", "web"]).contains("GET /page").then_some(()));
    assert_eq!(home.status(&id), "running");
    assert_eq!(home.run(&["cancel", "web"]).code, 0);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn a_real_build_and_a_real_test_run_are_reported_correctly() {
    let home = Home::new();
    std::fs::write(home.work().join("main.c"), "int main(void) { return 3; }\n").unwrap();
    let build = home.ok(&["run", "-b", "--type", "build", "--", "cc", "-o", "main", "main.c"]);
    assert_eq!(home.run(&["wait", &build]).code, 0);
    assert_eq!(home.run(&["run", "--", "./main"]).code, 3);
    std::fs::write(home.work().join("broken.c"), "int main(void) { return }\n").unwrap();
    let broken = home.ok(&["run", "-b", "--type", "build", "--", "cc", "-c", "broken.c"]);
    assert_eq!(home.run(&["wait", &broken]).code, 1);
    let said = home.run(&["logs", &broken]);
    assert!(format!("{}{}", said.out, said.err).contains("broken.c"));
    let case = "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        self.assertEqual(1, 2)\n";
    std::fs::write(home.work().join("test_it.py"), case).unwrap();
    let tests = home.ok(&["run", "-b", "--type", "test_suite", "--", "python3", "-m", "unittest", "test_it"]);
    assert_eq!(home.run(&["wait", &tests]).code, 1);
    let said = home.run(&["logs", &tests]);
    assert!(format!("{}{}", said.out, said.err).contains("FAILED (failures=1)"));
}
