//! Direct preference optimization (DPO; Rafailov et al. 2023, arXiv 2305.18290): of two answers to a prompt, the chosen one is to become
//! likelier than the rejected one, measured from a reference model, which is the one that training starts from:
//!
//! ```text
//! r(y) = β (log p(y) - log p_ref(y))     m = r(chosen) - r(rejected)     L = -(1 - ε) log σ(m) - ε log σ(-m) - λ log p(chosen) / |chosen|
//! ```
//!
//! ε is the share of the preferences that are the wrong way round (conservative DPO), λ the weight of the chosen answer's own likelihood
//! (Pang et al. 2024, arXiv 2404.19733).

use crate::objective_loss::{Measures, ObjectiveLoss, named};
use descant_autograd::{Graph, Tape, Var};
use descant_batch::Batch;
use descant_inference::{Error, Tokenizers, Trained};
use descant_kernels::MatmulPrecision;
use descant_models::{DpoConfig, Generator, OutputLayer};
use descant_tensor::Tensor;
use std::panic::Location;
use std::path::Path;

/// The model that preferences are measured from.
#[derive(Debug)]
pub struct Reference {
    trained: Trained,
    config: DpoConfig,
}

/// What the reference holds of a batch.
pub struct ReferenceOutput<'a> {
    config: &'a DpoConfig,
    /// The chosen answers, and then the rejected ones, as one batch.
    compared: Batch,
    /// The log-likelihood of each.
    log_likelihoods: Tensor,
}

impl Reference {
    /// Loads that of a recipe which begins with the run `init`.
    ///
    /// # Errors
    /// Where it cannot be loaded, or has other weights than at the start.
    pub(crate) fn load(config: &DpoConfig, init: &Path) -> Result<Self, Error> {
        let trained = Trained::load_row_major(init)?;
        let wrong = |reason: &str| Err(Error::Run { path: init.to_owned(), reason: reason.to_owned() });
        if config.checksum.is_some() && config.checksum != trained.checksum {
            return wrong(
                "as what preferences are measured from it would have to have the weights that it had when the training started. \
                 Bring those back, or start another run with --run",
            );
        }
        if !matches!(trained.model.output(), OutputLayer::Softmax { .. }) {
            return wrong("its continuous outputs do not say how likely an answer is, which loss.kind = \"dpo\" needs");
        }
        Ok(Self { trained, config: config.clone() })
    }

    /// The checksum of its weights.
    pub(crate) fn checksum(&self) -> Option<u32> {
        self.trained.checksum
    }

    /// Checks that the model has the reference's tokens.
    ///
    /// # Errors
    /// Where it has others.
    pub(crate) fn check(&self, tokenizers: &Tokenizers, run: &Path) -> Result<(), Error> {
        if self.trained.tokenizers.is_same(tokenizers)? {
            return Ok(());
        }
        let reason = format!(
            "with loss.kind = \"dpo\" its tokens would have to be those of init, {}: leave out tokenizer.add and [control]",
            self.trained.run().display()
        );
        Err(Error::Run { path: run.to_owned(), reason })
    }

    /// Its forward pass over a batch, in the precision of the model that it is compared with.
    ///
    /// # Errors
    /// Whatever the pass fails with; a batch without preferences.
    pub(crate) fn forward(
        &self,
        tape: &mut Tape,
        batch: &Batch,
        precision: MatmulPrecision,
    ) -> descant_tensor::Result<ReferenceOutput<'_>> {
        let Some(compared) = batch.compared() else {
            let reason = "there is nothing rejected in the batch".to_owned();
            let location = Location::caller();
            return Err(descant_tensor::Error::Shapes { op: "dpo", reason, inputs: Vec::new(), location });
        };
        let Trained { model, parameters, .. } = &self.trained;
        let hidden = model.hidden(tape.infer_in(parameters, precision), &compared);
        let log_likelihoods = model.output().log_likelihoods(&hidden, &compared.target).value()?;
        Ok(ReferenceOutput::new(&self.config, compared, log_likelihoods))
    }
}

impl<'a> ReferenceOutput<'a> {
    /// Of [`Batch::compared`] answers, with the reference's log-likelihood of each.
    pub fn new(config: &'a DpoConfig, compared: Batch, log_likelihoods: Tensor) -> Self {
        Self { config, compared, log_likelihoods }
    }

    /// The summed loss of the preferences.
    pub fn loss<'t>(&self, graph: Graph<'t>, model: &dyn Generator) -> ObjectiveLoss<'t> {
        let Self { config: DpoConfig { beta, smoothing, likelihood, .. }, compared, log_likelihoods } = self;
        let pairs = compared.target.len() / 2;
        let found = model.output().log_likelihoods(&model.hidden(graph, compared), &compared.target);
        let rewards = (found - graph.constant(log_likelihoods)).scale(*beta);
        let (chosen, rejected) = (rewards.slice(0, pairs), rewards.slice(pairs, 2 * pairs));
        let margin = chosen - rejected;
        // -log σ(m) = softplus(-m), and log σ(-m) = log σ(m) - m.
        let mut loss = margin.scale(-1.0).softplus().sum();
        if *smoothing > 0.0 {
            loss = loss + margin.sum().scale(*smoothing);
        }
        if *likelihood > 0.0 {
            let counted =
                |i: usize| compared.target.get(i).iter().filter(|&&id| model.output().counts(id)).count().max(1);
            let each: Vec<f64> = (0..pairs).map(|i| -likelihood / counted(i) as f64).collect();
            loss = match Tensor::new([pairs], &each) {
                Ok(each) => loss + (found.slice(0, pairs) * graph.constant(&each)).sum(),
                Err(error) => graph.fail("dpo", error.to_string(), &[found]),
            };
        }
        ObjectiveLoss { loss, measures: measures(chosen, rejected) }
    }
}

/// The sums of what [`DpoConfig::MEASURES`] names, of the rewards of both answers of each preference.
fn measures(chosen: Var<'_>, rejected: Var<'_>) -> descant_tensor::Result<Measures> {
    let (chosen, rejected) = (chosen.value()?.to_f64(), rejected.value()?.to_f64());
    let pairs = || chosen.iter().zip(&rejected);
    let right = pairs().filter(|(chosen, rejected)| chosen > rejected).count() as f64;
    let margin = pairs().map(|(chosen, rejected)| chosen - rejected).sum();
    Ok(named(DpoConfig::MEASURES, [right, margin, chosen.iter().sum()]))
}
