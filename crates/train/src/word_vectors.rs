//! Embeddings that begin with pre-trained word vectors.

use descant_autograd::{ParameterId, Parameters};
use descant_inference::{Error, Recipe, Tokenizers};
use descant_models::{Generator, LayerKind};
use descant_text::{Corpus, TokenBytes, Tokenizer, WordVectors};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many words without a vector are shown.
const SHOWN: usize = 5;

/// An embedding that begins with word vectors.
pub(crate) struct Pretrained {
    /// Its key in a recipe.
    key: &'static str,
    path: PathBuf,
    tokenizer: Arc<Tokenizer>,
    /// Which entries of the vocabulary have a vector.
    has_vector: Vec<bool>,
    /// Whether sources and targets share it.
    is_shared: bool,
    /// Further notes on the file.
    remarks: Vec<String>,
}

/// Fills the embeddings of a fresh model with the vectors that its recipe names. Entries without one keep what was drawn.
///
/// # Errors
/// What is wrong with a file.
pub(crate) fn fill_embeddings(
    recipe: &Recipe,
    tokenizers: &Tokenizers,
    model: &dyn Generator,
    parameters: &mut Parameters,
) -> Result<Vec<Pretrained>, Error> {
    let Some(vectors) = &recipe.vectors else { return Ok(Vec::new()) };
    let (of_sources, of_targets) = model.embeddings();
    let predicted = model.output().fixed_targets();
    let mut filled = Vec::new();
    if let (Some(path), Some(table), Some(tokenizer)) = (&vectors.source, of_sources, &tokenizers.source) {
        let width_key = width_key(recipe.model.encoder());
        filled.push(fill("vectors.source", path, tokenizer, &[(table, false)], width_key, parameters)?);
    }
    if let Some(path) = &vectors.target {
        let tables: Vec<(ParameterId, bool)> = match predicted {
            Some(predicted) if predicted == of_targets => vec![(predicted, true)],
            Some(predicted) => vec![(of_targets, false), (predicted, true)],
            None => vec![(of_targets, false)],
        };
        let width_key = width_key(recipe.model.decoder);
        filled.push(fill("vectors.target", path, &tokenizers.target, &tables, width_key, parameters)?);
    }
    let is_shared = of_sources == Some(of_targets);
    filled.iter_mut().for_each(|filled| filled.is_shared = is_shared);
    Ok(filled)
}

/// The key of the number of numbers of an embedding.
fn width_key(layers: LayerKind) -> &'static str {
    match layers {
        LayerKind::Recurrent => "model.embedding",
        LayerKind::Transformer => "model.hidden",
    }
}

/// Fills tables with the vectors of a vocabulary's entries; in those that are predicted without their mean, and at unit length.
fn fill(
    key: &'static str,
    path: &Path,
    tokenizer: &Arc<Tokenizer>,
    tables: &[(ParameterId, bool)],
    width_key: &str,
    parameters: &mut Parameters,
) -> Result<Pretrained, Error> {
    log::info!("Reading word vectors ({key}) from {}", path.display());
    let entries = tokenizer.vocabulary() as u32;
    let bytes = tokenizer.token_bytes().ok();
    let names: Vec<Vec<String>> = (0..entries).map(|id| names(tokenizer, bytes.as_ref(), id)).collect();
    let wanted: HashSet<&str> = names.iter().flatten().map(String::as_str).collect();
    let own: HashSet<&str> = names.iter().filter_map(|names| names.first()).map(String::as_str).collect();
    let width = tables.first().map_or(0, |&(table, _)| parameters.shape(table).last());
    let vectors = WordVectors::read(path, width, width_key, |word| wanted.contains(word))?;
    // In a vocabulary with both, a plain word is the entry with the mark of a space, and the one without it is a piece within words.
    let is_within = |name: &String| {
        let marked = MARKS.map(|mark| format!("{mark}{name}"));
        marked.iter().any(|marked| own.contains(&**marked) && vectors.get(marked).is_none())
    };
    let mut found: Vec<Option<&[f32]>> = names
        .iter()
        .map(|names| {
            let found = names.iter().find_map(|name| vectors.get(name))?;
            (!names.first().is_some_and(is_within)).then_some(found)
        })
        .collect();
    for &(table, is_predicted) in tables {
        let mean = if is_predicted { mean(&found, width) } else { vec![0.0; width] };
        for (row, found) in found.iter_mut().enumerate() {
            let Some(vector) = *found else { continue };
            let centred = || vector.iter().zip(&mean).map(|(&x, mean)| f64::from(x) - mean);
            let norm = if is_predicted { centred().map(|x| x * x).sum::<f64>().sqrt() } else { 1.0 };
            let place = &mut parameters.values_mut::<f32>(table)[row * width..][..width];
            // One that is the mean itself, but for rounding, has no direction, and keeps that which was drawn.
            let size = vector.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            if is_predicted && norm <= f64::from(f32::EPSILON) * size {
                *found = None;
            } else {
                place.iter_mut().zip(centred()).for_each(|(place, x)| *place = (x / norm) as f32);
            }
        }
    }
    let is_predicted = tables.iter().any(|&(_, is_predicted)| is_predicted);
    let having = || found.iter().flatten().map(|vector| vector.iter().map(|x| x.to_bits()).collect::<Vec<u32>>());
    let equal = if is_predicted { having().count() - having().collect::<HashSet<_>>().len() } else { 0 };
    let mut remarks = vectors.remarks();
    if equal > 0 {
        let entries = if equal == 1 { "1 entry has".to_owned() } else { format!("{equal} entries have") };
        remarks.push(format!("{entries} the vector of another one, and will never be written"));
    }
    let has_vector = found.iter().map(Option::is_some).collect();
    let (path, tokenizer) = (path.to_owned(), tokenizer.clone());
    Ok(Pretrained { key, path, tokenizer, has_vector, is_shared: false, remarks })
}

