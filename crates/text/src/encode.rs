//! Writing a corpus: what of a text is kept, and what is counted.

use crate::continuous::{Continuous, Portion};
use crate::corpus::data::{CorpusData, CorpusSide, EXAMPLES, Manifest, PIECES, PROMPTS, REJECTED, WEIGHTS, checksum};
use crate::list_writer::ListWriter;
use crate::records::PassedOver;
use crate::report::{Report, SideReport};
use crate::storage::{Storage, Writer};
use crate::token_links::{TokenWords, token_links};
use crate::{
    Example, InputBuilder, MaxLength, Piece, Place, PostProcessor, Source, SpecialTokens, Text, TextError, Tokenizer,
};
use aho_corasick::AhoCorasick;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Bytes of text that are encoded at once.
const PORTION: usize = 1 << 20;

/// Encodes a text into the files of a folder, or into memory.
pub(crate) fn encode(
    text: &Source,
    source: Option<&Tokenizer>,
    target: &Tokenizer,
    max_length: MaxLength,
    manifest: Manifest,
    folder: Option<&Path>,
) -> Result<CorpusData, TextError> {
    text.check_files()?;
    let before = text.files().into_iter().map(state).collect::<Result<Vec<_>, _>>()?;
    let mut manifest = manifest;
    manifest.texts = text.files().into_iter().map(checksum).collect::<Result<_, _>>()?;
    manifest.report.files = text.place_names();
    let corpora = text.corpora();
    if corpora.len() > 1 {
        manifest.corpora = vec![0; corpora.len()];
    }
    let mut encoder = Encoder::new(source, target, max_length, manifest, folder)?;
    encoder.parts = text.parts().into_iter().map(|part| part.path().to_owned()).collect();
    // Which corpus a file is of.
    encoder.corpus_of = (0..).zip(corpora).flat_map(|(corpus, files)| vec![corpus; files]).collect();
    if encoder.continuous.is_some() {
        encoder.add_special(|around| &around.prefix)?;
    }
    let mut examples = text.for_tokenizers(source, target).examples()?;
    let attributes = text.control().map_or(0, |control| control.attributes.len());
    let (mut portion, mut bytes) = (Vec::new(), 0);
    while let Some(example) = examples.next().transpose()? {
        let is_unlabelled = example.attributes().len() < attributes;
        encoder.manifest.report.unlabelled.add(u64::from(is_unlabelled), example.place);
        let others = [&example.source, &example.rejected].into_iter().flatten().map(Text::len);
        bytes += example.target.len() + others.sum::<usize>();
        portion.push(example);
        if bytes >= PORTION {
            bytes = 0;
            encoder.take(std::mem::take(&mut portion))?;
        }
    }
    encoder.take(portion)?;
    encoder.add(examples.passed_over());
    for (path, before) in text.files().into_iter().zip(before) {
        if state(path)? != before {
            return Err(TextError::Changed { path: path.to_owned() });
        }
    }
    let stored = encoder.finish()?;
    check(text, &stored)?;
    Ok(stored)
}

/// By what one sees that a file was written to.
fn state(path: &Path) -> Result<(u64, Option<std::time::SystemTime>), TextError> {
    let metadata = fs::metadata(path).map_err(|error| TextError::io("read", path, error))?;
    Ok((metadata.len(), metadata.modified().ok()))
}

/// That there is something to learn from.
fn check(text: &Source, stored: &CorpusData) -> Result<(), TextError> {
    let Manifest { report, continuous, sequences, .. } = &stored.manifest;
    let path = text.path().to_owned();
    let ids = stored.target.ids.len().map_err(|error| TextError::io("read", &stored.folder, error))?;
    if *continuous && ids < 2 {
        let reason = "it needs two tokens, one to read and one to predict".to_owned();
        return Err(TextError::TooLittle { path, reason });
    }
    if *sequences == 0 {
        let only_empty = report.source.empty.count.max(report.target.empty.count) == report.left_out;
        return Err(match report.examples == 0 || (only_empty && !text.has_pairs()) {
            true => TextError::Empty { path },
            false => TextError::NothingLeft { name: text.name(), reasons: report.reasons() },
        });
    }
    let files = text.files();
    for (side, file, found) in [("source", files.first(), &report.source), ("target", files.last(), &report.target)] {
        if found.unknown.count > 0 && found.unknown.count * 2 >= found.tokens {
            let one = file.filter(|_| report.files.is_empty());
            return Err(TextError::Unknown {
                name: one.map_or_else(|| text.name(), |path| path.display().to_string()),
                side,
                percent: (100.0 * found.unknown_share()).round() as u8,
                first: found.unknown.first.told(&report.files),
                parts: found.shown_parts(),
            });
        }
    }
    Ok(())
}

