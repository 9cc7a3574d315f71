//! The whole examples that CONTRIBUTING.md names.

#[path = "../walks/cube.rs"]
mod cube;

use crate::GradCheck;
use crate::gradcheck::{Row, check_case};

#[test]
fn the_gradient_of_a_walk_is_right() {
    for case in cube::Cube::cases() {
        let rows = check_case(&case).unwrap();
        assert!(!rows.is_empty() && rows.iter().all(Row::passes), "{}", case.name);
    }
}
