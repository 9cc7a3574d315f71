use super::rules::Class;

/// Bytes with which characters start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct LeadBytes([u64; 4]);

impl LeadBytes {
    pub(super) fn of(class: &Class) -> Self {
        let mut all = Self::default();
        for [first, last] in class.ranges() {
            let lead = |character: char| character.encode_utf8(&mut [0; 4]).as_bytes()[0];
            (lead(first)..=lead(last)).for_each(|byte| all.0[usize::from(byte / 64)] |= 1 << (byte % 64));
        }
        all
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] | other.0[i]))
    }

    pub(super) fn intersects(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).any(|(a, b)| a & b != 0)
    }
}
