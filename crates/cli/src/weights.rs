//! The precision of the weights that a command loads.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use descant_inference::Trained;
use descant_kernels::WeightType;
use std::path::Path;

/// Reads the name of a type.
pub(crate) fn weight_type() -> impl TypedValueParser<Value = WeightType> {
    PossibleValuesParser::new(["bf16", "int8", "q4"])
        .try_map(|name| WeightType::named(&name).ok_or("expected bf16, int8 or q4"))
}

#[derive(Args)]
pub(crate) struct Weights {
    /// Round the weights while loading, to bf16, int8 or q4, as descant quantize does once and for all [default: as they are stored]
    #[arg(long, value_name = "TYPE", value_parser = weight_type())]
    weights: Option<WeightType>,
}

impl Weights {
    /// Loads a run.
    pub(crate) fn load(&self, run: &Path) -> Result<Trained, descant_inference::Error> {
        match self.weights {
            Some(weights) => Trained::load_with_weights(run, weights),
            None => Trained::load(run),
        }
    }
}
