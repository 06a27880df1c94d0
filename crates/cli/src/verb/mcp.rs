//! Implements `mcp`.

use crate::arguments::{McpArgs, McpClient, McpInstallArgs, McpScope, McpToolsArgs, McpVerb};
use crate::dispatch::VerbContext;
use crate::exit_code::DONE;
use crate::failure::CliError;
use crate::mcp::{self, ConfigPaths, ConnectRefusal, Connector, INSTRUCTIONS, ServerEntry, StdioProxy};
use crate::prompt::Prompt;
use longhaul_client::{Client, ClientError};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

/// Time limit for a newly started manager to open its MCP socket, which it opens after its main socket.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(2);
/// Delay between two attempts to connect to the manager's MCP socket.
const STEP: Duration = Duration::from_millis(10);
/// Time limit of the request for the tool list.
const TOOLS_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves an agent over MCP, or executes one of the `mcp` subcommands.
pub(crate) async fn mcp(context: &VerbContext, args: &McpArgs) -> Result<i32, CliError> {
    match &args.verb {
        None => carry(context, &args.scope).await,
        Some(McpVerb::Install(args)) => install(context, args),
        Some(McpVerb::Instructions) => {
            context.console.print(INSTRUCTIONS)?;
            Ok(DONE)
        }
        Some(McpVerb::Tools(args)) => tools(context, args).await,
    }
}

/// Forwards MCP messages between this program's standard input and output and the manager. Processes that an agent
/// starts this way continue after this program ends.
async fn carry(context: &VerbContext, scope: &McpScope) -> Result<i32, CliError> {
    let way = McpSocket { client: &context.client, opening: opening(context, scope) };
    let carrier = StdioProxy::new(way, tokio::io::stdin(), tokio::io::stdout());
    tokio::select! {
        carried = carrier.carry() => carried?,
        () = mcp::parent_gone() => {}
        () = mcp::client_gone() => {}
    }
    Ok(DONE)
}

/// Connector that opens connections to the manager's MCP socket.
struct McpSocket<'a> {
    client: &'a Client,
    opening: String,
}

impl Connector for McpSocket<'_> {
    type Stream = UnixStream;

    async fn dial(&self) -> Result<UnixStream, ConnectRefusal> {
        self.open().await.map_err(|failure| {
            let problem = failure.into_problem();
            let why = match (problem.detail, problem.help) {
                (Some(detail), _) => format!("{}: {detail}", problem.title),
                (None, Some(help)) => format!("{} ({help})", problem.title),
                (None, None) => problem.title,
            };
            ConnectRefusal { slug: problem.slug, why }
        })
    }
}

impl McpSocket<'_> {
    async fn open(&self) -> Result<UnixStream, CliError> {
        let until = Instant::now() + SOCKET_TIMEOUT;
        let mut stream = loop {
            match self.client.connect_beside(mcp::SOCKET).await {
                Err(ClientError::Down { started: None, .. }) if Instant::now() < until => sleep(STEP).await,
                connected => break connected?,
            }
        };
        let said = stream.write_all(self.opening.as_bytes()).await;
        said.map_err(|error| ClientError::Broken { why: error.to_string() })?;
        Ok(stream)
    }
}

/// Returns the first line to send on a connection. It identifies the MCP client for which the connection is used.
fn opening(context: &VerbContext, scope: &McpScope) -> String {
    let around = &context.around;
    let directory =
        around.directory().ok().and_then(|directory| directory.into_os_string().into_string().ok());
    let opening = json!({
        "longhaul_mcp": 1,
        "version": env!("CARGO_PKG_VERSION"),
        "directory": directory,
        "environment": around.environment(),
        "session": scope.session.clone().or_else(|| around.variable("LONGHAUL_SESSION")),
        "parent": around.own_process(context.client.socket()),
        "read_only": scope.read_only,
    });
    format!("{opening}\n")
}

fn install(context: &VerbContext, args: &McpInstallArgs) -> Result<i32, CliError> {
    let console = &context.console;
    let entry = entry(context, args)?;
    if args.print {
        console.print(&mcp::snippet(args.client, &entry))?;
        return Ok(DONE);
    }
    let plan = mcp::plan(args.client, &entry, &homes(context, args.local)?)?;
    let path = plan.path().display();
    let is_done = plan.is_done();
    if is_done {
        console.say(&format!("{path} already contains the entry"));
    } else {
        let shown = plan.shown();
        if console.yes {
            console.say(shown.trim_end());
        } else if console.can_ask {
            console.ask_about(&shown);
        }
        let question = Prompt {
            text: format!("Change {path}?"),
            would: format!("this would change {path}"),
            list: Vec::new(),
            help: "use --yes, or --print and change the file yourself",
        };
        if !question.ask(console)? {
            return Ok(DONE);
        }
        plan.apply()?;
        console.say(&format!("{path} was changed; restart the agent to use longhaul"));
    }
    if plan.stays_off() {
        console.say("the entry longhaul is disabled in that file and stays disabled");
    }
    if args.local && args.client == McpClient::Codex {
        console.hint("Codex reads the file in trusted projects only");
    }
    if console.is_json() {
        console.print_json(&json!({ "path": plan.path(), "changed": !is_done }))?;
    }
    Ok(DONE)
}

