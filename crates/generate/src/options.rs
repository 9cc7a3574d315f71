use descant_kernels::Parallelism;

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Strategy {
    /// The likeliest token; of a continuous output, the nearest.
    Greedy,
    /// The `width` likeliest beginnings at once. A hypothesis `y` is scored `log p(y) / lp(y)`, with
    /// `lp(y) = ((5 + |y|) / 6)^length_penalty` (Wu et al. 2016, arXiv 1609.08144), where `|y|` counts the end too.
    Beam {
        /// How many beginnings are kept for each source. With 1, and no length penalty, this is greedy.
        width: usize,
        /// From 0, for the likeliest sequence, to about 1; more favours longer ones.
        length_penalty: f64,
        /// How many hypotheses are handed back, at most `width`.
        n_best: usize,
    },
    /// A token drawn by its probability: the temperature first, then `top_k`, then `top_p` of what that leaves.
    Sample {
        /// What logits are divided by: below 1 for safer text, above 1 for bolder.
        temperature: f64,
        /// Only from this many likeliest tokens.
        top_k: Option<usize>,
        /// Only from the fewest likeliest tokens that together have this probability (Holtzman et al. 2020, arXiv
        /// 1904.09751).
        top_p: Option<f64>,
        /// Each row draws from a stream of its own, given by this and the row's number.
        seed: u64,
    },
}

impl Strategy {
    /// That every number is in its range.
    ///
    /// # Errors
    /// The name, its value, and what it may be.
    pub fn validate(&self) -> Result<(), String> {
        let number = |name: &str, value: f64, allowed: bool, range: &str| match allowed && value.is_finite() {
            true => Ok(()),
            false => Err(format!("{name} = {value}: expected {range}")),
        };
        let count = |name: &str, value: usize, most: usize| match (1..=most).contains(&value) {
            true => Ok(()),
            false => Err(format!("{name} = {value}: expected a whole number from 1 to {most}")),
        };
        match *self {
            Self::Greedy => Ok(()),
            Self::Beam { width, length_penalty, n_best } => {
                count("width", width, 1 << 16)?;
                count("n_best", n_best, width)?;
                number("length_penalty", length_penalty, length_penalty >= 0.0, "a number from 0")
            }
            Self::Sample { temperature, top_k, top_p, .. } => {
                number("temperature", temperature, temperature > 0.0, "a number above 0 (for 0, take greedy)")?;
                top_k.map_or(Ok(()), |k| count("top_k", k, u32::MAX as usize))?;
                top_p.map_or(Ok(()), |p| number("top_p", p, p > 0.0 && p <= 1.0, "a number above 0, at most 1"))
            }
        }
    }
}

/// What [`generate()`](crate::generate()) is to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// How the next token is chosen.
    pub strategy: Strategy,
    /// Tokens written in a row at most, the end among them, from 1.
    pub max_length: usize,
    /// For each source also at most this times its length, plus ten.
    pub max_length_ratio: Option<f64>,
    /// The token before the first one.
    pub bos: u32,
    /// The token after the last one.
    pub eos: u32,
    /// Tokens that are never written, such as `<unk>` and `<s>`. With `eos` among them, rows are written to the full
    /// length.
    pub forbidden: Vec<u32>,
    /// Threads for the products of a step.
    pub parallelism: Parallelism,
}

impl Options {
    /// That every number is in its range.
    ///
    /// # Errors
    /// The name, its value, and what it may be.
    pub fn validate(&self) -> Result<(), String> {
        self.strategy.validate()?;
        if self.max_length == 0 {
            return Err("max_length = 0: expected a whole number from 1".to_owned());
        }
        match self.max_length_ratio {
            Some(ratio) if !(ratio.is_finite() && ratio >= 0.0) => {
                Err(format!("max_length_ratio = {ratio}: expected a number from 0"))
            }
            _ => Ok(()),
        }
    }

    /// The tokens that may be written for a source of this length, or for none.
    pub(crate) fn limit(&self, source: Option<usize>) -> usize {
        match (self.max_length_ratio, source) {
            (Some(ratio), Some(length)) => self.max_length.min((ratio * length as f64).ceil() as usize + 10),
            _ => self.max_length,
        }
    }

    /// How many hypotheses go on, how many are handed back, and the length penalty.
    pub(crate) fn beam(&self) -> (usize, usize, f64) {
        match self.strategy {
            Strategy::Beam { width, length_penalty, n_best } => (width, n_best, length_penalty),
            Strategy::Greedy | Strategy::Sample { .. } => (1, 1, 0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_out_of_range_is_named_with_its_range() {
        let sample = |temperature, top_k, top_p| Strategy::Sample { temperature, top_k, top_p, seed: 0 };
        let beam = |width, length_penalty, n_best| Strategy::Beam { width, length_penalty, n_best };
        for good in [Strategy::Greedy, beam(4, 0.0, 4), sample(0.1, Some(1), Some(1.0))] {
            assert_eq!(good.validate(), Ok(()));
        }
        for (bad, name) in [
            (beam(0, 0.0, 1), "width = 0"),
            (beam(2, 0.0, 3), "n_best = 3"),
            (beam(2, 0.0, 0), "n_best = 0"),
            (beam(2, -0.5, 1), "length_penalty = -0.5"),
            (beam(2, f64::NAN, 1), "length_penalty = NaN"),
            (sample(0.0, None, None), "temperature = 0"),
            (sample(f64::INFINITY, None, None), "temperature = inf"),
            (sample(1.0, Some(0), None), "top_k = 0"),
            (sample(1.0, None, Some(0.0)), "top_p = 0"),
            (sample(1.0, None, Some(1.5)), "top_p = 1.5"),
        ] {
            let error = bad.validate().unwrap_err();
            assert!(error.starts_with(&format!("{name}: expected")), "{error}");
        }
    }

    #[test]
    fn the_length_follows_the_source_up_to_the_maximum() {
        let (strategy, parallelism) = (Strategy::Greedy, Parallelism::Serial);
        let max_length_ratio = Some(1.5);
        let options =
            Options { strategy, max_length: 20, max_length_ratio, bos: 0, eos: 1, forbidden: vec![], parallelism };
        assert_eq!([Some(0), Some(3), Some(100), None].map(|length| options.limit(length)), [10, 15, 20, 20]);
        let error = Options { max_length_ratio: Some(f64::NAN), ..options.clone() }.validate().unwrap_err();
        assert!(error.starts_with("max_length_ratio = NaN: expected"), "{error}");
        let error = Options { max_length: 0, ..options }.validate().unwrap_err();
        assert!(error.starts_with("max_length = 0: expected"), "{error}");
    }
}
