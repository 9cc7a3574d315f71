use super::{ElementType, TensorFile};
use half::f16;
use std::path::{Path, PathBuf};

fn reference(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/pickles").join(name)
}

/// What `tools/foreign_models.py` has saved, in each of the forms of `torch.save`.
#[test]
fn tensors_of_pytorch_are_read_in_every_form() {
    for name in ["zipped.bin", "legacy.bin", "protocol4.bin"] {
        let mut file = TensorFile::open(&reference(name)).unwrap();
        let tensors = file.tensors().to_vec();
        let mut read = |name: &str| -> (Vec<usize>, Vec<f32>) {
            let tensor = tensors.iter().find(|tensor| tensor.name == name).unwrap();
            let mut values = vec![f32::NAN; tensor.len().unwrap()];
            file.read(tensor, &mut values).unwrap();
            (tensor.shape.clone(), values)
        };
        let table: Vec<f32> = (0..12).map(|i| i as f32 / 4.0 - 1.0).collect();
        let transposed: Vec<f32> = (0..12).map(|i| table[i % 3 * 4 + i / 3]).collect();
        let even: Vec<f32> = table.iter().step_by(2).copied().collect();
        for whole in ["whole", "half", "bfloat16", "double"] {
            assert_eq!(read(whole), (vec![3, 4], table.clone()), "{name}: {whole}");
        }
        assert_eq!(read("turned"), (vec![4, 3], transposed), "{name}");
        assert_eq!(read("row"), (vec![4], table[4..8].to_vec()), "{name}");
        assert_eq!(read("every.other"), (vec![3, 2], even), "{name}");
        assert_eq!(read("parameter"), (vec![2, 4], table[..8].to_vec()), "{name}");
        assert_eq!(read("scalar"), (vec![], vec![2.5]), "{name}");
        assert_eq!(read("empty"), (vec![0, 4], vec![]), "{name}");
        let numbers = tensors.iter().find(|tensor| tensor.name == "numbers").unwrap().clone();
        let error = file.read(&numbers, &mut [0.0; 3]).unwrap_err().to_string();
        assert!(error.contains("'numbers' is of type Long"), "{error}");
    }
}

#[test]
fn what_a_pickle_would_run_is_named_and_not_run() {
    let error = |name: &str| TensorFile::open(&reference(name)).unwrap_err().to_string();
    let module = error("module.bin");
    assert!(module.contains("'a'") && module.contains("torch.nn.modules.linear.Linear"), "{module}");
    let training = error("training.bin");
    assert!(training.contains("'step' is a number") && training.contains("state_dict"), "{training}");
    // As a pickle that was made to do harm: os.system("touch …").
    let folder = tempfile::tempdir().unwrap();
    let (path, touched) = (folder.path().join("pytorch_model.bin"), folder.path().join("touched"));
    let legacy = std::fs::read(reference("legacy.bin")).unwrap();
    let start = legacy.windows(5).position(|bytes| bytes == b"\x80\x02}q\x00").map_or(0, |at| at + 2);
    let call = format!("cposix\nsystem\n(X\x1e\x00\x00\x00touch {:<24}tR.", touched.display());
    std::fs::write(&path, [&legacy[..start], b"\x80\x02", call.as_bytes()].concat()).unwrap();
    assert!(TensorFile::open(&path).is_err());
    assert!(!touched.exists());
}

#[test]
fn a_file_that_is_cut_or_changed_anywhere_is_an_error_or_reads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pytorch_model.bin");
    for name in ["zipped.bin", "legacy.bin", "protocol4.bin"] {
        let whole = std::fs::read(reference(name)).unwrap();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            match at % 3 {
                0 => changed.truncate(at),
                1 => changed[at] ^= 0xff,
                _ => changed[at] = b'u',
            }
            std::fs::write(&path, &changed).unwrap();
            let Ok(mut file) = TensorFile::open(&path) else { continue };
            for tensor in file.tensors().to_vec() {
                if let Some(len) = tensor.len().filter(|&len| len < 1000) {
                    let _ = file.read(&tensor, &mut vec![0.0; len]);
                }
            }
        }
    }
}

/// By hand: a scale of 0.5 and the numbers -16 to 15, of which four bits hold -8 to 7.
#[test]
fn quantised_blocks_are_scaled() {
    let scale = f16::from_f32(0.5).to_le_bytes();
    let numbers: Vec<i8> = (-16..16).collect();
    let eight: Vec<u8> = scale.into_iter().chain(numbers.iter().map(|&n| n as u8)).collect();
    let mut found = [f32::NAN; 32];
    ElementType::Q8.decode(&eight, &mut found);
    assert!(found.iter().zip(&numbers).all(|(&x, &n)| x == 0.5 * f32::from(n)), "{found:?}");
    let halves = |i: u8| (i % 16) | (15 - i % 16) << 4;
    let four: Vec<u8> = scale.into_iter().chain((0..16).map(halves)).collect();
    ElementType::Q4.decode(&four, &mut found);
    let expected = |i: usize| 0.5 * if i < 16 { i as f32 - 8.0 } else { 15.0 - (i as f32 - 16.0) - 8.0 };
    assert!(found.iter().enumerate().all(|(i, &x)| x == expected(i)), "{found:?}");
}

/// The length of a header is a number that may look like the first bytes of a pickle or of an archive.
#[test]
fn safetensors_are_told_by_their_header() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    for start in [[0x80, 2], [0x80, 4], *b"PK"] {
        let length = usize::from(u16::from_le_bytes(start));
        let header = format!("{:length$}", r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#);
        let bytes = [&(length as u64).to_le_bytes()[..], header.as_bytes(), &2.5_f32.to_le_bytes()].concat();
        std::fs::write(&path, bytes).unwrap();
        let mut file = TensorFile::open(&path).unwrap();
        let (tensor, mut value) = (file.tensors()[0].clone(), [0.0]);
        file.read(&tensor, &mut value).unwrap();
        assert_eq!(value, [2.5], "{start:?}");
    }
}
