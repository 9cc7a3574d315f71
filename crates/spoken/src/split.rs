//! Which values are for training and which are held out.
//!
//! The split is by value, not by sentence: each canonical value (`4821`, `12.5`, `2026-11-23`, `3:45`, `3/4`) belongs to
//! one part whatever kind of slot it fills, so that a held-out sentence shows the model no number it has trained on.

/// One of the two disjoint parts of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// About 90 % of the values: what the model learns from.
    Train,
    /// About 10 % of the values: what it is examined on.
    HeldOut,
}

impl Part {
    /// The part that a canonical value belongs to.
    ///
    /// The whole numbers 0 to 20, the tens up to 100, the hundredths up to 0.09 and the fraction 1/2 are always in training.
    /// They are the vocabulary from which other readings are composed ("eleven", "eightieth", "百分之百", "seven cents",
    /// "one half"): no model can guess them unseen.
    #[must_use]
    pub fn of(value: &str) -> Self {
        let is_vocabulary = value == "1/2"
            || (value.len() == 4 && value.starts_with("0.0"))
            || matches!(value.parse::<u8>(), Ok(0..=20 | 30 | 40 | 50 | 60 | 70 | 80 | 90 | 100));
        if !is_vocabulary && stable_hash(value).is_multiple_of(10) { Self::HeldOut } else { Self::Train }
    }
}

/// FNV-1a with the finalizer of MurmurHash3, because plain FNV-1a leaves patterns in the low bits of short strings.
fn stable_hash(text: &str) -> u64 {
    let fnv = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mixed = (fnv ^ (fnv >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_values_is_held_out() {
        let held_out = (21..100_021).filter(|n: &u32| Part::of(&n.to_string()) == Part::HeldOut).count();
        assert!((9_500..10_500).contains(&held_out), "{held_out} of 100000");
    }

    #[test]
    fn the_vocabulary_is_in_training() {
        for value in (0..=20).map(|n| n.to_string()).chain(["100".into(), "1/2".into()]) {
            assert_eq!(Part::of(&value), Part::Train, "{value}");
        }
    }

    #[test]
    fn the_hash_never_changes() {
        let bits: String =
            (21..61).map(|n| if Part::of(&n.to_string()) == Part::HeldOut { '1' } else { '0' }).collect();
        assert_eq!(bits, "0000000000000010011000000000001000001000");
    }
}