/// Writes a corpus.
struct Encoder<'a> {
    source: Option<Side<'a>>,
    target: Side<'a>,
    prompts: Option<Writer>,
    rejected: Option<Writer>,
    weights: Option<Writer>,
    pieces: Option<Writer>,
    links: Option<ListWriter>,
    /// The files of the text, by which places are reported.
    parts: Vec<PathBuf>,
    examples: Option<Writer>,
    max_length: usize,
    builder: InputBuilder,
    continuous: Option<Continuous<'a>>,
    manifest: Manifest,
    folder: PathBuf,
    corpus_of: Vec<usize>,
}

/// Of one side, what makes its ids, and where they go.
struct Side<'a> {
    tokenizer: &'a Tokenizer,
    /// Names of control tokens, where there are any.
    names: Option<AhoCorasick>,
    lists: ListWriter,
}

impl<'a> Side<'a> {
    fn new(tokenizer: &'a Tokenizer, name: &str, width: usize, folder: Option<&Path>) -> io::Result<Self> {
        let names: Vec<String> = tokenizer.control_names().into_iter().filter(|name| !name.is_empty()).collect();
        let names = (!names.is_empty()).then(|| AhoCorasick::new(names)).transpose().map_err(io::Error::other)?;
        Ok(Self { tokenizer, names, lists: ListWriter::new(folder, name, width)? })
    }

    fn add(&mut self, ids: &[u32]) -> io::Result<()> {
        self.lists.add(ids)
    }

    /// Adds what of a text that is kept is worth a word.
    fn report(&self, report: &mut SideReport, text: &Text, ids: &[u32], place: Place) -> Result<(), TextError> {
        report.tokens += ids.len() as u64;
        let unknown = self.unknown();
        let count = ids.iter().filter(|&&id| Some(id) == unknown).count();
        report.unknown.add(count as u64, place);
        if count > 0 && report.wants_parts() {
            report.add_parts(self.tokenizer.unknown_parts(&text.said())?);
        }
        self.report_names(report, text, place);
        Ok(())
    }

    /// The same of a part of a continuous text.
    fn report_portion(&self, report: &mut SideReport, portion: &Portion<'_>) {
        report.tokens += portion.ids.len() as u64;
        for (part, place) in self.unknown().into_iter().flat_map(|unknown| portion.parts(unknown)) {
            report.unknown.add(1, place);
            if report.wants_parts() {
                report.add_parts(vec![part]);
            }
        }
    }

    fn report_names(&self, report: &mut SideReport, text: &Text, place: Place) {
        let said = text.said();
        let named = self.names.as_ref().is_some_and(|names| names.is_match(said.as_bytes()));
        report.control.add(u64::from(named), place);
    }

    /// Some models from elsewhere have no token of its own for what is unknown.
    fn unknown(&self) -> Option<u32> {
        let SpecialTokens { unknown, eos: ends, .. } = self.tokenizer.special();
        unknown.filter(|unknown| !ends.contains(unknown))
    }
}

