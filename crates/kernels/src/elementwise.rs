use crate::real::Real;
use pulp::Arch;

/// Runs a loop compiled for the widest vector instructions that this processor has. The closure must be a plain loop:
/// what it calls has to be inlined into it.
#[inline(always)]
pub fn vectorized<R>(f: impl FnOnce() -> R) -> R {
    struct Loop<F>(F);
    impl<R, F: FnOnce() -> R> pulp::NullaryFnOnce for Loop<F> {
        type Output = R;

        #[inline(always)]
        fn call(self) -> R {
            (self.0)()
        }
    }
    Arch::new().dispatch(Loop(f))
}

/// `x = f(x)`.
#[inline(always)]
pub fn map<E: Real>(x: &mut [E], f: impl Fn(E) -> E) {
    vectorized(
        #[inline(always)]
        || x.iter_mut().for_each(|x| *x = f(*x)),
    );
}

/// `y = f(x)`.
#[inline(always)]
pub fn map_into<E: Real>(x: &[E], y: &mut [E], f: impl Fn(E) -> E) {
    vectorized(
        #[inline(always)]
        || y.iter_mut().zip(x).for_each(|(y, &x)| *y = f(x)),
    );
}

/// `y = f(y, a, b)`: the shape of most elementwise backwards, `dx += dy f'(x)`.
#[inline(always)]
pub fn zip_into<E: Real>(y: &mut [E], a: &[E], b: &[E], f: impl Fn(E, E, E) -> E) {
    vectorized(
        #[inline(always)]
        || y.iter_mut().zip(a).zip(b).for_each(|((y, &a), &b)| *y = f(*y, a, b)),
    );
}

/// `y += alpha x`.
pub fn axpy<E: Real>(alpha: E, x: &[E], y: &mut [E]) {
    vectorized(
        #[inline(always)]
        || y.iter_mut().zip(x).for_each(|(y, &x)| *y += alpha * x),
    );
}

/// `x = alpha x`.
pub fn scale<E: Real>(alpha: E, x: &mut [E]) {
    map(x, |x| alpha * x);
}

/// `row += bias` for every row of `x[N, D]`, with `bias[D]`.
pub fn add_rows<E: Real>(x: &mut [E], bias: &[E]) {
    vectorized(
        #[inline(always)]
        || {
            for row in x.chunks_exact_mut(bias.len().max(1)) {
                row.iter_mut().zip(bias).for_each(|(x, &b)| *x += b);
            }
        },
    );
}

/// `sum += Σ rows` of `x[N, D]`, into `sum[D]`.
pub fn sum_rows_into<E: Real>(x: &[E], sum: &mut [E]) {
    vectorized(
        #[inline(always)]
        || {
            for row in x.chunks_exact(sum.len().max(1)) {
                sum.iter_mut().zip(row).for_each(|(s, &x)| *s += x);
            }
        },
    );
}
