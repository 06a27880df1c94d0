//! The MCP server, which handles the requests of the protocol.

use crate::answer::JsonObject;
use crate::caller::Caller;
use crate::calls::{MIN_BYTES, ToolContext, read};
use crate::error::ToolError;
use crate::instructions::INSTRUCTIONS;
use crate::mcp::McpShared;
use crate::parameters;
use crate::resource;
use crate::subscriptions::{LegacySubscriptions, can_be_heard};
use crate::tool::Tool;
use crate::tool::input::WaitInput;
use crate::truncate::brief;
use http::request::Parts;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams,
    CompleteRequestParams, CompleteResult, CreateTaskResult, CustomRequest, CustomResult, GetTaskParams,
    GetTaskResult, Implementation, InitializeRequestParams, InitializeResult, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ProgressNotificationParam, ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse,
    ReadResourceResult, ServerCapabilities, ServerConfig, SubscribeRequestParams, SubscriptionFilter,
    TASKS_EXTENSION_ID, Tool as Definition, UnsubscribeRequestParams, UpdateTaskParams,
};
use rmcp::service::{RequestContext, RoleServer, SubscriptionContext};
use rmcp::{ErrorData, ServerHandler};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, MissedTickBehavior};

/// Time for which a client may cache a list of tools, in milliseconds.
const KEEP: u64 = 300_000;
/// Maximum number of concurrent waits of one connection.
const SHARE: usize = 256;
/// Maximum size in bytes of an error, for tools whose results have no size limit of their own.
const MAX_ERROR_BYTES: usize = 6_000;
/// Interval between progress notifications to a client that is waiting.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Server for one connection, or for one request over HTTP.
#[derive(Clone)]
pub struct Server {
    shared: Arc<McpShared>,
    origin: Transport,
    listening: LegacySubscriptions,
    /// Permits for the waits of this client.
    waits: Arc<Semaphore>,
}

/// Transport of a request.
#[derive(Clone)]
enum Transport {
    /// Stream whose handshake named the caller.
    Stream(Arc<Caller>),
    /// HTTP; the caller is determined for each request.
    Http(Arc<dyn Fn(&Parts) -> Caller + Send + Sync>),
}

impl Server {
    pub(crate) fn new(shared: Arc<McpShared>, caller: Arc<Caller>) -> Self {
        Self::from(shared, Transport::Stream(caller))
    }

    pub(crate) fn over_http(
        shared: Arc<McpShared>,
        caller: Arc<dyn Fn(&Parts) -> Caller + Send + Sync>,
    ) -> Self {
        Self::from(shared, Transport::Http(caller))
    }

    fn from(shared: Arc<McpShared>, origin: Transport) -> Self {
        Self {
            shared,
            origin,
            listening: LegacySubscriptions::default(),
            waits: Arc::new(Semaphore::new(SHARE)),
        }
    }

    /// Returns the caller of a request. If the caller cannot be determined, it is read-only.
    fn caller(&self, context: &RequestContext<RoleServer>) -> Arc<Caller> {
        match &self.origin {
            Transport::Stream(caller) => caller.clone(),
            Transport::Http(caller) => Arc::new(match context.extensions.get::<Parts>() {
                Some(parts) => caller(parts),
                None => Caller { read_only: true, ..Caller::default() },
            }),
        }
    }

    async fn wait_for_updates(
        &self,
        tool: Tool,
        arguments: JsonObject,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ToolError> {
        let caller = self.caller(context);
        if caller.read_only && !tool.only_looks() {
            return Err(ToolError::read_only(tool.name()));
        }
        let arguments = tool.checked(arguments)?;
        let desk = ToolContext { api: &self.shared.api, caller: &caller };
        let answer = if tool == Tool::WaitForProcess {
            if takes_tasks(context) {
                let asked: WaitInput = read(arguments.clone())?;
                if let Some(task) = self.shared.tasks.begin(desk, &asked).await? {
                    return Ok(CallToolResponse::Task(CreateTaskResult::new(task)));
                }
            }
            let _room = self.room(&caller)?;
            self.waited(desk, arguments, context).await?
        } else {
            desk.perform(tool, arguments).await?
        };
        Ok(CallToolResponse::Complete(answer))
    }

    /// Returns the permits for one wait. They are released when the returned value is dropped.
    ///
    /// # Errors
    /// The maximum number of concurrent waits is reached.
    fn room(&self, caller: &Caller) -> Result<Vec<SemaphorePermit<'_>>, ToolError> {
        let readers = caller.read_only.then_some(&self.shared.waits_of_readers);
        let all = [Some(&self.waits), readers, Some(&self.shared.waits)].into_iter().flatten();
        let taken = all.map(|room| room.try_acquire()).collect::<Result<Vec<_>, _>>();
        taken.map_err(|_| ToolError::too_many_calls())
    }

