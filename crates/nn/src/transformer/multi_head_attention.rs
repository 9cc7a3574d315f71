use super::config::{QkNorm, TransformerConfig};
use crate::{Init, Linear, Norm, Scope};
use descant_autograd::{
    Activation, AttentionConfig, AttentionOperand, Graph, KvCache, ParameterId, RotaryAngles, Segments, Var,
};
use std::sync::Arc;

/// Multi-head attention, under the names of PyTorch's `MultiheadAttention`.
#[derive(Clone, Debug)]
pub(super) struct MultiHeadAttention {
    /// `[(heads + 2 · kv_heads) · head_dim, d_model]`: queries, then keys, then values.
    in_proj_weight: ParameterId,
    in_proj_bias: Option<ParameterId>,
    out_proj: Linear,
    /// QK norm, of the queries and of the keys: over each head, or over all of them.
    norms: Option<[Norm; 2]>,
    config: AttentionConfig,
}

/// Which rows of the queries, and which of the keys and values, belong to each sequence.
#[derive(Clone, Debug)]
pub(super) struct AttentionSegments {
    pub(super) queries: Arc<Segments>,
    pub(super) keys: Arc<Segments>,
}

impl MultiHeadAttention {
    pub(super) fn new(
        scope: &mut Scope<'_>,
        transformer: &TransformerConfig,
        d_model: usize,
        config: AttentionConfig,
    ) -> Self {
        let (queries, keys) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
        let rows = queries + 2 * keys;
        // As PyTorch draws it: Glorot & Bengio 2010, over all three together.
        let init = Init::Uniform((6.0 / (d_model + rows) as f64).sqrt());
        Self {
            in_proj_weight: scope.parameter("in_proj_weight", [rows, d_model], init),
            in_proj_bias: transformer
                .attention_bias
                .unwrap_or(transformer.bias)
                .then(|| scope.parameter("in_proj_bias", [rows], Init::Zeros)),
            out_proj: Linear::glorot(&mut scope.at("out_proj"), queries, d_model, transformer.bias),
            norms: transformer.qk_norm.map(|kind| {
                [("q_norm", queries), ("k_norm", keys)].map(|(name, all)| {
                    let width = if kind == QkNorm::Head { config.head_dim } else { all };
                    Norm::new(&mut scope.at(name), transformer.norm, width, transformer.norm_epsilon)
                })
            }),
            config,
        }
    }

    /// Columns of the queries, and of the keys or the values.
    fn columns(&self) -> (usize, usize) {
        (self.config.heads * self.config.head_dim, self.config.kv_heads * self.config.head_dim)
    }

    /// Columns of keys and values together.
    pub(super) fn kv_columns(&self) -> usize {
        2 * self.columns().1
    }

    /// Rows `start..end` of the three projections, applied to `x`.
    #[track_caller]
    fn project<'t>(&self, x: Var<'t>, start: usize, end: usize) -> Var<'t> {
        let rows = |id| x.graph().parameter(id).slice(start, end);
        x.linear(rows(self.in_proj_weight), self.in_proj_bias.map(rows), Activation::Identity)
    }

    /// QK norm over each head or over all of them, as wide as the norm is.
    #[track_caller]
    fn normalised<'t>(norm: &Norm, x: Var<'t>) -> Var<'t> {
        let (shape, width) = (x.shape(), norm.width().max(1));
        norm.forward(x.reshape([shape.len() / width, width])).reshape(shape)
    }

    /// Queries, keys and values of `x` in one matrix; queries and keys rotated, where there are angles (RoPE).
    #[track_caller]
    fn project_qkv<'t>(&self, x: Var<'t>, angles: Option<&Arc<RotaryAngles>>) -> Var<'t> {
        let (queries, keys) = self.columns();
        let mut qkv = self.project(x, 0, queries + 2 * keys);
        if let Some([of_queries, of_keys]) = &self.norms {
            let end = queries + keys;
            let q = Self::normalised(of_queries, qkv.slice_last(0, queries));
            let k = Self::normalised(of_keys, qkv.slice_last(queries, end));
            qkv = x.graph().concat_last(&[q, k, qkv.slice_last(end, end + keys)]);
        }
        angles.map_or(qkv, |angles| qkv.rotary(self.config.heads + self.config.kv_heads, angles))
    }

    /// Keys and values of a source in one matrix.
    #[track_caller]
    pub(super) fn project_kv<'t>(&self, source: Var<'t>) -> Var<'t> {
        let (queries, keys) = self.columns();
        let kv = self.project(source, queries, queries + 2 * keys);
        let Some([_, norm]) = &self.norms else { return kv };
        source.graph().concat_last(&[Self::normalised(norm, kv.slice_last(0, keys)), kv.slice_last(keys, 2 * keys)])
    }

    /// Self-attention, `[N, d_model]` to the same. With a cache and the number of the layer in it, `x` are more tokens of each
    /// row, which attend to the cached ones too.
    #[track_caller]
    pub(super) fn self_attention<'t>(
        &self,
        x: Var<'t>,
        segments: &AttentionSegments,
        angles: Option<&Arc<RotaryAngles>>,
        position_bias: Option<Var<'t>>,
        cache: Option<(&mut KvCache, usize)>,
    ) -> Var<'t> {
        let (queries, keys) = self.columns();
        let qkv = self.project_qkv(x, angles);
        match cache {
            None => self.attend(
                [0, queries, queries + keys].map(|column| AttentionOperand { x: qkv, column }),
                position_bias,
                segments,
            ),
            Some((cache, layer)) => {
                let y = x.graph().cached_attention(&self.config, qkv, position_bias, cache, layer);
                self.out_proj.forward(y, Activation::Identity)
            }
        }
    }

    /// Cross-attention to an encoded source, whose keys and values [`Self::project_kv`] made.
    #[track_caller]
    pub(super) fn cross_attention<'t>(
        &self,
        x: Var<'t>,
        kv: AttentionOperand<'t>,
        segments: &AttentionSegments,
    ) -> Var<'t> {
        let (queries, keys) = self.columns();
        let q = self.project(x, 0, queries);
        let q = self.norms.as_ref().map_or(q, |[norm, _]| Self::normalised(norm, q));
        let q = AttentionOperand { x: q, column: 0 };
        self.attend([q, kv, AttentionOperand { column: kv.column + keys, ..kv }], None, segments)
    }

    #[track_caller]
    fn attend<'t>(
        &self,
        qkv: [AttentionOperand<'t>; 3],
        position_bias: Option<Var<'t>>,
        segments: &AttentionSegments,
    ) -> Var<'t> {
        let graph: Graph<'t> = qkv[0].x.graph();
        let y = graph.multi_head_attention(self.config.clone(), qkv, position_bias, &segments.queries, &segments.keys);
        self.out_proj.forward(y, Activation::Identity)
    }
}
