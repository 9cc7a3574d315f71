//! The flags of constraints: what a generated text has to be.

use crate::report::note;
use crate::text_list::text_list;
use clap::Args;
use descant_constraints::{Grammar, Phrases, Prefix, Terminology, Vocabulary};
use descant_generate::{Constraint, DecodingOptions};
use descant_inference::Trained;
use descant_text::{read_text, remedy};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What separates the alternatives of a phrase.
const OR: char = '|';

#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Constraints")]
pub(crate) struct Constraints {
    /// Generate only JSON of this schema: a file, or the schema itself. Properties come in the schema's order, on one line
    #[arg(long, value_name = "FILE|JSON", conflicts_with_all = ["regex", "grammar"])]
    json_schema: Option<String>,
    /// Generate only texts that match this regular expression as a whole; like the other constraints of whole texts not with --long-input
    /// split or window
    #[arg(long, value_name = "REGEX", conflicts_with = "grammar")]
    regex: Option<String>,
    /// Generate only texts of this grammar: a file in the syntax of Lark, or in GBNF, that of llama.cpp
    #[arg(long, value_name = "FILE")]
    grammar: Option<PathBuf>,
    /// Each line of a .jsonl has its own grammar, in this field: a JSON schema (an object, or its text), a grammar (its text), or an
    /// object that says which, {"json_schema": …}, {"regex": "…"} or {"grammar": "…"}; null for none
    #[arg(long, value_name = "FIELD", requires = "input", conflicts_with_all = ["json_schema", "regex", "grammar"])]
    grammar_field: Option<String>,
    /// A word or phrase that every text has to contain, or several alternatives of it: "dog|dogs". Can be given several times, or as a
    /// list in JSON; \n, \t, \r and \\ are escapes. A beam search finds the best place for it
    #[arg(long, value_name = "TEXT")]
    must_include: Vec<String>,
    /// The phrases of --must-include have to come in the order in which they are given
    #[arg(long, requires = "must_include")]
    in_order: bool,
    /// A word or phrase that no text may contain, written the same: "Time" does not exclude "time"; of alternatives, such as "dog|dogs", none.
    /// Given as --must-include is
    #[arg(long, value_name = "TEXT")]
    must_exclude: Vec<String>,
    /// Terminology: where a source has a term, its translation has to be in the text. A file with a term a line, and after tabs its
    /// translation and further forms of it. A term is found as whole words, and one that begins with a small letter also with a capital,
    /// as at the start of a sentence
    #[arg(long, value_name = "FILE")]
    terms: Option<PathBuf>,
    /// What every text has to start with; for encoder-decoders. Its last token stays as it is: half a word is not completed
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
}

/// What the flags have added.
pub(crate) struct Added {
    /// The grammar among it.
    pub(crate) grammar: Option<Arc<Grammar>>,
    /// The terminology among it.
    pub(crate) terms: Option<Arc<Terminology>>,
    /// The flag of something that a text has to be as a whole: its parts have not.
    pub(crate) of_whole_text: Option<&'static str>,
}

impl Constraints {
    /// Adds what was given to the options of a model.
    pub(crate) fn add(&self, trained: &Trained, options: &mut DecodingOptions) -> anyhow::Result<Added> {
        let target = &trained.tokenizers.target;
        let mut all: Vec<(&'static str, Arc<dyn Constraint>)> = Vec::new();
        let grammar = self.grammar(trained)?.map(|(flag, grammar)| (flag, Arc::new(grammar)));
        all.extend(grammar.clone().map(|(flag, grammar)| (flag, grammar as Arc<dyn Constraint>)));
        if !(self.must_include.is_empty() && self.must_exclude.is_empty()) {
            let mut phrases = Phrases::new(target)?;
            let texts = |flag, given| text_list(given).map_err(|reason| anyhow::anyhow!("{flag}: {reason}"));
            for phrase in &texts("--must-include", &self.must_include)? {
                let alternatives: Vec<&str> = phrase.split(OR).collect();
                phrases = phrases.require(&alternatives).map_err(|error| flagged("--must-include", error))?;
            }
            for phrase in &texts("--must-exclude", &self.must_exclude)? {
                for alternative in phrase.split(OR) {
                    phrases = phrases.forbid(alternative).map_err(|error| flagged("--must-exclude", error))?;
                }
            }
            warn("--must-include", phrases.warnings());
            all.push(("--must-include", Arc::new(if self.in_order { phrases.in_order() } else { phrases })));
        }
        let mut terminology = None;
        if let Some(path) = &self.terms {
            let source = trained.tokenizers.source.as_ref().ok_or_else(|| {
                anyhow::anyhow!("--terms is for encoder-decoders: a language model has no source. Take --must-include")
            })?;
            let terms = Terminology::parse(&read("--terms", path)?, source, target);
            let terms = terms.map_err(|error| anyhow::anyhow!("--terms {}: {error}", path.display()))?;
            warn("--terms", terms.warnings());
            let terms = Arc::new(terms);
            terminology = Some(terms.clone());
            all.push(("--terms", terms));
        }
        if let Some(prefix) = &self.prefix {
            anyhow::ensure!(
                !trained.is_language_model(),
                "--prefix is for encoder-decoders: a language model continues its prompt. Write it there"
            );
            let prefix = Prefix::new(target, prefix).map_err(|error| flagged("--prefix", error))?;
            all.push(("--prefix", Arc::new(prefix)));
        }
        let mut whole = all.iter().filter_map(|(flag, one)| one.is_of_whole_text().then_some(*flag));
        let of_whole_text = whole.next().or(self.grammar_field.as_ref().map(|_| "--grammar-field"));
        options.constraints = all.into_iter().map(|(_, one)| one).collect();
        Ok(Added { grammar: grammar.map(|(_, grammar)| grammar), terms: terminology, of_whole_text })
    }

    /// The flags that were given.
    pub(crate) fn given(&self) -> impl Iterator<Item = &'static str> {
        let flags = [
            ("--json-schema", self.json_schema.is_some()),
            ("--regex", self.regex.is_some()),
            ("--grammar", self.grammar.is_some()),
            ("--grammar-field", self.grammar_field.is_some()),
            ("--must-include", !self.must_include.is_empty()),
            ("--must-exclude", !self.must_exclude.is_empty()),
            ("--terms", self.terms.is_some()),
            ("--prefix", self.prefix.is_some()),
        ];
        flags.into_iter().filter_map(|(flag, is_given)| is_given.then_some(flag))
    }

