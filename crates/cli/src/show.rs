//! What a model or a run is, before anything is made of it.

use crate::report::{note, one_line, print};
use crate::shell::command;
use clap::Args;
use descant_inference::layout::{METRICS, SAMPLES};
use descant_inference::{
    Estimate, Recipe, RunFolder, RunInfo, Tokenizers, count, is_foreign, is_gguf, is_run, runs_in,
};
use descant_interop::{Family, Foreign, HubName, Layout};
use descant_models::{LayerKind, ModelKind};
use descant_tensor::DType;
use descant_text::{ChatTemplate, Tokenizer, plural};
use descant_train::{Diagnosis, Sample};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Characters of a sample that are shown.
const SHOWN: usize = 200;

#[derive(Args)]
pub(crate) struct Show {
    /// A run; or what `descant import` reads: a folder, a .gguf file, or hf:OWNER/NAME
    #[arg(value_name = "FOLDER|FILE.gguf|hf:OWNER/NAME")]
    model: PathBuf,
}

impl Show {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let fetched = self.model.to_str().and_then(HubName::parse).transpose()?;
        let fetched = fetched.as_ref().map(HubName::fetch).transpose()?;
        let place = fetched.as_deref().unwrap_or(&self.model);
        if is_run(place) {
            let RunInfo { recipe, tokenizers, chat, step, weights, .. } = RunInfo::load(place)?;
            let what = match recipe.data {
                None if step == 0 => "a run of descant: an imported model".to_owned(),
                _ => match RunInfo::training(place).ok().flatten().map(|last| last.step).filter(|&last| last != step) {
                    Some(last) => {
                        format!("a run of descant, its best checkpoint of step {step}, trained to step {last}")
                    }
                    None => format!("a run of descant, at step {step}"),
                },
            };
            let what = weights.map_or(what.clone(), |weights| format!("{what}, weights in {weights}"));
            tell(&what, &recipe, &tokenizers, chat.as_ref())?;
            let (diagnosis, unread) = Diagnosis::of_run(place, &recipe, &tokenizers)?;
            if unread > 0 {
                note(format_args!("{METRICS}: {} cannot be read.", plural(unread as u64, "line")));
            }
            diagnosis.verdicts().iter().try_for_each(|verdict| print(format_args!("verdict:   {verdict}")))?;
            return tell_samples(place);
        }
        if place.is_file() && !is_gguf(place) {
            // A recipe, or a text: the error says what to do with it.
            RunInfo::load(place)?;
        }
        if RunFolder::is_starting(place) {
            anyhow::bail!(
                "{}: a run that was broken off before its first step: there is no model yet",
                place.display()
            );
        }
        let runs = if is_foreign(place) { Vec::new() } else { runs_in(place).unwrap_or_default() };
        if !runs.is_empty() {
            print(format_args!("what:      a folder of {}", plural(runs.len() as u64, "run")))?;
            return runs
                .iter()
                .try_for_each(|run| print(format_args!("  {}", command(&["show".into(), run.to_string_lossy()]))));
        }
        let Foreign { layout, recipe, tokenizers, chat, .. } = Foreign::open(place)?;
        let what = match layout {
            Layout::Transformers(family) => format!("a model of transformers: {family}"),
            Layout::Gguf(family) => format!("a model of llama.cpp: {family}"),
            Layout::CTranslate2 => "a model of CTranslate2".to_owned(),
            Layout::PyTorch => "a model under the names of PyTorch's layers".to_owned(),
        };
        tell(&what, &recipe, &tokenizers, chat.as_ref())?;
        print(format_args!("import:    {}", command(&["import".into(), self.model.to_string_lossy()])))
    }
}

/// What was generated at the last validation.
fn tell_samples(run: &Path) -> anyhow::Result<()> {
    let (samples, unread) = Sample::of_run(run)?;
    if unread > 0 {
        note(format_args!("{SAMPLES}: {} cannot be read.", plural(unread as u64, "line")));
    }
    let Some(step) = samples.last().map(|sample| sample.step) else { return Ok(()) };
    print(format_args!("samples:   of the validation at step {step}; all are in {SAMPLES}"))?;
    let shown = |text: &str| -> String {
        let line: String = one_line(text, &['\n', '\r', '\t']).chars().take(SHOWN + 1).collect();
        if line.chars().count() > SHOWN { line.chars().take(SHOWN).chain(['…']).collect() } else { line }
    };
    samples.iter().filter(|sample| sample.step == step).try_for_each(|sample| {
        print(format_args!("  {}", shown(&sample.source)))?;
        let references = sample.references.iter().map(|reference| shown(reference)).collect::<Vec<_>>();
        print(format_args!("    right:     {}", references.join(" | ")))?;
        print(format_args!("    generated: {}", shown(&sample.text)))
    })
}

