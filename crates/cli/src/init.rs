//! `descant init`: recipes to begin with, made for a text where there is one.

use crate::report::{note, print};
use anyhow::Context;
use clap::{Args, ValueEnum};
use descant_inference::Recipe;
use descant_models::ModelKind;
use descant_text::{Example, Text};
use descant_train::SourceModels;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

#[derive(Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Init {
    /// Kind of training data
    kind: Starter,
    /// The recipe to write, such as my.toml; without it, it is printed
    file: Option<PathBuf>,
    /// The text, for which vocabulary and steps are chosen: one file, or two that belong together line by line [default:
    /// pairs.tsv, text.txt or chat.jsonl, where it is there]
    #[arg(long, value_name = "FILE", num_args = 1..=2)]
    data: Vec<PathBuf>,
    /// The columns of a table that are read, by number from 0 or by name: source and target, or one
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', num_args = 1..=2, requires = "data")]
    columns: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Starter {
    /// Sources and targets: translations, spellings and pronunciations, data and descriptions
    #[value(aliases = ["pair", "translation", "translations", "parallel", "seq2seq", "encoder-decoder"])]
    Pairs,
    /// A plain text: books, poems, names, code
    #[value(aliases = ["texts", "lines", "lm", "language-model"])]
    Text,
    /// Conversations, instructions, or questions and answers
    #[value(aliases = ["conversation", "conversations", "instruction", "instructions", "questions", "dialogue", "prompts"])]
    Chat,
}

/// Characters of a side up to which texts are names, spellings or codes.
const SHORT: u64 = 24;
/// Characters of a plain text from which on subwords pay.
const MANY: u64 = 5_000_000;
/// Characters of a text for each entry of its vocabulary: one is of about three characters, and should be seen some fifty times.
const FOR_ENTRY: u64 = 150;
/// Tokens of a batch in the starters.
const BATCH: u64 = 1024;

/// What a text is like, as far as a vocabulary depends on it.
#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    /// Texts or pairs.
    examples: u64,
    /// Characters of the side with fewer of them; of one that a language model reads, of all.
    characters: u64,
    /// Characters of the longer side of a pair, on average.
    longer_side: u64,
    /// Different characters.
    distinct: u64,
}

impl Measured {
    /// The text of a recipe, read as training reads it.
    fn of(mut recipe: Recipe) -> anyhow::Result<Self> {
        // Of what is decided here, training tells.
        descant_train::resolve_text_layout(&mut recipe)?;
        let texts = SourceModels::of(&recipe)?.texts(&recipe)?;
        texts.check_template(&recipe)?;
        let mut seen = vec![false; char::MAX as usize + 1];
        let (mut characters, mut longer, mut examples) = ([0, 0], 0, 0);
        for example in texts.train.examples()? {
            let Example { source, target, .. } = example?;
            let sides = [source.as_ref(), Some(&target)].map(|text| text.map(Text::to_string).unwrap_or_default());
            let counts = sides.map(|side| side.chars().map(|character| seen[character as usize] = true).count() as u64);
            characters = [characters[0] + counts[0], characters[1] + counts[1]];
            (longer, examples) = (longer + counts[0].max(counts[1]), examples + 1);
        }
        anyhow::ensure!(
            examples > 0,
            "{} has no text that is read: all its lines are empty or too long",
            texts.train.path().display()
        );
        let distinct = seen.into_iter().filter(|&seen| seen).count() as u64;
        let is_pair = recipe.model.kind == ModelKind::EncoderDecoder;
        let characters = if is_pair { characters[0].min(characters[1]) } else { characters[0] + characters[1] };
        let longer_side = longer.div_ceil(examples.max(1));
        Ok(Self { examples, characters, longer_side, distinct })
    }
}

/// What suits a text.
struct Choice {
    tokenizer: &'static str,
    why: &'static str,
    vocabulary: u64,
    steps: u64,
}

impl Starter {
    fn text(self) -> &'static str {
        match self {
            Self::Pairs => include_str!("starters/pairs.toml"),
            Self::Text => include_str!("starters/text.toml"),
            Self::Chat => include_str!("starters/chat.toml"),
        }
    }

    fn choose(self, text: Measured) -> Choice {
        let Measured { examples, characters, longer_side, distinct } = text;
        let (entries, all) = (characters / FOR_ENTRY, distinct + distinct / 2 + 10);
        let subwords = "subwords, each seen often enough in this text";
        let few = "characters: this text is too small for subwords";
        let (tokenizer, why, vocabulary) = match self {
            Self::Pairs if longer_side <= SHORT => {
                ("character", "characters, as in these short texts each counts", all)
            }
            Self::Pairs if entries < 2 * distinct => ("character", few, all),
            Self::Pairs => ("bpe", subwords, entries.min(4000)),
            Self::Text if characters < MANY => ("character", few, all),
            Self::Text => ("byte-bpe", subwords, entries.min(4000)),
            // Whatever somebody types has to be known.
            Self::Chat => ("byte-bpe", subwords, entries.clamp(300, 2000)),
        };
        // Some times through the text, where that is not too long to begin with.
        let tokens = examples * longer_side / if tokenizer == "character" { 1 } else { 3 };
        let steps = (4 * tokens / BATCH).clamp(2000, 20_000);
        Choice { tokenizer, why, vocabulary: rounded(vocabulary), steps: rounded(steps) }
    }
}

/// Up to two digits that are not zero.
fn rounded(number: u64) -> u64 {
    let unit = 10_u64.pow(number.max(1).ilog10().saturating_sub(1));
    number.div_ceil(unit) * unit
}

