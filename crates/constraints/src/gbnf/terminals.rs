use super::rules::{Class, Node, Rules};
use std::collections::{BTreeMap, BTreeSet};

/// The most positions of an automaton; larger ones are not tried as terminals.
const MOST_POSITIONS: usize = 500;
/// Levels of regular parts that are taken apart one after the other.
const MOST_ROUNDS: usize = 16;
/// Pairs of positions that are compared for two terminals.
const MOST_PAIRS: usize = 1_000_000;
/// Nodes that are gone through for them, rules each time that they are named: those without a character count too.
const MOST_NODES: usize = 4 * MOST_POSITIONS;
/// The most copies of what is repeated; more are taken for any number.
const MOST_COPIES: u32 = 16;

/// The largest nodes that can be terminals of a greedy lexer and keep the grammar's meaning.
///
/// Such a lexer goes on with a terminal as long as one of those that it may be in can go on. So none may go on after what another one, or
/// it itself, can be as a whole, with a byte that may come next there: such a terminal is taken apart. In the end it is single
/// characters, after which nothing goes on.
pub(super) fn terminals(rules: &Rules, root: usize) -> BTreeSet<usize> {
    let mut allowed = rules.regular();
    for round in 0.. {
        let mut follow = Follow::new(rules, &allowed);
        follow.visit_all(root);
        let mut automata = BTreeMap::new();
        let mut split = BTreeSet::new();
        for &terminal in follow.after.keys() {
            match Automaton::new(rules, terminal).filter(|automaton| !automaton.positions.is_empty()) {
                Some(automaton) => drop(automata.insert(terminal, automaton)),
                None => drop(split.insert(terminal)),
            }
        }
        for (terminal, automaton) in &automata {
            let after = follow.after[terminal];
            split.extend(
                automata.iter().filter(|(_, other)| automaton.is_cut_by(other, &after)).map(|(other, _)| *other),
            );
        }
        if split.is_empty() {
            return automata.into_keys().collect();
        }
        // Each round takes apart one level. Where there are too many, what is left are characters.
        let is_left = |node: usize| round < MOST_ROUNDS || matches!(rules.node(node), Node::Class(_));
        allowed.retain(|&node| !split.contains(&node) && is_left(node));
    }
    BTreeSet::new()
}

/// Bytes with which characters start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct LeadBytes([u64; 4]);

impl LeadBytes {
    fn of(class: &Class) -> Self {
        let mut all = Self::default();
        for [first, last] in class.ranges() {
            let lead = |character: char| character.encode_utf8(&mut [0; 4]).as_bytes()[0];
            (lead(first)..=lead(last)).for_each(|byte| all.0[usize::from(byte / 64)] |= 1 << (byte % 64));
        }
        all
    }

    fn or(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] | other.0[i]))
    }

    fn intersects(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).any(|(a, b)| a & b != 0)
    }
}

/// What may follow each terminal.
struct Follow<'a> {
    rules: &'a Rules,
    /// The nodes that may be terminals.
    allowed: &'a BTreeSet<usize>,
    /// Of nodes that have been computed: what they may start with, and whether they may be empty.
    first: BTreeMap<usize, (LeadBytes, bool)>,
    /// After the bodies of rules.
    after_rules: BTreeMap<&'a str, LeadBytes>,
    /// After terminals.
    after: BTreeMap<usize, LeadBytes>,
    changed: bool,
}

impl<'a> Follow<'a> {
    fn new(rules: &'a Rules, allowed: &'a BTreeSet<usize>) -> Self {
        let (first, after_rules, after) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { rules, allowed, first, after_rules, after, changed: true }
    }

    /// Goes through the grammar until nothing is new.
    fn visit_all(&mut self, root: usize) {
        while std::mem::take(&mut self.changed) {
            for (_, body) in self.rules.bodies() {
                self.start(body);
            }
        }
        self.changed = true;
        while std::mem::take(&mut self.changed) {
            self.visit(root, LeadBytes::default());
            let bodies: Vec<(&str, LeadBytes)> = self.after_rules.iter().map(|(name, after)| (*name, *after)).collect();
            for (name, after) in bodies {
                if let Some(body) = self.rules.body(name) {
                    self.visit(body, after);
                }
            }
        }
    }

    /// What a node may start with, and whether it may be empty, as far as that is known.
    fn start(&mut self, node: usize) -> (LeadBytes, bool) {
        let rules = self.rules;
        let found = match rules.node(node) {
            Node::Class(class) => (LeadBytes::of(class), false),
            Node::Rule(name) => {
                let body = rules.body(name);
                body.and_then(|body| self.first.get(&body).copied()).unwrap_or_default()
            }
            Node::Repeat(inner, least, most) => {
                let (start, is_empty) = self.start(*inner);
                if *most == Some(0) { (LeadBytes::default(), true) } else { (start, is_empty || *least == 0) }
            }
            Node::Sequence(parts) => parts.iter().fold((LeadBytes::default(), true), |(start, is_empty), part| {
                let (own, own_is_empty) = self.start(*part);
                (if is_empty { start.or(own) } else { start }, is_empty && own_is_empty)
            }),
            Node::Choice(parts) => parts.iter().fold((LeadBytes::default(), false), |(start, is_empty), part| {
                let (own, own_is_empty) = self.start(*part);
                (start.or(own), is_empty || own_is_empty)
            }),
        };
        self.changed |= self.first.insert(node, found) != Some(found);
        found
    }