fn tell(what: &str, recipe: &Recipe, tokenizers: &Tokenizers, chat: Option<&ChatTemplate>) -> anyhow::Result<()> {
    let model = &recipe.model;
    let vocabulary = tokenizers.vocabulary(&recipe.loss).map_err(anyhow::Error::msg)?;
    let estimate = Estimate::of(recipe, &vocabulary, DType::F32, 0.0).map_err(anyhow::Error::msg)?;
    print(format_args!("what:      {what}"))?;
    let kind = match model.kind {
        ModelKind::LanguageModel => "a language model, which continues a text".to_owned(),
        ModelKind::EncoderDecoder => "an encoder-decoder, which makes one text of another".to_owned(),
    };
    print(format_args!("kind:      {kind}"))?;
    if let Some(control) = &recipe.control {
        let attributes = control.attributes.iter().map(|(name, values)| format!("{name} ({})", values.join(", ")));
        print(format_args!("control:   {}", attributes.collect::<Vec<_>>().join("; ")))?;
    }
    let layers = |side: LayerKind, layers: usize| match side {
        LayerKind::Recurrent => format!("{layers} of {:?}", model.cell).to_uppercase().replace(" OF ", " of "),
        LayerKind::Transformer => {
            let transformer = model.transformer();
            let (heads, shared) = (transformer.heads, transformer.kv_heads());
            let shared = if shared == heads { String::new() } else { format!(", {shared} of keys and values") };
            format!("{layers} of Transformer ({heads} heads{shared})")
        }
    };
    let decoder = layers(model.decoder, model.layers);
    let all = match model.kind {
        ModelKind::LanguageModel => decoder,
        ModelKind::EncoderDecoder => {
            format!("{} that read, {decoder} that write", layers(model.encoder(), model.encoder_layers))
        }
    };
    print(format_args!("layers:    {all}; width {}", model.hidden))?;
    print(format_args!("size:      {} parameters", count(estimate.parameters)))?;
    match &tokenizers.source {
        Some(source) if !Arc::ptr_eq(source, &tokenizers.target) => {
            tell_tokenizer("source:   ", source)?;
            tell_tokenizer("target:   ", &tokenizers.target)?;
        }
        _ => tell_tokenizer("tokens:   ", &tokenizers.target)?,
    }
    print(format_args!(
        "chat:      {}",
        if chat.is_some() { "it has a template of conversations" } else { "no template" }
    ))?;
    if model.decoder == LayerKind::Recurrent {
        return print("export:    to PyTorch, as a folder of tensors under its names");
    }
    print(match Family::of(model) {
        Ok(family) if family.is_of_llama_cpp() => {
            format!("export:    to transformers as {family}, and to llama.cpp (.gguf)")
        }
        Ok(family) => format!("export:    to transformers as {family}"),
        Err(reason) => format!("export:    nowhere: {reason}"),
    })
}

/// Entries, and the special ones by name.
fn tell_tokenizer(title: &str, tokenizer: &Tokenizer) -> anyhow::Result<()> {
    let special = tokenizer.special();
    let names = |ids: &[u32]| -> String {
        let name = |id: &u32| tokenizer.token(*id).map_or_else(|| format!("({id})"), |token| format!("{token} ({id})"));
        match ids {
            [] => "none".to_owned(),
            ids => ids.iter().map(name).collect::<Vec<_>>().join(", "),
        }
    };
    let around = special.source_post_processor();
    let around = if tokenizer.special().post_processor.is_some() { around } else { special.prompt_post_processor() };
    print(format_args!(
        "{title} {} entries; begins with {}, ends with {}, unknown is {}; before a text {}, after it {}",
        tokenizer.vocabulary(),
        names(special.bos.as_slice()),
        names(&special.eos),
        names(special.unknown.as_slice()),
        names(&around.prefix),
        names(&around.suffix),
    ))
}
