//! The families of models, each as data: its names, what its `config.json` means as a [`ModelConfig`] and the other way
//! round, and which of its tensors is which part of which parameter.

mod bart;
mod decoder;
mod gpt2;
mod t5;
#[cfg(test)]
mod tests;

pub(crate) use decoder::{FULL, SLIDING};

use crate::config_keys::Keys;
use crate::tensor_names::TensorName;
use descant_models::{LayerKind, ModelConfig, ModelKind, Tie};
use descant_nn::TransformerConfig;
use descant_text::SpecialTokens;
use serde_json::{Value, json};
use std::cell::RefCell;

/// How a family's `config.json` and tensors are laid out.
#[derive(Clone, Copy)]
enum Layout {
    Gpt2,
    /// As Llama's, apart from these traits.
    Decoder(&'static decoder::Traits),
    Bart,
    T5,
}

/// What a family is called, how its files are laid out, and the ids that they leave out.
struct Row {
    family: Family,
    /// In words.
    name: &'static str,
    model_type: &'static str,
    architecture: &'static str,
    /// Of BOS and EOS.
    ids: [Option<u32>; 2],
    layout: Layout,
}

macro_rules! families {
    ($($(#[$doc:meta])* $family:ident: $name:literal, $model_type:literal, $architecture:literal, $ids:expr, $layout:expr;)*) => {
        /// A family of models.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Family {
            $($(#[$doc])* $family,)*
        }

        const FAMILIES: &[Row] = &[$(Row {
            family: Family::$family,
            name: $name,
            model_type: $model_type,
            architecture: $architecture,
            ids: $ids,
            layout: $layout,
        }),*];
    };
}

families! {
    /// GPT-2 (Radford et al. 2019).
    Gpt2: "GPT-2", "gpt2", "GPT2LMHeadModel", [Some(50_256), Some(50_256)], Layout::Gpt2;
    /// Llama (Touvron et al. 2023, arXiv 2302.13971), and what is built like it: SmolLM.
    Llama: "Llama", "llama", "LlamaForCausalLM", [Some(1), Some(2)], Layout::Decoder(&decoder::LLAMA);
    /// Mistral (Jiang et al. 2023, arXiv 2310.06825).
    Mistral: "Mistral", "mistral", "MistralForCausalLM", [Some(1), Some(2)], Layout::Decoder(&decoder::MISTRAL);
    /// Qwen2 (Yang et al. 2024, arXiv 2407.10671).
    Qwen2: "Qwen2", "qwen2", "Qwen2ForCausalLM", [None, None], Layout::Decoder(&decoder::QWEN2);
    /// Qwen3 (Yang et al. 2025, arXiv 2505.09388).
    Qwen3: "Qwen3", "qwen3", "Qwen3ForCausalLM", [None, None], Layout::Decoder(&decoder::QWEN3);
    /// Gemma (Gemma Team 2024, arXiv 2403.08295).
    Gemma: "Gemma", "gemma", "GemmaForCausalLM", [Some(2), Some(1)], Layout::Decoder(&decoder::GEMMA);
    /// Gemma 2 (Gemma Team 2024, arXiv 2408.00118).
    Gemma2: "Gemma 2", "gemma2", "Gemma2ForCausalLM", [Some(2), Some(1)], Layout::Decoder(&decoder::GEMMA2);
    /// Gemma 3, of text alone (Gemma Team 2025, arXiv 2503.19786).
    Gemma3: "Gemma 3", "gemma3_text", "Gemma3ForCausalLM", [Some(2), Some(1)], Layout::Decoder(&decoder::GEMMA3);
    /// OLMo 2 (OLMo Team 2025, arXiv 2501.00656).
    Olmo2: "OLMo 2", "olmo2", "Olmo2ForCausalLM", [None, Some(50_279)], Layout::Decoder(&decoder::OLMO2);
    /// Phi-3 (Abdin et al. 2024, arXiv 2404.14219).
    Phi3: "Phi-3", "phi3", "Phi3ForCausalLM", [Some(1), Some(32_000)], Layout::Decoder(&decoder::PHI3);
    /// Marian, the OPUS-MT models among them (Junczys-Dowmunt et al. 2018, arXiv 1804.00344).
    Marian: "Marian", "marian", "MarianMTModel", [None, Some(0)], Layout::Bart;
    /// BART (Lewis et al. 2020, arXiv 1910.13461).
    Bart: "BART", "bart", "BartForConditionalGeneration", [Some(2), Some(2)], Layout::Bart;
    /// mBART (Liu et al. 2020, arXiv 2001.08210).
    Mbart: "mBART", "mbart", "MBartForConditionalGeneration", [Some(2), Some(2)], Layout::Bart;
    /// T5 (Raffel et al. 2020, arXiv 1910.10683), its versions 1.1 and Flan too.
    T5: "T5", "t5", "T5ForConditionalGeneration", [Some(0), Some(1)], Layout::T5;
    /// mT5 (Xue et al. 2021, arXiv 2010.11934).
    Mt5: "mT5", "mt5", "MT5ForConditionalGeneration", [Some(0), Some(1)], Layout::T5;
}

/// More than any vocabulary has: what a damaged file asks for is not allocated.
const MOST_ENTRIES: usize = 1 << 24;

/// What a `config.json` describes.
pub(crate) struct Described {
    pub(crate) family: Family,
    pub(crate) model: ModelConfig,
    pub(crate) special: SpecialTokens,
    /// Entries of the source's vocabulary, where it is another.
    pub(crate) source_entries: Option<usize>,
    /// Keys that have a value and are not read.
    pub(crate) unread: Vec<String>,
}

/// The ids of a key, one or several, of a `config.json` or `generation_config.json`.
///
/// # Errors
/// Where they are something else.
pub(crate) fn ids(config: &Value, key: &str) -> Result<Vec<u32>, String> {
    Keys::new(config, &RefCell::default()).ids(key)
}

/// A number of entries that a vocabulary may have.
fn bounded(key: &str, entries: usize) -> Result<usize, String> {
    match entries {
        1..=MOST_ENTRIES => Ok(entries),
        _ => Err(format!("{key} = {entries}: expected a number from 1 to {MOST_ENTRIES}")),
    }
}

/// One id as a number, several as a list, none as null.
pub(crate) fn one_or_several(ids: &[u32]) -> Value {
    match ids {
        [] => Value::Null,
        [one] => json!(one),
        ids => json!(ids),
    }
}

/// A Transformer of this size, which the families then vary.
fn model(
    kind: ModelKind,
    hidden: usize,
    layers: (usize, usize),
    tie: Tie,
    transformer: TransformerConfig,
) -> ModelConfig {
    ModelConfig {
        decoder: LayerKind::Transformer,
        embedding: hidden,
        hidden,
        encoder_layers: layers.0,
        layers: layers.1,
        tie,
        output_bias: false,
        transformer: Some(transformer),
        ..ModelConfig::new(kind)
    }
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.row().name)
    }
}

impl Family {
    fn row(self) -> &'static Row {
        &FAMILIES[self as usize]
    }

    /// What `config.json` calls it.
    pub(crate) fn model_type(self) -> &'static str {
        self.row().model_type
    }

