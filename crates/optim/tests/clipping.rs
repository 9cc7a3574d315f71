//! Clipping by parameter, by unit and by z-score, against PyTorch's and the papers' numbers (`tools/pytorch_optimizers.py`).

mod common;

use common::{read, with};
use descant_autograd::{Gradients, ParameterId, Parameters};
use descant_hyperparameters::{Clipping, ClippingConfig, ZclipState};
use descant_optim::clip_gradients;
use descant_tensor::DType;

const NAMES: [&str; 3] = ["matrix", "vector", "zero"];

fn start() -> (Parameters, Gradients, [ParameterId; 3]) {
    let mut parameters = Parameters::new(DType::F64);
    let shapes: [&[usize]; 3] = [&[5, 7], &[9], &[6]];
    let mut add = |i: usize| parameters.add_with(NAMES[i], shapes[i], &read(&format!("clip.{}.weight", NAMES[i])));
    let ids = [0, 1, 2].map(&mut add);
    let mut values = vec![0.0; parameters.buffer().len()];
    for (id, name) in ids.iter().zip(NAMES) {
        values[parameters.range(*id)].copy_from_slice(&read(&format!("clip.{name}.gradient")));
    }
    let gradients = with(&parameters, &values);
    (parameters, gradients, ids)
}

fn clip(config: ClippingConfig, parameters: &Parameters, gradients: &mut Gradients) -> Clipping {
    clip_gradients(config, &mut ZclipState::default(), parameters, &[], gradients, 1.0)
}

#[test]
fn adaptive_clipping_leaves_out_the_output_layer() {
    for (config, reference, leaves_out) in
        [(ClippingConfig::Agc(0.1), "agc", true), (ClippingConfig::ParameterNorm(1.5), "parameter_norm", false)]
    {
        let (parameters, mut gradients, ids) = start();
        let before = ids.map(|id| gradients.to_f64(id));
        clip_gradients(config, &mut ZclipState::default(), &parameters, &ids[..1], &mut gradients, 1.0);
        for (i, name) in NAMES.into_iter().enumerate() {
            let found = gradients.to_f64(ids[i]);
            match leaves_out && i == 0 {
                true => assert_eq!(found, before[i]),
                false => {
                    let expected = read(&format!("clip.{name}.{reference}"));
                    let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 2e-6 * b.abs().max(1e-3);
                    assert!(found.iter().zip(&expected).all(close), "{reference} {name}: {found:?} for {expected:?}");
                }
            }
        }
    }
}

#[test]
fn parameters_and_units_are_clipped_as_in_the_references() {
    for (config, reference) in
        [(ClippingConfig::ParameterNorm(1.5), "parameter_norm"), (ClippingConfig::Agc(0.1), "agc")]
    {
        let (parameters, mut gradients, ids) = start();
        assert_eq!(clip(config, &parameters, &mut gradients), Clipping::default());
        for (id, name) in ids.iter().zip(NAMES) {
            let expected = read(&format!("clip.{name}.{reference}"));
            assert_ne!(expected, read(&format!("clip.{name}.gradient")));
            for (found, expected) in gradients.to_f64(*id).iter().zip(expected) {
                // PyTorch adds 1e-6 to the norm of a parameter.
                assert!(
                    (found - expected).abs() <= 2e-6 * expected.abs().max(1e-3),
                    "{name} {reference}: {found} for {expected}"
                );
            }
        }
    }
}

#[test]
fn it_has_the_same_bits_on_any_number_of_threads_and_frozen_parameters_have_no_part() {
    for config in [ClippingConfig::ParameterNorm(0.5), ClippingConfig::Agc(0.05)] {
        let found = [1, 2, 4].map(|threads| {
            let mut parameters = Parameters::new(DType::F32);
            let ids = ["a", "frozen", "b"].map(|name| parameters.add_with(name, [70, 999], &vec![0.25; 69_930]));
            parameters.set_trainable(ids[1], false);
            let values: Vec<f64> =
                (0..parameters.gradient_layout().len()).map(|i| ((i * 37) % 101) as f64 - 50.0).collect();
            let mut gradients = with(&parameters, &values);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| clip(config, &parameters, &mut gradients));
            let after: Vec<u64> = gradients.to_f64(ids[2]).iter().map(|x| x.to_bits()).collect();
            assert!(gradients.to_f64(ids[0]).iter().all(|x| x.abs() < 1.0), "{config:?}");
            after
        });
        assert!(found[0] == found[1] && found[0] == found[2], "{config:?}");
    }
}

#[test]
fn zclip_is_its_authors_and_goes_on_from_its_state() {
    let mut state = ZclipState::default();
    let (parameters, mut gradients, _) = start();
    let mut clipped = 0;
    for (step, (norm, expected)) in read("zclip.norms").into_iter().zip(read("zclip.clipped")).enumerate() {
        let Clipping { scale, limit } =
            clip_gradients(ClippingConfig::Zclip(2.5), &mut state, &parameters, &[], &mut gradients, norm);
        assert!((scale * norm - expected).abs() <= 1e-9 * expected, "step {step}: {} for {expected}", scale * norm);
        assert_eq!(limit, f64::INFINITY);
        clipped += usize::from(scale < 1.0);
        state = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
    }
    assert!((4..20).contains(&clipped), "{clipped}");
    // Of another kind of clipping, nothing of it is left.
    clip_gradients(ClippingConfig::Norm(1.0), &mut state, &parameters, &[], &mut gradients, 1.0);
    assert!(state.is_empty());
}

#[test]
fn numbers_out_of_range_are_named() {
    for (kind, _) in ClippingConfig::KINDS {
        let read = |number: &str| serde_json::from_str::<ClippingConfig>(&format!("{{\"{kind}\": {number}}}")).unwrap();
        assert_eq!(read("0.5").validate(), Ok(()));
        for number in ["0.0", "-1.0"] {
            let said = read(number).validate().unwrap_err();
            assert!(said.starts_with(&format!("train.clip.{kind} = ")) && said.contains("above 0"), "{said}");
        }
    }
}
