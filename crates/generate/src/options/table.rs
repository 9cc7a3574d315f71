//! Every decoding option, defined once: name, type, range, default, help and paper. [`GenerationConfig`], validation,
//! recipe keys, command-line flags, reading and writing of `generation_config.json` and the reference page come from here.

use super::value_type::{Range, ValueType};
use super::values::{EarlyStopping, ForcedEos, MbrMetric, Ranking, TokenIds};
use serde::{Deserialize, Serialize};

use ValueType::{
    BiasedSequences, Choice, Flag, FlagOrChoice, FlagOrTokenIds, Integer, Number, StartAndFactor, Texts, TokenSequences,
};

/// What an option is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// When a text ends.
    Length,
    /// Beam search.
    Beam,
    /// Sampling.
    Sampling,
    /// Repetition.
    Repetition,
    /// Single tokens and sequences of tokens.
    Tokens,
    /// Control of what is written.
    Control,
}

impl Group {
    /// The heading in help texts.
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Length => "Length",
            Self::Beam => "Beam search",
            Self::Sampling => "Sampling",
            Self::Repetition => "Repetition",
            Self::Tokens => "Tokens",
            Self::Control => "Control",
        }
    }
}

/// A decoding option.
#[derive(Clone, Copy, Debug)]
pub struct DecodingOption {
    /// Its name, that of `transformers`' `GenerationConfig` where it has the option.
    pub name: &'static str,
    /// As a key of a recipe.
    pub key: &'static str,
    /// Other names that are read.
    pub aliases: &'static [&'static str],
    /// The type of its value, with the range.
    pub value: ValueType,
    /// The default: TOML, or words in parentheses.
    pub default: &'static str,
    /// What it is about.
    pub group: Group,
    /// What it does.
    pub help: &'static str,
    /// The paper that describes it; empty for none.
    pub paper: &'static str,
    /// The option without which it has no effect; empty for none.
    pub requires: &'static str,
    /// What to give in place of 0, where that is out of range; empty for nothing.
    pub zero: &'static str,
}

impl DecodingOption {
    /// What it does, in a sentence or more.
    pub fn help(&self) -> &'static str {
        self.help.trim_start()
    }

    /// Whether giving it asks for sampling, where nothing says otherwise.
    pub fn asks_for_sampling(&self) -> bool {
        self.group == Group::Sampling && !["do_sample", "seed"].contains(&self.name)
    }
}

