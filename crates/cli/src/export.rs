//! `descant export`.

use crate::report::{note as tell, print};
use clap::Args;
use descant_inference::{Trained, is_gguf, weights_of};
use descant_interop::GgufType;
use descant_models::LayerKind;
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct Export {
    /// The run, or one of its checkpoints
    run: PathBuf,
    /// Output: a folder (of transformers; PyTorch tensors of LSTM and GRU models), a file ending in .gguf for llama.cpp, or one ending in
    /// .vec for word vectors in word2vec's text form: the output layer's rows, or the embedding that is tied to it
    place: PathBuf,
    /// Write the LoRA adapters of a fine-tuned run alone, as a folder that PEFT loads on top of the base model
    #[arg(long)]
    adapter: bool,
    /// Element type of the matrices in a .gguf file: q8_0 and q4_0 have 8 and 4 bits in blocks of 32; of q4_0, embeddings and the
    /// output projection are in q8_0 [default: f32; of a run in reduced precision, that which has its numbers]
    #[arg(long, value_name = "TYPE", value_parser = ["f32", "f16", "bf16", "q8_0", "q4_0"])]
    numbers: Option<String>,
}

impl Export {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let is_gguf = is_gguf(&self.place);
        let is_vectors = self.place.extension().is_some_and(|ending| ending == "vec");
        if self.adapter {
            anyhow::ensure!(
                !is_gguf,
                "{}: an adapter is written as a folder of PEFT, and not for llama.cpp. Name a folder; without --adapter, the whole \
                 model is written as GGUF",
                self.place.display()
            );
            anyhow::ensure!(
                !is_vectors,
                "{}: an adapter is written as a folder of PEFT. Name a folder, or leave --adapter out",
                self.place.display()
            );
            let family = descant_interop::export_adapter(&self.run, &self.place)?;
            let place = self.place.display();
            return print(format_args!(
                "Exported as an adapter of {family}: peft.PeftModel.from_pretrained(MODEL, \"{place}\") adds it to the model."
            ));
        }
        if let Some(numbers) = self.numbers.as_ref().filter(|_| !is_gguf) {
            anyhow::bail!("--numbers {numbers} is for a file of llama.cpp: name one that ends in .gguf");
        }
        let (trained, place) = (Trained::load_row_major(&self.run)?, self.place.display());
        let numbers = match self.numbers.as_deref() {
            Some("f32") => GgufType::F32,
            Some("f16") => GgufType::F16,
            Some("bf16") => GgufType::BF16,
            Some("q8_0") => GgufType::Q8_0,
            Some("q4_0") => GgufType::Q4_0,
            _ => weights_of(&trained.parameters).map_or(GgufType::F32, GgufType::of_weights),
        };
        if is_vectors {
            if let Some(note) = descant_interop::export_word_vectors(&trained, &self.place)? {
                tell(format_args!("Note: {note}."));
            }
            return print(format_args!(
                "Exported as word vectors: {place}, which vectors.target and vectors.source of a recipe read."
            ));
        }
        if is_gguf {
            let (family, notes) = descant_interop::export_gguf(&trained, &self.place, numbers)?;
            for note in notes {
                tell(format_args!("Note: {note}."));
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
