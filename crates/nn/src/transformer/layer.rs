use super::config::{AttentionKind, TransformerConfig};
use super::multi_head_attention::{AttentionSegments, MultiHeadAttention};
use crate::{Linear, Norm, Scope};
use descant_autograd::{Activation, AttentionOperand, KvCache, ParameterId, RotaryAngles, Var};
use std::sync::Arc;

/// One layer, under the names of PyTorch's `TransformerEncoderLayer` and `TransformerDecoderLayer`.
#[derive(Clone, Debug)]
pub(super) struct TransformerLayer {
    self_attn: MultiHeadAttention,
    multihead_attn: Option<MultiHeadAttention>,
    linear1: Linear,
    linear2: Linear,
    /// One for each sublayer: of its input (pre-norm) or of the residual sum (post-norm).
    norms: Vec<Norm>,
    /// One for each sublayer: of its output, before the residual sum.
    output_norms: Vec<Norm>,
    /// Whether self-attention is limited to the sliding window.
    local: bool,
    /// All of the above.
    parameters: Vec<ParameterId>,
    config: TransformerConfig,
    dropout: f64,
}

/// What the layers of one pass share.
#[derive(Debug)]
pub(super) struct LayerInputs<'t> {
    pub(super) self_attention: AttentionSegments,
    pub(super) cross_attention: Option<AttentionSegments>,
    pub(super) angles: Option<Arc<RotaryAngles>>,
    /// Of layers with a sliding window.
    pub(super) local_angles: Option<Arc<RotaryAngles>>,
    /// The table of relative position biases.
    pub(super) position_bias: Option<Var<'t>>,
}

impl TransformerLayer {
    pub(super) fn new(
        scope: &mut Scope<'_>,
        config: &TransformerConfig,
        (d_model, dropout): (usize, f64),
        self_attention: AttentionKind,
        cross_attention: bool,
    ) -> Self {
        let before = scope.count();
        let d_ff = config.d_ff(d_model);
        let local = self_attention == AttentionKind::Causal { local: true };
        let attention = config.attention(d_model, self_attention);
        let self_attn = MultiHeadAttention::new(&mut scope.at("self_attn"), config, d_model, attention);
        let multihead_attn = cross_attention.then(|| {
            let attention = config.attention(d_model, AttentionKind::Cross);
            MultiHeadAttention::new(&mut scope.at("multihead_attn"), config, d_model, attention)
        });
        // The columns of the gate and of the value.
        let first = if config.gated { 2 * d_ff } else { d_ff };
        let linear1 = Linear::glorot(&mut scope.at("linear1"), d_model, first, config.bias);
        let linear2 = Linear::glorot(&mut scope.at("linear2"), d_ff, d_model, config.bias);
        let sublayers = if cross_attention { 3 } else { 2 };
        let mut norms = |name: &str, wanted: bool| {
            let norm = |i| Norm::new(&mut scope.at(format!("{name}{i}")), config.norm, d_model, config.norm_epsilon);
            (1..=sublayers).filter(|_| wanted).map(norm).collect()
        };
        let output_norms = norms("output_norm", config.norm_output);
        let norms = norms("norm", config.norm_first || !config.norm_output);
        let (parameters, config) = (scope.since(before), config.clone());
        Self { self_attn, multihead_attn, linear1, linear2, norms, output_norms, local, parameters, config, dropout }
    }

    /// Its cross-attention, where it has one.
    pub(super) fn cross_attention(&self) -> Option<&MultiHeadAttention> {
        self.multihead_attn.as_ref()
    }

    /// Columns of a token's keys and values.
    pub(super) fn kv_columns(&self) -> usize {
        self.self_attn.kv_columns()
    }

    /// `[N, d_model]` to the same: whole sequences, or with a cache more tokens of each row. `source` holds the keys and
    /// values of the encoded source.
    #[track_caller]
    pub(super) fn forward<'t>(
        &self,
        x: Var<'t>,
        inputs: &LayerInputs<'t>,
        source: Option<AttentionOperand<'t>>,
        cache: Option<(&mut KvCache, usize)>,
    ) -> Var<'t> {
        let graph = x.graph();
        if graph.bernoulli(self.config.layer_drop) {
            let own = self.parameters.iter().map(|&id| graph.parameter(id));
            let shared = inputs.position_bias.into_iter().chain(source.map(|source| source.x));
            return x.skip_layer(&own.chain(shared).collect::<Vec<_>>());
        }
        match self.config.recompute || !graph.has_gradients() {
            true => graph.rematerialize(|| self.sublayers(x, inputs, source, cache)),
            false => self.sublayers(x, inputs, source, cache),
        }
    }

    #[track_caller]
    fn sublayers<'t>(
        &self,
        x: Var<'t>,
        inputs: &LayerInputs<'t>,
        source: Option<AttentionOperand<'t>>,
        cache: Option<(&mut KvCache, usize)>,
    ) -> Var<'t> {
        let angles = if self.local { inputs.local_angles.as_ref() } else { inputs.angles.as_ref() };
        let mut index = 0..;
        let mut x = self.sublayer(x, index.next(), |x| {
            self.self_attn.self_attention(x, &inputs.self_attention, angles, inputs.position_bias, cache)
        });
        if let (Some(attention), Some(kv), Some(segments)) = (&self.multihead_attn, source, &inputs.cross_attention) {
            x = self.sublayer(x, index.next(), |x| attention.cross_attention(x, kv, segments));
        }
        self.sublayer(x, index.next(), |x| self.feed_forward(x))
    }

    /// Residual sublayer, pre- or post-norm (Xiong et al. 2020, arXiv 2002.04745), or with its output normalised.
    #[track_caller]
    fn sublayer<'t>(&self, x: Var<'t>, index: Option<usize>, f: impl FnOnce(Var<'t>) -> Var<'t>) -> Var<'t> {
        let norm = |norms: &[Norm], x: Var<'t>| match index.and_then(|index| norms.get(index)) {
            Some(norm) => norm.forward(x),
            None => x,
        };
        let TransformerConfig { norm_first, norm_output, .. } = self.config;
        let input = if norm_first { norm(&self.norms, x) } else { x };
        let output = norm(&self.output_norms, f(input)).dropout(self.dropout);
        if norm_first || norm_output { x + output } else { norm(&self.norms, x + output) }
    }

    #[track_caller]
    fn feed_forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        let TransformerConfig { activation, gated, activation_dropout, .. } = self.config;
        let inner = match gated {
            true => self.linear1.forward(x, Activation::Identity).glu(activation),
            false => self.linear1.forward(x, activation),
        };
        self.linear2.forward(inner.dropout(activation_dropout), Activation::Identity)
    }
}
