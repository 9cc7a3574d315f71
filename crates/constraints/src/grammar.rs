use crate::json_schema::Checked;
use crate::prompt::begins_text;
use crate::vocabulary::library;
use crate::{ConstraintError, Vocabulary, gbnf, lark, regex};
use descant_generate::{ConstrainedRow, Constraint, ConstraintState};
use llguidance::api::{GrammarInit, TopLevelGrammar};
use llguidance::earley::{BiasComputer, Parser, ParserRecognizer};
use llguidance::toktrie::{INVALID_TOKEN, Recognizer, SimpleVob};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// The most characters that a message names.
const MOST_NEEDED: usize = 12;
/// How far a text is followed that the vocabulary cannot write.
const MOST_STEPS: usize = 100;
/// The stack on which a grammar is compiled: `llguidance` goes as deep as rules name each other and groups stand in each other. Memory that is
/// not used is only reserved.
const STACK: usize = 16 << 20;
const STACK_OF_LEVEL: usize = 16 << 10;

/// The texts of a JSON schema, of a regular expression, or of a grammar.
///
/// Masks are computed by `llguidance`: a token is allowed if the text with it can be continued to one of the grammar. Where the
/// vocabulary has not all characters, a text may come to where none of its tokens goes on; such a text is unfinished.
#[derive(Clone)]
pub struct Grammar {
    what: &'static str,
    parser: Parser,
    vocabulary: Arc<Vocabulary>,
    unwritable: BTreeSet<char>,
    warnings: Vec<String>,
}

impl fmt::Debug for Grammar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Grammar").field(&self.what).finish()
    }
}

impl Grammar {
    /// JSON by a schema, on one line: at most one space wherever JSON allows white space. Properties come in the schema's order. A
    /// `x-guidance` in the schema sets this and other options of `llguidance` by itself. Keywords are those of the drafts 4 to 2020-12, and
    /// the annotations of editors and of OpenAPI; a name that begins with `x-` is one's own. With `"x-guidance": {"lenient": true}`, other
    /// keys are passed over, and reported by [`Grammar::warnings`].
    ///
    /// # Errors
    /// For what is no JSON schema, has a key that is no keyword, is not supported, or cannot be written.
    pub fn json_schema(vocabulary: &Arc<Vocabulary>, schema: &str) -> Result<Self, ConstraintError> {
        let checked = Checked::parse(schema)?;
        let (what, levels) = ("the JSON schema", levels(schema).min(checked.depth));
        let of = |schema: &Value| TopLevelGrammar::from_json_schema(schema.clone());
        // Without a lexer, which takes most of the time.
        let limits = vocabulary.factory.limits();
        let read = |grammar| library(|| GrammarInit::Serialized(grammar).to_internal(None, limits.clone())).map(|_| ());
        let fails_by = |schema: &Value| {
            let failed = on_deep_stack(levels, || read(of(schema))).and_then(|read| read).err();
            failed.map(|reason| explained(&in_one_line(&reason)))
        };
        let grammar = of(&checked.schema);
        Self::new(vocabulary, (what, levels), grammar, checked.characters.clone(), checked.passed.clone()).map_err(
            |error| {
                let ConstraintError::Grammar { reason, .. } = &error else { return error };
                match checked.place_of_fault(|schema| fails_by(schema).as_ref() == Some(reason)) {
                    at if at.is_empty() => error,
                    at => ConstraintError::schema(format!("{at}: {reason}")),
                }
            },
        )
    }

    /// Texts that match a regular expression as a whole, in the syntax of the crate `regex`, without look-around and word boundaries.
    ///
    /// # Errors
    /// For what is no regular expression, is not supported, or cannot be written.
    pub fn regex(vocabulary: &Arc<Vocabulary>, regex: &str) -> Result<Self, ConstraintError> {
        // It is anchored at both ends in any case.
        let inner = regex.strip_prefix('^').unwrap_or(regex);
        let escapes = |text: &str| text.bytes().rev().take_while(|byte| *byte == b'\\').count();
        let inner = inner.strip_suffix('$').filter(|rest| escapes(rest) % 2 == 0).unwrap_or(inner);
        let literals = regex::literals(inner);
        let inner = llguidance::regex_to_lark(inner, "");
        // Of its texts, those that the vocabulary can write.
        let of = |character: char| format!("\\x{{{:X}}}", u32::from(character));
        let known = vocabulary.characters.as_ref().map(|all| all.iter().copied().map(of).collect::<String>());
        let known = known.map(|all| format!(" & /[{all}]*/")).unwrap_or_default();
        let (what, lark) = ("the regular expression", format!("start: TEXT\nTEXT: /{inner}/"));
        let of = |lark: String| {
            Self::new(vocabulary, (what, levels(regex)), TopLevelGrammar::from_lark(lark), literals.clone(), Vec::new())
        };
        match of(format!("{lark}{known}\n")) {
            // Of none of its texts there is a first character: what the others need.
            Err(ConstraintError::Unwritable { .. } | ConstraintError::Empty { .. }) => {
                let needed = of(format!("{lark}\n"))?
                    .needed_by_any()
                    .map_err(|reason| ConstraintError::Grammar { what, reason: explained(&reason) })?;
                Err(ConstraintError::Unwritable { what, needed })
            }
            other => other,
        }
    }

