//! Routes of the API: their paths, handlers and OpenAPI descriptions.

use crate::idempotency::{IdempotencyCache, replayed};
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::routing::{self, MethodRouter};
use longhaul_api::Api;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

/// Route of the API with its OpenAPI description. The router and the OpenAPI document are built from the same routes.
pub(crate) struct Route {
    pub(crate) verb: RouteMethod,
    pub(crate) path: &'static str,
    pub(crate) handler: MethodRouter<Api>,
    pub(crate) operation: Operation,
}

/// HTTP method of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RouteMethod {
    Get,
    Post,
    Patch,
    Delete,
}

/// OpenAPI description of a route.
pub(crate) struct Operation {
    /// Operation name that client generators use.
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) parameters: Vec<Parameter>,
    /// Schema of the request type whose fields are the query parameters.
    pub(crate) query: Option<SchemaFn>,
    /// Fields of that request type that are not query parameters of this route, for example because the path contains
    /// them.
    pub(crate) elsewhere: &'static [&'static str],
    pub(crate) body: Option<RequestBody>,
    pub(crate) answers: Vec<ResponseDoc>,
}

/// Query or header parameter of a route.
pub(crate) struct Parameter {
    pub(crate) place: ParameterLocation,
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) schema: Value,
}

/// Part of the request that contains a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParameterLocation {
    Query,
    Header,
}

/// JSON request body of a route.
pub(crate) struct RequestBody {
    pub(crate) shape: SchemaFn,
    /// True if an empty body, which is treated as `{}`, is always refused.
    pub(crate) required: bool,
}

/// Description of a successful response.
pub(crate) struct ResponseDoc {
    pub(crate) status: u16,
    pub(crate) about: &'static str,
    /// Media types of the response, each with its schema. Empty if the response has no body.
    pub(crate) media: Vec<(&'static str, Option<SchemaFn>)>,
    /// Names and descriptions of headers that only this response has.
    pub(crate) headers: Vec<(&'static str, &'static str)>,
}

/// Function that generates the JSON schema of a type.
pub(crate) type SchemaFn = fn(&mut SchemaGenerator) -> Schema;

const JSON: &str = "application/json";

impl Operation {
    /// Returns true if the operation can create a process. Its response then has status 201.
    pub(crate) fn makes_a_process(&self) -> bool {
        self.answers.iter().any(|answer| answer.status == 201)
    }
}

impl Route {
    pub(crate) fn get<H, T>(path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        Self::new(RouteMethod::Get, path, routing::get(handler))
    }

    pub(crate) fn post<H, T>(path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        Self::new(RouteMethod::Post, path, routing::post(handler))
    }

    pub(crate) fn patch<H, T>(path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        Self::new(RouteMethod::Patch, path, routing::patch(handler))
    }

    pub(crate) fn delete<H, T>(path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        Self::new(RouteMethod::Delete, path, routing::delete(handler))
    }

    fn new(verb: RouteMethod, path: &'static str, handler: MethodRouter<Api>) -> Self {
        let operation = Operation {
            id: "",
            summary: "",
            parameters: Vec::new(),
            query: None,
            elsewhere: &[],
            body: None,
            answers: Vec::new(),
        };
        Self { verb, path, handler, operation }
    }

    /// Sets the summary of the operation, and the operation name that client generators use.
    pub(crate) fn named(mut self, id: &'static str, summary: &'static str) -> Self {
        self.operation.id = id;
        self.operation.summary = summary;
        self
    }

    /// Declares the fields of `T` as query parameters.
    pub(crate) fn query<T: JsonSchema>(mut self) -> Self {
        self.operation.query = Some(SchemaGenerator::subschema_for::<T>);
        self
    }

    /// Excludes fields of the query type from the query parameters, because this route takes them from another place,
    /// such as the path.
    pub(crate) const fn but_for(mut self, fields: &'static [&'static str]) -> Self {
        self.operation.elsewhere = fields;
        self
    }

    /// Declares an optional parameter.
    pub(crate) fn parameter(
        mut self,
        place: ParameterLocation,
        name: &'static str,
        about: &'static str,
        schema: Value,
    ) -> Self {
        self.operation.parameters.push(Parameter { place, name, about, schema });
        self
    }

    /// Declares an optional request body.
    pub(crate) fn takes<T: JsonSchema>(mut self) -> Self {
        let shape = SchemaGenerator::subschema_for::<T>;
        self.operation.body = Some(RequestBody { shape, required: false });
        self
    }

    /// Declares a mandatory request body.
    pub(crate) fn needs<T: JsonSchema>(mut self) -> Self {
        let shape = SchemaGenerator::subschema_for::<T>;
        self.operation.body = Some(RequestBody { shape, required: true });
        self
    }

    /// Declares a JSON response.
    pub(crate) fn answers<T: JsonSchema>(mut self, status: u16, about: &'static str) -> Self {
        let media = vec![(JSON, Some(SchemaGenerator::subschema_for::<T> as SchemaFn))];
        let headers = if status == 201 { vec![("location", "Path of the new process")] } else { Vec::new() };
        self.operation.answers.push(ResponseDoc { status, about, media, headers });
        self
    }

    /// Adds a header to the most recently declared response.
    pub(crate) fn with_header(mut self, name: &'static str, about: &'static str) -> Self {
        if let Some(answer) = self.operation.answers.last_mut() {
            answer.headers.push((name, about));
        }
        self
    }

    /// Declares a response whose body has one of these media types and no schema. If the list is empty, the response
    /// has no body.
    pub(crate) fn answers_raw(mut self, status: u16, about: &'static str, media: &[&'static str]) -> Self {
        let media = media.iter().map(|media| (*media, None)).collect();
        self.operation.answers.push(ResponseDoc { status, about, media, headers: Vec::new() });
        self
    }

    /// Declares the parameters `revision` and `if-match`. A request with one of these parameters is refused if the
    /// process has another revision.
    pub(crate) fn guarded(self) -> Self {
        let whole = json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX });
        let tag = json!({ "type": "string", "pattern": r#"^(\*|"[0-9]{1,20}")$"# });
        self.parameter(
            ParameterLocation::Query,
            "revision",
            "Revision on which the decision was based; another one \
         is rejected with 409",
            whole,
        )
        .parameter(
            ParameterLocation::Header,
            "if-match",
            "Revision as a quoted tag; another one is rejected with 412. `*` accepts any revision",
            tag,
        )
    }

    /// Declares the header `idempotency-key` for a launch. Its value is used as the launch key.
    pub(crate) fn idempotent(self) -> Self {
        self.keyed(
            "Launch key: in a session, launches with the same key create one process. A repeated launch must have \
             the same command line, directory, declared variables, timeout, limits, type, concurrency key and \
             agent, else it is rejected with 422. Other fields, such as the name, keep their first values",
        )
    }

    fn keyed(self, about: &'static str) -> Self {
        let key = json!({ "type": "string", "pattern": "^[!#-\\[\\]-~]{1,128}$" });
        self.parameter(ParameterLocation::Header, "idempotency-key", about, key)
    }

    /// Declares the header `idempotency-key`, and caches the responses in `replays`, so that a repeated request gets
    /// the same response again.
    pub(crate) fn replayed(mut self, replays: &IdempotencyCache) -> Self {
        self.handler = self.handler.layer(from_fn_with_state(replays.clone(), replayed));
        self.keyed(
            "Requests with the same key are executed once. A repeated request must have the same path, query and \
             body, else it is rejected with 422, and gets the same reply. The key is remembered until the manager \
             ends or 256 other keys were used",
        )
    }
}