    /// Whether llama.cpp has it.
    pub fn is_of_llama_cpp(self) -> bool {
        !self.reads_a_source()
    }

    /// All of them.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        FAMILIES.iter().map(|row| row.family)
    }

    /// What a `config.json` describes.
    ///
    /// # Errors
    /// The key, its value, and what it may be.
    pub(crate) fn read(config: &Value) -> Result<Described, String> {
        if !config.is_object() {
            return Err("it is no JSON object, but a single value or a list".to_owned());
        }
        let read = RefCell::default();
        let keys = Keys::new(config, &read);
        let name = keys.text("model_type")?.unwrap_or_default();
        let Some(&Row { family, layout, .. }) = FAMILIES.iter().find(|known| known.model_type == name) else {
            let known: Vec<&str> = FAMILIES.iter().map(|row| row.model_type).collect();
            return Err(format!("model_type = {name:?}: known are {}", known.join(", ")));
        };
        let model = match layout {
            Layout::Gpt2 => gpt2::read(&keys),
            Layout::Bart => bart::read(family, &keys),
            Layout::T5 => t5::read(&keys, family == Self::Mt5),
            Layout::Decoder(traits) => decoder::read(family, traits, &keys),
        }?;
        let mut special = family.special(&keys)?;
        let source_entries =
            (model.kind == ModelKind::EncoderDecoder && !model.tie.joins_sides()).then_some(special.entries);
        if let (Some(_), Some(target)) = (source_entries, keys.number_if("decoder_vocab_size")?) {
            special.entries = Some(bounded("decoder_vocab_size", target)?);
        }
        let source_entries = source_entries.flatten();
        let model = ModelConfig { origin: Some(name), ..model };
        Ok(Described { family, model, special, source_entries, unread: keys.unread() })
    }

    /// BOS and EOS of a model; null is none. Which of them are added to a text is the tokenizer's to say.
    fn special(self, keys: &Keys<'_>) -> Result<SpecialTokens, String> {
        let [own_bos, own_eos] = self.row().ids;
        let bos = match self {
            Self::Marian => Some(keys.id("decoder_start_token_id")?.ok_or("it has no decoder_start_token_id")?),
            Self::T5 | Self::Mt5 => keys.id("decoder_start_token_id")?.or(keys.id("pad_token_id")?).or(own_bos),
            Self::Bart | Self::Mbart => keys.id("decoder_start_token_id")?.or(keys.id("bos_token_id")?).or(own_bos),
            _ if keys.has("bos_token_id") => keys.id("bos_token_id")?,
            _ => own_bos,
        };
        let ends = match keys.has("eos_token_id") {
            true => keys.ids("eos_token_id")?,
            false => own_eos.into_iter().collect(),
        };
        // Read with the generation.
        keys.ids("bos_token_id")?;
        let entries = Some(bounded("vocab_size", keys.number("vocab_size")?)?);
        Ok(SpecialTokens { bos, eos: ends, entries, ..SpecialTokens::none() })
    }

    /// Whether its models turn one text into another.
    pub fn reads_a_source(self) -> bool {
        matches!(self.row().layout, Layout::Bart | Layout::T5)
    }

    /// The `config.json` of a model of this family.
    pub(crate) fn write(self, config: &ModelConfig, special: &SpecialTokens, entries: usize) -> Value {
        let SpecialTokens { bos, eos: ends, .. } = special;
        let Row { model_type, architecture, layout, .. } = self.row();
        let mut json = json!({
            "model_type": model_type, "architectures": [architecture], "vocab_size": entries, "torch_dtype": "float32",
            "tie_word_embeddings": config.tie.joins_output(), "eos_token_id": one_or_several(ends),
        });
        let ids = match self.reads_a_source() {
            true => json!({
                "decoder_start_token_id": bos, "pad_token_id": bos, "is_encoder_decoder": true,
            }),
            // Where it is left out, that of the family's first models, which a smaller vocabulary has not.
            false => json!({"bos_token_id": bos, "pad_token_id": ends.first()}),
        };
        let own = match layout {
            Layout::Gpt2 => gpt2::write(config),
            Layout::Bart => bart::write(self, config, special, entries),
            Layout::T5 => t5::write(config),
            Layout::Decoder(traits) => decoder::write(traits, config),
        };
        if let Some(json) = json.as_object_mut() {
            for part in [ids, own] {
                if let Value::Object(part) = part {
                    json.extend(part);
                }
            }
        }
        json
    }

    /// Which of its tensors is which part of which parameter of a model.
    pub(crate) fn tensor_names(self, config: &ModelConfig) -> Vec<TensorName> {
        match self.row().layout {
            Layout::Gpt2 => gpt2::tensor_names(config),
            Layout::Bart => bart::tensor_names(self, config),
            Layout::T5 => t5::tensor_names(config),
            Layout::Decoder(traits) => decoder::tensor_names(traits, config),
        }
    }
}