impl<'a> Encoder<'a> {
    fn new(
        source: Option<&'a Tokenizer>,
        target: &'a Tokenizer,
        max_length: MaxLength,
        mut manifest: Manifest,
        folder: Option<&Path>,
    ) -> Result<Self, TextError> {
        let write = |error| TextError::io("write the encoded text in", folder.unwrap_or(Path::new("")), error);
        let limited = !manifest.continuous && max_length.tokens < usize::MAX;
        manifest.report.max_length = limited.then_some(max_length.tokens as u64);
        let [width, target_width] = manifest.widths();
        let special = [source.unwrap_or(target), target].map(|tokenizer| tokenizer.special().clone());
        let side = |tokenizer, name, width| Side::new(tokenizer, name, width, folder).map_err(write);
        let numbers = |name: &str| Writer::new(folder.map(|folder| folder.join(name)), 4).map_err(write);
        Ok(Self {
            source: source.map(|tokenizer| side(tokenizer, "source", width)).transpose()?,
            target: side(target, "target", target_width)?,
            prompts: manifest.prompts.then(|| numbers(PROMPTS)).transpose()?,
            rejected: manifest.preferences.then(|| numbers(REJECTED)).transpose()?,
            links: manifest.links.then(|| ListWriter::new(folder, "links", 4)).transpose().map_err(write)?,
            parts: Vec::new(),
            pieces: manifest.pieces.then(|| numbers(PIECES)).transpose()?,
            weights: manifest.weights.then(|| numbers(WEIGHTS)).transpose()?,
            examples: (!manifest.continuous).then(|| numbers(EXAMPLES)).transpose()?,
            max_length: max_length.tokens,
            continuous: manifest.continuous.then(|| Continuous::new(target)),
            builder: InputBuilder::new(&special, manifest.pairs, manifest.conversations),
            manifest,
            folder: folder.map(Path::to_owned).unwrap_or_default(),
            corpus_of: Vec::new(),
        })
    }

    /// Adds what was passed over as it was read.
    fn add(&mut self, PassedOver { large, examples, columns, blank, filtered }: PassedOver) {
        let report = &mut self.manifest.report;
        report.examples += examples;
        report.left_out += examples;
        [report.source.large, report.target.large] = large;
        report.target.columns = columns;
        (report.blank, report.filtered) = (blank, filtered);
    }

    /// Encodes some of the text, and keeps what is neither empty nor too long.
    fn take(&mut self, portion: Vec<Example>) -> Result<(), TextError> {
        if self.continuous.is_some() {
            return portion.iter().try_for_each(|example| self.go_on(example));
        }
        let reader = self.source.as_ref().map(|side| side.tokenizer);
        let reader = reader.or(self.prompts.is_some().then_some(self.target.tokenizer));
        let texts = |pick: fn(&Example) -> Option<&Text>| portion.iter().filter_map(pick).cloned().collect::<Vec<_>>();
        let targets = self.target.tokenizer.encode_all(&texts(|example| Some(&example.target)))?;
        let mut rejected = self.target.tokenizer.encode_all(&texts(|example| example.rejected.as_ref()))?.into_iter();
        let sources = reader.map(|reader| reader.encode_all(&texts(|example| example.source.as_ref()))).transpose()?;
        for (i, (example, target)) in portion.iter().zip(&targets).enumerate() {
            let source = sources.as_ref().map(|sources| sources[i].as_slice());
            let rejected = example.rejected.is_some().then(|| rejected.next().unwrap_or_default());
            self.take_one(example, source, target, rejected)?;
        }
        Ok(())
    }

    /// What a tokenizer from elsewhere puts before a text, or after it, it puts around a continuous one.
    fn add_special(&mut self, side: fn(&PostProcessor) -> &Vec<u32>) -> Result<(), TextError> {
        let ids = self.target.tokenizer.special().post_processor.as_ref().map(side).filter(|ids| !ids.is_empty());
        let added = ids.map_or(Ok(()), |ids| self.target.add(ids));
        added.map_err(|error| TextError::io("write the encoded text in", &self.folder, error))
    }

    /// Goes on with a continuous text.
    fn go_on(&mut self, example: &Example) -> Result<(), TextError> {
        let report = &mut self.manifest.report;
        report.examples += 1;
        self.target.report_names(&mut report.target, &example.target, example.place);
        let (text, place) = (example.target.to_string(), example.place);
        self.stream(|continuous, portion| continuous.push(&text, place, portion))
    }