    /// Notes what follows the terminals of a node that is followed by these.
    fn visit(&mut self, node: usize, after: LeadBytes) {
        let rules = self.rules;
        if self.allowed.contains(&node) {
            let all = self.after.entry(node).or_default();
            let more = all.or(after);
            self.changed |= *all != more;
            *all = more;
            return;
        }
        match rules.node(node) {
            Node::Class(_) | Node::Repeat(_, _, Some(0)) => {}
            Node::Rule(name) => {
                let is_new = !self.after_rules.contains_key(name.as_str());
                let all = self.after_rules.entry(name).or_default();
                let more = all.or(after);
                self.changed |= is_new || *all != more;
                *all = more;
            }
            Node::Repeat(inner, _, most) => {
                let again = if *most == Some(1) { LeadBytes::default() } else { self.start(*inner).0 };
                self.visit(*inner, after.or(again));
            }
            Node::Sequence(parts) => {
                let mut after = after;
                for &part in parts.iter().rev() {
                    self.visit(part, after);
                    let (start, is_empty) = self.start(part);
                    after = if is_empty { after.or(start) } else { start };
                }
            }
            Node::Choice(parts) => parts.iter().for_each(|&part| self.visit(part, after)),
        }
    }
}

/// The automaton of a regular node, by positions (Glushkov 1961). It may accept more than the node, not less.
#[derive(Default)]
struct Automaton {
    positions: Vec<Position>,
    /// How many nodes have been gone through.
    nodes: usize,
    /// Those that may come first, and last.
    ends: Ends,
}

struct Position {
    class: Class,
    lead: LeadBytes,
    next: BTreeSet<usize>,
}

#[derive(Clone, Default)]
struct Ends {
    first: BTreeSet<usize>,
    last: BTreeSet<usize>,
    is_empty: bool,
}

impl Automaton {
    /// None where it would be too large.
    fn new(rules: &Rules, node: usize) -> Option<Self> {
        let mut all = Self::default();
        all.ends = all.add(rules, node)?;
        Some(all)
    }

    fn add(&mut self, rules: &Rules, node: usize) -> Option<Ends> {
        self.nodes += 1;
        if self.nodes > MOST_NODES {
            return None;
        }
        match rules.node(node) {
            Node::Class(class) => {
                let at = BTreeSet::from([self.positions.len()]);
                let position = Position { class: class.clone(), lead: LeadBytes::of(class), next: BTreeSet::new() };
                self.positions.push(position);
                let fits = self.positions.len() <= MOST_POSITIONS;
                fits.then(|| Ends { first: at.clone(), last: at, is_empty: false })
            }
            Node::Rule(name) => self.add(rules, rules.body(name)?),
            Node::Repeat(_, _, Some(0)) => Some(Ends { is_empty: true, ..Ends::default() }),
            Node::Repeat(inner, least, most) => {
                let copies = most.unwrap_or(*least).clamp(1, MOST_COPIES);
                let mut all = Ends { is_empty: true, ..Ends::default() };
                for copy in 0..copies {
                    let mut one = self.add(rules, *inner)?;
                    one.is_empty |= copy >= *least;
                    all = self.join(all, one);
                }
                if most.is_none_or(|most| most > copies) {
                    self.lead_on(&all.last, &all.first);
                }
                Some(all)
            }
            Node::Sequence(parts) => parts.iter().try_fold(Ends { is_empty: true, ..Ends::default() }, |all, part| {
                let one = self.add(rules, *part)?;
                Some(self.join(all, one))
            }),
            Node::Choice(parts) => parts.iter().try_fold(Ends::default(), |mut all, part| {
                let one = self.add(rules, *part)?;
                all.first.extend(one.first);
                all.last.extend(one.last);
                all.is_empty |= one.is_empty;
                Some(all)
            }),
        }
    }

    /// One after the other.
    fn join(&mut self, mut before: Ends, after: Ends) -> Ends {
        self.lead_on(&before.last, &after.first);
        if before.is_empty {
            before.first.extend(&after.first);
        }
        let last = if after.is_empty { before.last.into_iter().chain(after.last).collect() } else { after.last };
        Ends { first: before.first, last, is_empty: before.is_empty && after.is_empty }
    }

    fn lead_on(&mut self, from: &BTreeSet<usize>, to: &BTreeSet<usize>) {
        from.iter().for_each(|&one| self.positions[one].next.extend(to));
    }

    /// Whether another terminal can go on, with one of these bytes, after what this one can be as a whole; or may, where to find out
    /// would take too long.
    fn is_cut_by(&self, other: &Self, after: &LeadBytes) -> bool {
        if !after.intersects(after) {
            return false;
        }
        let mut pairs = 0;
        let mut open: Vec<(usize, usize)> = Vec::new();
        let mut known: BTreeSet<(usize, usize)> = BTreeSet::new();
        let mut reach = |own: &BTreeSet<usize>, others: &BTreeSet<usize>, open: &mut Vec<(usize, usize)>| {
            for (a, b) in own.iter().flat_map(|a| others.iter().map(move |b| (*a, *b))) {
                if self.positions[a].class.intersects(&other.positions[b].class) && known.insert((a, b)) {
                    open.push((a, b));
                }
            }
        };
        reach(&self.ends.first, &other.ends.first, &mut open);
        while let Some((own, others)) = open.pop() {
            let next = &other.positions[others].next;
            let goes_on = || next.iter().any(|&position| other.positions[position].lead.intersects(after));
            if self.ends.last.contains(&own) && goes_on() {
                return true;
            }
            pairs += self.positions[own].next.len() * next.len();
            if pairs > MOST_PAIRS {
                return true;
            }
            reach(&self.positions[own].next, next, &mut open);
        }
        false
    }
}
