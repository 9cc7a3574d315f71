//! Which family a trained model is of, and what it would need to be of one: what a family's `config.json` would make of it.

use crate::Family;
use descant_models::{LayerKind, ModelConfig, ModelKind};
use descant_nn::{Position, TransformerConfig};
use descant_text::SpecialTokens;
use serde_json::Value;
use std::collections::BTreeMap;

impl Family {
    /// The family that a model is of: the one that it comes from, if it still is of that, or else the first.
    ///
    /// # Errors
    /// That it is of none, and which keys of its recipe would make it one of the nearest.
    pub fn of(config: &ModelConfig) -> Result<Self, String> {
        let pair = config.kind == ModelKind::EncoderDecoder;
        let mut nearest: Option<(Self, Vec<String>)> = None;
        let is_origin = |family: &Self| config.origin.as_deref() == Some(family.model_type());
        let origin = Self::all().find(is_origin);
        if let (None, Some(unknown)) = (origin, &config.origin) {
            let known: Vec<&str> = Self::all().map(Self::model_type).collect();
            return Err(format!(
                "model.origin = {unknown:?} is no family of transformers; known are {}",
                known.join(", ")
            ));
        }
        for family in origin.into_iter().chain(Self::all()).filter(|family| family.reads_a_source() == pair) {
            let Ok(missing) = family.needs(config) else { continue };
            if missing.is_empty() {
                return Ok(family);
            }
            if nearest.as_ref().is_none_or(|(_, other)| missing.len() < other.len()) {
                nearest = Some((family, missing));
            }
        }
        let (family, missing) = nearest.ok_or("it is of no family")?;
        Err(format!(
            "transformers has no family like it. The nearest is {family}: a model trained with {} is one",
            missing.join(", ")
        ))
    }

    /// The keys with the values that a recipe would have to have.
    fn needs(self, config: &ModelConfig) -> Result<Vec<String>, String> {
        let special = SpecialTokens {
            unknown: None,
            bos: Some(0),
            eos: vec![0],
            post_processor: None,
            entries: None,
            ..SpecialTokens::none()
        };
        let theirs = acting(&Self::read(&self.write(config, &special, 1))?.model)?;
        let own = acting(config)?;
        let differs = theirs.keys().chain(own.keys()).filter(|key| theirs.get(*key) != own.get(*key));
        let mut needs: Vec<String> = differs
            .map(|key| match theirs.get(key) {
                Some(value) => format!("{key} = {value}"),
                None => format!("{key} left out"),
            })
            .collect();
        needs.sort_unstable();
        needs.dedup();
        Ok(needs)
    }
}

/// What acts of a model that writes, by key: with what is left out put in, and without what only training has.
fn acting(config: &ModelConfig) -> Result<BTreeMap<String, Value>, String> {
    let (width, mut t) = (config.hidden, config.transformer());
    t.kv_heads = Some(t.kv_heads());
    t.head_dim = Some(t.head_dim(width));
    t.d_ff = Some(t.d_ff(width));
    t.attention_bias = Some(t.attention_bias.unwrap_or(t.bias));
    t.scale_embedding = Some(t.scales_embedding());
    t.query_pre_attn_scalar = match t.scale_attention {
        true => t.query_pre_attn_scalar.or(t.head_dim.map(|width| width as f64)),
        false => None,
    };
    t.full_layers.retain(|&layer| layer < config.layers);
    t.full_layers.sort_unstable();
    t.full_layers.dedup();
    if t.window.is_none() || t.full_layers.len() == config.layers {
        (t.window, t.full_layers) = (None, Vec::new());
    }
    let default = TransformerConfig::default();
    if t.position != Position::Rotary {
        (t.rotary_base, t.rotary_scaling, t.local_rotary_base) = (default.rotary_base, None, None);
    }
    if t.window.is_none() {
        t.local_rotary_base = None;
    }
    if t.position != Position::Relative {
        (t.relative_buckets, t.relative_max_distance) = (default.relative_buckets, default.relative_max_distance);
    }
    if t.position != Position::Learned {
        t.max_length = default.max_length;
    }
    let training =
        TransformerConfig { attention_dropout: 0.0, activation_dropout: 0.0, layer_drop: 0.0, recompute: false, ..t };
    let pair = config.kind == ModelKind::EncoderDecoder;
    let recurrent = [config.decoder, config.encoder()].contains(&LayerKind::Recurrent);
    let plain = ModelConfig::new(config.kind);
    let model = ModelConfig {
        encoder: pair.then(|| config.encoder()),
        encoder_layers: if pair { config.encoder_layers } else { 1 },
        cell: if recurrent { config.cell } else { plain.cell },
        embedding: if recurrent { config.embedding } else { config.hidden },
        bidirectional: plain.bidirectional,
        attention: plain.attention,
        input_feeding: plain.input_feeding,
        bridge: plain.bridge,
        dropout: 0.0,
        variational_dropout: false,
        recurrent_dropout: 0.0,
        embedding_dropout: 0.0,
        word_dropout: 0.0,
        residual: recurrent && config.residual,
        layer_norm: recurrent && config.layer_norm,
        recurrent_init: plain.recurrent_init,
        forget_bias: None,
        transformer: Some(training),
        origin: None,
        ..config.clone()
    };
    let json = serde_json::to_value(model).map_err(|error| error.to_string())?;
    let mut keys = BTreeMap::new();
    let mut tables = vec![("model".to_owned(), json)];
    while let Some((name, value)) = tables.pop() {
        match value {
            Value::Object(table) => {
                tables.extend(table.into_iter().map(|(key, value)| (format!("{name}.{key}"), value)))
            }
            value => _ = keys.insert(name, value),
        }
    }
    Ok(keys)
}
