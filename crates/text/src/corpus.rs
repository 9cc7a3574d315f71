use crate::storage::{Storage, Writer};
use crate::{Source, TextError, Tokenizer};
use serde::{Deserialize, Serialize};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Sequences that lie side by side, and are read together.
pub(crate) const BLOCK: u64 = 256;
/// Bytes of text that are encoded at once.
const PORTION: usize = 1 << 20;
const MANIFEST: &str = "corpus.json";

/// An encoded text: sequences of ids, each with its source where it has one, or with a beginning that is a prompt; or one
/// continuous sequence. The ids lie in files, so that memory does not grow with the text.
#[derive(Clone, Debug)]
pub struct Corpus {
    stored: Arc<Stored>,
    /// The sequences of this part; of a continuous text, its ids.
    range: Range<u64>,
}

#[derive(Debug)]
struct Stored {
    folder: PathBuf,
    continuous: bool,
    source: Option<Texts>,
    target: Texts,
    /// How long the prompt is with which a target begins.
    prompts: Option<Storage>,
    /// Pairs or lines that were longer than they may be.
    left_out: u64,
}

/// One side: all ids end to end, the length of every sequence, and where every block of sequences starts.
#[derive(Debug)]
struct Texts {
    ids: Storage,
    lengths: Storage,
    starts: Vec<u64>,
}

/// What is needed to open the files again.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Manifest {
    continuous: bool,
    pairs: bool,
    /// Whether targets begin with a prompt.
    #[serde(default)]
    prompts: bool,
    /// Bytes of an id, on either side.
    widths: [usize; 2],
    sequences: u64,
    #[serde(default)]
    left_out: u64,
}

/// Where a sequence lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) source: Option<Range<u64>>,
    pub(crate) target: Range<u64>,
    /// Tokens of the target that are a prompt.
    pub(crate) prompt: usize,
}

impl Corpus {
    /// Encodes a text into `folder`, or opens what was encoded there before; without a folder, into memory.
    ///
    /// Pairs and lines of more than `max_length` tokens on either side are left out, and so are those with an empty side.
    /// Of pairs without a tokenizer for the source, a language model's, the source is the prompt with which the target
    /// begins.
    ///
    /// # Errors
    /// What is wrong with the text, by file and line; where the folder cannot be written.
    pub fn encode(
        text: &Source,
        source: Option<&Tokenizer>,
        target: &Tokenizer,
        max_length: usize,
        folder: Option<&Path>,
    ) -> Result<Self, TextError> {
        if let Some(folder) = folder.filter(|folder| Self::is_in(folder)) {
            return Self::open(folder);
        }
        // Beside its place, then renamed: it is complete or absent.
        let partial = folder.map(|folder| folder.with_extension("partial"));
        let write =
            |error| TextError::io("write the encoded text in", partial.as_deref().unwrap_or(Path::new("")), error);
        if let Some(partial) = &partial {
            if partial.exists() {
                fs::remove_dir_all(partial).map_err(write)?;
            }
            fs::create_dir_all(partial).map_err(write)?;
        }
        let continuous = matches!(text, Source::Stream { .. });
        let prompts = source.is_none() && text.has_pairs();
        let source = source.filter(|_| text.has_pairs());
        let width = |tokenizer: &Tokenizer| if tokenizer.vocabulary() <= 1 << 16 { 2 } else { 4 };
        let manifest = Manifest {
            continuous,
            pairs: source.is_some(),
            prompts,
            widths: [source.map_or(4, width), width(target)],
            sequences: 0,
            left_out: 0,
        };
        let mut encoder = Encoder::new(&manifest, partial.as_deref()).map_err(write)?;
        let mut pairs = text.pairs()?;
        let mut left_out = 0;
        let (mut sources, mut targets, mut bytes) = (Vec::new(), Vec::new(), 0);
        loop {
            let pair = pairs.next().transpose()?;
            let ended = pair.is_none();
            if let Some((from, to)) = pair {
                bytes += to.len() + from.as_ref().map_or(0, String::len);
                targets.push(to);
                sources.extend(from);
            }
            if ended || bytes >= PORTION {
                bytes = 0;
                let targets = target.encode_all(std::mem::take(&mut targets))?;
                let reader = source.or(prompts.then_some(target));
                let sources = reader.map(|reader| reader.encode_all(std::mem::take(&mut sources))).transpose()?;
                for (i, ids) in targets.iter().enumerate() {
                    let source = sources.as_ref().map(|sources| sources[i].as_slice());
                    let fits = |ids: &[u32]| continuous || (1..=max_length).contains(&ids.len());
                    let long = |ids: &[u32]| u64::from(!continuous && ids.len() > max_length);
                    match source {
                        Some(prompt) if prompts => {
                            let (prompt, answer) = target.special().between(prompt, ids);
                            let whole = [prompt, answer].concat();
                            if fits(answer) && fits(&whole) {
                                encoder.add_answer(prompt, answer).map_err(write)?;
                            }
                            left_out += long(&whole);
                        }
                        _ if fits(ids) && source.is_none_or(fits) => encoder.add(source, ids).map_err(write)?,
                        _ => left_out += long(ids).max(source.map_or(0, long)),
                    }
                }
            }
            if ended {
                break;
            }
        }
        let manifest = Manifest { sequences: encoder.sequences, left_out, ..manifest };
        let corpus = encoder.finish(&manifest).map_err(write)?;
        if continuous && corpus.len() < 2 {
            let reason = "it needs two tokens, one to read and one to predict".to_owned();
            return Err(TextError::TooLittle { path: text.path().to_owned(), reason });
        }
        if corpus.is_empty() {
            let path = text.path().to_owned();
            return Err(match max_length {
                usize::MAX => TextError::Empty { path },
                _ => TextError::NothingLeft { path, max_length },
            });
        }
        let (Some(folder), Some(partial)) = (folder, &partial) else { return Ok(corpus) };
        let json = serde_json::to_string(&manifest).map_err(|error| write(error.into()))?;
        fs::write(partial.join(MANIFEST), json).map_err(write)?;
        fs::rename(partial, folder).map_err(write)?;
        Self::open(folder)
    }

