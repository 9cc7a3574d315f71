use descant_text::plural;
use std::collections::BTreeMap;

/// How often in a row something was seen, and since when.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Streak {
    since: u64,
    times: u32,
    told: bool,
}

impl Streak {
    /// Counts one more, or begins anew. The step since which it is so, once it was seen so many times in a row.
    pub(super) fn observe(&mut self, step: u64, is_seen: bool, times: u32) -> Option<u64> {
        if !is_seen {
            self.times = 0;
            return None;
        }
        if self.times == 0 {
            self.since = step;
        }
        self.times += 1;
        let first = self.times >= times && !self.told;
        self.told |= first;
        first.then_some(self.since)
    }
}

/// Lines in a row in which a share is too large.
const TIMES: u32 = 3;

/// Shares by name, of which one became too large.
#[derive(Debug, Default)]
pub(super) struct Worst(BTreeMap<String, Streak>);

impl Worst {
    /// Takes the next share of each. The largest of those that have been above `limit` three times in a row, from now on: since when,
    /// whose it is, how large, and in words how many others there are.
    pub(super) fn observe<'a>(
        &mut self,
        step: u64,
        shares: impl Iterator<Item = (&'a String, f32)>,
        limit: f32,
    ) -> Option<(u64, &'a str, f32, String)> {
        let mut found: Vec<(u64, &str, f32)> = Vec::new();
        for (name, share) in shares {
            let since = self.0.entry(name.clone()).or_default().observe(step, share > limit, TIMES);
            found.extend(since.map(|since| (since, name.as_str(), share)));
        }
        let &(since, name, share) = found.iter().max_by(|a, b| a.2.total_cmp(&b.2))?;
        let others = match found.len() - 1 {
            0 => String::new(),
            n => format!(" (and more than {:.0} % in {})", 100.0 * limit, plural(n as u64, "other layer")),
        };
        Some((since, name, share, others))
    }
}
