use super::attention::MultiHeadAttention;
use super::{Pass, TransformerConfig, TransformerSizes};
use crate::{Linear, Norm, Scope};
use descant_autograd::{Activation, AttentionOperand, ParameterId, Var};
use descant_tensor::{Result, Tensor};

/// One layer, under the names of PyTorch's `TransformerEncoderLayer` and `TransformerDecoderLayer`.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    self_attn: MultiHeadAttention,
    multihead_attn: Option<MultiHeadAttention>,
    linear1: Linear,
    linear2: Linear,
    /// One for each of the parts, of what it reads or of its sum with that.
    norms: Vec<Norm>,
    /// One for each of the parts, of what it adds.
    output_norms: Vec<Norm>,
    /// Whether it sees a window alone.
    local: bool,
    /// All of the above.
    parameters: Vec<ParameterId>,
    config: TransformerConfig,
    dropout: f64,
}

impl Layer {
    pub(super) fn new(
        scope: &mut Scope<'_>,
        config: &TransformerConfig,
        TransformerSizes { width, dropout, causal, source, .. }: TransformerSizes,
        place: usize,
    ) -> Self {
        let before = scope.count();
        let between = config.d_ff(width);
        let local = causal && config.is_local(place);
        let heads = config.attention(width, true, causal, local);
        let self_attn = MultiHeadAttention::new(&mut scope.at("self_attn"), config, width, heads);
        let multihead_attn = source.then(|| {
            let heads = config.attention(width, false, false, false);
            MultiHeadAttention::new(&mut scope.at("multihead_attn"), config, width, heads)
        });
        // Gate and value side by side.
        let first = if config.gated { 2 * between } else { between };
        let linear1 = Linear::glorot(&mut scope.at("linear1"), width, first, config.bias);
        let linear2 = Linear::glorot(&mut scope.at("linear2"), between, width, config.bias);
        let parts = if source { 3 } else { 2 };
        let mut norms = |name: &str, wanted: bool| {
            let norm = |i| Norm::new(&mut scope.at(format!("{name}{i}")), config.norm, width, config.norm_epsilon);
            (1..=parts).filter(|_| wanted).map(norm).collect()
        };
        let output_norms = norms("output_norm", config.norm_output);
        let norms = norms("norm", config.norm_first || !config.norm_output);
        let (parameters, config) = (scope.since(before), config.clone());
        Self { self_attn, multihead_attn, linear1, linear2, norms, output_norms, local, parameters, config, dropout }
    }

    /// The attention to a source.
    pub(super) fn source(&self) -> Option<&MultiHeadAttention> {
        self.multihead_attn.as_ref()
    }

    /// Columns of a token's keys and values.
    pub(super) fn kv_columns(&self) -> usize {
        self.self_attn.kv_columns()
    }

    /// `[N, width]` to the same. With a cache, of one more token for each row.
    ///
    /// # Errors
    /// Whatever reading the pass for the cache fails with.
    #[track_caller]
    pub(super) fn forward<'t>(
        &self,
        x: Var<'t>,
        pass: &Pass<'t>,
        memory: Option<AttentionOperand<'t>>,
        cache: Option<&mut Tensor>,
    ) -> Result<Var<'t>> {
        let graph = x.graph();
        if graph.bernoulli(self.config.layer_drop) {
            let own = self.parameters.iter().map(|&id| graph.parameter(id));
            let shared = pass.table.into_iter().chain(memory.map(|memory| memory.x));
            return Ok(x.skip_layer(&own.chain(shared).collect::<Vec<_>>()));
        }
        match self.config.recompute {
            true => graph.rematerialize(|| self.parts(x, pass, memory, cache)),
            false => self.parts(x, pass, memory, cache),
        }
    }

    #[track_caller]
    fn parts<'t>(
        &self,
        x: Var<'t>,
        pass: &Pass<'t>,
        memory: Option<AttentionOperand<'t>>,
        cache: Option<&mut Tensor>,
    ) -> Result<Var<'t>> {
        let angles = if self.local { pass.local_angles.as_ref() } else { pass.angles.as_ref() };
        let table = pass.table;
        let mut place = 0..;
        let mut x = self.part(x, place.next(), |x| match cache {
            Some(cache) => self.self_attn.next(x, cache, &pass.own, angles, table),
            None => Ok(self.self_attn.own(x, &pass.own, angles, table)),
        })?;
        if let (Some(attention), Some(memory), Some(segments)) = (&self.multihead_attn, memory, &pass.source) {
            x = self.part(x, place.next(), |x| Ok(attention.source(x, memory, segments)))?;
        }
        self.part(x, place.next(), |x| Ok(self.feed_forward(x)))
    }

    /// A part and the way around it, normalised before or after (Xiong et al. 2020, arXiv 2002.04745), or where it joins.
    #[track_caller]
    fn part<'t>(
        &self,
        x: Var<'t>,
        place: Option<usize>,
        f: impl FnOnce(Var<'t>) -> Result<Var<'t>>,
    ) -> Result<Var<'t>> {
        let norm = |norms: &[Norm], x: Var<'t>| match place.and_then(|place| norms.get(place)) {
            Some(norm) => norm.forward(x),
            None => x,
        };
        let TransformerConfig { norm_first, norm_output, .. } = self.config;
        let read = if norm_first { norm(&self.norms, x) } else { x };
        let written = norm(&self.output_norms, f(read)?).dropout(self.dropout);
        Ok(if norm_first || norm_output { x + written } else { norm(&self.norms, x + written) })
    }

    #[track_caller]
    fn feed_forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        let TransformerConfig { activation, gated, activation_dropout, .. } = self.config;
        let between = match gated {
            true => self.linear1.forward(x, Activation::Identity).glu(activation),
            false => self.linear1.forward(x, activation),
        };
        self.linear2.forward(between.dropout(activation_dropout), Activation::Identity)
    }
}
