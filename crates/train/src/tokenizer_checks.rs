//! What may be wrong with the tokenizers of a training: of another run, or for its texts.

use descant_inference::{Error, Recipe, Tokenizers};
use descant_models::LossConfig;
use descant_text::{Corpus, TokenizerConfig, TokenizerKind};
use std::path::Path;
use std::sync::Arc;

/// How often a subword has to occur to be learned, at least.
const SELDOM: u64 = 5;
/// Tokens for each entry of a vocabulary of which it is not asked how often each occurs.
const PLENTY: u64 = 200;

/// A line for each token that the loss names and no target has: it acts on nothing.
///
/// # Errors
/// Where the texts cannot be read.
pub(crate) fn idle_tokens(tokenizers: &Tokenizers, loss: &LossConfig, texts: &Corpus) -> Result<Vec<String>, Error> {
    let LossConfig::CrossEntropy { class_weights, ignored, .. } = loss else { return Ok(Vec::new()) };
    // The end comes to every target.
    let end = tokenizers.target.special().first_eos().filter(|_| !texts.is_continuous());
    let named = class_weights.keys().chain(ignored).filter_map(|name| tokenizers.loss_token(name).ok());
    let named: Vec<u32> = named.filter(|&id| Some(id) != end).collect();
    let token = |id: u32| tokenizers.target.token(id).unwrap_or_default();
    let line = |id: u32| format!("[loss] names {:?}, which no target of the training text has.", token(id));
    Ok(texts.without(&named)?.into_iter().map(line).collect())
}

/// What is said of subwords most of which the texts show too seldom to be learned: then texts that are not among them
/// are written wrong.
///
/// # Errors
/// Where the texts cannot be read.
pub(crate) fn rare_subwords(tokenizers: &Tokenizers, recipe: &Recipe, texts: &Corpus) -> Result<Vec<String>, Error> {
    let report = texts.report();
    // Those of a model that training begins with were learned before. Of long texts, most are seen often enough.
    let enough = |tokens: u64, entries: usize| tokens > PLENTY * entries as u64;
    let sizes = tokenizers.sizes();
    if recipe.init.is_some()
        || recipe.distill.is_some()
        || enough(report.source.tokens + report.target.tokens, sizes[0].max(sizes[1]))
    {
        return Ok(Vec::new());
    }
    let [source, mut target] = texts.occurrences(sizes)?;
    let is_shared = tokenizers.source.as_ref().is_some_and(|source| Arc::ptr_eq(source, &tokenizers.target));
    let own = recipe.target_tokenizer.as_ref().unwrap_or(&recipe.tokenizer);
    let mut sides = Vec::new();
    match is_shared {
        true => target.iter_mut().zip(&source).for_each(|(all, more)| *all += more),
        false => sides.extend(tokenizers.source.is_some().then_some((
            "tokenizer",
            " the sources of",
            &recipe.tokenizer,
            source,
        ))),
    }
    let table = if recipe.target_tokenizer.is_some() { "target_tokenizer" } else { "tokenizer" };
    sides.push((table, if sides.is_empty() { "" } else { " the targets of" }, own, target));
    let told = sides.into_iter().filter_map(|(table, side, config, counts)| {
        use TokenizerKind::{Bpe, ByteBpe, Unigram, Wordpiece};
        let used = counts.iter().filter(|&&count| count > 0).count();
        let rare = counts.iter().filter(|&&count| (1..SELDOM).contains(&count)).count();
        let subwords = matches!(config.kind, Bpe | ByteBpe | Unigram | Wordpiece);
        (subwords && 2 * rare > used).then(|| {
            let vocabulary = config.vocabulary;
            format!(
                "{table}.vocabulary = {vocabulary} is too large for{side} this text: of its {used} different subwords, {rare} \
                 occur fewer than {SELDOM} times, and are hardly learned. A smaller vocabulary, or {table}.kind = \
                 \"character\", shows each more often."
            )
        })
    });
    Ok(told.collect())
}

/// That `[tokenizer]` asks for nothing where the tokenizer is another run's, but for tokens to add.
pub(crate) fn check_taken(recipe: &Recipe, theirs: &Recipe, from: &Path) -> Result<(), Error> {
    let both = [
        ("tokenizer", Some(&recipe.tokenizer), Some(&theirs.tokenizer)),
        ("target_tokenizer", recipe.target_tokenizer.as_ref(), theirs.target_tokenizer.as_ref()),
    ];
    for (table, own, theirs) in both {
        let Some(own) = own else { continue };
        let theirs = theirs.cloned().unwrap_or_default();
        let default = TokenizerConfig::default();
        let differs = [
            ("kind", own.kind != default.kind && own.kind != theirs.kind),
            ("vocabulary", own.vocabulary != default.vocabulary && own.vocabulary != theirs.vocabulary),
            ("minimum_count", own.minimum_count != default.minimum_count && own.minimum_count != theirs.minimum_count),
            ("split_digits", own.split_digits && !theirs.split_digits),
            ("vocabulary_file", own.vocabulary_file.is_some() && own.vocabulary_file != theirs.vocabulary_file),
            ("special", own.special.is_some() && own.special != theirs.special),
        ];
        if let Some((key, _)) = differs.iter().find(|(_, differs)| *differs) {
            let reason = format!(
                "{table}.{key}: with init the tokenizer is that of {} (kind = \"{}\"). Leave it out; only {table}.add \
                 adds to it",
                from.display(),
                theirs.kind
            );
            return Err(Error::Recipe { path: "the recipe".into(), reason });
        }
    }
    Ok(())
}
