//! OpenAPI 3.1 description of the API, generated from the routes and the wire types.

mod bounds;
mod schemas;

use crate::request_id::REQUEST_ID;
use crate::route::{Operation, Parameter, ParameterLocation, RequestBody, ResponseDoc, Route, RouteMethod};
use crate::routes::entries;
use longhaul_wire::api::Problem;
use schemars::SchemaGenerator;
use schemas::Schemas;
use serde_json::Value;
use std::sync::LazyLock;
use utoipa::openapi::link::Link;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathItem, PathsBuilder,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ContentBuilder, Header, InfoBuilder, LicenseBuilder, Object, OpenApiBuilder, Ref, RefOr, Required,
    Response, ResponseBuilder, Schema, ServerBuilder, Type,
};

/// Returns the OpenAPI document as JSON text.
pub(crate) fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| document(&entries()).to_string());
    &TEXT
}

/// Builds the OpenAPI document for these routes.
pub(crate) fn document(entries: &[Route]) -> Value {
    let mut schemas = Schemas::default();
    let paths = entries.iter().fold(PathsBuilder::new(), |paths, entry| {
        let links = if entry.operation.makes_a_process() { links(entries) } else { Vec::new() };
        let operation = operation(entry.path, &entry.operation, &links, &mut schemas);
        // OpenAPI has no notation for a parameter that contains slashes.
        paths.path(entry.path.replace("{*", "{"), PathItem::new(method(entry.verb), operation))
    });
    let licence = LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0"));
    let info = InfoBuilder::new()
        .title("longhaul")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Runs, observes and records long-running work. New versions only add fields, and values where the \
             values are not enumerated: clients must ignore unknown fields and accept unknown values.",
        ))
        .license(Some(licence.build()));
    let token = SecurityRequirement::new::<_, _, &str>("token", []);
    let document = OpenApiBuilder::new()
        .info(info)
        .servers(Some([ServerBuilder::new()
            .url("/")
            .description(Some("The manager that serves this document"))
            .build()]))
        .tags(Some(TAGS.map(|(name, about)| TagBuilder::new().name(name).description(Some(about)).build())))
        .paths(paths)
        // Requests over the Unix socket in the state directory need no token.
        .security(Some([token, SecurityRequirement::default()]))
        .build();
    schemas.complete(serde_json::to_value(&document).unwrap_or_default())
}

