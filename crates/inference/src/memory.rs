//! What a model and its training take of memory, estimated before any of it is allocated.

use crate::{Recipe, Tokenizers};
use descant_autograd::Parameters;
use descant_generate::MAX_PASS_TOKENS;
use descant_models::{LayerKind, LossConfig, ModelConfig, ModelKind, Vocabulary, build};
use descant_tensor::DType;
use std::fs;
use std::path::Path;

/// Tokens of a block of the KV cache.
const KV_BLOCK: f64 = 8.0;

/// Bytes of a hypothesis beside its scores and state: the candidates that extend it; and for each of its tokens.
const HYPOTHESIS: f64 = 3072.0;
const HYPOTHESIS_TOKEN: f64 = 8.0;

/// An estimate, in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Estimate {
    /// How many parameters.
    pub parameters: f64,
    /// The weights.
    pub weights: f64,
    /// What training holds beside them: gradients of every share, the optimizer's state, an average, a reference model.
    pub training: f64,
    /// What the passes over a batch hold at once, roughly.
    pub activations: f64,
}

impl Estimate {
    /// For a recipe's model with this vocabulary, in a type, and its training on batches of so many tokens on both sides.
    ///
    /// # Errors
    /// What is wrong with the model.
    pub fn of(recipe: &Recipe, vocabulary: &Vocabulary, dtype: DType, tokens: f64) -> Result<Self, String> {
        let mut sketch = Parameters::shapes_only(dtype);
        build(&recipe.model, &recipe.loss, vocabulary, &mut sketch, None)?;
        if let Some(finetune) = &recipe.finetune {
            finetune.apply(&mut sketch, recipe.seed)?;
        }
        let width = if dtype == DType::F64 { 8.0 } else { 4.0 };
        let count = |trained: bool| -> f64 {
            sketch.ids().filter(|&id| !trained || sketch.is_trainable(id)).map(|id| sketch.shape(id).len() as f64).sum()
        };
        let (parameters, trained) = (count(false), count(true));
        let state = sketch.ids().filter(|&id| sketch.is_trainable(id)).map(|id| {
            let (name, shape) = (sketch.name(id), sketch.shape(id));
            recipe.optimizer.of_parameter(name, shape, 1.0).state_size(shape) as f64
        });
        let state: f64 = state.sum();
        let average = if recipe.train.average > 0.0 || recipe.optimizer.average().is_some() { parameters } else { 0.0 };
        // Preferences are measured from the model that training starts from.
        let reference = if matches!(recipe.loss, LossConfig::Dpo(_)) { parameters } else { 0.0 };
        Ok(Self {
            parameters,
            weights: parameters * width,
            training: (trained * shares(recipe) + state + average + reference) * width,
            activations: tokens * passes(recipe) * per_token(&recipe.model) * width,
        })
    }

    /// For the training of a recipe, in f32.
    ///
    /// # Errors
    /// What is wrong with the model.
    pub fn of_training(recipe: &Recipe, tokenizers: &Tokenizers) -> Result<Self, String> {
        let vocabulary = tokenizers.vocabulary(&recipe.loss)?;
        Self::of(recipe, &vocabulary, DType::F32, tokens_at_once(recipe))
    }

    /// What generation holds about for so many hypotheses at once, in f32, which have read so many tokens and may write so many: their
    /// scores, activations and states.
    pub fn of_generation(model: &ModelConfig, vocabulary: usize, hypotheses: f64, read: f64, written: f64) -> f64 {
        let activations = per_token(model) / 4.0;
        // The hidden and cell states of each layer, or the keys and values of a token.
        let of_token = 2.0 * (model.layers * model.hidden) as f64;
        let is_language_model = model.kind == ModelKind::LanguageModel;
        // Beams share blocks of the KV cache: each has one of its own, and one of them the whole text.
        let (own, shared) = match model.decoder {
            LayerKind::Recurrent if is_language_model => (of_token, 0.0),
            LayerKind::Recurrent => (of_token, read * of_token),
            LayerKind::Transformer => (written.min(KV_BLOCK) * of_token, (read + written) * of_token),
        };
        // A source is read as a whole, a prompt in passes.
        let at_once = if is_language_model { read.min(MAX_PASS_TOKENS as f64) } else { read };
        // Logits, their logarithms of softmax, and the copy that is searched.
        let of_hypothesis = 3.0 * vocabulary as f64 + activations + own;
        4.0 * (hypotheses * of_hypothesis + shared + at_once * activations)
            + hypotheses * (HYPOTHESIS + written * HYPOTHESIS_TOKEN)
    }

    /// All of it.
    pub fn total(&self) -> f64 {
        self.weights + self.training + self.activations
    }

