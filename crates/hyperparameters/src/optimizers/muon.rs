use super::adam::Adamw;
use crate::fields::fields;
use crate::ranges::{above_0, from_0_to_below_1};
use crate::update::{Chunk, Step, Update, sweep};
use descant_kernels::{Mat, MatMut, Parallelism, Real, gemm, gemm_nt, scale, sum_of_squares, zip_into};
use descant_tensor::Shape;
use glob::Pattern;

fields! {
    /// Muon (Jordan et al. 2024, <https://kellerjordan.github.io/posts/muon>): the momentum of a matrix, orthogonalised by Newton-Schulz
    /// iterations. For hidden layers; AdamW updates embeddings, the output projection and vectors.
    ///
    /// `m = μ m + (1 - μ) g`; `o = NS(g + μ (m - g))` with Nesterov momentum, else `NS(m)`; `x -= lr weight_decay x`;
    /// `x -= lr 0.2 √max(rows, columns) o`, which has the size of AdamW's steps, so that both have one learning rate (Liu et al. 2025, arXiv
    /// 2502.16982; PyTorch's `match_rms_adamw`).
    Muon {
        /// Momentum μ.
        momentum: f64 = 0.95,
        /// Nesterov momentum.
        nesterov: bool = true,
        /// Newton-Schulz iterations.
        ns_steps: usize = 5,
        /// Decay rates of AdamW's moments.
        betas: [f64; 2] = [0.9, 0.999],
        /// AdamW's ε.
        eps: f64 = 1e-8,
        /// Patterns of the matrices that AdamW updates.
        adamw: Vec<String> = ["*embedding*", "*projection*", "*position*", "*relative*"].map(str::to_owned).to_vec(),
    }
    weight_decay = 0.1
}

/// The coefficients of an iteration, of its authors' program: `x ← a x + (b A + c A²) x` with `A = x xᵀ`.
const COEFFICIENTS: [f64; 3] = [3.4445, -4.775, 2.0315];

/// The least norm that a matrix is divided by.
const LEAST_NORM: f64 = 1e-7;

impl Muon {
    /// Whether a parameter is a matrix of a hidden layer.
    pub(crate) fn is_hidden(&self, name: &str, shape: Shape) -> bool {
        let names = |pattern: &String| Pattern::new(pattern).is_ok_and(|pattern| pattern.matches(name));
        shape.rank() == 2 && !self.adamw.iter().any(names)
    }

    /// What updates the others.
    pub(crate) fn of_others(&self) -> Adamw {
        let &Self { betas, eps, weight_decay, .. } = self;
        Adamw { betas, eps, weight_decay, ..Adamw::default() }
    }
}

impl Update for Muon {
    const WHOLE: bool = true;

    fn state_names(&self) -> &'static [&'static str] {
        &["momentum_buffer", "exp_avg", "exp_avg_sq"]
    }

    fn state_len(&self, name: &str, shape: Shape) -> usize {
        if name == "momentum_buffer" { shape.len() } else { 0 }
    }

    fn validate(&self) -> Result<(), String> {
        from_0_to_below_1("optimizer.momentum", self.momentum)?;
        if !(1..100).contains(&self.ns_steps) {
            return Err(format!("optimizer.ns_steps = {}: expected a whole number from 1 to 99", self.ns_steps));
        }
        self.betas.into_iter().try_for_each(|beta| from_0_to_below_1("optimizer.betas", beta))?;
        above_0("optimizer.eps", self.eps)
    }

    fn update<E: Real>(&self, chunk: Chunk<'_, E>, step: Step) {
        let Chunk { shape, x, g, state: [buffer, ..] } = chunk;
        let &[rows, columns] = shape.dims() else { return };
        let (mu, rest, nesterov) = (E::of(self.momentum), E::of(1.0 - self.momentum), self.nesterov);
        let mut direction = vec![E::zero(); x.len()];
        let momentum = Chunk { shape, x: &mut direction, g, state: [buffer, &mut [], &mut []] };
        sweep(momentum, step.clipping, 0.0, |direction, g, [m]| {
            *m += rest * (g - *m);
            *direction = if nesterov { g + mu * (*m - g) } else { *m };
        });
        orthogonalize(&mut direction, rows, columns, self.ns_steps);
        let kept = E::of(1.0 - step.lr * self.weight_decay);
        let rate = E::of(step.lr * 0.2 * (rows.max(columns) as f64).sqrt());
        zip_into(x, &direction, &direction, |x, direction, _| kept * x - rate * direction);
    }
}

/// Brings the singular values of a matrix near 1, by iterations on the side that is shorter.
fn orthogonalize<E: Real>(x: &mut Vec<E>, rows: usize, columns: usize, iterations: usize) {
    let side = rows.min(columns);
    if side == 0 {
        return;
    }
    scale(E::of(1.0 / sum_of_squares(x).sqrt().max(LEAST_NORM)), x);
    let ([a, b, c], zero, one) = (COEFFICIENTS.map(E::of), E::zero(), E::one());
    let serial = Parallelism::Serial;
    let (mut gram, mut polynomial) = (vec![zero; side * side], vec![zero; side * side]);
    let mut next = vec![zero; x.len()];
    for _ in 0..iterations {
        let own: &[E] = x;
        let matrix = Mat::new(own, rows, columns);
        match rows <= columns {
            true => gemm_nt(matrix, own, zero, MatMut::new(&mut gram, side, side), &mut next, serial),
            false => gemm(one, matrix.t(), matrix, zero, MatMut::new(&mut gram, side, side), serial),
        }
        polynomial.copy_from_slice(&gram);
        let square = Mat::new(&gram, side, side);
        gemm(c, square, square, b, MatMut::new(&mut polynomial, side, side), serial);
        next.copy_from_slice(own);
        let (polynomial, product) = (Mat::new(&polynomial, side, side), MatMut::new(&mut next, rows, columns));
        match rows <= columns {
            true => gemm(one, polynomial, matrix, a, product, serial),
            false => gemm(one, matrix, polynomial, a, product, serial),
        }
        std::mem::swap(x, &mut next);
    }
}
