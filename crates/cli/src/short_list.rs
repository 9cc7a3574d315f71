//! `descant short-list`.

use crate::Threads;
use crate::place::check_place;
use crate::report::{note, print};
use crate::shell::command;
use clap::Args;
use descant_inference::{RunFolder, Trained};
use descant_text::plural;
use descant_train::{LearntShortList, ShortListConfig, learn_short_list};
use std::path::{Path, PathBuf};

/// The file in a run folder.
const FILE: &str = "vmap.txt";

#[derive(Args)]
pub(crate) struct ShortList {
    /// The run folder of an encoder-decoder, or a checkpoint in it
    run: PathBuf,
    /// The pairs to learn from: one file, or two parallel ones [default: the training text of the recipe, without what was held out]
    #[arg(long, value_name = "FILE", num_args = 1..=2)]
    data: Vec<PathBuf>,
    /// The file to write, in the text form of CTranslate2's vmap [default: vmap.txt in the run folder]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Overwrite the file
    #[arg(long)]
    overwrite: bool,
    /// At most so many tokens for each token of a source
    #[arg(long, value_name = "N", default_value_t = ShortListConfig::default().translations as u32, value_parser = clap::value_parser!(u32).range(1..))]
    translations: u32,
    /// The most frequent tokens, which every text may have
    #[arg(long, value_name = "N", default_value_t = ShortListConfig::default().common as u32)]
    common: u32,
    #[command(flatten)]
    threads: Threads,
}

impl ShortList {
    pub(crate) fn run(mut self) -> anyhow::Result<()> {
        std::mem::take(&mut self.threads).install(|| self.work())
    }

    fn work(self) -> anyhow::Result<()> {
        let trained = Trained::load(&self.run)?;
        let output = self.output.unwrap_or_else(|| trained.run().join(FILE));
        // Nobody else writes to the run folder meanwhile.
        let place = |path: &Path| std::fs::canonicalize(path).ok();
        let folder = output.parent().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
        let is_in_run = folder.and_then(place) == place(trained.run());
        let _run = is_in_run.then(|| RunFolder::take(trained.run())).transpose()?;
        check_place(&output.display().to_string(), &output, self.overwrite)?;
        let mut config = ShortListConfig::default();
        (config.translations, config.common) = (self.translations as usize, self.common as usize);
        let LearntShortList { list, pairs, of, .. } = learn_short_list(&trained, &self.data, config)?;
        let sampled = if pairs < of { format!(" of {of}, spread over the text") } else { String::new() };
        match trained.save_short_list(&list, &output)? {
            0 => {}
            count => note(format_args!(
                "Left out {count} times a token with a space or a tab in it, which a vmap cannot have."
            )),
        }
        print(format_args!(
            "{}: translations of {} tokens, learnt from {}{sampled}. Generate with it:",
            output.display(),
            list.rules().len(),
            plural(pairs as u64, "pair")
        ))?;
        let words = ["generate".into(), self.run.to_string_lossy(), "--short-list".into(), output.to_string_lossy()];
        print(format_args!("  {}", command(&words)))
    }
}
