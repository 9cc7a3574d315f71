//! Knowledge distillation (Hinton et al. 2015, arXiv 1503.02531): cross entropy against what a teacher holds likely, of
//! both projections over blocks of rows, so that the logits of all tokens never exist at once:
//!
//! ```text
//! p = softmax((W' h' + b') / T)     q = softmax((W h + b) / T)     L = T² Σᵢ wᵢ Σⱼ -pᵢⱼ log qᵢⱼ     dL/dz = wᵢ T (q - p)
//! ```
//!
//! The factor T² keeps the gradient as large as that of the loss against the right ids, whatever the temperature.

use super::output_projection::{Gathered, Projection, block_rows, carry_back, check, last_block};
use crate::{Backward, Case, Forward, GradCheck, Graph, Op, Var};
use descant_kernels::{Real, exp_minus_max_columns, zip_into};
use descant_tensor::{Shape, Tensor};
use std::sync::Arc;

/// The inputs are the student's `h[N, H]`, `W[V, H]` and perhaps `b[V]`, and then the teacher's, which have no gradient.
#[derive(Debug)]
pub struct Distillation {
    /// What each row counts, w.
    weights: Arc<[f64]>,
    /// T.
    temperature: f64,
    /// Whether the student and the teacher have a bias.
    biases: [bool; 2],
    /// Rows whose logits exist at once.
    block: usize,
}

/// A teacher's hidden states, and its projection to scores.
#[derive(Clone, Copy, Debug)]
pub struct TeacherProjection<'a> {
    /// `[N, H']`, of the same rows as the student's.
    pub hidden: &'a Arc<Tensor>,
    /// `[V, H']`.
    pub weight: &'a Arc<Tensor>,
    /// `[V]`.
    pub bias: Option<&'a Arc<Tensor>>,
}

impl Distillation {
    /// How many inputs are the student's.
    fn own(&self) -> usize {
        if self.biases[0] { 3 } else { 2 }
    }

    /// The loss of a block by the scaled logits of teacher and student, of which the student's become their gradients.
    /// `columns[5n]` is scratch.
    fn block<E: Real>(&self, weights: &[f64], teacher: &mut [E], student: &mut [E], columns: &mut [E]) -> f64 {
        let n = weights.len();
        columns.fill(E::zero());
        let (expected, rest) = columns.split_at_mut(n);
        let (weight, rest) = rest.split_at_mut(n);
        let (largest, rest) = rest.split_at_mut(n);
        let (total, factor) = rest.split_at_mut(n);

        exp_minus_max_columns(teacher, largest, total);
        for (i, &w) in weights.iter().enumerate() {
            weight[i] = E::of(w);
            factor[i] = if w == 0.0 { E::zero() } else { E::of(w / total[i].f64()) };
        }
        for (p, z) in teacher.chunks_exact_mut(n).zip(student.chunks_exact(n)) {
            zip_into(p, factor, factor, |p, factor, _| p * factor);
            zip_into(expected, p, z, |sum, p, z| sum + p * z);
        }
        exp_minus_max_columns(student, largest, total);
        let temperature = E::of(self.temperature);
        let mut loss = 0.0;
        for (i, &w) in weights.iter().enumerate() {
            if w != 0.0 {
                loss += w * (largest[i].f64() + total[i].f64().ln()) - expected[i].f64();
            }
            factor[i] = temperature * weight[i] / total[i];
        }
        for (q, p) in student.chunks_exact_mut(n).zip(teacher.chunks_exact(n)) {
            zip_into(q, factor, p, |q, factor, p| q * factor - temperature * p);
        }
        loss * self.temperature * self.temperature
    }
}

impl Op for Distillation {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (student, teacher) = inputs.split_at(self.own());
        check(student)?;
        check(teacher).map_err(|reason| format!("the teacher: {reason}"))?;
        let rows = self.weights.len();
        if [student[0][0], teacher[0][0]] != [rows; 2] {
            return Err(format!("{rows} weights for {} rows, {} of the teacher", student[0][0], teacher[0][0]));
        }
        if student[1][0] != teacher[1][0] {
            return Err(format!("the student has {} classes, the teacher {}", student[1][0], teacher[1][0]));
        }
        match self.temperature > 0.0 && self.temperature.is_finite() {
            true => Ok(Shape::default()),
            false => Err(format!("the temperature is {}, not above 0", self.temperature)),
        }
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let student = Projection::new(ctx, 0, self.biases[0]);
        let teacher = Projection::new(ctx, self.own(), self.biases[1]);
        let (rows, classes, wanted) = (self.weights.len(), ctx.shape(1)[0], ctx.needs_gradient());
        let most = self.block.min(rows);
        let mut own = ctx.scratch(most * classes);
        let mut theirs = ctx.scratch(most * classes);
        let mut columns = ctx.scratch(5 * most);
        let last = last_block(rows, self.block);
        let mut gathered = Gathered::new(ctx, &student, &last);
        let scale = E::of(1.0 / self.temperature);
        let mut loss = 0.0;
        for (i, weights) in self.weights.chunks(self.block).enumerate() {
            let (start, n) = (i * self.block, weights.len());
            let (own, theirs) = (&mut own[..classes * n], &mut theirs[..classes * n]);
            student.logits(start, n, scale, own);
            teacher.logits(start, n, scale, theirs);
            loss += self.block(weights, theirs, own, &mut columns[..5 * n]);
            if wanted && start < last.start {
                gathered.add(&student, start, n, own);
            }
        }
        ctx.output()[0] = E::of(loss);
        [theirs, columns].into_iter().for_each(|scratch| ctx.recycle(scratch));
        gathered.save(ctx, own);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        carry_back(ctx, last_block(self.weights.len(), self.block), self.biases[0]);
    }
}

