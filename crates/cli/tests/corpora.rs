//! Texts in tables and in several files, and filters of them, by the binary: what is read is reported, what is wrong is named by key and line.

mod common;

use common::Folder;

/// A schedule that does not depend on the number of steps.
const STEADY: &str = "schedule={kind='constant'}";

/// Trains `pairs.toml` with these settings for a few steps.
fn arguments<'a>(run: &'a str, settings: &[&'a str]) -> Vec<&'a str> {
    let base = ["train", "pairs.toml", "--run", run, "--set", "train.steps=6", "--set", STEADY];
    base.into_iter().chain(settings.iter().flat_map(|setting| ["--set", *setting])).collect()
}

fn csv(pairs: std::ops::Range<usize>) -> String {
    let row = |i: usize| format!("{i},\"{i}, twice\",{}\n", 2 * i);
    format!("id,question,answer\n{}", pairs.map(row).collect::<String>())
}

#[test]
fn columns_have_names_in_csv_tsv_and_json() {
    let folder = Folder::new();
    folder.write("table.csv", csv(100..400));
    let object = |i: usize| format!("{{\"question\": \"{i}, twice\", \"answer\": \"{}\", \"id\": {i}}}\n", 2 * i);
    folder.write("table.jsonl", (100..400).map(object).collect::<String>());
    folder.write("table.tsv", csv(100..400).replace("\"", "").replace(", twice", " twice").replace(',', "\t"));
    let columns = "data.columns=['question','answer']";
    let read = |name: &str| {
        let train = format!("data.train={name}");
        let run = format!("run-{name}");
        let said = folder.told(&arguments(&run, &[&train, columns]));
        assert!(said.contains("270 pairs to learn from, 30 held out"), "{said}");
        assert!(said.contains("300 lines have columns that are not read (first in line"), "{said}");
        folder.weights(&run)
    };
    assert!(read("table.csv") == read("table.jsonl"), "the same pairs are the same training");
    read("table.tsv");
    folder.fail(
        &arguments("no", &["data.train=table.csv", "data.columns=['question','reply']"]),
        &["table.csv, line 1", "there is no column \"reply\"", "\"question\", \"id\", \"answer\""],
    );
    folder.fail(
        &arguments("no", &["data.train=table.jsonl", "data.columns=['question','reply']"]),
        &["table.jsonl, line 1", "there is no \"reply\"", "its keys are \"question\", \"answer\", \"id\""],
    );
    folder.fail(&arguments("no", &["data.train=table.csv"]), &["table.csv, line 1", "data.columns = [\"en\", \"de\"]"]);
    let semicolons = csv(100..105).replace(", twice", "").replace(',', ";");
    folder.write("semicolons.csv", &semicolons);
    for columns in [columns, "data.columns=[1,2]"] {
        let wrong = ["semicolons.csv, line 1 has no comma", "not by semicolons or tabs", "Save the table with commas"];
        folder.fail(&arguments("no", &["data.train=semicolons.csv", columns]), &wrong);
    }
    folder.write("semicolons.tsv", semicolons);
    let wrong = ["semicolons.tsv, line 1 has no tab", "not by commas or semicolons"];
    folder.fail(&arguments("no", &["data.train=semicolons.tsv", columns]), &wrong);
    folder.write("tabs.csv", csv(100..105).replace(", twice", "").replace(',', "\t"));
    folder.fail(&arguments("no", &["data.train=tabs.csv", columns]), &["tabs.csv, line 1 has no comma", "named .tsv"]);
    folder.write("bad.csv", csv(100..105) + "1,2\n\"open,3\n");
    folder.fail(&arguments("no", &["data.train=bad.csv", columns]), &["bad.csv, line 7 has 2 columns", "quotes"]);
    folder.write("worse.csv", csv(100..105) + "1,2\n1,2,3\n4\n5,6\n");
    folder.fail(
        &arguments("no", &["data.train=worse.csv", columns]),
        &["worse.csv, line 7 has 2 columns", "There are 3 such lines: 7, 9, 10"],
    );
    // All of them are counted before a training.
    let output = folder.run(&["doctor", "pairs.toml", "--set", "data.train=bad.csv", "--set", columns]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("1 of 6 lines (17 %) have other columns than a pair: 7"), "{said}");
    // A language model's text in a column; what it learned from is evaluated by the same names.
    let text = ["--set", "data.columns=['question']", "--set", "data.train=table.csv", "--set", "train.steps=4"];
    let text = [&["train", "lm.toml", "--run", "lm", "--set", "data.stream=false"][..], &text].concat();
    assert!(folder.told(&text).contains("270 texts to learn from"), "a text alone");
    folder.succeed(&["eval", "lm", "--data", "table.jsonl", "--loss-only"]);
}

#[test]
fn several_files_are_read_in_their_order_and_told() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("texts")).unwrap();
    let pairs = std::fs::read_to_string(folder.path("pairs.tsv")).unwrap();
    let lines: Vec<&str> = pairs.split_inclusive('\n').collect();
    for (i, part) in lines.chunks(100).enumerate() {
        folder.write(&format!("texts/{i}.tsv"), part.concat());
    }
    folder.write("texts/other.txt", "not read");
    let steps = ["--set", "train.steps=6", "--quiet"];
    folder.succeed(&[&["train", "pairs.toml", "--run", "one"][..], &steps].concat());
    let all = ["train", "pairs.toml", "--run", "all", "--set", "data.train='texts/*.tsv'"];
    let said = folder.told(&[&all[..], &["--set", "train.steps=6"]].concat());
    assert!(said.contains("texts/*.tsv is 4 files, one after the other: texts/0.tsv, texts/1.tsv"), "{said}");
    assert!(folder.weights("one") == folder.weights("all"), "in the order of the whole");
    let listed = "data.train=[['texts/1.tsv','texts/0.tsv','texts/2.tsv','texts/3.tsv']]";
    folder.succeed(&[&["train", "pairs.toml", "--run", "listed", "--set", listed][..], &steps].concat());
    assert!(folder.weights("one") != folder.weights("listed"), "in another order");
    // Both sides of parallel files.
    let column = |i: usize| lines.iter().map(move |line| line.trim().split('\t').nth(i).unwrap().to_owned() + "\n");
    for (name, i) in [("en", 0), ("de", 1)] {
        let all: Vec<String> = column(i).collect();
        folder.write(&format!("texts/a.{name}"), all[..150].concat());
        folder.write(&format!("texts/b.{name}"), all[150..].concat());
    }
    let sides = "data.train=['texts/*.en','texts/*.de']";
    folder.succeed(&[&["train", "pairs.toml", "--run", "sides", "--set", sides][..], &steps].concat());
    assert!(folder.weights("one") == folder.weights("sides"));
    folder.write("texts/c.de", "1\n");
    folder.fail(&arguments("no", &[sides]), &["2 files of sources and 3 of targets"]);
    folder.fail(&arguments("no", &["data.train='texts/*.csv'"]), &["data.train", "texts/*.csv", "nothing matches it"]);
    folder.fail(&arguments("no", &["data.train=['texts/0.tsv','texts/1.tsv']"]), &["a list in a list"]);
    folder.write("texts/4.tsv", "one\ttwo\n");
    let resume = ["--resume", "--set", "train.steps=8"];
    let said = folder.told(&[&all[..4], &resume].concat());
    assert!(said.contains("texts/0.tsv … texts/4.tsv (5 files) is 5 files now, and 4 were encoded"), "{said}");
    folder.write("texts/9.tsv", "one\n");
    folder.fail(&arguments("no", &["data.train='texts/*.tsv'"]), &["texts/9.tsv, line 1"]);
    folder.write("texts/9.tsv", "");
    folder.fail(&arguments("no", &["data.train='texts/*.tsv'"]), &["texts/9.tsv has no text"]);
}

