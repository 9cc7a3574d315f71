//! The gradient of every operation against central differences in f64, and of every fused one its values against its
//! meaning in primitives.

use descant_autograd::gradcheck::{self, TOLERANCE, check_case};

#[test]
fn every_operation_has_the_gradient_of_its_central_differences() {
    let mut failures = Vec::new();
    for (name, cases) in gradcheck::table() {
        assert!(!cases.is_empty(), "{name} has no case");
        for case in cases {
            for row in check_case(&case).unwrap_or_else(|error| panic!("{name}, {}: {error}", case.name)) {
                println!("{name:24} {:32} {:10} {:6} {:.1e}", case.name, row.name, row.entries, row.error);
                if !row.passes() {
                    failures.push(format!(
                        "{name}, {}, {}: {:.1e} > {TOLERANCE:.0e} {:?}",
                        case.name, row.name, row.error, row.worst
                    ));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
