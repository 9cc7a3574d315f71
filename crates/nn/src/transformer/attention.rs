use super::{QkNorm, TransformerConfig};
use crate::{Init, Linear, Norm, Scope};
use descant_autograd::{
    Activation, AttentionConfig, AttentionOperand, Graph, ParameterId, RotaryAngles, Segments, Var,
};
use descant_tensor::{Buffer, Result, Tensor};
use std::sync::Arc;

/// Attention of many heads, under the names of PyTorch's `MultiheadAttention`.
#[derive(Clone, Debug)]
pub(super) struct MultiHeadAttention {
    /// `[(H + 2 Hkv) · D, width]`: queries, then keys, then values.
    in_proj_weight: ParameterId,
    in_proj_bias: Option<ParameterId>,
    out_proj: Linear,
    /// Of the queries and of the keys: as wide as a head, or as all of them.
    norms: Option<[Norm; 2]>,
    heads: AttentionConfig,
}

/// Where each query's keys are.
#[derive(Clone, Debug)]
pub(super) struct AttentionSegments {
    pub(super) queries: Arc<Segments>,
    pub(super) memory: Arc<Segments>,
}

impl MultiHeadAttention {
    pub(super) fn new(scope: &mut Scope<'_>, config: &TransformerConfig, width: usize, heads: AttentionConfig) -> Self {
        let (queries, keys) = (heads.heads * heads.head_dim, heads.kv_heads * heads.head_dim);
        let rows = queries + 2 * keys;
        // As PyTorch draws it: Glorot & Bengio 2010, over the three together.
        let init = Init::Uniform((6.0 / (width + rows) as f64).sqrt());
        Self {
            in_proj_weight: scope.parameter("in_proj_weight", [rows, width], init),
            in_proj_bias: config
                .attention_bias
                .unwrap_or(config.bias)
                .then(|| scope.parameter("in_proj_bias", [rows], Init::Zeros)),
            out_proj: Linear::glorot(&mut scope.at("out_proj"), queries, width, config.bias),
            norms: config.qk_norm.map(|kind| {
                [("q_norm", queries), ("k_norm", keys)].map(|(name, all)| {
                    let width = if kind == QkNorm::Head { heads.head_dim } else { all };
                    Norm::new(&mut scope.at(name), config.norm, width, config.norm_epsilon)
                })
            }),
            heads,
        }
    }

    /// Columns of the queries, and of the keys or the values.
    fn columns(&self) -> (usize, usize) {
        (self.heads.heads * self.heads.head_dim, self.heads.kv_heads * self.heads.head_dim)
    }

    /// Columns of keys and values together.
    pub(super) fn kv_columns(&self) -> usize {
        2 * self.columns().1
    }