    /// That there is memory for the weights, and with `trained` for a training: activations are only estimated, so these
    /// count a quarter.
    ///
    /// # Errors
    /// How much it takes, how much there is, and what to do.
    pub fn check(&self, trained: bool) -> Result<(), String> {
        let needed = if trained { self.weights + self.training + self.activations / 4.0 } else { self.weights };
        let Some(available) = available().filter(|&available| needed > available) else { return Ok(()) };
        let told = if trained { self.total() } else { self.weights };
        let lower = if trained {
            "model.hidden, model.layers, the vocabulary or train.batch_tokens"
        } else {
            "the model's sizes"
        };
        Err(format!(
            "the model has {} parameters and takes about {}, but {} of memory are available. Lower {lower}",
            count(self.parameters),
            size(told),
            size(available)
        ))
    }
}

/// A number of bytes as people read it.
pub fn size(bytes: f64) -> String {
    match bytes {
        bytes if bytes < 999.5e3 => format!("{:.0} kB", bytes / 1e3),
        bytes if bytes < 999.5e6 => format!("{:.0} MB", bytes / 1e6),
        bytes if bytes < 999.5e9 => format!("{:.1} GB", bytes / 1e9),
        bytes => format!("{:.1} TB", bytes / 1e12),
    }
}

/// A count as people read it.
pub fn count(n: f64) -> String {
    match n {
        n if n < 1e4 => format!("{n:.0}"),
        n if n < 999.5e3 => format!("{:.0} thousand", n / 1e3),
        n if n < 999.5e6 => format!("{:.1} million", n / 1e6),
        n => format!("{:.1} billion", n / 1e9),
    }
}

/// Gradient buffers.
fn shares(recipe: &Recipe) -> f64 {
    match recipe.train.shares {
        0 => std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64),
        shares => shares as f64,
    }
}

/// Tokens of both sides that a batch has, about.
fn tokens_at_once(recipe: &Recipe) -> f64 {
    let train = &recipe.train;
    let sides = if recipe.model.kind == ModelKind::EncoderDecoder { 2.0 } else { 1.0 };
    let stream = recipe.data.as_ref().is_some_and(|data| data.stream);
    sides
        * match train.batch_sentences {
            0 => train.batch_tokens as f64,
            // Lines are of some thirty tokens, chunks of as many as they are asked to have.
            sentences => sentences as f64 * if stream { train.length as f64 } else { 32.0 },
        }
}

/// Numbers that a token leaves in a forward and backward pass: what each layer saves, and as much again for gradients
/// on their way. Blocks of logits and scores of attention are small beside.
fn per_token(model: &ModelConfig) -> f64 {
    let hidden = model.hidden as f64;
    let layer = |layers: LayerKind| match layers {
        // The fused cells save what backward needs; primitive operations each save their result.
        LayerKind::Recurrent if model.layer_norm => 64.0 * hidden,
        LayerKind::Recurrent => 16.0 * hidden,
        LayerKind::Transformer => {
            let transformer = model.transformer();
            let gate = if transformer.gated { 1.5 } else { 1.0 };
            1.5 * (9.0 * hidden + 2.0 * gate * transformer.d_ff(model.hidden) as f64)
        }
    };
    let depth = |layers: LayerKind, count: usize| match layers {
        // Kept: what goes into each layer, and one layer whole.
        LayerKind::Transformer if model.transformer().recompute => layer(layers) + count as f64 * hidden,
        _ => layer(layers) * count as f64,
    };
    let decoder = depth(model.decoder, model.layers);
    // Half of the tokens are the source's.
    let one = match model.kind {
        ModelKind::LanguageModel => decoder,
        ModelKind::EncoderDecoder => (decoder + depth(model.encoder(), model.encoder_layers)) / 2.0,
    };
    one + 4.0 * hidden
}

/// How often each token is in a training pass.
fn passes(recipe: &Recipe) -> f64 {
    match recipe.loss {
        LossConfig::CrossEntropy { r_drop, .. } if r_drop > 0.0 => 2.0,
        LossConfig::MinimumRisk(ref config) => 1.0 + config.samples as f64,
        _ => 1.0,
    }
}

/// The memory that this process may still take; none where the system does not tell.
pub fn available() -> Option<f64> {
    [free(), cgroup(), address_space()].into_iter().flatten().reduce(f64::min)
}

/// What the system has free, swap included.
fn free() -> Option<f64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let field = |name: &str| -> Option<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches("kB").trim().parse().ok()
    };
    Some((field("MemAvailable:")? + field("SwapFree:").unwrap_or(0.0)) * 1024.0)
}