    /// Lets a continuous text add what of it is certain.
    fn stream(
        &mut self,
        go_on: impl FnOnce(
            &mut Continuous<'a>,
            &mut dyn FnMut(Portion<'_>) -> Result<(), TextError>,
        ) -> Result<(), TextError>,
    ) -> Result<(), TextError> {
        let Self { continuous, target, manifest, folder, .. } = self;
        let write = |error| TextError::io("write the encoded text in", folder, error);
        let mut add = |portion: Portion<'_>| {
            target.report_portion(&mut manifest.report.target, &portion);
            if portion.ids.is_empty() { Ok(()) } else { target.add(&portion.ids).map_err(write) }
        };
        continuous.as_mut().map_or(Ok(()), |continuous| go_on(continuous, &mut add))
    }

    fn take_one(
        &mut self,
        example: &Example,
        source: Option<&[u32]>,
        target: &[u32],
        rejected: Option<Vec<u32>>,
    ) -> Result<(), TextError> {
        let (place, max_length) = (example.place, self.max_length);
        let folder = self.folder.clone();
        let write = |error| TextError::io("write the encoded text in", &folder, error);
        let Report {
            examples,
            left_out,
            source: source_report,
            target: target_report,
            lengths,
            same,
            weightless,
            parted,
            ..
        } = &mut self.manifest.report;
        let number = *examples;
        *examples += 1;
        let (mut source, mut target, mut rejected) = (source, target, rejected.as_deref());
        let mut prompt_length = 0;
        let special = self.target.tokenizer.special();
        if let (Some(prompt), true) = (source, self.manifest.prompts) {
            let (prompt, answer) = special.trim_turn(prompt, target);
            // Templates write the end themselves, and a line end after it: only more than that is lost.
            let rest = self.target.tokenizer.decode(&target[answer.len()..])?;
            target_report.cut.add(u64::from(!rest.trim().is_empty()), place);
            rejected = rejected.map(|rejected| special.trim_turn(prompt, rejected).1);
            (source, target, prompt_length) = (Some(prompt), answer, prompt.len());
        }
        // The longer of the two.
        let answer = target.len().max(rejected.map_or(0, <[u32]>::len));
        let whole = prompt_length + answer;
        // Attributes alone are no text.
        let [of_source, of_target] =
            [example.source.as_ref(), Some(&example.target)].map(|text| text.map_or(0, |text| text.attributes().len()));
        let says_nothing = |ids: &[u32]| {
            ids[of_target.min(ids.len())..].iter().all(|id| special.eos.contains(id))
                || self.builder.target_tokens((prompt_length + ids.len()).saturating_sub(of_target)) == 0
        };
        let is_empty = says_nothing(target) || rejected.is_some_and(says_nothing);
        let empty = [source.is_some_and(|ids| ids.len() == of_source) && !self.manifest.prompts, is_empty];
        let is_cut = self.pieces.is_some() && whole > max_length && max_length > 0;
        let long = [source.is_some_and(|ids| ids.len() > max_length), whole > max_length && !is_cut];
        for (report, empty, long) in
            [(&mut *source_report, empty[0], long[0]), (&mut *target_report, empty[1], long[1])]
        {
            report.empty.add(u64::from(empty), place);
            report.long.add(u64::from(long), place);
        }
        let are_same = rejected == Some(target) && !is_empty;
        same.add(u64::from(are_same), place);
        let is_weightless = example.weight == Some(0.0);
        weightless.add(u64::from(is_weightless), place);
        if are_same || is_weightless || [empty, long].concat().contains(&true) {
            *left_out += 1;
            return Ok(());
        }
        parted.add(u64::from(is_cut), place);
        lengths.add(source.map(<[u32]>::len), answer.min(max_length), whole.min(max_length));
        let pieces = if is_cut { whole.div_ceil(max_length) } else { 1 };
        self.manifest.sequences += pieces as u64;
        let corpus = self.corpus_of.get(place.file as usize);
        corpus
            .and_then(|corpus| self.manifest.corpora.get_mut(*corpus))
            .into_iter()
            .for_each(|count| *count += pieces as u64);
        self.target.report(target_report, &example.target, target, place)?;
        if let (Some(ids), Some(text)) = (rejected, &example.rejected) {
            self.target.report(target_report, text, ids, place)?;
        }
        if let (Some(ids), Some(text)) = (source, &example.source) {
            self.source.as_ref().unwrap_or(&self.target).report(source_report, text, ids, place)?;
        }
        if let Some(examples) = &mut self.examples {
            let number = u32::try_from(number).map_err(|error| write(io::Error::other(error)))?;
            examples.extend(&vec![number; pieces]).map_err(write)?;
        }
        if let Some(weights) = &mut self.weights {
            self.manifest.report.unweighted.add(u64::from(example.weight.is_none()), place);
            weights.extend(&vec![example.weight.unwrap_or(1.0).to_bits(); pieces]).map_err(write)?;
        }
        if let Some(stored) = &mut self.pieces {
            for start in (0..target.len()).step_by(max_length.max(1)) {
                let end = target.len().min(start.saturating_add(max_length));
                let piece = Piece { continues: start > 0, goes_on: end < target.len() };
                stored.extend(&[piece.bits()]).map_err(write)?;
                self.target.add(&target[start.saturating_sub(1)..end]).map_err(write)?;
            }
            return Ok(());
        }
        if let Some(writer) = &mut self.links {
            let links = match (&example.alignment, &example.source, &self.source) {
                (Some(links), Some(text), Some(side)) => {
                    let words = [
                        &TokenWords::new(side.tokenizer, text)?,
                        &TokenWords::new(self.target.tokenizer, &example.target)?,
                    ];
                    let path = || self.parts.get(place.file as usize).cloned().unwrap_or_default();
                    let wrong = |reason| TextError::Example { path: path(), line: place.line, reason };
                    token_links(links, words).map_err(wrong)?
                }
                _ => Vec::new(),
            };
            self.manifest.report.unaligned.add(u64::from(links.is_empty()), place);
            writer.add(links.as_flattened()).map_err(write)?;
        }
        let rejected = rejected.unwrap_or_default();
        if let Some(lengths) = &mut self.rejected {
            lengths.extend(&[rejected.len() as u32]).map_err(write)?;
        }
        match (&mut self.source, &mut self.prompts, source) {
            (Some(side), _, Some(ids)) => side.add(ids).map_err(write)?,
            (None, Some(prompts), Some(prompt)) => {
                prompts.extend(&[prompt.len() as u32]).map_err(write)?;
                return self.target.add(&[prompt, target, rejected].concat()).map_err(write);
            }
            _ => {}
        }
        self.target.add(&[target, rejected].concat()).map_err(write)
    }

