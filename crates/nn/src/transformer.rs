//! Transformer stacks (Vaswani et al. 2017, arXiv 1706.03762): embedding with positions, layers, final norm.

mod config;
mod layer;
mod multi_head_attention;
mod position;

pub use config::{QkNorm, TransformerConfig};
pub use position::{Position, RotaryScaling, sinusoids};

use crate::{Embedding, Init, Norm, Scope};
use config::AttentionKind;
use descant_autograd::{AttentionOperand, Graph, KvCache, ParameterId, RotaryAngles, RotaryTable, Segments, Var};
use descant_tensor::Tensor;
use layer::{LayerInputs, TransformerLayer};
use multi_head_attention::AttentionSegments;
use position::PositionTable;
use std::sync::Arc;

/// A stack of Transformer layers: an encoder, a decoder, or a language model.
#[derive(Clone, Debug)]
pub struct Transformer {
    layers: Vec<TransformerLayer>,
    /// The final norm of a pre-norm stack.
    norm: Option<Norm>,
    /// Of the embeddings.
    norm_embedding: Option<Norm>,
    /// Learned positions, `[max_length, d_model]`.
    position: Option<ParameterId>,
    /// Relative position biases, `[buckets, heads]`, shared by all layers.
    relative: Option<ParameterId>,
    /// Sinusoidal positions, `[positions, d_model]`.
    waves: PositionTable<Tensor>,
    /// RoPE angles, and those of layers with a sliding window.
    angles: PositionTable<RotaryTable>,
    local_angles: PositionTable<RotaryTable>,
    config: TransformerConfig,
    sizes: TransformerSizes,
}

/// What a stack is besides its [`TransformerConfig`].
#[derive(Clone, Copy, Debug)]
pub struct TransformerSizes {
    /// Width of the residual stream.
    pub d_model: usize,
    /// How many layers.
    pub layers: usize,
    /// Dropout of the embeddings and of each sublayer's output.
    pub dropout: f64,
    /// Whether self-attention is causal: a decoder's.
    pub causal: bool,
    /// Whether the layers have cross-attention to an encoded source.
    pub cross_attention: bool,
}

/// Projected keys and values of an encoded source, for cross-attention in one pass.
#[derive(Clone, Debug)]
pub struct CrossAttentionKv<'t> {
    /// For each layer, from [`Transformer::project_source`].
    pub layers: Vec<AttentionOperand<'t>>,
    /// The rows of each source.
    pub segments: Arc<Segments>,
    /// The decoder's rows that attend to each source.
    pub queries: Arc<Segments>,
}

impl Transformer {
    /// Draws fresh weights.
    pub fn new(scope: &mut Scope<'_>, config: &TransformerConfig, sizes: TransformerSizes) -> Self {
        let TransformerSizes { d_model, layers, dropout, causal, cross_attention } = sizes;
        let norm = |scope: &mut Scope<'_>| Norm::new(scope, config.norm, d_model, config.norm_epsilon);
        let learned = Init::Normal(1.0 / (d_model.max(1) as f64).sqrt());
        let layer = |l| {
            let self_attention = match causal {
                true => AttentionKind::Causal { local: config.is_local(l) },
                false => AttentionKind::Bidirectional,
            };
            let mut scope = scope.at(format!("layers.{l}"));
            TransformerLayer::new(&mut scope, config, (d_model, dropout), self_attention, cross_attention)
        };
        Self {
            layers: (0..layers).map(layer).collect(),
            norm: config.has_last_norm().then(|| norm(&mut scope.at("norm"))),
            norm_embedding: config.norm_embedding.then(|| norm(&mut scope.at("norm_embedding"))),
            position: (config.position == Position::Learned)
                .then(|| scope.parameter("position.weight", [config.max_length, d_model], learned)),
            relative: (config.position == Position::Relative).then(|| {
                scope.parameter("relative.weight", [config.relative_buckets, config.heads], Init::Normal(0.1))
            }),
            waves: PositionTable::default(),
            angles: PositionTable::default(),
            local_angles: PositionTable::default(),
            config: config.clone(),
            sizes,
        }
    }

    /// The number of learned positions, where positions are learned.
    pub fn max_length(&self) -> Option<usize> {
        self.position.map(|_| self.config.max_length)
    }

