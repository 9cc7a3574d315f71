use crate::advice::command;
use crate::report::print;
use clap::Args;
use descant_interop::{GgufNumbers, HubName};
use descant_models::LayerKind;
use descant_train::{Trained, is_gguf};
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(crate) struct Import {
    /// The folder: of transformers, with config.json, weights (safetensors or pytorch_model.bin) and a tokenizer; of
    /// recurrent tensors of PyTorch; or of CTranslate2. Or a .gguf file; or hf:OWNER/NAME, to fetch it from the Hugging Face
    /// Hub. Or a folder of PEFT with a LoRA adapter, whose model --base names
    #[arg(value_name = "FOLDER|FILE.gguf|hf:OWNER/NAME")]
    model: PathBuf,
    /// The model that an adapter of PEFT is of [default: the folder that it names]
    #[arg(long, value_name = "MODEL")]
    base: Option<PathBuf>,
    /// The run folder to write [default: runs/ and the model's name]
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
}

impl Import {
    pub(crate) fn run(self) -> anyhow::Result<()> {
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
            eprintln!("Note: {note}.");
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

#[derive(Args)]
pub(crate) struct Export {
    /// The run, or one of its checkpoints
    run: PathBuf,
    /// The folder to write, for transformers or, of a recurrent model, PyTorch; or a file that ends in .gguf, for llama.cpp
    place: PathBuf,
    /// Write the LoRA adapters of a fine-tuned run alone, as a folder that PEFT loads on top of the model that it began from
    #[arg(long)]
    adapter: bool,
    /// Write the matrices of a .gguf file with these numbers
    #[arg(long, value_name = "TYPE", default_value = "f32", value_parser = ["f32", "f16", "bf16"])]
    numbers: String,
}

impl Export {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let is_gguf = is_gguf(&self.place);
        if self.adapter {
            anyhow::ensure!(
                !is_gguf,
                "{}: an adapter is written as a folder of PEFT, and not for llama.cpp. Name a folder; without --adapter, the whole \
                 model is written as GGUF",
                self.place.display()
            );
            let family = descant_interop::export_adapter(&self.run, &self.place)?;
            let place = self.place.display();
            return print(format_args!(
                "Exported as an adapter of {family}: peft.PeftModel.from_pretrained(MODEL, \"{place}\") adds it to the model."
            ));
        }
        let numbers = match self.numbers.as_str() {
            "f16" => GgufNumbers::F16,
            "bf16" => GgufNumbers::BF16,
            _ => GgufNumbers::F32,
        };
        if numbers != GgufNumbers::default() && !is_gguf {
            anyhow::bail!("--numbers {} is for a file of llama.cpp: name one that ends in .gguf", self.numbers);
        }
        let (trained, place) = (Trained::load(&self.run)?, self.place.display());
        if is_gguf {
            let (family, notes) = descant_interop::export_gguf(&trained, &self.place, numbers)?;
            for note in notes {
                eprintln!("Note: {note}.");
            }
            return print(format_args!("Exported as {family}: llama.cpp loads {place}."));
        }
        if trained.recipe.model.decoder == LayerKind::Recurrent {
            descant_interop::export_recurrent(&trained, &self.place)?;
            return print(format_args!("Exported: its tensors have PyTorch's names in {place}."));
        }
        let family = descant_interop::export(&trained, &self.place)?;
        print(format_args!("Exported as {family}: transformers loads {place} with from_pretrained."))
    }
}
