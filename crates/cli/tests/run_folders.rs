//! Run folders: what is in them is a run's and whole, or somebody's own and left alone.

mod common;

use common::{Folder, copy, wait};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

const FURTHER: &str = "init = \"base\"\n[data]\ntrain = \"text.txt\"\nstream = true\n[train]\nsteps = 40\nshares = 2\n";

/// A long training in the background that has written its first line of metrics.
fn training(folder: &Folder, run: &str, settings: &[&str]) -> Child {
    let train = ["train", "lm.toml", "--run", run, "--set", "train.steps=100000"];
    let mut command = folder.command(&[&train[..], settings].concat());
    let child =
        command.stdout(Stdio::null()).stderr(fs::File::create(folder.path("told.txt")).unwrap()).spawn().unwrap();
    until(|| fs::metadata(folder.path(run).join("metrics.jsonl")).is_ok_and(|metrics| metrics.len() > 0));
    child
}

fn until(come: impl Fn() -> bool) {
    for _ in 0..60_000 {
        if come() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("it never comes");
}

/// With a trained `base`, and the recipe `further.toml` that goes on from it.
fn with_base() -> Folder {
    let folder = Folder::new();
    folder.train("lm.toml", "base", 20);
    folder.write("further.toml", FURTHER);
    folder
}

fn names(folder: &Folder, path: &str) -> Vec<String> {
    let entries = fs::read_dir(folder.path(path)).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_run_without_its_checkpoints_does_not_begin_anew_in_silence() {
    let folder = with_base();
    folder.train("further.toml", "run", 40);
    let resume = ["train", "further.toml", "--run", "run", "--resume", "--set", "train.steps=60"];
    ["best", "last"].iter().for_each(|link| fs::remove_file(folder.path("run").join(link)).unwrap());
    folder.fail(&resume, &["no link 'last'", "ln -sfn checkpoints/step-00000040 run/last"]);
    symlink("checkpoints/step-00000039", folder.path("run/last")).unwrap();
    folder.fail(&resume, &["no link 'last'", "checkpoints/step-00000040"]);
    fs::remove_file(folder.path("run/last")).unwrap();
    // Copied without links.
    copy(&folder.path("run/checkpoints/step-00000040"), &folder.path("run/last"));
    folder.fail(&resume, &["run/last", "no link"]);
    folder.succeed(&["generate", "run", "line", "--max-length", "5"]);
    fs::remove_dir_all(folder.path("run/last")).unwrap();
    fs::remove_dir_all(folder.path("run/checkpoints")).unwrap();
    folder.fail(&resume, &["no checkpoint to go on from", "Delete the folder"]);
}

#[test]
fn what_somebody_put_beside_the_checkpoints_stays() {
    let folder = Folder::new();
    folder.train("lm.toml", "run", 50);
    let checkpoints = folder.path("run/checkpoints");
    let of = |name: &str| checkpoints.join(name);
    let first = of("step-00000050");
    for name in ["step-00000050-keep", "step-00000050.old", "step-50", "mine", "step-00000060"] {
        copy(&first, &of(name));
    }
    fs::write(of("step-00000060").join("notes.txt"), "mine").unwrap();
    fs::write(of("step-notes.txt"), "mine").unwrap();
    fs::write(of("step-00000070"), "mine").unwrap();
    symlink("mine", of("step-00000080")).unwrap();
    // Left by a save and a removal that were broken off.
    copy(&first, &of(".step-00000020.removed"));
    fs::create_dir(of(".step-00000050.partial")).unwrap();
    folder.succeed(&["train", "lm.toml", "--run", "run", "--resume", "--quiet", "--set", "train.steps=60"]);
    let there = names(&folder, "run/checkpoints");
    let mine = [
        "mine",
        "step-00000050-keep",
        "step-00000050.old",
        "step-00000060",
        "step-00000060.kept-1",
        "step-00000070",
        "step-00000080",
        "step-50",
        "step-notes.txt",
    ];
    let ours: Vec<&String> = there.iter().filter(|name| !mine.contains(&name.as_str())).collect();
    assert!(mine.iter().all(|name| there.contains(&(*name).to_owned())), "{there:?}");
    assert!(ours.is_empty() || ours == ["step-00000050"], "{there:?}");
    assert_eq!(fs::read_to_string(of("step-00000060.kept-1/notes.txt")).unwrap(), "mine");
}

#[test]
fn a_folder_that_is_moved_or_deleted_while_it_trains_ends_the_training() {
    let folder = Folder::new();
    let told = || fs::read_to_string(folder.path("told.txt")).unwrap();
    let mut child = training(&folder, "moved", &["--set", "train.checkpoint_every=5"]);
    fs::rename(folder.path("moved"), folder.path("new place")).unwrap();
    assert_eq!(wait(&mut child).code(), Some(1));
    assert!(told().contains("moved, deleted or replaced"), "{}", told());
    assert!(!folder.path("moved").exists());
    folder.succeed(&["generate", "new place", "line", "--max-length", "5"]);
    let mut child = training(&folder, "deleted", &["--set", "train.checkpoint_every=5"]);
    // It may write into the folder meanwhile, which then is not empty.
    assert!((0..100).any(|_| fs::remove_dir_all(folder.path("deleted")).is_ok()));
    assert_eq!(wait(&mut child).code(), Some(1));
    assert!(!folder.path("deleted").exists(), "{}", told());
    // Another takes its name: it is not written to.
    let mut child = training(&folder, "run", &["--set", "train.log_every=1"]);
    fs::rename(folder.path("run"), folder.path("other")).unwrap();
    copy(&folder.path("new place"), &folder.path("run"));
    let before = names(&folder, "run/checkpoints");
    assert_eq!(wait(&mut child).code(), Some(1));
    assert!(told().contains("moved, deleted or replaced"), "{}", told());
    assert_eq!(names(&folder, "run/checkpoints"), before);
}

#[test]
fn what_is_read_while_it_is_written_is_whole() {
    let folder = Folder::new();
    let mut child = training(&folder, "run", &["--set", "train.checkpoint_every=1", "--set", "train.validate_every=2"]);
    until(|| folder.path("run/best").exists());
    for path in ["run", "run/last", "run/best"].iter().cycle().take(60) {
        folder.succeed(&["generate", path, "line", "--max-length", "1"]);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let step = fs::read_link(folder.path("run/last")).unwrap();
    let gone = format!("run/{}", step.display()).replace("step-", "step-9");
    folder
        .fail(&["generate", &gone.replace("step-90", "step-9"), "line"], &["no checkpoint of step", "it has those of"]);
}

#[test]
fn a_training_that_goes_on_says_what_is_otherwise_and_goes_on_by_its_own_recipe() {
    let folder = Folder::new();
    folder.train("lm.toml", "unbroken", 40);
    folder.fail(&["train", "lm.toml", "--run", "nowhere", "--resume"], &["nowhere", "no training to go on with"]);
    assert!(!folder.path("nowhere").exists());
    fs::create_dir(folder.path("empty")).unwrap();
    folder.fail(&["train", "lm.toml", "--run", "empty", "--resume"], &["no training to go on with"]);
    folder.train("lm.toml", "run", 20);
    // Steps are those of the start, or of a --set, whatever the file says.
    let resume = ["train", "lm.toml", "--run", "run", "--resume"];
    let text = folder.succeed(&resume);
    assert!(text.contains("already trained, 20 steps"), "{text}");
    let said = folder.told(&resume);
    assert!(said.contains("lm.toml: train.steps is 200 there") && said.contains("its own, 20"), "{said}");
    let more = [&resume[..], &["--set", "train.steps=40", "--quiet"]].concat();
    let said = folder.told(&more);
    assert!(said.contains("From step 20 on: train.steps is 40, was 20"), "{said}");
    assert!(folder.weights("run") == folder.weights("unbroken"));
    // It is the run's own from then on; and the folder stands for its recipe.
    let text = folder.succeed(&["train", "run", "--resume"]);
    assert!(text.contains("already trained, 40 steps"), "{text}");
    folder.fail(&["train", "run"], &["run", "already holds a training", "--resume"]);
    // Another training is refused, with the keys.
    let other = [&resume[..], &["--set", "train.batch_sentences=4", "--set", "seed=3"]].concat();
    folder.fail(&other, &["seed is 3, was 1", "train.batch_sentences is 4, was 8", "Undo the change"]);
    folder.write("lm.toml", common::LANGUAGE_MODEL.replace("hidden = 16", "hidden = 24"));
    folder.fail(&resume, &["model.hidden is 24, was 16", "descant train run --resume"]);
    folder.succeed(&["train", "run/recipe.toml", "--run", "run", "--resume"]);
}

#[test]
fn a_run_is_gone_on_with_and_measured_from_another_folder() {
    let folder = Folder::new();
    folder.train("pairs.toml", "teacher", 20);
    // The teacher's tokenizers; and a schedule that does not depend on the end.
    let pairs = common::PAIRS.replace("[tokenizer]\nkind = \"character\"\n", "");
    let pairs = pairs.replace("[schedule]\nkind = \"cosine\"\nwarmup = 10\n", "");
    folder.write("student.toml", format!("{pairs}\n[distill]\nteacher = \"teacher\"\n"));
    folder.train("student.toml", "unbroken", 30);
    folder.train("student.toml", "deep/run", 20);
    let elsewhere = |arguments: &[&str]| {
        let output = folder.command(arguments).current_dir("/").output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{told}");
        told
    };
    let run = folder.path("deep/run");
    elsewhere(&["train", run.to_str().unwrap(), "--resume", "--quiet", "--set", "train.steps=30"]);
    let eval = ["eval", run.to_str().unwrap(), "--loss-only"];
    assert!(!elsewhere(&eval).contains("has changed"));
    let over = ["eval", "deep/run", "--output", "pairs.tsv", "--overwrite"];
    folder.fail(&over, &["pairs.tsv", "the text to evaluate on"]);
    folder.write("pairs.tsv", "another\ttext\n");
    let told = elsewhere(&eval);
    assert!(told.contains("pairs.tsv has changed") && told.contains("the text as it was"), "{told}");
    assert!(folder.weights("deep/run") == folder.weights("unbroken"));
}

#[test]
fn a_copy_by_hard_links_is_a_run_of_its_own() {
    let folder = Folder::new();
    folder.train("lm.toml", "my run", 20);
    let files = || {
        let names = ["metrics.jsonl", "recipe.toml", "last/manifest.json", "last/model.safetensors"];
        names.map(|name| fs::read(folder.path("my run").join(name)).unwrap())
    };
    let before = files();
    let copied = std::process::Command::new("cp").args(["-al", "my run", "copy"]).current_dir(folder.path("")).status();
    assert!(copied.unwrap().success());
    folder.succeed(&["train", "copy", "--resume", "--quiet", "--set", "train.steps=30"]);
    assert!(files() == before);
    // Names as a shell reads them.
    let other = ["train", "lm.toml", "--run", "my run", "--resume", "--set", "seed=7"];
    folder.fail(&other, &["seed is 7, was 1", "descant train 'my run' --resume"]);
    let other = ["train", "my run", "--resume", "--set", "data.train=other.txt", "--set", "train.steps=40"];
    folder.fail(&other, &["data.train is \"other.txt\"", "init"]);
}

#[test]
fn a_training_that_goes_on_needs_the_run_no_more_that_it_began_with() {
    let folder = with_base();
    folder.train("further.toml", "unbroken", 40);
    folder.train("further.toml", "run", 20);
    fs::rename(folder.path("base"), folder.path("gone")).unwrap();
    let resume = ["train", "further.toml", "--run", "run", "--quiet", "--resume", "--set", "train.steps=40"];
    folder.succeed(&resume);
    assert!(folder.weights("run") == folder.weights("unbroken"));
}

#[test]
fn a_changed_recipe_or_tokenizer_is_told() {
    let folder = Folder::new();
    folder.train("lm.toml", "run", 20);
    let change = |file: &str, from: &str, to: &str| {
        let text = fs::read_to_string(folder.path(file)).unwrap();
        assert!(text.contains(from), "{text}");
        folder.write(file, text.replacen(from, to, 1));
    };
    let resume = ["train", "run", "--resume", "--set", "train.steps=30"];
    let generate = ["generate", "run", "line"];
    change("run/recipe.toml", "dropout = 0.2", "dropout = 0.3");
    for arguments in [&resume[..], &generate] {
        folder.fail(arguments, &["run/recipe.toml", "model.dropout is 0.3, was 0.2", "Undo the change"]);
    }
    change("run/recipe.toml", "dropout = 0.3", "dropout = 0.2");
    // Of the same size and form.
    change("run/tokenizer.json", "\"g\":", "\"Q\":");
    for arguments in [&resume[..], &generate] {
        folder.fail(arguments, &["run: tokenizer.json is not the one", "Bring that back"]);
    }
    change("run/tokenizer.json", "\"Q\":", "\"g\":");
    // How long the training texts are limits what is generated.
    let lengths = fs::read_to_string(folder.path("run/lengths.json")).unwrap();
    for other in [Some(lengths.replace(":20,", ":2,")), None] {
        fs::remove_file(folder.path("run/lengths.json")).unwrap();
        let what = if other.is_some() { "its checksum is another" } else { "there is none" };
        other.iter().for_each(|other| folder.write("run/lengths.json", other));
        assert!(other.as_ref() != Some(&lengths));
        for arguments in [&resume[..], &generate] {
            folder.fail(arguments, &["run: lengths.json is not the one", what, "Bring that back"]);
        }
        folder.write("run/lengths.json", &lengths);
    }
    let metrics = fs::read_to_string(folder.path("run/metrics.jsonl")).unwrap();
    copy(&folder.path("run"), &folder.path("lost"));
    folder.write("lost/metrics.jsonl", "");
    let said = folder.told(&["train", "lost", "--resume", "--set", "train.steps=30"]);
    assert!(said.contains("metrics.jsonl was not there, or empty: it goes on from step 20"), "{said}");
    // Lines of metrics that are none.
    folder.write("run/metrics.jsonl", format!("{{}}\n{metrics}nonsense\n{{\"event\":\"tr"));
    let said = folder.told(&resume);
    assert!(said.contains("metrics.jsonl: 2 lines could not be read"), "{said}");
    // All but the validation that came only because it ended.
    let kept = metrics.lines().take(2).flat_map(|line| [line, "\n"]).collect::<String>();
    assert!(fs::read_to_string(folder.path("run/metrics.jsonl")).unwrap().starts_with(&kept));
}

#[test]
fn a_start_that_was_broken_off_is_no_run_and_is_begun_anew() {
    let folder = Folder::new();
    folder.train("lm.toml", "run", 20);
    let before = folder.weights("run");
    // As a kill right before the recipe leaves it, or in the middle of the second attempt.
    for gone in ["recipe.toml", "tokenizer.json", "checkpoints", "last"] {
        let path = folder.path("run").join(gone);
        fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path)).unwrap();
        let _ = fs::remove_file(folder.path("run/recipe.toml"));
        folder.write("run/.starting", "");
        folder.fail(&["generate", "run", "line"], &["run"]);
        folder.fail(&["show", "run"], &["run: a run that was broken off before its first step"]);
        folder.fail(
            &["train", "run", "--resume"],
            &["broken off before its first step", "descant train RECIPE --run run"],
        );
        let resume: &[&str] = if gone == "last" { &["--resume"] } else { &[] };
        let train = ["train", "lm.toml", "--run", "run", "--quiet", "--set", "train.steps=20"];
        folder.succeed(&[&train[..], resume].concat());
        assert!(folder.weights("run") == before && !folder.path("run/.starting").exists());
    }
    // Without that sign it may be anybody's.
    fs::remove_file(folder.path("run/recipe.toml")).unwrap();
    folder.fail(&["train", "lm.toml", "--run", "run"], &["no recipe.toml, but", "would be overwritten"]);
    assert!(folder.weights("run") == before);
}

#[test]
fn one_process_at_a_time_writes_to_a_folder() {
    let folder = Folder::new();
    folder.succeed(&["demo", "--small", "--run", "demo"]);
    let before = names(&folder, "demo");
    let lock = fs::File::open(folder.path("demo/.lock")).unwrap();
    lock.lock().unwrap();
    folder.fail(&["demo", "--small", "--run", "demo"], &["demo", "another process"]);
    assert_eq!(names(&folder, "demo"), before);
    folder.succeed(&["generate", "demo", "one", "--max-length", "5"]);
}

#[test]
fn the_files_of_a_run_are_as_readable_as_others() {
    let folder = Folder::new();
    folder.train("transformer.toml", "run", 5);
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode();
    let usual = mode(folder.path("pairs.tsv"));
    for path in ["", "last/"] {
        for name in names(&folder, &format!("run/{path}")) {
            let path = folder.path(&format!("run/{path}{name}"));
            assert!(path.is_dir() || mode(path) == usual, "{name}");
        }
    }
}