/// Returns the entry for the agent's configuration. An entry for all projects of the user contains the absolute path of
/// this executable. An entry for one project contains only the name `longhaul`, which each team member's search path
/// resolves.
fn entry(context: &VerbContext, args: &McpInstallArgs) -> Result<ServerEntry, CliError> {
    let program = if args.local {
        "longhaul".to_owned()
    } else {
        let own =
            std::env::current_exe().map_err(|source| CliError::file("find", "longhaul".as_ref(), source))?;
        own.to_string_lossy().into_owned()
    };
    let mut words = vec!["mcp".to_owned()];
    // A project's configuration is shared by a team, so it must not contain the state directory of one team member.
    if let Some(state) = context.global.state_dir.as_ref().filter(|_| !args.local) {
        let state = std::path::absolute(state).unwrap_or_else(|_| state.clone());
        words.extend(["--state-dir".to_owned(), state.to_string_lossy().into_owned()]);
    }
    if let Some(session) = &args.scope.session {
        words.extend(["--session".to_owned(), session.clone()]);
    }
    if args.scope.read_only {
        words.push("--read-only".to_owned());
    }
    Ok(ServerEntry { program, args: words })
}

fn homes(context: &VerbContext, here: bool) -> Result<ConfigPaths, CliError> {
    let around = &context.around;
    let home = around.variable("HOME").map(PathBuf::from).ok_or_else(|| CliError::Usage {
        what: "the location of the agents' configuration is unknown".to_owned(),
        why: Some("HOME is not set".to_owned()),
        help: "use --print and change the file yourself".to_owned(),
    })?;
    let config = around.variable("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from);
    let codex = around.variable("CODEX_HOME").map(PathBuf::from);
    let claude = around.variable("CLAUDE_CONFIG_DIR").map(PathBuf::from);
    Ok(ConfigPaths { home, config, codex, claude, project: here.then(|| around.directory()).transpose()? })
}

/// MCP tool as the manager describes it.
#[derive(Deserialize)]
struct ToolDescription {
    name: String,
    description: String,
}

async fn tools(context: &VerbContext, args: &McpToolsArgs) -> Result<i32, CliError> {
    let way = McpSocket { client: &context.client, opening: opening(context, &args.scope) };
    let silent = ClientError::Silent { waited: TOOLS_TIMEOUT, stopped: None };
    let listed = timeout(TOOLS_TIMEOUT, listed(way.open().await?)).await.unwrap_or(Err(silent.into()))?;
    if context.console.is_json() {
        context.console.print_json(&listed)?;
        return Ok(DONE);
    }
    let broken = |error: serde_json::Error| ClientError::Broken { why: error.to_string() };
    let tools: Vec<ToolDescription> = serde_json::from_value(listed).map_err(broken)?;
    let width = tools.iter().map(|tool| tool.name.len()).max().unwrap_or_default();
    for ToolDescription { name, description } in tools {
        context.console.print(&format!("{name:width$}  {description}\n"))?;
    }
    Ok(DONE)
}

/// Requests the tool list over the MCP protocol.
async fn listed(stream: UnixStream) -> Result<Value, CliError> {
    let broken = |why: String| CliError::from(ClientError::Broken { why });
    let mut stream = BufReader::new(stream);
    let version = "2026-07-28";
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientInfo": { "name": "longhaul", "version": env!("CARGO_PKG_VERSION") },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": { "_meta": meta } });
    let said = stream.write_all(format!("{request}\n").as_bytes()).await;
    said.map_err(|error| broken(error.to_string()))?;
    let mut line = String::new();
    stream.read_line(&mut line).await.map_err(|error| broken(error.to_string()))?;
    let answer: Value = serde_json::from_str(&line).map_err(|error| broken(error.to_string()))?;
    match answer.pointer("/result/tools") {
        Some(tools) => Ok(tools.clone()),
        None => Err(broken(format!("the server answered {answer}"))),
    }
}
