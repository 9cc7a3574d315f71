use crate::recipe_args::RecipeArgs;
use crate::report::{duration, print, rate};
use crate::{Threads, signals};
use clap::Args;
use descant_inference::{Recipe, count, size};
use descant_text::plural;
use descant_train::{Distribution, Examination, Finding, Severity, TextFacts, TrainingFacts, examine};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

#[derive(Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    recipe: RecipeArgs,
    /// Texts to test on later: one file, or two parallel ones. They are compared with the training text
    #[arg(long, value_name = "FILE", num_args = 1..=2)]
    test: Vec<PathBuf>,
    #[command(flatten)]
    threads: Threads,
    /// Print one JSON object instead
    #[arg(long)]
    json: bool,
}

/// The width of the names of checks.
const NAMES: usize = 16;

impl Doctor {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let recipe = self.recipe.load()?;
        let stop = signals::listen()?;
        let found = examine(&recipe, &self.test, self.threads.count(), stop)?;
        if stop.load(Ordering::Relaxed) {
            signals::exit();
        }
        match self.json {
            true => print(serde_json::to_string(&found)?)?,
            false => self.show(&recipe, &found)?,
        }
        if found.count(Severity::Warning) > 0 {
            std::process::exit(1);
        }
        Ok(())
    }

    fn show(&self, recipe: &Recipe, found: &Examination) -> anyhow::Result<()> {
        print(self.recipe.recipe.display())?;
        for text in &found.texts {
            show_text(text)?;
        }
        if let Some(training) = &found.training {
            show_training(recipe, training)?;
        }
        if let Some((tensors, error)) = found.gradients {
            print(format_args!(
                "  gradients of a small model of its kind: {} agree with central differences to {error:.1e}",
                plural(tensors as u64, "tensor")
            ))?;
        }
        for finding in &found.findings {
            show_finding(finding)?;
        }
        let of = |severity| found.findings.iter().filter(|finding| finding.severity == severity).count() as u64;
        let [errors, warnings, notes] = [Severity::Error, Severity::Warning, Severity::Note].map(of);
        print(format_args!("{}, {}, {}.", plural(errors, "error"), plural(warnings, "warning"), plural(notes, "note")))
    }
}

fn show_text(text: &TextFacts) -> anyhow::Result<()> {
    let TextFacts { role, name, examples, thing, sampled, lengths, .. } = text;
    let looked = sampled.map_or_else(String::new, |sampled| format!(", {sampled} of them looked at one by one"));
    print(format_args!("  {role}: {} in {name}{looked}", plural(*examples, thing)))?;
    let Some(lengths) = lengths else { return Ok(()) };
    let both = [("sources", lengths.source.as_ref()), ("targets", Some(&lengths.target))];
    for (side, Distribution { median, p90, p99, longest, width, .. }, bars) in
        both.into_iter().filter_map(|(side, lengths)| Some((side, lengths?, lengths?.bars())))
    {
        print(format_args!(
            "    tokens of {side}: half up to {median}, 90 % up to {p90}, 99 % up to {p99}, all up to {longest}  \
             |{bars}| by {width}"
        ))?;
    }
    Ok(())
}

fn show_training(recipe: &Recipe, training: &TrainingFacts) -> anyhow::Result<()> {
    let TrainingFacts { vocabularies, parameters, memory, available_memory, steps, steps_per_epoch, .. } = *training;
    let vocabularies = match vocabularies {
        [0, target] => format!("a vocabulary of {target} tokens"),
        [source, target] => format!("vocabularies of {source} and {target} tokens"),
    };
    let there = available_memory.map_or_else(String::new, |there| format!(" of {}", size(there)));
    print(format_args!("  {vocabularies}; {} parameters; about {}{there} of memory", count(parameters), size(memory)))?;
    if training.step_seconds > 0.0 {
        let (step, epoch) = (training.step_seconds, training.step_seconds * steps_per_epoch);
        print(format_args!(
            "  a step takes {:.3} s ({} target tokens/s), once through the text {}, all {} about {}",
            step,
            rate(training.tokens_per_s),
            duration(epoch),
            plural(steps, "step"),
            duration(training.total_seconds)
        ))?;
    }
    if let Some(loss) = training.start_loss {
        let begins = if recipe.init.is_some() { "of init" } else { "of fresh weights" };
        print(format_args!("  loss {begins}: {loss:.2}, of guessing (ln V): {:.2}", training.uniform_loss))?;
    }
    if let Some(memorized) = &training.memorization {
        let wrong =
            memorized.wrong_source_loss.map_or_else(String::new, |loss| format!("; with wrong sources {loss:.2}"));
        print(format_args!(
            "  {} learned alone: loss {:.2} → {:.3} in {}{wrong}",
            plural(memorized.sequences as u64, "sequence"),
            memorized.first_loss,
            memorized.last_loss,
            plural(memorized.steps, "step")
        ))?;
    }
    Ok(())
}

fn show_finding(finding: &Finding) -> anyhow::Result<()> {
    let severity = match finding.severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    print(format_args!("\n{severity}: {:NAMES$} {}", finding.check, finding.message))?;
    for shown in &finding.lines {
        print(format_args!("    {} {}: {}", shown.unit, shown.line, shown.text))?;
    }
    print(format_args!("  → {}", finding.remedy))
}
