//! `descant recipe`: what every key of a recipe means.

use crate::report::print;
use clap::Args;
use descant_train::keys::{KEYS, Key};
use std::fmt::Write;

#[derive(Args)]
pub(crate) struct Explain {
    /// A table or a key, such as train or train.patience; without it, all of them
    key: Option<String>,
    /// Print the page RECIPES.md
    #[arg(long, hide = true, conflicts_with = "key")]
    markdown: bool,
}

/// Columns of a line.
const WIDTH: usize = 100;

/// What a table is.
const TABLES: &[(&str, &str)] = &[
    ("", "At the top, before the tables."),
    ("data", "Where the texts are, and how they are read."),
    ("bench", "Sizes in place of texts, for `descant bench` and `descant gradcheck`."),
    ("tokenizer", "How text becomes tokens; a table [target_tokenizer] with the same keys is the target's own."),
    ("tokenizer.special", "Special ids of a tokenizer that was made elsewhere; an import writes them."),
    (
        "tokenizer.special.around",
        "What such a tokenizer puts around a text; without the table, as those that are trained here.",
    ),
    ("model", "The architecture. With init it can be left out."),
    ("model.transformer", "What Transformer layers are like."),
    ("model.transformer.rotary_scaling", "How rotary positions reach further than in training."),
    ("loss", "What is minimised."),
    ("optimizer", "The optimizer and its constants."),
    ("schedule", "How the learning rate changes from step to step."),
    ("finetune", "What of the model is trained. Patterns match names of parameters; * stands for anything."),
    ("finetune.lora", "Low-rank adapters (LoRA)."),
    ("distill", "A trained model to learn from, beside the texts."),
    ("train", "How long, and in what portions."),
    ("generation", "How texts are written where no option says it; an import takes it from generation_config.json."),
];

impl Explain {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        if self.markdown {
            return print(markdown().trim_end());
        }
        let Some(name) = self.key else {
            let all: Vec<String> = TABLES.iter().map(|(table, about)| section(table, about, true)).collect();
            let more = "One table or key alone: descant recipe train, descant recipe train.patience.";
            return print(format_args!("{}\n{more}", all.join("\n")));
        };
        let name = name.trim_matches(|c| matches!(c, '[' | ']' | '.' | '*'));
        let inner: Vec<&(&str, &str)> = TABLES
            .iter()
            .filter(|(table, _)| {
                let within = table.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
                // By its own name too, as keys are found.
                *table == name || within || table.rsplit_once('.').is_some_and(|(_, own)| own == name)
            })
            .collect();
        if !inner.is_empty() && !name.is_empty() {
            let all: Vec<String> = inner.iter().map(|(table, about)| section(table, about, false)).collect();
            return print(all.join("\n").trim_end());
        }
        // A key by its whole name, or by its own where that is not clear.
        let found: Vec<&Key> = match descant_train::keys::find(name) {
            Some(key) => vec![key],
            None => KEYS.iter().filter(|key| key.parts().1 == name).collect(),
        };
        anyhow::ensure!(!found.is_empty(), "{}", descant_train::keys::unknown(name));
        let all: Vec<String> = found.into_iter().map(|key| entry(key, key.name, false)).collect();
        print(all.join("\n").trim_end())
    }
}

fn of(table: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.parts().0 == table)
}

/// A table with its keys.
fn section(table: &str, about: &str, brief: bool) -> String {
    let mut text = if table.is_empty() { format!("{about}\n") } else { format!("[{table}]  {about}\n") };
    of(table).for_each(|key| text += &entry(key, key.parts().1, brief));
    text
}

/// A key: its default and what it takes; what it means; and where it acts.
fn entry(key: &Key, name: &str, brief: bool) -> String {
    let mut text = format!("  {name} = {}    {}\n", key.default, key.takes.words());
    let mut about = key.about.to_owned();
    if brief {
        about = first_sentence(&about).to_owned();
    }
    about += &conditions(key).map_or_else(String::new, |conditions| format!(" {conditions}"));
    for line in wrapped(&about, WIDTH - 6) {
        let _ = writeln!(text, "      {line}");
    }
    text
}

/// Up to the first full stop that a capital letter follows: not that of "Luong et al. 2015".
fn first_sentence(text: &str) -> &str {
    let end = text.match_indices(". ").find(|(at, _)| text[at + 2..].starts_with(char::is_uppercase));
    end.map_or(text, |(at, _)| &text[..=at])
}

/// The recipes that a key is for.
fn conditions(key: &Key) -> Option<String> {
    let kinds = key.kinds.join(", ");
    match (key.kinds.is_empty(), key.acts.words) {
        (true, "") => None,
        (true, words) => Some(format!("With {words}.")),
        (false, "") => Some(format!("Of {kinds}.")),
        (false, words) => Some(format!("Of {kinds}, with {words}.")),
    }
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        match lines[last].chars().count() + 1 + word.chars().count() > width && !lines[last].is_empty() {
            true => lines.push(word.to_owned()),
            false => {
                let space = if lines[last].is_empty() { "" } else { " " };
                lines[last] += &format!("{space}{word}");
            }
        }
    }
    lines
}

/// The page RECIPES.md.
fn markdown() -> String {
    let mut page =
        "# Recipes: every key\n\nWritten by `descant recipe --markdown`; `descant recipe KEY` says the same. \
         Values in parentheses are defaults in words.\n"
            .to_owned();
    for (table, about) in TABLES {
        let title = if table.is_empty() { "Top".to_owned() } else { format!("`[{table}]`") };
        let _ = write!(page, "\n## {title}\n\n{about}\n\n| key | takes | default | meaning |\n|---|---|---|---|\n");
        for key in of(table) {
            let (_, name) = key.parts();
            let default =
                if key.default.starts_with('(') { key.default.to_owned() } else { format!("`{}`", key.default) };
            let more = conditions(key).map_or_else(String::new, |conditions| format!(" {conditions}"));
            // A pipe would end the cell.
            let about = format!("{}{more}", key.about).replace('|', "\\|").replace('*', "\\*");
            let _ = writeln!(page, "| `{name}` | {} | {default} | {about} |", key.takes.words());
        }
    }
    page
}