    /// A grammar in the syntax of Lark, with the extensions of `llguidance`; or in GBNF, that of llama.cpp, whose rules have `::=`.
    ///
    /// # Errors
    /// For what is no grammar, is not supported, or cannot be written.
    pub fn parse(vocabulary: &Arc<Vocabulary>, grammar: &str) -> Result<Self, ConstraintError> {
        let what = "the grammar";
        let of = |lark: String| {
            let lark::Named { lark, characters, passed } = lark::named(&lark)?;
            Self::new(vocabulary, (what, levels(grammar)), TopLevelGrammar::from_lark(lark), characters, passed)
        };
        if !gbnf::is_gbnf(grammar) {
            return of(grammar.to_owned());
        }
        let lark = gbnf::to_lark(grammar).map_err(|reason| ConstraintError::Grammar { what, reason })?;
        of(lark).map_err(|error| match error {
            // The place is one of the Lark that it became.
            ConstraintError::Grammar { what, reason } => {
                let is_place = |(place, _): &(&str, &str)| place.starts_with(|c: char| c.is_ascii_digit());
                let reason = reason.split_once("): ").filter(is_place).map_or(&reason[..], |(_, reason)| reason);
                let reason = reason.split(" (at \"").next().unwrap_or_default().to_owned();
                ConstraintError::Grammar { what, reason }
            }
            error => error,
        })
    }

