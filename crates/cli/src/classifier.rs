//! `descant classifier`.

use crate::Threads;
use crate::json_line::objects;
use crate::place::check_place;
use crate::report::{note, print};
use crate::shell::command;
use clap::Args;
use descant_inference::Trained;
use descant_text::plural;
use descant_train::{HeldOut, LabelledText, LearntClassifier, learn_classifier};
use std::path::{Path, PathBuf};

/// The file in a run folder.
pub(crate) const FILE: &str = "classifier.json";

#[derive(Args)]
pub(crate) struct Classifier {
    /// The run folder, or a checkpoint in it
    run: PathBuf,
    /// The texts to learn from: a .jsonl of {"text": …, "label": …}; for an encoder-decoder with the "source" of each
    #[arg(value_name = "FILE.jsonl")]
    texts: PathBuf,
    /// The file to write [default: classifier.json in the run folder]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Overwrite the file
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    threads: Threads,
}

impl Classifier {
    pub(crate) fn run(mut self) -> anyhow::Result<()> {
        std::mem::take(&mut self.threads).install(|| self.work())
    }

    fn work(self) -> anyhow::Result<()> {
        let trained = Trained::load(&self.run)?;
        let output = self.output.clone().unwrap_or_else(|| trained.run().join(FILE));
        check_place(&output.display().to_string(), &output, self.overwrite)?;
        let texts = read(&self.texts, !trained.is_language_model())?;
        let LearntClassifier { classifier, held_out: found, left_out, cut, .. } = learn_classifier(&trained, &texts)?;
        trained.save_classifier(&classifier, &output)?;
        if left_out > 0 {
            let them = plural(left_out as u64, "text");
            note(format_args!(
                "{them} of {} left out: with those before, they have more tokens than are kept in memory",
                texts.len()
            ));
        }
        if cut > 0 {
            note(format_args!(
                "{} longer than the decoder has positions for: their first tokens alone are read",
                plural(cut as u64, "text")
            ));
        }
        let measured = match found {
            Some(HeldOut { texts, right, majority, .. }) => {
                format!(
                    "it finds the label of {:.1} % of the {texts} that were held out, where the most frequent label is that of {:.1} % of all",
                    100.0 * right as f64 / texts as f64,
                    100.0 * majority
                )
            }
            None => "too few to hold some of them out and measure it".to_owned(),
        };
        let (labels, count) = (classifier.labels.join(", "), texts.len() - left_out);
        let head = format!("{}: {labels}, learnt from {count} texts; {measured}.", output.display());
        if found.is_some_and(|found| !found.is_better()) {
            print(head)?;
            note(
                "It is no better than that label for every text: it has learnt nothing that it could steer by. Give it more texts, or \
                 texts of the kind that the model was trained on.",
            );
            return Ok(());
        }
        print(format_args!("{head} Generate with it:"))?;
        let label = classifier.labels.first().map_or("", String::as_str);
        let (run, file) = (self.run.to_string_lossy(), output.to_string_lossy());
        let mut words = vec!["generate".into(), run, "--steer".into(), label.into()];
        words.extend(self.output.is_some().then_some(["--classifier".into(), file]).into_iter().flatten());
        print(format_args!("  {}", command(&words)))
    }
}

/// The texts of a file.
fn read(path: &Path, needs_source: bool) -> anyhow::Result<Vec<LabelledText>> {
    objects(path, "objects such as {\"text\": \"…\", \"label\": \"…\"}", |object| {
        let field = |name: &str| match object.text(name) {
            Ok(text) if text.trim().is_empty() => Err(format!("its {name:?} is empty")),
            field => field,
        };
        let source = if needs_source { Some(object.text("source")?) } else { None };
        let text = LabelledText { source, text: field("text")?, label: field("label")? };
        let is_read = |name: &&str| ["text", "label"].contains(name) || needs_source && *name == "source";
        match object.names().find(|name| !is_read(name)) {
            Some(name) => Err(format!("it has the field {name:?}, which is not read. Take it out")),
            None => Ok(text),
        }
    })
}
