//! What cannot be generated: each a clear message, the other lines answered, nothing lost, no panic.

mod common;

use common::Folder;
use descant_inference::Trained;
use serde_json::Value;
use std::fs;

/// An encoder-decoder, a Transformer with positions, and a language model.
fn runs() -> Folder {
    let folder = Folder::new();
    folder.train("pairs.toml", "pairs", 20);
    folder.train("lm.toml", "lm", 20);
    let positions = "model.transformer={heads = 2, position = \"learned\", max_length = 16}";
    let train = ["train", "transformer.toml", "--run", "positions", "--quiet", "--set", "train.steps=20"];
    folder.succeed(&[&train[..], &["--set", positions]].concat());
    folder
}

/// The answers to three lines, of which the second cannot be answered: what the others have is what they have alone.
#[track_caller]
fn second_is_refused(folder: &Folder, run: &str, lines: [&str; 3], flags: &[&str], parts: &[&str]) {
    let object = |text: &str| serde_json::json!({ "text": text }).to_string() + "\n";
    folder.write("in.jsonl", lines.map(object).concat());
    let arguments =
        [&["generate", run, "--input", "in.jsonl", "--output", "out.jsonl", "--overwrite"][..], flags].concat();
    let told = folder
        .fail(&arguments, &[&["1 line was not answered, line 2: ", "The others were answered"][..], parts].concat());
    assert!(!told.contains("the model failed"), "{told}");
    let written = fs::read_to_string(folder.path("out.jsonl")).unwrap();
    let found: Vec<Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(parts.iter().all(|part| found[1]["error"].as_str().unwrap().contains(part)), "{}", found[1]);
    for (line, found) in [(lines[0], &found[0]), (lines[2], &found[2])] {
        let alone = folder.succeed(&[&["generate", run, line, "--json"][..], flags].concat());
        let alone: Value = serde_json::from_str(alone.lines().next().unwrap()).unwrap();
        assert_eq!([&found["text"], &found["score"]], [&alone["text"], &alone["score"]]);
    }
}

#[test]
fn prompts_that_are_empty_or_too_long() {
    let folder = runs();
    // An empty source has an empty answer; an empty prompt is BOS.
    assert_eq!(folder.succeed(&["generate", "pairs", ""]), "\n");
    assert!(!folder.succeed(&["generate", "lm", "", "--seed", "2"]).is_empty());
    second_is_refused(&folder, "positions", ["12", "12345678901234567890", "3"], &[], &["has positions for 16"]);
    let long = "1".repeat(200);
    let error = ["--long-input", "error"];
    second_is_refused(&folder, "pairs", ["12", &long, "3"], &error, &["the source has 2", "was trained on at most"]);
    let context = [&error[..], &["--context", "20", "--greedy", "--max-new-tokens", "5"]].concat();
    second_is_refused(&folder, "lm", ["12", &long, "3"], &context, &["reads 20 at once"]);
}

#[test]
fn constraints_that_no_text_meets() {
    let folder = runs();
    let fail =
        |flags: &[&str], parts: &[&str]| folder.fail(&[&["generate", "pairs", "12", "3"], flags].concat(), parts);
    // In no text at all.
    fail(&["--regex", "[^\\s\\S]"], &["--regex"]);
    fail(&["--regex", "x+"], &["--regex", "'x'"]);
    fail(&["--must-include", "7", "--must-exclude", "7"], &["7"]);
    fail(&["--must-include", "x"], &["--must-include", "x"]);
    // Each has texts, and both together none: that is where no token may come next, whatever the search.
    for (flags, says) in [
        (&["--prefix", "1", "--regex", "2+"][..], &["after \"\" no token may come next", "by --regex, --prefix:"][..]),
        (&["--must-include", "34", "--regex", "12"], &["by --regex, --must-include:", "contradict each other"]),
        (&["--prefix", "12", "--regex", "13+"], &["after \"1\"", "by --regex, --prefix:"]),
    ] {
        for mode in [&["--greedy"][..], &["--num-beams", "3"], &["--sample"]] {
            let advice = ["2 lines were not answered", "--num-beams 4 may find another"];
            let advice = &advice[..if mode.contains(&"--num-beams") { 1 } else { 2 }];
            fail(&[flags, mode].concat(), &[advice, says].concat());
        }
    }
    // A beam that comes to no end is none of the texts, as long as there are others.
    let both = ["--regex", "1[2x]|3", "--num-beams", "4", "--n-best", "2", "--json"];
    let written = folder.succeed(&[&["generate", "pairs", "12"], &both[..]].concat());
    assert!(written.lines().next().unwrap().contains("\"finished\":true"), "{written}");
    // Longer than a text may be: each line says so.
    let phrase = ["--must-include", "green and blue", "--max-new-tokens", "3"];
    let told = folder
        .fail(&[&["generate", "lm", "a", "b"], &phrase[..]].concat(), &["2 lines were not answered", "green and blue"]);
    assert!(!told.contains("the model failed"), "{told}");
    // Of one line alone: its source has the term, and its text is too short for the translation.
    let pair = |i: usize| format!("{i} red\t{i} says green and blue\n");
    folder.write("words.tsv", (0..100).map(pair).collect::<String>());
    let train =
        ["train", "pairs.toml", "--run", "words", "--quiet", "--set", "train.steps=5", "--set", "data.train=words.tsv"];
    folder.succeed(&train);
    folder.write("terms.tsv", "red\tblue and green and blue\n");
    let terms = ["--terms", "terms.tsv", "--max-new-tokens", "12"];
    second_is_refused(&folder, "words", ["12", "7 red", "3"], &terms, &["blue and green and blue"]);
}

