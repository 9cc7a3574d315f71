//! Scheduled sampling (Bengio et al. 2015, arXiv 1506.03099): in training too, a decoder reads some tokens that it would write itself, so that it
//! learns to go on from its own errors. In two passes (Mihaylova & Martins 2019, arXiv 1906.07651), so that it is the same for every
//! architecture: the first one, without gradients, says what the model holds likeliest at each position.

use crate::carried_state::hidden;
use descant_autograd::{Parameters, Tape, derive_seed};
use descant_batch::{Batch, Sequences};
use descant_kernels::Parallelism;
use descant_models::{DecoderState, Generator};
use descant_tensor::Result;

/// Parts the draws from those of dropout.
const STREAM: u64 = 0x5c4e_d01e;

/// The batch in which each token that the decoder reads is, with this probability, the model's own in place of the text's. The first one of a
/// sequence stays, and so does a prompt. What is drawn depends on the seed.
///
/// # Errors
/// Whatever the pass fails with.
pub(crate) fn sampled_inputs(
    tape: &mut Tape,
    (model, parameters): (&dyn Generator, &Parameters),
    batch: &Batch,
    carried: Option<&DecoderState>,
    (probability, seed): (f64, u64),
) -> Result<Batch> {
    let graph = tape.infer(parameters, Parallelism::Serial);
    let found = hidden(model, graph, batch, carried.cloned().as_mut())?;
    let likeliest = model.output().likeliest(found.rows)?;
    let mut numbers = (0..).map(|n| derive_seed(derive_seed(seed, STREAM), n));
    let mut input = Sequences::new();
    for i in 0..batch.input.len() {
        let (rows, targets) = (found.segments.rows(i), batch.target.get(i));
        let mut tokens = batch.input.get(i).to_vec();
        for t in 1..tokens.len() {
            let number = numbers.next().unwrap_or_default();
            let is_drawn = ((number >> 11) as f64) < probability * (1_u64 << 53) as f64;
            if is_drawn && targets[t - 1] != Batch::IGNORED {
                tokens[t] = likeliest[rows[t - 1]];
            }
        }
        input.push(&tokens);
    }
    Ok(Batch { input, ..batch.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use descant_models::{LayerKind, LossConfig, ModelConfig, ModelKind, Vocabulary, build};
    use descant_nn::AttentionScore;
    use descant_tensor::DType;

    /// Sequences whose first two targets are a prompt's, each token the target before it.
    fn batch(has_source: bool) -> Batch {
        let mut batch = Batch { source: has_source.then(Sequences::new), ..Batch::default() };
        for i in 0..40_u32 {
            let ids: Vec<u32> = (0..4 + i % 9).map(|t| (3 * i + t * t) % 11).collect();
            let targets: Vec<u32> =
                ids.iter().enumerate().map(|(t, &id)| if t < 3 { Batch::IGNORED } else { id }).collect();
            batch.input.push(&ids[..ids.len() - 1]);
            batch.target.push(&targets[1..]);
            batch.source.iter_mut().for_each(|source| source.push(&[i % 11, 3]));
        }
        batch
    }

    #[test]
    fn what_is_read_is_what_the_model_holds_likeliest() {
        let plain = ModelConfig { embedding: 6, hidden: 8, ..ModelConfig::new(ModelKind::LanguageModel) };
        let transformer = ModelConfig { decoder: LayerKind::Transformer, ..plain.clone() };
        let pair =
            ModelConfig { kind: ModelKind::EncoderDecoder, attention: Some(AttentionScore::Dot), ..plain.clone() };
        for config in [plain, transformer, pair] {
            let has_source = config.kind == ModelKind::EncoderDecoder;
            let vocabulary = Vocabulary::new(if has_source { 11 } else { 0 }, 11, false);
            let mut parameters = Parameters::new(DType::F64);
            let model = build(&config, &LossConfig::default(), &vocabulary, &mut parameters, 1).unwrap();
            let (batch, mut tape) = (batch(has_source), Tape::new());
            let mut sample = |probability: f64, seed: u64| {
                sampled_inputs(&mut tape, (model.as_ref(), &parameters), &batch, None, (probability, seed)).unwrap()
            };
            let all = sample(1.0, 7);
            assert_eq!((&all.source, &all.target), (&batch.source, &batch.target));
            let (mut own, mut others) = (Tape::new(), 0);
            let found = model.hidden(own.infer(&parameters, Parallelism::Serial), &batch);
            let logits = model.output().logits(found.rows).value().unwrap().to_f64();
            for i in 0..batch.input.len() {
                let (given, read, rows) = (batch.input.get(i), all.input.get(i), found.segments.rows(i));
                assert_eq!(given[..3], read[..3], "the first token and the prompt stay");
                for t in 3..read.len() {
                    let row = &logits[rows[t - 1] * 11..][..11];
                    assert!(row.iter().all(|&logit| logit <= row[read[t] as usize]), "token {t} of {i}");
                    others += usize::from(read[t] != given[t]);
                }
            }
            assert!(others > 100, "{others}");
            // Of those that differ, about as many as the probability says, drawn by the seed alone.
            let changed =
                |sampled: &Batch| sampled.input.ids.iter().zip(&batch.input.ids).filter(|(a, b)| a != b).count();
            let some = sample(0.3, 7);
            let share = changed(&some) as f64 / others as f64;
            assert!((0.15..0.45).contains(&share), "{share}");
            assert_eq!(some, sample(0.3, 7));
            assert_ne!(some, sample(0.3, 8));
            assert_eq!(sample(0.0, 7), batch);
        }
    }
}