macro_rules! options {
    ($($group:ident { $(
        $(#[doc = $help:literal])+
        $name:ident: $type:ty = $value:expr, $default:literal $(, also [$($alias:literal),+])? $(, by $paper:literal)?
            $(, with $requires:literal)? $(, zero $zero:literal)?;
    )+ })+) => {
        /// Decoding options: how tokens are chosen and when a text ends, by the names and meanings of `transformers`'
        /// `GenerationConfig`. What is not set has its default, or what the model's own configuration says.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        #[non_exhaustive]
        pub struct GenerationConfig {
            $($(
                $(#[doc = $help])+
                $(#[doc = concat!(" (", $paper, ")")])?
                #[serde(skip_serializing_if = "Option::is_none" $($(, alias = $alias)+)?)]
                pub $name: Option<$type>,
            )+)+
        }

        /// All decoding options, group by group.
        pub const OPTIONS: &[DecodingOption] = &[$($(
            DecodingOption {
                name: stringify!($name),
                key: concat!("generation.", stringify!($name)),
                aliases: &[$($($alias),+)?],
                value: $value,
                default: $default,
                group: Group::$group,
                help: concat!($($help),+),
                paper: concat!($($paper)?),
                requires: concat!($($requires)?),
                zero: concat!($($zero)?),
            },
        )+)+];
    };
}

/// What may be added to scores: more would leave no other token any probability.
const BIAS: Range = Range::from(-100.0).to(100.0);
const FACTOR: Range = Range::from(0.001).to(1000.0);
const SHARE: Range = Range::above(0.0).to(1.0);

options! {
    Length {
        /// Maximum number of new tokens, including EOS. By default 1.5 times the longest target in training and 10 more, for sources beyond
        /// the longest in training in proportion more; of a source also at most its length times 1.5 times the largest ratio of a target
        /// to its source in training, and 10 more. 500 for a model of one continuous text and for an imported one. A default leaves room for
        /// min_new_tokens and min_length. Of a source that is written in parts, of each part.
        max_new_tokens: usize = Integer(Range::from(1.0)), "(as training showed)", also ["max_length"];
        /// Minimum number of new tokens before EOS.
        min_new_tokens: usize = Integer(Range::from(0.0)), "0";
        /// Minimum number of tokens before EOS, the prompt or the decoder's start token included.
        min_length: usize = Integer(Range::from(0.0)), "0";
        /// A factor f and the number of new tokens n after which EOS becomes more likely: its score grows by its size times
        /// (f^i - 1) at the i-th token after them.
        exponential_decay_length_penalty: (usize, f64) = StartAndFactor, "(none)";
        /// Texts that end the text in which they appear, also where several tokens write one. They stay in it.
        stop_strings: Vec<String> = Texts, "[]";
        /// The token that an encoder-decoder generates first, whatever its probability; of several, one after the other.
        forced_bos_token_id: TokenIds = ValueType::TokenIds, "[]", also ["forced_beginning"];
        /// Whether the last token that the maximum allows is EOS, whatever its probability, or which token it is: one that is
        /// no EOS does not end the text.
        forced_eos_token_id: ForcedEos = FlagOrTokenIds, "false", also ["forced_end"];
        /// Context length: the maximum number of tokens that a language model attends to. Beyond it, generation continues
        /// from the last half. One continuous text is evaluated in chunks of this length. Relative positions and recurrent
        /// layers have no limit.
        context: usize = Integer(Range::from(1.0)), "(the training length)";
        /// Prompt lookup, for greedy decoding and sampling by a Transformer: each step also reads up to this many tokens that
        /// followed the text's last tokens before, in the text or in a source of the same vocabulary, and keeps those that are chosen.
        /// The text and its score stay the same, bit by bit; what repeats itself is faster.
        prompt_lookup_num_tokens: usize = Integer(Range::from(1.0).to(64.0)), "(off)", by "Yang et al. 2023, arXiv 2304.04487";
        /// Prompt lookup: the most last tokens of the text that are looked up.
        max_matching_ngram_size: usize = Integer(Range::from(1.0).to(64.0)), "2", with "prompt_lookup_num_tokens";
        /// Speculative decoding: the most tokens that a draft model guesses before each step. Only with a draft model.
        num_assistant_tokens: usize = Integer(Range::from(1.0).to(64.0)), "5", by "Leviathan et al. 2023, arXiv 2211.17192";
    }
    Beam {
        /// Beam search of this width: keep as many of the most likely hypotheses. 1 is greedy decoding, or sampling.
        num_beams: usize = Integer(Range::from(1.0).to(65_536.0)), "1", also ["beam"], by "Freitag and Al-Onaizan 2017, arXiv 1702.01806";
        /// Length penalty: the power of the length by which log probabilities are divided, EOS counted as a token; see ranking.
        length_penalty: f64 = Number(Range::from(-10.0).to(100.0)), "(gnmt 0.6, tokens 1.0)", by "Wu et al. 2016, arXiv 1609.08144";
        /// Coverage penalty b of an encoder-decoder: the score of a hypothesis gains b × Σ log(min(a, 1)), of the attention a that
        /// each token of the source has got from all generated tokens, EOS included. So a translation that leaves out a part is worse. Of a
        /// Transformer it is the cross-attention of the last layer, the mean over its heads; of an LSTM or GRU, its attention. While a
        /// hypothesis is unfinished, early_stopping takes it to cover all.
        coverage_penalty: f64 = Number(Range::from(0.0).to(100.0)), "0.0", by "Wu et al. 2016, arXiv 1609.08144";
        /// What log probabilities are divided by: gnmt, ((5 + tokens) / 6)^length_penalty, finished hypotheses before
        /// unfinished ones; tokens, as transformers, tokens^length_penalty. Imported models have tokens.
        ranking: Ranking = Choice(&["gnmt", "tokens"]), "\"gnmt\"";
        /// When the search stops: true, once as many hypotheses have finished as the beam is wide; false, when besides the best
        /// unfinished one would be no better if it ended now; never, when none can become better at any length. Where another
        /// option can raise scores (guidance_scale above 1, positive biases), none is sure not to: never of gnmt then goes on to
        /// max_new_tokens, and that of tokens stops as in transformers.
        early_stopping: EarlyStopping = FlagOrChoice(&["never"]), "(gnmt \"never\", tokens false)", by "Kasai et al. 2022, arXiv 2204.05424";
        /// Diverse beam search: groups of beams, of which each avoids the tokens that the ones before it have just chosen.
        num_beam_groups: usize = Integer(Range::from(1.0).to(65_536.0)), "1", by "Vijayakumar et al. 2018, arXiv 1610.02424";
        /// What a token's score loses in a group for each beam of the groups before that has just chosen it.
        diversity_penalty: f64 = Number(Range::from(0.0)), "0.0", by "Vijayakumar et al. 2018, arXiv 1610.02424", with "num_beam_groups";
        /// How many texts are returned: the best hypotheses of a beam search, the best first, or as many samples, in the order
        /// in which they were drawn; or alternatives.
        num_return_sequences: usize = Integer(Range::from(1.0).to(65_536.0)), "1", also ["n_best"];
        /// Alternatives at a position: the num_return_sequences most likely tokens at the first position where the text may go on in
        /// several ways, such as after a prompt or a forced prefix, and each of them continued to the end by itself, greedily or by a beam
        /// search. The texts come in the order of the probability of these tokens.
        return_alternatives: bool = Flag, "false", with "num_return_sequences";
        /// Alternatives at a position: the probability below which a token is left out, but for the most likely one.
        min_alternative_expansion_prob: f64 = Number(Range::from(0.0).to(1.0)), "0.0", with "return_alternatives";
        /// Minimum Bayes risk: of this many samples, or of the best hypotheses of a beam search, the texts that are most like all of
        /// them; their score is the expected likeness. Samples count alike, hypotheses by their probability.
        mbr_candidates: usize = Integer(Range::from(2.0).to(256.0)), "(off)", by "Eikema and Aziz 2020, arXiv 2005.10283";
        /// What likeness is, from 0 to 1: chrf, of n-grams of characters (Popovic 2015); bleu, of n-grams of words, each text by
        /// itself (Papineni et al. 2002); exact, whether two texts are the same.
        mbr_metric: MbrMetric = Choice(&["chrf", "bleu", "exact"]), "\"chrf\"", with "mbr_candidates";
    }
    Sampling {
        /// Sampling: draw tokens by their probability, in place of the most likely one. Where it is not given, another option
        /// of this group but seed asks for sampling, and num_beams, penalty_alpha and return_alternatives ask for none.
        do_sample: bool = Flag, "(true for models that continue a text)", also ["sample"];
        /// Softmax temperature: below 1 for safer text, above 1 for bolder.
        temperature: f64 = Number(Range::from(0.001)), "1.0", zero "do_sample = false takes the most likely token";
        /// Top-k: only the k most likely tokens; with penalty_alpha from 2 to 1024.
        top_k: usize = Integer(Range::from(1.0).to(4_294_967_295.0)), "(all)", by "Fan et al. 2018, arXiv 1805.04833", zero "leave it out for all tokens";
        /// Top-p (nucleus): only the fewest most likely tokens that together have this probability.
        top_p: f64 = Number(SHARE), "1.0", by "Holtzman et al. 2020, arXiv 1904.09751";
        /// Min-p: only tokens of at least this share of the most likely token's probability.
        min_p: f64 = Number(Range::from(0.0).to(1.0)), "0.0", by "Nguyen et al. 2024, arXiv 2407.01082";
        /// Top-H: only the most likely tokens whose entropy together is at most this share of the whole entropy.
        top_h: f64 = Number(SHARE), "(all)", by "Baghaei Potraghloo et al. 2025, arXiv 2509.02510";
        /// Locally typical sampling: only the tokens whose information is nearest the entropy, that together have this
        /// probability.
        typical_p: f64 = Number(SHARE), "1.0", by "Meister et al. 2023, arXiv 2202.00666";
        /// Epsilon sampling: only tokens of at least this probability.
        epsilon_cutoff: f64 = Number(Range::from(0.0).below(1.0)), "0.0", by "Hewitt et al. 2022, arXiv 2210.15191";
        /// Eta sampling: only tokens of at least the smaller of this probability and of its square root times e^-entropy.
        eta_cutoff: f64 = Number(Range::from(0.0).below(1.0)), "0.0", by "Hewitt et al. 2022, arXiv 2210.15191";
        /// XTC (exclude top choices): the probability with which all tokens of xtc_threshold or more are left out but the
        /// least likely of them.
        xtc_probability: f64 = Number(Range::from(0.0).to(1.0)), "0.0";
        /// The probability from which a token is a top choice of XTC.
        xtc_threshold: f64 = Number(SHARE), "0.1", with "xtc_probability";
        /// Mirostat 2: keep the mean surprise of the drawn tokens, in bits, near this.
        mirostat_tau: f64 = Number(Range::above(0.0)), "(none)", by "Basu et al. 2021, arXiv 2007.14966";
        /// The learning rate of Mirostat 2.
        mirostat_eta: f64 = Number(SHARE), "0.1", by "Basu et al. 2021, arXiv 2007.14966", with "mirostat_tau";
        /// Random seed: the same seed, line and options give the same text.
        seed: u64 = Integer(Range::from(0.0)), "1";
    }
    Repetition {
        /// Tokens that the text or its prompt has already become less likely: their scores are divided by this, or multiplied
        /// with it where they are negative.
        repetition_penalty: f64 = Number(FACTOR), "1.0", by "Keskar et al. 2019, arXiv 1909.05858";
        /// The same for tokens of the source, or of a language model's prompt, the other way round: above 1, they become more
        /// likely.
        encoder_repetition_penalty: f64 = Number(FACTOR), "1.0";
        /// What the score of a token loses that was generated before.
        presence_penalty: f64 = Number(BIAS), "0.0";
        /// What the score of a token loses for each time that it was generated before.
        frequency_penalty: f64 = Number(BIAS), "0.0";
        /// N-grams of this many tokens appear only once; 0 for no such limit.
        no_repeat_ngram_size: usize = Integer(Range::from(0.0)), "0", by "Paulus et al. 2018, arXiv 1705.04304";
        /// N-grams of this many tokens of the source, or of a language model's prompt, do not appear; 0 for no such limit.
        encoder_no_repeat_ngram_size: usize = Integer(Range::from(0.0)), "0";
        /// DRY (do not repeat yourself): what the score of a token loses that would continue a repeated sequence, times
        /// dry_base to the power of the tokens beyond dry_allowed_length; 0 for none.
        dry_multiplier: f64 = Number(Range::from(0.0)), "0.0";
        /// What DRY's penalty is multiplied with for each further token of the repeated sequence.
        dry_base: f64 = Number(Range::from(1.0)), "1.75", with "dry_multiplier";
        /// The length from which a repeated sequence is penalised by DRY.
        dry_allowed_length: usize = Integer(Range::from(1.0)), "2", with "dry_multiplier";
        /// Texts that end a sequence for DRY.
        dry_sequence_breakers: Vec<String> = Texts, "[\"\\n\", \":\", \"\\\"\", \"*\"]", with "dry_multiplier";
        /// Contrastive search: the weight of the likeness to earlier tokens against the probability, among the top_k most
        /// likely tokens.
        penalty_alpha: f64 = Number(Range::from(0.0).to(1.0)), "0.0", by "Su et al. 2022, arXiv 2202.06417";
    }
    Tokens {
        /// Tokens that are never generated.
        suppress_tokens: TokenIds = ValueType::TokenIds, "[]", also ["forbidden"];
        /// Tokens that are not generated first.
        begin_suppress_tokens: TokenIds = ValueType::TokenIds, "[]";
        /// Sequences of tokens that are never generated.
        bad_words_ids: Vec<Vec<u32>> = TokenSequences, "[]";
        /// Logit bias: what the score of a token gains, or of one that would complete a sequence. In a beam search it counts in the score of
        /// the text, which is no log probability then, and may be above 0; renormalize_logits makes it one.
        sequence_bias: Vec<(Vec<u32>, f64)> = BiasedSequences, "[]";
        /// Renormalise the probabilities of a beam search over the tokens that the other options leave.
        renormalize_logits: bool = Flag, "false";
    }
    Control {
        /// Classifier-free guidance: how far the scores are led away from those without the control attributes, or of a language model
        /// without any, from those after the last token of the prompt alone. A score is u + guidance_scale × (c - u), of the log
        /// probabilities c with the condition and u without it; 1 for no guidance. Above 1, a text obeys its attributes more. Greedy
        /// decoding and sampling renormalise scores; the score and log_probability of a beam search are sums of them as they are, which
        /// are no log probabilities, and may be above 0; renormalize_logits makes them such.
        guidance_scale: f64 = Number(Range::from(0.0).to(100.0)), "1.0", by "Ho and Salimans 2022, arXiv 2207.12598";
        /// Attribute steering (--steer): the length of a step of the hidden state along the classifier's gradient, as a share of the
        /// hidden state's own. One that leads up is halved.
        steering_step_size: f64 = Number(Range::above(0.0).to(10.0)), "0.1", by "Dathathri et al. 2020, arXiv 1912.02164";
        /// Steps of attribute steering for each token.
        steering_iterations: usize = Integer(Range::from(1.0).to(1000.0)), "3";
        /// The weight of the Kullback-Leibler divergence from the distribution without steering, against the likelihood of the label.
        steering_kl_scale: f64 = Number(Range::from(0.0)), "0.01";
        /// The share of the steered distribution in the geometric mean with the one without steering.
        steering_gm_scale: f64 = Number(SHARE), "0.95";
    }
}
