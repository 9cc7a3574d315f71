//! Recurrent layers with a mask for each sequence, against PyTorch (`tools/variational_dropout.py`): values and gradients in f64 to 1e-12; and
//! which rows share what is dropped.

use descant_autograd::{Graph, PackedSequences, ParameterId, Parameters, Tape, Var};
use descant_kernels::Parallelism;
use descant_nn::{Cell, DropoutConfig, Recurrent, RecurrentConfig, Scope};
use descant_tensor::{DType, Tensor};
use std::collections::BTreeMap;
use std::sync::Arc;

const REFERENCE: &str = include_str!("reference/variational_dropout.tsv");
const LENGTHS: [usize; 3] = [4, 3, 1];
const INPUT: usize = 2;
const HIDDEN: usize = 3;

fn reference(cell: &str) -> BTreeMap<String, Vec<f64>> {
    let line = |line: &str| {
        let (name, numbers) = line.split_once('\t').unwrap();
        let name = name.strip_prefix(cell)?.strip_prefix('.')?.to_owned();
        Some((name, numbers.split(' ').map(|number| number.parse().unwrap()).collect()))
    };
    REFERENCE.lines().filter_map(line).collect()
}

#[test]
fn masks_have_the_values_and_gradients_of_pytorch() {
    for (cell, gates) in [("lstm", 4), ("gru", 3)] {
        let expected = reference(cell);
        let mut parameters = Parameters::new(DType::F64);
        let width = gates * HIDDEN;
        let shapes: [(&str, &[usize]); 7] = [
            ("x", &[8, INPUT]),
            ("w_ih", &[width, INPUT]),
            ("w_hh", &[width, HIDDEN]),
            ("b_ih", &[width]),
            ("b_hh", &[width]),
            ("h0", &[3, HIDDEN]),
            ("c0", &[3, HIDDEN]),
        ];
        let mut ids: Vec<(&str, ParameterId)> = Vec::new();
        for (name, shape) in shapes {
            if let Some(values) = expected.get(name) {
                ids.push((name, parameters.add_with(name, shape, values)));
            }
        }
        let layout = Arc::new(PackedSequences::new(&LENGTHS));
        let (mut tape, mut gradients) = (Tape::new(), parameters.gradients());
        let graph = tape.train(&parameters, 1);
        let constant = |name: &str, shape: [usize; 2]| graph.constant(&Tensor::new(shape, &expected[name]).unwrap());
        let all: Vec<Var<'_>> = ids.iter().map(|&(_, id)| graph.parameter(id)).collect();
        let sequence: Arc<[u32]> = (0..4).flat_map(|t| (0..3).filter(move |&s| t < LENGTHS[s as usize])).collect();
        let x = all[0] * constant("input_mask", [3, INPUT]).gather(&sequence);
        let weights = [all[1], all[2], all[3], all[4]];
        let mask = Some(constant("mask", [3, HIDDEN]));
        let y = match cell {
            "lstm" => x.lstm(None, &weights, Some((all[5], all[6])), mask, &layout, false),
            _ => x.gru(None, &weights, Some(all[5]), mask, &layout, false),
        };
        let close = |name: &str, found: &[f64]| {
            let expected = &expected[name];
            assert_eq!(found.len(), expected.len(), "{cell} {name}");
            let far = found.iter().zip(expected).find(|(a, b)| (*a - *b).abs() > 1e-12);
            assert!(far.is_none(), "{cell} {name}: {far:?}");
        };
        close("y", &y.value().unwrap().to_f64());
        let rows = expected["y"].len() / HIDDEN;
        graph.backward((y * constant("weight", [rows, HIDDEN])).sum(), &mut gradients).unwrap();
        for (name, id) in ids {
            close(&format!("d{name}"), &gradients.to_f64(id));
        }
    }
}

/// Which rows of a layer's output are as in a pass without dropout.
fn output(config: DropoutConfig, seed: u64) -> (Vec<f64>, Vec<f64>) {
    let mut parameters = Parameters::new(DType::F64);
    let sizes = RecurrentConfig {
        layers: 2,
        bidirectional: true,
        dropout: config,
        ..RecurrentConfig::new(Cell::Lstm, INPUT, 4)
    };
    let layers = Recurrent::new(&mut Scope::new(&mut parameters, Some(1)), sizes);
    let layout = Arc::new(PackedSequences::new(&LENGTHS));
    let input = Tensor::new([8, INPUT], &[0.5; 16]).unwrap();
    let run = |graph: Graph<'_>| layers.forward(graph.constant(&input), &[], &layout).0.value().unwrap().to_f64();
    let trained = run(Tape::new().train(&parameters, seed));
    (trained, run(Tape::new().infer(&parameters, Parallelism::Serial)))
}