    /// Sequences given as ids, in memory: of an encoder-decoder with their sources.
    pub fn from_ids<'a>(pairs: impl IntoIterator<Item = (Option<&'a [u32]>, &'a [u32])>) -> Self {
        let mut pairs = pairs.into_iter().peekable();
        let has_sources = pairs.peek().is_some_and(|(source, _)| source.is_some());
        let mut sides = [(Vec::new(), Vec::new()), (Vec::new(), Vec::new())];
        for (source, target) in pairs {
            for (side, ids) in sides.iter_mut().zip([source.unwrap_or_default(), target]) {
                side.0.extend_from_slice(ids);
                side.1.push(ids.len() as u32);
            }
        }
        let [source, target] = sides.map(|(ids, lengths)| {
            let mut starts = Starts::default();
            lengths.iter().for_each(|&length| starts.push(length));
            Texts { ids: Storage::Memory(ids), lengths: Storage::Memory(lengths), starts: starts.blocks }
        });
        let source = has_sources.then_some(source);
        let stored = Stored { folder: PathBuf::new(), continuous: false, source, target, prompts: None, left_out: 0 };
        let sequences = stored.target.lengths.len().unwrap_or(0);
        Self { stored: Arc::new(stored), range: 0..sequences }
    }

    /// Whether a text was encoded into `folder`.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(MANIFEST).exists()
    }

    /// Removes what was encoded into `folder`, where anything was; never what others put there.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn remove(folder: &Path) -> Result<(), TextError> {
        match Self::is_in(folder) {
            // Aside first, so that what is left if this is broken off is in nobody's way.
            true => {
                let aside = folder.with_extension("old");
                let gone = || {
                    if aside.exists() {
                        fs::remove_dir_all(&aside)?;
                    }
                    fs::rename(folder, &aside)?;
                    fs::remove_dir_all(&aside)
                };
                gone().map_err(|error| TextError::io("remove", folder, error))
            }
            false => Ok(()),
        }
    }

    fn open(folder: &Path) -> Result<Self, TextError> {
        let damaged = |reason: String| TextError::Damaged { path: folder.to_owned(), reason };
        let json = fs::read_to_string(folder.join(MANIFEST)).map_err(|error| damaged(error.to_string()))?;
        let manifest: Manifest = serde_json::from_str(&json).map_err(|error| damaged(error.to_string()))?;
        if !manifest.widths.iter().all(|width| [2, 4].contains(width)) {
            return Err(damaged(format!("{MANIFEST} gives ids of {:?} bytes", manifest.widths)));
        }
        let open = |side: &str, width: usize| -> std::io::Result<Texts> {
            let ids = Storage::open(&folder.join(format!("{side}.ids")), width)?;
            let lengths = Storage::open(&folder.join(format!("{side}.lengths")), 4)?;
            let (sequences, mut starts) = (lengths.len()?, Starts::default());
            for first in (0..sequences).step_by(1 << 16) {
                let part = lengths.read(first..sequences.min(first + (1 << 16)))?;
                part.into_iter().for_each(|length| starts.push(length));
            }
            if starts.total != ids.len()? || sequences != manifest.sequences {
                return Err(std::io::Error::other(format!("{side}.ids is not as long as {side}.lengths says")));
            }
            Ok(Texts { ids, lengths, starts: starts.blocks })
        };
        let [source_width, target_width] = manifest.widths;
        let source = manifest.pairs.then(|| open("source", source_width)).transpose();
        let source = source.map_err(|error| damaged(error.to_string()))?;
        let target = open("target", target_width).map_err(|error| damaged(error.to_string()))?;
        let prompts = manifest.prompts.then(|| Storage::open(&folder.join("prompts.lengths"), 4)).transpose();
        let prompts = prompts.map_err(|error| damaged(error.to_string()))?;
        let Manifest { continuous, left_out, .. } = manifest;
        let stored = Stored { folder: folder.to_owned(), continuous, source, target, prompts, left_out };
        Self::whole(stored).map_err(|error| damaged(error.to_string()))
    }

    fn whole(stored: Stored) -> std::io::Result<Self> {
        let len = if stored.continuous { stored.target.ids.len()? } else { stored.target.lengths.len()? };
        Ok(Self { stored: Arc::new(stored), range: 0..len })
    }

    /// Whether it is one continuous text.
    pub fn is_continuous(&self) -> bool {
        self.stored.continuous
    }

    /// How many sequences; of a continuous text, how many ids.
    pub fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Pairs or lines that were longer than `max_length` tokens on either side.
    pub fn left_out(&self) -> u64 {
        self.stored.left_out
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// Cuts off `share` of it, from its end.
    #[must_use]
    pub fn split(&self, share: f64) -> (Self, Self) {
        let cut = self.range.end - ((self.len() as f64 * share).round() as u64).min(self.len());
        let part = |range| Self { stored: self.stored.clone(), range };
        (part(self.range.start..cut), part(cut..self.range.end))
    }

    /// Where the sequences of a block lie.
    pub(crate) fn places(&self, block: u64) -> Result<Vec<Place>, TextError> {
        let first = self.range.start + block * BLOCK;
        let range = first..self.range.end.min(first + BLOCK);
        let side = |texts: &Texts| self.check(texts.places(range.clone()));
        let targets = side(&self.stored.target)?;
        let sources = self.stored.source.as_ref().map(side).transpose()?;
        let prompts =
            self.stored.prompts.as_ref().map(|prompts| self.check(prompts.read(range.clone()))).transpose()?;
        let source = |i: usize| sources.as_ref().map(|sources| sources[i].clone());
        let prompt = |i: usize| prompts.as_ref().map_or(0, |prompts| prompts[i] as usize);
        let place = |(i, target)| Place { source: source(i), target, prompt: prompt(i) };
        Ok(targets.into_iter().enumerate().map(place).collect())
    }

    /// The folder that it lies in.
    pub(crate) fn folder(&self) -> &Path {
        &self.stored.folder
    }

    /// The first of a continuous text's ids.
    pub(crate) fn start(&self) -> u64 {
        self.range.start
    }

    /// The ids of a place: of the source, where there is one, and of the target.
    pub(crate) fn read(&self, place: &Place) -> Result<(Option<Vec<u32>>, Vec<u32>), TextError> {
        let source = self.stored.source.as_ref().zip(place.source.clone());
        let source = source.map(|(texts, range)| self.check(texts.ids.read(range))).transpose()?;
        Ok((source, self.check(self.stored.target.ids.read(place.target.clone()))?))
    }

    fn check<T>(&self, read: std::io::Result<T>) -> Result<T, TextError> {
        read.map_err(|error| TextError::Damaged { path: self.stored.folder.clone(), reason: error.to_string() })
    }
}

