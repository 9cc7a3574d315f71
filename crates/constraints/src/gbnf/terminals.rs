use super::automaton::{Automaton, copies};
use super::follow::Starts;
use super::rules::{Node, Rules};

/// States of the automaton of all terminals: where there are more, the largest terminals are taken apart.
const MOST_STATES: usize = 1_000_000;
/// How deep the nodes of a terminal may stand in each other, rules that are named among them.
const DEEPEST: usize = 1000;
/// Levels of regular parts that are taken apart one after the other.
const MOST_ROUNDS: usize = 16;

/// The largest nodes that can be terminals of a greedy lexer and keep the grammar's meaning.
///
/// Such a lexer goes on with a terminal as long as one of those that it may be in can go on. So none may go on after what another one, or
/// it itself, can be as a whole, with a byte that may come next there: such a terminal is taken apart. In the end it is single
/// characters, after which nothing goes on.
pub(super) fn terminals(rules: &Rules, root: usize) -> Vec<bool> {
    let users = rules.users();
    let starts = Starts::new(rules, &users);
    let sizes = sizes(rules, &rules.regular(&users));
    let mut allowed: Vec<bool> = sizes.iter().map(Option::is_some).collect();
    let is_class = |node: usize| matches!(rules.node(node), Node::Class(_));
    let mut rounds = 0;
    loop {
        let (terminals, bytes): (Vec<usize>, Vec<_>) = starts.after(rules, root, &allowed).into_iter().unzip();
        let mut split: Vec<usize> = larger_than_all(&terminals, &sizes);
        if split.is_empty() && !terminals.iter().all(|&terminal| is_class(terminal)) {
            let cut = Automaton::new(rules, &terminals).cut(&bytes, &starts.first);
            split.extend(cut.into_iter().map(|terminal| terminals[terminal]));
        }
        if split.is_empty() {
            let mut found = vec![false; rules.len()];
            terminals.into_iter().for_each(|terminal| found[terminal] = true);
            return found;
        }
        split.into_iter().for_each(|node| allowed[node] = false);
        // Each round takes apart one level. Where there are too many, what is left are characters.
        rounds += 1;
        if rounds > MOST_ROUNDS {
            (0..rules.len()).for_each(|node| allowed[node] &= is_class(node));
        }
    }
}

/// The states that an automaton has of each node; none of what is no terminal: what is not regular, has no character or is too deep.
fn sizes(rules: &Rules, regular: &[usize]) -> Vec<Option<usize>> {
    let (mut depths, mut states, mut characters) = (vec![0; rules.len()], vec![0; rules.len()], vec![0; rules.len()]);
    let mut sizes = vec![None; rules.len()];
    for &node in regular {
        let parts = rules.parts(node);
        depths[node] = parts.iter().map(|&part| depths[part] + 1).max().unwrap_or(0);
        let count = match rules.node(node) {
            Node::Repeat(_, least, most) => copies(*least, *most) as usize,
            _ => 1,
        };
        let sum = |of: &[usize]| parts.iter().fold(0_usize, |sum, &part| sum.saturating_add(of[part]));
        let own = usize::from(matches!(rules.node(node), Node::Class(_)));
        characters[node] = sum(&characters).saturating_mul(count).saturating_add(own);
        states[node] = sum(&states).saturating_add(parts.len() + 1).saturating_mul(count.max(1));
        // A rule that is named is no terminal beside its body.
        let may_be = characters[node] > 0 && depths[node] <= DEEPEST && !matches!(rules.node(node), Node::Rule(_));
        sizes[node] = Some(states[node]).filter(|_| may_be);
    }
    sizes
}

/// The largest terminals, where all together would be too large.
fn larger_than_all(terminals: &[usize], sizes: &[Option<usize>]) -> Vec<usize> {
    let size = |terminal: &usize| sizes[*terminal].unwrap_or(0);
    let mut by_size = terminals.to_vec();
    by_size.sort_by_key(size);
    let mut sum = 0_usize;
    by_size.retain(|terminal| {
        sum = sum.saturating_add(size(terminal));
        sum > MOST_STATES && size(terminal) > 1
    });
    by_size
}
