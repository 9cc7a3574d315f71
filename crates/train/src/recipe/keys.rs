//! Every key of a recipe, described: what it takes, its default, and which recipes it acts in. Errors, the command
//! `descant recipe`, the page RECIPES.md and the keys of a resolved recipe all come from here.

use crate::Recipe;
use descant_models::{LayerKind, LossConfig, ModelKind};
use descant_nn::Position;

/// A key of a recipe.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its tables and its name, such as `train.steps`.
    pub name: &'static str,
    /// What its value is.
    pub takes: Takes,
    /// The default, as TOML or in words.
    pub default: &'static str,
    /// What it means.
    pub about: &'static str,
    /// The kinds of its table that have it; none for all.
    pub kinds: &'static [&'static str],
    /// The recipes that it acts in.
    pub acts: Acts,
}

/// What a value is.
#[derive(Clone, Copy, Debug)]
pub enum Takes {
    /// A whole number, and which.
    Whole(&'static str),
    /// A number, and which.
    Number(&'static str),
    /// `true` or `false`.
    Flag,
    /// A text.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// The name of one file, or of two in a list.
    Files,
    /// A list of texts.
    List,
    /// The id of a token, or a list of them.
    Ids,
    /// Two numbers in a list.
    Two,
    /// A list of whole numbers.
    Places,
    /// A table of numbers by name.
    Weights,
    /// `{ norm = … }`, `{ value = … }` or `"none"`.
    Clip,
}

/// The recipes that a key acts in, in words, and whether one is such.
#[derive(Clone, Copy, Debug)]
pub struct Acts {
    /// In words.
    pub words: &'static str,
    /// Whether a recipe is such.
    pub holds: fn(&Recipe) -> bool,
}

impl Takes {
    /// What is expected, in words.
    pub fn words(self) -> String {
        match self {
            Self::Whole(range) => format!("a whole number, {range}"),
            Self::Number(range) => format!("a number, {range}"),
            Self::Flag => "true or false".to_owned(),
            Self::Text => "a text in quotes".to_owned(),
            Self::Choice(words) => match words {
                [all @ .., last] if !all.is_empty() => format!("{} or {last}", all.join(", ")),
                _ => words.join(""),
            },
            Self::Files => "the name of a file, or two names in a list".to_owned(),
            Self::List => "a list of texts".to_owned(),
            Self::Ids => "the id of a token, or a list of them".to_owned(),
            Self::Two => "two numbers in a list".to_owned(),
            Self::Places => "a list of whole numbers from 0".to_owned(),
            Self::Weights => "a table of numbers, such as { \"name\" = 0.5 }".to_owned(),
            Self::Clip => "{ norm = 1.0 }, { value = 0.5 } or \"none\"".to_owned(),
        }
    }
}

impl Key {
    const fn kinds(self, kinds: &'static [&'static str]) -> Self {
        Self { kinds, ..self }
    }

    const fn of(self, acts: Acts) -> Self {
        Self { acts, ..self }
    }

    /// Its table, and its own name.
    pub fn parts(&self) -> (&'static str, &'static str) {
        self.name.rsplit_once('.').unwrap_or(("", self.name))
    }
}

/// The key of this name. Those of `[target_tokenizer]` are those of `[tokenizer]`.
pub fn find(name: &str) -> Option<&'static Key> {
    let name = name.strip_prefix("target_").unwrap_or(name);
    KEYS.iter().find(|key| key.name == name)
}

