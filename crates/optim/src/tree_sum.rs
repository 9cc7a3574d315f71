//! Sums over the shares of a batch along one fixed balanced binary tree: first shares 0 and 1, 2 and 3, …, then the partial sums
//! at a distance of 2, then of 4, and so on; a share without a partner moves up unchanged.
//!
//! A holder of an aligned run of 2ᵏ shares can sum its subtree alone, and subtrees add up to the same bits. So the result depends
//! on the number of shares, but not on the number of threads or processes: an all-reduce exchanges subtree sums.

use crate::chunk::CHUNK;
use descant_autograd::Gradients;
use descant_kernels::lanes::RUN;
use descant_kernels::{FlushSubnormals, Real, sum_of_squares, vectorized};
use descant_tensor::Buffer;
use rayon::prelude::*;

/// Adds `others`, the shares from the second on, to `first` along the tree, on the threads of the current rayon pool. Returns the
/// squared norm of the result; chunks have a fixed length, and their squares are added in order.
pub fn tree_sum_gradients(first: &mut Gradients, others: &[&Gradients]) -> f64 {
    others.iter().for_each(|other| first.touch_as(other));
    match first.buffer_mut() {
        Buffer::F32(first) => add(first, &others.iter().map(|other| slice(other)).collect::<Vec<_>>()),
        Buffer::F64(first) => add(first, &others.iter().map(|other| slice(other)).collect::<Vec<_>>()),
    }
}

/// The sum of one number for each share, along the tree.
pub fn tree_sum(shares: &[f64]) -> f64 {
    match shares {
        [] => 0.0,
        &[share] => share,
        shares => {
            let (left, right) = shares.split_at(left_half(shares.len()));
            tree_sum(left) + tree_sum(right)
        }
    }
}

/// The number of shares in the left half of the tree, of two or more: a power of two.
fn left_half(shares: usize) -> usize {
    shares.next_power_of_two() / 2
}

fn slice<E: Real>(gradients: &Gradients) -> &[E] {
    E::slice(gradients.buffer())
}

fn add<E: Real>(first: &mut [E], others: &[&[E]]) -> f64 {
    let levels = (others.len() + 1).next_power_of_two().ilog2() as usize;
    let sums: Vec<f64> = first
        .par_chunks_mut(CHUNK)
        .enumerate()
        .map_init(
            || vec![E::zero(); levels.saturating_sub(1) * RUN],
            |partial, (i, chunk)| {
                let _flush = FlushSubnormals::new();
                let runs = chunk.chunks_mut(RUN).enumerate();
                let squares = runs.map(|(j, run)| {
                    add_run(run, others, i * CHUNK + j * RUN, partial);
                    sum_of_squares(run)
                });
                squares.sum::<f64>()
            },
        )
        .collect();
    sums.into_iter().sum()
}

/// Adds the elements of `others` from `start` on to the run of the first share. `partial` has a run for each level of the tree
/// but the lowest.
fn add_run<E: Real>(first: &mut [E], others: &[&[E]], start: usize, partial: &mut [E]) {
    if others.is_empty() {
        return;
    }
    let (left, right) = others.split_at(left_half(others.len() + 1) - 1);
    add_run(first, left, start, partial);
    let share = &right[0][start..start + first.len()];
    if right.len() == 1 {
        return add_to(first, share);
    }
    let (sum, partial) = partial.split_at_mut(RUN);
    let sum = &mut sum[..first.len()];
    sum.copy_from_slice(share);
    add_run(sum, &right[1..], start, partial);
    add_to(first, sum);
}

fn add_to<E: Real>(sum: &mut [E], share: &[E]) {
    vectorized(
        #[inline(always)]
        || sum.iter_mut().zip(share).for_each(|(x, &y)| *x += y),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use descant_autograd::Parameters;
    use descant_tensor::DType;

    /// The definition of the tree: pairs at distances of 1, 2, 4, …
    fn by_definition(shares: &[f32]) -> f32 {
        let mut sums = shares.to_vec();
        let mut distance = 1;
        while distance < sums.len() {
            for i in (0..sums.len() - distance).step_by(2 * distance) {
                sums[i] += sums[i + distance];
            }
            distance *= 2;
        }
        sums[0]
    }

    #[test]
    fn gradients_are_added_along_the_tree_on_any_number_of_threads() {
        let mut parameters = Parameters::new(DType::F32);
        parameters.add("a", [CHUNK + 3 * RUN + 5]);
        for shares in 1..=9 {
            // Of very different sizes, so that every order of adding has bits of its own.
            let value =
                |share: usize, i: usize| ((i * 7 + share * 13) % 101) as f32 * 1.37_f32.powi((share * 5 % 11) as i32);
            let filled = |share: usize| {
                let mut gradients = parameters.gradients();
                if let Buffer::F32(elements) = gradients.buffer_mut() {
                    elements.iter_mut().enumerate().for_each(|(i, x)| *x = value(share, i));
                }
                gradients
            };
            let all: Vec<Gradients> = (0..shares).map(filled).collect();
            let norms = [1, 3].map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mut first = all[0].clone();
                let squares = pool.install(|| tree_sum_gradients(&mut first, &all[1..].iter().collect::<Vec<_>>()));
                for (i, &x) in slice::<f32>(&first).iter().enumerate() {
                    let each: Vec<f32> = (0..shares).map(|share| value(share, i)).collect();
                    assert_eq!(x, by_definition(&each), "element {i} of {shares} shares");
                }
                squares
            });
            assert_eq!(norms[0].to_bits(), norms[1].to_bits());
        }
    }

    #[test]
    fn subtrees_add_up_to_the_whole() {
        for shares in 0..40_usize {
            let values: Vec<f64> = (0..shares).map(|i| 3.7_f64.powi((i * 7 % 13) as i32) / 3.0).collect();
            for processes in [1, 2, 4, 8] {
                // Each process has an aligned run of shares; what they found is added along the same tree.
                let run = shares.next_power_of_two().div_ceil(processes);
                let parts: Vec<f64> = values.chunks(run).map(tree_sum).collect();
                assert_eq!(tree_sum(&parts).to_bits(), tree_sum(&values).to_bits(), "{shares} on {processes}");
            }
        }
        assert_ne!(tree_sum(&[1e16, 1.0, 1.0, 1.0]), [1e16, 1.0, 1.0, 1.0].iter().sum::<f64>());
    }
}