/// What the process's control groups (a container, a job of Slurm) leave it: its own and those above, as each has a limit.
fn cgroup() -> Option<f64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = |version: &str| groups.lines().find_map(|line| line.split_once(version)).map_or("/", |(_, own)| own);
    let second = ("/sys/fs/cgroup", own("0::"), "memory.max", "memory.current", "");
    let first = ("/sys/fs/cgroup/memory", own(":memory:"), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_");
    let left = |(root, own, limit, used, prefix): (&str, &str, &str, &str, &str)| {
        let all = Path::new(own).ancestors().filter_map(|group| {
            let read =
                |name: &str| fs::read_to_string(Path::new(&format!("{root}{}", group.display())).join(name)).ok();
            let number = |name: &str| read(name)?.trim().parse::<f64>().ok();
            let used = number(used).unwrap_or(0.0) - cached(&read("memory.stat").unwrap_or_default(), prefix);
            Some(number(limit)? - used)
        });
        all.reduce(f64::min)
    };
    [second, first].into_iter().filter_map(left).reduce(f64::min).map(|left| left.max(0.0))
}

/// Bytes of files that a control group has in memory, by its `memory.stat`: they count as used, and make room for others.
fn cached(stat: &str, prefix: &str) -> f64 {
    let files = [format!("{prefix}active_file"), format!("{prefix}inactive_file")];
    let fields = stat.lines().filter_map(|line| line.split_once(' '));
    fields.filter(|(name, _)| files.iter().any(|file| file == name)).filter_map(|(_, n)| n.parse::<f64>().ok()).sum()
}

/// What a limit of the shell (`ulimit -v`) leaves.
fn address_space() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    let limit: f64 = line.split_whitespace().next()?.parse().ok()?;
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let used = status.lines().find_map(|line| line.strip_prefix("VmSize:"))?;
    let used: f64 = used.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some((limit - used * 1024.0).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(model: &str) -> Recipe {
        Recipe::parse(&format!("[model]\n{model}\n[train]\nshares = 2\n"), &[]).unwrap()
    }

    #[test]
    fn the_sketch_has_the_parameters_of_the_model() {
        for model in [
            "kind = \"language-model\"\nhidden = 24\nembedding = 8",
            "kind = \"encoder-decoder\"\nhidden = 24\nattention = \"general\"",
            "kind = \"language-model\"\ndecoder = \"transformer\"\nhidden = 24\ntie = \"output\"",
        ] {
            let recipe = recipe(model);
            let vocabulary = Vocabulary::new(30, 50, false);
            let mut parameters = Parameters::new(DType::F32);
            build(&recipe.model, &recipe.loss, &vocabulary, &mut parameters, 1).unwrap();
            let estimate = Estimate::of(&recipe, &vocabulary, DType::F32, 0.0).unwrap();
            assert_eq!(estimate.parameters, parameters.count() as f64);
            assert_eq!(estimate.weights, 4.0 * estimate.parameters);
            // Two gradients, and AdamW's two means.
            assert_eq!(estimate.training, 4.0 * estimate.weights);
        }
    }

    #[test]
    fn what_no_memory_holds_is_told() {
        let large = recipe("kind = \"language-model\"\nhidden = 65536\nlayers = 64");
        let estimate = Estimate::of(&large, &Vocabulary::new(0, 1_000_000, true), DType::F32, 1e4).unwrap();
        let said = estimate.check(false).unwrap_err();
        assert!(said.contains("billion parameters") && said.contains("TB") && said.contains("available"), "{said}");
        let small = recipe("kind = \"language-model\"\nhidden = 8");
        let small = Estimate::of(&small, &Vocabulary::new(0, 9, true), DType::F32, 9.0).unwrap();
        assert_eq!(small.check(true), Ok(()));
    }

    #[test]
    fn a_step_of_a_wide_beam_is_mostly_scores() {
        let recipe = recipe("kind = \"language-model\"\nhidden = 8");
        let of = |hypotheses, read, written| Estimate::of_generation(&recipe.model, 8000, hypotheses, read, written);
        let [one, many] = [1.0, 20_000.0].map(|hypotheses| of(hypotheses, 0.0, 0.0));
        assert_eq!(many, 20_000.0 * one);
        assert!(one > 96_000.0 && one < 100_000.0, "{one}");
        // A recurrent state does not grow, and of a long prompt no more is read at once.
        assert_eq!(of(1.0, 1e6, 0.0), of(1.0, 512.0, 0.0));
    }

    #[test]
    fn files_in_memory_leave_room() {
        let stat = "anon 7\nfile 30\nactive_file 10\ninactive_file 15\nunevictable 1\n";
        assert_eq!(cached(stat, ""), 25.0);
        assert_eq!(cached("inactive_file 1\ntotal_active_file 2\ntotal_inactive_file 4\n", "total_"), 6.0);
        assert_eq!(cached("", ""), 0.0);
    }

    #[test]
    fn sizes_read_as_people_say_them() {
        assert_eq!([size(2.5e8), size(1e9), size(3.2e12)], ["250 MB", "1.0 GB", "3.2 TB"]);
        assert_eq!([count(950.0), count(811_624.0), count(7.5e6)], ["950", "812 thousand", "7.5 million"]);
    }
}