    /// What was given, with the text of files, for a file of `--output` to know it again.
    pub(crate) fn settings(&self) -> anyhow::Result<Value> {
        let text = |flag, path: &Option<PathBuf>| path.as_deref().map(|path| read(flag, path)).transpose();
        Ok(json!({
            "json_schema": self.json_schema.as_deref().map(schema_text).transpose()?,
            "regex": self.regex,
            "grammar": text("--grammar", &self.grammar)?,
            "grammar_field": self.grammar_field,
            "must_include": self.must_include,
            "in_order": self.in_order,
            "must_exclude": self.must_exclude,
            "terms": text("--terms", &self.terms)?,
            "prefix": self.prefix,
        }))
    }

    /// The field that has the grammar of a line.
    pub(crate) fn grammar_field(&self) -> Option<&str> {
        self.grammar_field.as_deref()
    }

    fn grammar(&self, trained: &Trained) -> anyhow::Result<Option<(&'static str, Grammar)>> {
        let vocabulary = || Vocabulary::new(&trained.tokenizers.target);
        let (flag, grammar) = if let Some(given) = &self.json_schema {
            ("--json-schema", Grammar::json_schema(&vocabulary()?, &schema_text(given)?))
        } else if let Some(regex) = &self.regex {
            ("--regex", Grammar::regex(&vocabulary()?, regex))
        } else if let Some(path) = &self.grammar {
            ("--grammar", Grammar::parse(&vocabulary()?, &read("--grammar", path)?))
        } else {
            return Ok(None);
        };
        let grammar = grammar.map_err(|error| flagged(flag, error))?;
        warn(flag, &without_effect(&grammar));
        Ok(Some((flag, grammar)))
    }
}

/// What of a grammar has no effect, and what the vocabulary cannot write of it.
pub(crate) fn without_effect(grammar: &Grammar) -> Vec<String> {
    let characters: Vec<String> = grammar.unwritable().iter().map(|c| format!("{c:?}")).collect();
    let unwritable = (!characters.is_empty()).then(|| {
        format!(
            "the vocabulary cannot write {}. A text that needs {} cannot be finished.",
            characters.join(", "),
            if characters.len() == 1 { "it" } else { "one of them" }
        )
    });
    grammar.warnings().iter().cloned().chain(unwritable).collect()
}

/// Tells how many of the terms the sources had, of all lines or from this one on.
pub(crate) fn tell_terms(terms: &Terminology, from: Option<u64>) {
    let (all, missing) = (terms.len(), terms.missing().count());
    let sources = from.map_or_else(|| "the sources".to_owned(), |line| format!("the sources from line {line} on"));
    let have = match (all - missing, terms.missing().next()) {
        (0, _) if all == 1 => "do not have its term".to_owned(),
        (_, None) if all == 1 => "have its term".to_owned(),
        (0, _) => format!("have none of the {all} terms"),
        (_, None) => format!("have all of the {all} terms"),
        (found, Some(example)) => format!("have {found} of {all} terms, and not, for example, {example:?}"),
    };
    note(format_args!("--terms: {sources} {have}."));
}

/// A schema that was given, or that of a file.
fn schema_text(given: &str) -> anyhow::Result<String> {
    anyhow::ensure!(!given.trim().is_empty(), "--json-schema: it is empty: expected a file, or a schema such as {{}}");
    if is_schema(given) { Ok(given.to_owned()) } else { read("--json-schema", Path::new(given)) }
}

/// Whether a text is a JSON schema, or what may be meant as one.
pub(crate) fn is_schema(text: &str) -> bool {
    let text = text.trim();
    text.starts_with(['{', '[']) || ["true", "false", "null"].contains(&text)
}

fn warn(flag: &str, warnings: &[String]) {
    warnings.iter().for_each(|warning| note(format_args!("{flag}: {warning}")));
}

fn flagged(flag: &str, error: descant_constraints::ConstraintError) -> anyhow::Error {
    anyhow::anyhow!("{flag}: {error}")
}

fn read(flag: &str, path: &Path) -> anyhow::Result<String> {
    read_text(path)
        .map_err(|error| anyhow::anyhow!("{flag}: cannot read {}: {error}{}", path.display(), remedy(&error)))
}
