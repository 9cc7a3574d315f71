//! The JSON schema accepts all recipes of the project, and refuses what parsing refuses.

use descant_inference::{Recipe, schema};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Checks a value against the part of JSON schema that ours uses; any other keyword is an error.
fn check(value: &Value, schema: &Value, place: &str) -> Result<(), String> {
    let wrong = |reason: &str| Err(format!("{place} = {value}: {reason}"));
    let keywords = schema.as_object().ok_or("a schema is an object")?;
    for (keyword, of) in keywords {
        let limit = of.as_f64().unwrap_or(f64::NAN);
        let (number, length) = (value.as_f64(), value.as_array().map_or(0, Vec::len));
        let fits = match keyword.as_str() {
            "$schema" | "title" | "description" | "default" => true,
            "type" => match of.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "integer" => value.is_i64() || value.is_u64(),
                "number" => value.is_number(),
                other => panic!("type {other}"),
            },
            "enum" => of.as_array().unwrap().contains(value),
            "minimum" => number.is_none_or(|number| number >= limit),
            "exclusiveMinimum" => number.is_none_or(|number| number > limit),
            "maximum" => number.is_none_or(|number| number <= limit),
            "exclusiveMaximum" => number.is_none_or(|number| number < limit),
            "minItems" => length >= limit as usize,
            "maxItems" => length <= limit as usize,
            "items" => value.as_array().into_iter().flatten().all(|item| check(item, of, place).is_ok()),
            "anyOf" => of.as_array().unwrap().iter().any(|schema| check(value, schema, place).is_ok()),
            "required" => of.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
            "properties" => {
                for (name, schema) in of.as_object().unwrap() {
                    value.get(name).map_or(Ok(()), |value| check(value, schema, &format!("{place}.{name}")))?;
                }
                true
            }
            "additionalProperties" => {
                let known = |name: &String| schema.get("properties").is_some_and(|known| known.get(name).is_some());
                let mut others = value.as_object().into_iter().flatten().filter(|(name, _)| !known(name));
                others.all(|(_, value)| of.is_object() && check(value, of, place).is_ok())
            }
            other => panic!("keyword {other}"),
        };
        if !fits {
            return wrong(&format!("{keyword} {of}"));
        }
    }
    Ok(())
}

fn check_text(text: &str) -> Result<(), String> {
    let table: toml::Table = toml::from_str(text).map_err(|error| error.to_string())?;
    check(&serde_json::to_value(table).unwrap(), &schema(), "recipe")
}

/// The recipes in a folder and those below.
fn recipes(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.extension() {
            _ if path.is_dir() => recipes(&path, found),
            Some(extension) if extension == "toml" => found.push(path),
            _ => {}
        }
    }
}

#[test]
fn all_recipes_of_the_project_fit_the_schema() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    recipes(&root.join("recipes"), &mut found);
    recipes(&root.join("crates/cli/src/starters"), &mut found);
    assert!(found.len() > 10, "{found:?}");
    for path in found {
        let text = fs::read_to_string(&path).unwrap();
        check_text(&text).unwrap_or_else(|reason| panic!("{}: {reason}", path.display()));
        // And so does the resolved recipe.
        if let Ok(recipe) = Recipe::parse(&text, &[]) {
            let resolved = recipe.to_toml().unwrap();
            check_text(&resolved).unwrap_or_else(|reason| panic!("{}, resolved: {reason}", path.display()));
        }
    }
}

#[test]
fn the_schema_refuses_what_parsing_refuses() {
    let base = "[data]\ntrain = \"a.tsv\"\n[model]\nkind = \"encoder-decoder\"\n";
    assert_eq!(check_text(base), Ok(()));
    Recipe::parse(base, &[]).unwrap();
    for wrong in [
        "dropout = 1.0",
        "hidden = 0",
        "hidden = 12.5",
        "hiden = 12",
        "cell = \"lstmm\"",
        "bidirectional = 1",
        "[train]\nlearning_rate = 0.0",
        "[train]\nclip = { norm = 0.0 }",
        "[train]\nclip = { norm = 1.0, value = 1.0 }",
        "[train]\nsteps = 0",
        "[optimizer]\nkind = \"adam\"\nbetas = [0.9]",
        "[optimizer]\nkind = \"adam\"\nbetas = [0.9, 1.0]",
        "[loss]\nclass_weights = { a = -1.0 }",
        "[tokenizer]\nadd = \"<a>\"",
        "[target_tokenizer]\nkind = \"words\"",
        "[target_model]\nhidden = 12",
        "[finetune.lora]\nalpha = 2.0",
        "[bench]\nbatch = 1",
        "[trian]\nsteps = 3",
    ] {
        let text = format!("{base}{wrong}\n");
        assert!(check_text(&text).is_err(), "{wrong}");
        assert!(Recipe::parse(&text, &[]).is_err(), "{wrong}");
    }
}
