//! What narrows or ranks candidates, and guesses them: minimum Bayes risk, coverage, alternatives, short lists, draft models.

mod common;

use common::{Folder, PAIRS};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

fn objects(printed: &str) -> Vec<Value> {
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn minimum_bayes_risk_returns_what_is_most_like_all_candidates() {
    let folder = Folder::new();
    folder.train("pairs.toml", "pairs", 60);
    let generate = |options: &[&str]| {
        let all = [&["generate", "pairs", "123", "217", "--json", "--max-new-tokens", "4"], options];
        objects(&folder.succeed(&all.concat()))
    };
    let samples = generate(&["--sample", "--n-best", "40", "--top-k", "3"]);
    let exact = generate(&["--sample", "--mbr-candidates", "40", "--mbr-metric", "exact", "--top-k", "3"]);
    assert_eq!((samples.len(), exact.len()), (80, 2));
    for (found, samples) in exact.iter().zip(samples.chunks(40)) {
        // Of texts that ended, the one that came most often.
        let mut counts = BTreeMap::new();
        samples.iter().for_each(|one| *counts.entry(one["text"].as_str().unwrap()).or_insert(0) += 1);
        let ended = |text: &str| samples.iter().any(|one| one["text"] == text && one["finished"] == true);
        let most = counts.iter().filter(|(text, _)| ended(text)).map(|(_, &count)| count).max().unwrap();
        assert_eq!(counts[found["text"].as_str().unwrap()], most, "{found}");
        assert!((found["score"].as_f64().unwrap() - f64::from(most) / 40.0).abs() < 1e-9, "{found}");
    }
    for metric in ["chrf", "bleu"] {
        let several =
            generate(&["--num-beams", "12", "--mbr-candidates", "12", "--mbr-metric", metric, "--n-best", "3"]);
        assert_eq!(several.len(), 6);
        let scores: Vec<f64> = several[..3].iter().map(|one| one["score"].as_f64().unwrap()).collect();
        assert!(scores[0] > scores[2] && scores[0] <= 1.0 && scores[2] >= 0.0, "{scores:?}");
    }
    let plain = folder.succeed(&["generate", "pairs", "123", "--sample", "--mbr-candidates", "4"]);
    assert_eq!(plain.lines().count(), 1);
    for (options, parts) in [
        (&["--mbr-candidates", "4"][..], &["--mbr-candidates = 4", "--do-sample = true", "--num-beams"][..]),
        (&["--mbr-candidates", "9", "--num-beams", "4"], &["--mbr-candidates = 9"]),
        (
            &["--mbr-candidates", "4", "--sample", "--n-best", "5"],
            &["--num-return-sequences = 5", "--mbr-candidates = 4"],
        ),
        (&["--mbr-metric", "bleu", "--sample"], &["--mbr-metric", "add --mbr-candidates"]),
    ] {
        folder.fail(&[&["generate", "pairs", "123"], options].concat(), parts);
    }
}

#[test]
fn the_coverage_penalty_is_a_part_of_the_score() {
    let folder = Folder::new();
    folder.write("plain.toml", PAIRS.replace("attention = \"general\"\n", ""));
    for run in ["pairs", "transformer", "lm", "plain"] {
        folder.train(&format!("{run}.toml"), run, 30);
    }
    for run in ["pairs", "transformer"] {
        let generate = |weight: &str| {
            let beam = ["--num-beams", "4", "--n-best", "4", "--length-penalty", "0", "--max-new-tokens", "5"];
            let all = [&["generate", run, "123", "217", "--json", "--coverage-penalty", weight][..], &beam].concat();
            objects(&folder.succeed(&all))
        };
        let parts = |one: &Value| [&one["score"], &one["log_probability"]].map(|part| part.as_f64().unwrap());
        let (plain, weighted) = (generate("0"), generate("2"));
        assert!(plain.iter().map(parts).all(|[score, log]| score == log), "{plain:?}");
        assert!(weighted.iter().map(parts).all(|[score, log]| score < log), "{weighted:?}");
        assert_eq!((plain.len(), weighted.len()), (8, 8));
        for found in weighted.chunks(4) {
            assert!(
                found
                    .windows(2)
                    .all(|two| two[0]["finished"] != two[1]["finished"] || parts(&two[0])[0] >= parts(&two[1])[0])
            );
        }
        folder.succeed(&["eval", run, "--num-beams", "3", "--coverage-penalty", "0.2", "--max-new-tokens", "5"]);
    }
    for run in ["lm", "plain"] {
        let parts = ["--coverage-penalty is for encoder-decoders with attention", "Leave it out"];
        folder.fail(&["generate", run, "123", "--num-beams", "3", "--coverage-penalty", "0.2"], &parts);
    }
    folder.fail(
        &["generate", "pairs", "123", "--coverage-penalty", "0.2"],
        &["--coverage-penalty", "no effect", "--num-beams"],
    );
    folder.fail(
        &["generate", "pairs", "1", "--num-beams", "2", "--coverage-penalty", "-1"],
        &["--coverage-penalty = -1", "from 0 to 100"],
    );
    let set = ["--set", "generation.coverage_penalty=0.5"];
    let parts = ["generation.coverage_penalty = 0.5", "no attention to a source"];
    folder.fail(&[&["train", "plain.toml", "--run", "new"], &set[..]].concat(), &parts);
}

#[test]
fn alternatives_part_at_a_position_and_each_goes_on_by_itself() {
    let folder = Folder::new();
    for run in ["pairs", "transformer", "lm"] {
        folder.train(&format!("{run}.toml"), run, 60);
    }
    let asked = ["--return-alternatives", "--n-best", "4"];
    let modes = [&["--max-new-tokens", "6"][..], &["--max-new-tokens", "6", "--num-beams", "3"]];
    let text = |one: &Value| one["text"].as_str().unwrap().to_owned();
    for run in ["pairs", "transformer"] {
        for mode in modes {
            let generate = |arguments: &[&str]| folder.succeed(&[&["generate", run], mode, arguments].concat());
            let after = |prefix: &str, more: &[&str]| generate(&[&["123", "--prefix", prefix], more].concat());
            let found = objects(&after("3", &[&["--json"], &asked[..]].concat()));
            let ranks: Vec<u64> = found.iter().map(|one| one["rank"].as_u64().unwrap()).collect();
            assert_eq!(ranks, [1, 2, 3, 4]);
            let next: Vec<&Value> = found.iter().map(|one| &one["ids"][1]).collect();
            assert!((0..4).all(|i| !next[..i].contains(&next[i])), "{found:?}");
            for one in &found {
                let (text, start) = (text(one), text(one).chars().take(2).collect::<String>());
                assert!(text.starts_with('3'), "{one}");
                assert!(start == "3" || after(&start, &[]).trim_end() == text, "{run}, {mode:?}: {one}");
            }
            let lines: String =
                found.iter().map(|one| format!("{:.4}\t{}\n", one["score"].as_f64().unwrap(), text(one))).collect();
            assert_eq!(after("3", &asked), lines);
            // Of those that are likely, the most likely one in any case.
            let likely = after("3", &[&["--min-alternative-expansion-prob", "1"], &asked[..]].concat());
            let first = lines.lines().next().unwrap();
            assert_eq!(likely.lines().collect::<Vec<_>>(), [first, "\t", "\t", "\t"]);
            folder.write("in.jsonl", "{\"id\": \"a\", \"text\": \"123\"}\n{\"text\": \"45\"}\n");
            generate(
                &[&["--input", "in.jsonl", "--output", "out.jsonl", "--overwrite", "--prefix", "3"], &asked[..]]
                    .concat(),
            );
            let written = objects(&fs::read_to_string(folder.path("out.jsonl")).unwrap());
            let n_best: Vec<String> = written[0]["n_best"].as_array().unwrap().iter().map(text).collect();
            assert_eq!(n_best, found.iter().map(text).collect::<Vec<_>>());
            assert_eq!((&written[0]["id"], &written[0]["text"]), (&"a".into(), &found[0]["text"]));
            assert_eq!(written[1]["n_best"].as_array().unwrap().len(), 4);
        }
    }
    // A language model asks for no sampling then.
    let generate =
        |prompt: &str, more: &[&str]| objects(&folder.succeed(&[&["generate", "lm", prompt, "--json"], more].concat()));
    let found = generate("line 3", &[&["--max-new-tokens", "8"], &asked[..]].concat());
    let first: Vec<char> = found.iter().map(|one| text(one).chars().next().unwrap()).collect();
    assert!(first.len() == 4 && (0..4).all(|i| !first[..i].contains(&first[i])), "{found:?}");
    for (one, c) in found.iter().zip(first) {
        let rest = generate(&format!("line 3{c}"), &["--greedy", "--max-new-tokens", "7"]);
        assert_eq!(text(one), format!("{c}{}", text(&rest[0])));
    }
    let beams = generate("line 3", &[&["--max-new-tokens", "8", "--num-beams", "3"], &asked[..]].concat());
    assert!(beams.iter().zip(&found).all(|(a, b)| a["ids"][0] == b["ids"][0]), "{beams:?} {found:?}");
    for (options, parts) in [
        (&["--return-alternatives"][..], &["--return-alternatives has no effect", "--num-return-sequences"][..]),
        (
            &["--return-alternatives", "--n-best", "2", "--sample"],
            &["--return-alternatives: expected --do-sample = false"],
        ),
        (
            &["--min-alternative-expansion-prob", "0.1"],
            &["--min-alternative-expansion-prob", "add --return-alternatives"],
        ),
        (&["--return-alternatives", "--n-best", "4", "--mbr-candidates", "4"], &["no --mbr-candidates"]),
        (
            &["--return-alternatives", "--n-best", "2", "--long-input", "split"],
            &["--return-alternatives", "--long-input"],
        ),
    ] {
        folder.fail(&[&["generate", "pairs", "123"], options].concat(), parts);
    }
    folder.fail(&[&["eval", "pairs"], &asked[..]].concat(), &["--num-return-sequences 4", "one text"]);
}

#[test]
fn a_short_list_is_learnt_from_the_pairs_and_obeyed() {
    let folder = Folder::new();
    let words = ["eins", "zwei", "drei", "vier"];
    let pair = |i: usize| {
        let [a, b] = [i % 4, i / 4 % 4];
        format!(
            "{} {}\t{} {}\n",
            ["one", "two", "three", "four"][a],
            ["one", "two", "three", "four"][b],
            words[a],
            words[b]
        )
    };
    folder.write("pairs.tsv", (0..400).map(pair).collect::<String>());
    let word = ["--set", "tokenizer={kind='word'}"];
    folder
        .succeed(&[&["train", "pairs.toml", "--run", "run", "--quiet", "--set", "train.steps=80"], &word[..]].concat());
    let told = folder.succeed(&["short-list", "run", "--translations", "1", "--common", "0"]);
    // A tenth of 400 is held out to be measured.
    assert!(told.contains("learnt from 360 pairs.") && told.contains("--short-list"), "{told}");
    folder.write("one.txt", "one\n");
    folder.write("two.txt", "eins\n");
    for (data, pairs) in [(&["pairs.tsv"][..], "400 pairs"), (&["one.txt", "two.txt"], "1 pair")] {
        let told =
            folder.succeed(&[&["short-list", "run", "--output", "given.txt", "--overwrite", "--data"], data].concat());
        assert!(told.contains(&format!("learnt from {pairs}.")), "{data:?}: {told}");
    }
    let list = fs::read_to_string(folder.path("run/vmap.txt")).unwrap();
    assert_eq!(list, "\t\nfour\tvier\none\teins\nthree\tdrei\ntwo\tzwei\n".to_owned(), "{list}");
    let generate = |options: &[&str]| {
        folder.succeed(&[&["generate", "run", "one two", "three", "--max-new-tokens", "6"], options].concat())
    };
    for options in [&[][..], &["--num-beams", "3"], &["--sample", "--temperature", "30"]] {
        let found = generate(&[options, &["--short-list", "run/vmap.txt"]].concat());
        let [first, second] = found.lines().collect::<Vec<_>>()[..] else { panic!("{found}") };
        assert!(first.split(' ').all(|word| ["eins", "zwei", ""].contains(&word)), "{found}");
        assert!(second.split(' ').all(|word| ["drei", ""].contains(&word)), "{found}");
    }
    let of = |list: &str| {
        folder.write("list.txt", list);
        let found = generate(&["--short-list", "list.txt", "--greedy"]);
        let words = |line: &str| line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        found.lines().map(words).collect::<Vec<_>>()
    };
    // N-grams, what every text may have, and tokens of other vocabularies, which are left out.
    let found = of("\tvier nothing\nthree\tdrei drei drei drei\none two\teins eins eins\nnothing\tzwei\n");
    let [of_two, of_three] = &found[..] else { panic!("{found:?}") };
    assert!(of_two.iter().all(|word| ["eins", "vier"].contains(&word.as_str())), "{found:?}");
    assert!(of_three.iter().all(|word| ["drei", "vier"].contains(&word.as_str())), "{found:?}");
    assert!(!of_two.is_empty() && !of_three.is_empty(), "{found:?}");
    folder.succeed(&["eval", "run", "--short-list", "run/vmap.txt"]);
    folder.write("bad.txt", "three drei\n");
    folder.write("other.txt", "trois\ttres\n");
    folder.write("most.txt", "\tvier vier vier vier\nthree\tdrei tres\n");
    let told = folder.told(&["generate", "run", "one", "--short-list", "list.txt"]);
    assert!(told.contains("list.txt: 1 of its 10 tokens are none of run, and are left out"), "{told}");
    for (options, parts) in [
        (&["generate", "run", "one", "--short-list", "bad.txt"][..], &["bad.txt", "line 1 has no tab"][..]),
        (&["generate", "run", "one", "--short-list", "other.txt"], &["other.txt", "another vocabulary"]),
        (
            &["generate", "run", "one", "--short-list", "most.txt"],
            &["most.txt", "1 of its 6 tokens are none of run", "descant short-list"],
        ),
        (&["generate", "run", "one", "--short-list", "none.txt"], &["none.txt"]),
        (
            &["generate", "run", "one", "--short-list", "run/vmap.txt", "--regex", "eins"],
            &["--short-list", "constraint"],
        ),
        (&["short-list", "run"], &["vmap.txt", "--overwrite"]),
    ] {
        folder.fail(options, parts);
    }
    // Whoever writes to the run folder has its lock.
    let lock = fs::File::options().write(true).open(folder.path("run/.lock")).unwrap();
    lock.lock().unwrap();
    folder.fail(&["short-list", "run", "--overwrite"], &["run", "another process is writing"]);
    folder.succeed(&["short-list", "run", "--output", "elsewhere.txt"]);
    // No link to a folder is replaced by a file, by whichever command.
    std::os::unix::fs::symlink(folder.path("run"), folder.path("link")).unwrap();
    std::os::unix::fs::symlink(folder.path("run"), folder.path("link.tsv")).unwrap();
    folder.write("labels.jsonl", "{\"source\": \"one\", \"text\": \"eins\", \"label\": \"a\"}\n");
    for arguments in [
        &["short-list", "run", "--output", "link"][..],
        &["classifier", "run", "labels.jsonl", "--output", "link"],
        &["eval", "run", "--output", "link.tsv"],
        &["generate", "run", "--input", "one.txt", "--output", "link"],
        &["generate", "run", "one", "--explain", "--svg", "link"],
    ] {
        folder.fail(&[arguments, &["--overwrite"]].concat(), &["link", "no regular file"]);
    }
    assert!(folder.path("link").join("recipe.toml").is_file() && folder.path("link.tsv").is_symlink());
    drop(lock);
    folder.succeed(&["train", "pairs.toml", "--run", "characters", "--quiet", "--set", "train.steps=3"]);
    folder.fail(&["short-list", "characters"], &["the token \" \" is frequent", "subwords"]);
    let left_out = folder.told(&["short-list", "characters", "--common", "0"]);
    assert!(left_out.contains("Left out") && left_out.contains("a space"), "{left_out}");
    folder.train("lm.toml", "lm", 3);
    folder.fail(&["short-list", "lm"], &["language model", "encoder-decoders"]);
}

#[test]
fn a_draft_model_changes_no_text_and_no_score() {
    let folder = Folder::new();
    folder.train("transformer.toml", "run", 40);
    folder.succeed(&[
        "train",
        "transformer.toml",
        "--run",
        "draft",
        "--quiet",
        "--set",
        "train.steps=40",
        "--set",
        "model.layers=1",
    ]);
    for options in [&["--greedy"][..], &["--sample", "--seed", "5"], &["--greedy", "--repetition-penalty", "1.3"]] {
        let generate = |more: &[&str]| {
            folder.succeed(&[&["generate", "run", "123", "456", "217", "--json"], options, more].concat())
        };
        let plain = generate(&[]);
        assert_eq!(generate(&["--draft-model", "draft"]), plain);
        assert_eq!(generate(&["--draft-model", "run/last", "--num-assistant-tokens", "2", "--batch", "1"]), plain);
    }
    let measured = |more: &[&str]| folder.succeed(&[&["eval", "run", "--json"], more].concat());
    assert_eq!(measured(&["--draft-model", "draft"]), measured(&[]));
    folder.train("pairs.toml", "pairs", 3);
    folder.write("text.tsv", (100..300).map(|i| format!("a{i}\tb{i}\n")).collect::<String>());
    folder.succeed(&[
        "train",
        "transformer.toml",
        "--run",
        "other",
        "--quiet",
        "--set",
        "train.steps=3",
        "--set",
        "data.train=text.tsv",
    ]);
    for (options, parts) in [
        (&["generate", "run", "1", "--draft-model", "pairs"][..], &["pairs", "recurrent"][..]),
        (&["generate", "pairs", "1", "--draft-model", "run"], &["recurrent", "draft model"]),
        (
            &["generate", "pairs", "1", "--prompt-lookup-num-tokens", "3"],
            &["pairs: --prompt-lookup-num-tokens: the decoder is recurrent", "Leave it out"],
        ),
        (&["generate", "run", "1", "--draft-model", "other"], &["other", "tokenizers"]),
        (&["generate", "run", "1", "--draft-model", "draft", "--beam", "3"], &["--draft-model", "greedy"]),
        (&["generate", "run", "1", "--num-assistant-tokens", "3"], &["--num-assistant-tokens", "--draft-model"]),
        (&["generate", "run", "1", "--draft-model", "none"], &["none"]),
    ] {
        folder.fail(options, parts);
    }
}
