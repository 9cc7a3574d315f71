//! Pre-trained word vectors: embeddings begin with them, continuous outputs predict them, and what is wrong with a file is an error.

mod common;

use common::Folder;
use descant_inference::Trained;
use std::fs;

/// A vector of 8 numbers for each digit but 7, in word2vec's form.
fn digits() -> String {
    let row = |digit: usize| {
        let numbers: Vec<String> =
            (0..8).map(|i| format!("{}", ((digit * 5 + i * 3) % 11) as f32 / 4.0 - 1.0)).collect();
        format!("{digit} {}\n", numbers.join(" "))
    };
    let words: Vec<String> = (0..10).filter(|&digit| digit != 7).map(row).collect();
    format!("{} 8\nother 1 2 3 4 5 6 7 8\n{}", words.len() + 1, words.concat())
}

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("digits.vec", digits());
    folder
}

const CONTINUOUS: [&str; 6] = [
    "--set",
    "loss={kind='embedding',measure='vmf'}",
    "--set",
    "model.tie='output'",
    "--set",
    "vectors.target=digits.vec",
];

/// The row of an embedding that is of a token, and its length.
fn row(folder: &Folder, run: &str, table: &str, token: &str) -> (Vec<f32>, f32) {
    let trained = Trained::load_row_major(&folder.path(run)).unwrap();
    let id = trained.tokenizers.target.id(token).unwrap() as usize;
    let table = trained.parameters.find(table).unwrap_or_else(|| panic!("no {table}"));
    let row = trained.parameters.values::<f32>(table)[id * 8..][..8].to_vec();
    let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
    (row, length)
}

/// The vector of a digit in a file.
fn vector(text: &str, digit: &str) -> Vec<f32> {
    let line = text.lines().skip(1).find(|line| line.split(' ').next() == Some(digit)).unwrap();
    line.split(' ').skip(1).map(|number| number.parse().unwrap()).collect()
}

