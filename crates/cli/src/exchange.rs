use crate::report::print;
use clap::Args;
use descant_train::Trained;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(crate) struct Import {
    /// The folder, with config.json, model.safetensors and tokenizer.json
    folder: PathBuf,
    /// The run folder to write [default: runs/ and the folder's name]
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
}

impl Import {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let name = || self.folder.file_name().unwrap_or("imported".as_ref());
        let run = self.run.clone().unwrap_or_else(|| Path::new("runs").join(name()));
        descant_interop::import(&self.folder, &run)?;
        print(format_args!("Imported. Write with it:\n  descant generate {}", run.display()))?;
        Ok(())
    }
}

#[derive(Args)]
pub(crate) struct Export {
    /// The run, or one of its checkpoints
    run: PathBuf,
    /// The folder to write
    folder: PathBuf,
}

impl Export {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let family = descant_interop::export(&Trained::load(&self.run)?, &self.folder)?;
        print(format_args!(
            "Exported as {family:?}: transformers loads {} with from_pretrained.",
            self.folder.display()
        ))?;
        Ok(())
    }
}