fn operation(
    path: &'static str,
    operation: &Operation,
    links: &[(&'static str, Link)],
    schemas: &mut Schemas,
) -> OperationBuilder {
    let mut built = OperationBuilder::new()
        .operation_id(Some(operation.id))
        .summary(Some(operation.summary))
        .tag(tag(path));
    for name in named_in(path) {
        let schema = schemas.loose(bounds::of_path(name));
        built = built.parameter(
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .description(Some(bounds::about_path(name)))
                .schema(Some(schema)),
        );
    }
    if let Some(query) = operation.query {
        for field in schemas.fields(query, operation.elsewhere) {
            built = built.parameter(
                ParameterBuilder::new()
                    .name(field.name)
                    .parameter_in(ParameterIn::Query)
                    .required(if field.is_required { Required::True } else { Required::False })
                    .description(Some(field.about))
                    .schema(Some(field.schema)),
            );
        }
    }
    for parameter in &operation.parameters {
        built = built.parameter(parameter_builder(parameter, schemas));
    }
    if let Some(body) = &operation.body {
        built = built.request_body(Some(taken(body, schemas).build()));
    }
    for answer in &operation.answers {
        let mut response = response(answer, schemas);
        if answer.status == 201 {
            response.links.extend(links.iter().map(|(id, link)| ((*id).to_owned(), link.clone().into())));
        }
        built = built.response(answer.status.to_string(), response);
    }
    // The HTTP parser sends this response itself, so it has no problem document as its body.
    built =
        built.response("431", ResponseBuilder::new().description("The headers of the request are too large"));
    let problem = schemas.given(SchemaGenerator::subschema_for::<Problem>);
    for (range, about) in
        [("4XX", "The request is rejected"), ("5XX", "The manager cannot process the request now")]
    {
        let content = ContentBuilder::new().schema(Some(problem.clone())).build();
        let response = ResponseBuilder::new().description(about).content("application/problem+json", content);
        built = built.response(range, with_common_headers(response).build());
    }
    built
}

fn parameter_builder(parameter: &Parameter, schemas: &mut Schemas) -> ParameterBuilder {
    let place = match parameter.place {
        ParameterLocation::Query => ParameterIn::Query,
        ParameterLocation::Header => ParameterIn::Header,
    };
    ParameterBuilder::new()
        .name(parameter.name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(parameter.about))
        .schema(Some(schemas.loose(parameter.schema.clone())))
}

fn taken(body: &RequestBody, schemas: &mut Schemas) -> RequestBodyBuilder {
    let content = ContentBuilder::new().schema(Some(schemas.taken(body.shape))).build();
    let required = if body.required { Required::True } else { Required::False };
    RequestBodyBuilder::new().content("application/json", content).required(Some(required))
}

fn response(answer: &ResponseDoc, schemas: &mut Schemas) -> Response {
    let mut response = ResponseBuilder::new().description(answer.about);
    for (media, shape) in &answer.media {
        let content = match shape {
            Some(shape) => ContentBuilder::new().schema(Some(schemas.given(*shape))).build(),
            None => ContentBuilder::new().build(),
        };
        response = response.content(*media, content);
    }
    for (name, about) in &answer.headers {
        response = response.header(*name, header(about));
    }
    with_common_headers(response).build()
}

fn header(about: &str) -> Header {
    let mut header = Header::new(RefOr::<Schema>::from(Schema::Object(Object::with_type(Type::String))));
    header.description = Some(about.to_owned());
    header
}

/// Adds the headers that every response has.
fn with_common_headers(response: ResponseBuilder) -> ResponseBuilder {
    response
        .header(REQUEST_ID.as_str(), header("Id of the request"))
        .header(longhaul_wire::api::PROTOCOL_HEADER, header("Version of this API"))
}

/// Groups of operations, each with its name and description.
const TAGS: [(&str, &str); 6] = [
    ("processes", "Launch, inspect and control processes, and read their output"),
    ("sessions", "Processes that belong together: lists, end of a session, notices"),
    ("events", "Events as they happen"),
    ("queues", "Concurrency keys and their waiting processes"),
    ("nodes", "Managers that share the store"),
    ("manager", "The manager: health, metrics, records"),
];

/// Returns the group of an operation. Most paths start with the name of their group.
fn tag(path: &str) -> &'static str {
    let noun = path.split('/').nth(2).unwrap_or_default();
    match noun {
        "cancel" | "wait" | "restart-interrupted" => "processes",
        noun => TAGS.iter().find(|(name, _)| *name == noun).map_or("manager", |(name, _)| name),
    }
}

/// Returns OpenAPI links that lead from the response that creates a process to the operations on that process.
fn links(entries: &[Route]) -> Vec<(&'static str, Link)> {
    let of_one = entries.iter().filter(|entry| entry.path.starts_with("/v1/processes/{reference}"));
    let link = |entry: &Route| {
        let id = entry.operation.id;
        let reference = Value::from("$response.body#/process/id");
        (id, Link::builder().operation_id(id).parameter("reference", reference).build())
    };
    of_one.map(link).collect()
}

const fn method(verb: RouteMethod) -> HttpMethod {
    match verb {
        RouteMethod::Get => HttpMethod::Get,
        RouteMethod::Post => HttpMethod::Post,
        RouteMethod::Patch => HttpMethod::Patch,
        RouteMethod::Delete => HttpMethod::Delete,
    }
}

/// Returns the names of the parameters in a path template.
fn named_in(path: &'static str) -> impl Iterator<Item = &'static str> {
    let name = |part: &'static str| part.strip_prefix('{')?.strip_suffix('}');
    path.split('/').filter_map(name).map(|name| name.trim_start_matches('*'))
}

/// Returns a reference to the schema at this place in the OpenAPI document.
fn reference(place: &str) -> RefOr<Schema> {
    RefOr::Ref(Ref::new(place))
}