    /// Token embeddings with their positions: `[N, d_model]`.
    #[track_caller]
    fn embed<'t>(&self, graph: Graph<'t>, embedding: &Embedding, ids: &Arc<[u32]>, positions: &[usize]) -> Var<'t> {
        let d_model = self.sizes.d_model;
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
            x = x.scale((d_model as f64).sqrt());
        }
        let rows = || positions.iter().map(|&position| position as u32).collect();
        if let Some(position) = self.position {
            x = x + graph.parameter(position).gather(&rows());
        }
        if self.config.position == Position::Sinusoidal {
            let fits = |waves: &Tensor| waves.shape()[0] >= longest && waves.dtype() == graph.dtype();
            let make = |positions: usize| {
                let (shape, all) = ([positions, d_model], (0..positions).collect::<Vec<_>>());
                let waves = Tensor::new(shape, &sinusoids(&all, d_model));
                waves.map_or_else(|_| Tensor::zeros(graph.dtype(), shape), |waves| waves.cast(graph.dtype()))
            };
            x = x + graph.shared(&self.waves.get(longest, fits, make)).gather(&rows());
        }
        self.norm_embedding.as_ref().map_or(x, |norm| norm.forward(x)).dropout(self.sizes.dropout)
    }

    /// The last layer's hidden states, `[N, d_model]`, of tokens `ids` whose rows `segments` assigns to sequences, one
    /// after the other. Without a cache these are whole sequences. With one, `ids` are more tokens of each row: they attend to
    /// the cached tokens too, and are cached.
    #[track_caller]
    pub fn forward<'t>(
        &self,
        graph: Graph<'t>,
        embedding: &Embedding,
        ids: &Arc<[u32]>,
        segments: &Arc<Segments>,
        source: Option<&CrossAttentionKv<'t>>,
        mut cache: Option<&mut KvCache>,
    ) -> Var<'t> {
        let lengths: Vec<usize> = (0..segments.len()).map(|i| segments.rows(i).len()).collect();
        if let Some(cache) = &mut cache {
            if cache.rows() != lengths.len() {
                let reason = format!("{} sequences for a KV cache of {} rows", lengths.len(), cache.rows());
                return graph.fail("transformer", reason, &[]);
            }
            cache.reserve(&lengths);
        }
        let past = |row| cache.as_ref().map_or(0, |cache| cache.lengths(row).0);
        let positions: Vec<usize> =
            lengths.iter().enumerate().flat_map(|(row, length)| past(row)..past(row) + length).collect();
        let mut x = self.embed(graph, embedding, ids, &positions);
        let inputs = self.layer_inputs(graph, positions, segments, source);
        for (l, layer) in self.layers.iter().enumerate() {
            let source = source.and_then(|source| source.layers.get(l).copied());
            x = layer.forward(x, &inputs, source, cache.as_deref_mut().map(|cache| (cache, l)));
        }
        if let Some(cache) = cache {
            cache.advance();
        }
        self.final_norm(x)
    }

    fn layer_inputs<'t>(
        &self,
        graph: Graph<'t>,
        positions: Vec<usize>,
        segments: &Arc<Segments>,
        source: Option<&CrossAttentionKv<'t>>,
    ) -> LayerInputs<'t> {
        let (config, d_model) = (&self.config, self.sizes.d_model);
        let longest = positions.iter().max().map_or(0, |last| last + 1);
        let of = |table: &PositionTable<RotaryTable>, frequencies: &dyn Fn() -> Vec<f64>| {
            let fits = |table: &RotaryTable| table.positions() >= longest;
            let table = table.get(longest, fits, |positions| RotaryTable::new(positions, &frequencies()));
            Arc::new(RotaryAngles::new(positions.clone(), table))
        };
        let is_rotary = config.position == Position::Rotary;
        let angles = is_rotary.then(|| of(&self.angles, &|| config.frequencies(d_model)));
        let local_angles = match config.local_rotary_base {
            Some(_) if is_rotary => Some(of(&self.local_angles, &|| config.local_frequencies(d_model))),
            _ => angles.clone(),
        };
        let self_attention = AttentionSegments { queries: segments.clone(), keys: segments.clone() };
        let cross_attention =
            source.map(|source| AttentionSegments { queries: source.queries.clone(), keys: source.segments.clone() });
        let position_bias = self.relative.map(|table| graph.parameter(table));
        LayerInputs { self_attention, cross_attention, angles, local_angles, position_bias }
    }

    /// An empty KV cache for [`Transformer::forward`].
    pub fn kv_cache(&self, graph: Graph<'_>, rows: usize) -> KvCache {
        let columns = self.layers.first().map_or(0, TransformerLayer::kv_columns);
        KvCache::new(graph.dtype(), rows, self.layers.len(), columns)
    }

    /// The keys and values of an encoded source, `[n_source, d_model]`, for the cross-attention of each layer.
    #[track_caller]
    pub fn project_source<'t>(&self, source: Var<'t>) -> Vec<AttentionOperand<'t>> {
        let attentions = self.layers.iter().filter_map(TransformerLayer::cross_attention);
        attentions.map(|attention| AttentionOperand { x: attention.project_kv(source), column: 0 }).collect()
    }

    #[track_caller]
    fn final_norm<'t>(&self, x: Var<'t>) -> Var<'t> {
        let x = self.norm.as_ref().map_or(x, |norm| norm.forward(x));
        // Only of a decoder, as in T5.
        match self.config.scale_output && self.sizes.causal {
            true => x.scale(1.0 / (self.sizes.d_model as f64).sqrt()),
            false => x,
        }
    }
}
