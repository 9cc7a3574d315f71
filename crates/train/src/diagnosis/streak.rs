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
