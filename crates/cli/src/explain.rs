//! `descant explain`: what the keys of recipes mean.

use crate::decoding::flag;
use crate::decoding_page::page;
use crate::report::print;
use clap::Args;
use descant_generate::find_option;
use descant_inference::keys::{self, Key, SECTIONS, Section};
use std::fmt::Write;

#[derive(Args)]
pub(crate) struct Explain {
    /// Keys or sections, such as train.patience or train, or flags of decoding options, such as --beam; without any, all of
    /// them in brief
    #[arg(value_name = "KEY", allow_hyphen_values = true)]
    keys: Vec<String>,
    /// Print the page RECIPES.md
    #[arg(long, hide = true, conflicts_with = "keys")]
    markdown: bool,
    /// Print the page GENERATION.md: all decoding options
    #[arg(long, conflicts_with_all = ["keys", "markdown"])]
    decoding_options: bool,
}

/// Columns of a line.
const WIDTH: usize = 100;

impl Explain {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        if self.markdown {
            return print(markdown().trim_end());
        }
        if self.decoding_options {
            return print(page().trim_end());
        }
        if self.keys.is_empty() {
            let all: Vec<String> = SECTIONS.iter().map(|section| explain_section(section, true)).collect();
            let more = "More on a section or a key: descant explain train, descant explain train.patience.";
            return print(format_args!("{}\n{more}", all.join("\n")));
        }
        let (found, unknown): (Vec<_>, Vec<_>) = self.keys.iter().map(|name| explain(name)).partition(Result::is_ok);
        let found: Vec<String> = found.into_iter().flatten().collect();
        if !found.is_empty() {
            print(found.join("\n").trim_end())?;
        }
        unknown.into_iter().find_map(Result::err).map_or(Ok(()), Err)
    }
}

/// A section with those inside it, or a key, by its whole name or by the last part of it.
fn explain(name: &str) -> anyhow::Result<String> {
    // As a flag, or as a key.
    let option = find_option(&name.trim_start_matches("--").replace('-', "_")).map(|option| option.key);
    let name = name.trim_matches(|c| matches!(c, '[' | ']' | '.' | '*'));
    let name = keys::canonical(name);
    let is_named = |section: &&Section| {
        let is_inner = section.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        let last = section.name.rsplit('.').next();
        !name.is_empty() && (section.name == name || is_inner || last == Some(name))
    };
    let sections: Vec<String> =
        SECTIONS.iter().filter(is_named).map(|section| explain_section(section, false)).collect();
    if !sections.is_empty() {
        return Ok(sections.join("\n"));
    }
    let found: Vec<&Key> = match keys::find(name) {
        Some(key) => vec![key],
        None => keys::all().filter(|key| key.parts().1 == name || Some(key.name) == option).collect(),
    };
    anyhow::ensure!(!found.is_empty(), "{}", keys::unknown(name));
    let all: Vec<String> = found.into_iter().map(|key| explain_key(key, key.name, false)).collect();
    Ok(all.join("\n"))
}

/// A section with its keys.
fn explain_section(section: &Section, brief: bool) -> String {
    let title = if section.name.is_empty() { String::new() } else { format!("[{}]  ", section.name) };
    let keys: String = section.keys.iter().map(|key| explain_key(key, key.parts().1, brief)).collect();
    format!("{title}{}\n{keys}", section.help)
}

/// Characters of a line with what a key takes.
const LONGEST_LINE: usize = 140;

/// A key: its default, its type and range; what it means; when it has an effect; and since which version it is there.
fn explain_key(key: &Key, name: &str, brief: bool) -> String {
    let head = format!("  {name} = {}    ", key.default);
    let expected = wrapped(&key.words(), LONGEST_LINE.saturating_sub(head.len()));
    let mut text = head + &expected.join("\n        ") + "\n";
    let mut help = if brief { first_sentence(key.help) } else { key.help }.to_owned();
    help.extend(key.conditions().map(|conditions| format!(" {conditions}")));
    if !brief {
        if let Some(option) = name_of_option(key).and_then(find_option) {
            let names = [option.name].into_iter().chain(option.aliases.iter().copied()).map(flag);
            help += &format!(" As a flag: {}.", names.collect::<Vec<_>>().join(", "));
            if !option.paper.is_empty() {
                help += &format!(" ({})", option.paper);
            }
        }
        help += &format!(" Since {}.", key.since);
    }
    for line in wrapped(&help, WIDTH - 6) {
        let _ = writeln!(text, "      {line}");
    }
    text
}

/// The decoding option that a key sets.
fn name_of_option(key: &Key) -> Option<&'static str> {
    key.name.strip_prefix("generation.")
}

/// Up to the first full stop that a capital letter follows: not that of "Luong et al. 2015".
fn first_sentence(text: &str) -> &str {
    let end = text.match_indices(". ").find(|(at, _)| text[at + 2..].starts_with(char::is_uppercase));
    end.map_or(text, |(at, _)| &text[..=at])
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
        "# Recipes: every key\n\nWritten by `descant explain --markdown`; `descant explain KEY` says the same. \
         Values in parentheses are defaults in words.\n"
            .to_owned();
    for section in SECTIONS {
        let title = if section.name.is_empty() { "Top".to_owned() } else { format!("`[{}]`", section.name) };
        let _ = write!(
            page,
            "\n## {title}\n\n{}\n\n| key | takes | default | meaning |\n|---|---|---|---|\n",
            section.help
        );
        for key in section.keys {
            let (_, name) = key.parts();
            let default =
                if key.default.starts_with('(') { key.default.to_owned() } else { format!("`{}`", key.default) };
            let conditions = key.conditions().map_or_else(String::new, |conditions| format!(" {conditions}"));
            // A pipe would end the cell.
            let help = format!("{}{conditions}", key.help).replace('|', "\\|").replace('*', "\\*");
            let _ = writeln!(page, "| `{name}` | {} | {default} | {help} |", key.words());
        }
    }
    page
}
