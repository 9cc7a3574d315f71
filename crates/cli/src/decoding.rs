//! The flags of decoding options, made from their table.

use crate::report::note;
use crate::shell::command;
use crate::text_list::text_list;
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches, value_parser};
use descant_generate::{
    DecodingOption, DecodingOptions, GenerationConfig, Group, Mode, OPTIONS, RowError, ValueType, find_option,
};
use descant_inference::{Error, Trained};
use descant_kernels::Parallelism;
use serde_json::Value;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Decoding options: how the next token is chosen, and when generation stops.
#[derive(Clone, Default)]
pub(crate) struct Decoding {
    /// Those that were given, with their values.
    given: Vec<(&'static DecodingOption, Vec<String>)>,
    greedy: bool,
    draft_model: Option<PathBuf>,
    short_list: Option<PathBuf>,
    steer: Option<String>,
    classifier: Option<PathBuf>,
}

const GREEDY: &str = "greedy";
const DRAFT_MODEL: &str = "draft_model";
const SHORT_LIST: &str = "short_list";
const STEER: &str = "steer";
const CLASSIFIER: &str = "classifier";

impl clap::Args for Decoding {
    fn augment_args(command: Command) -> Command {
        let greedy = Arg::new(GREEDY)
            .long(GREEDY)
            .action(ArgAction::SetTrue)
            .conflicts_with_all(["temperature", "top_k", "top_p", "num_beams", "penalty_alpha"])
            .help_heading(Group::Sampling.heading())
            .help(
                "Greedy decoding: always the most likely token (the default for encoder-decoders, and language models trained on \
                 prompts or conversations)",
            );
        let draft_model = Arg::new(DRAFT_MODEL)
            .long("draft-model")
            .value_name("RUN")
            .value_parser(value_parser!(PathBuf))
            .help_heading(Group::Length.heading())
            .help(
                "Speculative decoding: a smaller Transformer with the same tokenizer, a run or a checkpoint, which guesses tokens in \
                 greedy decoding and sampling of one text. The text and its score stay the same, bit by bit; where most guesses are right, \
                 it is faster (Leviathan et al. 2023, arXiv 2211.17192)",
            );
        let short_list = Arg::new(SHORT_LIST)
            .long("short-list")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help_heading(Group::Tokens.heading())
            .help(
                "Of an encoder-decoder, score only the tokens that this short list has for those of the source: a file that descant \
                 short-list has learnt, or a vmap of CTranslate2. The output layer is faster, and a token that is not in the list never comes",
            );
        let steer = Arg::new(STEER).long(STEER).value_name("LABEL").help_heading(Group::Control.heading()).help(
            "Attribute steering: shift the hidden state of each token towards this label, by the gradient of a classifier that descant \
             classifier has learnt (Dathathri et al. 2020, arXiv 1912.02164). Of the text so far, the last hidden state alone is shifted",
        );
        let classifier = Arg::new(CLASSIFIER)
            .long(CLASSIFIER)
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .requires(STEER)
            .help_heading(Group::Control.heading())
            .help("The classifier of --steer [default: classifier.json in the run folder]");
        command.args(OPTIONS.iter().map(argument)).args([greedy, draft_model, short_list, steer, classifier])
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Decoding {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let values = |option: &'static DecodingOption| {
            Some((option, matches.get_many::<String>(option.name)?.cloned().collect::<Vec<_>>()))
        };
        Ok(Self {
            given: OPTIONS.iter().filter_map(values).collect(),
            greedy: matches.get_flag(GREEDY),
            draft_model: matches.get_one(DRAFT_MODEL).cloned(),
            short_list: matches.get_one(SHORT_LIST).cloned(),
            steer: matches.get_one(STEER).cloned(),
            classifier: matches.get_one(CLASSIFIER).cloned(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The flag of an option.
pub(crate) fn flag(name: &str) -> String {
    format!("--{}", name.replace('_', "-"))
}

fn argument(option: &'static DecodingOption) -> Arg {
    let dashed = |name: &str| name.replace('_', "-");
    let default = option.default.trim_start_matches('(').trim_end_matches(')');
    // Words stand without quotes; texts keep theirs.
    let default = if default.starts_with('[') { default.to_owned() } else { default.replace('"', "") };
    let default = if matches!(&default[..], "[]" | "none") { String::new() } else { format!(" [default: {default}]") };
    let help = option.help().trim_end_matches('.');
    let repeated = match option.value {
        ValueType::Texts => {
            r#" (may be repeated, or a list in JSON, such as '["a", "b"]'; \n, \t, \r and \\ are escapes)"#.to_owned()
        }
        ValueType::TokenIds => " (such as 5,9; may be repeated)".to_owned(),
        of => of.example().map_or_else(String::new, |example| format!(" (such as '{example}')")),
    };
    let argument = Arg::new(option.name)
        .long(dashed(option.name))
        .visible_aliases(option.aliases.iter().map(|name| dashed(name)).collect::<Vec<_>>())
        .help_heading(option.group.heading())
        .help(format!("{help}{repeated}{default}"));
    match option.value {
        ValueType::Flag => {
            argument.num_args(0..=1).require_equals(true).default_missing_value("true").value_name("true|false")
        }
        ValueType::Texts => argument.action(ArgAction::Append).value_name("TEXT"),
        ValueType::TokenIds => argument.action(ArgAction::Append).allow_negative_numbers(true).value_name("IDS"),
        of => argument.allow_hyphen_values(true).value_name(match of {
            ValueType::Integer(_) => "N",
            ValueType::Number(_) => "X",
            ValueType::Choice(_) | ValueType::FlagOrChoice(_) | ValueType::FlagOrTokenIds => "VALUE",
            _ => "JSON",
        }),
    }
}

/// The value of an option by what was given.
///
/// # Errors
/// What is wrong with a list of texts, by the option's name.
fn value(option: &DecodingOption, texts: &[String]) -> Result<Value, String> {
    if matches!(option.value, ValueType::Texts) {
        return text_list(texts).map(Value::from).map_err(|reason| format!("{}: {reason}", option.name));
    }
    // Lists of ids may be given in parts.
    let bare = |text: &String| text.trim().trim_start_matches('[').trim_end_matches(']').to_owned();
    let text = match texts {
        [one] => one.trim().to_owned(),
        several => several.iter().map(bare).collect::<Vec<_>>().join(","),
    };
    let list = || serde_json::from_str(&format!("[{text}]")).ok().filter(|_| text.contains(','));
    Ok(serde_json::from_str(&text).ok().or_else(list).unwrap_or_else(|| text.into()))
}

/// The words of a command line, where a value after a flag that may have one, such as `true` or `false`, is taken as its value, and not
/// as a text.
pub(crate) fn joined(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let values = |flag: &OsString| -> &'static [&'static str] {
        let name = flag.to_str().and_then(|flag| flag.strip_prefix("--")).unwrap_or_default().replace('-', "_");
        match find_option(&name) {
            Some(option) if matches!(option.value, ValueType::Flag) => &["true", "false"],
            _ if name == "alignment" => &["words", "tokens"],
            _ => &[],
        }
    };
    let (mut joined, mut is_text) = (Vec::<OsString>::new(), false);
    for word in words {
        is_text |= word == "--";
        match joined.last_mut().filter(|flag| !is_text && values(flag).iter().any(|value| word == *value)) {
            Some(flag) => {
                flag.push("=");
                flag.push(word);
            }
            _ => joined.push(word),
        }
    }
    joined
}

impl Decoding {
    /// What was given.
    fn config(&self) -> Result<GenerationConfig, String> {
        let mut given = if self.greedy { GenerationConfig::greedy() } else { GenerationConfig::default() };
        for (option, texts) in &self.given {
            given.set(option.name, value(option, texts)?)?;
        }
        if self.greedy && given.do_sample == Some(true) {
            return Err("do_sample: expected no --greedy beside it".to_owned());
        }
        Ok(given)
    }

    /// The context length, where it was given.
    pub(crate) fn context(&self) -> Option<usize> {
        self.config().ok()?.context
    }

    /// The file of the short list, where one was given.
    pub(crate) fn short_list(&self) -> Option<&Path> {
        self.short_list.as_deref()
    }

    /// The options for a model.
    pub(crate) fn options(&self, trained: &Trained, parallelism: Parallelism) -> anyhow::Result<DecodingOptions> {
        let in_flags = |reason: String| anyhow::anyhow!("{}", in_flags(&reason));
        let given = self.config().map_err(in_flags)?;
        given.validate_ids(trained.tokenizers.target.vocabulary()).map_err(in_flags)?;
        check_context(trained, given.context)?;
        anyhow::ensure!(
            given.forced_bos_token_id.is_none() || !trained.is_language_model(),
            "--forced-bos-token-id is for encoder-decoders: a language model goes on with its prompt. Leave it out"
        );
        anyhow::ensure!(
            given.coverage_penalty.is_none_or(|weight| weight == 0.0) || trained.recipe.model.has_cross_attention(),
            "--coverage-penalty is for encoder-decoders with attention to the source, and this model has none. Leave it out"
        );
        let mut options = trained.options(&given, parallelism).map_err(|error| anyhow::anyhow!("{}", said(&error)))?;
        tell_unreachable(trained, &given);
        anyhow::ensure!(
            options.config.guidance().is_none() || trained.is_language_model() || trained.recipe.control.is_some(),
            "--guidance-scale: an encoder-decoder is led away from what it writes without control attributes, and {} has none: \
             its recipe has no [control]. Leave it out",
            trained.run().display()
        );
        options.validate().map_err(in_flags)?;
        let idle = options.config.without_effect(self.given.iter().map(|(option, _)| *option));
        if let Some((name, advice)) = idle {
            anyhow::bail!("{} has no effect here: {}, or leave it out", flag(name), self::in_flags(&in_words(&advice)));
        }
        self.add_draft_model(trained, &given, &mut options)?;
        options.short_list = self.short_list.as_ref().map(|path| trained.load_short_list(path)).transpose()?;
        if let Some(label) = &self.steer {
            let (run, file) = (trained.run(), self.classifier(trained.run()));
            anyhow::ensure!(
                self.classifier.is_some() || file.symlink_metadata().is_ok(),
                "--steer: {} has no {}. Learn a classifier from labelled texts, by {}, or name one by --classifier",
                run.display(),
                crate::classifier::FILE,
                command(&["classifier".into(), run.to_string_lossy(), "FILE.jsonl".into()])
            );
            options.steering = Some(trained.load_steering(&file, label)?);
            options.validate().map_err(in_flags)?;
        }
        let idle = self.given.iter().find(|(option, _)| option.name.starts_with("steering_") && self.steer.is_none());
        if let Some((option, _)) = idle {
            anyhow::bail!("{} has no effect here: add --steer, or leave it out", flag(option.name));
        }
        Ok(options)
    }

    /// The file of the classifier.
    fn classifier(&self, run: &Path) -> PathBuf {
        self.classifier.clone().unwrap_or_else(|| run.join(crate::classifier::FILE))
    }

    /// The label of steering, and the file of its classifier.
    pub(crate) fn steering(&self, run: &Path) -> Option<(&str, PathBuf)> {
        Some((self.steer.as_deref()?, self.classifier(run)))
    }

    fn add_draft_model(
        &self,
        trained: &Trained,
        given: &GenerationConfig,
        options: &mut DecodingOptions,
    ) -> anyhow::Result<()> {
        let Some(path) = &self.draft_model else {
            anyhow::ensure!(
                given.num_assistant_tokens.is_none(),
                "--num-assistant-tokens has no effect here: add --draft-model, or leave it out"
            );
            return Ok(());
        };
        let config = &options.config;
        anyhow::ensure!(
            matches!(config.mode(), Mode::Greedy | Mode::Sampling) && config.candidates() == 1,
            "--draft-model is for greedy decoding and sampling, of one text. Leave it out"
        );
        options.draft_model = Some(trained.load_draft_model(path)?);
        Ok(())
    }

    /// The flags that were given.
    pub(crate) fn given(&self) -> impl Iterator<Item = String> {
        let greedy = self.greedy.then(|| flag(GREEDY));
        let files = [(DRAFT_MODEL, &self.draft_model), (SHORT_LIST, &self.short_list)];
        let files = files.into_iter().filter(|(_, path)| path.is_some()).map(|(name, _)| flag(name));
        let steer = self.steer.is_some().then(|| flag(STEER));
        self.given.iter().map(|(option, _)| flag(option.name)).chain(greedy).chain(files).chain(steer)
    }
}

/// That a model reads so many tokens at once.
pub(crate) fn check_context(trained: &Trained, context: Option<usize>) -> anyhow::Result<()> {
    let Some(context) = context else { return Ok(()) };
    anyhow::ensure!(trained.is_language_model(), "--context is for language models: an encoder reads all of a source");
    if let Some(most) = trained.model.max_length().filter(|&most| context > most) {
        anyhow::bail!("--context {context}: the model has positions for {most} tokens");
    }
    Ok(())
}

/// Tells of a limit before which no text may end, where the run says one of them and the flags the other.
fn tell_unreachable(trained: &Trained, given: &GenerationConfig) {
    let all = given.over(&trained.recipe.generation);
    let most = all.max_new_tokens.unwrap_or(usize::MAX);
    for (name, least) in trained.unreachable_lengths(&all) {
        let flag = flag(name);
        match given.max_new_tokens {
            Some(_) => note(format_args!(
                "--max-new-tokens {most}: no text may end before it, by the run's own {name} = {least} ({flag} 0 lifts it)."
            )),
            None => note(format_args!(
                "{flag} {least}: the run's own max_new_tokens = {most} goes before it, and no text may end earlier \
                 (--max-new-tokens N sets another)."
            )),
        }
    }
}

/// A setting as flags: `num_beams = 2 or more` becomes `--num-beams of 2 or more`.
fn in_words(setting: &str) -> String {
    let setting = setting.replace("do_sample = true", "--do-sample").replace("do_sample = false", "--do-sample=false");
    setting.replace("num_beams = 1", "--num-beams 1").replace("num_beams = ", "--num-beams of ")
}

/// What is wrong, with flags in place of the options' names.
pub(crate) fn said(error: &Error) -> String {
    match error {
        // It speaks of what somebody wrote.
        Error::Row(RowError::Constraint(reason)) => reason.clone(),
        Error::Row(error) => in_flags(&error.to_string()),
        Error::Run { path, reason } => format!("{}: {}", path.display(), in_flags(reason)),
        error => error.to_string(),
    }
}

/// A reason with flags in place of the options' names.
fn in_flags(reason: &str) -> String {
    let words = reason.split(' ').enumerate().map(|(i, word)| {
        let name = word.trim_end_matches([':', ',', '.']);
        let option = find_option(name).map(|option| option.name).filter(|name| i == 0 || name.contains('_'));
        // Those that are no options of a recipe.
        let of_files = [("steering", STEER), (SHORT_LIST, SHORT_LIST), (DRAFT_MODEL, DRAFT_MODEL)];
        let of_file = || of_files.into_iter().find(|(known, _)| *known == name && (i == 0 || name.contains('_')));
        match option.or_else(|| of_file().map(|(_, name)| name)) {
            Some(option) => word.replacen(name, &flag(option), 1),
            None => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}
