use super::rules::{Class, Node, Rules};
use std::iter::Peekable;
use std::str::Chars;

/// The most repetitions: `llguidance` numbers them so.
const MOST_REPETITIONS: u32 = i32::MAX as u32;
/// How deep groups may stand in each other.
const DEEPEST: usize = 100;

pub(super) fn is_of_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_')
}

/// Reads the rules of a grammar.
pub(super) fn read(grammar: &str) -> Result<Rules, String> {
    let mut reader = Reader { rest: grammar.chars().peekable(), line: 1, rule: String::new(), rules: Rules::default() };
    reader.rules()?;
    Ok(reader.rules)
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
    /// The rule that is read.
    rule: String,
    rules: Rules,
}

impl Reader<'_> {
    fn wrong(&self, what: impl std::fmt::Display) -> String {
        format!("line {}: {what}", self.line)
    }

    fn expected(&mut self, what: impl std::fmt::Display) -> String {
        let found = self.peek().map_or_else(|| "the end".to_owned(), |next| format!("{next:?}"));
        self.wrong(format_args!("expected {what}, found {found}"))
    }

    fn peek(&mut self) -> Option<char> {
        self.rest.peek().copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest.next();
        self.line += usize::from(next == Some('\n'));
        next
    }

    /// Whether this comes next, which is then read.
    fn takes(&mut self, character: char) -> bool {
        let is_next = self.peek() == Some(character);
        if is_next {
            self.next();
        }
        is_next
    }

    fn expect(&mut self, character: char) -> Result<(), String> {
        match self.takes(character) {
            true => Ok(()),
            false => Err(self.expected(format_args!("{character:?}"))),
        }
    }

    /// Reads white space and comments; line ends only where a rule may go on in the next line.
    fn space(&mut self, over_lines: bool) {
        while let Some(next) = self.peek() {
            match next {
                '#' => {
                    while self.peek().is_some_and(|next| next != '\n') {
                        self.next();
                    }
                }
                '\n' | '\r' if !over_lines => return,
                next if next.is_whitespace() => drop(self.next()),
                _ => return,
            }
        }
    }

    fn rules(&mut self) -> Result<(), String> {
        loop {
            self.space(true);
            if self.peek().is_none() {
                return Ok(());
            }
            let name = self.name()?;
            self.space(false);
            ["::="].iter().flat_map(|sign| sign.chars()).try_for_each(|character| self.expect(character))?;
            self.space(true);
            self.rule.clone_from(&name);
            let node = self.choice(0)?;
            self.space(false);
            if let Some(next) = self.peek().filter(|next| !matches!(next, '\n' | '\r')) {
                return Err(self.wrong(format_args!("{next:?} has no meaning here")));
            }
            if !self.rules.define(&name, node) {
                return Err(self.wrong(format_args!("the rule \"{name}\" is defined twice")));
            }
        }
    }

    fn name(&mut self) -> Result<String, String> {
        let mut name = String::new();
        while let Some(next) = self.peek().filter(|next| is_of_name(*next)) {
            name.push(next);
            self.next();
        }
        match name.is_empty() {
            true => Err(self.expected("the name of a rule")),
            false => Ok(name),
        }
    }

    /// Alternatives, in so many groups.
    fn choice(&mut self, depth: usize) -> Result<usize, String> {
        if depth > DEEPEST {
            return Err(self.wrong(format_args!("groups in more than {DEEPEST} others")));
        }
        let mut nodes = vec![self.sequence(depth)?];
        while self.takes('|') {
            self.space(true);
            nodes.push(self.sequence(depth)?);
        }
        Ok(if nodes.len() == 1 { nodes.swap_remove(0) } else { self.rules.add(Node::Choice(nodes)) })
    }

    fn sequence(&mut self, depth: usize) -> Result<usize, String> {
        let mut nodes = Vec::new();
        loop {
            // In a group, a line may end anywhere.
            self.space(depth > 0);
            let node = match self.peek() {
                Some('"') => self.text()?,
                Some('[') => self.class()?,
                Some('.') => {
                    self.next();
                    self.rules.add(Node::Class(Class::all()))
                }
                Some('(') => {
                    self.next();
                    self.space(true);
                    let inner = self.choice(depth + 1)?;
                    self.space(true);
                    self.expect(')')?;
                    inner
                }
                Some(next) if is_of_name(next) => {
                    let name = self.name()?;
                    let rule = self.rules.number(&name);
                    self.rules.add(Node::Rule(rule))
                }
                _ if nodes.len() == 1 => return Ok(nodes.swap_remove(0)),
                _ => return Ok(self.rules.add(Node::Sequence(nodes))),
            };
            nodes.push(self.repetition(node)?);
        }
    }

    fn repetition(&mut self, mut node: usize) -> Result<usize, String> {
        for signs in 0.. {
            if signs > DEEPEST {
                return Err(self.wrong(format_args!("more than {DEEPEST} signs of repetition in a row")));
            }
            let (least, most) = match self.peek() {
                Some('*') => (0, None),
                Some('+') => (1, None),
                Some('?') => (0, Some(1)),
                Some('{') => {
                    self.next();
                    let (least, most) = self.bounds()?;
                    if self.peek() != Some('}') {
                        return Err(self.expected("'}'"));
                    }
                    (least, most)
                }
                _ => return Ok(node),
            };
            self.next();
            node = self.rules.add(Node::Repeat(node, least, most));
        }
        Ok(node)
    }

    /// `m`, `m,` or `m,n` of a repetition.
    fn bounds(&mut self) -> Result<(u32, Option<u32>), String> {
        self.space(true);
        let least = self.number()?;
        self.space(true);
        if !self.takes(',') {
            return Ok((least, Some(least)));
        }
        self.space(true);
        let most = if self.peek() == Some('}') { None } else { Some(self.number()?) };
        self.space(true);
        match most {
            Some(most) if most < least => {
                Err(self.wrong(format_args!("{{{least},{most}}}: the most is below the least")))
            }
            most => Ok((least, most)),
        }
    }

    fn number(&mut self) -> Result<u32, String> {
        let mut digits = String::new();
        while let Some(digit) = self.peek().filter(char::is_ascii_digit) {
            digits.push(digit);
            self.next();
        }
        if digits.is_empty() {
            return Err(self.expected("a number of repetitions"));
        }
        digits.parse().ok().filter(|&count| count <= MOST_REPETITIONS).ok_or_else(|| {
            self.wrong(format_args!(
                "the rule \"{}\" has {digits} repetitions, expected at most {MOST_REPETITIONS}",
                self.rule
            ))
        })
    }

    fn text(&mut self) -> Result<usize, String> {
        self.next();
        let mut characters = Vec::new();
        while self.peek() != Some('"') {
            let class = Class::one(self.character()?);
            characters.push(self.rules.add(Node::Class(class)));
        }
        self.next();
        Ok(if characters.len() == 1 { characters.swap_remove(0) } else { self.rules.add(Node::Sequence(characters)) })
    }

    fn class(&mut self) -> Result<usize, String> {
        self.next();
        let is_negated = self.takes('^');
        let mut ranges = Vec::new();
        while self.peek() != Some(']') {
            let first = self.character()?;
            let mut last = first;
            if self.takes('-') {
                if self.peek() == Some(']') {
                    ranges.push((u32::from('-'), u32::from('-')));
                } else {
                    last = self.character()?;
                }
            }
            if last < first {
                return Err(self.wrong(format_args!("[{first}-{last}]: the last is before the first")));
            }
            ranges.push((u32::from(first), u32::from(last)));
        }
        self.next();
        let class = Class::of(ranges, is_negated);
        match class.is_empty() {
            true => Err(self.wrong("a class of no characters")),
            false => Ok(self.rules.add(Node::Class(class))),
        }
    }

    /// A character, or an escape.
    fn character(&mut self) -> Result<char, String> {
        let unfinished = |reader: &Self| reader.wrong("the text or the class has no end");
        let next = self.next().ok_or_else(|| unfinished(self))?;
        if next != '\\' {
            return Ok(next);
        }
        let escape = self.next().ok_or_else(|| unfinished(self))?;
        let digits = match escape {
            'n' => return Ok('\n'),
            'r' => return Ok('\r'),
            't' => return Ok('\t'),
            '"' | '\\' | '[' | ']' | '-' | '^' => return Ok(escape),
            'x' => 2,
            'u' => 4,
            'U' => 8,
            other => return Err(self.wrong(format_args!("the escape \\{other} is not known"))),
        };
        let hex: String = (0..digits).filter_map(|_| self.next()).collect();
        let code = u32::from_str_radix(&hex, 16).ok().filter(|_| hex.len() == digits).and_then(char::from_u32);
        code.ok_or_else(|| self.wrong(format_args!("\\{escape}{hex} is no character")))
    }
}
