use std::fmt;

/// A number as a message shows it: very large and very small ones by a power of ten, rather than by hundreds of digits.
#[derive(Clone, Copy, Debug)]
pub struct Brief(pub f64);

impl fmt::Display for Brief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.abs() {
            size if size == 0.0 || !size.is_finite() || (1e-6..1e15).contains(&size) => write!(f, "{}", self.0),
            _ => write!(f, "{:e}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_long() {
        for (number, text) in [(0.5, "0.5"), (-3.0, "-3"), (0.0, "0"), (1e6, "1000000"), (-1e308, "-1e308")] {
            assert_eq!(Brief(number).to_string(), text);
        }
        assert_eq!([5e-324, f64::NAN, f64::INFINITY].map(|x| Brief(x).to_string()), ["5e-324", "NaN", "inf"]);
    }
}