    /// Waits, and sends progress notifications during the wait, because a client that receives no message times out.
    async fn waited(
        &self,
        desk: ToolContext<'_>,
        arguments: JsonObject,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ToolError> {
        let wait = desk.perform(Tool::WaitForProcess, arguments);
        tokio::pin!(wait);
        let begun = Instant::now();
        let mut pulse = tokio::time::interval_at(begun + KEEPALIVE_INTERVAL, KEEPALIVE_INTERVAL);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                answer = &mut wait => return answer,
                () = context.ct.cancelled() => return Err(ToolError::invalid("the wait was cancelled")),
                _ = pulse.tick() => {
                    let Some(token) = context.meta.get_progress_token() else { continue };
                    let waited = begun.elapsed().as_secs();
                    let note = ProgressNotificationParam::new(token, begun.elapsed().as_secs_f64())
                        .with_message(format!("waited {waited} s"));
                    // A failed notification is ignored: if the client has disconnected, the wait ends without an error.
                    let _ = context.peer.notify_progress(note).await;
                }
            }
        }
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_tasks()
            .build();
        let version = self.shared.api.about.version.clone();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("longhaul", version).with_title("longhaul"))
            .with_instructions(INSTRUCTIONS)
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        context.peer.set_peer_info(request.clone());
        let mut info = self.negotiate_initialize(&request)?;
        // Protocol revisions that have the `initialize` request do not define the tasks extension.
        if let Some(extensions) = &mut info.capabilities.extensions {
            extensions.remove(TASKS_EXTENSION_ID);
        }
        info.capabilities.extensions = info.capabilities.extensions.filter(|left| !left.is_empty());
        if let Transport::Http(_) = self.origin
            && let Some(resources) = &mut info.capabilities.resources
        {
            // Update notifications need a stream, which this HTTP transport does not have.
            resources.subscribe = None;
        }
        Ok(info)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let read_only = self.caller(&context).read_only;
        let mut tools = definitions(read_only);
        if !knows_structured_content(&context) {
            for tool in &mut tools {
                tool.output_schema = None;
            }
        }
        let mut listed = ListToolsResult::with_all_items(tools);
        listed.ttl_ms = Some(KEEP);
        // The list depends on the permissions of the client.
        listed.cache_scope = Some(CacheScope::Private);
        Ok(listed)
    }

    fn get_tool(&self, name: &str) -> Option<Definition> {
        Tool::named(name).map(Tool::definition)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(tool) = Tool::named(&request.name) else {
            return Err(parameters::no_tool(&request.name));
        };
        let arguments = request.arguments.unwrap_or_default();
        match self.wait_for_updates(tool, arguments, &context).await {
            Ok(response) => Ok(response),
            Err(refusal) => {
                tracing::debug!(tool = tool.name(), code = refusal.code(), "a tool call was refused");
                Ok(CallToolResponse::Complete(if tool.reads_output() {
                    refusal.into_result_within(MIN_BYTES)
                } else {
                    refusal.into_result_within(MAX_ERROR_BYTES)
                }))
            }
        }
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let listed = resource::listed(&self.shared.api).await.map_err(ToolError::into_error)?;
        Ok(ListResourcesResult::with_all_items(listed))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let mut listed = ListResourceTemplatesResult::with_all_items(resource::templates());
        listed.ttl_ms = Some(KEEP);
        listed.cache_scope = Some(CacheScope::Public);
        Ok(listed)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let missing = || no_resource(&request.uri);
        let caller = self.caller(&context);
        let desk = ToolContext { api: &self.shared.api, caller: &caller };
        match resource::read(desk, &request.uri).await {
            None => Err(missing()),
            Some(Err(refusal)) if refusal.is_missing() => Err(missing()),
            Some(Err(refusal)) => Err(refusal.into_error()),
            Some(Ok(contents)) => Ok(ReadResourceResult::new(vec![contents]).into()),
        }
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        // The server does not declare prompts. The method must therefore not exist; an empty list would be wrong.
        Err(parameters::no_method("prompts/list"))
    }

    async fn complete(
        &self,
        _: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        Err(parameters::no_method("completion/complete"))
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        // A request for an existing method arrives here if its parameters have the wrong form. This happens only over
        // HTTP, where methods that need a session do not exist.
        let wrong = match request.method.as_str() {
            "initialize" | "resources/subscribe" | "resources/unsubscribe" => None,
            method => parameters::wrong(method, request.params.as_ref()),
        };
        Err(wrong.unwrap_or_else(|| parameters::no_method(&request.method)))
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        let known = requested.resource_subscriptions.iter().flatten();
        let known = known.filter(|uri| can_be_heard(uri)).cloned();
        Some(SubscriptionFilter::builder().resource_subscriptions(known).build())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let uris = context.accepted().resource_subscriptions.clone().unwrap_or_default();
        self.listening.follow(&self.shared.api, uris, &context).await.map_err(ToolError::into_error)
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let Transport::Stream(_) = self.origin else {
            return Err(ErrorData::invalid_request(
                "this connection keeps no state between requests, so there is no stream for updates",
                None,
            ));
        };
        if !can_be_heard(&request.uri) {
            return Err(no_resource(&request.uri));
        }
        self.listening.add(&self.shared.api, request.uri, &context.peer).await.map_err(ToolError::into_error)
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.listening.remove(&request.uri);
        Ok(())
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let task = self.shared.tasks.get(&self.shared.api, &request.task_id).await;
        task.map(GetTaskResult::new).ok_or_else(no_task)
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        // No task ever requests input, so updates are ignored.
        let task = self.shared.tasks.get(&self.shared.api, &request.task_id).await;
        task.map(|_| ()).ok_or_else(no_task)
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if self.caller(&context).read_only {
            return Err(ToolError::read_only("tasks/cancel").into_request_error());
        }
        match self.shared.tasks.cancel(&self.shared.api, &request.task_id).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(no_task()),
            Err(error) => {
                Err(ErrorData::internal_error(format!("the result cannot be encoded: {error}"), None))
            }
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

/// Returns the definitions of the tools that a client may call.
pub(crate) fn definitions(read_only: bool) -> Vec<Definition> {
    let allowed = Tool::ALL.into_iter().filter(|tool| !read_only || tool.only_looks());
    allowed.map(Tool::definition).collect()
}

/// Returns true if the client supports tasks. Tasks exist only in the stateless protocol versions.
fn takes_tasks(context: &RequestContext<RoleServer>) -> bool {
    let is_new = context
        .protocol_version()
        .is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str());
    is_new && context.client_capabilities().is_some_and(|declared| declared.supports_tasks())
}

/// Returns true if the protocol revision of the client supports structured content or is unknown.
fn knows_structured_content(context: &RequestContext<RoleServer>) -> bool {
    let header = || context.extensions.get::<Parts>()?.headers.get("mcp-protocol-version")?.to_str().ok();
    let version = context.protocol_version();
    let version = version.as_ref().map(ProtocolVersion::as_str).or_else(header);
    version.is_none_or(|version| version >= ProtocolVersion::V_2025_06_18.as_str())
}

fn no_task() -> ErrorData {
    ErrorData::invalid_params("there is no such task", None)
}

fn no_resource(uri: &str) -> ErrorData {
    let uri = brief(uri);
    ErrorData::resource_not_found(
        format!("there is no resource {uri:?}"),
        Some(serde_json::json!({ "uri": uri })),
    )
}
