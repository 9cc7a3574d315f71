//! What a corpus consists of, and its manifest.

use crate::storage::{Checksum, Storage};
use crate::{Piece, Report, TextError, open_file, read_file};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Consecutive sequences that are read together.
pub(crate) const BLOCK: u64 = 256;
pub(super) const MANIFEST: &str = "corpus.json";
/// The version of the format that is written, and the only one that is read.
pub(super) const FORMAT: u32 = 2;
/// What a corpus consists of.
#[derive(Debug)]
pub(crate) struct CorpusData {
    pub(crate) folder: PathBuf,
    pub(crate) manifest: Manifest,
    pub(crate) source: Option<CorpusSide>,
    pub(crate) target: CorpusSide,
    /// How long the prompt is with which a target begins.
    pub(crate) prompts: Option<Storage>,
    /// How long what is rejected is, with which a target ends.
    pub(crate) rejected: Option<Storage>,
    /// The weight of each sequence, as the bits of a number.
    pub(crate) weights: Option<Storage>,
    /// Which piece of its text each sequence is.
    pub(crate) pieces: Option<Storage>,
    /// The links of the tokens of each sequence: two numbers for each.
    pub(crate) links: Option<CorpusSide>,
    /// Which of the text's examples a sequence is; none where it is each.
    pub(crate) examples: Option<Storage>,
}

/// One side: all ids end to end, the length of every sequence, and where every block of sequences starts.
#[derive(Debug)]
pub(crate) struct CorpusSide {
    pub(crate) ids: Storage,
    pub(crate) lengths: Storage,
    pub(crate) starts: Vec<u64>,
}

/// What is needed to open the files again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) format: u32,
    pub(crate) continuous: bool,
    pub(crate) pairs: bool,
    /// Whether targets begin with a prompt.
    pub(crate) prompts: bool,
    /// Whether targets end with what is rejected in their favour.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) preferences: bool,
    /// Whether sequences have weights.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) weights: bool,
    /// Whether long texts are cut into pieces.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) pieces: bool,
    /// Whether tokens of sources and targets have links.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) links: bool,
    /// Whether a chat template wrote them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) conversations: bool,
    /// Entries of the tokenizer of either side.
    pub(crate) vocabularies: [usize; 2],
    /// Control tokens of attributes, which sequences begin with; of pairs, their sources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) control: Vec<u32>,
    pub(crate) sequences: u64,
    /// Those of each corpus, where it is made of several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) corpora: Vec<u64>,
    pub(crate) report: Report,
    /// The files of the text as they were encoded.
    pub(crate) texts: Vec<Checksum>,
    /// The corpus's own files.
    pub(crate) files: BTreeMap<String, Checksum>,
    /// CRC-32 of this manifest without this line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) checksum: Option<u32>,
}

/// Where a sequence lies.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SequenceSpan {
    pub(crate) source: Option<Range<u64>>,
    pub(crate) target: Range<u64>,
    /// Tokens of the target that are a prompt.
    pub(crate) prompt: usize,
    /// Tokens of the target, at its end, that are rejected in favour of those between; 0 where it is no preference.
    pub(crate) rejected: usize,
    /// How much it counts.
    pub(crate) weight: f32,
    /// Which piece of its text it is.
    pub(crate) piece: Piece,
    /// Where its links lie.
    pub(crate) links: Option<Range<u64>>,
    /// In which epoch of its corpus it comes there, where corpora are mixed: in one of all, it may come several times.
    pub(crate) own_epoch: Option<u64>,
}

/// By which a file of a text is known again.
pub(crate) fn checksum(path: &Path) -> Result<Checksum, TextError> {
    let checksum = open_file(path).and_then(|file| Checksum::of(&file, |_| ()));
    checksum.map_err(|error| TextError::io("read", path, error))
}

impl Manifest {
    /// Bytes of an id, on either side.
    pub(crate) fn widths(&self) -> [usize; 2] {
        self.vocabularies.map(|entries| if entries <= 1 << 16 { 2 } else { 4 })
    }

    /// The same with its checksum, as JSON.
    pub(crate) fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let checksum = Some(crc32fast::hash(&serde_json::to_vec(&Self { checksum: None, ..self.clone() })?));
        serde_json::to_vec(&Self { checksum, ..self.clone() })
    }

    pub(super) fn read(folder: &Path) -> Result<Self, TextError> {
        let damaged = |reason: String| TextError::Damaged { path: folder.to_owned(), reason };
        let json = read_file(&folder.join(MANIFEST)).map_err(|error| damaged(error.to_string()))?;
        let wrong = |error: serde_json::Error| damaged(format!("{MANIFEST}: {error}"));
        /// What a manifest of any format has.
        #[derive(Deserialize)]
        struct Format {
            #[serde(default)]
            format: u32,
        }
        let Format { format } = serde_json::from_slice(&json).map_err(wrong)?;
        if format != FORMAT {
            return Err(damaged(format!("{MANIFEST} has format {format}, and this program reads {FORMAT}")));
        }
        let mut manifest: Self = serde_json::from_slice(&json).map_err(wrong)?;
        let checksum = manifest.checksum.take();
        match checksum == Some(crc32fast::hash(&serde_json::to_vec(&manifest).map_err(wrong)?)) {
            true => Ok(manifest),
            false => Err(damaged(format!("{MANIFEST} is not what was written: its checksum is another"))),
        }
    }
}

impl CorpusSide {
    /// Both files, which have to fit together.
    pub(crate) fn new(ids: Storage, lengths: Storage, sequences: u64) -> io::Result<Self> {
        if lengths.len()? != sequences {
            return Err(io::Error::other(format!("its lengths are not those of {sequences} sequences")));
        }
        let mut starts = Starts::default();
        for first in (0..sequences).step_by(1 << 16) {
            let part = lengths.read(first..sequences.min(first + (1 << 16)))?;
            part.into_iter().for_each(|length| starts.push(length));
        }
        if starts.total != ids.len()? {
            return Err(io::Error::other("its ids are not as many as its lengths say"));
        }
        Ok(Self { ids, lengths, starts: starts.blocks })
    }

    /// Where some sequences lie.
    pub(crate) fn places(&self, range: Range<u64>) -> io::Result<Vec<Range<u64>>> {
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
pub(crate) struct Starts {
    pub(crate) blocks: Vec<u64>,
    sequences: u64,
    total: u64,
}

impl Starts {
    pub(crate) fn push(&mut self, length: u32) {
        if self.sequences.is_multiple_of(BLOCK) {
            self.blocks.push(self.total);
        }
        self.sequences += 1;
        self.total += u64::from(length);
    }
}

/// The names of what beside ids and lengths has a file.
pub(crate) const PROMPTS: &str = "prompts.lengths";
pub(crate) const REJECTED: &str = "rejected.lengths";
pub(crate) const WEIGHTS: &str = "weights";
pub(crate) const PIECES: &str = "pieces";
pub(crate) const EXAMPLES: &str = "examples";
