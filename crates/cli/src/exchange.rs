use crate::advice::command;
use crate::report::print;
use clap::Args;
use descant_interop::HubName;
use descant_models::Layers;
use descant_train::Trained;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(crate) struct Import {
    /// The folder: of transformers, with config.json, weights (safetensors or pytorch_model.bin) and a tokenizer; of
    /// recurrent tensors of PyTorch; or of CTranslate2. Or a .gguf file; or hf:OWNER/NAME, to fetch it from the Hugging Face
    /// Hub
    #[arg(value_name = "FOLDER|FILE.gguf|hf:OWNER/NAME")]
    model: PathBuf,
    /// The run folder to write [default: runs/ and the model's name]
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
}

impl Import {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let name = self.model.to_str().and_then(HubName::parse).transpose()?;
        let folder = name.as_ref().map(HubName::fetch).transpose()?;
        let own = match &name {
            Some(name) => name.short().as_ref(),
            None if self.model.is_file() => self.model.file_stem().unwrap_or("imported".as_ref()),
            None => self.model.file_name().unwrap_or("imported".as_ref()),
        };
        let run = self.run.unwrap_or_else(|| Path::new("runs").join(own));
        for note in descant_interop::import(folder.as_ref().unwrap_or(&self.model), &run)? {
            eprintln!("Note: {note}.");
        }
        print(format_args!("Imported. Write with it:\n  {}", command(&["generate".into(), run.to_string_lossy()])))?;
        Ok(())
    }
}

#[derive(Args)]
pub(crate) struct Export {
    /// The run, or one of its checkpoints
    run: PathBuf,
    /// The folder to write, for transformers or, of a recurrent model, PyTorch; or a file that ends in .gguf, for llama.cpp
    place: PathBuf,
}

impl Export {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let (trained, place) = (Trained::load(&self.run)?, self.place.display());
        if self.place.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf")) {
            let (family, notes) = descant_interop::export_gguf(&trained, &self.place)?;
            for note in notes {
                eprintln!("Note: {note}.");
            }
            return print(format_args!("Exported as {family}: llama.cpp loads {place}."));
        }
        if trained.recipe.model.decoder == Layers::Recurrent {
            descant_interop::export_recurrent(&trained, &self.place)?;
            return print(format_args!("Exported: its tensors have PyTorch's names in {place}."));
        }
        let family = descant_interop::export(&trained, &self.place)?;
        print(format_args!("Exported as {family}: transformers loads {place} with from_pretrained."))
    }
}
