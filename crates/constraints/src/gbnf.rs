//! GBNF, the grammars of llama.cpp, as Lark.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::str::Chars;

/// How deep groups may stand in each other.
const DEEPEST: usize = 100;

/// Whether a grammar is in GBNF: one of its lines defines a rule with `::=`.
pub(crate) fn is_gbnf(grammar: &str) -> bool {
    grammar.lines().any(|line| line.split_once("::=").is_some_and(|(name, _)| is_name(name.trim())))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_of_name)
}

fn is_of_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_')
}

/// A part of a rule.
#[derive(Debug)]
enum Node {
    Text(String),
    /// A class of characters, as a regular expression.
    Class(String),
    Rule(String),
    Repeat(Box<Node>, u32, Option<u32>),
    Sequence(Vec<Node>),
    Choice(Vec<Node>),
}

/// The grammar in Lark. A rule without recursion becomes a terminal, which `llguidance` follows by an automaton.
pub(crate) fn to_lark(grammar: &str) -> Result<String, String> {
    let mut reader = Reader { rest: grammar.chars().peekable(), line: 1 };
    let rules = reader.rules()?;
    if !rules.contains_key("root") {
        return Err("it has no rule \"root\", with which GBNF starts".to_owned());
    }
    for (name, node) in &rules {
        if let Some(missing) = node.rules().into_iter().find(|other| !rules.contains_key(*other)) {
            return Err(format!("the rule \"{name}\" needs \"{missing}\", which is not defined"));
        }
    }
    let regular = regular(&rules);
    // Lark knows terminals by their capitals.
    let numbered = rules.keys().enumerate().map(|(i, name)| {
        let (is_regular, plain) = (regular.contains(name.as_str()), name.replace('-', "_"));
        let lark = if is_regular {
            format!("T{i}_{}", plain.to_uppercase())
        } else {
            format!("r{i}_{}", plain.to_lowercase())
        };
        (name.as_str(), lark)
    });
    let names: BTreeMap<&str, String> = numbered.collect();
    let lines = rules.iter().map(|(name, node)| format!("{}: {}\n", names[name.as_str()], node.lark(&names)));
    Ok(format!("start: {}\n{}", names["root"], lines.collect::<String>()))
}

