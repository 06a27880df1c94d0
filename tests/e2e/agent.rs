//! An agent: an MCP client that exchanges messages with `longhaul mcp` over its standard streams.

use longhaul_tests::Home;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Timeout of a response, long enough for a machine under load.
const TIMEOUT: Duration = Duration::from_secs(30);

/// An MCP client with its own `longhaul mcp` process, which is killed when the value is dropped.
#[derive(Debug)]
pub(crate) struct Agent {
    program: Child,
    input: ChildStdin,
    answers: Receiver<Value>,
    asked: u64,
}

impl Agent {
    /// Starts `longhaul mcp` with a state directory and initializes the session.
    pub(crate) fn connect(home: &Home, args: &[&str]) -> Self {
        let mut command = home.command(&[&["mcp"], args].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut program = command.spawn().unwrap();
        let (input, output) = (program.stdin.take().unwrap(), program.stdout.take().unwrap());
        let (tell, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if tell.send(serde_json::from_str(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        let mut agent = Self { program, input, answers, asked: 0 };
        let about = json!({"name": "tests", "version": "1"});
        let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": about});
        assert!(agent.request("initialize", &hello)["serverInfo"].is_object());
        agent.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        agent
    }

    /// Returns the pid of the agent's `longhaul mcp` process.
    pub(crate) fn pid(&self) -> u32 {
        self.program.id()
    }

    /// Calls a tool. The call must succeed. Returns the result.
    pub(crate) fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        let result = self.request("tools/call", &json!({"name": tool, "arguments": arguments}));
        assert_ne!(result["isError"], true, "{tool} {arguments}: {result}");
        result["structuredContent"].clone()
    }

    /// Calls a tool. The call must fail. Returns the error.
    pub(crate) fn refused(&mut self, tool: &str, arguments: &Value) -> Value {
        let result = self.request("tools/call", &json!({"name": tool, "arguments": arguments}));
        assert_eq!(result["isError"], true, "{tool} {arguments}: {result}");
        serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap()
    }

    /// Sends a request and waits for the result.
    pub(crate) fn request(&mut self, method: &str, params: &Value) -> Value {
        let id = self.ask(method, params);
        loop {
            let answer = self.answers.recv_timeout(TIMEOUT).unwrap();
            if answer["id"] == id {
                assert!(answer["result"].is_object(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    /// Sends a request without waiting for the result.
    pub(crate) fn ask(&mut self, method: &str, params: &Value) -> u64 {
        self.asked += 1;
        self.send(&json!({"jsonrpc": "2.0", "id": self.asked, "method": method, "params": params}));
        self.asked
    }

    fn send(&mut self, message: &Value) {
        writeln!(self.input, "{message}").unwrap();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}
