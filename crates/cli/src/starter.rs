//! `descant init`: recipes to begin with.

use crate::report::print;
use anyhow::Context;
use clap::{Args, ValueEnum};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

#[derive(Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Init {
    /// What there is to learn from
    kind: Starter,
    /// The recipe to write, such as my.toml; without it, it is printed
    file: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Starter {
    /// Sources and targets: translations, spellings and pronunciations, data and descriptions
    Pairs,
    /// A plain text: books, poems, names, code
    Text,
    /// Conversations, or questions and answers
    Chat,
}

impl Starter {
    fn text(self) -> &'static str {
        match self {
            Self::Pairs => include_str!("starters/pairs.toml"),
            Self::Text => include_str!("starters/text.toml"),
            Self::Chat => include_str!("starters/chat.toml"),
        }
    }
}

impl Init {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let text = self.kind.text();
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
        print(format_args!("Wrote {shown}. Name your text in its [data], then:\n  descant train {shown}"))
    }
}
