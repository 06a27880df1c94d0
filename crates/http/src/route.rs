//! One route: where it is, what serves it, and what it says of itself.

use crate::idempotency::{IdempotencyCache, replayed};
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::routing::{self, MethodRouter};
use longhaul_api::Api;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

/// One route with its description. The router and the document of the API are made of the same ones.
pub(crate) struct Route {
    pub(crate) verb: RouteMethod,
    pub(crate) path: &'static str,
    pub(crate) handler: MethodRouter<Api>,
    pub(crate) operation: Operation,
}

/// What a route is asked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RouteMethod {
    Get,
    Post,
    Patch,
    Delete,
}

/// What a route says of itself.
pub(crate) struct Operation {
    /// Its name in generated clients.
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) parameters: Vec<Parameter>,
    /// A request whose fields are the parameters of the query.
    pub(crate) query: Option<SchemaFn>,
    /// Fields of that request which are no parameters here.
    pub(crate) elsewhere: &'static [&'static str],
    pub(crate) body: Option<RequestBody>,
    pub(crate) answers: Vec<ResponseDoc>,
}

/// A parameter beside those of the path.
pub(crate) struct Parameter {
    pub(crate) place: ParameterLocation,
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) schema: Value,
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParameterLocation {
    Query,
    Header,
}

/// A request body in JSON.
pub(crate) struct RequestBody {
    pub(crate) shape: SchemaFn,
    /// Whether an empty one, which counts as `{}`, is surely refused.
    pub(crate) required: bool,
}

/// An answer that is no problem.
pub(crate) struct ResponseDoc {
    pub(crate) status: u16,
    pub(crate) about: &'static str,
    /// Its media types, each with its shape; none has no body.
    pub(crate) media: Vec<(&'static str, Option<SchemaFn>)>,
    /// The headers that it alone has, with what they say.
    pub(crate) headers: Vec<(&'static str, &'static str)>,
}

/// Gives the schema of a type.
pub(crate) type SchemaFn = fn(&mut SchemaGenerator) -> Schema;

const JSON: &str = "application/json";

impl Operation {
    /// Whether its 201 tells of a new process.
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

    /// Its name in generated clients, and a sentence about it.
    pub(crate) fn named(mut self, id: &'static str, summary: &'static str) -> Self {
        self.operation.id = id;
        self.operation.summary = summary;
        self
    }

    /// Its query has the fields of this request.
    pub(crate) fn query<T: JsonSchema>(mut self) -> Self {
        self.operation.query = Some(SchemaGenerator::subschema_for::<T>);
        self
    }

    /// Its query has them but for these, which stand elsewhere.
    pub(crate) const fn but_for(mut self, fields: &'static [&'static str]) -> Self {
        self.operation.elsewhere = fields;
        self
    }

    /// It takes a parameter.
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

    /// It takes a body that may be left out.
    pub(crate) fn takes<T: JsonSchema>(mut self) -> Self {
        let shape = SchemaGenerator::subschema_for::<T>;
        self.operation.body = Some(RequestBody { shape, required: false });
        self
    }

    /// It takes a body, and makes no sense without one.
    pub(crate) fn needs<T: JsonSchema>(mut self) -> Self {
        let shape = SchemaGenerator::subschema_for::<T>;
        self.operation.body = Some(RequestBody { shape, required: true });
        self
    }

    /// It answers with this, in JSON.
    pub(crate) fn answers<T: JsonSchema>(mut self, status: u16, about: &'static str) -> Self {
        let media = vec![(JSON, Some(SchemaGenerator::subschema_for::<T> as SchemaFn))];
        let headers = if status == 201 { vec![("location", "Path of the new process")] } else { Vec::new() };
        self.operation.answers.push(ResponseDoc { status, about, media, headers });
        self
    }

    /// Its last answer has this header.
    pub(crate) fn with_header(mut self, name: &'static str, about: &'static str) -> Self {
        if let Some(answer) = self.operation.answers.last_mut() {
            answer.headers.push((name, about));
        }
        self
    }

    /// It answers with bytes of these media types, or with none at all.
    pub(crate) fn answers_raw(mut self, status: u16, about: &'static str, media: &[&'static str]) -> Self {
        let media = media.iter().map(|media| (*media, None)).collect();
        self.operation.answers.push(ResponseDoc { status, about, media, headers: Vec::new() });
        self
    }

    /// It is refused if the process has moved on from the revision that it names.
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

    /// It may be sent again under the same key, which is that of the launch.
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

    /// The same, with the answers kept here.
    pub(crate) fn replayed(mut self, replays: &IdempotencyCache) -> Self {
        self.handler = self.handler.layer(from_fn_with_state(replays.clone(), replayed));
        self.keyed(
            "Requests with the same key are executed once. A repeated request must have the same path, query and \
             body, else it is rejected with 422, and gets the same reply. The key is remembered until the manager \
             ends or 256 other keys were used",
        )
    }
}
