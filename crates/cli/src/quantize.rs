//! `descant quantize`.

use crate::Threads;
use crate::place::beside;
use crate::report::print;
use crate::shell::command;
use crate::weights::weight_type;
use anyhow::Context;
use clap::Args;
use descant_inference::{Error, Trained};
use descant_kernels::WeightType;
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct Quantize {
    /// The run, or one of its checkpoints
    run: PathBuf,
    /// The type of the weights: bf16 (half the size), int8 (a quarter; the activations of each row are rounded too), or q4 (4 bits in
    /// groups of 32; embeddings and the output layer stay in int8)
    #[arg(long, value_name = "TYPE", value_parser = weight_type())]
    weights: WeightType,
    /// The run folder to write [default: the run's name and -TYPE]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    #[command(flatten)]
    threads: Threads,
}

impl Quantize {
    pub(crate) fn run(mut self) -> anyhow::Result<()> {
        std::mem::take(&mut self.threads).install(|| self.work())
    }

    fn work(self) -> anyhow::Result<()> {
        let trained = Trained::load(&self.run)?;
        let output = self.output.or_else(|| beside(trained.run(), &self.weights.to_string()));
        let output = output.context("the run folder has no name: give --output")?;
        trained.quantize(self.weights, &output).map_err(|error| match error {
            Error::Occupied { path, .. } => {
                anyhow::anyhow!("{} is there already. Remove it, or name another folder with --output", path.display())
            }
            error => error.into(),
        })?;
        let sizes = [&trained, &Trained::load(&output)?].map(|trained| trained.parameters.size() as f64 / 1e6);
        print(format_args!("Weights: {:.1} MB, in {} {:.1} MB. Write with it:", sizes[0], self.weights, sizes[1]))?;
        print(format_args!("  {}", command(&["generate".into(), output.to_string_lossy()])))
    }
}
