//! GBNF, the grammars of llama.cpp, as Lark.

mod automaton;
mod follow;
mod lead_bytes;
mod reader;
mod rules;
mod terminals;

use reader::{is_of_name, read};
use rules::{Node, Rules};
use std::collections::BTreeSet;
use terminals::terminals;

/// How deep parts of a rule are written in each other: `llguidance` reads groups in up to 30 others.
const DEEPEST: usize = 16;

/// Whether a grammar is in GBNF: one of its lines defines a rule with `::=`.
pub(crate) fn is_gbnf(grammar: &str) -> bool {
    let is_name = |text: &str| !text.is_empty() && text.chars().all(is_of_name);
    grammar.lines().any(|line| line.split_once("::=").is_some_and(|(name, _)| is_name(name.trim())))
}

/// The grammar in Lark. What matches a regular expression is a terminal where that means the same; `llguidance` follows these by an
/// automaton.
pub(crate) fn to_lark(grammar: &str) -> Result<String, String> {
    let rules = read(grammar)?;
    let root = rules.root("root").ok_or_else(|| "it has no rule \"root\", with which GBNF starts".to_owned())?;
    if let Some((name, missing)) = rules.missing() {
        return Err(format!("the rule \"{name}\" needs \"{missing}\", which is not defined"));
    }
    if !rules.has_text(root, &rules.users()) {
        return Err("it has no text: every way through its rules goes on without an end".to_owned());
    }
    let terminals = terminals(&rules, root);
    let heights = rules.heights();
    let mut lark = Lark { rules: &rules, terminals, heights, named: BTreeSet::new(), unwritten: Vec::new() };
    let mut lines = format!("start: {}\n", lark.node(root, false));
    while let Some((is_terminal, node)) = lark.unwritten.pop() {
        let body = lark.parts(node, is_terminal);
        lines += &format!("{}: {body}\n", name(is_terminal, node));
    }
    Ok(lines)
}

/// Lark knows terminals by their capitals.
fn name(is_terminal: bool, node: usize) -> String {
    if is_terminal { format!("T{node}") } else { format!("r{node}") }
}

struct Lark<'a> {
    rules: &'a Rules,
    /// Which nodes are terminals.
    terminals: Vec<bool>,
    heights: Vec<usize>,
    /// The nodes with a name, as a terminal or as a rule.
    named: BTreeSet<(bool, usize)>,
    /// Those of them that have no line yet.
    unwritten: Vec<(bool, usize)>,
}

