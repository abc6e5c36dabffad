//! Results as documents.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::Error;
use crate::forms::Output;
use crate::screen::Screen;
use crate::words::safe;

/// Version of the documents that commands print: fields are added, never changed.
pub const API_VERSION: &str = "cli.kafka-backup.dev/v1alpha1";

/// Something as a document.
///
/// # Errors
/// When JSON cannot hold it.
pub fn value<T: Serialize>(value: &T) -> Result<Value, Error> {
    serde_json::to_value(value).map_err(|error| Error::Document(error.to_string()))
}

/// Something as YAML.
///
/// # Errors
/// When YAML cannot hold it.
pub fn yaml<T: Serialize>(value: &T) -> Result<String, Error> {
    serde_saphyr::to_string(value).map_err(|error| Error::Document(error.to_string()))
}

/// Prints a document as JSON or YAML.
///
/// # Errors
/// When the output is closed.
pub fn document<T: Serialize>(kind: &str, value: &T, output: Output, screen: &mut Screen) -> Result<(), Error> {
    let mut whole = match self::value(value)? {
        Value::Object(fields) => fields,
        list => Map::from_iter([("items".to_owned(), list)]),
    };
    whole.insert("apiVersion".to_owned(), API_VERSION.into());
    whole.insert("kind".to_owned(), kind.into());
    raw(&whole, output, screen)
}

/// Prints a list in one of the forms for programs: a line each as JSON Lines, else one document.
///
/// # Errors
/// When the output is closed.
pub fn list<T: Serialize>(kind: &str, items: &[T], output: Output, screen: &mut Screen) -> Result<(), Error> {
    match output {
        Output::Jsonl => items.iter().try_for_each(|item| raw(item, output, screen)),
        output => document(kind, &items, output, screen),
    }
}

/// Prints names, a line each.
///
/// # Errors
/// When the output is closed.
pub fn names(names: impl IntoIterator<Item = String>, screen: &mut Screen) -> Result<(), Error> {
    names.into_iter().try_for_each(|name| screen.text(&(safe(&name) + "\n")))
}

/// Prints a value as it is, as JSON or YAML.
///
/// # Errors
/// When the output is closed.
pub fn raw<T: Serialize>(value: &T, output: Output, screen: &mut Screen) -> Result<(), Error> {
    let text = match output {
        Output::Yaml => return screen.text(&format!("{}\n", yaml(value)?.trim_end())),
        Output::Jsonl => serde_json::to_string(value),
        Output::Json | Output::Table | Output::Wide | Output::Name => serde_json::to_string_pretty(value),
    };
    let text = text.map_err(|error| Error::Document(error.to_string()))?;
    screen.json(&format!("{}\n", text.trim_end()))
}
