//! Attribute steering: a classifier that is learnt from labelled texts leads what is generated.

mod common;

use common::{Folder, LANGUAGE_MODEL, PAIRS};
use serde_json::{Value, json};
use std::fs;

const WARM: [&str; 3] = ["sun", "fire", "heat"];
const COLD: [&str; 3] = ["ice", "snow", "frost"];
const TEXTS: usize = 400;
const ASKED: usize = 60;

/// A text of which most words are warm, or cold.
fn text(i: usize) -> (String, &'static str) {
    let (label, words, others) = if i.is_multiple_of(2) { ("warm", WARM, COLD) } else { ("cold", COLD, WARM) };
    let draw = |j: usize| (i * 7919 + j * 104_729).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    let word = |j: usize| if draw(j).is_multiple_of(8) { others[draw(j) / 8 % 3] } else { words[draw(j) / 8 % 3] };
    (format!("the {}", (0..6).map(word).collect::<Vec<_>>().join(" ")), label)
}

/// Runs of three architectures that have learnt from texts of both kinds, each with a classifier.
fn runs() -> Folder {
    let folder = Folder::new();
    let all: Vec<(String, &str)> = (0..TEXTS).map(text).collect();
    folder.write("lines.txt", all.iter().map(|(text, _)| format!("{text}\n")).collect::<String>());
    folder.write(
        "tell.tsv",
        all.iter().enumerate().map(|(i, (text, _))| format!("{}\t{text}\n", i % 3)).collect::<String>(),
    );
    let object = |(i, (text, label)): (usize, &(String, &str))| {
        json!({"source": (i % 3).to_string(), "text": text, "label": label}).to_string() + "\n"
    };
    folder.write("pairs.jsonl", all.iter().enumerate().map(object).collect::<String>());
    let object = |(text, label): &(String, &str)| json!({"text": text, "label": label}).to_string() + "\n";
    folder.write("texts.jsonl", all.iter().map(object).collect::<String>());
    let words = |recipe: &str| {
        recipe
            .replace("kind = \"character\"", "kind = \"word\"")
            .replace("dropout = 0.2\n", "")
            .replace("dropout = 0.1\n", "")
            .replace("layer_drop = 0.1\n", "")
    };
    let lines = |recipe: &str| words(recipe).replace("\"text.txt\"\nstream = true", "\"lines.txt\"\nstream = false");
    folder.write("lstm.toml", lines(LANGUAGE_MODEL));
    folder.write("gpt.toml", lines(include_str!("common/recipes/transformer-lm.toml")));
    folder.write("gru.toml", words(PAIRS).replace("pairs.tsv", "tell.tsv"));
    for run in ["lstm", "gpt", "gru"] {
        folder.train(&format!("{run}.toml"), run, 150);
        let texts = if run == "gru" { "pairs.jsonl" } else { "texts.jsonl" };
        let told = folder.succeed(&["classifier", run, texts]);
        assert!(told.contains("cold, warm, learnt from 400 texts") && told.contains("--steer cold"), "{told}");
        let found =
            told.split("finds the label of ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<f64>().ok());
        assert!(found.is_some_and(|found| found > 80.0), "{told}");
    }
    let asked = |text: &str| json!({ "text": text }).to_string() + "\n";
    folder.write("the.jsonl", asked("the").repeat(ASKED));
    folder.write("sources.jsonl", asked("1").repeat(ASKED));
    folder
}

/// What is generated for many lines, and the share of warm words in it.
fn warm(folder: &Folder, run: &str, flags: &[&str]) -> (String, f64) {
    let input = if run == "gru" { "sources.jsonl" } else { "the.jsonl" };
    let fixed = ["generate", run, "--input", input, "--do-sample", "--seed", "5", "--max-new-tokens", "7"];
    let written = folder.succeed(&[&fixed[..], flags].concat());
    let texts =
        written.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["text"].as_str().unwrap().to_owned());
    let words: Vec<String> = texts.flat_map(|text| text.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect();
    let count = |of: [&str; 3]| words.iter().filter(|word| of.contains(&word.as_str())).count() as f64;
    (written, count(WARM) / (count(WARM) + count(COLD)))
}

#[test]
fn the_share_of_an_attribute_rises_in_every_architecture() {
    let folder = runs();
    for run in ["lstm", "gpt", "gru"] {
        let (plain, share) = warm(&folder, run, &[]);
        let (_, more) = warm(&folder, run, &["--steer", "warm"]);
        let (written, less) = warm(&folder, run, &["--steer", "cold"]);
        assert!(more > share + 0.1 && less < share - 0.1, "{run}: {more} {share} {less}");
        // Longer steps lead to the label too.
        for longer in [["--steering-step-size", "0.3"], ["--steering-step-size", "1"]] {
            let steer = |label: &str| warm(&folder, run, &[&["--steer", label][..], &longer].concat()).1;
            let (more, less) = (steer("warm"), steer("cold"));
            println!("{run} {longer:?}: {less:.3} < {share:.3} < {more:.3}");
            assert!(more > share + 0.05 && less < share - 0.05, "{run} {longer:?}: {more} and {less}, {share} without");
        }
        // The same bits whatever is beside it.
        let alone = ["--steer", "cold", "--batch", "1"];
        assert_eq!(warm(&folder, run, &alone).0, written);
        // All of the distribution without steering is the distribution without steering, but for the last bits.
        let none = warm(&folder, run, &["--steer", "cold", "--steering-gm-scale", "1e-9"]).0;
        let texts = |written: &str| {
            written.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["text"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(texts(&none), texts(&plain), "{run}");
        // Greedy decoding and beam search are led too.
        let source = if run == "gru" { "1" } else { "the" };
        for mode in [&["--greedy"][..], &["--num-beams", "3"]] {
            let steer = |label: &str| {
                let flags = ["generate", run, source, "--max-new-tokens", "7", "--steer", label];
                folder.succeed(&[&flags[..], mode].concat())
            };
            assert_ne!(steer("warm"), steer("cold"), "{run} {mode:?}");
        }
    }
}

#[test]
fn what_cannot_be_steered_is_told() {
    let folder = Folder::new();
    folder.train("pairs.toml", "pairs", 5);
    folder.train("lm.toml", "lm", 5);
    folder.write("texts.jsonl", "{\"text\": \"red\", \"label\": \"a\"}\n{\"text\": \"blue\", \"label\": \"b\"}\n");
    let steer = ["generate", "lm", "line", "--steer", "a"];
    folder.fail(&steer, &["classifier.json"]);
    let told = folder.succeed(&["classifier", "lm", "texts.jsonl"]);
    assert!(told.contains("2 texts; too few to hold some of them out"), "{told}");
    folder.succeed(&[&steer[..], &["--max-new-tokens", "3"]].concat());
    folder.fail(&["classifier", "lm", "texts.jsonl"], &["it is there already", "--overwrite"]);
    folder.fail(&["generate", "lm", "line", "--steer", "c"], &["no label \"c\"", "a, b"]);
    folder.fail(&["generate", "lm", "line", "--steering-iterations", "4"], &["--steering-iterations", "--steer"]);
    let both = ["generate", "lm", "line", "--steer", "a", "--guidance-scale", "2"];
    folder.fail(&both, &["--steer", "--guidance-scale"]);
    folder.fail(&["generate", "lm", "line", "--steer", "a", "--ensemble", "lm"], &["--steer", "ensemble"]);
    folder.fail(&["classifier", "pairs", "texts.jsonl"], &["texts.jsonl, line 1", "\"source\""]);
    for (text, parts) in [
        ("{\"text\": \"red\", \"label\": \"a\"}\n", ["lm", "two labels"]),
        ("{\"text\": \"red\"}\n", ["wrong.jsonl, line 1", "it has no \"label\""]),
        ("{\"text\": \"red\", \"label\": 3}\n", ["wrong.jsonl, line 1", "its \"label\" is no text"]),
        (
            "{\"text\": \"red\", \"label\": \"a\", \"other\": 1}\n",
            ["wrong.jsonl, line 1", "it has the field \"other\""],
        ),
        ("{\"text\": \"\", \"label\": \"a\"}\n", ["wrong.jsonl, line 1", "its \"text\" is empty"]),
        ("{\"text\": \"red\", \"label\": \" \"}\n", ["wrong.jsonl, line 1", "its \"label\" is empty"]),
        ("{\n", ["wrong.jsonl, line 1", "not valid JSON"]),
    ] {
        folder.write("wrong.jsonl", text);
        folder.fail(&["classifier", "lm", "wrong.jsonl", "--overwrite"], &parts);
    }
    // A label of which all texts are held out.
    let texts: String = (0..9).map(|_| "{\"text\": \"red\", \"label\": \"a\"}\n").collect();
    folder.write("held.jsonl", texts + "{\"text\": \"blue\", \"label\": \"b\"}\n");
    folder.fail(&["classifier", "lm", "held.jsonl", "--overwrite"], &["no text of the label \"b\"", "held out"]);
    // Labels that say nothing of the texts are no better found than by the most frequent one.
    let label = |i: usize| if (i * 7919 + 13).wrapping_mul(0x9e37_79b9) >> 20 & 1 == 1 { "a" } else { "b" };
    let random = |i: usize| json!({"text": "line 1 says red", "label": label(i)}).to_string() + "\n";
    folder.write("random.jsonl", (0..100).map(random).collect::<String>());
    let output = folder.run(&["classifier", "lm", "random.jsonl", "--output", "random.json"]);
    let (printed, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains("of the 10 that were held out, where the most frequent label is that of 5"), "{printed}");
    assert!(told.contains("no better than that label") && !printed.contains("Generate with it"), "{told}");
    // It is of these weights alone, and so of no other training, nor of a later step.
    let classifier = fs::read_to_string(folder.path("lm/classifier.json")).unwrap();
    folder.succeed(&["train", "lm.toml", "--run", "other", "--quiet", "--set", "train.steps=5", "--set", "seed=9"]);
    let of_other = ["generate", "other", "line", "--steer", "a", "--classifier", "lm/classifier.json"];
    folder
        .fail(&of_other, &["lm/classifier.json", "learnt from other weights", "other has those", "descant classifier"]);
    folder.succeed(&["classifier", "other", "texts.jsonl"]);
    folder.succeed(&["generate", "other", "line", "--steer", "a", "--max-new-tokens", "3"]);
    folder.succeed(&["train", "other", "--resume", "--quiet", "--set", "train.steps=9"]);
    folder.fail(&["generate", "other", "line", "--steer", "a"], &["of step 5", "those of step 9"]);
    folder.succeed(&["quantize", "lm", "--weights", "q4"]);
    let rounded = ["generate", "lm-q4", "line", "--steer", "a", "--classifier", "lm/classifier.json"];
    folder.fail(&rounded, &["lm/classifier.json", "those of step 5, rounded to q4"]);
    // The same where they are rounded while loading; a run of such weights has a classifier of its own.
    let rounded = ["generate", "lm", "line", "--steer", "a", "--weights", "q4"];
    folder.fail(&rounded, &["lm/classifier.json", "those of step 5, rounded to q4"]);
    folder.succeed(&["classifier", "lm-q4", "texts.jsonl"]);
    folder.succeed(&["generate", "lm-q4", "line", "--steer", "a", "--max-new-tokens", "3"]);
    let mut narrow: Value = serde_json::from_str(&classifier).unwrap();
    narrow["classifier"]["weight"] = json!([[1.0], [2.0]]);
    let mut without_labels: Value = serde_json::from_str(&classifier).unwrap();
    without_labels["classifier"] = json!({"labels": [], "weight": [], "bias": []});
    for (text, part) in [
        (classifier[..classifier.len() / 2].to_owned(), "no classifier"),
        (classifier.replace("\"a\",", ""), "no classifier of the hidden states"),
        (narrow.to_string(), "16 elements"),
        (without_labels.to_string(), "it has no labels"),
    ] {
        folder.write("wrong.json", text);
        folder.fail(&["generate", "lm", "line", "--steer", "a", "--classifier", "wrong.json"], &["wrong.json", part]);
    }
}

/// A model of one continuous text that was trained on 32 tokens together: BOS and 31 characters.
#[test]
fn a_text_beyond_the_context_is_read_in_parts() {
    let folder = Folder::new();
    folder.write("gpt.toml", include_str!("common/recipes/transformer-lm.toml").replace("window = 20\n", ""));
    folder.train("gpt.toml", "gpt", 2);
    let texts = ["the red line says blue ".repeat(6), "a blue word says so ".repeat(5)];
    let object = |label: usize, text: &str| json!({"text": text, "label": label.to_string()}).to_string() + "\n";
    let parts = |label: usize| {
        let characters: Vec<char> = texts[label].chars().collect();
        characters.chunks(31).map(|part| object(label, &part.iter().collect::<String>())).collect::<String>()
    };
    folder.write("whole.jsonl", object(0, &texts[0]) + &object(1, &texts[1]));
    folder.write("parts.jsonl", parts(0) + &parts(1));
    for name in ["whole", "parts"] {
        folder.succeed(&["classifier", "gpt", &format!("{name}.jsonl"), "--output", &format!("{name}.json")]);
    }
    let [whole, parts] = ["whole.json", "parts.json"].map(|name| fs::read(folder.path(name)).unwrap());
    assert_eq!(whole, parts);
}
