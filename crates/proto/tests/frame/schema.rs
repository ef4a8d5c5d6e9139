//! `frame.proto` against the structs: the golden messages are read by a reader that knows the schema alone.

use crate::golden::cases;
use crate::reader::{hex, unhex};
use serde_json::{Map, Value, json};

const SCHEMA: &str = include_str!("../../src/frame/frame.proto");

/// One field as the schema has it.
struct Field<'a> {
    message: &'a str,
    kind: &'a str,
    name: &'a str,
    tag: u64,
}

#[test]
fn the_schema_reads_the_golden_messages_as_the_structs_do() {
    let fields = fields();
    let mut read = 0;
    for case in cases() {
        for frame in case.told.frames.iter().filter(|frame| frame.get("message").is_some()) {
            let message = match frame["frame"].as_str().expect("a name") {
                "HELLO" => "Hello",
                "PING" | "PONG" => "Ping",
                "ACK" => "Ack",
                "ERROR" => "Error",
                "GOAWAY" => "Goaway",
                other => panic!("{other}"),
            };
            let payload = unhex(frame["payload"].as_str().expect("hex"));
            assert_eq!(
                Value::Object(by_schema(&fields, message, &payload)),
                frame["message"],
                "{}",
                case.name
            );
            read += 1;
        }
    }
    assert!(read > 12, "{read} messages");
}

fn fields() -> Vec<Field<'static>> {
    let mut message = "";
    let mut all = Vec::new();
    for line in SCHEMA.lines().filter(|line| !line.starts_with("//")) {
        let words: Vec<&str> = line.trim_end_matches(';').split_whitespace().collect();
        match words[..] {
            ["message", name, "{"] => message = name,
            ["repeated", "uint32", name, "=", tag] => {
                all.push(Field { message, kind: "uint32s", name, tag: tag.parse().expect("a tag") });
            }
            [kind, name, "=", tag] if !message.is_empty() => {
                all.push(Field { message, kind, name, tag: tag.parse().expect("a tag") });
            }
            _ => {}
        }
    }
    assert_eq!(all.len(), 14, "fields of the schema");
    all
}

/// Reads a message of Protobuf by its schema, with proto3's defaults.
fn by_schema(fields: &[Field<'_>], message: &str, payload: &[u8]) -> Map<String, Value> {
    let mine = || fields.iter().filter(|field| field.message == message);
    let mut told: Map<String, Value> =
        mine().map(|field| (field.name.to_owned(), default(field.kind))).collect();
    let mut rest = payload;
    while !rest.is_empty() {
        let key = varint(&mut rest);
        let field = mine().find(|field| field.tag == key >> 3);
        let kind = field.map_or("unknown", |field| field.kind);
        let value = match (key & 7, kind) {
            (0, "uint32s") => list(&told[field.expect("known").name], [varint(&mut rest)]),
            (0, _) => json!(varint(&mut rest)),
            (1, _) => json!(u64::from_le_bytes(*take(&mut rest, 8).first_chunk().expect("8 bytes"))),
            (2, kind) => {
                let len = varint(&mut rest) as usize;
                let mut bytes = take(&mut rest, len);
                match kind {
                    "string" => json!(std::str::from_utf8(bytes).expect("UTF-8")),
                    "uint32s" => {
                        let packed = std::iter::from_fn(|| (!bytes.is_empty()).then(|| varint(&mut bytes)));
                        list(&told[field.expect("known").name], packed)
                    }
                    _ => json!(hex(bytes)),
                }
            }
            (wire, _) => panic!("wire type {wire}"),
        };
        if let Some(field) = field {
            told.insert(field.name.to_owned(), value);
        }
    }
    told
}

fn default(kind: &str) -> Value {
    match kind {
        "uint32" | "fixed64" => json!(0),
        "uint32s" => json!([]),
        "bytes" | "string" => json!(""),
        other => panic!("a kind of field that the tests do not know: {other}"),
    }
}

fn list(before: &Value, more: impl IntoIterator<Item = u64>) -> Value {
    let mut all = before.as_array().expect("a list").clone();
    all.extend(more.into_iter().map(Value::from));
    Value::Array(all)
}

fn varint(rest: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)[0];
        value |= u64::from(byte & 127) << shift;
        if byte < 128 {
            break;
        }
    }
    value
}

fn take<'a>(rest: &mut &'a [u8], n: usize) -> &'a [u8] {
    let (front, behind) = rest.split_at(n);
    *rest = behind;
    front
}
