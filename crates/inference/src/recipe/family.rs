//! What makes a model one of a family, so that it can move out: keys that `model.family` puts into a recipe, below what the
//! recipe says itself.

use toml::{Table, Value};

/// The families by the names that `transformers` has for them, and their keys.
pub(super) const FAMILIES: [(&str, &str); 9] = [
    (
        "gpt2",
        "model = { kind = 'language-model', tie = 'output', output_bias = false }
        transformer = { position = 'learned', activation = 'gelu-tanh' }",
    ),
    (
        "llama",
        "model = { kind = 'language-model', output_bias = false }
        transformer = { norm = 'rms', activation = 'silu', gated = true, bias = false }",
    ),
    (
        "qwen2",
        "model = { kind = 'language-model', output_bias = false }
        transformer = { norm = 'rms', norm_epsilon = 1e-6, activation = 'silu', gated = true, bias = false,
            attention_bias = true, rotary_base = 1e6 }",
    ),
    (
        "qwen3",
        "model = { kind = 'language-model', output_bias = false }
        transformer = { norm = 'rms', norm_epsilon = 1e-6, activation = 'silu', gated = true, bias = false,
            qk_norm = 'head', rotary_base = 1e6 }",
    ),
    (
        "gemma",
        "model = { kind = 'language-model', tie = 'output', output_bias = false }
        transformer = { norm = 'rms', norm_epsilon = 1e-6, activation = 'gelu-tanh', gated = true, bias = false,
            scale_embedding = true }",
    ),
    (
        "olmo2",
        "model = { kind = 'language-model', output_bias = false }
        transformer = { norm = 'rms', norm_first = false, norm_output = true, qk_norm = 'all', activation = 'silu',
            gated = true, bias = false, rotary_base = 5e5 }",
    ),
    (
        "marian",
        "model = { kind = 'encoder-decoder', tie = 'all' }
        transformer = { position = 'sinusoidal', norm_first = false, activation = 'silu' }",
    ),
    (
        "bart",
        "model = { kind = 'encoder-decoder', tie = 'all' }
        transformer = { position = 'learned', norm_first = false, norm_embedding = true, activation = 'gelu' }",
    ),
    (
        "t5",
        "model = { kind = 'encoder-decoder', tie = 'all', output_bias = false }
        transformer = { position = 'relative', norm = 'rms', norm_epsilon = 1e-6, activation = 'relu', bias = false,
            scale_attention = false, scale_output = true }",
    ),
];

/// Their names.
pub(super) const NAMES: [&str; FAMILIES.len()] = {
    let mut names = [""; FAMILIES.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = FAMILIES[i].0;
        i += 1;
    }
    names
};

/// Puts the keys of the family that a recipe names in place of its name.
///
/// # Errors
/// Where the recipe is of the other kind.
pub(super) fn expand(recipe: &mut Table) -> Result<(), String> {
    let Some(Value::Table(model)) = recipe.get_mut("model") else { return Ok(()) };
    let Some(Value::String(name)) = model.remove("family") else { return Ok(()) };
    let known = FAMILIES.iter().find(|(known, _)| *known == name);
    let Some((_, keys)) = known else { return Err(format!("model.family = {name:?} is not known")) };
    let keys: Table = toml::from_str(keys).map_err(|error| error.message().to_owned())?;
    let own = |table: &str| keys.get(table).and_then(Value::as_table).cloned().unwrap_or_default();
    let kind = own("model").get("kind").cloned();
    if model.contains_key("kind") && model.get("kind") != kind.as_ref() {
        let kind = kind.map_or_else(String::new, |kind| kind.to_string());
        return Err(format!("model.family = {name:?} is of model.kind = {kind}"));
    }
    let fill = |table: &mut Table, keys: Table| {
        for (key, value) in keys {
            table.entry(key).or_insert(value);
        }
    };
    fill(model, own("model"));
    model.entry("origin").or_insert_with(|| Value::String(name));
    model.entry("decoder").or_insert_with(|| Value::String("transformer".to_owned()));
    let inner = model.entry("transformer").or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(inner) = inner {
        fill(inner, own("transformer"));
    }
    // Tied tables are of one vocabulary.
    if let Some(Value::Table(data)) = recipe.get_mut("data")
        && own("model").get("tie").and_then(Value::as_str) == Some("all")
    {
        data.entry("shared_vocabulary").or_insert(Value::Boolean(true));
    }
    Ok(())
}
