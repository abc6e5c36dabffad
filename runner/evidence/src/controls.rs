//! Which controls of which frameworks ask for what a validation tests: data, in `data/controls.json`. It says what was tested,
//! never that a requirement is met. Pure.

use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const DATA: &str = include_str!("../data/controls.json");

/// A control, and what of a document bears on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Control {
    /// The framework.
    pub framework: String,
    /// The control, as the framework numbers it.
    pub control: String,
    /// What the control is about.
    pub about: String,
    /// Which documents bear on it.
    pub when: When,
    /// What was tested.
    pub tested: String,
    /// Fields of the document that say so.
    pub fields: Vec<String>,
}

/// Which documents bear on a control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum When {
    /// Those of a validation that made a check of the archive.
    Archive,
    /// Those of a validation that compared a cluster with what a restore wrote there.
    Restore,
}

/// All controls of the map.
///
/// # Errors
/// When the map does not read, which a test excludes.
pub fn all() -> Result<&'static [Control], serde_json::Error> {
    static MAP: OnceLock<Vec<Control>> = OnceLock::new();
    if let Some(map) = MAP.get() {
        return Ok(map);
    }
    let map = serde_json::from_str(DATA)?;
    Ok(MAP.get_or_init(|| map))
}
