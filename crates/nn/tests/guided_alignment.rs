//! Guided alignment against PyTorch (`tools/guided_alignment.py`): loss and gradients in f64 to 1e-6, as the logarithm's argument is kept from zero.

use descant_autograd::{Parameters, Segments, Tape};
use descant_tensor::DType;
use std::collections::BTreeMap;
use std::sync::Arc;

const REFERENCE: &str = include_str!("reference/guided_alignment.tsv");

#[test]
fn the_loss_and_its_gradients_are_those_of_pytorch() {
    let line = |line: &'static str| {
        let (name, numbers) = line.split_once('\t').unwrap();
        (name, numbers.split(' ').map(|number| number.parse().unwrap()).collect())
    };
    let reference: BTreeMap<&str, Vec<f64>> = REFERENCE.lines().map(line).collect();
    let links = [vec![[0, 0], [2, 0], [3, 0], [1, 2]], vec![[1, 0], [0, 1], [1, 1]]];
    let [queries, memory] = [[3, 2], [4, 2]].map(|lengths| Arc::new(Segments::joined(&lengths)));
    for score in ["dot", "additive"] {
        let mut parameters = Parameters::new(DType::F64);
        let shapes: [(&str, &[usize]); 3] = [("q", &[5, 3]), ("k", &[6, 3]), ("w", &[3])];
        let ids = shapes.map(|(name, shape)| parameters.add_with(name, shape, &reference[name]));
        let (mut tape, mut gradients) = (Tape::new(), parameters.gradients());
        let graph = tape.train(&parameters, 1);
        let [q, k, w] = ids.map(|id| graph.parameter(id));
        match score {
            "dot" => q.dot_attention(k, k, &queries, &memory, 0.7),
            _ => q.additive_attention(k, w, k, &queries, &memory),
        };
        let loss = graph.guided_alignment(&links, Some(&[0.5, 3.0])).unwrap();
        let close = |name: &str, found: &[f64]| {
            let expected = &reference[format!("{score}.{name}").as_str()];
            assert_eq!(found.len(), expected.len());
            let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-6 * b.abs().max(1.0));
            assert!(near, "{score}, {name}: {found:?}, not {expected:?}");
        };
        close("loss", &[loss.item().unwrap()]);
        graph.backward(loss, &mut gradients).unwrap();
        for (id, name) in ids.into_iter().zip(["dq", "dk", "dw"]) {
            close(name, &gradients.to_f64(id));
        }
    }
}
