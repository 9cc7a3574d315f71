use super::condition::{
    ENCODER_DECODER, FILTERED_SCRIPT, GUIDED, HELD_OUT, LANGUAGE_MODEL, LINES, MISTYPED, SPAN_CORRUPTION,
};
use super::key::{FROM_0, FROM_1, Key, REQUIRED, SHARE, Section, ValueType, WHOLE_SHARE, above, from};
use ValueType::{Choice, Column, Columns, Files, Flag, Integer, Number, NumberList, Text};
use descant_text::{KeyboardLayout, Script};

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
             completion (or target), or messages, or for loss.kind = \"dpo\" a prompt with a chosen and a rejected answer, on each line, a .parquet the same in columns of these names, and a .csv \
             under a header of them. \
             .gz and .zst are read as they are. A pattern such as \"texts/*.tsv\" is all files that match it, in the order of \
             their names; [[\"a.tsv\", \"b.tsv\"]] are several files, and [[\"a.en\", \"b.en\"], [\"a.de\", \"b.de\"]] \
             several parallel ones, one after the other.",
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
            Columns,
            "(source and target)",
            "The columns of source and target, of preferences also of the rejected target, or that of a text alone: by numbers from 0 of a table without a header, such \
             as [0, 1]; or by name, such as [\"en\", \"de\"], of a .csv or .tsv whose first line has the names, of the columns \
             of .parquet, or of the keys of .jsonl. Without them a .tsv has two columns, and the others those that data.train says. A language \
             model reads a .tsv as pairs of prompt and completion only where they are given.",
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
        Key::new(
            "data.cut",
            Flag,
            "false",
            "Whether texts of more than max_length tokens, or than the model has positions for, are cut into pieces instead of left out; texts without sources or \
             prompts alone. Each piece is a sequence of its own, with positions and a state of its own; it begins with the last token of the piece before, so that \
             each token is predicted once. Attributes of [control] stand before the first one alone.",
        )
        .when(LINES),
        Key::new(
            "data.task",
            Choice(&["plain", "span-corruption"]),
            "\"plain\"",
            "What is learned. plain: the targets as they are. span-corruption, of texts without sources (Raffel et al. 2020): in every epoch other spans of a \
             text are left out, with a sentinel <extra_id_0>, <extra_id_1> … in the place of each, and the model learns to write them, each after its sentinel. \
             An encoder reads what is left; for a language model it is the prompt. Source and target have one vocabulary.",
        )
        .when(LINES),
        Key::new(
            "data.corruption_rate",
            Number(above(0.0).below(1.0)),
            "0.15",
            "The share of the tokens of a text that are left out; one token at least.",
        )
        .when(SPAN_CORRUPTION),
        Key::new("data.mean_span", Number(from(1.0)), "3.0", "How many tokens a span has on average.").when(SPAN_CORRUPTION),
        Key::new(
            "data.weight_column",
            Column,
            "(none)",
            "The column, or the key of .jsonl, that has the weight of each example, 0 or from 1e-20: the loss of its target tokens is multiplied by it, and the \
             mean is over the sum of the weights. By number in a table without a header, otherwise by name. An example without one counts 1, \
             and one of the weight 0 is left out; both are counted. The validation loss has the weights too.",
        )
        .when(LINES),
        Key::new(
            "data.alignment_column",
            Column,
            "(none)",
            "The column, or the key of .jsonl, that has the alignment of each pair in Pharaoh's form, such as \"0-0 1-2\": a word of the source and one of \
             the target, counted from 0 between white space, as aligners such as fast_align and eflomal write them. By number in a table without a header, \
             otherwise by name. Pairs without one do not guide, and are counted.",
        )
        .when(GUIDED),
        Key::new(
            "data.weights",
            NumberList(from(0.0).to(1e6)),
            "(as they are)",
            "How much is drawn of each corpus, where data.train is a list in a list: in proportion to these numbers, one for \
             each name. An epoch has as many sequences as all of them together, and each corpus is gone through as a whole \
             before any of its sequences comes again. The validation text is named by data.validation.",
        ),
        Key::new(
            "data.temperature",
            Number(from(1.0)),
            "(as they are)",
            "The same in proportion to the number of their examples to the power of one over this: 1 as they are, 5 much more \
             of the small ones.",
        ),
        Key::new(
            "data.shuffle",
            Choice(&["exact", "blocks"]),
            "\"exact\"",
            "How the training text is shuffled in each epoch. exact: over all of it. blocks: blocks of 256 neighbouring sequences \
             over all of it, and sequences within 64 such blocks, which reads the disk in larger pieces, where the encoded text \
             has no room in memory.",
        ),
        Key::new(
            "data.bpe_dropout",
            Number(WHOLE_SHARE),
            "(none)",
            "BPE-dropout (Provilkov et al. 2020): the probability with which each merge is left out, drawn anew in every epoch for sources \
             and targets; 0.1 is usual. A text that would get longer than data.max_length stays as it is.",
        )
        .when(LINES),
        Key::new(
            "data.unigram_sampling",
            Number(FROM_0),
            "(none)",
            "Subword regularisation (Kudo 2018) with tokenizer.kind = \"unigram\": segmentations are drawn anew in every epoch, in proportion \
             to their probability to this power (alpha); 0.2 is usual, and smaller numbers vary more.",
        )
        .when(LINES),
    ],
};

