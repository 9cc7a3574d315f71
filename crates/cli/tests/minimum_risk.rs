//! Minimum risk training, on the real binary.

mod common;

use common::Folder;

/// A recipe that goes on from `base` on pairs.
fn recipe(folder: &Folder, loss: &str) {
    let recipe = format!(
        "init = \"base\"\n[data]\ntrain = \"pairs.tsv\"\ncolumns = [0, 1]\n[train]\nsteps = 60\nbatch_sentences = 16\nlearning_rate = 3e-3\n\
         shares = 4\nvalidate_every = 60\nlog_every = 10\n[loss]\nkind = \"minimum-risk\"\nmetric = \"cer\"\n\
         alpha = 1.0\n{loss}"
    );
    folder.write("risk.toml", recipe);
}

#[test]
fn what_the_model_writes_has_less_risk() {
    let folder = Folder::new();
    // The one language model reads its pairs as prompts.
    let prompts = common::LANGUAGE_MODEL.replace("stream = true", "columns = [0, 1]").replace("text.txt", "pairs.tsv");
    folder.write("prompts.toml", prompts);
    for (base, loss) in [
        ("prompts.toml", "samples = 8"),
        ("pairs.toml", "samples = 6\nsearch = \"beam\"\nreference = false"),
        ("transformer.toml", "samples = 8\nlikelihood = 0.1"),
    ] {
        folder.train(base, "base", 60);
        recipe(&folder, loss);
        folder.succeed(&["train", "risk.toml", "--run", "run", "--quiet"]);
        let text = std::fs::read_to_string(folder.path("run/metrics.jsonl")).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let risk = |line: &serde_json::Value| {
            Some((line["measures"]["risk"].as_f64()?, line["measures"]["candidates"].as_f64()?))
        };
        let found: Vec<(f64, f64)> = lines.iter().filter_map(risk).collect();
        let (first, last) = (found[0], found[found.len() - 1]);
        assert_eq!(found.len(), 6, "{base}: {text}");
        assert!(last.0 < 0.95 * first.0, "{base}: {found:?}");
        assert!((2.0..=9.0).contains(&first.1), "{base}: {found:?}");
        // What is validated is the likelihood of the references.
        let last = &lines[lines.len() - 1];
        assert!(
            (last["perplexity"].as_f64().unwrap().ln() - last["loss"].as_f64().unwrap()).abs() < 1e-9,
            "{base}: {last}"
        );
        std::fs::remove_dir_all(folder.path("base")).unwrap();
        std::fs::remove_dir_all(folder.path("run")).unwrap();
    }
}

/// Where generation goes on beyond the positions of a model, there is nothing to learn from.
#[test]
fn candidates_are_as_long_as_the_positions_at_most() {
    let folder = Folder::new();
    let prompts = common::LANGUAGE_MODEL.replace("stream = true", "columns = [0, 1]").replace("text.txt", "pairs.tsv");
    let positions = "layers = 1\n[model.transformer]\nheads = 2\nposition = \"learned\"\nmax_length = 20\n";
    let prompts = prompts.replace("cell = \"lstm\"\nembedding = 8", "decoder = \"transformer\"");
    folder.write("prompts.toml", prompts.replace("layers = 2\ndropout = 0.2", positions));
    folder.train("prompts.toml", "base", 2);
    recipe(&folder, "samples = 8");
    folder.succeed(&["train", "risk.toml", "--run", "run", "--quiet", "--set", "train.steps=10"]);
    folder.fail(&["gradcheck", "risk.toml"], &["loss.kind", "--set loss.kind=cross-entropy"]);
}

#[test]
fn what_is_wrong_with_a_recipe_is_told() {
    let folder = Folder::new();
    folder.train("pairs.toml", "base", 2);
    recipe(&folder, "");
    let fail = |parts: &[&str], more: &[&str]| {
        folder.fail(&[&["train", "risk.toml", "--run", "run"], more].concat(), parts);
        assert!(!folder.path("run/recipe.toml").exists());
    };
    fail(&["loss.metric", "meteor", "chrf"], &["--set", "loss.metric=meteor"]);
    fail(&["loss.metric: slot_f1", "no reference has a slot"], &["--set", "loss.metric=slot_f1"]);
    fail(&["loss.samples = 1"], &["--set", "loss.samples=1"]);
    fail(&["loss.alpha = 0"], &["--set", "loss.alpha=0.0"]);
    fail(&["loss.search"], &["--set", "loss.search=greedy"]);
    fail(&["loss.smoothing"], &["--set", "loss.smoothing=0.1"]);
    fail(&["distill"], &["--set", "distill={teacher='base'}"]);
    folder.fail(&["bench", "risk.toml", "--text", "--steps", "1"], &["in a training alone"]);
    folder.write("risk.toml", format!("{}[loss]\nkind = \"minimum-risk\"\n", common::PAIRS));
    fail(&["init"], &[]);
    folder.train("lm.toml", "lm", 2);
    folder.write(
        "risk.toml",
        "init = \"lm\"\n[data]\ntrain = \"text.txt\"\n[loss]\nkind = \"minimum-risk\"\n[train]\nsteps = 2\n",
    );
    fail(&["prompts"], &["--set", "data.stream=true"]);
    fail(&["text.txt", "texts without sources"], &["--set", "data.stream=false"]);
}
