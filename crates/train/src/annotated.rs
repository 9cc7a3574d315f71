//! Where the texts of a recipe say something beside themselves: control attributes, and weights.

use descant_inference::Error;
use descant_text::{Annotations, Column, Columns, ControlConfig, Form, Source};

/// A text with what it says beside.
///
/// # Errors
/// Where it has no place for control attributes.
pub(crate) fn annotated(source: Source, annotations: Annotations) -> Result<Source, Error> {
    if annotations == Annotations::default() {
        return Ok(source);
    }
    if let Some(control) = &annotations.control {
        check_control(&source, control)?;
    }
    Ok(Source::Annotated { source: Box::new(source), annotations })
}

/// That a text has a place for a column that is none of its texts.
///
/// # Errors
/// Where it has not.
pub(crate) fn has_place(text: &Source, column: &Column, key: &str) -> Result<(), Error> {
    let is_name = matches!(column, Column::Name(_));
    for part in text.parts().into_iter().filter(|part| part.path().exists()) {
        let reason = match part {
            Source::Json { .. } | Source::Parquet { .. } if is_name => continue,
            Source::Csv { columns: None | Some(Columns::Names(_)), .. } if is_name => continue,
            Source::Tsv { columns: Some(Columns::Names(_)), .. } if is_name => continue,
            Source::Tsv { columns: None | Some(Columns::Numbers(_)), .. } if !is_name => continue,
            Source::Csv { columns: Some(Columns::Numbers(_)), .. } if !is_name => continue,
            Source::Json { .. } | Source::Parquet { .. } | Source::Csv { .. } | Source::Tsv { .. } => match is_name {
                true => {
                    "its columns are known by numbers. Take the number, from 0, or name all columns by data.columns"
                }
                false => "its columns are known by names. Take the name",
            },
            _ => "it has no columns. Take .jsonl, .csv, .parquet, or .tsv with data.columns",
        };
        return Err(Error::Recipe { path: part.path().to_owned(), reason: format!("{key} = {column}: {reason}") });
    }
    Ok(())
}

/// That a text has a place for control attributes.
///
/// # Errors
/// Where it has none.
fn check_control(source: &Source, control: &ControlConfig) -> Result<(), Error> {
    let wrong = |reason: String| Err(Error::Recipe { path: source.path().to_owned(), reason });
    let missing = control.attributes.keys().find(|name| !control.columns.contains_key(*name));
    for part in source.parts() {
        match (part, missing) {
            // Each text has those that are given, and a continuous one has no start that they could stand before.
            _ if !control.given.is_empty() && part.form() != Form::Continuous => {}
            // The columns of a header are known by their names.
            (Source::Json { .. } | Source::Parquet { .. }, _) => {}
            (Source::Csv { columns: None | Some(Columns::Names(_)), .. }, _) => {}
            (Source::Tsv { columns: Some(Columns::Names(_)), .. }, _) => {}
            (Source::Tsv { .. } | Source::Csv { .. }, None) => {}
            (Source::Tsv { .. } | Source::Csv { .. }, Some(name)) => {
                return wrong(format!(
                    "[control]: in which column is {name}? Set control.columns = {{ {name} = 2 }} in the recipe; descant eval takes the \
                     value of all texts, too (--control {name}=VALUE)"
                ));
            }
            _ => {
                let form = part.form();
                return wrong(format!(
                    "it holds {form}, which have no place for the attributes of [control]. Take .jsonl, where they are fields, or \
                     tab-separated pairs with data.columns and control.columns"
                ));
            }
        }
    }
    Ok(())
}