pub(super) const FILTER: Section = Section {
    name: "data.filter",
    help: "Which examples of data.train are left out, each counted for the first key that takes it, and reported.",
    keys: &[
        Key::new("data.filter.min_characters", Integer(FROM_0), "0", "The characters that each side has at least."),
        Key::new(
            "data.filter.max_characters",
            Integer(FROM_1),
            "(none)",
            "The characters that each side has at most. data.max_length limits tokens.",
        ),
        Key::new(
            "data.filter.length_ratio",
            Number(above(1.0)),
            "(none)",
            "Pairs are left out whose ratio of lengths, in characters, is more than so many times the usual one of the text, \
             or less than such a part of it, such as 4.0: mostly they do not belong together. Texts of less than 20 \
             characters stay.",
        ),
        Key::new("data.filter.copies", Flag, "false", "Whether pairs are left out whose target is their source."),
        Key::new(
            "data.filter.source_script",
            Choice(Script::NAMES),
            "(any)",
            "Sources are left out of which less than script_share is in this script.",
        ),
        Key::new(
            "data.filter.target_script",
            Choice(Script::NAMES),
            "(any)",
            "The same of targets, or of texts without sources.",
        ),
        Key::new(
            "data.filter.script_share",
            Number(WHOLE_SHARE),
            "0.5",
            "The share of the characters that have a script; a text without any stays.",
        )
        .when(FILTERED_SCRIPT),
        Key::new(
            "data.filter.duplicates",
            Flag,
            "false",
            "Whether an example is left out that came before as it is, in whichever of the files.",
        ),
    ],
};

pub(super) const NOISE: Section = Section {
    name: "data.noise",
    help: "Noise on the words of the sources in training, anew in every epoch, so that the model gets used to sources with faults.",
    keys: &[
        Key::new(
            "data.noise.drop",
            Number(SHARE),
            "0.0",
            "The share of the words that are left out; one word is left.",
        )
        .when(ENCODER_DECODER),
        Key::new(
            "data.noise.mask",
            Number(SHARE),
            "0.0",
            "The share of the words that are left which become the unknown token.",
        )
        .when(ENCODER_DECODER),
        Key::new("data.noise.swap", Integer(FROM_0), "0", "How many places a word moves at most, such as 3.")
            .when(ENCODER_DECODER),
        Key::new(
            "data.noise.keyboard",
            Number(SHARE),
            "0.0",
            "The share of the alphabetic characters that are mistyped: a neighbouring key in their place or beside them, left out, or exchanged with \
             the next letter; 0.02 to 0.1 are usual. What has no key of data.noise.layout stays, and is reported.",
        )
        .when(ENCODER_DECODER),
        Key::new(
            "data.noise.layout",
            Choice(KeyboardLayout::NAMES),
            "\"qwerty\"",
            "The keyboard that they are mistyped on.",
        )
        .when(MISTYPED),
        Key::new(
            "data.noise.ocr",
            Number(SHARE),
            "0.0",
            "Of what looks alike, such as rn and m, 0 and O, 1 and l and I, 5 and S, cl and d, the share that is misread, as optical \
             character recognition does.",
        )
        .when(ENCODER_DECODER),
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
