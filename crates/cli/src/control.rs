//! Control attributes: those of the command line, and those of a line.

use crate::json_line::JsonLine;
use clap::Args;
use descant_inference::{Control, Trained};
use serde_json::Value;

/// The field of a JSON object.
const FIELD: &str = "control";

#[derive(Args)]
pub(crate) struct ControlAttributes {
    /// A control attribute that the model was trained with ([control] in its recipe), such as register=formal. Can be given several
    /// times. What a line says itself goes before it: "control" in a .jsonl, such as {"register": "informal"}, or of eval the field or column of
    /// the attribute; null leaves one out
    #[arg(long, value_name = "NAME=VALUE", value_parser = attribute, help_heading = "Control")]
    pub(crate) control: Vec<(String, String)>,
}

impl ControlAttributes {
    /// Those of all lines.
    ///
    /// # Errors
    /// For one that the model does not know, or that is given twice.
    pub(crate) fn of_all(&self, trained: &Trained) -> anyhow::Result<Control> {
        let control: Control = self.control.iter().cloned().collect();
        anyhow::ensure!(
            control.len() == self.control.len(),
            "--control: an attribute has one value, and one is given twice"
        );
        trained.control("", &control).map_err(|error| anyhow::anyhow!("--control: {error}"))?;
        Ok(control)
    }
}

/// Those of a line: those of all lines, but for what it says itself. Null leaves one out.
pub(crate) fn of_line(of_all: &Control, line: &JsonLine) -> Result<Control, String> {
    let mut control = of_all.clone();
    let own = match line.get(FIELD)? {
        None | Some(Value::Null) => return Ok(control),
        Some(Value::Object(own)) => own,
        Some(_) => return Err("its \"control\" is no object such as {\"register\": \"formal\"}".to_owned()),
    };
    for (name, value) in own {
        match value {
            Value::Null => control.remove(&name),
            Value::String(value) => control.insert(name, value),
            _ => return Err(format!("its \"control\": {name:?} is no text")),
        };
    }
    Ok(control)
}

/// An attribute of the command line.
fn attribute(given: &str) -> Result<(String, String), String> {
    let (name, value) = given.split_once('=').ok_or("expected NAME=VALUE, such as register=formal")?;
    Ok((name.to_owned(), value.to_owned()))
}
