use super::key::{ABOVE_0, FROM_0, Key, REQUIRED, SHARE, Section, ValueType, from};
use ValueType::{Choice, Flag, Integer, Number, NumberTable, TextList};

const ENTROPY: &[&str] = &["cross-entropy"];
const DPO: &[&str] = &["dpo"];
const RISK: &[&str] = &["minimum-risk"];

pub(super) const LOSS: Section = Section {
    name: "loss",
    help: "The training objective.",
    keys: &[
        Key::new(
            "loss.kind",
            Choice(&["cross-entropy", "dpo", "minimum-risk", "embedding"]),
            "\"cross-entropy\"",
            "The loss. dpo learns from preferences, of a chosen and a rejected answer each, beside the run init (direct preference \
             optimization, Rafailov et al. 2023). minimum-risk lets the run init write, and makes likelier what a metric finds good (Shen et \
             al. 2016). embedding predicts the target token's embedding vector instead of logits (continuous \
             outputs, Kumar & Tsvetkov 2019).",
        ),
        Key::new(
            "loss.smoothing",
            Number(SHARE),
            "0.0",
            "Label smoothing; of dpo the share of the preferences that are the wrong way round, below 0.5.",
        )
        .of(&["cross-entropy", "dpo"]),
        Key::new(
            "loss.beta",
            Number(ABOVE_0),
            "0.1",
            "What of an answer's log-likelihood, above that of init, is its reward: the smaller, the farther the model may go from \
             init; 0.1 to 0.5 are usual.",
        )
        .of(DPO),
        Key::new(
            "loss.likelihood",
            Number(from(0.0).to(1e6)),
            "0.0",
            "Weight of the negative log-likelihood of a token of the chosen answer beside the preference (Pang et al. 2024), or of the \
             reference beside the risk.",
        )
        .of(&["dpo", "minimum-risk"]),
        Key::new(
            "loss.metric",
            Choice(descant_metrics::WITHOUT_SOURCES),
            "\"bleu\"",
            "What candidates are judged by, each alone: BLEU as sentence BLEU.",
        )
        .of(RISK),
        Key::new(
            "loss.samples",
            Integer(from(2.0).to(1000.0)),
            "8",
            "Candidates for each source or prompt; those that come twice count once.",
        )
        .of(RISK),
        Key::new(
            "loss.search",
            Choice(&["sampling", "beam"]),
            "\"sampling\"",
            "Where candidates come from: samples of the model, or the best of a beam search of this width.",
        )
        .of(RISK),
        Key::new(
            "loss.alpha",
            Number(ABOVE_0.to(1e6)),
            "0.005",
            "How sharp the distribution over the candidates is: their probabilities are raised to this power. With few of them, larger \
             values are usual, up to 1.",
        )
        .of(RISK),
        Key::new("loss.reference", Flag, "true", "Whether the reference is a candidate too.").of(RISK),
        Key::new("loss.checksum", Integer(FROM_0), "(written by a training)", "CRC-32 of the weights of init.").of(DPO),
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
            "loss.unlikelihood",
            Number(from(0.0).to(1e6)),
            "0.0",
            "Weight of token-level unlikelihood: what a target has said before is to be unlikely where it does not come again, against texts that \
             repeat themselves (Welleck et al. 2020); 1 is usual. The validation loss leaves it out.",
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
