use super::lead_bytes::LeadBytes;
use super::rules::{Node, Rules};
use std::collections::{BTreeSet, HashSet};

/// The most copies of what is repeated; more are taken for any number.
const MOST_COPIES: u32 = 16;
/// States that are gone through in all; and more for each state of a large automaton.
const MOST_WORK: usize = 1_000_000;
const MOST_WORK_OF_EACH: usize = 16;

/// How often the automaton has a repeated part.
pub(super) fn copies(least: u32, most: Option<u32>) -> u32 {
    match most {
        Some(0) => 0,
        most => most.unwrap_or(least).clamp(1, MOST_COPIES),
    }
}

/// The automaton of all terminals (Thompson 1968). It may accept more than they do, not less.
pub(super) struct Automaton<'a> {
    rules: &'a Rules,
    states: Vec<State>,
    /// The terminal of each state.
    owners: Vec<u32>,
    /// The first state of each terminal.
    starts: Vec<u32>,
}

enum State {
    /// After a character of this node's class, the next state.
    Character(usize, u32),
    Either(u32, u32),
    End,
}

impl<'a> Automaton<'a> {
    /// That of these nodes, which must be regular.
    pub(super) fn new(rules: &'a Rules, terminals: &[usize]) -> Self {
        let mut all = Self { rules, states: Vec::new(), owners: Vec::new(), starts: Vec::new() };
        for (owner, &terminal) in (0..).zip(terminals) {
            let end = all.push(State::End);
            let start = all.add(terminal, end);
            all.starts.push(start);
            all.owners.resize(all.states.len(), owner);
        }
        all
    }

    fn push(&mut self, state: State) -> u32 {
        self.states.push(state);
        (self.states.len() - 1) as u32
    }

    /// Adds a node before a state, and returns where it starts.
    fn add(&mut self, node: usize, next: u32) -> u32 {
        let rules = self.rules;
        match rules.node(node) {
            Node::Class(_) => self.push(State::Character(node, next)),
            Node::Repeat(inner, least, most) => {
                let copies = copies(*least, *most);
                let is_endless = copies > 0 && most.is_none_or(|most| most > copies);
                let mut start = next;
                for copy in (0..copies).rev() {
                    let again = (is_endless && copy + 1 == copies).then(|| self.push(State::Either(next, next)));
                    let inside = self.add(*inner, again.unwrap_or(start));
                    if let Some(again) = again {
                        self.states[again as usize] = State::Either(inside, next);
                    }
                    start = if copy >= *least { self.push(State::Either(inside, start)) } else { inside };
                }
                start
            }
            Node::Choice(parts) => {
                let mut starts = parts.iter().rev().map(|&part| self.add(part, next)).collect::<Vec<_>>().into_iter();
                let last = starts.next().unwrap_or(next);
                starts.fold(last, |others, start| self.push(State::Either(start, others)))
            }
            Node::Rule(_) | Node::Sequence(_) => {
                rules.parts(node).iter().rev().fold(next, |next, &part| self.add(part, next))
            }
        }
    }

    /// The terminals that can go on, after what one of them can be as a whole, with a byte that may come next there: of each terminal,
    /// `after` has these bytes. Where to find out would take too long, those among the rest that take longest are returned too.
    /// `first` has what each node of the grammar may start with.
    ///
    /// These are the states of a deterministic automaton, each a set: what is in one set is what the same text leads to.
    pub(super) fn cut(&self, after: &[LeadBytes], first: &[LeadBytes]) -> BTreeSet<usize> {
        let mut cut = BTreeSet::new();
        let mut walk = Walk { seen: vec![0; self.states.len()], round: 0, work: vec![0; self.starts.len()], total: 0 };
        let most = MOST_WORK + MOST_WORK_OF_EACH * self.states.len();
        let mut known: HashSet<Vec<u32>> = HashSet::new();
        let mut open = vec![self.closure(&self.starts, &mut walk)];
        let mut is_after_text = false;
        while let Some(set) = open.pop() {
            if std::mem::replace(&mut is_after_text, true) {
                let ends = set.iter().filter(|&&state| matches!(self.states[state as usize], State::End));
                let next =
                    ends.fold(LeadBytes::default(), |all, &end| all.or(after[self.owners[end as usize] as usize]));
                for &state in &set {
                    if let State::Character(node, _) = self.states[state as usize]
                        && first[node].intersects(&next)
                    {
                        cut.insert(self.owners[state as usize] as usize);
                    }
                }
            }
            self.by_character(&set, |nexts| {
                if walk.total <= most {
                    let next = self.closure(nexts, &mut walk);
                    if known.insert(next.clone()) {
                        open.push(next);
                    }
                }
            });
            if walk.total > most {
                cut.extend(self.longest(&walk));
                return cut;
            }
        }
        cut
    }

    /// The states that read a character or end, which some states come to without one, in order.
    fn closure(&self, from: &[u32], walk: &mut Walk) -> Vec<u32> {
        walk.round += 1;
        let (mut open, mut found) = (from.to_vec(), Vec::new());
        while let Some(state) = open.pop() {
            if std::mem::replace(&mut walk.seen[state as usize], walk.round) == walk.round {
                continue;
            }
            walk.work[self.owners[state as usize] as usize] += 1;
            walk.total += 1;
            match self.states[state as usize] {
                State::Either(a, b) => open.extend([a, b]),
                State::Character(..) | State::End => found.push(state),
            }
        }
        found.sort_unstable();
        found
    }

    /// Calls `f` with the states that follow a set, for characters that lead to different ones.
    fn by_character(&self, set: &[u32], mut f: impl FnMut(&[u32])) {
        let mut borders = Vec::new();
        for &state in set {
            if let State::Character(node, next) = self.states[state as usize]
                && let Node::Class(class) = self.rules.node(node)
            {
                for [first, last] in class.ranges() {
                    borders.push((u32::from(first), (state, next), true));
                    borders.push((u32::from(last) + 1, (state, next), false));
                }
            }
        }
        borders.sort_unstable();
        let mut reading = BTreeSet::new();
        for at in borders.chunk_by(|a, b| a.0 == b.0) {
            for (_, state, begins) in at {
                match begins {
                    true => reading.insert(*state),
                    false => reading.remove(state),
                };
            }
            if !reading.is_empty() {
                f(&reading.iter().map(|(_, next)| *next).collect::<Vec<_>>());
            }
        }
    }

    /// The terminals of more than one character whose states are gone through more often than those of the mean.
    fn longest(&self, walk: &Walk) -> Vec<usize> {
        let mut sizes = vec![0_usize; self.starts.len()];
        self.owners.iter().for_each(|&owner| sizes[owner as usize] += 1);
        // That of one character ends after it, and has nothing to be taken apart.
        let can_go_on = |owner: &usize| sizes[*owner] > 2;
        let all: usize = sizes.iter().sum();
        let is_long = |owner: &usize| walk.work[*owner] as f64 * all as f64 >= walk.total as f64 * sizes[*owner] as f64;
        let long: Vec<usize> = (0..sizes.len()).filter(can_go_on).filter(is_long).collect();
        if long.is_empty() { (0..sizes.len()).filter(can_go_on).collect() } else { long }
    }
}

/// What a walk through the automaton has done.
struct Walk {
    /// The last closure that came to each state.
    seen: Vec<usize>,
    round: usize,
    /// How often states were gone through, of each terminal and in all.
    work: Vec<usize>,
    total: usize,
}
