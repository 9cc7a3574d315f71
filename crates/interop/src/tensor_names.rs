//! Which tensor of a family is which part of which parameter: one table, read in both directions.

use descant_models::ModelConfig;
use std::ops::Range;

/// A tensor of theirs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TensorName {
    /// Our parameter.
    pub(crate) ours: String,
    /// Its rows, where it is not the whole.
    pub(crate) rows: Option<Range<usize>>,
    /// Their tensor.
    pub(crate) theirs: String,
    /// Whether theirs is `[in, out]`.
    pub(crate) transposed: bool,
    /// How many rows theirs has before ours, which nothing reads.
    pub(crate) skipped: usize,
    /// What ours are larger by.
    pub(crate) offset: f32,
}

/// The table under construction: a prefix on either side.
#[derive(Default)]
pub(crate) struct TensorTable {
    pub(crate) all: Vec<TensorName>,
    ours: String,
    theirs: String,
}

/// Rows of the queries, and of the keys or the values.
pub(crate) fn heads(config: &ModelConfig) -> (usize, usize) {
    let transformer = config.transformer();
    let head = transformer.head_dim(config.hidden);
    (transformer.heads * head, transformer.kv_heads() * head)
}

impl TensorTable {
    pub(crate) fn under(&mut self, ours: impl Into<String>, theirs: impl Into<String>) -> &mut Self {
        (self.ours, self.theirs) = (ours.into(), theirs.into());
        self
    }

    pub(crate) fn add(&mut self, ours: &str, theirs: &str) -> &mut TensorName {
        let (ours, theirs) = (format!("{}{ours}", self.ours), format!("{}{theirs}", self.theirs));
        let place = self.all.len();
        self.all.push(TensorName { ours, rows: None, theirs, transposed: false, skipped: 0, offset: 0.0 });
        &mut self.all[place]
    }

    pub(crate) fn weight(&mut self, ours: &str, theirs: &str) -> &mut TensorName {
        self.add(&format!("{ours}.weight"), &format!("{theirs}.weight"))
    }

    /// A layer with a bias.
    pub(crate) fn biased(&mut self, ours: &str, theirs: &str) {
        self.weight(ours, theirs);
        self.add(&format!("{ours}.bias"), &format!("{theirs}.bias"));
    }

    /// Gate and value, which are one parameter here, of a feed-forward layer of this width.
    pub(crate) fn gated(&mut self, ours: &str, [gate, value]: [&str; 2], between: usize) {
        self.weight(ours, gate).rows = Some(0..between);
        self.weight(ours, value).rows = Some(between..2 * between);
    }

    /// Queries, keys and values, which are one parameter here.
    pub(crate) fn attention(&mut self, ours: &str, theirs: [&str; 3], (queries, keys): (usize, usize), bias: bool) {
        let bounds = [0, queries, queries + keys, queries + 2 * keys];
        for (i, name) in theirs.into_iter().enumerate() {
            let rows = Some(bounds[i]..bounds[i + 1]);
            self.add(&format!("{ours}.in_proj_weight"), &format!("{name}.weight")).rows = rows.clone();
            if bias {
                self.add(&format!("{ours}.in_proj_bias"), &format!("{name}.bias")).rows = rows;
            }
        }
    }
}
