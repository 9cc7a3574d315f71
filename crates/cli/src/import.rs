//! `descant import`.

use crate::Threads;
use crate::report::{note as tell, print};
use crate::shell::command;
use clap::Args;
use descant_interop::HubName;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(crate) struct Import {
    /// A folder of transformers (config.json, weights as safetensors or pytorch_model.bin, and a tokenizer), of PyTorch LSTM
    /// or GRU weights, of CTranslate2, or of a PEFT LoRA adapter (see --base); a .gguf file; or hf:OWNER/NAME, downloaded from
    /// the Hugging Face Hub
    #[arg(value_name = "FOLDER|FILE.gguf|hf:OWNER/NAME")]
    model: PathBuf,
    /// The base model of a PEFT adapter [default: the folder that adapter_config.json names]
    #[arg(long, value_name = "MODEL")]
    base: Option<PathBuf>,
    /// The run folder to write [default: runs/ and the model's name]
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    #[command(flatten)]
    threads: Threads,
}

impl Import {
    pub(crate) fn run(mut self) -> anyhow::Result<()> {
        std::mem::take(&mut self.threads).install(|| self.work())
    }

    fn work(self) -> anyhow::Result<()> {
        let name = self.model.to_str().and_then(HubName::parse).transpose()?;
        let place = fetched(&self.model)?;
        let own = match &name {
            Some(name) => name.short().as_ref(),
            None if self.model.is_file() => self.model.file_stem().unwrap_or("imported".as_ref()),
            None => self.model.file_name().unwrap_or("imported".as_ref()),
        };
        let run = self.run.unwrap_or_else(|| Path::new("runs").join(own));
        let notes = match (descant_interop::is_adapter(&place), self.base) {
            (true, Some(base)) => descant_interop::import_adapted(&place, &fetched(&base)?, &run)?,
            (true, None) => descant_interop::import_adapted(&place, &descant_interop::base_of(&place)?, &run)?,
            (false, None) => descant_interop::import(&place, &run)?,
            (false, Some(_)) => anyhow::bail!(
                "--base is for an adapter of PEFT, and {} has no adapter_config.json: leave it out",
                self.model.display()
            ),
        };
        for note in notes {
            tell(format_args!("Note: {note}."));
        }
        print(format_args!("Imported. Write with it:\n  {}", command(&["generate".into(), run.to_string_lossy()])))?;
        Ok(())
    }
}

/// The place of a model, fetched where it is one of the hub.
fn fetched(model: &Path) -> anyhow::Result<PathBuf> {
    let name = model.to_str().and_then(HubName::parse).transpose()?;
    Ok(name.as_ref().map(HubName::fetch).transpose()?.unwrap_or_else(|| model.to_owned()))
}