impl Lark<'_> {
    /// A node, as a part of a terminal or of a rule.
    fn node(&mut self, node: usize, in_terminal: bool) -> String {
        match self.rules.node(node) {
            Node::Class(_) => self.parts(node, in_terminal),
            Node::Rule(_) => {
                let body = self.rules.parts(node)[0];
                self.named(body, in_terminal || self.terminals[body])
            }
            _ if !in_terminal && self.terminals[node] => self.named(node, true),
            _ if self.heights[node] % DEEPEST == DEEPEST - 1 => self.named(node, in_terminal),
            _ => self.parts(node, in_terminal),
        }
    }

    fn named(&mut self, node: usize, is_terminal: bool) -> String {
        if self.named.insert((is_terminal, node)) {
            self.unwritten.push((is_terminal, node));
        }
        name(is_terminal, node)
    }

    fn parts(&mut self, node: usize, in_terminal: bool) -> String {
        match self.rules.node(node) {
            Node::Class(class) => {
                let code = |character: char| format!("\\x{{{:X}}}", u32::from(character));
                let range = |[first, last]: [char; 2]| match first == last {
                    true => code(first),
                    false => format!("{}-{}", code(first), code(last)),
                };
                format!("/[{}]/", class.ranges().map(range).collect::<String>())
            }
            Node::Repeat(_, _, Some(0)) => "\"\"".to_owned(),
            Node::Repeat(inner, least, most) => {
                let most = most.map(|most| most.to_string()).unwrap_or_default();
                format!("({}){{{least},{most}}}", self.node(*inner, in_terminal))
            }
            Node::Sequence(parts) if parts.is_empty() => "\"\"".to_owned(),
            Node::Sequence(parts) => self.each(parts, in_terminal).join(" "),
            Node::Choice(parts) => format!("({})", self.each(parts, in_terminal).join(" | ")),
            Node::Rule(_) => self.node(node, in_terminal),
        }
    }

    fn each(&mut self, nodes: &[usize], in_terminal: bool) -> Vec<String> {
        nodes.iter().map(|&node| self.node(node, in_terminal)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_regular_is_a_terminal() {
        let grammar = "# a comment\nroot ::= list | word # and another\nlist ::= \"[\" (root\n  (\",\" root)*)? \"]\"\n\
                       word ::= [a-b\\x41\\^-]+ | \"\\u00e9\\\"\" digit{1,3}\ndigit ::= [0-1]\n";
        assert!(is_gbnf(grammar));
        let lark = to_lark(grammar).unwrap();
        let expected = "start: (r12 | T21)\n\
            T21: ((/[\\x{2D}\\x{41}\\x{5E}\\x{61}-\\x{62}]/){1,} | /[\\x{E9}]/ /[\\x{22}]/ (T22){1,3})\n\
            T22: /[\\x{30}-\\x{31}]/\n\
            r12: /[\\x{5B}]/ (r2 (/[\\x{2C}]/ r2){0,}){0,1} /[\\x{5D}]/\nr2: (r12 | T21)\n";
        assert_eq!(lark, expected);
        assert!(!is_gbnf("start: \"a\"\n"));
    }

    #[test]
    fn a_terminal_that_would_take_what_follows_is_taken_apart() {
        let word = "(/[\\x{61}-\\x{7A}]/){1,}";
        let lark =
            |parts: &str| to_lark(&format!("root ::= \"(\" {parts} root \")\" | \".\"\nword ::= [a-z]+\n")).unwrap();
        let is_terminal = |parts: &str| lark(parts).lines().any(|line| line.starts_with('T') && line.contains(word));
        for parts in ["word", "word \":\" word", "word \"A\" word", "word? [0-9]"] {
            assert!(is_terminal(parts), "{parts}: {}", lark(parts));
        }
        // The same letter, the first byte of a character in a class, and what another terminal goes on with.
        for parts in ["word \"abc\"", "word [A-z]", "word word", "(\"a\" \"b\" root | word)", "word? \"x\""] {
            assert!(!is_terminal(parts), "{parts}: {}", lark(parts));
        }
    }

    /// Each rule names the next one twice, or once: as a tree of 2⁴⁰ nodes, or one deeper than a stack.
    #[test]
    fn rules_that_unfold_without_end_are_no_terminals() {
        for (count, body) in [(40, "r# r#"), (20_000, "r#")] {
            let rule = |i: usize| format!("r{i} ::= {}\n", body.replace('#', &(i + 1).to_string()));
            let rules: String = (0..count).map(rule).collect();
            let grammar = format!("root ::= \"a\" r0 | root \"b\"\n{rules}r{count} ::= \"\"\n");
            let lark = to_lark(&grammar).unwrap();
            assert!(lark.starts_with("start: "), "{count}");
        }
    }

    /// Where each rule went through all others, or each terminal were compared with all others, these would take hours.
    #[test]
    fn many_rules_take_no_longer_than_as_many_grammars() {
        const COUNT: usize = 20_000;
        let all: Vec<String> = (0..COUNT).map(|i| format!("r{i}")).collect();
        let lark = |root: &str, rule: fn(usize) -> String| {
            let rules: String = (0..COUNT).map(rule).collect();
            let lark = to_lark(&format!("root ::= {root}\n{rules}")).unwrap();
            (lark.lines().filter(|line| line.starts_with('T')).count(), lark)
        };
        // Each is a word of its own: a terminal of all, which names them.
        let (terminals, words) = lark(&all.join(" | "), |i| format!("r{i} ::= \"w{i};\"\n"));
        assert_eq!((terminals, words.lines().count()), (COUNT + 1, COUNT + 2));
        // Each may come to the next one, or to the root again.
        let (terminals, lists) =
            lark("\".\" | r0 root", |i| format!("r{i} ::= \"a\" r{} | root \"b\"\n", (i + 1) % COUNT));
        assert_eq!((terminals, lists.lines().count()), (0, COUNT + 2));
        // Rules that overlap in all ways, of which each is followed by any: characters are what is left.
        let (terminals, _) = lark(&format!("({})+", all.join(" | ")), |i| {
            let letter = |i: usize| char::from(b'a' + (i % 26) as u8);
            format!("r{i} ::= [a-{}]+ [{}-z]{{0,5}} \"{}\"?\n", letter(i), letter(i / 26), letter(i / 676))
        });
        assert_eq!(terminals, 0);
    }

    /// `llguidance` reads no groups in more than 30 others.
    #[test]
    fn parts_that_stand_deep_in_each_other_have_rules_of_their_own() {
        let grammar = format!("root ::= {}root? \"a\"{}\n", "(\"b\" | ".repeat(90), ")*".repeat(90));
        let lark = to_lark(&grammar).unwrap();
        for line in lark.lines() {
            let mut depth = 0_usize;
            let depths = line.chars().map(|sign| {
                depth = depth + usize::from(sign == '(') - usize::from(sign == ')');
                depth
            });
            assert!(depths.max() <= Some(DEEPEST), "{line}");
        }
        assert!(lark.lines().count() > 10, "{lark}");
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
            (
                "root ::= a\na ::= \"a\"{0,4000000000}",
                "line 2: the rule \"a\" has 4000000000 repetitions, expected at most",
            ),
            ("root ::= \"a\"{99999999999}", "the rule \"root\" has 99999999999 repetitions"),
            ("root ::= \"a\"{,3}", "expected a number of repetitions, found ','"),
            ("root ::= root \"a\" | root", "it has no text: every way through its rules"),
            ("root ::= \"a\" b*\nb ::= c\nc ::= \"c\" (b | c c)\n\nd ::= \"d\" root2", "\"root2\""),
            ("root ::= \"a\" b+\nb ::= c\nc ::= \"c\" (b | c c)", "it has no text"),
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
