//! Transformer layers (Vaswani et al. 2017, arXiv 1706.03762), and what lies around them: positions, the last norm.

mod attention;
mod config;
mod layer;

pub use config::{Position, QkNorm, RotaryScaling, TransformerConfig};

use crate::{Embedding, Init, Norm, Scope};
use attention::AttentionSegments;
use descant_autograd::{AttentionOperand, Graph, ParameterId, RotaryAngles, Segments, Var};
use descant_tensor::{Result, Tensor};
use layer::Layer;
use std::sync::Arc;

/// A stack of Transformer layers: an encoder, a decoder, or a language model.
#[derive(Clone, Debug)]
pub struct Transformer {
    layers: Vec<Layer>,
    /// After the last layer, where that does not normalise its sum.
    norm: Option<Norm>,
    /// Of the embeddings.
    norm_embedding: Option<Norm>,
    /// `[max_length, width]`.
    position: Option<ParameterId>,
    /// `[buckets, heads]`, for all layers.
    relative: Option<ParameterId>,
    config: TransformerConfig,
    sizes: TransformerSizes,
}

/// What a stack is besides its [`TransformerConfig`].
#[derive(Clone, Copy, Debug)]
pub struct TransformerSizes {
    /// Width of the states between layers.
    pub width: usize,
    /// How many layers.
    pub layers: usize,
    /// The share of values dropped in training, of embeddings and of what each part adds.
    pub dropout: f64,
    /// Whether a token sees only those before it: a decoder.
    pub causal: bool,
    /// Whether it also looks at a source.
    pub source: bool,
}

/// What the layers of one pass share.
#[derive(Debug)]
struct Pass<'t> {
    own: AttentionSegments,
    source: Option<AttentionSegments>,
    angles: Option<Arc<RotaryAngles>>,
    /// Of layers that see a window alone.
    local_angles: Option<Arc<RotaryAngles>>,
    table: Option<Var<'t>>,
}

/// An encoded source in a pass.
#[derive(Clone, Debug)]
pub struct CrossAttentionKv<'t> {
    /// Keys and values for each layer, of [`Transformer::keys_and_values`].
    pub keys_and_values: Vec<AttentionOperand<'t>>,
    /// The rows of each source, one after the other.
    pub segments: Arc<Segments>,
}

impl Transformer {
    /// Fresh weights.
    pub fn new(scope: &mut Scope<'_>, config: &TransformerConfig, sizes: TransformerSizes) -> Self {
        let TransformerSizes { width, layers, .. } = sizes;
        let norm = |scope: &mut Scope<'_>| Norm::new(scope, config.norm, width, config.norm_epsilon);
        let learned = Init::Normal(1.0 / (width.max(1) as f64).sqrt());
        Self {
            layers: (0..layers).map(|l| Layer::new(&mut scope.at(format!("layers.{l}")), config, sizes, l)).collect(),
            norm: config.has_last_norm().then(|| norm(&mut scope.at("norm"))),
            norm_embedding: config.norm_embedding.then(|| norm(&mut scope.at("norm_embedding"))),
            position: (config.position == Position::Learned)
                .then(|| scope.parameter("position.weight", [config.max_length, width], learned)),
            relative: (config.position == Position::Relative).then(|| {
                scope.parameter("relative.weight", [config.relative_buckets, config.heads], Init::Normal(0.1))
            }),
            config: config.clone(),
            sizes,
        }
    }

    /// The most positions there are.
    pub fn max_length(&self) -> Option<usize> {
        self.position.map(|_| self.config.max_length)
    }

