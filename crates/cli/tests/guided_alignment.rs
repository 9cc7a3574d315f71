//! Attention that is guided by alignments, on the real binary.

mod common;

use common::{Folder, PAIRS, TRANSFORMER, recipes};

/// Words of several tokens in the order of the target, the source reversed, and the alignment.
fn line(i: usize) -> [String; 3] {
    let count = 3 + i % 3;
    let words: Vec<String> = (0..count).map(|j| format!("{:02}", (i * 7 + j * 13) % 40)).collect();
    let links: Vec<String> = (0..count).map(|j| format!("{}-{j}", count - 1 - j)).collect();
    let reversed: Vec<String> = words.iter().rev().cloned().collect();
    [reversed.join(" "), words.join(" "), links.join(" ")]
}

fn write(folder: &Folder, name: &str, line: impl Fn(usize) -> [String; 3]) {
    folder.write(name, (0..200).map(|i| line(i).join("\t") + "\n").collect::<String>());
}

/// A recipe on a file with alignments.
fn guided(recipe: &str, file: &str, more: &str) -> String {
    let data = format!("train = \"{file}\"\nalignment_column = 2\n{more}");
    let recipe = recipe.replace("train = \"pairs.tsv\"\n", &data).replace("average = 0.99\n", "");
    format!("{recipe}guided_alignment = 0.5\n")
}

/// The same with the source in the order of the target.
fn in_order(i: usize) -> [String; 3] {
    let target = line(i)[1].clone();
    let links: Vec<String> = (0..target.split(' ').count()).map(|j| format!("{j}-{j}")).collect();
    [target.clone(), target, links.join(" ")]
}

/// The share of the words that are aligned as they were in the text.
fn right(folder: &Folder, run: &str, line: fn(usize) -> [String; 3]) -> f64 {
    let sources: Vec<String> = (0..20).map(|i| line(i)[0].clone()).collect();
    let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
    let told = folder.succeed(&[&["generate", run, "--alignment", "--max-length", "20"][..], &sources].concat());
    let (mut right, mut all) = (0, 0);
    for (i, found) in told.lines().enumerate() {
        let links = found.split_once("|||").unwrap().1.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let expected = line(i)[2].clone();
        all += expected.split(' ').count();
        right += expected.split(' ').filter(|link| links.contains(&(*link).to_owned())).count();
    }
    right as f64 / all as f64
}

#[test]
fn attention_becomes_the_alignment() {
    let folder = Folder::new();
    let additive = PAIRS.replace("\"general\"", "\"additive\"\ninput_feeding = true");
    // Its layer before the last knows the place of a token rather than what comes next.
    let transformer = TRANSFORMER.replace("rotary", "sinusoidal").replace("dropout = 0.2", "dropout = 0.0");
    type Line = fn(usize) -> [String; 3];
    for (name, recipe, line) in
        [("gru", PAIRS, line as Line), ("fed", &additive, line), ("transformer", &transformer, in_order)]
    {
        write(&folder, "aligned.tsv", line);
        folder.write("guided.toml", guided(recipe, "aligned.tsv", ""));
        folder.succeed(&["train", "guided.toml", "--run", name, "--quiet", "--set", "train.steps=150"]);
        let text = std::fs::read_to_string(folder.path(name).join("metrics.jsonl")).unwrap();
        let metrics: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let losses: Vec<f64> = metrics.iter().filter_map(|line| line["measures"]["alignment_loss"].as_f64()).collect();
        assert!(losses.last().unwrap() < &(0.6 * losses[0]), "{name}: {losses:?}");
        let right = right(&folder, name, line);
        assert!(right > 0.4, "{name}: {right}");
    }
}

#[test]
fn alignments_that_cannot_be_are_told() {
    let folder = Folder::new();
    let fail = |recipe: String, parts: &[&str]| {
        folder.write("wrong.toml", recipe);
        folder.fail(&["train", "wrong.toml", "--run", "run"], parts);
        assert!(!folder.path("run/recipe.toml").exists());
    };
    let file = |alignment: &str| {
        write(&folder, "wrong.tsv", |i| {
            let [source, target, own] = line(i);
            [source, target, if i == 4 { alignment.to_owned() } else { own }]
        });
        guided(PAIRS, "wrong.tsv", "")
    };
    fail(file("0-0 1"), &["wrong.tsv, line 5", "its alignment has \"1\"", "such as \"0-0 1-2\""]);
    fail(file("0:0"), &["wrong.tsv, line 5", "\"0:0\""]);
    fail(file("9-0"), &["wrong.tsv, line 5", "9-0", "its source has 4 words"]);
    fail(file("0-0 3-4"), &["wrong.tsv, line 5", "3-4", "its target has 4 words"]);
    write(&folder, "none.tsv", |i| [line(i)[0].clone(), line(i)[1].clone(), String::new()]);
    fail(guided(PAIRS, "none.tsv", ""), &["none.tsv", "none of its examples has an alignment"]);
    write(&folder, "good.tsv", line);
    let good = guided(PAIRS, "good.tsv", "");
    fail(good.replace("alignment_column = 2\n", ""), &["train.guided_alignment", "data.alignment_column"]);
    fail(good.replace("column = 2", "column = \"links\""), &["data.alignment_column = \"links\"", "known by numbers"]);
    fail(good.replace("attention = \"general\"\n", ""), &["train.guided_alignment", "no attention to a source"]);
    fail(good.replace("0.5", "-1"), &["train.guided_alignment = -1"]);
    fail(guided(PAIRS, "good.tsv", "noise = { drop = 0.1 }\n"), &["train.guided_alignment", "[data.noise]"]);
    let transformer = guided(TRANSFORMER, "good.tsv", "");
    let layers = |key: &str| transformer.replace("heads = 4\n", &format!("heads = 4\n{key}\n"));
    fail(layers("recompute = true"), &["train.guided_alignment", "recompute"]);
    fail(layers("layer_drop = 0.1"), &["train.guided_alignment", "layer_drop"]);
    ["a.txt", "b.txt"].iter().for_each(|name| folder.write(name, "1\n2\n"));
    let parallel = good.replace("\"good.tsv\"", "[\"a.txt\", \"b.txt\"]");
    fail(parallel, &["data.alignment_column = 2", "it has no columns"]);
    folder.write("some.tsv", format!("1 2\t3\t\n{}", (0..50).map(|i| line(i).join("\t") + "\n").collect::<String>()));
    folder.write("some.toml", guided(PAIRS, "some.tsv", "").replace("steps = 200", "steps = 12"));
    let told = folder.told(&["train", "some.toml", "--run", "some"]);
    assert!(told.contains("1 example has no alignment, and does not guide the attention (first in line 1)"), "{told}");
    // Kept beside what else a recipe says.
    let recipe = recipes::prepare(&folder, "guided");
    folder.succeed(&["bench", &recipe, "--text", "--steps", "2", "--threads", "1"]);
}
