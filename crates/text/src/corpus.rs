mod counts;
pub(crate) mod data;

use crate::encode::encode;
use crate::storage::Storage;
use crate::{
    ControlConfig, Form, InputBuilder, MaxLength, Piece, Report, Source, SpecialTokens, TextError, Tokenizer, plural,
};
use data::{
    BLOCK, CorpusData, CorpusSide, EXAMPLES, FORMAT, MANIFEST, Manifest, PIECES, PROMPTS, REJECTED, SequenceSpan,
    Starts, WEIGHTS, checksum,
};
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How the names of folders end that are not complete, or no longer.
const PARTIAL: &str = "partial";

/// An encoded text: sequences of ids, each with its source where it has one, or with a prompt as its prefix; or one
/// continuous sequence. The ids lie in files, so that memory does not grow with the text.
#[derive(Clone, Debug)]
pub struct Corpus {
    stored: Arc<CorpusData>,
    /// The sequences of this part; of a continuous text, its ids.
    range: Range<u64>,
}

impl Corpus {
    /// Encodes a text into `folder`, or opens what was encoded there before; without a folder, into memory.
    ///
    /// Pairs and lines of more than `max_length` tokens on either side are left out or cut, and those with an empty side are left out;
    /// [`Corpus::report`] says how many. Of pairs without a tokenizer for the source, a language model's, the source is
    /// the prompt with which the target begins.
    ///
    /// # Errors
    /// What is wrong with the text, by file and line, such as half of its tokens unknown; where the folder cannot be
    /// written, or what is there is damaged or another tokenizer's.
    pub fn encode(
        text: &Source,
        source: Option<&Tokenizer>,
        target: &Tokenizer,
        max_length: impl Into<MaxLength>,
        folder: Option<&Path>,
    ) -> Result<Self, TextError> {
        let max_length = max_length.into();
        let source = source.filter(|_| text.has_pairs());
        let reader = source.unwrap_or(target);
        let tokens = text.control().map_or_else(Vec::new, ControlConfig::tokens);
        let manifest = Manifest {
            format: FORMAT,
            control: tokens.iter().filter_map(|token| reader.id(token)).collect(),
            continuous: text.form() == Form::Continuous,
            pairs: source.is_some(),
            prompts: source.is_none() && text.has_pairs(),
            preferences: text.has_preferences(),
            links: source.is_some() && text.annotations().is_some_and(|annotations| annotations.alignment.is_some()),
            pieces: max_length.cut && text.form() == Form::Texts,
            weights: text.annotations().is_some_and(|annotations| annotations.weight.is_some()),
            conversations: text.form() == Form::Conversations,
            vocabularies: [source.map_or(0, Tokenizer::vocabulary), target.vocabulary()],
            ..Manifest::default()
        };
        let Some(folder) = folder else {
            return Self::whole(encode(text, source, target, max_length, manifest, None)?);
        };
        if Self::is_in(folder) {
            let corpus = Self::open(folder)?;
            let kind = |manifest: &Manifest| {
                let Manifest {
                    vocabularies,
                    continuous,
                    pairs,
                    prompts,
                    preferences,
                    weights,
                    pieces,
                    links,
                    ref control,
                    ..
                } = *manifest;
                (vocabularies, continuous, [pairs, prompts, preferences, weights, pieces, links], control.clone())
            };
            let same = kind(&corpus.stored.manifest) == kind(&manifest);
            // A text that is gone may have been of any kind.
            let same = same || text.files().iter().any(|path| !path.exists());
            let reason = "it is of another kind of text, or of another tokenizer".to_owned();
            return if same { Ok(corpus) } else { Err(TextError::Damaged { path: folder.to_owned(), reason }) };
        }
        // Beside its place, then renamed: it is complete or absent.
        let write = |error| TextError::io("write the encoded text in", folder, error);
        let partial = partial(folder).map_err(write)?;
        let written = encode(text, source, target, max_length, manifest, Some(&partial)).and_then(|stored| {
            let json = stored.manifest.to_json().map_err(|error| write(error.into()))?;
            place(&partial, folder, &json).map_err(write)
        });
        if written.is_err() {
            // What there is of it would only take space.
            let _ = fs::remove_dir_all(&partial);
        }
        written.and_then(|()| Self::open(folder))
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
            CorpusSide { ids: Storage::Memory(ids), lengths: Storage::Memory(lengths), starts: starts.blocks }
        });
        let source = has_sources.then_some(source);
        let sequences = target.lengths.len().unwrap_or(0);
        let manifest = Manifest { sequences, pairs: has_sources, ..Manifest::default() };
        let stored = CorpusData {
            folder: PathBuf::new(),
            manifest,
            source,
            target,
            prompts: None,
            rejected: None,
            weights: None,
            pieces: None,
            links: None,
            examples: None,
        };
        Self { stored: Arc::new(stored), range: 0..sequences }
    }

    /// Whether a text was encoded into `folder`.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(MANIFEST).exists()
    }

    /// What encoding the text in `folder` found, where one is; nothing else of it is read.
    ///
    /// # Errors
    /// Where it is damaged.
    pub fn report_in(folder: &Path) -> Result<Option<Report>, TextError> {
        Self::is_in(folder).then(|| Manifest::read(folder).map(|manifest| manifest.report)).transpose()
    }

    /// Removes what was encoded into `folder`, where anything was, and what is left of attempts that were broken off;
    /// never what others put there. Nobody else may be encoding into it.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn remove(folder: &Path) -> Result<(), TextError> {
        let remove = || {
            if Self::is_in(folder) {
                // Aside first, so that what is left if this is broken off is in nobody's way.
                fs::rename(folder, partial(folder)?)?;
            }
            leftovers(folder)?.iter().try_for_each(fs::remove_dir_all)
        };
        remove().map_err(|error| TextError::io("remove", folder, error))
    }

    fn open(folder: &Path) -> Result<Self, TextError> {
        let damaged = |error: io::Error| TextError::Damaged { path: folder.to_owned(), reason: error.to_string() };
        let manifest = Manifest::read(folder)?;
        let file = |name: &str, width: usize, limit: u64| {
            let checksum = manifest.files.get(name).copied();
            let checksum = checksum.ok_or_else(|| io::Error::other(format!("{MANIFEST} does not name {name}")));
            checksum.and_then(|checksum| Storage::open(&folder.join(name), width, checksum, limit)).map_err(damaged)
        };
        let any = 1 << u32::BITS;
        let ([source_width, target_width], [sources, targets]) = (manifest.widths(), manifest.vocabularies);
        let open = |side: &str, width: usize, entries: usize| {
            let ids = file(&format!("{side}.ids"), width, entries as u64)?;
            let lengths = file(&format!("{side}.lengths"), 4, any)?;
            CorpusSide::new(ids, lengths, manifest.sequences).map_err(damaged)
        };
        let source = manifest.pairs.then(|| open("source", source_width, sources)).transpose()?;
        let target = open("target", target_width, targets)?;
        let numbers = |name: &str| {
            let numbers = file(name, 4, any)?;
            match numbers.len().map_err(damaged)? == manifest.sequences {
                true => Ok(numbers),
                false => Err(damaged(io::Error::other(format!("{name} is not as long as target.lengths")))),
            }
        };
        let prompts = manifest.prompts.then(|| numbers(PROMPTS)).transpose()?;
        let rejected = manifest.preferences.then(|| numbers(REJECTED)).transpose()?;
        let weights = manifest.weights.then(|| numbers(WEIGHTS)).transpose()?;
        let pieces = manifest.pieces.then(|| numbers(PIECES)).transpose()?;
        let links = manifest.links.then(|| open("links", 4, usize::MAX)).transpose()?;
        let examples = manifest.files.contains_key(EXAMPLES).then(|| numbers(EXAMPLES)).transpose()?;
        let folder = folder.to_owned();
        Self::whole(CorpusData {
            folder,
            manifest,
            source,
            target,
            prompts,
            rejected,
            weights,
            pieces,
            links,
            examples,
        })
    }

    fn whole(stored: CorpusData) -> Result<Self, TextError> {
        let len = if stored.manifest.continuous { stored.target.ids.len() } else { stored.target.lengths.len() };
        let damaged = |error: io::Error| TextError::Damaged { path: stored.folder.clone(), reason: error.to_string() };
        let len = len.map_err(damaged)?;
        Ok(Self { stored: Arc::new(stored), range: 0..len })
    }

    /// What encoding the whole text left out, cut or did not know.
    pub fn report(&self) -> &Report {
        &self.stored.manifest.report
    }

    /// That the files of the text, wherever they lie by now, are still what was encoded; one that is gone is not looked at.
    ///
    /// # Errors
    /// [`TextError::Changed`] for the first file that is not, [`TextError::OtherFiles`] where there are more or fewer; where one cannot be
    /// read.
    pub fn check_texts(&self, text: &Source) -> Result<(), TextError> {
        let (files, texts) = (text.files(), &self.stored.manifest.texts);
        if files.len() != texts.len() && files.iter().any(|path| path.exists()) {
            let (name, are) = (text.name(), plural(files.len() as u64, "file"));
            return Err(TextError::OtherFiles { name, are, were: texts.len() });
        }
        for (path, was) in files.into_iter().zip(texts).filter(|(path, _)| path.exists()) {
            if checksum(path)? != *was {
                return Err(TextError::Changed { path: path.to_owned() });
            }
        }
        Ok(())
    }

    /// What the ids are known by: a checksum over all of them. None in memory.
    pub(crate) fn checksum(&self) -> Option<u32> {
        let files = &self.stored.manifest.files;
        let json = (!files.is_empty()).then(|| serde_json::to_vec(files).unwrap_or_default());
        json.map(|json| crc32fast::hash(&json))
    }

    /// Which examples of the text this part's sequences are, from 0 in the order of [`Source::examples`]; each once.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn examples(&self) -> Result<Vec<u64>, TextError> {
        match &self.stored.examples {
            Some(examples) => {
                let mut numbers = self.check(examples.read(self.range.clone()))?;
                numbers.dedup();
                Ok(numbers.into_iter().map(u64::from).collect())
            }
            None => Ok(self.range.clone().collect()),
        }
    }

    /// Whether it is one continuous text.
    pub fn is_continuous(&self) -> bool {
        self.stored.manifest.continuous
    }

    /// Whether each of its targets has one that is rejected beside it.
    pub fn has_preferences(&self) -> bool {
        self.stored.manifest.preferences
    }

    /// Whether its sequences have weights.
    pub(crate) fn has_weights(&self) -> bool {
        self.stored.manifest.weights
    }

    /// Adds special tokens to its sequences, for the tokenizers of source and target.
    /// These have sources, or get them.
    pub(crate) fn input_builder(&self, special: &[SpecialTokens; 2], has_sources: bool) -> InputBuilder {
        let Manifest { pairs, conversations, .. } = self.stored.manifest;
        InputBuilder::new(special, pairs || has_sources, conversations)
    }

    /// How many sequences each of the corpora has that it is made of.
    pub fn sizes(&self) -> &[u64] {
        &self.stored.manifest.corpora
    }

    /// The control tokens that sequences begin with; of pairs, their sources.
    pub(crate) fn control(&self) -> &[u32] {
        &self.stored.manifest.control
    }

    /// How many sequences; of a continuous text, how many ids.
    pub fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// Those of these tokens that no target has.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn without(&self, tokens: &[u32]) -> Result<Vec<u32>, TextError> {
        let mut missing = tokens.to_vec();
        let ids = &self.stored.target.ids;
        let all = self.check(ids.len())?;
        for first in (0..all).step_by(1 << 20) {
            if missing.is_empty() {
                break;
            }
            let part = self.check(ids.read(first..all.min(first + (1 << 20))))?;
            missing.retain(|id| !part.contains(id));
        }
        Ok(missing)
    }

    /// Cuts off `share` of it, from its end.
    #[must_use]
    pub fn split(&self, share: f64) -> (Self, Self) {
        let cut = self.range.end - ((self.len() as f64 * share).round() as u64).min(self.len());
        let part = |range| Self { stored: self.stored.clone(), range };
        (part(self.range.start..cut), part(cut..self.range.end))
    }

    /// Where the sequences of a block lie.
    pub(crate) fn places(&self, block: u64) -> Result<Vec<SequenceSpan>, TextError> {
        let first = self.range.start + block * BLOCK;
        self.spans(first..self.range.end.min(first + BLOCK))
    }

    /// Where these sequences lie, by their numbers in ascending order.
    pub(crate) fn places_of(&self, numbers: &[u64]) -> Result<Vec<SequenceSpan>, TextError> {
        let mut places = Vec::with_capacity(numbers.len());
        // Lengths are added up from the start of a block on.
        let block = |number: &u64| (self.range.start + number) / BLOCK;
        for numbers in numbers.chunk_by(|one, other| block(one) == block(other)) {
            let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
            let spans = self.spans(self.range.start + first..self.range.start + last + 1)?;
            places.extend(numbers.iter().filter_map(|number| spans.get((number - first) as usize).cloned()));
        }
        Ok(places)
    }

    /// Where the sequences of a range lie.
    fn spans(&self, range: Range<u64>) -> Result<Vec<SequenceSpan>, TextError> {
        let side = |texts: &CorpusSide| self.check(texts.places(range.clone()));
        let targets = side(&self.stored.target)?;
        let sources = self.stored.source.as_ref().map(side).transpose()?;
        let links = self.stored.links.as_ref().map(side).transpose()?;
        let numbers = |storage: &Option<Storage>| {
            storage.as_ref().map(|numbers| self.check(numbers.read(range.clone()))).transpose()
        };
        let CorpusData { prompts, rejected, weights, pieces, .. } = &*self.stored;
        let (prompts, rejected) = (numbers(prompts)?, numbers(rejected)?);
        let (weights, pieces) = (numbers(weights)?, numbers(pieces)?);
        let number = |numbers: &Option<Vec<u32>>, i: usize| numbers.as_ref().map_or(0, |numbers| numbers[i] as usize);
        let place = |(i, target): (usize, Range<u64>)| SequenceSpan {
            source: sources.as_ref().map(|sources| sources[i].clone()),
            target,
            prompt: number(&prompts, i),
            rejected: number(&rejected, i),
            weight: weights.as_ref().map_or(1.0, |weights| f32::from_bits(weights[i])),
            links: links.as_ref().map(|links| links[i].clone()),
            piece: Piece::of(number(&pieces, i) as u32),
            own_epoch: None,
        };
        let places: Vec<SequenceSpan> = targets.into_iter().enumerate().map(place).collect();
        let short = |place: &SequenceSpan| {
            place.prompt.saturating_add(place.rejected) as u64 > place.target.end - place.target.start
        };
        if places.iter().any(short) {
            return self.check(Err(io::Error::other("a prompt, or what is rejected, is longer than its sequence")));
        }
        Ok(places)
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
    pub(crate) fn read(&self, place: &SequenceSpan) -> Result<(Option<Vec<u32>>, Vec<u32>), TextError> {
        let source = self.stored.source.as_ref().zip(place.source.clone());
        let source = source.map(|(texts, range)| self.check(texts.ids.read(range))).transpose()?;
        Ok((source, self.check(self.stored.target.ids.read(place.target.clone()))?))
    }

    /// The links of the tokens of a place, of its source and its target.
    pub(crate) fn links(&self, place: &SequenceSpan) -> Result<Vec<[u32; 2]>, TextError> {
        let Some((links, range)) = self.stored.links.as_ref().zip(place.links.clone()) else { return Ok(Vec::new()) };
        let numbers = self.check(links.ids.read(range))?;
        Ok(numbers.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect())
    }

    /// Whether its sequences have links.
    pub(crate) fn has_links(&self) -> bool {
        self.stored.manifest.links
    }

    fn check<T>(&self, read: io::Result<T>) -> Result<T, TextError> {
        read.map_err(|error| TextError::Damaged { path: self.stored.folder.clone(), reason: error.to_string() })
    }
}

