use std::collections::BTreeMap;

/// The code points that are no characters.
const SURROGATES: std::ops::RangeInclusive<u32> = 0xD800..=0xDFFF;

/// A part of a rule; its own parts by their numbers.
#[derive(Debug)]
pub(super) enum Node {
    Class(Class),
    /// A rule that is named, by its number.
    Rule(usize),
    Repeat(usize, u32, Option<u32>),
    Sequence(Vec<usize>),
    Choice(Vec<usize>),
}

/// The rules of a grammar.
#[derive(Debug, Default)]
pub(super) struct Rules {
    nodes: Vec<Node>,
    names: Vec<String>,
    numbers: BTreeMap<String, usize>,
    /// Of each rule that is defined. The nodes of a rule follow those of the rule before, its body last.
    bodies: Vec<Option<usize>>,
}

impl Rules {
    pub(super) fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// The number of the rule with this name.
    pub(super) fn number(&mut self, name: &str) -> usize {
        if let Some(&rule) = self.numbers.get(name) {
            return rule;
        }
        self.numbers.insert(name.to_owned(), self.names.len());
        self.names.push(name.to_owned());
        self.bodies.push(None);
        self.names.len() - 1
    }

    /// Defines a rule; whether it is new.
    pub(super) fn define(&mut self, name: &str, body: usize) -> bool {
        let rule = self.number(name);
        self.bodies[rule].replace(body).is_none()
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn node(&self, node: usize) -> &Node {
        &self.nodes[node]
    }

    /// The body of the rule with this name.
    pub(super) fn root(&self, name: &str) -> Option<usize> {
        self.bodies[*self.numbers.get(name)?]
    }

    /// The parts of a node; of a rule that is named, its body.
    pub(super) fn parts(&self, node: usize) -> &[usize] {
        match &self.nodes[node] {
            Node::Class(_) => &[],
            Node::Rule(rule) => self.bodies[*rule].as_slice(),
            Node::Repeat(inner, ..) => std::slice::from_ref(inner),
            Node::Sequence(parts) | Node::Choice(parts) => parts,
        }
    }

    /// The nodes that each node is a part of, as often as it is one.
    pub(super) fn users(&self) -> Vec<Vec<usize>> {
        let mut users = vec![Vec::new(); self.len()];
        for node in 0..self.len() {
            self.parts(node).iter().for_each(|&part| users[part].push(node));
        }
        users
    }

    /// A rule that another one needs and that is not there.
    pub(super) fn missing(&self) -> Option<(&str, &str)> {
        let is_missing = |node: &Node| matches!(node, Node::Rule(rule) if self.bodies[*rule].is_none());
        let at = self.nodes.iter().position(is_missing)?;
        let Node::Rule(missing) = self.nodes[at] else { return None };
        let after = (0..).zip(&self.bodies).filter_map(|(rule, body)| Some((body.filter(|&body| body >= at)?, rule)));
        let (_, rule): (usize, usize) = after.min()?;
        Some((&self.names[rule], &self.names[missing]))
    }

    /// The nodes that come to no rule with recursion, each after its parts: what they match is a regular expression.
    pub(super) fn regular(&self, users: &[Vec<usize>]) -> Vec<usize> {
        let mut left: Vec<usize> = (0..self.len()).map(|node| self.parts(node).len()).collect();
        let mut regular: Vec<usize> = (0..self.len()).filter(|&node| left[node] == 0).collect();
        let mut seen = 0;
        while let Some(&node) = regular.get(seen) {
            seen += 1;
            for &user in &users[node] {
                left[user] -= 1;
                if left[user] == 0 {
                    regular.push(user);
                }
            }
        }
        regular
    }

    /// Whether a node has a text: one that comes to itself again whatever way it goes has none.
    pub(super) fn has_text(&self, node: usize, users: &[Vec<usize>]) -> bool {
        // Of each node, how many of its parts it still waits for.
        let waits = |node: &Node| match node {
            Node::Class(_) | Node::Repeat(_, 0, _) => 0,
            Node::Sequence(parts) => parts.len(),
            Node::Rule(_) | Node::Repeat(..) | Node::Choice(_) => 1,
        };
        let mut waits: Vec<usize> = self.nodes.iter().map(waits).collect();
        let mut known: Vec<usize> = (0..self.len()).filter(|&node| waits[node] == 0).collect();
        let mut seen = 0;
        while let Some(&part) = known.get(seen) {
            seen += 1;
            for &user in &users[part] {
                if waits[user] > 0 {
                    waits[user] -= 1;
                    known.extend((waits[user] == 0).then_some(user));
                }
            }
        }
        waits[node] == 0
    }

    /// How deep nodes stand in each other within a rule, counted from the innermost.
    pub(super) fn heights(&self) -> Vec<usize> {
        let mut heights = Vec::with_capacity(self.len());
        for node in 0..self.len() {
            // Within a rule, parts come before what they are part of.
            let parts = if matches!(self.nodes[node], Node::Rule(_)) { &[] } else { self.parts(node) };
            heights.push(parts.iter().map(|&part| heights[part] + 1).max().unwrap_or(0));
        }
        heights
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
    }
}