    fn finish(mut self) -> Result<CorpusData, TextError> {
        self.stream(|continuous, portion| continuous.finish(portion))?;
        if self.continuous.is_some() {
            self.add_special(|around| &around.suffix)?;
        }
        let Self { source, target, prompts, rejected, weights, pieces, links, examples, mut manifest, folder, .. } =
            self;
        let on_disk = !folder.as_os_str().is_empty();
        let mut finish = |name: &str, writer: Writer| -> Result<Storage, TextError> {
            let finished = writer.finish().map_err(|error| TextError::io("write the encoded text in", &folder, error));
            let (storage, checksum) = finished?;
            if on_disk {
                manifest.files.insert(name.to_owned(), checksum);
            }
            Ok(storage)
        };
        let mut lists = |name: &str, ListWriter { numbers, lengths, starts }: ListWriter| {
            let ids = finish(&format!("{name}.ids"), numbers)?;
            let lengths = finish(&format!("{name}.lengths"), lengths)?;
            Ok::<_, TextError>(CorpusSide { ids, lengths, starts: starts.blocks })
        };
        let source = source.map(|texts| lists("source", texts.lists)).transpose()?;
        let target = lists("target", target.lists)?;
        let links = links.map(|writer| lists("links", writer)).transpose()?;
        let prompts = prompts.map(|writer| finish(PROMPTS, writer)).transpose()?;
        let rejected = rejected.map(|writer| finish(REJECTED, writer)).transpose()?;
        let weights = weights.map(|writer| finish(WEIGHTS, writer)).transpose()?;
        let pieces = pieces.map(|writer| finish(PIECES, writer)).transpose()?;
        let examples = examples.map(|writer| finish(EXAMPLES, writer)).transpose()?;
        if manifest.continuous {
            manifest.sequences = target.lengths.len().map_err(|error| TextError::io("read", &folder, error))?;
        }
        Ok(CorpusData { folder, manifest, source, target, prompts, rejected, weights, pieces, links, examples })
    }
}