#[test]
fn embeddings_begin_with_them_and_the_rest_is_told() {
    let folder = folder();
    let frozen = "finetune.freeze=['encoder.embedding.weight']";
    let train = ["train", "pairs.toml", "--run", "run", "--set", "train.steps=3", "--set", "vectors.source=digits.vec"];
    let told = folder.told(&[&train[..], &["--set", frozen], &CONTINUOUS].concat());
    for part in [
        "vectors.source: 9 of 10 entries",
        "vectors.target: 9 of 10 entries",
        "1 begin as they are drawn, the commonest \"7\"",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(row(&folder, "run", "encoder.embedding.weight", "3").0, vector(&digits(), "3"));
    let (predicted, length) = row(&folder, "run", "decoder.targets", "3");
    assert!((length - 1.0).abs() < 1e-6, "{length}");
    // Without the mean of all nine.
    let all: Vec<Vec<f32>> = "012345689".chars().map(|digit| vector(&digits(), &digit.to_string())).collect();
    let mean = |i: usize| all.iter().map(|vector| vector[i]).sum::<f32>() / 9.0;
    let centred: Vec<f32> = vector(&digits(), "3").iter().enumerate().map(|(i, x)| x - mean(i)).collect();
    let norm = centred.iter().map(|x| x * x).sum::<f32>().sqrt();
    assert!(predicted.iter().zip(&centred).all(|(a, b)| (a - b / norm).abs() < 1e-5), "{predicted:?} {centred:?}");
    assert!((row(&folder, "run", "decoder.targets", "7").1 - 1.0).abs() < 1e-6, "a direction of its own");
    assert!(Trained::load(&folder.path("run")).unwrap().parameters.find("decoder.embedding.weight").is_none());

    // Where the output has logits, it is the embedding that begins so, and is trained.
    let settings = ["--set", "vectors.target=digits.vec", "--set", "finetune.freeze=['decoder.embedding.weight']"];
    folder.succeed(
        &[&["train", "pairs.toml", "--run", "softmax", "--quiet", "--set", "train.steps=2"][..], &settings].concat(),
    );
    assert_eq!(row(&folder, "softmax", "decoder.embedding.weight", "3").0, vector(&digits(), "3"));
    let free = &settings[..2];
    folder
        .succeed(&[&["train", "pairs.toml", "--run", "free", "--quiet", "--set", "train.steps=2"][..], free].concat());
    assert_ne!(row(&folder, "free", "decoder.embedding.weight", "3").0, vector(&digits(), "3"));
}

/// `▁3` begins a text, `3` goes on with it.
#[test]
fn a_word_is_the_entry_with_the_mark_of_a_space() {
    let folder = folder();
    let settings = [
        "tokenizer={kind='bpe',vocabulary=40}",
        "vectors.target=digits.vec",
        "finetune.freeze=['decoder.embedding.weight']",
    ];
    let train = ["train", "pairs.toml", "--run", "run", "--quiet", "--set", "train.steps=2"];
    folder.succeed(&[&train[..], &settings.map(|setting| ["--set", setting]).concat()].concat());
    let of = |token: &str| row(&folder, "run", "decoder.embedding.weight", token).0;
    assert_eq!(of("▁3"), vector(&digits(), "3"));
    assert_ne!(of("3"), vector(&digits(), "3"));
    // A file with both forms, as one that is exported.
    let both: String = digits().lines().skip(2).flat_map(|line| [format!("▁{line}\n"), format!("{line}5\n")]).collect();
    let both = format!("18 8\n{both}");
    folder.write("digits.vec", &both);
    folder.succeed(
        &[
            &["train", "pairs.toml", "--run", "both"],
            &train[4..],
            &settings.map(|setting| ["--set", setting]).concat()[..],
        ]
        .concat(),
    );
    let of = |token: &str| row(&folder, "both", "decoder.embedding.weight", token).0;
    assert_eq!(of("▁3"), vector(&both, "▁3"));
    assert_eq!(of("3"), vector(&both, "3"));
}

#[test]
fn exported_vectors_come_back_as_they_were() {
    let folder = folder();
    folder.succeed(
        &[
            &["train", "pairs.toml", "--run", "run", "--quiet", "--set", "train.steps=20"][..],
            &["--set", "model.embedding=16"],
        ]
        .concat(),
    );
    assert!(folder.succeed(&["export", "run", "run.vec"]).contains("run.vec"));
    folder.fail(&["export", "run", "run.vec"], &["run.vec", "it is there already"]);
    folder.fail(&["export", "run", "again.vec", "--adapter"], &["again.vec", "leave --adapter out"]);
    let text = fs::read_to_string(folder.path("run.vec")).unwrap();
    let frozen = "finetune.freeze=['decoder.embedding.weight']";
    let settings = ["--set", "vectors.target=run.vec", "--set", "model.embedding=16", "--set", frozen];
    let train = ["train", "pairs.toml", "--run", "next", "--set", "train.steps=2"];
    let told = folder.told(&[&train[..], &settings].concat());
    assert!(!told.contains("begin as they are drawn"), "{told}");
    let trained = Trained::load_row_major(&folder.path("next")).unwrap();
    let table = trained.parameters.find("decoder.embedding.weight").unwrap();
    let id = trained.tokenizers.target.id("5").unwrap() as usize;
    assert_eq!(trained.parameters.values::<f32>(table)[id * 16..][..16], vector(&text, "5"));
}

#[test]
fn continuous_outputs_write_by_beam_and_move_out_and_in() {
    let folder = folder();
    folder.succeed(
        &[&["train", "pairs.toml", "--run", "whole", "--quiet", "--set", "train.steps=60"][..], &CONTINUOUS].concat(),
    );
    let hypotheses = folder.succeed(&["generate", "whole", "123", "--num-beams", "3", "--num-return-sequences", "3"]);
    assert_eq!(hypotheses.lines().count(), 3, "{hypotheses}");
    let scores: Vec<f64> = hypotheses.lines().map(|line| line.split('\t').next().unwrap().parse().unwrap()).collect();
    assert!(scores.windows(2).all(|pair| pair[0] >= pair[1]) && scores[0] < 0.0, "{hypotheses}");
    let measured = folder.succeed(&["eval", "whole", "--beam", "3"]);
    assert!(measured.contains("bleu") && !measured.contains("perplexity"), "{measured}");
    // PyTorch's names, and back.
    folder.succeed(&["export", "whole", "folder"]);
    folder.succeed(&["import", "folder", "--run", "imported"]);
    assert_eq!(folder.succeed(&["generate", "imported", "123"]), folder.succeed(&["generate", "whole", "123"]));
}

#[test]
fn a_training_goes_on_without_the_file_to_the_same_bits() {
    let folder = folder();
    let train = |run: &str, steps: &str| {
        let steps = format!("train.steps={steps}");
        let begin =
            ["train", "pairs.toml", "--run", run, "--quiet", "--set", &steps, "--set", "schedule={kind='constant'}"];
        folder.succeed(&[&begin[..], &CONTINUOUS].concat());
    };
    train("whole", "40");
    train("part", "15");
    fs::remove_file(folder.path("digits.vec")).unwrap();
    folder.succeed(&["train", "part", "--resume", "--quiet", "--set", "train.steps=40"]);
    assert!(folder.weights("part") == folder.weights("whole"));
}

#[test]
fn what_is_wrong_with_vectors_is_told() {
    let folder = folder();
    let fail = |file: &str, text: &str, parts: &[&str]| {
        folder.write(file, text);
        let set = format!("vectors.target={file}");
        folder.fail(&["train", "pairs.toml", "--run", "run", "--set", &set], parts);
        assert!(!folder.path("run/recipe.toml").exists());
    };
    let seven = "1 2 3 4 5 6 7";
    fail("wide.vec", "2 9\n1 1 2 3 4 5 6 7 8 9\n", &["wide.vec, line 1", "9 numbers", "set model.embedding = 9"]);
    fail("cut.vec", &format!("2 8\n1 {seven} 8\n2 {seven}\n"), &["cut.vec, line 3", "\"2\" has 7 numbers, expected 8"]);
    fail("nan.vec", &format!("2 8\n1 {seven} NaN\n"), &["nan.vec, line 2", "NaN", "not finite"]);
    fail("word.vec", &format!("2 8\n1 {seven} x\n"), &["word.vec, line 2", "\"x\", which is no number"]);
    fail("other.vec", &format!("1 8\none {seven} 8\n"), &["other.vec", "none of its 1 word is an entry"]);
    fail("text.vec", "A text\nof words\n", &["text.vec, line 1", "expected word vectors"]);
    fail("empty.vec", "", &["empty.vec has no text"]);
    fail("mac.vec", &format!("1 {seven} 8\r2 {seven} 8\r"), &["mac.vec, line 1", "carriage return"]);
    let set = |settings: &[&str], parts: &[&str]| {
        let settings = settings.iter().flat_map(|setting| ["--set", setting]);
        folder.fail(&["train", "pairs.toml", "--run", "run"].into_iter().chain(settings).collect::<Vec<_>>(), parts);
    };
    set(&["vectors.target=none.vec"], &["none.vec", "No such file", "Check the path"]);
    set(&["vectors.target=."], &["is a folder"]);
    set(&["vectors.targets=digits.vec"], &["did you mean vectors.target?"]);
    let shared = ["data.shared_vocabulary=true", "model.tie='embeddings'"];
    let both = ["vectors.source=digits.vec", "vectors.target=digits.vec"];
    set(&[&shared[..], &both].concat(), &["vectors.source", "one embedding"]);
    let further = "init = \"run\"\n[data]\ntrain = \"pairs.tsv\"\n[vectors]\ntarget = \"digits.vec\"\n";
    folder.train("pairs.toml", "run", 1);
    folder.write("further.toml", further);
    folder.fail(&["train", "further.toml", "--run", "next"], &["[vectors]", "with init"]);
    // What is odd is a note, and no error.
    let odd = digits().replacen("10 8", "12 8", 1) + "3 1 2 3 4 5 6 7 8\n";
    folder.write("odd.vec", odd);
    let told = folder.told(&[
        "train",
        "pairs.toml",
        "--run",
        "odd",
        "--set",
        "train.steps=1",
        "--set",
        "vectors.target=odd.vec",
    ]);
    assert!(told.contains("1 word that was there before") && told.contains("its first line says 12"), "{told}");
}