impl GradCheck for Distillation {
    fn cases() -> Vec<Case> {
        const WEIGHTS: [f64; 4] = [1.0, 0.0, 0.5, 2.0];
        // As good as drawn.
        let tensor = |shape: &[usize], first: f64| {
            let elements: Vec<f64> =
                (0..shape.iter().product()).map(|i: usize| (first + 2.3 * i as f64).sin()).collect();
            Arc::new(Tensor::new(shape, &elements).expect("as many elements as the shape has"))
        };
        let teacher = move || [tensor(&[4, 2], 0.3), tensor(&[5, 2], 1.7), tensor(&[5], 0.9)];
        let biased: &[&[usize]] = &[&[4, 3], &[5, 3], &[5]];
        let case = move |name, shapes, temperature: f64, block| {
            let (theirs, meaning) = (teacher(), teacher());
            let distilled = Case::new(name, shapes, move |graph, x| {
                // A teacher has a bias where the student has none, and the other way round.
                let bias = if x.len() > 2 { None } else { Some(&theirs[2]) };
                let teacher = TeacherProjection { hidden: &theirs[0], weight: &theirs[1], bias };
                let biases = [x.len() > 2, bias.is_some()];
                let op = Distillation { weights: WEIGHTS.into(), temperature, biases, block };
                graph.apply(op, &inputs(graph, [Some(x[0]), Some(x[1]), x.get(2).copied()], teacher))
            });
            distilled.reference(move |graph, x| {
                let [h, w, b] = [0, 1, 2].map(|i| graph.constant(&meaning[i]));
                let (student, teacher) = (x[0].matmul_t(x[1]), h.matmul_t(w));
                let (student, teacher) = match x.get(2) {
                    Some(&own) => (student + own, teacher),
                    None => (student, teacher + b),
                };
                let [p, log_q] =
                    [teacher.scale(1.0 / temperature).softmax(), student.scale(1.0 / temperature).log_softmax()];
                let rows = graph.constant(&Tensor::new([4, 1], &WEIGHTS).expect("four"));
                (p * log_q * rows).sum().scale(-temperature * temperature)
            })
        };
        vec![
            case("the teacher has a bias", &biased[..2], 1.0, 64),
            case("the student has a bias", biased, 1.0, 64),
            case("at a temperature", biased, 2.5, 64),
            case("several blocks", biased, 0.5, 3),
        ]
    }
}

/// The student's inputs and the teacher's.
fn inputs<'t>(graph: Graph<'t>, student: [Option<Var<'t>>; 3], teacher: TeacherProjection<'_>) -> Vec<Var<'t>> {
    let theirs = [Some(teacher.hidden), Some(teacher.weight), teacher.bias].into_iter().flatten();
    student.into_iter().flatten().chain(theirs.map(|tensor| graph.shared(tensor))).collect()
}

impl<'t> Var<'t> {
    /// The cross entropy of `softmax((self weightᵀ + bias) / T)` against what a teacher holds likely at the same
    /// temperature T, summed over the rows by their `weights` and times T², a scalar: `self[N, H]`, `weight[V, H]`,
    /// `bias[V]`.
    #[track_caller]
    pub fn distillation(
        self,
        weight: Self,
        bias: Option<Self>,
        teacher: TeacherProjection<'_>,
        weights: &Arc<[f64]>,
        temperature: f64,
    ) -> Self {
        let biases = [bias.is_some(), teacher.bias.is_some()];
        let block = block_rows(weight.shape().rows());
        let op = Distillation { weights: weights.clone(), temperature, biases, block };
        self.graph().apply(op, &inputs(self.graph(), [Some(self), Some(weight), bias], teacher))
    }
}