/// The mean of the vectors that there are: what they have in common says nothing of any word (Mu & Viswanath 2018, arXiv 1702.01417), and
/// without it their directions are further apart.
fn mean(vectors: &[Option<&[f32]>], width: usize) -> Vec<f64> {
    let mut mean = vec![0.0; width];
    let count = vectors.iter().flatten().count() as f64;
    for vector in vectors.iter().flatten() {
        mean.iter_mut().zip(*vector).for_each(|(mean, &x)| *mean += f64::from(x) / count);
    }
    mean
}

/// What the tokens of a vocabulary of subwords begin with where a space is before them.
const MARKS: [char; 2] = ['▁', 'Ġ'];

/// The words of a file that an entry of a vocabulary may be, the best first: its own name, and its text without a space before it. A piece that goes
/// on with a word (`##`) is none.
fn names(tokenizer: &Tokenizer, bytes: Option<&TokenBytes>, id: u32) -> Vec<String> {
    let Some(token) = tokenizer.token(id) else { return Vec::new() };
    let text = bytes
        .and_then(|bytes| bytes.get(id, false))
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .map(|text| text.trim().to_owned());
    let is_word = |text: &String| !text.is_empty() && *text != token && !token.starts_with("##");
    let text = text.filter(is_word);
    std::iter::once(token).chain(text).collect()
}

impl Pretrained {
    /// How much of the vocabulary, and of a text, has a vector, in sentences.
    ///
    /// # Errors
    /// Where the text cannot be read.
    pub(crate) fn told(&self, texts: &Corpus, sizes: [usize; 2]) -> Result<Vec<String>, Error> {
        let [source, target] = texts.occurrences(sizes)?;
        let counts: Vec<u64> = match (self.is_shared, self.key) {
            (true, _) => source.iter().zip(&target).map(|(source, target)| source + target).collect(),
            (false, "vectors.source") => source,
            (false, _) => target,
        };
        let all = (0..).zip(self.has_vector.iter().zip(&counts));
        let entries: Vec<(u32, bool, u64)> = all
            .map(|(id, (&has_vector, &count))| (id, has_vector, count))
            .filter(|&(id, has_vector, _)| has_vector || !self.tokenizer.is_special(id))
            .collect();
        let having = entries.iter().filter(|(_, has_vector, _)| *has_vector);
        let (known, occurrences) = (having.clone().count(), having.map(|(.., count)| count).sum::<u64>());
        let (all, tokens) = (entries.len(), counts.iter().sum::<u64>());
        let mut missing: Vec<&(u32, bool, u64)> = entries.iter().filter(|(_, has_vector, _)| !has_vector).collect();
        missing.sort_by_key(|(id, _, count)| (std::cmp::Reverse(*count), *id));
        let text =
            |id: u32| self.tokenizer.decode(&[id]).ok().filter(|text| !text.is_empty() && !text.contains('\u{FFFD}'));
        let shown = missing.iter().take(SHOWN).filter_map(|(id, ..)| text(*id).or_else(|| self.tokenizer.token(*id)));
        let shown = shown.map(|token| format!("{token:?}")).collect::<Vec<_>>().join(", ");
        let share = 100.0 * occurrences as f64 / tokens.max(1) as f64;
        let (key, path) = (self.key, self.path.display());
        let rest = match missing.len() {
            0 => String::new(),
            n => format!("; {n} begin as they are drawn, the commonest {shown}"),
        };
        let of = format!(
            "{key}: {known} of {all} entries have a vector in {path}, {share:.1} % of the tokens of the text{rest}."
        );
        let remarks = (!self.remarks.is_empty()).then(|| format!("{path}: {}.", self.remarks.join("; ")));
        Ok(std::iter::once(of).chain(remarks).collect())
    }
}
