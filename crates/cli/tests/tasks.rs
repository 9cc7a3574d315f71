//! What is learned of texts alone: span corruption, and long texts in pieces; on the real binary.

mod common;

use common::{Folder, LANGUAGE_MODEL, PAIRS, TRANSFORMER};

const TASK: &str = "train = \"text.txt\"\ntask = \"span-corruption\"\n";

/// A recipe of pairs on texts alone.
fn denoising(recipe: &str) -> String {
    recipe.replace("train = \"pairs.tsv\"\n", TASK).replace("steps = 200", "steps = 20").replace("average = 0.99\n", "")
}

fn loss(folder: &Folder, run: &str) -> f64 {
    let told = folder.succeed(&["eval", run, "--loss-only", "--json"]);
    serde_json::from_str::<serde_json::Value>(&told).unwrap()["loss"].as_f64().unwrap()
}

#[test]
fn all_architectures_learn_spans_and_are_trained_further_on_pairs() {
    let folder = Folder::new();
    let lm = LANGUAGE_MODEL.replace("train = \"text.txt\"\n", TASK).replace("stream = true\n", "");
    for (name, recipe) in [("gru", denoising(PAIRS)), ("transformer", denoising(TRANSFORMER)), ("lm", denoising(&lm))] {
        folder.write("task.toml", recipe);
        folder.succeed(&["train", "task.toml", "--run", name, "--quiet", "--set", "train.steps=60"]);
        assert!(loss(&folder, name) < 3.0, "{name}");
        assert_eq!(loss(&folder, name), loss(&folder, name));
        folder.succeed(&["gradcheck", "task.toml"]);
        let longer = ["--set", "data.corruption_rate=0.5", "--set", "data.mean_span=1", "--set", "train.steps=5"];
        folder.succeed(&[&["train", "task.toml", "--run", &format!("{name}-half"), "--quiet"][..], &longer].concat());
        assert!(folder.weights(name) != folder.weights(&format!("{name}-half")));
        if name != "lm" {
            let further =
                "init = \"RUN\"\n[data]\ntrain = \"pairs.tsv\"\n[train]\nsteps = 10\nshares = 2\n".replace("RUN", name);
            folder.write("further.toml", further);
            folder.succeed(&["train", "further.toml", "--run", &format!("{name}-further"), "--quiet"]);
            folder.succeed(&["generate", &format!("{name}-further"), "123"]);
        }
    }
}

#[test]
fn span_corruption_that_cannot_be_is_told() {
    let folder = Folder::new();
    let fail = |recipe: String, parts: &[&str]| {
        folder.write("wrong.toml", recipe);
        folder.fail(&["train", "wrong.toml", "--run", "run"], parts);
        assert!(!folder.path("run/recipe.toml").exists());
    };
    let data = |more: &str| denoising(PAIRS).replace(TASK, &format!("{TASK}{more}\n"));
    fail(data("corruption_rate = 0"), &["data.corruption_rate = 0", "between 0 and 1"]);
    fail(data("corruption_rate = 1.0"), &["data.corruption_rate = 1"]);
    fail(data("mean_span = 0.5"), &["data.mean_span = 0.5", "1 or more"]);
    fail(data("noise = { drop = 0.1 }"), &["data.task", "[data.noise]"]);
    for columns in ["columns = [0, 1]", ""] {
        fail(data(columns).replace("text.txt", "pairs.tsv"), &["data.task", "pairs of source and target"]);
    }
    fail(data("shared_vocabulary = false"), &["data.task", "data.shared_vocabulary"]);
    fail(data("") + "[loss]\nkind = \"embedding\"\nmeasure = \"l2\"\n", &["data.task", "cross-entropy"]);
    fail(data("") + "[target_tokenizer]\nkind = \"byte\"\n", &["data.task", "[target_tokenizer]"]);
    fail(
        data("task = \"denoise\"").replace(TASK, "train = \"text.txt\"\n"),
        &["data.task = \"denoise\"", "span-corruption"],
    );
    fail(data("stream = true"), &["data.stream"]);
    let metrics = data("").replace("steps = 20", "steps = 20\nvalidation_metrics = [\"bleu\"]");
    fail(metrics, &["train.validation_metrics", "bleu"]);
    // Two tokenizers have no sentinels in common.
    let base = ["train", "pairs.toml", "--run", "base", "--quiet", "--set", "train.steps=5"];
    folder.succeed(&[&base[..], &["--set", "tokenizer.kind=byte"]].concat());
    fail("init = \"base\"\n[data]\n".to_owned() + TASK, &["both sides need one tokenizer"]);
}

#[test]
fn long_texts_are_left_out_or_cut_into_pieces() {
    let folder = Folder::new();
    let line = |i: usize| format!("{}\n", format!("part {i} of this line. ").repeat(1 + i % 7));
    folder.write("long.txt", (0..60).map(line).collect::<String>());
    for (name, model) in [("lstm", LANGUAGE_MODEL), ("transformer", include_str!("common/recipes/transformer-lm.toml"))]
    {
        let recipe = model.replace("train = \"text.txt\"\n", "train = \"long.txt\"\nmax_length = 40\n");
        assert!(recipe.contains("long.txt"));
        folder.write("long.toml", recipe.replace("stream = true\n", "stream = false\n"));
        let train = |run: &str, more: &[&str]| {
            folder.told(&[&["train", "long.toml", "--run", run, "--set", "train.steps=20"][..], more].concat())
        };
        let told = train(name, &[]);
        assert!(told.contains("lines or pairs are left out") && told.contains("of more than 40 tokens"), "{told}");
        let cut = format!("{name}-cut");
        let told = train(&cut, &["--set", "data.cut=true"]);
        assert!(
            told.contains("texts of more than 40 tokens are cut into pieces") && !told.contains("left out"),
            "{told}"
        );
        let told = folder.succeed(&["eval", &cut, "--data", "long.txt"]);
        assert!(told.contains("bits per byte"), "{told}");
    }
    let fail = |settings: &[&str], parts: &[&str]| {
        let set = settings.iter().flat_map(|setting| ["--set", setting]);
        folder.fail(&["train", "pairs.toml", "--run", "run"].into_iter().chain(set).collect::<Vec<_>>(), parts);
    };
    fail(&["data.cut=true"], &["data.cut", "pairs of source and target"]);
    fail(&["data.cut=1"], &["data.cut = 1", "true or false"]);
}