#[test]
fn recurrent_connections_are_dropped_in_training_alone() {
    let recurrent = DropoutConfig { recurrent: 0.5, ..DropoutConfig::default() };
    let (trained, inferred) = output(recurrent, 3);
    assert_ne!(trained, inferred);
    assert_eq!(trained, output(recurrent, 3).0);
    assert_ne!(trained, output(recurrent, 4).0);
    // A sequence of one token has no recurrent connection.
    let is_close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
    assert!(is_close(&trained[2 * 8..3 * 8], &inferred[2 * 8..3 * 8]));
    assert!(!is_close(&trained[3 * 8..], &inferred[3 * 8..]));
    let none = output(DropoutConfig::default(), 3);
    assert!(is_close(&none.0, &inferred));
    assert_eq!(none.1, inferred);
}

#[test]
fn rows_of_a_sequence_share_a_mask_where_it_is_variational() {
    let parameters = Parameters::new(DType::F64);
    let layout = PackedSequences::new(&LENGTHS);
    let width = 32;
    let drop = |config: DropoutConfig| {
        let mut tape = Tape::new();
        let graph = tape.train(&parameters, 5);
        let x = graph.constant(&Tensor::ones(DType::F64, [8, width]));
        config.rows(graph, 3, width).apply(x, &layout).value().unwrap().to_f64()
    };
    // Rows are those of the sequences 0 1 2, 0 1, 0 1, 0.
    let (first, second, third) = ([0, 3, 5, 7], [1, 4, 6], [2]);
    let row = |y: &[f64], i: usize| y[i * width..(i + 1) * width].to_vec();
    let variational = DropoutConfig { probability: 0.5, variational: true, ..DropoutConfig::default() };
    let y = drop(variational);
    for of_one in [&first[..], &second, &third] {
        assert!(of_one.iter().all(|&i| row(&y, i) == row(&y, of_one[0])));
    }
    assert!(row(&y, 0) != row(&y, 1) && row(&y, 0) != row(&y, 2) && row(&y, 1) != row(&y, 2));
    assert!(y.iter().all(|&y| y == 0.0 || y == 2.0));
    let y = drop(DropoutConfig { variational: false, ..variational });
    assert_ne!(row(&y, 0), row(&y, 3));
}

#[test]
fn embeddings_are_dropped_by_entry_or_by_place() {
    let parameters = Parameters::new(DType::F64);
    let layout = PackedSequences::new(&[40, 40]);
    // Both sequences have the entries 0 to 9, four times each.
    let ids: Vec<u32> = (0..80).map(|row| row / 2 % 10).collect();
    let kept = |config: DropoutConfig, is_training: bool| {
        let mut tape = Tape::new();
        let graph = match is_training {
            true => tape.train(&parameters, 7),
            false => tape.infer(&parameters, Parallelism::Serial),
        };
        let x = graph.constant(&Tensor::ones(DType::F64, [80, 3]));
        let y = config.embeddings(x, &ids, &layout).value().unwrap().to_f64();
        assert!(y.chunks(3).all(|row| row.iter().all(|&x| x == row[0] && [0.0, 1.0, 2.0].contains(&x))));
        y.chunks(3).map(|row| row[0]).collect::<Vec<f64>>()
    };
    let of = |embedding: f64, word: f64| DropoutConfig { embedding, word, ..DropoutConfig::default() };
    let by_entry = kept(of(0.5, 0.0), true);
    // Rows of the one sequence and of the other alternate.
    for sequence in 0..2 {
        let of_entry = |entry: usize| (0..4).map(move |time| by_entry_at(sequence, entry, time));
        for entry in 0..10 {
            assert!(of_entry(entry).all(|row| by_entry[row] == by_entry[2 * entry + sequence]), "{by_entry:?}");
        }
    }
    assert!((0..10).any(|entry| by_entry[2 * entry] != by_entry[2 * entry + 1]), "each sequence has its own");
    assert!(by_entry.contains(&0.0) && by_entry.contains(&2.0));
    let by_place = kept(of(0.0, 0.5), true);
    assert!((0..10).any(|entry| by_place[2 * entry] != by_place[by_entry_at(0, entry, 1)]));
    assert!(by_place.contains(&0.0) && by_place.contains(&2.0));
    assert_eq!(kept(of(0.5, 0.5), false), vec![1.0; 80]);
}

/// The row of an entry, at the `time`th place that has it.
fn by_entry_at(sequence: usize, entry: usize, time: usize) -> usize {
    2 * (10 * time + entry) + sequence
}
