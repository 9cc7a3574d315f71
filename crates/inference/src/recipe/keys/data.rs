use super::condition::{ENCODER_DECODER, HELD_OUT, LANGUAGE_MODEL, LINES};
use super::key::{FROM_0, FROM_1, Key, REQUIRED, SHARE, Section, ValueType, from};
use ValueType::{Files, Flag, Integer, IntegerPair, Number, Text};

pub(super) const TOP: Section = Section {
    name: "",
    help: "Before the first section.",
    keys: &[
        Key::new("seed", Integer(FROM_0), "1", "The random seed: of initialisation, shuffling and dropout."),
        Key::new(
            "init",
            Text,
            "(none)",
            "Fine-tune this run: training starts from its weights, tokenizers and architecture.",
        ),
    ],
};

pub(super) const DATA: Section = Section {
    name: "data",
    help: "The training and validation texts, and how they are read.",
    keys: &[
        Key::new(
            "data.train",
            Files,
            REQUIRED,
            "The training text. One file is a plain text for a language model and tab-separated pairs for an \
             encoder-decoder; two are parallel, line by line; a .jsonl has a prompt (or source) and its \
             completion (or target), or messages, on each line. .gz and .zst are read as they are.",
        ),
        Key::new("data.validation", Files, "(none)", "The validation text, of the same format."),
        Key::new(
            "data.validation_share",
            Number(SHARE),
            "0.1",
            "The share of the training text, from its end, that is held out for validation.",
        )
        .when(HELD_OUT),
        Key::new(
            "data.stream",
            Flag,
            "(as the text looks)",
            "Whether a plain text is one continuous text, cut into chunks of train.length tokens; false: each line \
             is a sequence of its own. By default, a text with blank lines, or of a single line, is continuous.",
        )
        .when(LANGUAGE_MODEL),
        Key::new(
            "data.columns",
            IntegerPair,
            "[0, 1]",
            "The columns of source and target in a tab-separated file, from 0. A language model reads such a file \
             as pairs of prompt and completion only where they are given.",
        ),
        Key::new(
            "data.chat_template",
            Text,
            "(of init, or \"chatml\")",
            "The chat template that renders messages: \"chatml\", or a Jinja file as in Hugging Face's tokenizers.",
        ),
        Key::new("data.shared_vocabulary", Flag, "false", "Whether source and target share one vocabulary.")
            .when(ENCODER_DECODER),
        Key::new(
            "data.max_length",
            Integer(FROM_1),
            "1000",
            "Pairs and lines of more tokens on either side are left out.",
        )
        .when(LINES),
    ],
};

pub(super) const BENCH: Section = Section {
    name: "bench",
    help: "Synthetic batches in place of texts, for `descant bench` and `descant gradcheck`.",
    keys: &[
        Key::new("bench.vocabulary", Integer(from(1.0).to(1e6)), REQUIRED, "Size of the vocabulary."),
        Key::new("bench.batch", Integer(from(1.0).to(1_048_576.0)), REQUIRED, "Sequences in a batch."),
        Key::new("bench.length", Integer(from(1.0).to(1_048_576.0)), REQUIRED, "Tokens in a sequence."),
    ],
};