impl Texts {
    /// Where some sequences lie.
    fn places(&self, range: Range<u64>) -> std::io::Result<Vec<Range<u64>>> {
        let block = range.start / BLOCK;
        let lengths = self.lengths.read(block * BLOCK..range.end)?;
        let mut end = self.starts.get(block as usize).copied().unwrap_or(0);
        let places = lengths.into_iter().map(|length| {
            let start = end;
            end += u64::from(length);
            start..end
        });
        Ok(places.skip((range.start - block * BLOCK) as usize).collect())
    }
}

/// Where every block starts.
#[derive(Debug, Default)]
struct Starts {
    blocks: Vec<u64>,
    sequences: u64,
    total: u64,
}

impl Starts {
    fn push(&mut self, length: u32) {
        if self.sequences.is_multiple_of(BLOCK) {
            self.blocks.push(self.total);
        }
        self.sequences += 1;
        self.total += u64::from(length);
    }
}

/// Writes a corpus.
struct Encoder {
    folder: PathBuf,
    source: Option<TextsWriter>,
    target: TextsWriter,
    prompts: Option<Writer>,
    sequences: u64,
}

struct TextsWriter {
    ids: Writer,
    lengths: Writer,
    starts: Starts,
}

impl Encoder {
    fn new(manifest: &Manifest, folder: Option<&Path>) -> std::io::Result<Self> {
        let side = |name: &str, width: usize| -> std::io::Result<TextsWriter> {
            let path = |kind: &str| folder.map(|folder| folder.join(format!("{name}.{kind}")));
            let (ids, lengths) = (Writer::new(path("ids"), width)?, Writer::new(path("lengths"), 4)?);
            Ok(TextsWriter { ids, lengths, starts: Starts::default() })
        };
        let [source, target] = manifest.widths;
        let source = manifest.pairs.then(|| side("source", source)).transpose()?;
        let lengths = || Writer::new(folder.map(|folder| folder.join("prompts.lengths")), 4);
        let prompts = manifest.prompts.then(lengths).transpose()?;
        let target = side("target", target)?;
        Ok(Self { folder: folder.map(Path::to_owned).unwrap_or_default(), source, target, prompts, sequences: 0 })
    }

