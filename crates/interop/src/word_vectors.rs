//! Word vectors, in the text form of word2vec and fastText.

use crate::Error;
use crate::export::row_major;
use crate::write_folder::refuse_existing;
use descant_inference::Trained;
use descant_text::{plural, write_file};
use std::io::{BufWriter, Write};
use std::path::Path;

/// Writes what a model's output layer knows of each token, as word vectors: the embedding, where the two are tied. Returns what is
/// worth telling.
///
/// # Errors
/// Where it cannot be written.
pub fn export_word_vectors(trained: &Trained, path: &Path) -> Result<Option<String>, Error> {
    refuse_existing(path)?;
    let (parameters, tokenizer) = (row_major(trained)?, &trained.tokenizers.target);
    let (table, _) = trained.model.output().token_rows();
    let width = parameters.shape(table).last();
    let tokens: Vec<Option<String>> = (0..tokenizer.vocabulary() as u32).map(|id| tokenizer.token(id)).collect();
    let rows = parameters.values::<f32>(table).chunks_exact(width);
    let written: Vec<(&str, &[f32])> = tokens
        .iter()
        .zip(rows)
        .filter_map(|(token, row)| Some((token.as_deref()?, row)))
        .filter(|(token, _)| !token.is_empty() && !token.contains(char::is_whitespace))
        .collect();
    let left_out = (tokens.len() - written.len()) as u64;
    write_file(path, |file| {
        let mut file = BufWriter::new(file);
        writeln!(file, "{} {width}", written.len())?;
        for (token, row) in &written {
            write!(file, "{token}")?;
            row.iter().try_for_each(|number| write!(file, " {number}"))?;
            writeln!(file)?;
        }
        file.flush()
    })
    .map_err(|error| Error::io("write", path, error))?;
    let told = || format!("{} with white space in its name, or without one, left out", plural(left_out, "token"));
    Ok((left_out > 0).then(told))
}
