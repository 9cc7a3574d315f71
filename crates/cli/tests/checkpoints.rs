//! Divergence, damaged checkpoints, full disks and folders that cannot be written: nothing is lost.

mod common;

use common::{Folder, copy};
use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::process::Command;

#[test]
fn a_training_that_diverges_stops_and_keeps_the_last_good_checkpoint() {
    let folder = Folder::new();
    folder.train("lm.toml", "run", 50);
    let before = folder.weights("run");
    // Goes on from a good checkpoint with a rate that no model stands.
    let rate = ["--set", "train.steps=200", "--set", "train.learning_rate=1e38"];
    let error = folder.fail(
        &[&["train", "lm.toml", "--run", "run", "--resume", "--quiet"][..], &rate].concat(),
        &["diverged at step 5", "not finite", "of step 50, is kept", "Lower train.learning_rate"],
    );
    assert!(["lstm", "linear", "cross_entropy", "embedding"].iter().any(|op| error.contains(op)), "{error}");
    assert_eq!(folder.weights("run"), before);
    folder.succeed(&["generate", "run", "line", "--max-length", "5"]);
}

#[test]
fn a_training_that_diverges_is_gone_on_with_at_half_the_rate_three_times() {
    let folder = Folder::new();
    folder.train("lm.toml", "run", 50);
    // At a rate of which an eighth is too high too.
    let rate = ["--set", "train.steps=200", "--set", "train.learning_rate=1e38", "--divergence", "restart"];
    let told =
        folder.fail(&[&["train", "lm.toml", "--run", "run", "--resume"][..], &rate].concat(), &["training diverged"]);
    for (rate, left) in [("5e37", "2 restarts"), ("2.5e37", "1 restart"), ("1.25e37", "0 restarts")] {
        assert!(told.contains(&format!("with train.learning_rate = {rate}; {left} left")), "{told}");
    }
    assert_eq!(told.matches("of step 50, is kept").count(), 4, "{told}");
    folder.succeed(&["train", "run", "--resume", "--quiet", "--set", "train.learning_rate=0.01"]);
}

#[test]
fn a_damaged_checkpoint_is_told_and_never_used() {
    let folder = Folder::new();
    folder.train("lm.toml", "run", 20);
    let generate = ["generate", "broken", "line"];
    let damage = |file: &str, harm: &dyn Fn(&std::path::Path), parts: &[&str]| {
        let broken = folder.path("broken");
        let _ = fs::remove_dir_all(&broken);
        copy(&folder.path("run"), &broken);
        harm(&broken.join("last").join(file));
        let arguments: &[&str] = if file.starts_with("optimizer") {
            &["train", "run/recipe.toml", "--run", "broken", "--resume"]
        } else {
            &generate
        };
        folder.fail(arguments, parts);
    };
    let flip = |path: &std::path::Path| {
        let mut file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let middle = file.metadata().unwrap().len() / 2;
        file.seek(SeekFrom::Start(middle)).unwrap();
        let mut byte = [0];
        file.read_exact(&mut byte).unwrap();
        file.seek(SeekFrom::Start(middle)).unwrap();
        file.write_all(&[byte[0] ^ 1]).unwrap();
    };
    let cut = |path: &std::path::Path| {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    };
    let remove = |path: &std::path::Path| fs::remove_file(path).unwrap();
    for harm in [&flip as &dyn Fn(&std::path::Path), &cut] {
        damage("model.safetensors", harm, &["model.safetensors is truncated or corrupt"]);
        damage("optimizer.safetensors", harm, &["optimizer.safetensors is truncated or corrupt"]);
    }
    damage("manifest.json", &cut, &["manifest.json is damaged"]);
    damage("model.safetensors", &remove, &["model.safetensors", "No such file"]);
    damage("../../tokenizer.json", &cut, &["tokenizer.json cannot be read"]);
    let cut_in_a_line = |path: &std::path::Path| {
        let text = fs::read_to_string(path).unwrap();
        fs::write(path, &text[..text.find("[model]").unwrap() + 12]).unwrap();
    };
    damage("../../recipe.toml", &cut_in_a_line, &["recipe.toml"]);
}

