//! Ranges of the numbers in a recipe. Each check names the key, its value, and what is expected.

use descant_tensor::Brief;

pub(crate) fn above_0(key: &str, value: f64) -> Result<(), String> {
    check(key, value, value > 0.0 && value.is_finite(), "a number above 0")
}

pub(crate) fn from_0(key: &str, value: f64) -> Result<(), String> {
    check(key, value, value >= 0.0 && value.is_finite(), "a number from 0")
}

pub(crate) fn from_0_to_1(key: &str, value: f64) -> Result<(), String> {
    check(key, value, (0.0..=1.0).contains(&value), "a number from 0 to 1")
}

pub(crate) fn from_0_to_below_1(key: &str, value: f64) -> Result<(), String> {
    check(key, value, (0.0..1.0).contains(&value), "a number from 0 to below 1")
}

pub(crate) fn check(key: &str, value: f64, is_valid: bool, expected: &str) -> Result<(), String> {
    match is_valid {
        true => Ok(()),
        false => Err(format!("{key} = {}: expected {expected}", Brief(value))),
    }
}
