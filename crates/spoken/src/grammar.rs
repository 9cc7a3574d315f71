//! Carrier sentences: a small context-free grammar, written as text, that is expanded at random.
//!
//! A line `:name` begins a rule; each following line is one of its equally likely alternatives. Within a line `<name>`
//! stands for a rule, `{name}` for a slot that takes a value, and `[a|b|]` for a choice on the spot. `#` begins a comment
//! line; `_` stands for a space at an alternative's edge.

use crate::dice::Dice;
use crate::reading::Slot;

#[derive(Debug)]
enum Symbol {
    Text(String),
    Rule(usize),
    Slot(Slot),
    Choice(Vec<Vec<Symbol>>),
}

/// A piece of an expanded sentence.
pub(crate) enum Piece<'a> {
    Text(&'a str),
    Slot(Slot),
}

/// Rules by name, each a list of alternatives.
#[derive(Debug)]
pub(crate) struct Grammar {
    names: Vec<&'static str>,
    rules: Vec<Vec<Vec<Symbol>>>,
}

impl Grammar {
    /// Reads the rules in `text`.
    ///
    /// # Panics
    /// On a mistake in the text: grammars are part of the program, and the tests read them all.
    pub fn new(text: &'static str, slots: &[(&str, Slot)]) -> Self {
        let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let names: Vec<&'static str> = lines().filter_map(|line| line.strip_prefix(':')).collect();
        let mut rules = Vec::new();
        for line in lines() {
            if line.starts_with(':') {
                rules.push(Vec::new());
            } else {
                let mut rest = line;
                let alternative = parse(&mut rest, &names, slots);
                assert!(rest.is_empty(), "unexpected {rest:?} in {line:?}");
                rules.last_mut().expect("a rule's name comes first").push(alternative);
            }
        }
        Self { names, rules }
    }

    /// A random expansion of the rule `start`, in pieces; no pieces if there is no such rule.
    pub fn expand(&self, start: &str, dice: &mut Dice) -> Vec<Piece<'_>> {
        let mut pieces = Vec::new();
        if let Some(rule) = self.names.iter().position(|name| *name == start) {
            self.expand_into(&self.rules[rule], dice, &mut pieces);
        }
        pieces
    }

    fn expand_into<'a>(&'a self, alternatives: &'a [Vec<Symbol>], dice: &mut Dice, pieces: &mut Vec<Piece<'a>>) {
        for symbol in dice.pick(alternatives) {
            match symbol {
                Symbol::Text(text) => pieces.push(Piece::Text(text)),
                Symbol::Slot(slot) => pieces.push(Piece::Slot(*slot)),
                Symbol::Rule(rule) => self.expand_into(&self.rules[*rule], dice, pieces),
                Symbol::Choice(choices) => self.expand_into(choices, dice, pieces),
            }
        }
    }
}

/// Reads symbols up to the end, or to the `|` or `]` that closes an alternative.
fn parse(rest: &mut &str, names: &[&str], slots: &[(&str, Slot)]) -> Vec<Symbol> {
    let mut symbols = Vec::new();
    while let Some(first) = rest.chars().next() {
        match first {
            '|' | ']' => break,
            '<' => {
                let name = delimited(rest, '>');
                let rule = names.iter().position(|known| *known == name);
                symbols.push(Symbol::Rule(rule.unwrap_or_else(|| panic!("no rule <{name}>"))));
            }
            '{' => {
                let name = delimited(rest, '}');
                let slot = slots.iter().find(|(known, _)| *known == name);
                symbols.push(Symbol::Slot(slot.unwrap_or_else(|| panic!("no slot {{{name}}}")).1));
            }
            '[' => {
                let mut choices = Vec::new();
                while !rest.starts_with(']') {
                    *rest = &rest[1..];
                    choices.push(parse(rest, names, slots));
                    assert!(!rest.is_empty(), "a [ without its ]");
                }
                *rest = &rest[1..];
                symbols.push(Symbol::Choice(choices));
            }
            _ => {
                let end = rest.find(['<', '{', '[', '|', ']']).unwrap_or(rest.len());
                symbols.push(Symbol::Text(rest[..end].replace('_', " ")));
                *rest = &rest[end..];
            }
        }
    }
    symbols
}

/// Takes `<name>` or `{name}` off the front and returns the name.
fn delimited<'a>(rest: &mut &'a str, close: char) -> &'a str {
    let end = rest.find(close).unwrap_or_else(|| panic!("no {close} after {rest:?}"));
    let name = &rest[1..end];
    *rest = &rest[end + 1..];
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn expands_every_alternative() {
        let grammar = Grammar::new("# start\n:start\n<name> [is|was] here\n:name\nIt\nThat [one|]\n", &[]);
        let mut dice = Dice::new(1);
        let sentences: BTreeSet<String> = (0..200)
            .map(|_| {
                let text = |piece: &Piece| match piece {
                    Piece::Text(text) => (*text).to_owned(),
                    Piece::Slot(_) => unreachable!("there is none"),
                };
                grammar.expand("start", &mut dice).iter().map(text).collect()
            })
            .collect();
        let expected =
            ["It is here", "It was here", "That  is here", "That  was here", "That one is here", "That one was here"];
        assert_eq!(sentences.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    #[should_panic(expected = "no rule <nmae>")]
    fn names_an_unknown_rule() {
        Grammar::new(":start\n<nmae>\n", &[]);
    }
}
