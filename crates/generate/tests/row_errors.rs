//! What is wrong with a row is its own result: the others have the same bits as without it.

mod common;

use common::{BOS, attentive, beam, language_model, options, sample, sequences, sources};
use descant_autograd::Tape;
use descant_batch::Sequences;
use descant_generate::{
    ConstrainedRow, Constraint, ConstraintState, Decoder, DecodingBatch, DecodingOptions, GenerationConfig, Hypothesis,
    RowError, RowResult,
};
use std::sync::Arc;

/// Has no text for row 1, and fails in row 3 after two tokens.
#[derive(Clone, Debug)]
struct Fails {
    row: u64,
    tokens: usize,
}

impl Constraint for Fails {
    fn start(&self, row: &ConstrainedRow<'_>) -> Result<Box<dyn ConstraintState>, String> {
        match row.number {
            1 => Err("nothing fits".to_owned()),
            row => Ok(Box::new(Self { row, tokens: 0 })),
        }
    }
}

impl ConstraintState for Fails {
    fn restrict(&mut self, _: &mut [f64]) -> Result<(), String> {
        if self.row == 3 && self.tokens == 2 { Err("it broke".to_owned()) } else { Ok(()) }
    }

    fn push(&mut self, _: u32) -> Result<(), String> {
        self.tokens += 1;
        Ok(())
    }

    fn may_end(&mut self) -> bool {
        true
    }
}

fn write(model: &common::Model, batch: DecodingBatch<'_>, options: &DecodingOptions) -> Vec<RowResult> {
    let (mut tape, mut found) = (Tape::new(), vec![Ok(Vec::new()); batch.rows.len()]);
    let mut decoder = Decoder::new(&*model.generator, &model.parameters, options).unwrap();
    decoder.push(&mut tape, batch).unwrap();
    assert_eq!(decoder.len(), batch.rows.len());
    while !decoder.is_empty() {
        decoder.step(&mut tape, |_, _| ()).unwrap().into_iter().for_each(|(row, result)| found[row] = result);
    }
    found
}

#[test]
fn a_constraint_that_fails_ends_its_row_alone() {
    let (model, sources) = (attentive(12, 3), sources());
    let several = sample(None, None, 5).with(|c| c.num_return_sequences = Some(3));
    let contrastive = GenerationConfig::greedy().with(|c| (c.penalty_alpha, c.top_k) = (Some(0.6), Some(4)));
    for config in [GenerationConfig::greedy(), several, beam(3, 1.0, 2), contrastive] {
        // Without EOS every row gets as far as the failure.
        let options = options(config.clone(), 6).with(|o| o.eos.clear());
        let constrained = options.clone().with(|o| o.constraints = vec![Arc::new(Fails { row: 0, tokens: 0 })]);
        let rows: Vec<u64> = (0..sources.len() as u64).collect();
        let batch = DecodingBatch { rows: &rows, sources: Some(&sources), prompts: None, ..DecodingBatch::default() };
        let (plain, found) = (write(&model, batch, &options), write(&model, batch, &constrained));
        for (row, (plain, found)) in plain.iter().zip(&found).enumerate() {
            match (row, found) {
                (1, Err(RowError::Constraint(reason))) => assert_eq!(reason, "nothing fits"),
                (3, Err(RowError::Constraint(reason))) => assert_eq!(reason, "it broke"),
                (_, found) => {
                    let (found, plain) = (found.as_ref().unwrap(), plain.as_ref().unwrap());
                    let texts = |of: &[Hypothesis]| of.iter().map(|one| one.tokens.clone()).collect::<Vec<_>>();
                    assert_eq!(texts(found), texts(plain), "{config:?}, row {row}");
                    // What a constraint leaves is renormalised, which rounds where it leaves all.
                    let is_near = |(a, b): (&Hypothesis, &Hypothesis)| (a.score - b.score).abs() < 1e-12;
                    assert!(found.iter().zip(plain).all(is_near), "{config:?}, row {row}: {found:?} {plain:?}");
                }
            }
        }
        assert!(found[1].is_err() && found[3].is_err(), "{config:?}");
    }
}

#[test]
fn a_row_that_begins_with_nothing_is_refused_alone() {
    let model = language_model(9, 3);
    let prompts = sequences(&[&[BOS, 4], &[], &[BOS, 5, 3]]);
    let options = options(GenerationConfig::greedy(), 5).with(|o| o.start.clear());
    let found = write(
        &model,
        DecodingBatch { rows: &[0, 1, 2], sources: None, prompts: Some(&prompts), ..DecodingBatch::default() },
        &options,
    );
    assert!(matches!(found[1], Err(RowError::NoStart)), "{found:?}");
    for row in [0, 2] {
        let mut alone = Sequences::new();
        alone.push(prompts.get(row));
        let batch =
            DecodingBatch { rows: &[row as u64], sources: None, prompts: Some(&alone), ..DecodingBatch::default() };
        assert_eq!(write(&model, batch, &options)[0].as_ref().unwrap(), found[row].as_ref().unwrap());
    }
}
