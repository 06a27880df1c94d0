//! An HTTP client with one connection to a manager.

use crate::Failure;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use longhaul_wire::api::{
    ActionReply, CancelRequest, CommandRequest, EnvironmentRequest, LaunchReply, LaunchRequest, ProcessList,
    ProcessView, WaitReply,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::Path;
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};

/// A client that sends requests on one connection, one after the other, and blocks until each response.
pub(crate) struct Api {
    runtime: Runtime,
    sender: SendRequest<Full<Bytes>>,
    environment: EnvironmentRequest,
    directory: String,
}

impl Api {
    pub(crate) fn connect(socket: &Path, directory: &Path) -> Result<Self, Failure> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let sender = runtime.block_on(async {
            let stream = UnixStream::connect(socket).await?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            Ok::<_, Failure>(sender)
        })?;
        let captured: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Ok(Self {
            runtime,
            sender,
            environment: EnvironmentRequest { captured: Some(captured), ..EnvironmentRequest::default() },
            directory: directory.to_string_lossy().into_owned(),
        })
    }

    /// Launches a command.
    pub(crate) fn launch(&mut self, command: &[&str]) -> Result<ProcessView, Failure> {
        self.launch_under(None, command)
    }

    /// Launches a command as a child of another process.
    pub(crate) fn launch_under(
        &mut self,
        parent: Option<&str>,
        command: &[&str],
    ) -> Result<ProcessView, Failure> {
        let request = LaunchRequest {
            command: Some(self.command(command)?),
            parent_id: parent.map(str::to_owned),
            ..LaunchRequest::default()
        };
        self.submit(&request)
    }

    /// Returns the request for a command. The command runs in the working directory and with the environment of this
    /// client.
    pub(crate) fn command(&self, command: &[&str]) -> Result<CommandRequest, Failure> {
        let (program, args) = command.split_first().ok_or("a command has a program")?;
        Ok(CommandRequest {
            program: (*program).to_owned(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            directory: self.directory.clone(),
            environment: self.environment.clone(),
            ..CommandRequest::default()
        })
    }

    /// Launches a process.
    pub(crate) fn submit(&mut self, request: &LaunchRequest) -> Result<ProcessView, Failure> {
        let launched: LaunchReply = self.ask(&Method::POST, "/v1/processes", Some(request))?;
        Ok(launched.process)
    }

    /// Checks that the manager responds.
    pub(crate) fn health(&mut self) -> Result<(), Failure> {
        let _: serde_json::Value = self.ask(&Method::GET, "/v1/health", None::<&()>)?;
        Ok(())
    }

    /// Lists the live processes, at most `limit` of them.
    pub(crate) fn live(&mut self, limit: usize) -> Result<Vec<ProcessView>, Failure> {
        let list: ProcessList =
            self.ask(&Method::GET, &format!("/v1/processes?limit={limit}"), None::<&()>)?;
        Ok(list.processes)
    }

    /// Waits until a process reaches a state, such as ended or running.
    pub(crate) fn wait(&mut self, id: &str, goal: &str) -> Result<ProcessView, Failure> {
        let path = format!("/v1/wait?id={id}&mode=all&for={goal}");
        let reply: WaitReply = self.ask(&Method::GET, &path, None::<&()>)?;
        reply.processes.into_iter().next().ok_or_else(|| "the response to a wait contains no process".into())
    }

    /// Reads the start and the end of an output, with a limit on the number of tokens. Returns the size of the response
    /// in bytes.
    pub(crate) fn text(&mut self, id: &str, tokens: u32) -> Result<usize, Failure> {
        let page: serde_json::Value =
            self.ask(&Method::GET, &format!("/v1/processes/{id}/text?max_tokens={tokens}"), None::<&()>)?;
        Ok(page.to_string().len())
    }

    /// Waits until no process is live.
    pub(crate) fn wait_for_all(&mut self) -> Result<(), Failure> {
        while let Some(process) = self.live(1)?.into_iter().next() {
            self.wait(&process.id, "ended")?;
        }
        Ok(())
    }

    /// Cancels a process and all its descendants.
    pub(crate) fn cancel(&mut self, id: &str) -> Result<(), Failure> {
        let path = format!("/v1/processes/{id}/cancel");
        let _: ActionReply = self.ask(&Method::POST, &path, Some(&CancelRequest::default()))?;
        Ok(())
    }

    /// Kills a process.
    pub(crate) fn kill(&mut self, id: &str) -> Result<(), Failure> {
        let request = CancelRequest { force: true, ..CancelRequest::default() };
        let _: ActionReply =
            self.ask(&Method::POST, &format!("/v1/processes/{id}/cancel"), Some(&request))?;
        Ok(())
    }

    fn ask<Q: Serialize, A: DeserializeOwned>(
        &mut self,
        method: &Method,
        path: &str,
        question: Option<&Q>,
    ) -> Result<A, Failure> {
        let body = match question {
            Some(question) => Bytes::from(serde_json::to_vec(question)?),
            None => Bytes::new(),
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::new(body))?;
        let sender = &mut self.sender;
        let (status, answer) = self.runtime.block_on(async {
            sender.ready().await?;
            let response = sender.send_request(request).await?;
            let status = response.status();
            Ok::<_, hyper::Error>((status, response.into_body().collect().await?.to_bytes()))
        })?;
        if !status.is_success() {
            let text = String::from_utf8_lossy(&answer);
            return Err(format!("the response to {method} {path} was {status}: {text}").into());
        }
        Ok(serde_json::from_slice(&answer)?)
    }
}