#[test]
fn filters_are_counted_and_told_and_never_leave_nothing() {
    let folder = Folder::new();
    let long = |i: usize| format!("{i} is a number with some words after it");
    let good = |i: usize| format!("{}\t{}\n", long(i), long(i + 1));
    let bad = format!("{0}\t{0}\n{0}\t1\n{1}{1}", long(7), good(100));
    let noisy: String = (100..200).map(good).chain([bad]).chain((200..300).map(good)).collect();
    folder.write("noisy.tsv", noisy);
    let filter = "data.filter={copies=true,duplicates=true,length_ratio=4.0}";
    let said = folder.told(&arguments("run", &["data.train=noisy.tsv", filter]));
    let expected = "noisy.tsv: 4 of 204 lines or pairs are taken out by [data.filter]: 1 by copies (line 101), 1 by length_ratio \
                    (line 102), 2 by duplicates (line 103, line 104).";
    assert!(said.contains(expected) && said.contains("180 pairs to learn from, 20 held out"), "{said}");
    // The same bits as without what was taken out, and when it goes on.
    folder.write("clean.tsv", (100..300).map(good).collect::<String>());
    folder.told(&arguments("clean", &["data.train=clean.tsv"]));
    assert!(folder.weights("run") == folder.weights("clean"));
    let said = folder.told(&["train", "run", "--resume", "--set", "train.steps=9"]);
    assert!(said.contains(expected), "{said}");
    folder.succeed(&["eval", "run"]);
    let other = ["train", "pairs.toml", "--run", "run", "--resume", "--set", "data.filter.copies=false"];
    folder.fail(&other, &["data.filter.duplicates is false, was true"]);
    // The doctor sees them by the same measures, and what is filtered is no longer there.
    let doctor = |settings: &[&str]| {
        let settings: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        let output = folder.run(&[&["doctor", "pairs.toml", "--json"][..], &settings].concat());
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = found["findings"].as_array().unwrap().iter();
        findings.map(|finding| finding["check"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let kinds = ["copies", "length-ratio", "duplicates"].map(str::to_owned);
    let found = doctor(&["data.train=noisy.tsv"]);
    assert!(kinds.iter().all(|kind| found.contains(kind)), "{found:?}");
    let found = doctor(&["data.train=noisy.tsv", filter]);
    assert!(!kinds.iter().any(|kind| found.contains(kind)) && found.contains(&"filtered".to_owned()), "{found:?}");
    folder.fail(
        &arguments("no", &["data.train=noisy.tsv", "data.filter={min_characters=30,target_script='han'}"]),
        &[
            "noisy.tsv",
            "leave nothing",
            "203 by target_script (line 1, line 2, line 3, …), 1 by min_characters (line 102)",
        ],
    );
    let lm = ["train", "lm.toml", "--run", "no", "--set", "data.filter.duplicates=true"];
    folder.fail(&lm, &["data.filter", "continuous text"]);
    let lines = ["--set", "data.stream=false", "--set", "data.filter.copies=true"];
    folder.fail(&[&lm[..4], &lines].concat(), &["data.filter.copies is of pairs", "text.txt holds texts"]);
}

#[test]
fn an_exact_order_goes_on_with_the_same_bits_on_any_number_of_threads() {
    let folder = Folder::new();
    let pair = |i: u32| format!("{}\t{}\n", i % 100, i % 91);
    folder.write("many.tsv", (0..40_000).map(pair).collect::<String>());
    let train = |run: &str, threads: &str, more: &[&str]| {
        let base = ["train", "pairs.toml", "--run", run, "--quiet", "--threads", threads, "--set", STEADY];
        let sets = [
            "data.train=many.tsv",
            "train.batch_sentences=3000",
            "train.validate_every=100",
            "train.checkpoint_every=4",
        ];
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        folder.succeed(&base.into_iter().chain(sets).chain(more.iter().copied()).collect::<Vec<_>>());
        folder.weights(run)
    };
    // An epoch has three windows: they end after 6, 12 and 14 batches.
    let whole = train("whole", "2", &["--set", "train.steps=16"]);
    train("parts", "1", &["--set", "train.steps=5"]);
    train("parts", "3", &["--resume", "--set", "train.steps=13"]);
    assert!(train("parts", "1", &["--resume", "--set", "train.steps=16"]) == whole);
    let blocks = train("blocks", "2", &["--set", "train.steps=16", "--set", "data.shuffle=blocks"]);
    assert!(blocks != whole, "another order");
}

#[test]
fn noise_is_the_same_after_a_resume_and_on_any_number_of_threads() {
    let folder = Folder::new();
    let pair = |i: u32| format!("{i} is what comes before {}\t{}\n", i + 1, i % 7);
    folder.write("words.tsv", (0..300).map(pair).collect::<String>());
    let train = |run: &str, threads: &str, more: &[&str]| {
        let base =
            ["train", "pairs.toml", "--run", run, "--quiet", "--threads", threads, "--set", "data.train=words.tsv"];
        let noise =
            ["--set", "data.noise={drop=0.2,mask=0.1,swap=3}", "--set", "train.checkpoint_every=7", "--set", STEADY];
        folder.succeed(&base.iter().chain(&noise).chain(more).copied().collect::<Vec<_>>());
        folder.weights(run)
    };
    let whole = train("whole", "3", &["--set", "train.steps=90"]);
    train("parts", "1", &["--set", "train.steps=33"]);
    assert!(train("parts", "2", &["--resume", "--set", "train.steps=90"]) == whole);
    let clean = ["train", "pairs.toml", "--run", "clean", "--quiet", "--set", "data.train=words.tsv"];
    folder.succeed(&[&clean[..], &["--set", "train.steps=90", "--set", STEADY]].concat());
    assert!(folder.weights("clean") != whole);
    folder.fail(&[&clean[..5], &["--set", "data.noise.drop=1"]].concat(), &["data.noise.drop = 1", "below 1"]);
    let fail = |setting: &str, parts: &[&str]| {
        folder.fail(&[&clean[..5], &["--set", setting]].concat(), parts);
    };
    fail("data.noise.keyboard=1.5", &["data.noise.keyboard = 1.5", "below 1"]);
    fail("data.noise={keyboard=0.1,layout='azerty'}", &["data.noise.layout = \"azerty\"", "qwerty or qwertz"]);
    fail("data.noise.typos=0.1", &["typos", "no key"]);
    // What is never changed is reported.
    folder.write("mixed.tsv", "где the cat sat\ta\n".repeat(100));
    let mixed = ["train", "pairs.toml", "--set", "data.train=mixed.tsv", "--set", "train.steps=2", "--run"];
    let told = folder.told(&[&mixed[..], &["mixed", "--set", "data.noise={keyboard=0.1,ocr=0.1}"]].concat());
    assert!(
        told.contains("data.noise.keyboard: 25.00 % of the alphabetic characters of the sources have no key"),
        "{told}"
    );
    assert!(told.contains("never mistyped, such as г д е.") && told.contains("data.noise.ocr: "), "{told}");
    let told = folder.told(&[&mixed[..], &["idle", "--set", "data.noise={ocr=0.1,layout='qwertz'}"]].concat());
    assert!(told.contains("data.noise.layout: it only has an effect with data.noise.keyboard"), "{told}");
    let lm =
        folder.told(&["train", "lm.toml", "--run", "lm", "--set", "train.steps=2", "--set", "data.noise.drop=0.1"]);
    assert!(lm.contains("data.noise.drop: it only has an effect with model.kind = \"encoder-decoder\""), "{lm}");
}

#[test]
fn corpora_are_mixed_by_weight_and_temperature_with_the_same_bits_after_a_resume() {
    let folder = Folder::new();
    let pairs = |range: std::ops::Range<u32>| range.map(|i| format!("{i} {}\t{}\n", i + 1, i % 7)).collect::<String>();
    folder.write("large.tsv", pairs(1000..1400));
    folder.write("small.tsv", pairs(10..30));
    folder.write("held.tsv", pairs(500..520));
    let both = ["data.train=[['large.tsv','small.tsv']]", "data.validation='held.tsv'", "train.batch_sentences=20"];
    let train = |run: &str, threads: &str, more: &[&str]| {
        let base = ["train", "pairs.toml", "--run", run, "--threads", threads, "--set", STEADY];
        let sets = both.iter().chain(more.iter().filter(|set| !set.starts_with("--"))).flat_map(|set| ["--set", set]);
        let flags = more.iter().filter(|set| set.starts_with("--")).copied();
        folder.told(&base.into_iter().chain(sets).chain(flags).collect::<Vec<_>>())
    };
    let weights = "data.weights=[1.0,3.0]";
    let said = train("whole", "2", &[weights, "train.steps=50"]);
    assert!(said.contains("An epoch draws 105 from the 400 of large.tsv, 315 from the 20 of small.tsv."), "{said}");
    train("parts", "1", &[weights, "train.steps=31"]);
    train("parts", "3", &[weights, "train.steps=50", "--resume"]);
    assert!(folder.weights("whole") == folder.weights("parts"));
    // Copies within an epoch have noise of their own, and the same after a resume.
    let noise = "data.noise={drop=0.3}";
    train("noisy", "2", &[weights, noise, "train.steps=50"]);
    train("noisy-parts", "1", &[weights, noise, "train.steps=31"]);
    train("noisy-parts", "3", &[weights, noise, "train.steps=50", "--resume"]);
    assert!(folder.weights("noisy") == folder.weights("noisy-parts"));
    assert!(folder.weights("noisy") != folder.weights("whole"));
    let said = train("even", "2", &["data.temperature=1e6", "train.steps=2"]);
    assert!(said.contains("210 from the 400 of large.tsv, 210 from the 20 of small.tsv"), "{said}");
    let wrong = |more: &[&str], parts: &[&str]| {
        let settings: Vec<&str> = both[..2].iter().chain(more).copied().collect();
        folder.fail(&arguments("no", &settings), parts);
    };
    wrong(&["data.weights=[1,-1]"], &["data.weights[1] = -1", "from 0 to"]);
    wrong(&["data.weights=[0,0]"], &["data.weights = [0.0, 0.0]", "above 0"]);
    wrong(&["data.weights=[1,1,1]"], &["one for each of the 2 names"]);
    wrong(&["data.weights=[1,1]", "data.temperature=2.0"], &["Leave one out"]);
    wrong(&["data.weights=[1,1]", "data.shuffle=blocks"], &["data.shuffle = \"blocks\""]);
    wrong(
        &["data.weights=[1,1]", "data.filter={max_characters=5}"],
        &["nothing is left of the corpus 1 of data.train", "which is to be drawn from"],
    );
}
