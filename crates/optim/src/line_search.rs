//! A line search for the strong Wolfe conditions (Nocedal & Wright 2006, algorithms 3.5 and 3.6), with the steps of PyTorch's `LBFGS`, so that its
//! iterates are the same.

/// Sufficient decrease, and curvature.
const C1: f64 = 1e-4;
const C2: f64 = 0.9;
/// A bracket along which no weight changes by more is not searched.
const TOLERANCE: f64 = 1e-9;
/// Evaluations after the first.
const MOST: usize = 25;

/// A point on the line: how far along it, the loss there, and its slope.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) t: f64,
    pub(crate) loss: f64,
    pub(crate) slope: f64,
}

/// How far to go from `start`, where the slope is below 0, first tried at `t`: `largest` is the largest element of the direction. A loss that is
/// not finite is too far.
///
/// # Errors
/// Whatever an evaluation fails with.
pub(crate) fn strong_wolfe<X>(
    start: Point,
    t: f64,
    largest: f64,
    mut evaluate: impl FnMut(f64) -> Result<[f64; 2], X>,
) -> Result<f64, X> {
    let mut at = |t: f64| {
        let [loss, slope] = evaluate(t)?;
        Ok(match loss.is_finite() && slope.is_finite() {
            true => Point { t, loss, slope },
            false => Point { t, loss: f64::INFINITY, slope: 0.0 },
        })
    };
    let is_too_high = |point: &Point| point.loss > start.loss + C1 * point.t * start.slope;
    let is_flat = |point: &Point| point.slope.abs() <= -C2 * start.slope;
    let (mut before, mut new) = (start, at(t)?);
    let mut tries = 0;
    let mut bracket = loop {
        if tries == MOST {
            break [start, new];
        }
        if is_too_high(&new) || tries > 1 && new.loss >= before.loss {
            break [before, new];
        }
        if is_flat(&new) {
            return Ok(new.t);
        }
        if new.slope >= 0.0 {
            break [before, new];
        }
        let bounds = [new.t + 0.01 * (new.t - before.t), 10.0 * new.t];
        let next = minimum(before, new, bounds);
        before = new;
        new = at(next)?;
        tries += 1;
    };
    let mut is_slow = false;
    let lowest = |bracket: &[Point; 2]| usize::from(bracket[0].loss > bracket[1].loss);
    let mut low = lowest(&bracket);
    while tries < MOST {
        let (least, most) = (bracket[0].t.min(bracket[1].t), bracket[0].t.max(bracket[1].t));
        if (most - least) * largest < TOLERANCE {
            break;
        }
        let mut t = minimum(bracket[0], bracket[1], [least, most]);
        // Close to an end of the bracket twice, or at it: a tenth away from it.
        let margin = 0.1 * (most - least);
        let is_close = (most - t).min(t - least) < margin;
        if is_close && (is_slow || t >= most || t <= least) {
            t = if (t - most).abs() < (t - least).abs() { most - margin } else { least + margin };
            is_slow = false;
        } else {
            is_slow = is_close;
        }
        let new = at(t)?;
        tries += 1;
        if is_too_high(&new) || new.loss >= bracket[low].loss {
            bracket[1 - low] = new;
            low = lowest(&bracket);
            continue;
        }
        let is_done = is_flat(&new);
        if !is_done && new.slope * (bracket[1 - low].t - bracket[low].t) >= 0.0 {
            bracket[1 - low] = bracket[low];
        }
        bracket[low] = new;
        if is_done {
            break;
        }
    }
    Ok(bracket[low].t)
}

/// Where the cubic polynomial through two points with their slopes has its minimum, within bounds; their middle where it has none.
fn minimum(one: Point, other: Point, [least, most]: [f64; 2]) -> f64 {
    let (a, b) = if one.t <= other.t { (one, other) } else { (other, one) };
    let d1 = one.slope + other.slope - 3.0 * (one.loss - other.loss) / (one.t - other.t);
    let square = d1 * d1 - one.slope * other.slope;
    if square < 0.0 {
        return (least + most) / 2.0;
    }
    let d2 = square.sqrt();
    let found = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2.0 * d2));
    // Of what is no number, the least.
    found.max(least).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches along `f`, with its derivative; how often it was evaluated.
    fn search(f: impl Fn(f64) -> [f64; 2], t: f64) -> (f64, usize) {
        let mut count = 0;
        let [loss, slope] = f(0.0);
        let found = strong_wolfe(Point { t: 0.0, loss, slope }, t, 1.0, |t| {
            count += 1;
            Ok::<_, ()>(f(t))
        });
        (found.unwrap(), count)
    }

    #[test]
    fn what_is_found_meets_both_conditions_from_any_first_step() {
        let functions: [fn(f64) -> [f64; 2]; 3] = [
            |t| [(t - 3.0).powi(2), 2.0 * (t - 3.0)],
            |t| [-t / (t * t + 2.0), (t * t - 2.0) / (t * t + 2.0).powi(2)],
            |t| {
                [(t + 0.004).powi(5) - 2.0 * (t + 0.004).powi(4), 5.0 * (t + 0.004).powi(4) - 8.0 * (t + 0.004).powi(3)]
            },
        ];
        for f in functions {
            let [start, slope] = f(0.0);
            for first in [1e-3, 0.1, 1.0, 10.0] {
                let (t, count) = search(f, first);
                let [loss, found] = f(t);
                assert!(loss <= start + C1 * t * slope && found.abs() <= -C2 * slope, "{first}: {t} after {count}");
                assert!(t > 0.0 && count <= 1 + MOST);
            }
        }
    }

    #[test]
    fn a_loss_that_is_not_finite_is_too_far_and_one_that_never_falls_leaves_the_start() {
        let wall = |t: f64| if t > 0.5 { [f64::NAN, f64::NAN] } else { [-t, -1.0] };
        let (t, _) = search(wall, 8.0);
        assert!(t > 0.0 && t <= 0.5, "{t}");
        // A slope that the loss does not have.
        let (t, count) = search(|t| [t, if t == 0.0 { -1.0 } else { 1.0 }], 1.0);
        assert!(t == 0.0 && count <= 1 + MOST, "{t} {count}");
        let (t, count) = search(|t| [-t, -1.0], 1.0);
        assert!(t > 1e6 && t.is_finite() && count == 1 + MOST, "{t} {count}");
    }
}