/// The text of a recipe with another value of a key.
fn set(text: &str, table: &str, key: &str, value: &str) -> String {
    let mut within = false;
    let lines = text.lines().map(|line| {
        within = if line.starts_with('[') { line == format!("[{table}]") } else { within };
        let is_it = within && line.strip_prefix(key).is_some_and(|rest| rest.starts_with(" ="));
        match (is_it, line.split_once('#')) {
            (false, _) => format!("{line}\n"),
            (true, Some((_, comment))) if !value.contains('#') => {
                format!("{:<27} #{comment}\n", format!("{key} = {value}"))
            }
            (true, _) => format!("{key} = {value}\n"),
        }
    });
    lines.collect()
}

impl Init {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut text = self.kind.text().to_owned();
        if !self.data.is_empty() {
            // As JSON writes a text, TOML reads it.
            let names = self.data.iter().map(|path| serde_json::to_string(&path.to_string_lossy()));
            let names: Vec<String> = names.collect::<Result<_, _>>()?;
            let value = if let [one] = &names[..] { one.clone() } else { format!("[{}]", names.join(", ")) };
            text = set(&text, "data", "train", &value);
        }
        if !self.columns.is_empty() {
            let column = |given: &String| match given.parse::<usize>() {
                Ok(number) => Ok(number.to_string()),
                Err(_) => serde_json::to_string(given),
            };
            let columns = self.columns.iter().map(column).collect::<Result<Vec<_>, _>>()?.join(", ");
            text = text.replacen("\nvalidation_share", &format!("\ncolumns = [{columns}]\nvalidation_share"), 1);
        }
        let recipe = Recipe::parse(&text, &[]).map_err(anyhow::Error::msg)?;
        let files: Vec<PathBuf> = recipe.data.iter().flat_map(|data| data.train.paths()).cloned().collect();
        let named = !self.data.is_empty();
        let measured = match named || files.iter().all(|path| path.exists()) {
            true => Measured::of(recipe.clone()).map(Some),
            false => Ok(None),
        };
        // A text that nobody named need not be one.
        let measured = measured.or_else(|error| if named { Err(error) } else { Ok(None) })?;
        if let Some(measured) = measured {
            let Choice { tokenizer, why, vocabulary, steps } = self.kind.choose(measured);
            let kind = format!("{:<20} # {why}", format!("{tokenizer:?}"));
            text = set(&text, "tokenizer", "kind", &kind);
            text = set(&text, "tokenizer", "vocabulary", &vocabulary.to_string());
            text = set(&text, "train", "steps", &steps.to_string());
            let Measured { characters, distinct, .. } = measured;
            let names: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
            note(format_args!(
                "Made for {}: {characters} characters, {distinct} of them different.",
                names.join(" and ")
            ));
        }
        let Some(path) = self.file else { return print(text.trim_end()) };
        let shown = path.display();
        // Nothing of the user's is written over.
        match File::create_new(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                anyhow::bail!("{shown} is there already. Name another file")
            }
            file => file.and_then(|mut file| file.write_all(text.as_bytes())),
        }
        .with_context(|| format!("could not write {shown}"))?;
        let first = if measured.is_some() { "Train it" } else { "Name your text in its [data], then" };
        print(format_args!("Wrote {shown}. {first}:\n  descant train {shown}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use descant_inference::Files;

    #[test]
    fn vocabularies_are_as_large_as_their_text_bears() {
        let choose = |starter: Starter, examples, characters, longer_side, distinct| {
            let Choice { tokenizer, vocabulary, steps, .. } =
                starter.choose(Measured { examples, characters, longer_side, distinct });
            (tokenizer, vocabulary, steps)
        };
        // Three hundred spellings; as many sentences; an ordinary parallel text; one of Chinese.
        assert_eq!(choose(Starter::Pairs, 300, 2000, 15, 40), ("character", 70, 2000));
        assert_eq!(choose(Starter::Pairs, 300, 18_000, 65, 70), ("character", 120, 2000));
        assert_eq!(choose(Starter::Pairs, 29_000, 1_800_000, 70, 100), ("bpe", 4000, 2700));
        assert_eq!(choose(Starter::Pairs, 29_000, 300_000, 40, 2900), ("character", 4400, 4600));
        assert_eq!(choose(Starter::Text, 40_000, 1_100_000, 28, 65), ("character", 110, 4400));
        assert_eq!(choose(Starter::Chat, 200, 9000, 50, 60).1, 300);
        assert_eq!(choose(Starter::Chat, 100_000, 30_000_000, 300, 90), ("byte-bpe", 2000, 20_000));
    }

    #[test]
    fn every_starter_is_a_recipe_and_has_the_keys_that_are_chosen() {
        for starter in Starter::value_variants() {
            let mut text = starter.text().to_owned();
            for (table, key, value) in [
                ("data", "train", "\"mine.tsv\""),
                ("tokenizer", "kind", "\"byte\" # why"),
                ("tokenizer", "vocabulary", "321"),
                ("train", "steps", "4321"),
            ] {
                text = set(&text, table, key, value);
            }
            let recipe = Recipe::parse(&text, &[]).unwrap();
            assert_eq!((recipe.train.steps, recipe.tokenizer.vocabulary), (4321, 321));
            assert!(matches!(recipe.data.unwrap().train, Files::One(path) if path.as_os_str() == "mine.tsv"));
            assert_eq!(text.lines().count(), starter.text().lines().count());
        }
    }
}
