//! `descant tokenize`: how texts are cut.

use crate::report::{note, print};
use clap::Args;
use descant_inference::{RunInfo, Tokenizers, is_gguf, is_run};
use descant_interop::Foreign;
use descant_models::ModelKind;
use descant_text::{Annotations, Lines, Source, TextError, Tokenizer, is_json, plural};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Args)]
pub(crate) struct Tokenize {
    /// A run; what `descant import` reads; or a tokenizer alone: a tokenizer.json, or a SentencePiece model
    tokenizer: PathBuf,
    /// The texts [default: the lines of standard input]
    texts: Vec<String>,
    /// Read the lines of a file instead; of JSON (.jsonl, .json), the "text" of each object
    #[arg(long, value_name = "FILE", conflicts_with = "texts")]
    input: Option<PathBuf>,
    /// Use the target tokenizer of an encoder-decoder
    #[arg(long)]
    target: bool,
    /// Print a JSON object a line for each text: line, text, ids (with special tokens), tokens, decoded
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    line: u64,
    text: &'a str,
    ids: &'a [u32],
    tokens: Vec<String>,
    decoded: String,
}

impl Tokenize {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let (tokenizer, is_prompt) = self.open()?;
        let special = tokenizer.special();
        let around = if is_prompt { special.prompt_post_processor() } else { special.source_post_processor() };
        let (mut texts, mut tokens, mut unknown) = (0, 0, 0);
        let mut show = |line: u64, text: &str| {
            let ids = around.apply(&tokenizer.encode(text)?);
            texts += 1;
            tokens += ids.len() as u64;
            unknown += ids.iter().filter(|id| Some(**id) == special.unknown).count();
            let name = |id: &u32| tokenizer.token(*id).unwrap_or_default();
            if self.json {
                let decoded = tokenizer.decode(&ids)?;
                let line = Line { line, text, tokens: ids.iter().map(name).collect(), ids: &ids, decoded };
                return print(serde_json::to_string(&line)?);
            }
            print(ids.iter().map(|id| format!("{:?} {id}", name(id))).collect::<Vec<_>>().join("  "))
        };
        match &self.input {
            _ if !self.texts.is_empty() => (1..).zip(&self.texts).try_for_each(|(line, text)| show(line, text))?,
            Some(path) if is_json(path) => {
                for example in Source::json(path, None, &Annotations::default())?.examples()? {
                    let example = example?;
                    show(example.place.line, &example.target.to_string())?;
                }
            }
            Some(path) => each_line(Lines::open(path)?, show)?,
            None => each_line(Lines::standard_input(), show)?,
        }
        note(format_args!("{}, {}, {unknown} of them unknown.", plural(texts, "text"), plural(tokens, "token")));
        Ok(())
    }

    /// The tokenizer, and whether it is of a language model's prompts.
    fn open(&self) -> anyhow::Result<(Arc<Tokenizer>, bool)> {
        let place = &self.tokenizer;
        if place.is_file() && !is_gguf(place) {
            anyhow::ensure!(
                !self.target,
                "--target is of an encoder-decoder, and {} is one tokenizer",
                place.display()
            );
            return Ok((Arc::new(descant_interop::tokenizer(place)?), true));
        }
        let (recipe, Tokenizers { source, target }) = self.of_model(place)?;
        let is_prompt = recipe.model.kind == ModelKind::LanguageModel;
        anyhow::ensure!(!(self.target && is_prompt), "--target is of an encoder-decoder, and this is a language model");
        Ok((source.filter(|_| !self.target).unwrap_or(target), is_prompt))
    }

    fn of_model(&self, place: &Path) -> anyhow::Result<(descant_inference::Recipe, Tokenizers)> {
        if is_run(place) {
            let RunInfo { recipe, tokenizers, .. } = RunInfo::load(place)?;
            return Ok((recipe, tokenizers));
        }
        let Foreign { recipe, tokenizers, .. } = Foreign::open(place)?;
        Ok((recipe, tokenizers))
    }
}

fn each_line(mut lines: Lines, mut show: impl FnMut(u64, &str) -> anyhow::Result<()>) -> anyhow::Result<()> {
    for number in 1.. {
        match lines.read() {
            Err(TextError::Empty { .. }) | Ok(None) => return Ok(()),
            line => show(number, &line?.unwrap_or_default())?,
        }
    }
    Ok(())
}