    fn add(&mut self, source: Option<&[u32]>, target: &[u32]) -> std::io::Result<()> {
        self.sequences += 1;
        if let (Some(writer), Some(ids)) = (&mut self.source, source) {
            writer.add(ids)?;
        }
        self.target.add(target)
    }

    fn add_answer(&mut self, prompt: &[u32], answer: &[u32]) -> std::io::Result<()> {
        if let Some(prompts) = &mut self.prompts {
            prompts.extend(&[u32::try_from(prompt.len()).map_err(std::io::Error::other)?])?;
        }
        self.add(None, &[prompt, answer].concat())
    }

    fn finish(self, manifest: &Manifest) -> std::io::Result<Corpus> {
        let source = self.source.map(TextsWriter::finish).transpose()?;
        let prompts = self.prompts.map(Writer::finish).transpose()?;
        let Manifest { continuous, left_out, .. } = *manifest;
        let target = self.target.finish()?;
        Corpus::whole(Stored { folder: self.folder, continuous, source, target, prompts, left_out })
    }
}

impl TextsWriter {
    fn add(&mut self, ids: &[u32]) -> std::io::Result<()> {
        let length = u32::try_from(ids.len()).map_err(std::io::Error::other)?;
        self.starts.push(length);
        self.lengths.extend(&[length])?;
        self.ids.extend(ids)
    }

    fn finish(self) -> std::io::Result<Texts> {
        Ok(Texts { ids: self.ids.finish()?, lengths: self.lengths.finish()?, starts: self.starts.blocks })
    }
}
