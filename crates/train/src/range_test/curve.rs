//! What the losses of a range test tell: smoothed, where they fall, and where they are lowest.

/// The losses over the logarithms of the rates, and at each a line through the points around it by least squares: its value is the
/// smoothed loss, its slope how steeply that falls (a Savitzky-Golay filter of degree 1). It looks both ways, so that it does not lag.
pub(super) struct Curve<'a> {
    rates: &'a [f64],
    losses: &'a [f64],
    lines: Vec<Line>,
    /// The points on either side that a line goes through.
    reach: usize,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    value: f64,
    slope: f64,
}

/// The share of the steps of the whole range that lie on either side of a point.
const REACH: f64 = 0.05;
/// How many times larger than its standard error the fall of the loss is at least, to be more than batches differ.
const CERTAIN: f64 = 4.0;

impl<'a> Curve<'a> {
    /// Of losses at rising rates, of a range of so many steps.
    pub(super) fn new(rates: &'a [f64], losses: &'a [f64], steps: u64) -> Self {
        let reach = (REACH * steps as f64).round().max(2.0) as usize;
        let logarithms: Vec<f64> = rates.iter().map(|rate| rate.log10()).collect();
        let around = |i: usize| i.saturating_sub(reach)..rates.len().min(i + reach + 1);
        let line = |i: usize| Line::through(&logarithms[around(i)], &losses[around(i)], logarithms[i]);
        Self { rates, losses, lines: (0..rates.len()).map(line).collect(), reach }
    }

    pub(super) fn smoothed(&self) -> impl Iterator<Item = f64> {
        self.lines.iter().map(|line| line.value)
    }

    /// The point of the lowest loss.
    fn lowest(&self) -> Option<usize> {
        (0..self.lines.len()).min_by(|&a, &b| self.lines[a].value.total_cmp(&self.lines[b].value))
    }

    /// The rate of the steepest descent before the lowest loss, where the fall up to there is more than batches differ.
    pub(super) fn steepest(&self) -> Option<f64> {
        let lowest = self.lowest()?;
        // The first lines have points on one side alone.
        let start = self.reach;
        if lowest <= start {
            return None;
        }
        let fall = self.lines[start].value - self.lines[lowest].value;
        let residuals = (0..=lowest).map(|i| (self.losses[i] - self.lines[i].value).powi(2));
        let deviation = (residuals.sum::<f64>() / (lowest + 1) as f64).sqrt();
        // Of the difference of two means.
        let error = deviation * (2.0 / (2 * self.reach + 1) as f64).sqrt();
        let steepest = (start..=lowest).min_by(|&a, &b| self.lines[a].slope.total_cmp(&self.lines[b].slope))?;
        (fall > CERTAIN * error && self.lines[steepest].slope < 0.0).then(|| self.rates[steepest])
    }

    /// The rate of the lowest loss; none where that may lie beyond a range that was tried as a whole.
    pub(super) fn minimum(&self, is_whole: bool) -> Option<f64> {
        let lowest = self.lowest()?;
        let is_inside = lowest + self.reach < self.rates.len();
        (is_inside || !is_whole).then(|| self.rates[lowest])
    }
}

impl Line {
    /// By least squares; its value is that at `at`.
    fn through(x: &[f64], y: &[f64], at: f64) -> Self {
        let n = x.len() as f64;
        let [x_mean, y_mean] = [x, y].map(|all| all.iter().sum::<f64>() / n);
        let squares: f64 = x.iter().map(|x| (x - x_mean).powi(2)).sum();
        let covariance: f64 = x.iter().zip(y).map(|(x, y)| (x - x_mean) * (y - y_mean)).sum();
        let slope = if squares > 0.0 { covariance / squares } else { 0.0 };
        Self { value: y_mean + slope * (at - x_mean), slope }
    }
}

/// With two digits: no curve tells more.
pub(super) fn rounded(rate: f64) -> f64 {
    format!("{rate:.1e}").parse().unwrap_or(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: u64 = 200;

    /// Rates from 1e-7 to 10.
    fn rates() -> Vec<f64> {
        (0..STEPS).map(|i| 10_f64.powf(-7.0 + 8.0 * i as f64 / (STEPS - 1) as f64)).collect()
    }

    fn losses(of: impl Fn(f64) -> f64) -> Vec<f64> {
        // What batches differ by: the same each time, without a mean.
        let noise = |i: usize| 0.05 * (i as f64 * 2.4).sin();
        rates().iter().enumerate().map(|(i, rate)| of(rate.log10()) + noise(i)).collect()
    }

    fn near(found: Option<f64>, exponent: f64, within: f64) {
        let found = found.unwrap().log10();
        assert!((found - exponent).abs() < within, "{found} for {exponent}");
    }

    #[test]
    fn a_line_is_smoothed_to_itself() {
        let rates = rates();
        let straight: Vec<f64> = rates.iter().map(|rate| 3.0 - 0.5 * rate.log10()).collect();
        let curve = Curve::new(&rates, &straight, STEPS);
        for (line, loss) in curve.lines.iter().zip(&straight) {
            assert!((line.value - loss).abs() < 1e-12 && (line.slope + 0.5).abs() < 1e-12, "{line:?} {loss}");
        }
    }

    #[test]
    fn the_steepest_descent_and_the_lowest_loss_are_found() {
        // Level, steepest at 1e-3, lowest at 1e-1, then up.
        let fall = |x: f64| 5.0 - 2.0 / (1.0 + (-3.0 * (x + 3.0)).exp()) + if x > -1.0 { 4.0 * (x + 1.0) } else { 0.0 };
        let (rates, losses) = (rates(), losses(fall));
        let curve = Curve::new(&rates, &losses, STEPS);
        near(curve.steepest(), -3.0, 0.3);
        // A bend as sharp as that is smoothed over the points that a line goes through: ten of 25 a decade.
        near(curve.minimum(true), -1.0, 0.45);
        near(curve.minimum(false), -1.0, 0.45);
    }

    #[test]
    fn where_the_loss_does_not_fall_there_is_no_rate() {
        let (rates, level) = (rates(), losses(|_| 4.0));
        assert_eq!(Curve::new(&rates, &level, STEPS).steepest(), None);
        let rises = losses(|x| 4.0 + (x + 2.0).max(0.0));
        assert_eq!(Curve::new(&rates, &rises, STEPS).steepest(), None);
        assert_eq!(Curve::new(&[], &[], STEPS).steepest(), None);
        assert_eq!(Curve::new(&rates[..1], &level[..1], STEPS).steepest(), None);
    }

    #[test]
    fn a_loss_that_falls_up_to_the_end_has_no_lowest_one() {
        let (rates, losses) = (rates(), losses(|x| 4.0 - 0.2 * (x + 7.0)));
        let curve = Curve::new(&rates, &losses, STEPS);
        assert!(curve.steepest().is_some());
        assert_eq!(curve.minimum(true), None);
        // A test that ended for another reason has seen it.
        assert!(curve.minimum(false).is_some());
    }

    #[test]
    fn rates_have_two_digits() {
        assert_eq!([1.26e-3, 9.96e-5, 3.0].map(rounded), [1.3e-3, 1e-4, 3.0]);
    }
}
