//! The gradient check of the attention.

use super::bias::{PositionBias, alibi_slopes};
use super::config::{AttentionConfig, AttentionOperand, MultiHeadAttention, TILE};
use crate::{Case, GradCheck, Graph, Segments, Var};
use descant_tensor::Tensor;
use std::ops::Range;
use std::sync::Arc;

/// In primitives, sequence by sequence and head by head.
fn reference<'t>(
    graph: Graph<'t>,
    heads: &AttentionConfig,
    [q, k, v]: [AttentionOperand<'t>; 3],
    table: Option<Var<'t>>,
    queries: &Segments,
    memory: &Segments,
) -> Var<'t> {
    let part = |c: AttentionOperand<'t>, rows: Range<usize>, head: usize| {
        let start = c.column + head * heads.head_dim;
        c.x.slice(rows.start, rows.end).slice_last(start, start + heads.head_dim)
    };
    let mut outputs = Vec::new();
    for i in 0..queries.len() {
        let (Some(q_rows), Some(m_rows)) = (queries.span(i), memory.span(i)) else { continue };
        let (n, m) = (q_rows.len(), m_rows.len());
        if m == 0 {
            outputs.push(graph.constant(&Tensor::zeros(graph.dtype(), [n, heads.heads * heads.head_dim])));
            continue;
        }
        let each: Vec<Var<'t>> = (0..heads.heads)
            .map(|head| {
                let key = head / (heads.heads / heads.kv_heads);
                let (q, k, v) =
                    (part(q, q_rows.clone(), head), part(k, m_rows.clone(), key), part(v, m_rows.clone(), key));
                let mut scores = q.matmul_t(k) * heads.scale;
                if let Some(cap) = heads.soft_cap {
                    scores = scores.scale(1.0 / cap).tanh().scale(cap);
                }
                let distance = |i: usize| (i / m + m - n) as isize;
                let add: Vec<f64> = (0..n * m)
                    .map(|i| {
                        let (place, key) = (distance(i), (i % m) as isize);
                        let hidden =
                            heads.causal && (key > place || heads.window.is_some_and(|w| key + (w as isize) <= place));
                        let alibi = match &heads.bias {
                            PositionBias::Alibi(slopes) => -slopes[head] * (place - key).abs() as f64,
                            _ => 0.0,
                        };
                        if hidden { -1e30 } else { alibi }
                    })
                    .collect();
                if let Ok(add) = Tensor::new([n, m], &add) {
                    scores = scores + graph.constant(&add);
                }
                if let (Some(table), &PositionBias::Buckets { buckets, max_distance, bidirectional }) =
                    (table, &heads.bias)
                {
                    let bucket = |i: usize| {
                        PositionBias::bucket(buckets, max_distance, bidirectional, (i % m) as isize - distance(i))
                    };
                    let ids: Arc<[u32]> = (0..n * m).map(|i| bucket(i) as u32).collect();
                    scores = scores + table.slice_last(head, head + 1).gather(&ids).reshape([n, m]);
                }
                scores.softmax().matmul(v)
            })
            .collect();
        outputs.push(graph.concat_last(&each));
    }
    graph.concat(&outputs)
}

/// With tiles of two queries by three keys, so that every loop runs several times.
impl GradCheck for MultiHeadAttention {
    fn cases() -> Vec<Case> {
        let plain = AttentionConfig {
            heads: 2,
            kv_heads: 2,
            head_dim: 2,
            scale: 0.7,
            causal: false,
            window: None,
            bias: PositionBias::None,
            soft_cap: None,
            dropout: 0.0,
        };
        let causal = AttentionConfig { causal: true, ..plain.clone() };
        let buckets = |bidirectional| PositionBias::Buckets { buckets: 8, max_distance: 12, bidirectional };
        let kinds = [
            ("full", plain.clone(), TILE),
            ("full, in tiles", plain.clone(), (2, 3)),
            ("causal", causal.clone(), TILE),
            ("causal, in tiles", causal.clone(), (2, 3)),
            ("window", AttentionConfig { window: Some(2), ..causal.clone() }, (2, 3)),
            ("shared keys", AttentionConfig { heads: 4, ..causal.clone() }, (2, 3)),
            ("soft cap", AttentionConfig { soft_cap: Some(0.5), window: Some(2), ..causal.clone() }, (2, 3)),
            (
                "soft cap and buckets",
                AttentionConfig { soft_cap: Some(0.5), bias: buckets(true), ..plain.clone() },
                (2, 3),
            ),
            ("alibi", AttentionConfig { bias: PositionBias::Alibi(alibi_slopes(2)), ..causal.clone() }, (2, 3)),
            ("buckets", AttentionConfig { bias: buckets(true), ..plain.clone() }, (2, 3)),
            ("causal buckets", AttentionConfig { bias: buckets(false), ..causal.clone() }, (2, 3)),
            ("dropout", AttentionConfig { dropout: 0.3, ..causal }, (2, 3)),
        ];
        let mut cases = Vec::new();
        for (name, heads, tile) in kinds {
            // A fused projection of queries, keys and values, with an unused column before them.
            let (q, kv) = (heads.heads * heads.head_dim, heads.kv_heads * heads.head_dim);
            let columns = [1, 1 + q, 1 + q + kv];
            let (queries, memory) = match heads.causal {
                true => (Segments::joined(&[4, 1, 3]), Segments::joined(&[4, 1, 3])),
                false => (Segments::joined(&[4, 2, 2]), Segments::joined(&[3, 0, 5])),
            };
            let (queries, memory) = (Arc::new(queries), Arc::new(memory));
            let table = matches!(heads.bias, PositionBias::Buckets { .. });
            let all = [8, 1 + q + 2 * kv];
            let shapes: &[&[usize]] = if table { &[&all, &[8, 2]] } else { &[&all] };
            let dropout = heads.dropout > 0.0;
            let of = (heads.clone(), queries.clone(), memory.clone());
            let case = Case::new(name, shapes, move |graph, x| {
                let op = MultiHeadAttention {
                    heads: heads.clone(),
                    columns,
                    queries: queries.clone(),
                    memory: memory.clone(),
                    tile,
                };
                let mut inputs = vec![x[0]; 3];
                inputs.extend(x.get(1));
                graph.apply(op, &inputs)
            });
            cases.push(match dropout {
                true => case,
                false => case.reference(move |graph, x| {
                    let parts = columns.map(|column| AttentionOperand { x: x[0], column });
                    reference(graph, &of.0, parts, x.get(1).copied(), &of.1, &of.2)
                }),
            });
        }
        cases
    }
}
