//! Control attributes: those of the command line, and those of a line.

use crate::json_line::JsonLine;
use clap::Args;
use descant_inference::{Control, Trained};
use serde_json::{Map, Value};

/// The field of a JSON object.
const FIELD: &str = "control";

#[derive(Args)]
pub(crate) struct ControlAttributes {
    /// A control attribute that the model was trained with ([control] in its recipe), such as register=formal. Can be given several
    /// times. What a line says itself goes before it: of a .jsonl in fields of the attributes' names, as in training, or in a "control" such as
    /// {"register": "informal"}, and of eval in the field or column of the attribute; null leaves one out
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

/// Those of a line: those of all lines, but for what it says itself, in its "control" or in fields of their names, as texts to train on
/// have them. Null leaves one out.
pub(crate) fn of_line(of_all: &Control, trained: &Trained, line: &JsonLine) -> Result<Control, String> {
    let mut control = of_all.clone();
    let mut own = match line.get(FIELD)? {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(own)) => own,
        Some(_) => return Err("its \"control\" is no object such as {\"register\": \"formal\"}".to_owned()),
    };
    for name in trained.recipe.control.iter().flat_map(|config| config.attributes.keys()) {
        let Some(field) = line.get(name)? else { continue };
        match own.get(name) {
            Some(other) if *other != field => {
                return Err(format!("its {name:?} is {field}, and in its \"control\" {other}: leave one of them out"));
            }
            _ => own.insert(name.clone(), field),
        };
    }
    for (name, value) in own {
        match value {
            Value::Null => control.remove(&name),
            Value::String(value) => control.insert(name, value),
            _ => return Err(format!("its {name:?} is no text")),
        };
    }
    Ok(control)
}

/// An attribute of the command line.
fn attribute(given: &str) -> Result<(String, String), String> {
    let (name, value) = given.split_once('=').ok_or("expected NAME=VALUE, such as register=formal")?;
    Ok((name.to_owned(), value.to_owned()))
}
