//! `descant lr-find`.

mod plot;

use crate::recipe_args::RecipeArgs;
use crate::report::{Report, print};
use crate::{Threads, signals};
use anyhow::Context;
use clap::Args;
use descant_text::plural;
use descant_train::{RangeEnd, RangeTest, RangeTestConfig, range_test};
use plot::plot;

#[derive(Args)]
pub(crate) struct LrFind {
    #[command(flatten)]
    recipe: RecipeArgs,
    /// The rate of the first step
    #[arg(long, value_name = "X", default_value = "1e-7")]
    from: f64,
    /// The rate of the last step
    #[arg(long, value_name = "X", default_value = "10")]
    to: f64,
    /// Steps from the one to the other
    #[arg(long, value_name = "N", default_value_t = 200)]
    steps: u64,
    #[command(flatten)]
    threads: Threads,
    /// Print one JSON object instead
    #[arg(long)]
    json: bool,
}

impl LrFind {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let config = RangeTestConfig::new(self.from, self.to, self.steps).map_err(anyhow::Error::msg);
        let config = config.context("--from, --to, --steps")?;
        let recipe = self.recipe.load()?;
        let stop = signals::listen()?;
        let mut report = Report::new(0, self.steps, false);
        let found = range_test(&recipe, &config, self.threads.count(), stop, |event| report.watch(event));
        report.finish();
        let found = found?;
        if found.end == RangeEnd::Stopped {
            signals::exit();
        }
        if self.json {
            return print(serde_json::to_string(&found)?);
        }
        self.show(&found)
    }

    fn show(&self, found: &RangeTest) -> anyhow::Result<()> {
        let RangeTest { points, end, steepest, minimum, suggestion, .. } = found;
        let marks = [(*steepest, 's'), (*minimum, 'm')];
        let marks: Vec<(f64, char)> = marks.into_iter().filter_map(|(rate, mark)| Some((rate?, mark))).collect();
        let curve: Vec<(f64, f64)> = points.iter().map(|point| (point.learning_rate, point.smoothed)).collect();
        plot(&curve, &marks).into_iter().try_for_each(print)?;
        let last = points.last().map_or(self.from, |point| point.learning_rate);
        let ended = match end {
            RangeEnd::Risen => "the loss was far above its lowest",
            RangeEnd::NotFinite => "after it the loss or the gradient was not finite",
            _ => "the end of the range",
        };
        print(format_args!("{}, up to a rate of {last:.1e}: {ended}.", plural(points.len() as u64, "step")))?;
        let Some(suggestion) = suggestion else {
            return print(format_args!(
                "No suggestion: the loss does not fall by more than batches differ. Try more --steps, another range (--from, --to), or \
                 larger batches; a model that is trained already may have nothing to learn at any rate."
            ));
        };
        for (rate, what) in [(steepest, "s: the loss falls the steepest"), (minimum, "m: the loss is the lowest")] {
            if let Some(rate) = rate {
                print(format_args!("{what} at {rate:.1e}"))?;
            }
        }
        let rests_on = match minimum {
            Some(minimum) if minimum / 10.0 < steepest.unwrap_or(f64::INFINITY) => "a tenth of that at m",
            Some(_) => "that at s, which is below a tenth of that at m",
            None => "that at s; the loss still falls at the end of the range: --to goes further",
        };
        print(format_args!("Suggestion: train.learning_rate = {suggestion:e} ({rests_on})"))
    }
}
