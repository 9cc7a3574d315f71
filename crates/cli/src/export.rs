//! `descant export`.

use crate::report::print;
use clap::Args;
use descant_inference::{Trained, is_gguf};
use descant_interop::GgufType;
use descant_models::LayerKind;
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct Export {
    /// The run, or one of its checkpoints
    run: PathBuf,
    /// Output: a folder (of transformers; PyTorch tensors of LSTM and GRU models), or a file ending in .gguf for llama.cpp
    place: PathBuf,
    /// Write the LoRA adapters of a fine-tuned run alone, as a folder that PEFT loads on top of the base model
    #[arg(long)]
    adapter: bool,
    /// Element type of the matrices in a .gguf file
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
            "f16" => GgufType::F16,
            "bf16" => GgufType::BF16,
            _ => GgufType::F32,
        };
        if numbers != GgufType::default() && !is_gguf {
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
