//! Schemas of the OpenAPI document, generated from the wire types.

use crate::openapi::{bounds, reference};
use crate::route::SchemaFn;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};

/// Location of the named schemas in the OpenAPI document.
const HOME: &str = "#/components/schemas/";
/// Prefix of temporary references, which are replaced by their schemas when the document is complete.
const TEMP_REF_PREFIX: &str = "#/loose/";

/// Collection of the document's schemas. Request schemas are exact; response schemas allow unknown fields and values.
pub(super) struct Schemas {
    taken: SchemaGenerator,
    given: SchemaGenerator,
    /// Schemas without a name. They are inserted where they are used.
    loose: Vec<Value>,
}

/// Query parameter that corresponds to a field of a request type.
pub(super) struct FieldParameter {
    pub(super) name: String,
    pub(super) about: String,
    pub(super) is_required: bool,
    pub(super) schema: RefOr<Schema>,
}

impl Default for Schemas {
    fn default() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = HOME.trim_start_matches('#').into();
                settings.meta_schema = None;
            })
        };
        Self {
            taken: settings().for_deserialize().into_generator(),
            given: settings().for_serialize().into_generator(),
            loose: Vec::new(),
        }
    }
}

impl Schemas {
    /// Returns a reference to the schema of a request type.
    pub(super) fn taken(&mut self, shape: SchemaFn) -> RefOr<Schema> {
        let schema = shape(&mut self.taken).to_value();
        self.placed(schema)
    }

    /// Returns a reference to the schema of a response type.
    pub(super) fn given(&mut self, shape: SchemaFn) -> RefOr<Schema> {
        let schema = shape(&mut self.given).to_value();
        self.placed(schema)
    }

    /// Returns a temporary reference to a schema without a name. The schema later replaces the reference.
    pub(super) fn loose(&mut self, schema: Value) -> RefOr<Schema> {
        self.loose.push(schema);
        reference(&format!("{TEMP_REF_PREFIX}{}", self.loose.len() - 1))
    }

    /// Returns the fields of a request type as query parameters. Leaves out the fields in `elsewhere`.
    pub(super) fn fields(&mut self, shape: SchemaFn, elsewhere: &[&str]) -> Vec<FieldParameter> {
        let schema = shape(&mut self.taken).to_value();
        let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|at| at.strip_prefix(HOME))
        else {
            return Vec::new();
        };
        let mut whole = self.taken.definitions().get(name).cloned().unwrap_or_default();
        bounds::narrow(name, &mut whole);
        let required: Vec<String> = strings(whole.get("required"));
        // The request type is used only for query parameters, so its own schema is not part of the document.
        self.taken.definitions_mut().remove(name);
        let Some(Value::Object(properties)) = whole.get_mut("properties").map(Value::take) else {
            return Vec::new();
        };
        properties
            .into_iter()
            .filter(|(name, _)| !elsewhere.contains(&name.as_str()))
            .map(|(name, mut schema)| {
                let about = text_of(&mut schema, "description");
                without_null(&mut schema);
                if let Value::Object(fields) = &mut schema {
                    fields.remove("default");
                    may_be_empty(fields);
                }
                let is_required = required.contains(&name);
                FieldParameter { about, is_required, schema: self.loose(schema), name }
            })
            .collect()
    }

    fn placed(&mut self, schema: Value) -> RefOr<Schema> {
        match schema.get("$ref").and_then(Value::as_str) {
            Some(place) => reference(place),
            None => self.loose(schema),
        }
    }

    /// Replaces the temporary references and adds the named schemas to the document.
    pub(super) fn complete(mut self, mut document: Value) -> Value {
        put(&mut document, &self.loose);
        let mut components = Map::new();
        for (name, mut schema) in self.taken.take_definitions(true) {
            bounds::narrow(&name, &mut schema);
            // A field that is null has the same meaning as a missing field. The document describes only the missing
            // field.
            let fields = schema.get_mut("properties").and_then(Value::as_object_mut);
            fields.into_iter().flat_map(Map::values_mut).for_each(without_null);
            components.insert(name, schema);
        }
        for (name, mut schema) in self.given.take_definitions(true) {
            bounds::list_words(&name, &mut schema);
            components.entry(name).or_insert(schema);
        }
        components.values_mut().for_each(bounds::without_defaults);
        if let Value::Object(fields) = &mut document {
            fields.insert(
                "components".to_owned(),
                json!({
                    "schemas": components,
                    "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
                }),
            );
        }
        document
    }
}

/// Replaces temporary references by their schemas, recursively.
fn put(value: &mut Value, loose: &[Value]) {
    let place = value.get("$ref").and_then(Value::as_str).and_then(|at| at.strip_prefix(TEMP_REF_PREFIX));
    if let Some(schema) = place.and_then(|at| at.parse::<usize>().ok()).and_then(|at| loose.get(at)) {
        *value = schema.clone();
        return;
    }
    match value {
        Value::Object(fields) => fields.values_mut().for_each(|value| put(value, loose)),
        Value::Array(values) => values.iter_mut().for_each(|value| put(value, loose)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Removes `null` from the types and values that a schema allows.
fn without_null(schema: &mut Value) {
    let Value::Object(fields) = schema else { return };
    if let Some(Value::Array(types)) = fields.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            fields.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(words)) = fields.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    if let Some(Value::Array(choices)) = fields.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
        if let [only] = choices.as_slice() {
            *schema = only.clone();
        }
    }
}

/// Allows the empty string as the value of a query parameter, because an empty parameter counts as missing.
fn may_be_empty(schema: &mut Map<String, Value>) {
    if schema.get("type").is_none_or(|kind| kind != "string") {
        return;
    }
    schema.remove("minLength");
    if let Some(Value::String(pattern)) = schema.get_mut("pattern") {
        *pattern = format!("^$|{pattern}");
    }
}

fn text_of(schema: &mut Value, field: &str) -> String {
    let text = schema.as_object_mut().and_then(|fields| fields.remove(field));
    text.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn strings(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