    fn new(
        vocabulary: &Arc<Vocabulary>,
        (what, levels): (&'static str, usize),
        grammar: TopLevelGrammar,
        literals: BTreeSet<char>,
        mut warnings: Vec<String>,
    ) -> Result<Self, ConstraintError> {
        let wrong = |reason: String| ConstraintError::Grammar { what, reason };
        // The library looks for special tokens among the bytes of tokens, where there are none; and numbers symbols by 16 bits.
        let named = |reason: String| match reason {
            reason if reason.contains("special token") => {
                wrong("it names a special token, which is no part of a text: EOS ends it by itself".to_owned())
            }
            reason if reason.contains("u16::MAX") => {
                wrong("it has more than 65,000 rules, terminals and groups. Write some of them into others".to_owned())
            }
            reason => wrong(explained(&in_one_line(&reason))),
        };
        let create = || library(|| vocabulary.factory.create_parser(grammar)).map(|created| created.parser);
        let mut parser = on_deep_stack(levels, create).and_then(|created| created).map_err(named)?;
        warnings.extend(parser.grammar_warnings());
        let unwritable = vocabulary.unwritable(literals.into_iter());
        let grammar = Self { what, parser, vocabulary: vocabulary.clone(), unwritable, warnings };
        // What it computes for this state is in the lexer that every row gets a copy of.
        let mut state =
            GrammarState { what, parser: grammar.parser.clone(), vocabulary: vocabulary.clone(), at_start: true };
        let mask = state.mask().map_err(wrong)?;
        if !mask.is_zero() || state.may_end() {
            return Ok(grammar);
        }
        match state.needed() {
            needed if needed.is_empty() => Err(ConstraintError::Empty { what }),
            needed => Err(ConstraintError::Unwritable { what, needed }),
        }
    }

    /// Characters that it names and that the vocabulary cannot write: those of a schema's names and constants, of a regular expression, or
    /// of a grammar's texts and regular expressions. There is no finished text that needs one of them.
    pub fn unwritable(&self) -> &BTreeSet<char> {
        &self.unwritable
    }

    /// What of it has no effect.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The characters of which it needs one after these tokens; for a text that no token of the vocabulary can continue.
    ///
    /// # Errors
    /// Where the tokens are none of its texts.
    pub fn needed_after(&self, tokens: &[u32], at_start: bool) -> Result<String, String> {
        let mut state = self.state(at_start)?;
        tokens.iter().try_for_each(|&token| state.push(token))?;
        Ok(state.needed())
    }

    /// The characters that it needs where the first text that the vocabulary can begin cannot go on.
    fn needed_by_any(&self) -> Result<String, String> {
        let mut state = self.state(true)?;
        let known = self.vocabulary.characters.clone().unwrap_or_default();
        for _ in 0..MOST_STEPS {
            let next = state.next_characters();
            let Some(character) = next.into_iter().find(|character| known.contains(character)) else { break };
            let mut bytes = [0; 4];
            library(|| state.parser.apply_token(character.encode_utf8(&mut bytes).as_bytes(), INVALID_TOKEN))?;
        }
        Ok(state.needed())
    }

    /// A state with a lexer of its own, which its clones share: what other rows need, and how they fail, is nothing to this one.
    fn state(&self, at_start: bool) -> Result<GrammarState, String> {
        let parser = library(|| Ok::<_, String>(self.parser.deep_clone()))?;
        Ok(GrammarState { what: self.what, parser, vocabulary: self.vocabulary.clone(), at_start })
    }
}

/// What the library says, without the lines of Lark that it is about, and of a regular expression only what is wrong with it.
fn in_one_line(reason: &str) -> String {
    let is_lark =
        |line: &&str| line.trim_start().split_once(" | ").is_some_and(|(line, _)| line.parse::<u32>().is_ok());
    let lines = reason.lines().take_while(|line| !is_lark(line)).map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<&str> = lines.collect();
    match lines.iter().find_map(|line| line.strip_prefix("error: ")).filter(|_| reason.contains("regex parse error")) {
        Some(what) => format!("a regular expression cannot be read: {what}"),
        None => lines.join(" "),
    }
}

/// What of the library's messages asks for what cannot be done here, in other words. What they quote is the user's, and says nothing.
fn explained(reason: &str) -> String {
    let own = reason.split('"').step_by(2).collect::<String>();
    let too_large = "its regular expressions are too large together. Take shorter ones, or repeat less in them";
    let known = [
        (
            "oneOf constraints are not supported",
            "it does not show that no value has two forms of this oneOf. It does where they are of different types, or objects that require \
             a property with different constants. Where two forms may hold, write anyOf",
        ),
        (
            "min/maxProperties only supported",
            "minProperties and maxProperties are supported where \"required\" has all of \"properties\", and for at least or at most one of these",
        ),
        ("Regex is empty", "unsatisfiable: no text has its pattern, format and length together"),
        ("Unable to determine if regex is empty", "its pattern, format and length together are too complex"),
        (
            "schema too large",
            "it has more than 50,000 parts, with those that come of allOf, anyOf and oneOf beside each other. Write fewer of them",
        ),
        ("stack level exceeded", "what stands beside a $ref or in allOf goes too deep. Write it in one schema"),
        (
            "circular references with sibling keys",
            "a $ref that leads back to itself has other keywords beside it, which is not supported",
        ),
        (
            "consider making your grammar left-recursive",
            "it is too complex: there are more than 2000 ways to go on at one place, such as optional properties, or forms of an anyOf. Write fewer \
             of them",
        ),
        ("too many expressions", too_large),
        (
            "configuration (grammar) too big",
            "it is too large: write fewer or shorter constants and regular expressions",
        ),
        ("fuel exhausted", too_large),
        ("initial_lexer_fuel", too_large),
        ("check fuel", too_large),
        (
            "lookarounds not supported",
            "look-around and word boundaries (\\b) are not supported in a regular expression",
        ),
    ];
    known.iter().find(|(said, _)| own.contains(said)).map_or(reason, |(_, meant)| meant).to_owned()
}

/// How deep the rules and groups of a text go at most, each of which has a colon or a bracket.
fn levels(text: &str) -> usize {
    text.bytes().filter(|byte| b":([{".contains(byte)).count()
}

/// Runs what goes so deep.
fn on_deep_stack<T: Send>(levels: usize, run: impl FnOnce() -> T + Send) -> Result<T, String> {
    let size = STACK.saturating_add(levels.saturating_mul(STACK_OF_LEVEL));
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(size).spawn_scoped(scope, run);
        let thread = thread.map_err(|error| format!("there is no memory for a stack of {levels} levels: {error}"))?;
        thread.join().map_err(|_| "the library failed".to_owned())
    })
}

impl Constraint for Grammar {
    fn start(&self, row: &ConstrainedRow<'_>) -> Result<Box<dyn ConstraintState>, String> {
        Ok(Box::new(self.state(begins_text(&self.vocabulary.bytes, row))?))
    }