/// The rules that do not come to themselves, nor to one that does.
fn regular(rules: &BTreeMap<String, Node>) -> BTreeSet<&str> {
    let mut found: BTreeSet<&str> = BTreeSet::new();
    loop {
        let is_new = |(name, node): &(&String, &Node)| {
            !found.contains(name.as_str()) && node.rules().iter().all(|other| found.contains(other))
        };
        let more: Vec<&str> = rules.iter().filter(is_new).map(|(name, _)| name.as_str()).collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

impl Node {
    /// The rules that it names.
    fn rules(&self) -> Vec<&str> {
        match self {
            Self::Text(_) | Self::Class(_) => Vec::new(),
            Self::Rule(name) => vec![name],
            Self::Repeat(node, ..) => node.rules(),
            Self::Sequence(nodes) | Self::Choice(nodes) => nodes.iter().flat_map(Self::rules).collect(),
        }
    }

    fn lark(&self, names: &BTreeMap<&str, String>) -> String {
        let each = |nodes: &[Self], between: &str| {
            let nodes: Vec<String> = nodes.iter().map(|node| node.lark(names)).collect();
            nodes.join(between)
        };
        match self {
            Self::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
            Self::Class(class) => format!("/{class}/"),
            Self::Rule(name) => names[name.as_str()].clone(),
            Self::Repeat(node, least, most) => {
                let most = most.map(|most| most.to_string()).unwrap_or_default();
                format!("({}){{{least},{most}}}", node.lark(names))
            }
            Self::Sequence(nodes) if nodes.is_empty() => "\"\"".to_owned(),
            Self::Sequence(nodes) => each(nodes, " "),
            Self::Choice(nodes) => format!("({})", each(nodes, " | ")),
        }
    }
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
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

    fn rules(&mut self) -> Result<BTreeMap<String, Node>, String> {
        let mut rules = BTreeMap::new();
        loop {
            self.space(true);
            if self.peek().is_none() {
                return Ok(rules);
            }
            let name = self.name()?;
            self.space(false);
            ["::="].iter().flat_map(|sign| sign.chars()).try_for_each(|character| self.expect(character))?;
            self.space(true);
            let node = self.choice(0)?;
            self.space(false);
            if let Some(next) = self.peek().filter(|next| !matches!(next, '\n' | '\r')) {
                return Err(self.wrong(format_args!("{next:?} has no meaning here")));
            }
            if rules.insert(name.clone(), node).is_some() {
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
    fn choice(&mut self, depth: usize) -> Result<Node, String> {
        if depth > DEEPEST {
            return Err(self.wrong(format_args!("groups in more than {DEEPEST} others")));
        }
        let mut nodes = vec![self.sequence(depth)?];
        while self.takes('|') {
            self.space(true);
            nodes.push(self.sequence(depth)?);
        }
        Ok(if nodes.len() == 1 { nodes.swap_remove(0) } else { Node::Choice(nodes) })
    }

    fn sequence(&mut self, depth: usize) -> Result<Node, String> {
        let mut nodes = Vec::new();
        loop {
            // In a group, a line may end anywhere.
            self.space(depth > 0);
            let node = match self.peek() {
                Some('"') => self.text()?,
                Some('[') => self.class()?,
                Some('.') => {
                    self.next();
                    Node::Class("(?s:.)".to_owned())
                }
                Some('(') => {
                    self.next();
                    self.space(true);
                    let inner = self.choice(depth + 1)?;
                    self.space(true);
                    self.expect(')')?;
                    inner
                }
                Some(next) if is_of_name(next) => Node::Rule(self.name()?),
                _ => return Ok(Node::Sequence(nodes)),
            };
            let node = if matches!(node, Node::Sequence(_)) { Node::Choice(vec![node]) } else { node };
            nodes.push(self.repetition(node)?);
        }
    }

    fn repetition(&mut self, mut node: Node) -> Result<Node, String> {
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
            node = Node::Repeat(Box::new(node), least, most);
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
        digits.parse().map_err(|_| self.expected("a number of repetitions"))
    }

    fn text(&mut self) -> Result<Node, String> {
        self.next();
        let mut text = String::new();
        while self.peek() != Some('"') {
            text.push(self.character()?);
        }
        self.next();
        Ok(Node::Text(text))
    }

    fn class(&mut self) -> Result<Node, String> {
        self.next();
        let mut class = String::from(if self.takes('^') { "[^" } else { "[" });
        let mut is_empty = true;
        while self.peek() != Some(']') {
            let from = self.character()?;
            is_empty = false;
            class += &format!("\\x{{{:X}}}", u32::from(from));
            if self.peek() == Some('-') {
                self.next();
                if self.peek() == Some(']') {
                    class += "\\x{2D}";
                    break;
                }
                let to = self.character()?;
                if to < from {
                    return Err(self.wrong(format_args!("[{from}-{to}]: the last is before the first")));
                }
                class += &format!("-\\x{{{:X}}}", u32::from(to));
            }
        }
        self.next();
        match is_empty {
            true => Err(self.wrong("a class of no characters")),
            false => Ok(Node::Class(class + "]")),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_without_recursion_become_terminals() {
        let grammar = "# a comment\nroot ::= list | word # and another\nlist ::= \"[\" (root\n  (\",\" root)*)? \"]\"\n\
                       word ::= [a-z\\x41\\]-]+ [^\"\\n]{2} | \"\\u00e9\\\"\" .? digit{1,3}\ndigit ::= [0-9]\n";
        assert!(is_gbnf(grammar));
        let lark = to_lark(grammar).unwrap();
        let expected = "start: r2_root\nT0_DIGIT: /[\\x{30}-\\x{39}]/\n\
            r1_list: \"[\" ((r2_root ((\",\" r2_root)){0,})){0,1} \"]\"\nr2_root: (r1_list | T3_WORD)\n\
            T3_WORD: ((/[\\x{61}-\\x{7A}\\x{41}\\x{5D}\\x{2D}]/){1,} (/[^\\x{22}\\x{A}]/){2,2} | \"é\\\"\" (/(?s:.)/){0,1} (T0_DIGIT){1,3})\n";
        assert_eq!(lark, expected);
        assert!(!is_gbnf("start: \"a\"\n"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (grammar, says) in [
            ("a ::= \"b\"", "no rule \"root\""),
            ("root ::= other", "\"root\" needs \"other\", which is not defined"),
            ("root ::= \"a\"\nroot ::= \"b\"", "line 2: the rule \"root\" is defined twice"),
            ("root ::= \"a", "line 1: the text or the class has no end"),
            ("root ::= [z-a]", "the last is before the first"),
            ("root ::= []", "a class of no characters"),
            ("root ::= \"\\q\"", "the escape \\q is not known"),
            ("root ::= \"\\ud800\"", "\\ud800 is no character"),
            ("root ::= \"a\"{3,2}", "the most is below the least"),
            ("root ::= (\"a\"", "expected ')', found the end"),
            ("root := \"a\"", "expected ':', found '='"),
            ("root ::= \"a\" )", "')' has no meaning here"),
            ("root ::= <token>", "'<' has no meaning here"),
        ] {
            let error = to_lark(grammar).unwrap_err();
            assert!(error.contains(says), "{grammar}: {error}");
        }
        let deep = format!("root ::= {}\"a\"{}", "(".repeat(200), ")".repeat(200));
        assert!(to_lark(&deep).unwrap_err().contains("groups in more than"));
        let repeated = format!("root ::= \"a\"{}", "*".repeat(200_000));
        assert!(to_lark(&repeated).unwrap_err().contains("signs of repetition in a row"));
    }
}