    /// Tokens with their positions: `[N, width]`.
    #[track_caller]
    fn embed<'t>(&self, graph: Graph<'t>, embedding: &Embedding, ids: &Arc<[u32]>, positions: &[usize]) -> Var<'t> {
        let width = self.sizes.width;
        let longest = positions.iter().max().map_or(0, |last| last + 1);
        if let Some(most) = self.max_length().filter(|&most| longest > most) {
            let reason = format!(
                "a text of {longest} tokens is longer than the {most} positions of the model \
                 (model.transformer.max_length). Shorten it"
            );
            return graph.fail("positions", reason, &[]);
        }
        let mut x = embedding.forward(graph, ids);
        if self.config.scales_embedding() {
            x = x.scale((width as f64).sqrt());
        }
        if let Some(position) = self.position {
            x = x + graph.parameter(position).gather(&positions.iter().map(|&p| p as u32).collect());
        }
        if self.config.position == Position::Sinusoidal {
            let values = sinusoids(positions, width);
            x = match Tensor::new([positions.len(), width], &values) {
                Ok(waves) => x + graph.constant(&waves),
                Err(error) => graph.fail("positions", error.to_string(), &[x]),
            };
        }
        self.norm_embedding.as_ref().map_or(x, |norm| norm.forward(x)).dropout(self.sizes.dropout)
    }

    fn pass<'t>(
        &self,
        graph: Graph<'t>,
        positions: Vec<usize>,
        own: AttentionSegments,
        source: Option<AttentionSegments>,
    ) -> Pass<'t> {
        let (config, width) = (&self.config, self.sizes.width);
        let of = |frequencies: Vec<f64>| Arc::new(RotaryAngles::new(positions.clone(), &frequencies));
        let angles = (config.position == Position::Rotary).then(|| of(config.frequencies(width)));
        let local_angles = match config.local_rotary_base {
            Some(_) if angles.is_some() => Some(of(config.local_frequencies(width))),
            _ => angles.clone(),
        };
        Pass { own, source, angles, local_angles, table: self.relative.map(|table| graph.parameter(table)) }
    }

    /// Whole sequences, `ids` joined end to end: the last layer's states, `[N, width]`.
    #[track_caller]
    pub fn forward<'t>(
        &self,
        graph: Graph<'t>,
        embedding: &Embedding,
        ids: &Arc<[u32]>,
        segments: &Arc<Segments>,
        memory: Option<&CrossAttentionKv<'t>>,
    ) -> Var<'t> {
        let positions: Vec<usize> = (0..segments.len()).flat_map(|i| 0..segments.rows(i).len()).collect();
        let mut x = self.embed(graph, embedding, ids, &positions);
        let own = AttentionSegments { queries: segments.clone(), memory: segments.clone() };
        let source =
            memory.map(|memory| AttentionSegments { queries: segments.clone(), memory: memory.segments.clone() });
        let pass = self.pass(graph, positions, own, source);
        for (l, layer) in self.layers.iter().enumerate() {
            let source = memory.and_then(|memory| memory.keys_and_values.get(l).copied());
            match layer.forward(x, &pass, source, None) {
                Ok(y) => x = y,
                Err(error) => return graph.fail("transformer", error.to_string(), &[x]),
            }
        }
        self.last(x)
    }

    /// One more token for each row, with the keys and values of those before in `caches`, one for each layer: the last
    /// layer's states, `[rows, width]`. `sources` says whose source a row looks at.
    ///
    /// # Errors
    /// Whatever the pass fails with.
    #[track_caller]
    pub fn step<'t>(
        &self,
        graph: Graph<'t>,
        embedding: &Embedding,
        tokens: &[u32],
        caches: &mut [Tensor],
        memory: Option<&CrossAttentionKv<'t>>,
        sources: &[usize],
    ) -> Result<Var<'t>> {
        let before = caches.first().map_or(0, |cache| cache.shape()[1]);
        let rows = tokens.len();
        let positions = vec![before; rows];
        let mut x = self.embed(graph, embedding, &Arc::from(tokens), &positions);
        let each = Arc::new(Segments::joined(&vec![1; rows]));
        let own =
            AttentionSegments { queries: each.clone(), memory: Arc::new(Segments::joined(&vec![before + 1; rows])) };
        let source = memory.map(|memory| {
            let mut segments = Segments::default();
            sources.iter().for_each(|&i| segments.push(memory.segments.rows(i).iter().copied()));
            AttentionSegments { queries: each, memory: Arc::new(segments) }
        });
        let pass = self.pass(graph, positions, own, source);
        for (l, (layer, cache)) in self.layers.iter().zip(caches).enumerate() {
            let source = memory.and_then(|memory| memory.keys_and_values.get(l).copied());
            x = layer.forward(x, &pass, source, Some(cache))?;
        }
        Ok(self.last(x))
    }

    /// The caches of [`Transformer::step`] before the first token.
    pub fn caches(&self, graph: Graph<'_>, rows: usize) -> Vec<Tensor> {
        let cache = |layer: &Layer| Tensor::zeros(graph.dtype(), [rows, 0, layer.kv_columns()]);
        self.layers.iter().map(cache).collect()
    }

    /// Keys and values of a source, `[Nm, width]`, for each layer.
    #[track_caller]
    pub fn keys_and_values<'t>(&self, source: Var<'t>) -> Vec<AttentionOperand<'t>> {
        let attentions = self.layers.iter().filter_map(Layer::source);
        attentions.map(|attention| AttentionOperand { x: attention.keys_and_values(source), column: 0 }).collect()
    }

    /// The same from what a step keeps of them: all side by side in one matrix.
    pub fn side_by_side<'t>(&self, joined: Var<'t>) -> Vec<AttentionOperand<'t>> {
        let columns = |l: usize| l * self.layers[l].kv_columns();
        (0..self.layers.len()).map(|l| AttentionOperand { x: joined, column: columns(l) }).collect()
    }

    #[track_caller]
    fn last<'t>(&self, x: Var<'t>) -> Var<'t> {
        let x = self.norm.as_ref().map_or(x, |norm| norm.forward(x));
        // Of what writes, not of what reads a source.
        match self.config.scale_output && self.sizes.causal {
            true => x.scale(1.0 / (self.sizes.width as f64).sqrt()),
            false => x,
        }
    }
}

/// The sines and then the cosines of each position, of wavelengths from 2π to 10000 · 2π: `[positions, width]`.
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
