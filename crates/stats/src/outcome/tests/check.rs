//! As much of JSON Schema (draft 2020-12) as the schemas in `docs/` use. A keyword that is not known here is a mistake of the
//! schema, so nothing in it can go unchecked. The crates that know all of it bring fifty others.

use serde_json::{Map, Value};

/// A schema and what its references point into.
pub(crate) struct Schema(pub(crate) Value);

impl Schema {
    /// Where and how a document differs.
    pub(crate) fn check(&self, document: &Value) -> Result<(), String> {
        self.value(&self.0, document, "")
    }

    fn value(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        for (keyword, says) in schema.as_object().expect("a schema is an object") {
            let holds = match keyword.as_str() {
                "$schema" | "$id" | "title" | "description" | "$defs" => true,
                "$ref" => {
                    let pointer =
                        says.as_str().and_then(|to| to.strip_prefix('#')).expect("a reference inside");
                    let target = self.0.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is not there"));
                    self.value(target, value, at)?;
                    true
                }
                "type" => match says {
                    Value::Array(types) => types.iter().any(|one| is_of(one, value)),
                    one => is_of(one, value),
                },
                "anyOf" => {
                    let mut schemas = says.as_array().expect("a list").iter();
                    schemas.any(|one| self.value(one, value, at).is_ok())
                }
                "const" => says == value,
                "enum" => says.as_array().expect("a list").contains(value),
                "minimum" => value.as_f64().is_none_or(|number| number >= says.as_f64().expect("a number")),
                "maximum" => value.as_f64().is_none_or(|number| number <= says.as_f64().expect("a number")),
                "minItems" => {
                    value.as_array().is_none_or(|items| items.len() as u64 >= says.as_u64().expect("a count"))
                }
                "maxItems" => {
                    value.as_array().is_none_or(|items| items.len() as u64 <= says.as_u64().expect("a count"))
                }
                "required" => value.as_object().is_none_or(|fields| {
                    says.as_array()
                        .expect("a list")
                        .iter()
                        .all(|key| fields.contains_key(key.as_str().expect("a key")))
                }),
                "additionalProperties" => {
                    assert_eq!(*says, Value::Bool(false), "only `false` is known");
                    let known = schema["properties"].as_object().expect("they stand beside it");
                    value.as_object().is_none_or(|fields| fields.keys().all(|key| known.contains_key(key)))
                }
                "properties" => {
                    self.fields(says.as_object().expect("schemas by key"), value, at)?;
                    true
                }
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.value(says, item, &format!("{at}/{index}"))?;
                    }
                    true
                }
                unknown => panic!("{at}: the keyword `{unknown}` is not known here"),
            };
            if !holds {
                return Err(format!("{at}: `{keyword}` {says} does not hold of {value}"));
            }
        }
        Ok(())
    }

    fn fields(&self, schemas: &Map<String, Value>, value: &Value, at: &str) -> Result<(), String> {
        for (key, field) in value.as_object().into_iter().flatten() {
            if let Some(schema) = schemas.get(key) {
                self.value(schema, field, &format!("{at}/{key}"))?;
            }
        }
        Ok(())
    }
}

fn is_of(name: &Value, value: &Value) -> bool {
    match name.as_str().expect("a name") {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type is called {other}"),
    }
}