#[test]
fn a_finished_training_that_goes_on_forgets_the_validation_at_its_end() {
    let folder = Folder::new();
    let link = |run: &str, name: &str| fs::read_link(folder.path(run).join(name)).ok();
    let step = |step: u64| Some(std::path::PathBuf::from(format!("checkpoints/step-{step:08}")));
    // Validations are at 50, 100, …, and at the end. Without one before the end, there was no best checkpoint either.
    for (run, steps, before) in [("long", 60, step(50)), ("short", 30, None)] {
        folder.train("lm.toml", run, steps);
        assert_eq!((link(run, "best"), link(run, "last")), (step(steps), step(steps)));
        let weights = folder.weights(run);
        // At such a rate it goes no further.
        let rate = ["--set", "train.steps=200", "--set", "train.learning_rate=1e38", "--quiet"];
        folder.fail(&[&["train", "lm.toml", "--run", run, "--resume"][..], &rate].concat(), &["diverged"]);
        assert_eq!((link(run, "best"), link(run, "last")), (before.clone(), step(steps)), "{run}");
        assert!(before.is_none() || folder.path(run).join("best/model.safetensors").exists());
        assert!(folder.weights(run) == weights);
    }
}

#[test]
fn files_that_have_no_end_are_not_read() {
    let folder = Folder::new();
    folder.train("lm.toml", "run", 5);
    for file in ["last/model.safetensors", "last/optimizer.safetensors", "data/train/target.ids", "lengths.json"] {
        let (endless, place) = (folder.path("endless"), folder.path("endless").join(file));
        let _ = fs::remove_dir_all(&endless);
        copy(&folder.path("run"), &endless);
        fs::remove_file(&place).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &place).unwrap();
        let name = file.rsplit('/').next().unwrap();
        let resume = ["train", "lm.toml", "--run", "endless", "--resume", "--set", "train.steps=6"];
        match file.starts_with("lengths") {
            true => folder.fail(&["generate", "endless", "line"], &[name, "no regular file"]),
            false => folder.fail(&resume, &["no regular file"]),
        };
    }
    for device in ["/dev/zero", "/dev/null"] {
        folder.fail(&["eval", "run", "--data", device], &[device]);
        folder.fail(&["train", "lm.toml", "--set", &format!("data.train={device}")], &[device]);
    }
}

#[test]
fn a_checkpoint_of_another_architecture_is_told() {
    let folder = Folder::new();
    folder.train("lm.toml", "run", 5);
    let other = ["train", "lm.toml", "--run", "other", "--quiet", "--set", "train.steps=5", "--set", "model.hidden=24"];
    folder.succeed(&other);
    for file in ["model.safetensors", "optimizer.safetensors", "manifest.json"] {
        fs::copy(folder.path("other/last").join(file), folder.path("run/last").join(file)).unwrap();
    }
    let parts = ["run/recipe.toml", "model.hidden is 16, was 24"];
    folder.fail(&["generate", "run", "line"], &parts);
    folder.fail(&["train", "run/recipe.toml", "--run", "run", "--resume"], &parts);
}

#[test]
fn a_folder_that_cannot_be_written_is_told() {
    let folder = Folder::new();
    folder.fail(&["train", "lm.toml", "--run", "/proc/nowhere/run"], &["/proc/nowhere/run"]);
    // Whoever is root may write anywhere, but not into a file system that is mounted read-only, such as this one.
    folder.fail(&["train", "lm.toml", "--run", "/sys/run"], &["/sys/run"]);
}

