//! Scaled scores of attention are those without a scale of queries that are divided by √H.

use descant_autograd::{Parameters, Segments, Tape};
use descant_kernels::Parallelism;
use descant_nn::{Attention, AttentionScore, Scope};
use descant_tensor::{DType, Tensor};
use std::sync::Arc;

#[test]
fn scaled_scores_are_divided_by_the_square_root_of_the_width() {
    const WIDTH: usize = 4;
    let values = |rows: usize, factor: f64| {
        let all: Vec<f64> = (0..rows * WIDTH).map(|i| factor * (1.7 * i as f64).sin()).collect();
        Tensor::new([rows, WIDTH], &all).unwrap()
    };
    let [queries, sources] = [[3, 2], [4, 2]].map(|lengths| Arc::new(Segments::joined(&lengths)));
    let context = |score: AttentionScore, factor: f64| {
        let mut parameters = Parameters::new(DType::F64);
        let attention = Attention::new(&mut Scope::new(&mut parameters, 1), score, WIDTH);
        let mut tape = Tape::new();
        let graph = tape.infer(&parameters, Parallelism::Serial);
        let (query, memory) = (graph.constant(&values(5, factor)), graph.constant(&values(6, 1.0)));
        attention.forward(query, memory, memory, &queries, &sources).value().unwrap().to_f64()
    };
    for (scaled, plain) in
        [(AttentionScore::ScaledDot, AttentionScore::Dot), (AttentionScore::ScaledGeneral, AttentionScore::General)]
    {
        // The root of 4: both are exact.
        assert_eq!(context(scaled, 2.0), context(plain, 1.0), "{scaled:?}");
        assert_ne!(context(scaled, 1.0), context(plain, 1.0), "{scaled:?}");
    }
}
