use super::condition::ENCODER_DECODER;
use super::key::{Key, Section, ValueType};
use ValueType::Text;

pub(super) const VECTORS: Section = Section {
    name: "vectors",
    help: "Pre-trained word vectors that embeddings begin with: text files of word2vec, fastText (.vec) or GloVe.",
    keys: &[
        Key::new(
            "vectors.source",
            Text,
            "(none)",
            "The vectors of the source embedding, model.embedding numbers each (of Transformer layers model.hidden). Words without one \
             begin as they are drawn, and are reported; finetune.freeze keeps an embedding as it is.",
        )
        .when(ENCODER_DECODER),
        Key::new(
            "vectors.target",
            Text,
            "(none)",
            "The same of the target embedding, or that of a language model; with loss.kind = \"embedding\", of the fixed embeddings that are \
             predicted too, without their mean and at unit length.",
        ),
    ],
};
