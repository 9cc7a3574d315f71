use super::key::{Key, REQUIRED, SHARE, Section, ValueType, from};
use ValueType::{Choice, Number, NumberTable, TextList};

const ENTROPY: &[&str] = &["cross-entropy"];

pub(super) const LOSS: Section = Section {
    name: "loss",
    help: "The training objective.",
    keys: &[
        Key::new(
            "loss.kind",
            Choice(&["cross-entropy", "embedding"]),
            "\"cross-entropy\"",
            "The loss. embedding predicts the target token's embedding vector instead of logits (continuous \
             outputs, Kumar & Tsvetkov 2019).",
        ),
        Key::new("loss.smoothing", Number(SHARE), "0.0", "Label smoothing.").of(ENTROPY),
        Key::new(
            "loss.consistency",
            Number(from(0.0).to(1e6)),
            "0.0",
            "R-Drop's weight α of the divergence between two passes with different dropout; 5 is usual.",
        )
        .of(ENTROPY),
        Key::new(
            "loss.z_loss",
            Number(from(0.0).to(1e6)),
            "0.0",
            "Weight of the z-loss, the squared log-sum-exp of the logits, which keeps them near zero; 1e-4 is usual. The validation loss leaves it out.",
        )
        .of(ENTROPY),
        Key::new(
            "loss.focal",
            Number(from(0.0).to(100.0)),
            "0.0",
            "Exponent γ of the focal loss: the loss of a target of probability p counts (1 - p)^γ, so that what is known hardly counts; 2 is usual. \
             The validation loss leaves it out.",
        )
        .of(ENTROPY),
        Key::new(
            "loss.class_weights",
            NumberTable(from(0.0).to(1e6)),
            "{}",
            "Loss weights of target tokens; of all others 1.",
        )
        .of(ENTROPY),
        Key::new("loss.ignored", TextList, "[]", "Target tokens without a loss.").of(ENTROPY),
        Key::new(
            "loss.measure",
            Choice(&["cosine", "l2", "vmf"]),
            REQUIRED,
            "The distance between predicted and target embedding: cosine, L2, or the von Mises-Fisher likelihood.",
        )
        .of(&["embedding"]),
    ],
};
