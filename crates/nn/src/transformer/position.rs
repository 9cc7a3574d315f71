use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};

/// Position encoding of a Transformer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Position {
    /// No positions.
    None,
    /// Sinusoidal encodings are added to the embeddings (Vaswani et al. 2017, arXiv 1706.03762), all sine columns first.
    Sinusoidal,
    /// Learned vectors are added to the embeddings.
    Learned,
    /// RoPE: queries and keys are rotated (Su et al. 2021, arXiv 2104.09864).
    Rotary,
    /// ALiBi: attention scores fall linearly with the distance (Press et al. 2022, arXiv 2108.12409).
    Alibi,
    /// A learned number for each head and bucket of distances is added to the scores (Raffel et al. 2020,
    /// arXiv 1910.10683).
    Relative,
}

/// RoPE scaling for contexts longer than in training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RotaryScaling {
    /// Positions are divided by a factor (Chen et al. 2023, arXiv 2306.15595).
    Linear {
        /// The factor.
        factor: f64,
    },
    /// Low frequencies are divided by a factor, high ones stay, as in Llama 3.1.
    Llama3 {
        /// The factor.
        factor: f64,
        /// Wavelengths above `original_length / low` are scaled whole.
        low: f64,
        /// Wavelengths below `original_length / high` stay.
        high: f64,
        /// The length in training.
        original_length: usize,
    },
}

/// RoPE frequencies in radians a position, `head_dim / 2` of them.
pub(super) fn rotary_frequencies(base: f64, head_dim: usize, scaling: Option<RotaryScaling>) -> Vec<f64> {
    let plain = |i: usize| base.powf(-((2 * i) as f64) / head_dim as f64);
    let scaled = |frequency: f64| match scaling {
        None => frequency,
        Some(RotaryScaling::Linear { factor }) => frequency / factor,
        Some(RotaryScaling::Llama3 { factor, low, high, original_length }) => {
            // Periods that fit into the length of training.
            let periods = original_length as f64 * frequency / std::f64::consts::TAU;
            let kept = ((periods - low) / (high - low)).clamp(0.0, 1.0);
            frequency * (kept + (1.0 - kept) / factor)
        }
    };
    (0..head_dim / 2).map(|i| scaled(plain(i))).collect()
}

/// Sinusoidal position encodings, `[positions, width]`: sine columns, then cosine columns, of wavelengths from 2π to 10000 · 2π.
pub fn sinusoids(positions: &[usize], width: usize) -> Vec<f64> {
    let half = width.div_ceil(2);
    let rates: Vec<f64> = (0..half).map(|i| 10_000_f64.powf(-(i as f64) / half as f64)).collect();
    let mut distinct = positions.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    // Each distinct position once.
    let waves = |&position: &usize| {
        let angle = move |rate: &f64| position as f64 * rate;
        rates
            .iter()
            .map(move |rate| angle(rate).sin())
            .chain(rates[..width - half].iter().map(move |rate| angle(rate).cos()))
    };
    let table: Vec<f64> = distinct.iter().flat_map(waves).collect();
    let row = |position: &usize| distinct.partition_point(|other| other < position);
    positions.iter().flat_map(|position| &table[row(position) * width..][..width]).copied().collect()
}

/// Positions of the shortest table.
const SHORTEST: usize = 64;

/// What is computed of each position, from 0 on, for the passes of all threads: up to twice as many positions as the longest text so far
/// has had.
#[derive(Debug)]
pub(super) struct PositionTable<T>(Arc<Mutex<Option<Arc<T>>>>);

impl<T> Clone for PositionTable<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for PositionTable<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> PositionTable<T> {
    /// The table, if it `fits`, or else a new one for `positions` at least.
    pub(super) fn get(&self, positions: usize, fits: impl Fn(&T) -> bool, make: impl FnOnce(usize) -> T) -> Arc<T> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*table {
            Some(table) if fits(table) => table.clone(),
            _ => table.insert(Arc::new(make(positions.next_power_of_two().max(SHORTEST)))).clone(),
        }
    }
}