    fn name(&self) -> String {
        self.what.to_owned()
    }
}

#[derive(Clone)]
struct GrammarState {
    /// What was given, such as a JSON schema.
    what: &'static str,
    parser: Parser,
    vocabulary: Arc<Vocabulary>,
    /// Whether the next token is the first of a text.
    at_start: bool,
}

impl fmt::Debug for GrammarState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GrammarState").field(&String::from_utf8_lossy(self.parser.get_bytes())).finish()
    }
}

impl GrammarState {
    /// The tokens that may come next.
    fn mask(&mut self) -> Result<SimpleVob, String> {
        let vocabulary = self.vocabulary.clone();
        let Some(first) = vocabulary.first.as_ref().filter(|_| self.at_start) else {
            return self.mask_of(&*vocabulary.later);
        };
        let mut mask = self.mask_of(&**first)?;
        // What was computed with one vocabulary is kept for the next call.
        self.parser.invalidate_bias_cache();
        if !vocabulary.silent.is_empty() && (self.may_end() || !self.mask_of(&*vocabulary.later)?.is_zero()) {
            vocabulary.silent.iter().for_each(|&token| mask.allow_token(token));
        }
        Ok(mask)
    }

    fn mask_of(&mut self, computer: &dyn BiasComputer) -> Result<SimpleVob, String> {
        let mask = library(|| Ok::<_, String>(self.parser.compute_bias(computer, &[])))?;
        match self.parser.get_error() {
            Some(error) => Err(explained(&in_one_line(&error.message()))),
            None => Ok(mask),
        }
    }

    /// Characters of which one has to come next: not all of many.
    fn next_characters(&mut self) -> Vec<char> {
        library(|| Ok::<_, String>(self.parser.with_recognizer(next_characters))).unwrap_or_default()
    }

    /// The same as a text.
    fn needed(&mut self) -> String {
        let characters = self.next_characters();
        let shown: Vec<String> =
            characters.iter().take(MOST_NEEDED).map(|character| format!("{character:?}")).collect();
        let more = if characters.len() > MOST_NEEDED { ", …" } else { "" };
        format!("{}{more}", shown.join(", "))
    }
}

impl ConstraintState for GrammarState {
    fn restrict(&mut self, scores: &mut [f64]) -> Result<(), String> {
        let mask = self.mask().map_err(|reason| format!("{}: {reason}", self.what))?;
        let words = mask.as_slice();
        for (i, scores) in scores.chunks_mut(u32::BITS as usize).enumerate() {
            match words.get(i).copied().unwrap_or(0) {
                0 => scores.fill(f64::NEG_INFINITY),
                u32::MAX => {}
                word => {
                    let forbidden = scores.iter_mut().enumerate().filter(|(bit, _)| word >> bit & 1 == 0);
                    forbidden.for_each(|(_, score)| *score = f64::NEG_INFINITY);
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, token: u32) -> Result<(), String> {
        let at_start = std::mem::replace(&mut self.at_start, false);
        let bytes = self.vocabulary.bytes.get(token, at_start).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(());
        }
        let explained = |reason: String| format!("{}: {}", self.what, explained(&in_one_line(&reason)));
        match library(|| self.parser.apply_token(bytes, token)).map_err(explained)? {
            0 => Ok(()),
            _ => Err("the grammar takes back what was generated, by stop=: write suffix= in its place".to_owned()),
        }
    }

    fn may_end(&mut self) -> bool {
        library(|| Ok::<_, String>(self.parser.is_accepting())).unwrap_or(false)
    }
}

/// The characters that may come next.
fn next_characters(recognizer: &mut ParserRecognizer<'_>) -> Vec<char> {
    let mut found = Vec::new();
    recognizer.trie_started("next characters");
    let mut bytes = Vec::new();
    extend(recognizer, &mut bytes, &mut found);
    recognizer.trie_finished();
    found
}

/// Adds the characters that begin with these bytes.
fn extend(recognizer: &mut ParserRecognizer<'_>, bytes: &mut Vec<u8>, found: &mut Vec<char>) {
    let range = if bytes.is_empty() { 0..=0xF4 } else { 0x80..=0xBF };
    for byte in range {
        if found.len() > MOST_NEEDED || !recognizer.try_push_byte(byte) {
            continue;
        }
        bytes.push(byte);
        match std::str::from_utf8(bytes) {
            Ok(text) => found.extend(text.chars()),
            Err(error) if error.error_len().is_none() => extend(recognizer, bytes, found),
            Err(_) => {}
        }
        bytes.pop();
        recognizer.pop_bytes(1);
    }
}
