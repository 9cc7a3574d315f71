//! Recipes: errors come before training, every key is explained, and starters train.

mod common;

use common::{Folder, LANGUAGE_MODEL, PAIRS};
use std::fs;

/// The lines of a run's metrics of one kind.
fn metrics(folder: &Folder, run: &str, event: &str) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(folder.path(run).join("metrics.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.filter(|line| line["event"] == event).collect()
}

#[test]
fn schedules_end_with_the_epochs() {
    let folder = Folder::new();
    // 360 of 400 pairs in batches of 50.
    let train = |run: &str, more: &[&str]| {
        let base = ["train", "pairs.toml", "--run", run, "--quiet", "--set", "train.log_every=1"];
        folder.succeed(&[&base[..], more].concat());
        metrics(&folder, run, "train")
    };
    let epochs = ["--set", "train.batch_sentences=50", "--set", "train.epochs=3", "--set", "train.steps=10000"];
    let lines = train("run", &epochs);
    assert_eq!(lines.len(), 24);
    let rate = |line: &serde_json::Value| line["learning_rate"].as_f64().unwrap();
    assert!(rate(&lines[23]) < 2e-4 && rate(&lines[10]) > 5e-3, "{lines:?}");
    // A warm-up longer than it all is an error where the recipe says both, and cut in a try.
    folder.write("long.toml", PAIRS.replace("warmup = 10", "warmup = 500").replace("steps = 200", "epochs = 3"));
    let long = ["train", "long.toml", "--run", "long"];
    folder.fail(&long, &["schedule.warmup = 500", "the steps of the training", "train.epochs"]);
    let try_of = folder.told(&[&long[..], &["--set", "train.epochs=1", "--set", "train.log_every=1"]].concat());
    assert!(try_of.contains("warm-up is cut"), "{try_of}");
    // Its run is read, written with, and gone on with.
    folder.succeed(&["train", "pairs.toml", "--run", "short", "--quiet", "--set", "train.steps=4"]);
    folder.succeed(&["generate", "short", "123"]);
    folder.succeed(&["train", "short", "--resume", "--quiet", "--set", "train.steps=6"]);
    folder.succeed(&["eval", "short"]);
    // Without a number of steps, the epochs alone say how long, and go on to more.
    folder.write("epochs.toml", PAIRS.replace("steps = 200", "epochs = 2"));
    folder.succeed(&["train", "epochs.toml", "--run", "two", "--quiet"]);
    let more = ["train", "epochs.toml", "--run", "two", "--quiet", "--resume", "--set", "train.epochs=4"];
    folder.succeed(&more);
    assert!(metrics(&folder, "two", "train").iter().any(|line| line["epoch"] == 4 || line["epoch"] == 3));
}

#[test]
fn an_epoch_is_every_sequence_once() {
    let folder = Folder::new();
    folder.write("few.txt", "a\nb\na\nb\na\nb\na\nabab\n");
    let recipe = LANGUAGE_MODEL.replace("text.txt", "few.txt").replace("stream = true", "stream = false");
    folder.write("few.toml", recipe.replace("[data]", "[data]\nvalidation_share = 0.0"));
    for (accumulate, steps) in [("1", 4), ("3", 2), ("8", 1)] {
        let accumulate = format!("train.accumulate={accumulate}");
        let sets = ["train.batch_sentences=2", "train.epochs=1", "train.log_every=1", &accumulate];
        let sets: Vec<&str> = sets.into_iter().flat_map(|set| ["--set", set]).collect();
        folder.succeed(&[&["train", "few.toml", "--run", &accumulate, "--quiet"][..], &sets].concat());
        let lines = metrics(&folder, &accumulate, "train");
        assert_eq!(lines.len(), steps, "{accumulate}");
        assert_eq!(lines[steps - 1]["epoch"], 1);
    }
}

#[test]
fn a_training_that_is_lengthened_is_one_that_was_long_from_the_start() {
    let folder = Folder::new();
    let plateau = PAIRS.replace("kind = \"cosine\"\nwarmup = 10", "kind = \"plateau\"\nfactor = 0.5\npatience = 0");
    // What cannot be learned, so that validations do not get better for long.
    let noise: String =
        (0..300_u64).map(|i| format!("{i}\t{}\n", (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % 97)).collect();
    folder.write("noise.tsv", noise);
    folder.write("plateau.toml", plateau.replace("pairs.tsv", "noise.tsv"));
    let train = |run: &str, more: &[&str]| {
        let base = ["train", "plateau.toml", "--run", run, "--quiet", "--set", "train.validate_every=20"];
        folder.succeed(&[&base[..], more].concat());
    };
    train("whole", &["--set", "train.steps=100"]);
    train("parts", &["--set", "train.steps=50"]);
    train("parts", &["--set", "train.steps=100", "--resume"]);
    assert!(folder.weights("whole") == folder.weights("parts"));
}

#[test]
fn a_mean_over_nothing_is_an_error() {
    let folder = Folder::new();
    folder.write("two.txt", "ab\nba\n".repeat(50));
    let base = ["train", "lm.toml", "--run", "run", "--set", "data.train=two.txt", "--set", "data.stream=false"];
    let fail = |sets: &[&str], parts: &[&str]| {
        let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
        folder.fail(&[&base[..], &sets].concat(), parts);
        assert!(!folder.path("run/recipe.toml").exists());
    };
    fail(&["loss.ignored=['a', 'b', '</s>']"], &["no target token", "learned from", "loss.ignored"]);
    fail(&["loss.class_weights={a=0.0,b=0.0,'</s>'=0.0}"], &["no target token", "loss.class_weights"]);
    // Of what is held out alone.
    folder.write("two.txt", "ab\nba\n".repeat(50) + &"cc\n".repeat(12));
    fail(&["loss.ignored=['c', '</s>']", "data.validation_share=0.1"], &["validated on", "loss.ignored"]);
}

#[test]
fn too_few_texts_to_validate_on_are_told() {
    let folder = Folder::new();
    folder.write("four.tsv", "a\tb\nb\tc\nc\td\nd\te\n");
    let base = ["train", "pairs.toml", "--run", "run", "--set", "data.train=four.tsv", "--set", "train.steps=12"];
    folder.fail(
        &[&base[..], &["--set", "train.patience=1"]].concat(),
        &["pairs.toml", "train.patience", "10 % of 4 is none", "data.validation_share"],
    );
    folder.fail(&[&base[..], &["--set", "schedule={kind='plateau'}"]].concat(), &["plateau", "10 % of 4 is none"]);
    let said = folder.told(&base);
    assert!(said.contains("nothing is held out") && said.contains("pairs to learn from, 0 held out"), "{said}");
}

#[test]
fn new_tokens_whose_rows_are_frozen_are_told() {
    let folder = Folder::new();
    folder.train("pairs.toml", "base", 20);
    folder.write("more.tsv", "<a>\t1\n<b>\t2\n".repeat(100));
    let more = |finetune: &str| {
        let text = "init = \"base\"\n[data]\ntrain = \"more.tsv\"\n[tokenizer]\nadd = [\"<a>\", \"<b>\"]\n[train]\nsteps = 5\n";
        folder.write("more.toml", format!("{text}[finetune]\n{finetune}\n"));
        ["train", "more.toml", "--run", "more", "--quiet"]
    };
    let parts = ["<a>", "embedding.weight", "frozen", "*projection*"];
    for finetune in ["lora = { rank = 4 }", "freeze = [\"*embedding*\"]", "rates = { \"*embedding*\" = 0.0 }"] {
        folder.fail(&more(finetune), &parts);
    }
    let said = folder.told(&more("lora = { rank = 4 }\ntrain = [\"*embedding*\"]"));
    assert!(said.contains("projection.weight") && said.contains("Note"), "{said}");
    fs::remove_dir_all(folder.path("more")).unwrap();
    let said = folder.told(&more("lora = { rank = 4 }\ntrain = [\"*embedding*\", \"*projection*\"]"));
    assert!(!said.contains("frozen"), "{said}");
    // Of tied tables, there is one name.
    folder.succeed(&["train", "transformer.toml", "--run", "tied", "--quiet", "--set", "train.steps=2"]);
    let tied = "init = \"tied\"\n[data]\ntrain = \"more.tsv\"\nshared_vocabulary = true\n[tokenizer]\nadd = [\"<a>\", \"<b>\"]\n";
    let tied = format!("{tied}[train]\nsteps = 2\n[finetune]\nlora = {{ rank = 4 }}\n");
    folder.write("tied.toml", &tied);
    let error = folder.fail(&["train", "tied.toml", "--run", "more-tied"], &["Add train = [\"*embedding*\"] to"]);
    assert!(!error.contains("projection*"), "{error}");
    folder.write("tied.toml", format!("{tied}train = [\"*embedding*\"]\n"));
    folder.succeed(&["train", "tied.toml", "--run", "more-tied", "--quiet"]);
}

#[test]
fn what_is_no_recipe_is_told() {
    let folder = Folder::new();
    folder.train("lm.toml", "run", 5);
    folder.fail(&["train", "pairs.tsv"], &["pairs.tsv", "no recipe", "train = \"pairs.tsv\""]);
    folder.fail(&["train", "run"], &["already holds a training", "--resume"]);
    folder.fail(&["gradcheck", "run"], &["this is a run", "run/recipe.toml"]);
    folder.fail(&["train", "."], &["this is a folder"]);
    folder.fail(
        &["train", "lm.toml", "--run", "n", "--set", "model.hidden=65536", "--set", "model.layers=64"],
        &["lm.toml", "billion parameters", "available"],
    );
    folder.fail(
        &["bench", "lm.toml", "--set", "model.hidden=65536", "--set", "model.layers=64"],
        &["billion", "available"],
    );
    folder.fail(&["gradcheck", "lm.toml", "--set", "model.hidden=65536", "--set", "model.layers=64"], &["billion"]);
    let bench = "bench={vocabulary=9223372036854775807,batch=1,length=1}";
    folder.fail(&["bench", "lm.toml", "--set", bench], &["bench.vocabulary", "1000000"]);
    let output = folder.run(&["train", "lm.toml", "--steps", "100"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("--set train.steps=VALUE"), "{said}");
    let output = folder.run(&["train", "lm.toml", "--dry-run"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("as a value"));
    // Another model beside init: what differs, and the way out.
    folder.write("init.toml", format!("init = \"run\"\n{}", LANGUAGE_MODEL.replace("hidden = 16", "hidden = 24")));
    folder.fail(&["train", "init.toml"], &["model.hidden is 24, that of the run 16", "Leave [model] out"]);
    // Without its text, a recipe's gradients and speed can be looked at all the same.
    fs::remove_file(folder.path("text.txt")).unwrap();
    let small = ["--set", "tokenizer.vocabulary=30"];
    assert!(folder.succeed(&[&["gradcheck", "lm.toml"][..], &small].concat()).contains("All gradients agree"));
    folder.succeed(&[&["bench", "lm.toml", "--steps", "1"][..], &small].concat());
}

#[test]
fn a_recipe_finds_its_text_beside_itself() {
    let folder = Folder::new();
    fs::create_dir(folder.path("inner")).unwrap();
    fs::rename(folder.path("text.txt"), folder.path("inner/text.txt")).unwrap();
    fs::rename(folder.path("lm.toml"), folder.path("inner/lm.toml")).unwrap();
    folder.succeed(&["train", "inner/lm.toml", "--run", "run", "--quiet", "--set", "train.steps=5"]);
    assert!(fs::read_to_string(folder.path("run/recipe.toml")).unwrap().contains("inner/text.txt"));
}

#[test]
fn a_plain_text_tells_whether_it_is_one() {
    let folder = Folder::new();
    folder.write("open.toml", LANGUAGE_MODEL.replace("stream = true\n", "").replace("text.txt", "open.txt"));
    let read = |run: &str, text: &str| {
        folder.write("open.txt", text);
        let said = folder.told(&["train", "open.toml", "--run", run, "--set", "train.steps=3"]);
        let recipe = fs::read_to_string(folder.path(run).join("recipe.toml")).unwrap();
        (said, recipe.contains("stream = true"))
    };
    let verse = "To be, or not to be:\nthat is the question.\n\nWhether 'tis nobler\nin the mind\n\n".repeat(20);
    let (said, stream) = read("verse", &verse);
    assert!(stream && said.contains("open.txt has blank lines") && said.contains("stream = false"), "{said}");
    // Which a resume does not ask again.
    fs::write(folder.path("open.txt"), "one\ntwo\n").unwrap();
    fs::write(folder.path("open.txt"), &verse).unwrap();
    folder.succeed(&["train", "open.toml", "--run", "verse", "--quiet", "--resume", "--set", "train.steps=5"]);
    let (said, stream) = read("names", &"emma\nolivia\nava\n".repeat(40));
    assert!(!stream && said.contains("each line is read as a text of its own"), "{said}");
    assert!(read("line", &"to be or not to be ".repeat(200)).1);
    assert!(!read("ends", &("emma\nava\n".repeat(40) + "\n\n\n")).1, "blank lines at the end part nothing");
}

#[test]
fn training_begins_with_what_it_found() {
    let folder = Folder::new();
    let said =
        folder.told(&["train", "pairs.toml", "--run", "run", "--set", "train.steps=1", "--set", "train.shares=1"]);
    for part in
        ["pairs.toml → run", "360 pairs to learn from, 40 held out", "vocabularies of", "GRU encoder-decoder", "1 step"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(said.contains("MB of memory") || said.contains("kB of memory"), "{said}");
    let output = folder.run(&["train", "lm.toml", "--run", "fast", "--set", "train.learning_rate=50.0"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("smaller train.learning_rate") || said.contains("Lower train.learning_rate"), "{said}");
    assert!(said.lines().all(|line| line.chars().count() < 200), "{said}");
    let again = folder.succeed(&["train", "pairs.toml", "--run", "a b", "--quiet", "--set", "train.steps=1"]);
    assert!(again.contains("Trained 1 step in") && again.contains("descant generate 'a b'"), "{again}");
}

#[test]
fn every_key_is_explained() {
    let folder = Folder::new();
    let all = folder.succeed(&["explain"]);
    for part in ["[train]", "patience", "[model.transformer]", "a whole number", "lora", "checkpoint_every"] {
        assert!(all.contains(part), "{part}");
    }
    assert!(all.lines().all(|line| line.chars().count() <= 140));
    let one = folder.succeed(&["explain", "train.patience"]);
    assert!(one.contains("train.patience = 0") && one.contains("Early stopping") && one.lines().count() < 5, "{one}");
    assert!(one.contains("Since 0.1"), "{one}");
    assert_eq!(folder.succeed(&["recipe", "train.patience"]), one, "the older name of the command");
    assert!(folder.succeed(&["explain", "train"]).contains("batch_tokens = 2048"));
    assert!(folder.succeed(&["explain", "warmup"]).contains("schedule.warmup"));
    assert_eq!(folder.succeed(&["explain", "target_tokenizer"]), folder.succeed(&["explain", "tokenizer"]));
    let several = folder.succeed(&["explain", "seed", "[bench]"]);
    assert!(several.contains("random seed") && several.contains("[bench]  "), "{several}");
    folder.fail(&["explain", "train.patiense"], &["did you mean train.patience"]);
    let schema: serde_json::Value = serde_json::from_str(&folder.succeed(&["schema"])).unwrap();
    assert_eq!(schema["properties"]["train"]["properties"]["patience"]["minimum"], 0);
    folder.check_page("RECIPES.md", &["explain", "--markdown"]);
}

#[test]
fn starters_train() {
    let folder = Folder::new();
    for kind in ["pairs", "text", "chat"] {
        let file = format!("{kind}-starter.toml");
        let printed = folder.succeed(&["init", kind]);
        folder.succeed(&["init", kind, &file]);
        assert_eq!(fs::read_to_string(folder.path(&file)).unwrap(), printed);
        folder.fail(&["init", kind, &file], &[&file, "there already"]);
    }
    folder.write("text.txt", "to be or not to be\n\nthat is the question\n\n".repeat(200));
    let short = ["--set", "train.steps=3", "--quiet"];
    folder.succeed(&[&["train", "pairs-starter.toml", "--run", "pairs-run"][..], &short].concat());
    folder.succeed(&[&["train", "text-starter.toml", "--run", "text-run"][..], &short].concat());
}
