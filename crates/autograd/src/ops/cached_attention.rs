//! Self-attention of a decoder in inference: the tokens of a pass attend to those in a KV cache and to each other, and are cached.

use super::multi_head_attention::attend::{Heads, Kv, attend};
use crate::inference_op::InferenceOp;
use crate::{AttentionConfig, Forward, Graph, KvCache, PositionBias, Var};
use descant_kernels::{Mat, Real};
use descant_tensor::{DType, Shape};

/// Inputs `qkv[N, (heads + 2 kv_heads) · head_dim]`, the new tokens of each row one after the other, and perhaps a table of biases;
/// output `[N, heads · head_dim]`.
struct CachedAttention<'a> {
    config: &'a AttentionConfig,
    cache: &'a mut KvCache,
    layer: usize,
    dtype: DType,
}

impl InferenceOp for CachedAttention<'_> {
    fn name(&self) -> &'static str {
        "cached_attention"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let AttentionConfig { heads, kv_heads, head_dim, .. } = *self.config;
        if kv_heads == 0 || !heads.is_multiple_of(kv_heads) || !self.config.causal || self.config.window == Some(0) {
            return Err(format!(
                "expected causal attention of {heads} heads over a divisor of them, with a window of 1 or more"
            ));
        }
        let (rows, columns) = (self.cache.reserved(), (heads + 2 * kv_heads) * head_dim);
        if inputs[0].dims() != [rows, columns] {
            return Err(format!("expected the tokens that the KV cache has room for, [{rows}, {columns}]"));
        }
        if !self.cache.has_layer(self.layer, 2 * kv_heads * head_dim, self.dtype) {
            return Err(format!("the KV cache has no layer {} of this width and type", self.layer));
        }
        self.config.bias.check(heads, inputs.get(1).copied())?;
        Ok(Shape::from([rows, heads * head_dim]))
    }

    fn forward<E: Real>(&mut self, ctx: &mut Forward<'_, E>) {
        let AttentionConfig { heads, kv_heads, head_dim, .. } = *self.config;
        let (qkv, columns) = (ctx.input(0), ctx.shape(0)[1]);
        let table = (ctx.inputs() > 1).then(|| ctx.input(1));
        self.cache.write(self.layer, qkv, columns);
        let (cache, layer, config) = (&*self.cache, self.layer, self.config);
        let rows = (0..cache.rows()).scan(0, |end, row| {
            let (past, new) = cache.lengths(row);
            *end += new;
            Some((row, past, *end - new..*end))
        });
        let (kv_start, kv_columns) = (heads * head_dim, kv_heads * head_dim);
        let sequences = rows.filter(|(_, _, rows)| !rows.is_empty()).map(|(row, past, rows)| {
            let part =
                |start: usize, width| Mat::strided(&qkv[rows.start * columns + start..], rows.len(), width, columns);
            // A prompt is read where it lies.
            let kv = match past {
                0 => Kv::Rows { k: part(kv_start, kv_columns), v: part(kv_start + kv_columns, kv_columns) },
                _ => Kv::Cached { cache, row, layer },
            };
            let (q, keys) = (part(0, heads * head_dim), past + rows.len());
            Heads { config, heads: 0..heads, q, kv, keys, rows, table }
        });
        attend(ctx, sequences, heads * head_dim);
    }
}

impl<'t> Graph<'t> {
    /// Causal self-attention of new tokens to those in `cache` and to each other, which appends them: `qkv` holds the new tokens of
    /// each row, one row after the other, for which [`KvCache::reserve`] made room. In inference alone.
    #[track_caller]
    pub fn cached_attention(
        self,
        config: &AttentionConfig,
        qkv: Var<'t>,
        table: Option<Var<'t>>,
        cache: &mut KvCache,
        layer: usize,
    ) -> Var<'t> {
        let mut op = CachedAttention { config, cache, layer, dtype: self.dtype() };
        match (&config.bias, table) {
            (PositionBias::Buckets { .. }, Some(table)) => self.infer(&mut op, &[qkv, table]),
            _ => self.infer(&mut op, &[qkv]),
        }
    }
}