#[test]
fn a_full_disk_loses_nothing() {
    let folder = Folder::new();
    let disk = folder.path("disk");
    fs::create_dir(&disk).unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=400k", "tmpfs"]).arg(&disk).output();
    if !mount.is_ok_and(|mount| mount.status.success()) {
        println!("skipped: a small file system cannot be mounted here");
        return;
    }
    folder.train("lm.toml", "whole", 120);
    folder.train("lm.toml", "disk/run", 40);
    let before = folder.weights("disk/run");
    let free = fs::metadata(folder.path("disk/run/last/model.safetensors")).unwrap().len();
    let fill = folder.path("disk/fill");
    let mut file = fs::File::create(&fill).unwrap();
    while file.write_all(&[0; 512]).is_ok() {}
    drop(file);
    assert!(free > 1000);
    let resume = ["train", "lm.toml", "--run", "disk/run", "--resume", "--quiet", "--set", "train.steps=120"];
    let output = folder.run(&resume);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let weights = folder.weights("disk/run");
    fs::remove_file(&fill).unwrap();
    let after = folder.run(&resume);
    let end = folder.weights("disk/run");
    let _ = Command::new("umount").arg(&disk).output();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("No space left") && error.contains("--resume") && !error.contains("panicked"), "{error}");
    assert_eq!(weights, before);
    assert!(after.status.success(), "{}", String::from_utf8_lossy(&after.stderr));
    assert_eq!(end, folder.weights("whole"));
}

#[test]
fn a_start_on_a_full_disk_is_gone_on_with_from_where_it_began() {
    let folder = Folder::new();
    let disk = folder.path("disk");
    fs::create_dir(&disk).unwrap();
    let mount = |options: &str| {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&disk).output();
        mount.is_ok_and(|mount| mount.status.success())
    };
    if !mount("size=60k") {
        println!("skipped: a small file system cannot be mounted here");
        return;
    }
    folder.train("lm.toml", "base", 50);
    let data = "[data]\ntrain = \"text.txt\"\nstream = true\n";
    folder.write("further.toml", format!("init = \"base\"\n{data}[train]\nsteps = 3\nshares = 1\n"));
    folder.succeed(&["train", "further.toml", "--run", "whole", "--quiet"]);
    let train = ["train", "further.toml", "--run", "disk/run", "--quiet"];
    let full = folder.run(&train);
    let more = mount("remount,size=4m");
    let after = folder.run(&[&train[..], &["--resume"]].concat());
    let end = fs::read(folder.path("disk/run/last/model.safetensors"));
    let _ = Command::new("umount").arg(&disk).output();
    let error = String::from_utf8_lossy(&full.stderr).into_owned();
    assert!(more && full.status.code() == Some(1) && error.contains("No space left"), "{error}");
    assert!(after.status.success(), "{}", String::from_utf8_lossy(&after.stderr));
    assert!(end.unwrap() == folder.weights("whole"));
}

#[test]
fn a_run_is_gone_on_with_by_one_process_and_from_a_named_checkpoint() {
    let folder = Folder::new();
    folder.train("lm.toml", "run", 50);
    let early = "run/checkpoints/step-00000050";
    copy(&folder.path(early), &folder.path("early"));
    let resume = ["train", "lm.toml", "--run", "run", "--resume", "--set", "train.steps=60"];
    folder.succeed(&resume);
    let lock = fs::File::open(folder.path("run/.lock")).unwrap();
    lock.lock().unwrap();
    folder.fail(&resume, &["another process"]);
    drop(lock);
    // Copied without its links.
    fs::remove_file(folder.path("run/last")).unwrap();
    let metrics = fs::read(folder.path("run/metrics.jsonl")).unwrap();
    folder.fail(&resume, &["no link 'last'"]);
    assert_eq!(fs::read(folder.path("run/metrics.jsonl")).unwrap(), metrics);
    // A damaged checkpoint is written anew by a run that comes by it again.
    let weights = fs::read(folder.path("run/checkpoints/step-00000060/model.safetensors")).unwrap();
    fs::write(folder.path("run/checkpoints/step-00000060/model.safetensors"), b"damaged").unwrap();
    copy(&folder.path("early"), &folder.path(early));
    std::os::unix::fs::symlink("checkpoints/step-00000050", folder.path("run/last")).unwrap();
    folder.succeed(&resume);
    assert!(folder.weights("run") == weights);
}

#[test]
fn a_demo_replaces_only_what_is_its_own() {
    let folder = Folder::new();
    folder.succeed(&["demo", "--small", "--run", "demo"]);
    folder.write("demo/notes.txt", "mine");
    folder.succeed(&["demo", "--small", "--run", "demo"]);
    assert!(folder.path("demo/notes.txt").exists());
}
