//! The files of a folder of `transformers`, and how they are read.

use crate::Error;
use serde_json::Value;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

pub(crate) const CONFIG: &str = "config.json";
pub(crate) const TOKENIZER: &str = "tokenizer.json";
pub(crate) const VOCABULARY: &str = "vocab.json";
pub(crate) const MERGES: &str = "merges.txt";
pub(crate) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
pub(crate) const CHAT_TEMPLATE: &str = "chat_template.jinja";
pub(crate) const WEIGHTS: &str = "model.safetensors";
pub(crate) const INDEX: &str = "model.safetensors.index.json";
pub(crate) const PICKLED: &str = "pytorch_model.bin";
pub(crate) const PICKLED_INDEX: &str = "pytorch_model.bin.index.json";
pub(crate) const GENERATION: &str = "generation_config.json";
pub(crate) const ADAPTER_CONFIG: &str = "adapter_config.json";

/// The most bytes of a file that is no weights: the index of a model of thousands of tensors has some hundred thousand.
const LONGEST: u64 = 1 << 26;

/// The bytes of a file, where it is there. Links are followed, as the cache of the hub has them; to a regular file.
pub(crate) fn read_if(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound && !path.is_symlink() => return Ok(None),
        Err(error) => return Err(Error::io("read", path, error)),
        Ok(file) if !file.is_file() => return Err(Error::folder(path, "it is no regular file")),
        Ok(file) if file.len() > LONGEST => {
            return Err(Error::folder(path, format!("it has {} bytes, expected at most {LONGEST}", file.len())));
        }
        Ok(_) => {}
    }
    fs::read(path).map(Some).map_err(|error| Error::io("read", path, error))
}

/// A file that is a JSON object, where it is there.
pub(crate) fn read_json_if(path: &Path) -> Result<Option<Value>, Error> {
    let Some(bytes) = read_if(path)? else { return Ok(None) };
    let json: Value =
        serde_json::from_slice(&bytes).map_err(|error| Error::folder(path, format!("it is not JSON: {error}")))?;
    match json.is_object() {
        true => Ok(Some(json)),
        false => Err(Error::folder(path, "it is no JSON object, but a single value or a list")),
    }
}

pub(crate) fn read_json(path: &Path) -> Result<Value, Error> {
    let missing = || Error::io("read", path, ErrorKind::NotFound.into());
    read_json_if(path)?.ok_or_else(missing)
}

/// That a folder is one of `transformers`.
pub(crate) fn is_model(folder: &Path) -> Result<(), Error> {
    let wrong = |reason: &str| Err(Error::folder(folder, reason));
    match fs::metadata(folder) {
        Err(_) => wrong("there is no such folder. A model of the Hugging Face Hub is named hf:OWNER/NAME"),
        Ok(place) if !place.is_dir() => wrong("it is a file. Name the folder that it lies in"),
        Ok(_) if folder.join("recipe.toml").is_file() => {
            wrong("it is a run of descant already: write with it by descant generate")
        }
        Ok(_) if is_adapter(folder) => wrong(
            "it is an adapter of PEFT, which changes another model: import it with --base and that model's folder, or hf:OWNER/NAME",
        ),
        Ok(_) if !folder.join(CONFIG).exists() => match other_file(folder) {
            Some((name, advice)) => wrong(&format!("it has no config.json, but {name}: {advice}")),
            None => wrong("it is no Hugging Face folder: it has no config.json"),
        },
        Ok(_) => Ok(()),
    }
}

/// Whether a folder holds an adapter of PEFT, and no whole model beside it.
pub fn is_adapter(folder: &Path) -> bool {
    let whole = [WEIGHTS, INDEX, PICKLED, PICKLED_INDEX];
    folder.join(ADAPTER_CONFIG).is_file() && !whole.into_iter().any(|name| folder.join(name).exists())
}

/// A file of another program, and what to do with it.
fn other_file(folder: &Path) -> Option<(String, &'static str)> {
    const KNOWN: [(&str, &str); 6] = [
        (".gguf", "name that file"),
        (".onnx", "a program for ONNX, whose weights are not read. Look for the model that it was made of"),
        (
            ".h5",
            "weights of TensorFlow, which are not read. transformers before version 5 reads them: from_pretrained(…, from_tf=True)",
        ),
        (
            ".msgpack",
            "weights of Flax, which are not read. transformers before version 5 reads them: from_pretrained(…, from_flax=True)",
        ),
        (
            ".npz",
            "weights of Marian itself or of NumPy. transformers has a converter for Marian: convert_marian_to_pytorch",
        ),
        (".pt", "a checkpoint of PyTorch. WEIGHTS.md says how its tensors come in"),
    ];
    let mut names: Vec<String> =
        fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort_unstable();
    let find = |(end, advice): &(&str, &'static str)| {
        names.iter().find(|name| name.ends_with(end)).map(|name| (name.clone(), *advice))
    };
    KNOWN.iter().find_map(find)
}
