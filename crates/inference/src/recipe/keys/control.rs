use super::key::{Key, SHARE, Section, ValueType};
use ValueType::{IntegerTable, Number, TextList};

pub(super) const CONTROL: Section = Section {
    name: "control",
    help: "Control attributes, such as a register: what examples say beside their texts, as tokens before what is read.",
    keys: &[
        Key::new(
            "control.ATTRIBUTE",
            TextList,
            "(none)",
            "The values of an attribute, whose name the key is. In JSON, examples have it as a field of this name; one \
             without it, or with null, is learned without it.",
        ),
        Key::new(
            "control.columns",
            IntegerTable,
            "{}",
            "In a tab-separated file, the column of each attribute, from 0. An empty one is no value.",
        ),
        Key::new(
            "control.dropout",
            Number(SHARE),
            "0.1",
            "The share of the training examples in which an attribute is left out, each by itself, so that the model can \
             also do without, and guidance_scale works.",
        ),
    ],
};
