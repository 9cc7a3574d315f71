use super::key::{FROM_0, FROM_1, Key, Section, ValueType, from};
use ValueType::{Choice, Flag, Integer, Text, TextList, TokenIds};

pub(super) const TOKENIZER: Section = Section {
    name: "tokenizer",
    help: "How text is tokenized; a section [target_tokenizer] with the same keys is the target's own.",
    keys: &[
        Key::new(
            "tokenizer.kind",
            Choice(&["bpe", "byte-bpe", "unigram", "wordpiece", "word", "character", "byte"]),
            "\"bpe\"",
            "The tokenization: subwords (bpe, byte-bpe, unigram, wordpiece), words, characters or bytes.",
        ),
        Key::new(
            "tokenizer.vocabulary",
            Integer(from(4.0).to(1e6)),
            "8000",
            "The largest size of the vocabulary; of byte it is always 259.",
        ),
        Key::new(
            "tokenizer.minimum_count",
            Integer(FROM_0),
            "1",
            "How often a token must occur in the training text to get into the vocabulary.",
        ),
        Key::new(
            "tokenizer.vocabulary_file",
            Text,
            "(none)",
            "Of word, a file with the words of the vocabulary, one a line, in place of the most frequent of the \
             text.",
        ),
        Key::new("tokenizer.split_digits", Flag, "false", "Whether every digit is a token of its own."),
        Key::new(
            "tokenizer.add",
            TextList,
            "[]",
            "Added tokens, such as \"<|user|>\": each is one token wherever it occurs in a text.",
        ),
    ],
};

pub(super) const SPECIAL: Section = Section {
    name: "tokenizer.special",
    help: "Special tokens of an imported tokenizer; an import writes them.",
    keys: &[
        Key::new("tokenizer.special.unknown", Integer(FROM_0), "(none)", "The id of the unknown token."),
        Key::new(
            "tokenizer.special.beginning",
            Integer(FROM_0),
            "(none)",
            "The id of BOS: what a decoder starts from, and the prompt of a language model that is given none.",
        ),
        Key::new(
            "tokenizer.special.end",
            TokenIds,
            "(none)",
            "The ids of EOS: each ends a text. In training, the first is appended to every text.",
        ),
        Key::new(
            "tokenizer.special.entries",
            Integer(FROM_1),
            "(those of the tokenizer)",
            "Rows of the model's embedding tables, where they are more than the tokenizer's entries.",
        ),
        Key::new(
            "tokenizer.special.pieces_apart",
            Flag,
            "false",
            "Whether the tokenizer's pieces are not all in the model's vocabulary, as Marian's: ids from entries on \
             become the unknown token.",
        ),
        Key::new(
            "tokenizer.special.sentencepiece",
            Flag,
            "false",
            "Whether characters are normalised as by SentencePiece itself: of all replacements that match at a \
             position, the longest is taken.",
        ),
    ],
};

pub(super) const POST_PROCESSOR: Section = Section {
    name: "tokenizer.special.around",
    help: "The post-processor of an imported tokenizer: the special tokens that it adds around a text.",
    keys: &[
        Key::new(
            "tokenizer.special.around.before",
            TokenIds,
            "(as trained here)",
            "The ids before a text, such as BOS.",
        ),
        Key::new("tokenizer.special.around.after", TokenIds, "(as trained here)", "The ids after a text, such as EOS."),
    ],
};