/// Whether there is a table of this name.
pub fn is_table(name: &str) -> bool {
    let name = name.strip_prefix("target_").unwrap_or(name);
    name.is_empty() || KEYS.iter().any(|key| key.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

/// What is said of a key that there is not: with the nearest that there is.
pub fn unknown(place: &str) -> String {
    super::read::unknown(place)
}

const fn key(name: &'static str, takes: Takes, default: &'static str, about: &'static str) -> Key {
    Key { name, takes, default, about, kinds: &[], acts: ALWAYS }
}

const fn acts(words: &'static str, holds: fn(&Recipe) -> bool) -> Acts {
    Acts { words, holds }
}

const ALWAYS: Acts = acts("", |_| true);
const PAIRS: Acts = acts("model.kind = \"encoder-decoder\"", pair);
const LANGUAGE_MODEL: Acts = acts("model.kind = \"language-model\"", |recipe| !pair(recipe));
const RECURRENT: Acts = acts("recurrent layers (model.decoder or model.encoder)", recurrent);
const RECURRENT_ENCODER: Acts = acts("an encoder-decoder with a recurrent encoder", |recipe| {
    pair(recipe) && recipe.model.encoder() == LayerKind::Recurrent
});
const RECURRENT_DECODER: Acts = acts("an encoder-decoder with a recurrent decoder", |recipe| {
    pair(recipe) && recipe.model.decoder == LayerKind::Recurrent
});
const TRANSFORMER: Acts = acts("Transformer layers (model.decoder or model.encoder = \"transformer\")", transformer);
const LEARNED: Acts = acts("position = \"learned\"", |recipe| at(recipe, Position::Learned));
const ROTARY: Acts = acts("position = \"rotary\"", |recipe| at(recipe, Position::Rotary));
const RELATIVE: Acts = acts("position = \"relative\"", |recipe| at(recipe, Position::Relative));
const TRANSFORMER_DECODER: Acts =
    acts("model.decoder = \"transformer\"", |recipe| recipe.model.decoder == LayerKind::Transformer);
const SOFTMAX: Acts =
    acts("loss.kind = \"cross-entropy\"", |recipe| matches!(recipe.loss, LossConfig::CrossEntropy { .. }));
const STREAM: Acts = acts("data.stream = true", |recipe| {
    recipe.leaves_stream_open() || recipe.data.as_ref().is_some_and(|data| data.stream)
});
const BY_TOKENS: Acts = acts("no train.batch_sentences", |recipe| recipe.train.batch_sentences == 0);
const HELD_OUT: Acts =
    acts("no data.validation", |recipe| recipe.data.as_ref().is_some_and(|data| data.validation.is_none()));
const LINES: Acts = acts("no data.stream: a continuous text is cut by train.length", |recipe| {
    recipe.leaves_stream_open() || recipe.data.as_ref().is_some_and(|data| !data.stream)
});

fn pair(recipe: &Recipe) -> bool {
    recipe.model.kind == ModelKind::EncoderDecoder
}

fn sides(recipe: &Recipe) -> [LayerKind; 2] {
    let decoder = recipe.model.decoder;
    [if pair(recipe) { recipe.model.encoder() } else { decoder }, decoder]
}

fn recurrent(recipe: &Recipe) -> bool {
    sides(recipe).contains(&LayerKind::Recurrent)
}

fn transformer(recipe: &Recipe) -> bool {
    sides(recipe).contains(&LayerKind::Transformer)
}

fn at(recipe: &Recipe, position: Position) -> bool {
    transformer(recipe) && recipe.model.transformer().position == position
}

use Takes::{Choice, Clip, Files, Flag, Ids, List, Number, Places, Text, Two, Weights, Whole};

const FROM_1: &str = "1 or more";
const FROM_0: &str = "0 or more";
const SHARE: &str = "from 0 to below 1";
const WHOLE_SHARE: &str = "from 0 to 1";
const ABOVE_0: &str = "above 0";
const REQUIRED: &str = "(required)";
const ACTIVATIONS: &[&str] = &["relu", "gelu", "gelu-tanh", "silu", "tanh", "sigmoid"];
const FAMILIES: &[&str] = &super::family::NAMES;
const ORIGINS: &[&str] = &super::family::ORIGINS;
const LAYERS: &[&str] = &["recurrent", "transformer"];
const WARMED: &[&str] = &["linear", "inverse-sqrt", "cosine", "warmup-stable-decay"];
const ENDING: &[&str] = &["linear", "cosine", "warmup-stable-decay"];
const ENTROPY: &[&str] = &["cross-entropy"];

/// All keys, table by table.
pub const KEYS: &[Key] = &[
    key("seed", Whole(FROM_0), "1", "What everything random is drawn from."),
    key("init", Text, "(none)", "A run whose weights, tokenizers and architecture training starts from."),
    // data
    key("data.train", Files, REQUIRED, "The text to learn from. One file is a plain text for a language model and \
        tab-separated pairs for an encoder-decoder; two are parallel, line by line; a .jsonl has a prompt and its completion, \
        or messages, on each line. .gz and .zst are read as they are."),
    key("data.validation", Files, "(none)", "The text to validate on, of the same form."),
    key("data.validation_share", Number(SHARE), "0.1", "The share of the training text, from its end, that is held out \
        to validate on.").of(HELD_OUT),
    key("data.stream", Flag, "(told by the text)", "Whether a plain text is one continuous text, cut into chunks of \
        train.length tokens; false: each line is a text of its own. Where it is not set, a text with blank lines, or of a \
        single line, is continuous.").of(LANGUAGE_MODEL),
    key("data.columns", Two, "[0, 1]", "The columns of source and target in a tab-separated file, from 0. A language \
        model reads such a file as pairs only where they are given."),
    key("data.chat_template", Text, "(of init, or \"chatml\")", "How messages become texts: \"chatml\", or a Jinja file as Hugging Face's \
        tokenizers have it."),
    key("data.shared_vocabulary", Flag, "false", "Whether source and target have one vocabulary.").of(PAIRS),
    key("data.max_length", Whole(FROM_1), "1000", "Pairs and lines of more tokens on either side are left out.").of(LINES),
    // bench
    key("bench.vocabulary", Whole("from 1 to 1000000"), REQUIRED, "Entries of the vocabulary, where a recipe has no text \
        and only its speed is measured."),
    key("bench.batch", Whole("from 1 to 1048576"), REQUIRED, "Sequences in a batch."),
    key("bench.length", Whole("from 1 to 1048576"), REQUIRED, "Tokens in each."),
    // tokenizer
    key("tokenizer.kind", Choice(&["bpe", "byte-bpe", "unigram", "wordpiece", "word", "character", "byte"]), "\"bpe\"",
        "What the tokens are: subwords (bpe, byte-bpe, unigram, wordpiece), words, characters or bytes."),
    key("tokenizer.vocabulary", Whole("from 4 to 1000000"), "8000", "Entries in the vocabulary at most; of byte always \
        259."),
    key("tokenizer.minimum_count", Whole(FROM_0), "1", "How often a token must occur in the text to be an entry of its \
        own."),
    key("tokenizer.vocabulary_file", Text, "(none)", "Of word, a file with the words of the vocabulary, one a line, rather than \
        the most frequent of the text."),
    key("tokenizer.split_digits", Flag, "false", "Whether subwords never join digits."),
    key("tokenizer.add", List, "[]", "Tokens that are entries of their own, such as \"<|user|>\", wherever they stand in \
        a text."),
    key("tokenizer.special.unknown", Whole(FROM_0), "(none)", "Of a tokenizer made elsewhere, the id of what the vocabulary \
        does not have."),
    key("tokenizer.special.beginning", Whole(FROM_0), "(none)", "BOS: the id that a decoder starts from, and a language model \
        where it is given nothing."),
    key("tokenizer.special.end", Ids, "(none)", "EOS: the ids that end a text. In training, the first stands after every \
        text."),
    key("tokenizer.special.around.before", Ids, "(as trained here)", "The ids that the tokenizer puts before a text, such as BOS."),
    key("tokenizer.special.around.after", Ids, "(as trained here)", "The ids that the tokenizer puts after a text, such as EOS."),
    key("tokenizer.special.entries", Whole(FROM_1), "(those of the tokenizer)", "Rows of the model's tables, where they are \
        more than the tokenizer's entries."),
    key("tokenizer.special.pieces_apart", Flag, "false", "Whether texts are cut by pieces that are not all the model's \
        entries, as Marian's are: those from entries on are unknown to it."),
    key("tokenizer.special.sentencepiece", Flag, "false", "Whether characters are replaced as SentencePiece itself does it: of \
        all replacements that begin at a place, the longest."),
    // model
    key("model.kind", Choice(&["encoder-decoder", "language-model"]), REQUIRED, "encoder-decoder reads a source and writes \
        a target; language-model continues a text."),
    key("model.family", Choice(FAMILIES), "(none)", "Makes a model of this family of transformers, so that it can be \
        exported as one: stands for the keys of [model] and [model.transformer] that do, below those that are given; and for \
        data.shared_vocabulary = true, where its tables are tied."),
    key("model.origin", Choice(ORIGINS), "(none)", "The family that the model comes from, by its model_type, which an import \
        and model.family write down: an export is of that one as long as the model fits.").of(TRANSFORMER),
    key("model.decoder", Choice(LAYERS), "\"recurrent\"", "What writes."),
    key("model.encoder", Choice(LAYERS), "(as decoder)", "What reads the source.").of(PAIRS),
    key("model.cell", Choice(&["lstm", "gru"]), "\"lstm\"", "The cell of recurrent layers.").of(RECURRENT),
    key("model.embedding", Whole("from 1 to 65536"), "256", "Width of the embeddings; of Transformer layers that is \
        hidden.").of(RECURRENT),
    key("model.hidden", Whole("from 1 to 65536"), "256", "Width of the hidden states; of both directions of the encoder \
        together."),
    key("model.layers", Whole("from 1 to 64"), "1", "Layers of the decoder, or of the language model."),
    key("model.encoder_layers", Whole("from 1 to 64"), "1", "Layers of the encoder.").of(PAIRS),
    key("model.bidirectional", Flag, "true", "Whether a recurrent encoder reads in both directions.").of(RECURRENT_ENCODER),
    key("model.attention", Choice(&["dot", "general", "concat", "additive"]), "(none)", "How a recurrent decoder scores the \
        encoder's states; without it, it has only the last one.").of(RECURRENT_DECODER),
    key("model.input_feeding", Flag, "false", "Whether the attentional state of a step is part of the next step's input \
        (Luong et al. 2015).").of(RECURRENT_DECODER),
    key("model.bridge", Choice(&["state", "zero"]), "\"state\"", "Where a recurrent decoder's first state comes from: the \
        encoder's last states, or zeros.").of(RECURRENT_DECODER),
    key("model.tie", Choice(&["none", "output", "embeddings", "all"]), "\"none\"", "Which tables are one: output, the target's \
        embedding and the output projection; embeddings, the source's and the target's; all, the three."),
    key("model.output_bias", Flag, "true", "Whether the output projection has a bias; of loss.kind = \
        \"embedding\" it always has one."),
    key("model.output_soft_cap", Number(ABOVE_0), "(none)", "The limit c that logits z come near and never reach, \
        c tanh(z / c).").of(SOFTMAX),
    key("model.dropout", Number(SHARE), "0.0", "The share of values dropped in training."),
    // model.transformer
    key("model.transformer.heads", Whole("from 1 to 1024"), "4", "Attention heads; a divisor of hidden.").of(TRANSFORMER),
    key("model.transformer.key_value_heads", Whole(FROM_1), "(as heads)", "Heads of the keys and values, a divisor of \
        heads (grouped-query attention).").of(TRANSFORMER),
    key("model.transformer.head_width", Whole("from 1 to 4096"), "(hidden / heads)", "Columns of a head.").of(TRANSFORMER),
    key("model.transformer.feed_forward", Whole("from 1 to 1048576"), "(4 × hidden)", "Inner width of the feed-forward \
        layer.").of(TRANSFORMER),
    key("model.transformer.activation", Choice(ACTIVATIONS), "\"gelu\"", "The activation of the feed-forward layer.").of(TRANSFORMER),
    key("model.transformer.gated", Flag, "false", "Whether the activation gates a second product: with silu SwiGLU, with \
        gelu GeGLU.").of(TRANSFORMER),
    key("model.transformer.norm", Choice(&["layer", "rms"]), "\"layer\"", "The normalisation.").of(TRANSFORMER),
    key("model.transformer.norm_epsilon", Number("between 0 and 1"), "1e-5", "What is added to the variance.").of(TRANSFORMER),
    key("model.transformer.norm_first", Flag, "true", "Whether each part normalises its input (pre-norm) rather than its \
        output (post-norm).").of(TRANSFORMER),
    key("model.transformer.norm_output", Flag, "false", "Whether each part normalises what it adds: with norm_first = true both \
        (sandwich norm), with false this alone.").of(TRANSFORMER),
    key("model.transformer.norm_embedding", Flag, "false", "Whether embeddings are normalised, after positions are added.").of(TRANSFORMER),
    key("model.transformer.qk_norm", Choice(&["head", "all"]), "(none)", "Whether queries and keys are normalised before they \
        are rotated: each head by itself, or all together.").of(TRANSFORMER),
    key("model.transformer.position", Choice(&["none", "sinusoidal", "learned", "rotary", "alibi", "relative"]),
        "\"rotary\"", "How tokens know where they stand.").of(TRANSFORMER),
    key("model.transformer.max_length", Whole("from 1 to 16777216"), "1024", "The longest sequence.").of(LEARNED),
    key("model.transformer.rotary_base", Number("above 1"), "10000.0", "The base of the rotary frequencies.").of(ROTARY),
    key("model.transformer.local_rotary_base", Number("above 1"), "(rotary_base)", "The base in layers that see a window alone, \
        without scaling.").of(ROTARY),
    key("model.transformer.rotary_scaling.kind", Choice(&["linear", "llama3"]), REQUIRED, "How rotary positions reach \
        further than in training.").of(ROTARY),
    key("model.transformer.rotary_scaling.factor", Number("from 1"), REQUIRED, "What positions are divided by.").of(ROTARY),
    key("model.transformer.rotary_scaling.low", Number(ABOVE_0), REQUIRED, "Wavelengths above original_length / low are \
        scaled whole.").kinds(&["llama3"]).of(ROTARY),
    key("model.transformer.rotary_scaling.high", Number("above low"), REQUIRED, "Wavelengths below original_length / high \
        stay.").kinds(&["llama3"]).of(ROTARY),
    key("model.transformer.rotary_scaling.original_length", Whole(FROM_1), REQUIRED, "The length in training.")
        .kinds(&["llama3"]).of(ROTARY),
    key("model.transformer.relative_buckets", Whole("an even one from 4 to 65536"), "32", "Buckets of relative positions.")
        .of(RELATIVE),
    key("model.transformer.relative_max_distance", Whole("above relative_buckets"), "128", "Distances from here on share a \
        bucket.").of(RELATIVE),
    key("model.transformer.window", Whole(FROM_1), "(all)", "How many tokens back a decoder sees.").of(TRANSFORMER_DECODER),
    key("model.transformer.full_layers", Places, "[]", "The layers, from 0, that see all tokens in spite of a window.").of(TRANSFORMER_DECODER),
    key("model.transformer.bias", Flag, "true", "Whether linear layers have biases.").of(TRANSFORMER),
    key("model.transformer.attention_bias", Flag, "(as bias)", "The same of queries, keys and values.").of(TRANSFORMER),
    key("model.transformer.scale_attention", Flag, "true", "Whether scores are divided by the root of a head's width.").of(TRANSFORMER),
    key("model.transformer.query_pre_attn_scalar", Number(ABOVE_0), "(the head's width)", "Scores are divided by the root of this \
        number, as Gemma names it.").of(TRANSFORMER),
    key("model.transformer.attention_soft_cap", Number(ABOVE_0), "(none)", "The limit c that scores s come near and never \
        reach, c tanh(s / c).").of(TRANSFORMER),
    key("model.transformer.scale_embedding", Flag, "(with sinusoidal positions)", "Whether embeddings are multiplied by the \
        root of the width.").of(TRANSFORMER),
    key("model.transformer.scale_output", Flag, "false", "Whether the last hidden state is divided by the root of the \
        width, as in T5 with tied tables.").of(TRANSFORMER),
    key("model.transformer.attention_dropout", Number(SHARE), "0.0", "The share of attention weights dropped in training.").of(TRANSFORMER),
    key("model.transformer.activation_dropout", Number(SHARE), "0.0", "The share of values dropped inside the feed-forward \
        layer.").of(TRANSFORMER),
    key("model.transformer.layer_drop", Number(SHARE), "0.0", "The probability of leaving out a whole layer in training.").of(TRANSFORMER),
    key("model.transformer.recompute", Flag, "false", "Activation checkpointing: less memory for a third more work.").of(TRANSFORMER),
    // loss
    key("loss.kind", Choice(&["cross-entropy", "embedding"]), "\"cross-entropy\"", "What is minimised; embedding holds the \
        output against the target token's own vector (Kumar & Tsvetkov 2019)."),
    key("loss.smoothing", Number(SHARE), "0.0", "Label smoothing.").kinds(ENTROPY),
    key("loss.consistency", Number("from 0 to 1000000"), "0.0", "How much two passes with different dropout are held to \
        agree (R-Drop, where 5 is usual).").kinds(ENTROPY),
    key("loss.class_weights", Weights, "{}", "Tokens whose loss counts with another weight than 1.").kinds(ENTROPY),
    key("loss.ignored", List, "[]", "Tokens that do not count as targets.").kinds(ENTROPY),
    key("loss.measure", Choice(&["cosine", "l2", "vmf"]), REQUIRED, "How the two vectors are compared.")
        .kinds(&["embedding"]),
    // optimizer
    key("optimizer.kind", Choice(&["sgd", "adagrad", "adadelta", "rmsprop", "adam", "adamw"]), "\"adamw\"", "The optimizer, \
        with PyTorch's constants."),
    key("optimizer.betas", Two, "[0.9, 0.999]", "What is kept of the means of gradient and square.")
        .kinds(&["adam", "adamw"]),
    key("optimizer.momentum", Number(SHARE), "0.0", "What is kept of the last step's direction.").kinds(&["sgd", "rmsprop"]),
    key("optimizer.dampening", Number(SHARE), "0.0", "The share of a gradient that the momentum leaves out.").kinds(&["sgd"]),
    key("optimizer.nesterov", Flag, "false", "Whether to look ahead along the momentum.").kinds(&["sgd"]),
    key("optimizer.lr_decay", Number(FROM_0), "0.0", "How the learning rate falls: lr / (1 + steps × lr_decay).")
        .kinds(&["adagrad"]),
    key("optimizer.initial_accumulator_value", Number(FROM_0), "0.0", "What the sums of squares start from.")
        .kinds(&["adagrad"]),
    key("optimizer.rho", Number(SHARE), "0.9", "What is kept of the means.").kinds(&["adadelta"]),
    key("optimizer.alpha", Number(SHARE), "0.99", "What is kept of the means.").kinds(&["rmsprop"]),
    key("optimizer.centered", Flag, "false", "Whether to divide by the standard deviation rather than the root of the mean \
        square.").kinds(&["rmsprop"]),
    key("optimizer.eps", Number(ABOVE_0), "(PyTorch's)", "Added to the denominator: 1e-8; adagrad 1e-10, adadelta 1e-6.")
        .kinds(&["adagrad", "adadelta", "rmsprop", "adam", "adamw"]),
    key("optimizer.weight_decay", Number(FROM_0), "(adamw 0.01, others 0)", "What weights lose in a step, times the \
        learning rate; but for adamw, added to the gradient."),
    key("optimizer.no_decay", List, "[\"*bias*\", \"*norm*\"]", "Patterns of the parameters that weight_decay leaves alone; [] for \
        none."),
    // schedule
    key("schedule.kind", Choice(&["constant", "step", "exponential", "linear", "inverse-sqrt", "cosine",
        "warmup-stable-decay", "plateau"]), "\"constant\"", "How the learning rate changes. Those that end, end with the \
        training."),
    key("schedule.warmup", Whole(FROM_0), "0", "Steps in which the rate rises to the full one; required for inverse-sqrt \
        and warmup-stable-decay.").kinds(WARMED),
    key("schedule.decay", Whole(FROM_0), REQUIRED, "Steps at the end in which it falls.").kinds(&["warmup-stable-decay"]),
    key("schedule.end", Number(WHOLE_SHARE), "0.0", "The share of the rate at the end.").kinds(ENDING),
    key("schedule.every", Whole(FROM_1), REQUIRED, "The steps between two falls.").kinds(&["step"]),
    key("schedule.gamma", Number(WHOLE_SHARE), "0.1", "The factor of a fall; required for exponential, after each step.")
        .kinds(&["step", "exponential"]),
    key("schedule.factor", Number(WHOLE_SHARE), "0.1", "The factor of a fall.").kinds(&["plateau"]),
    key("schedule.patience", Whole(FROM_0), "10", "Validations to wait for a better one.").kinds(&["plateau"]),
    key("schedule.threshold", Number(SHARE), "1e-4", "How much better counts as better, as a share of the best loss.")
        .kinds(&["plateau"]),
    key("schedule.minimum", Number(WHOLE_SHARE), "0.0", "The least share of the rate.").kinds(&["plateau"]),
    // finetune
    key("finetune.train", List, "(everything)", "Patterns of the parameters that alone are trained."),
    key("finetune.freeze", List, "[]", "Patterns of the parameters that stay as they are."),
    key("finetune.rates", Weights, "{}", "What the learning rate of the parameters of a pattern is multiplied with."),
    key("finetune.lora.rank", Whole("from 1 to 65536"), REQUIRED, "The rank of low-rank adapters (LoRA), which are trained \
        in place of the matrices."),
    key("finetune.lora.alpha", Number(ABOVE_0), "(as rank)", "Adapters are scaled by alpha / rank."),
    key("finetune.lora.targets", List, "(all matrices but tables)", "Patterns of the matrices that are adapted."),
    // distill
    key("distill.teacher", Text, REQUIRED, "The run to learn from, token by token; its tokenizers are the recipe's."),
    key("distill.weight", Number("above 0, to 1"), "0.5", "The teacher's share of the loss."),
    key("distill.temperature", Number(ABOVE_0), "1.0", "What the scores of both are divided by before the softmax."),
    key("distill.checksum", Whole(FROM_0), "(written by a training)", "CRC-32 of the teacher's weights."),
    // train
    key("train.steps", Whole(FROM_1), "(10000, or as epochs says)", "Optimizer steps."),
    key("train.epochs", Whole("from 0 to 1000000000"), "0", "Times through the text; 0 for no such limit. With steps too, \
        what comes first ends the training."),
    key("train.learning_rate", Number(ABOVE_0), "1e-3", "The learning rate, before the schedule's factor."),
    key("train.batch_tokens", Whole(FROM_1), "2048", "Tokens in a batch.").of(BY_TOKENS),
    key("train.batch_sentences", Whole(FROM_0), "0", "Sequences in a batch, in place of batch_tokens; 0 for no such limit."),
    key("train.length", Whole("from 1 to 1048576"), "128", "Tokens in a chunk of a continuous text.").of(STREAM),
    key("train.accumulate", Whole("from 1 to 65536"), "1", "Batches whose gradients are added before a step. With epochs, \
        the last step of an epoch takes what is left."),
    key("train.clip", Clip, "{ norm = 1.0 }", "Gradient clipping, by the norm of the whole gradient or element by element."),
    key("train.average", Number(SHARE), "0.0", "How much of a running average of the weights remains after a step, such as \
        0.999; it is the average that is validated and kept. 0 for none."),
    key("train.precision", Choice(&["f32", "bf16"]), "\"f32\"", "bf16 rounds the operands of large products; weights and \
        optimizer stay in f32."),
    key("train.shares", Whole("from 0 to 1024"), "0", "Into how many shares a batch is cut, one replica each; 0 for the number \
        of this machine's cores. The bits of the result depend on it, so a resolved recipe holds the number."),
    key("train.validate_every", Whole(FROM_1), "500", "Steps between two validations; there is one at the end, too."),
    key("train.log_every", Whole(FROM_1), "20", "Steps between two lines of metrics."),
    key("train.checkpoint_every", Whole(FROM_0), "0", "Steps between two checkpoints, besides those at validations; 0 for \
        none. The best and the last are kept."),
    key("train.patience", Whole(FROM_0), "0", "Early stopping: validations without a better one after which training ends; \
        0 for never."),
    // generation
    key("generation.beam", Whole("from 1 to 65536"), "(none)", "Beam search of this width, where nothing else is asked for."),
    key("generation.length_penalty", Number(FROM_0), "(gnmt 0.6, tokens 1.0)", "How much a beam search favours longer texts."),
    key("generation.ranking", Choice(&["gnmt", "tokens"]), "\"gnmt\"", "What a beam search divides log probabilities by: gnmt, \
        ((5 + tokens) / 6)^length_penalty; tokens, as transformers, tokens^length_penalty."),
    key("generation.sample", Flag, "(models that continue a text)", "Whether tokens are drawn, or the likeliest taken."),
    key("generation.temperature", Number("0.001 or more"), "1.0", "What logits are divided by before a draw."),
    key("generation.top_k", Whole(FROM_1), "(all)", "Draw only from this many likeliest tokens."),
    key("generation.top_p", Number("above 0, to 1"), "(all)", "Draw only from the likeliest tokens that together have this \
        probability."),
    key("generation.max_length", Whole(FROM_1), "(as training showed)", "Tokens to write at most."),
    key("generation.forbidden", Ids, "[]", "The ids that are never written."),
    key("generation.forced_beginning", Ids, "[]", "The ids that a decoder writes first, whatever their probability."),
    key("generation.forced_end", Flag, "false", "Whether the last token that the length allows is the end."),
];