/// A fresh folder beside `folder`, that no other process writes into.
fn partial(folder: &Path) -> io::Result<PathBuf> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    for number in 0.. {
        let place = folder.with_file_name(format!("{name}.{}-{number}.{PARTIAL}", std::process::id()));
        match fs::create_dir(&place) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| place),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// What [`partial`] made for `folder`, and was not completed.
fn leftovers(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let Some(parent) = folder.parent().filter(|parent| parent.is_dir()) else { return Ok(Vec::new()) };
    let first = format!("{}.", folder.file_name().unwrap_or_default().to_string_lossy());
    let mut found = Vec::new();
    for entry in fs::read_dir(parent)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number = name.strip_prefix(&first).and_then(|rest| rest.strip_suffix(PARTIAL));
        if number.is_some_and(|number| number.chars().all(|c| c.is_ascii_digit() || "-.".contains(c))) {
            found.push(path);
        }
    }
    Ok(found)
}

/// Puts a corpus into its place. One that another process put there meanwhile stays.
fn place(partial: &Path, folder: &Path, manifest: &[u8]) -> io::Result<()> {
    let path = partial.join(MANIFEST);
    fs::write(&path, manifest)?;
    File::open(&path)?.sync_all()?;
    File::open(partial)?.sync_all()?;
    if let Err(error) = fs::rename(partial, folder) {
        return if Corpus::is_in(folder) { fs::remove_dir_all(partial) } else { Err(error) };
    }
    folder.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}