    /// Rows `start..end` of the three projections, applied to `x`.
    #[track_caller]
    fn project<'t>(&self, x: Var<'t>, start: usize, end: usize) -> Var<'t> {
        let part = |id| x.graph().parameter(id).slice(start, end);
        x.linear(part(self.in_proj_weight), self.in_proj_bias.map(part), Activation::Identity)
    }

    /// Head by head or as a whole, as wide as the norm is.
    #[track_caller]
    fn normalised<'t>(norm: &Norm, x: Var<'t>) -> Var<'t> {
        let (shape, width) = (x.shape(), norm.width().max(1));
        norm.forward(x.reshape([shape.len() / width, width])).reshape(shape)
    }

    /// Queries, keys and values of `x`, side by side; rotated, where there are angles.
    #[track_caller]
    fn projected<'t>(&self, x: Var<'t>, angles: Option<&Arc<RotaryAngles>>) -> Var<'t> {
        let (queries, keys) = self.columns();
        let mut qkv = self.project(x, 0, queries + 2 * keys);
        if let Some([of_queries, of_keys]) = &self.norms {
            let end = queries + keys;
            let q = Self::normalised(of_queries, qkv.slice_last(0, queries));
            let k = Self::normalised(of_keys, qkv.slice_last(queries, end));
            qkv = x.graph().concat_last(&[q, k, qkv.slice_last(end, end + keys)]);
        }
        angles.map_or(qkv, |angles| qkv.rotary(self.heads.heads + self.heads.kv_heads, angles))
    }

    /// Keys and values of a source, side by side.
    #[track_caller]
    pub(super) fn keys_and_values<'t>(&self, source: Var<'t>) -> Var<'t> {
        let (queries, keys) = self.columns();
        let kv = self.project(source, queries, queries + 2 * keys);
        let Some([_, norm]) = &self.norms else { return kv };
        source.graph().concat_last(&[Self::normalised(norm, kv.slice_last(0, keys)), kv.slice_last(keys, 2 * keys)])
    }

    /// Of a sequence to itself: `[N, width]` to the same.
    #[track_caller]
    pub(super) fn own<'t>(
        &self,
        x: Var<'t>,
        segments: &AttentionSegments,
        angles: Option<&Arc<RotaryAngles>>,
        table: Option<Var<'t>>,
    ) -> Var<'t> {
        let (queries, keys) = self.columns();
        let qkv = self.projected(x, angles);
        let parts = [0, queries, queries + keys].map(|column| AttentionOperand { x: qkv, column });
        self.attend(parts, table, segments)
    }

    /// Of one more token of each row to those before it, of which `cache[rows, t, ..]` holds keys and values; they come to
    /// hold this token's too.
    ///
    /// # Errors
    /// Whatever the pass fails with.
    #[track_caller]
    pub(super) fn next<'t>(
        &self,
        x: Var<'t>,
        cache: &mut Tensor,
        segments: &AttentionSegments,
        angles: Option<&Arc<RotaryAngles>>,
        table: Option<Var<'t>>,
    ) -> Result<Var<'t>> {
        let (queries, keys) = self.columns();
        let qkv = self.projected(x, angles);
        *cache = extended(cache, &qkv.slice_last(queries, queries + 2 * keys).value()?)?;
        let shape = cache.shape();
        let memory = x.graph().constant(cache).reshape([shape[0] * shape[1], shape[2]]);
        let parts = [
            AttentionOperand { x: qkv, column: 0 },
            AttentionOperand { x: memory, column: 0 },
            AttentionOperand { x: memory, column: keys },
        ];
        Ok(self.attend(parts, table, segments))
    }

    /// To a source, of which `memory` holds the keys and values.
    #[track_caller]
    pub(super) fn source<'t>(&self, x: Var<'t>, memory: AttentionOperand<'t>, segments: &AttentionSegments) -> Var<'t> {
        let (queries, keys) = self.columns();
        let q = self.project(x, 0, queries);
        let q = AttentionOperand { x: self.norms.as_ref().map_or(q, |[norm, _]| Self::normalised(norm, q)), column: 0 };
        self.attend([q, memory, AttentionOperand { column: memory.column + keys, ..memory }], None, segments)
    }

    #[track_caller]
    fn attend<'t>(
        &self,
        parts: [AttentionOperand<'t>; 3],
        table: Option<Var<'t>>,
        segments: &AttentionSegments,
    ) -> Var<'t> {
        let graph: Graph<'t> = parts[0].x.graph();
        let y = graph.multi_head_attention(self.heads.clone(), parts, table, &segments.queries, &segments.memory);
        self.out_proj.forward(y, Activation::Identity)
    }
}

/// `cache[rows, t, C]` and one more `[rows, C]`, as `[rows, t + 1, C]`.
fn extended(cache: &Tensor, next: &Tensor) -> Result<Tensor> {
    fn join<E: Copy>(cache: &[E], next: &[E], width: usize, rows: usize) -> Vec<E> {
        let old = cache.len() / rows.max(1);
        let mut joined = Vec::with_capacity(cache.len() + rows * width);
        for row in 0..rows {
            joined.extend_from_slice(&cache[row * old..][..old]);
            joined.extend_from_slice(&next[row * width..][..width]);
        }
        joined
    }
    let (rows, t, width) = (cache.shape()[0], cache.shape()[1], cache.shape()[2]);
    let shape = [rows, t + 1, width];
    match (cache.buffer(), next.buffer()) {
        (Buffer::F32(old), Buffer::F32(new)) => Tensor::new(shape, &join(&old[..rows * t * width], new, width, rows)),
        (Buffer::F64(old), Buffer::F64(new)) => Tensor::new(shape, &join(&old[..rows * t * width], new, width, rows)),
        _ => extended(&cache.cast(next.dtype()), next),
    }
}
