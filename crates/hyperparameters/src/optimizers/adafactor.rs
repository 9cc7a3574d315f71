use crate::fields::fields;
use crate::ranges::{check, from_0};
use crate::update::{Chunk, Step, Update, norm};
use descant_kernels::{Real, sum_of_squares, zip_into, zip_sum};
use descant_tensor::Shape;

fields! {
    /// Adafactor (Shazeer & Stern 2018, arXiv 1804.04235): of a matrix's second moments, only the means of rows and columns are kept. Made for a
    /// learning rate of 1e-2, as steps are relative to the size of the weights.
    ///
    /// `β₂ₜ = 1 - t^beta2_decay`; `r` and `c` are running means of `g²` over the rows and the columns, `v̂ = r c / mean(r)`, and of a vector `v̂` is that of `g²`;
    /// `u = g / √v̂`, divided by `max(1, RMS(u) / d)`; `x -= max(eps2, RMS(x)) min(lr, 1 / √t) u`; weight decay is decoupled, `lr weight_decay x`.
    Adafactor {
        /// The exponent of β₂.
        beta2_decay: f64 = -0.8,
        /// The largest root mean square of an update, before the learning rate.
        d: f64 = 1.0,
        /// The least root mean square of a parameter that its steps are relative to.
        eps2: f64 = 1e-3,
    }
}

impl Update for Adafactor {
    const WHOLE: bool = true;

    fn state_names(&self) -> &'static [&'static str] {
        &["row_var", "col_var", "variance"]
    }

    fn state_len(&self, name: &str, shape: Shape) -> usize {
        match (shape.dims(), name) {
            (&[rows, _], "row_var") => rows,
            (&[_, columns], "col_var") => columns,
            (&[_, _], _) | (_, "row_var" | "col_var") => 0,
            _ => shape.len(),
        }
    }

    fn validate(&self) -> Result<(), String> {
        let decays = (-1.0..=0.0).contains(&self.beta2_decay);
        check("optimizer.beta2_decay", self.beta2_decay, decays, "a number from -1 to 0")?;
        check("optimizer.d", self.d, self.d >= 1.0 && self.d.is_finite(), "a number from 1")?;
        from_0("optimizer.eps2", self.eps2)
    }

    fn update<E: Real>(&self, chunk: Chunk<'_, E>, step: Step) {
        let Chunk { shape, x, g, state: [rows, columns, variance] } = chunk;
        if x.is_empty() {
            return;
        }
        let (n, t) = (x.len() as f64, step.number as f64);
        let rms = |norm: f64| norm / n.sqrt();
        let size = self.eps2.max(rms(sum_of_squares(x).sqrt())) * step.lr.min(1.0 / t.sqrt());
        let rest = E::of(t.powf(self.beta2_decay));
        let clip = step.clipping.of_element::<E>();
        // Of a vector, a row of its own second moments.
        let (factors, moments, width) = match shape.dims() {
            &[_, width] => {
                average_squares(g, width, rest, clip, rows, columns);
                let mean = rows.iter().copied().sum::<E>().f64() / rows.len() as f64;
                let mean = E::of(mean.max(E::epsilon().f64()));
                (rows.iter().map(|&row| row / mean).collect::<Vec<E>>(), columns, width)
            }
            _ => {
                zip_into(variance, g, g, |v, g, _| v + rest * (clip(g) * clip(g) - v));
                (vec![E::one()], variance, x.len())
            }
        };
        let least = E::epsilon() * E::epsilon();
        let update = |g: E, factor: E, v: E| clip(g) / (factor * v).max(least).sqrt();
        let norms = g.chunks(width).zip(&factors);
        let norms = norms.map(|(g, &factor)| norm([g, &*moments], |[g, v]| update(g, factor, v)).powi(2));
        let rate = E::of(size / (rms(norms.sum::<f64>().sqrt()) / self.d).max(1.0));
        let kept = E::of(1.0 - step.lr * self.weight_decay);
        for ((x, g), &factor) in x.chunks_mut(width).zip(g.chunks(width)).zip(&factors) {
            zip_into(x, g, moments, |x, g, v| kept * x - rate * update(g, factor, v));
        }
    }
}

/// Running means of the squares of rows and columns.
fn average_squares<E: Real>(
    g: &[E],
    width: usize,
    rest: E,
    clip: impl Fn(E) -> E + Copy,
    rows: &mut [E],
    columns: &mut [E],
) {
    let mut sums = vec![E::zero(); width];
    for (row, g) in rows.iter_mut().zip(g.chunks(width)) {
        let mean = zip_sum(g, g, |g, _| clip(g) * clip(g)) / E::of(width as f64);
        *row += rest * (mean - *row);
        zip_into(&mut sums, g, g, |sum, g, _| sum + clip(g) * clip(g));
    }
    let share = E::one() / E::of(rows.len() as f64);
    zip_into(columns, &sums, &sums, |column, sum, _| column + rest * (sum * share - column));
}