#[test]
fn what_holds_for_a_whole_text_is_not_asked_of_its_parts() {
    let folder = runs();
    for flags in [["--regex", "[0-9]+"], ["--must-include", "1"], ["--prefix", "1"]] {
        for how in ["split", "window"] {
            let arguments = [&["generate", "pairs", "12", "--long-input", how][..], &flags].concat();
            folder.fail(&arguments, &[flags[0], "--long-input", "leave one out"]);
        }
    }
    folder.succeed(&["generate", "pairs", "12", "--long-input", "split", "--must-exclude", "7"]);
}

#[test]
fn texts_beyond_the_positions_cannot_be_explained() {
    let folder = Folder::new();
    let positions = "model.transformer={heads = 2, position = \"learned\", max_length = 16}";
    let train = ["train", "lm.toml", "--run", "lm", "--quiet", "--set", "train.steps=20", "--set", "train.length=10"];
    folder.succeed(&[&train[..], &["--set", "model.decoder=transformer", "--set", positions]].concat());
    let flags = ["--explain", "--greedy", "--max-new-tokens", "8"];
    second_is_refused(
        &folder,
        "lm",
        ["12", "123456789012", "3"],
        &flags,
        &["cannot be explained", "it has 21 tokens, of which the first were not read"],
    );
}

#[test]
fn files_that_are_empty_or_no_text() {
    let folder = runs();
    folder.write("latin.txt", b"one\n\xe4\n");
    folder.write("empty.txt", "\n");
    for flags in [
        &["--grammar", "latin.txt"][..],
        &["--json-schema", "latin.txt"],
        &["--terms", "latin.txt"],
        &["--short-list", "latin.txt"],
        &["--steer", "a", "--classifier", "latin.txt"],
    ] {
        let parts = ["latin.txt", "line 2: byte 1 of the line is not UTF-8", "iconv"];
        let told = folder.fail(&[&["generate", "pairs", "12"], flags].concat(), &parts);
        assert!(!told.contains("compressed"), "{told}");
    }
    folder.fail(&["generate", "pairs", "12", "--terms", "empty.txt"], &["--terms empty.txt", "there is no term in it"]);
    let short_list = ["generate", "pairs", "12", "--short-list", "empty.txt"];
    folder.fail(&short_list, &["empty.txt", "it is empty", "descant short-list"]);
    let steer = ["generate", "pairs", "12", "--steer", "a"];
    folder.fail(&steer, &["--steer: pairs has no classifier.json", "classifier pairs FILE.jsonl", "--classifier"]);
}

