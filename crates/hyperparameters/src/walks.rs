//! The whole examples that CONTRIBUTING.md names.

#[path = "../walks/sign_sgd.rs"]
mod sign_sgd;
#[path = "../walks/triangle.rs"]
mod triangle;

use crate::formula::Formula;
use crate::gradient_clipping::Clipping;
use crate::update::{Chunk, Step, Update};

#[test]
fn a_walks_optimizer_steps_by_the_sign() {
    let optimizer = sign_sgd::SignSgd { momentum: 0.5, ..Default::default() };
    assert_eq!((optimizer.validate(), optimizer.state_names().len()), (Ok(()), 1));
    assert_eq!(sign_sgd::SignSgd::FIELDS, ["momentum", "weight_decay", "no_decay", "decay_factors"]);
    assert!(sign_sgd::SignSgd { momentum: 1.0, ..Default::default() }.validate().is_err());
    let (mut x, mut m) = ([1.0_f64, 1.0, 1.0], [0.0, 4.0, 0.0]);
    let clipping = Clipping { scale: 1.0, limit: f64::INFINITY };
    let chunk = Chunk { shape: [3].into(), x: &mut x, g: &[2.0, -2.0, -8.0], state: [&mut m, &mut [], &mut []] };
    optimizer.update(chunk, Step { lr: 0.25, number: 1, average: 0.0, clipping });
    assert_eq!((x, m), ([0.75, 0.75, 1.25], [1.0, 1.0, -4.0]));
}

#[test]
fn a_walks_schedule_rises_and_falls() {
    let schedule = triangle::Triangle::default();
    assert_eq!([0, 25, 50, 75, 100].map(|step| schedule.factor(step, 100)), [0.0, 0.5, 1.0, 0.5, 0.0]);
    assert!(triangle::Triangle { peak: 1.5 }.validate(100).is_err());
}
