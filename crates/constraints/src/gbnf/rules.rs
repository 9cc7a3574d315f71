use std::collections::{BTreeMap, BTreeSet};

/// The code points that are no characters.
const SURROGATES: std::ops::RangeInclusive<u32> = 0xD800..=0xDFFF;

/// A part of a rule; its own parts by number.
#[derive(Debug)]
pub(super) enum Node {
    Class(Class),
    Rule(String),
    Repeat(usize, u32, Option<u32>),
    Sequence(Vec<usize>),
    Choice(Vec<usize>),
}

/// The rules of a grammar.
#[derive(Debug, Default)]
pub(super) struct Rules {
    nodes: Vec<Node>,
    /// By name.
    bodies: BTreeMap<String, usize>,
}

impl Rules {
    pub(super) fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Defines a rule; whether it is new.
    pub(super) fn define(&mut self, name: &str, body: usize) -> bool {
        self.bodies.insert(name.to_owned(), body).is_none()
    }

    pub(super) fn node(&self, node: usize) -> &Node {
        &self.nodes[node]
    }

    pub(super) fn body(&self, rule: &str) -> Option<usize> {
        self.bodies.get(rule).copied()
    }

    pub(super) fn bodies(&self) -> impl Iterator<Item = (&str, usize)> {
        self.bodies.iter().map(|(name, &body)| (name.as_str(), body))
    }

    /// A rule that another one needs and that is not there.
    pub(super) fn missing(&self) -> Option<(&str, &str)> {
        let needed =
            self.bodies().flat_map(|(name, body)| self.needs(body).into_iter().map(move |other| (name, other)));
        needed.into_iter().find(|(_, other)| self.body(other).is_none())
    }

    /// The rules that a node names.
    fn needs(&self, node: usize) -> BTreeSet<&str> {
        match self.node(node) {
            Node::Class(_) => BTreeSet::new(),
            Node::Rule(name) => BTreeSet::from([name.as_str()]),
            Node::Repeat(inner, ..) => self.needs(*inner),
            Node::Sequence(parts) | Node::Choice(parts) => parts.iter().flat_map(|part| self.needs(*part)).collect(),
        }
    }

    /// The nodes that come to no rule with recursion: what they match is a regular expression.
    pub(super) fn regular(&self) -> BTreeSet<usize> {
        let mut rules: BTreeSet<&str> = BTreeSet::new();
        let is_regular = |rules: &BTreeSet<&str>, node| self.needs(node).iter().all(|other| rules.contains(other));
        loop {
            let more = self.bodies().filter(|(name, body)| !rules.contains(name) && is_regular(&rules, *body));
            let more: Vec<&str> = more.map(|(name, _)| name).collect();
            if more.is_empty() {
                return (0..self.nodes.len()).filter(|&node| is_regular(&rules, node)).collect();
            }
            rules.extend(more);
        }
    }
}

/// Characters, as ranges in order, apart from each other.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Class(Vec<(u32, u32)>);

impl Class {
    pub(super) fn one(character: char) -> Self {
        Self::of(vec![(u32::from(character), u32::from(character))], false)
    }

    pub(super) fn all() -> Self {
        Self::of(Vec::new(), true)
    }

    /// Those of some ranges, or all others.
    pub(super) fn of(ranges: Vec<(u32, u32)>, is_negated: bool) -> Self {
        let mut others = if is_negated { ranges } else { complement(ranges) };
        others.push((*SURROGATES.start(), *SURROGATES.end()));
        Self(complement(others))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn intersects(&self, other: &Self) -> bool {
        self.0.iter().any(|(first, last)| other.0.iter().any(|(from, to)| first <= to && from <= last))
    }

    /// The first and last of each range.
    pub(super) fn ranges(&self) -> impl Iterator<Item = [char; 2]> {
        self.0.iter().filter_map(|(first, last)| Some([char::from_u32(*first)?, char::from_u32(*last)?]))
    }
}

/// The code points in none of the ranges.
fn complement(mut ranges: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    ranges.sort_unstable();
    let (mut others, mut next) = (Vec::new(), 0);
    for (first, last) in ranges {
        if first > next {
            others.push((next, first - 1));
        }
        next = next.max(last + 1);
    }
    if next <= u32::from(char::MAX) {
        others.push((next, u32::from(char::MAX)));
    }
    others
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_ranges_apart_from_each_other() {
        let of = |ranges: &[(char, char)], is_negated| {
            let ranges = ranges.iter().map(|(a, b)| (u32::from(*a), u32::from(*b))).collect();
            Class::of(ranges, is_negated).ranges().collect::<Vec<_>>()
        };
        assert_eq!(of(&[('c', 'f'), ('a', 'a'), ('d', 'e'), ('g', 'g')], false), [['a', 'a'], ['c', 'g']]);
        assert_eq!(of(&[('b', 'y')], true), [['\0', 'a'], ['z', '\u{D7FF}'], ['\u{E000}', char::MAX]]);
        assert_eq!(of(&[('\u{D000}', '\u{E001}')], false), [['\u{D000}', '\u{D7FF}'], ['\u{E000}', '\u{E001}']]);
        assert!(Class::of(vec![(0, u32::from(char::MAX))], true).is_empty());
        assert!(Class::all().intersects(&Class::one('ß')) && !Class::one('a').intersects(&Class::one('b')));
    }
}