#[test]
fn options_are_named_by_their_flags() {
    let folder = runs();
    let scale = ["generate", "pairs", "12", "--guidance-scale", "2"];
    folder.fail(&scale, &["--guidance-scale: an encoder-decoder", "pairs has none", "no [control]", "Leave it out"]);
    let entries = Trained::load(&folder.path("pairs")).unwrap().tokenizers.target.vocabulary();
    let all = (0..entries).map(|id| id.to_string()).collect::<Vec<_>>().join(",");
    let told =
        folder.fail(&["generate", "pairs", "12", "--suppress-tokens", &all], &["--suppress-tokens: they leave no"]);
    assert!(!told.contains("suppress_tokens"), "{told}");
    folder.write("texts.jsonl", "{\"text\": \"red\", \"label\": \"a\"}\n{\"text\": \"blue\", \"label\": \"b\"}\n");
    folder.succeed(&["classifier", "lm", "texts.jsonl", "--threads", "1"]);
    let steer = ["generate", "lm", "line", "--steer", "a"];
    folder.fail(&[&steer[..], &["--guidance-scale", "2"]].concat(), &["--steer: expected no --guidance-scale"]);
    let told = folder.fail(&[&steer[..], &["--ensemble", "lm"]].concat(), &["--steer: a classifier is of one model's"]);
    assert!(!told.contains("the model failed"), "{told}");
}

#[test]
fn numbers_out_of_range() {
    let folder = runs();
    for (flags, parts) in [
        (&["--temperature", "0"][..], &["--temperature = 0", "0.001 or more"][..]),
        (&["--temperature", "-1"], &["--temperature = -1", "0.001 or more"]),
        (&["--beam", "0"], &["--num-beams = 0"]),
        (&["--beam", "65537"], &["--num-beams = 65537", "65536"]),
        (&["--beam", "3", "--n-best", "4"], &["--num-return-sequences = 4", "--num-beams"]),
        (&["--n-best", "2"], &["--num-return-sequences = 2", "--num-beams"]),
    ] {
        folder.fail(&[&["generate", "pairs", "12"], flags].concat(), parts);
    }
    // Tips name flags that there are.
    for (arguments, tip) in [
        (&["generate", "pairs", "x", "--top_p", "0.5"][..], Some("'--top-p'")),
        (&["generate", "pairs", "x", "--num_return_sequences=2"], Some("'--num-return-sequences'")),
        (&["eval", "pairs", "--max_length", "3"], Some("'--max-length'")),
        (&["train", "pairs.toml", "--steps", "5"], Some("--set train.steps=VALUE")),
        (&["generate", "pairs", "x", "--steps", "5"], None),
        (&["bench", "pairs", "--generate", "--top-p", "0.5"], None),
    ] {
        let output = folder.run(arguments);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {told}");
        match tip {
            Some(tip) => assert!(told.contains(tip), "{arguments:?} {told}"),
            None => assert!(!told.contains("--set "), "{arguments:?} {told}"),
        }
    }
    let figures =
        folder.succeed(&["bench", "pairs", "--generate", "--num-beams", "2", "--rounds", "1", "--tokens", "3"]);
    assert!(figures.contains("1 source of 64 tokens, 3 new ones each, batch 1, beam 2"), "{figures}");
    // Wide, and no harm.
    let wide = folder.succeed(&["generate", "pairs", "12", "--beam", "10000", "--max-new-tokens", "3"]);
    assert_eq!(wide.lines().count(), 1);
}

#[test]
fn a_model_whose_scores_are_no_numbers() {
    let folder = runs();
    for run in ["pairs", "lm"] {
        let mut trained = Trained::load_row_major(&folder.path(run)).unwrap();
        // A model from elsewhere, which no training here has made.
        trained.recipe.data = None;
        let ids: Vec<_> = trained.parameters.ids().collect();
        ids.into_iter().for_each(|id| trained.parameters.values_mut::<f32>(id).fill(f32::NAN));
        let Trained { recipe, tokenizers, parameters, .. } = &trained;
        Trained::save(recipe, tokenizers, parameters, None, &folder.path(&format!("{run}-nan"))).unwrap();
        for mode in [&["--greedy"][..], &["--beam", "3"], &["--sample"]] {
            let run = format!("{run}-nan");
            let arguments = [&["generate", &run, "12", "3"], mode].concat();
            let parts =
                [run.as_str(), "2 lines were not answered", "the scores", "are not finite", "Get the model again"];
            let told = folder.fail(&arguments, &parts);
            assert!(!told.contains("the model failed"), "{told}");
        }
        // Of several models, the one whose scores they are.
        let ensemble = ["generate", run, "12", "--greedy", "--ensemble", run, "--ensemble", &format!("{run}-nan")];
        folder.fail(&ensemble, &[&format!("{run}-nan: the scores of the next token are not finite")]);
        let text: &[&str] = if run == "lm" { &["12"] } else { &["12\ttwelve"] };
        folder.fail(&[&["score", &format!("{run}-nan")], text].concat(), &["is not a number"]);
    }
}
