//! What the parts of a grammar start with, and what may follow them (Aho et al. 2006, section 4.4). Each is the least solution of its equations,
//! found by a work list: a node is gone through again only where one that it depends on has changed, which is at most once for each lead byte.

use super::lead_bytes::LeadBytes;
use super::rules::{Node, Rules};
use std::collections::VecDeque;

/// What each node may start with.
pub(super) struct Starts {
    pub(super) first: Vec<LeadBytes>,
    is_empty: Vec<bool>,
}

impl Starts {
    /// `users` as in [`Rules::users`].
    pub(super) fn new(rules: &Rules, users: &[Vec<usize>]) -> Self {
        let is_empty = may_be_empty(rules, users);
        // A node starts with what these of its parts start with.
        let mut starts: Vec<Vec<usize>> = vec![Vec::new(); rules.len()];
        for node in 0..rules.len() {
            let parts = rules.parts(node);
            let leading = match rules.node(node) {
                Node::Repeat(_, _, Some(0)) => 0,
                Node::Sequence(parts) => parts.iter().take_while(|&&part| is_empty[part]).count() + 1,
                _ => parts.len(),
            };
            parts.iter().take(leading).for_each(|&part| starts[part].push(node));
        }
        let lead = |node: usize| match rules.node(node) {
            Node::Class(class) => LeadBytes::of(class),
            _ => LeadBytes::default(),
        };
        let mut first: Vec<LeadBytes> = (0..rules.len()).map(lead).collect();
        let mut open = Open::new(rules.len());
        (0..rules.len()).filter(|&node| matches!(rules.node(node), Node::Class(_))).for_each(|node| open.push(node));
        while let Some(node) = open.pop() {
            for &user in &starts[node] {
                let more = first[user].or(first[node]);
                if more != first[user] {
                    first[user] = more;
                    open.push(user);
                }
            }
        }
        Self { first, is_empty }
    }

    /// What may follow each of the `terminals` that the root comes to: nothing is looked for within these.
    pub(super) fn after(&self, rules: &Rules, root: usize, terminals: &[bool]) -> Vec<(usize, LeadBytes)> {
        let mut after: Vec<Option<LeadBytes>> = vec![None; rules.len()];
        let mut open = Open::new(rules.len());
        after[root] = Some(LeadBytes::default());
        open.push(root);
        while let Some(node) = open.pop() {
            let own = after[node].unwrap_or_default();
            if terminals[node] {
                continue;
            }
            let mut follow = |part: usize, more: LeadBytes| {
                let all = after[part].map_or(more, |all| all.or(more));
                if after[part] != Some(all) {
                    after[part] = Some(all);
                    open.push(part);
                }
            };
            match rules.node(node) {
                Node::Repeat(_, _, Some(0)) => {}
                Node::Repeat(inner, _, most) => {
                    let again = if *most == Some(1) { LeadBytes::default() } else { self.first[*inner] };
                    follow(*inner, own.or(again));
                }
                Node::Sequence(parts) => {
                    let mut own = own;
                    for &part in parts.iter().rev() {
                        follow(part, own);
                        own = if self.is_empty[part] { own.or(self.first[part]) } else { self.first[part] };
                    }
                }
                Node::Class(_) | Node::Rule(_) | Node::Choice(_) => {
                    rules.parts(node).iter().for_each(|&part| follow(part, own));
                }
            }
        }
        let found = |node: usize| Some((node, after[node].filter(|_| terminals[node])?));
        (0..rules.len()).filter_map(found).collect()
    }
}

/// The nodes that the empty text matches.
fn may_be_empty(rules: &Rules, users: &[Vec<usize>]) -> Vec<bool> {
    let mut is_empty = vec![false; rules.len()];
    // How many parts of a node have to be empty for it to be so.
    let needs = |node: usize| match rules.node(node) {
        Node::Class(_) => usize::MAX,
        Node::Repeat(_, least, most) if *least == 0 || *most == Some(0) => 0,
        Node::Sequence(parts) => parts.len(),
        Node::Rule(_) | Node::Repeat(..) | Node::Choice(_) => 1,
    };
    let mut needs: Vec<usize> = (0..rules.len()).map(needs).collect();
    let mut open: Vec<usize> = (0..rules.len()).filter(|&node| needs[node] == 0).collect();
    while let Some(node) = open.pop() {
        if std::mem::replace(&mut is_empty[node], true) {
            continue;
        }
        for &user in &users[node] {
            needs[user] = needs[user].saturating_sub(1);
            if needs[user] == 0 {
                open.push(user);
            }
        }
    }
    is_empty
}

/// Nodes to go through, each once however often it is asked for meanwhile.
struct Open {
    nodes: VecDeque<usize>,
    is_open: Vec<bool>,
}

impl Open {
    fn new(count: usize) -> Self {
        Self { nodes: VecDeque::new(), is_open: vec![false; count] }
    }

    fn push(&mut self, node: usize) {
        if !std::mem::replace(&mut self.is_open[node], true) {
            self.nodes.push_back(node);
        }
    }

    fn pop(&mut self) -> Option<usize> {
        let node = self.nodes.pop_front()?;
        self.is_open[node] = false;
        Some(node)
    }
}
