//! Weights of examples, on the real binary.

mod common;

use common::Folder;

/// The recipe `pairs.toml` on a file.
fn recipe(folder: &Folder, name: &str, data: &str, more: &str) {
    let pairs = common::PAIRS.replace("[data]\ntrain = \"pairs.tsv\"\n", &format!("[data]\n{data}\n"));
    assert!(pairs.contains(data));
    folder.write(name, format!("{}{more}", pairs.replace("steps = 200", "steps = 20")));
}

fn answer(i: usize) -> String {
    i.to_string().chars().rev().collect()
}

/// Lines of JSON with what a function says of each after its texts.
fn lines(say: impl Fn(usize) -> String) -> String {
    (100..300).map(|i| format!("{{\"source\": \"{i}\", \"target\": \"{}\"{}}}\n", answer(i), say(i))).collect()
}

#[test]
fn examples_of_the_weight_0_are_as_if_they_were_not_there_and_ones_change_nothing() {
    let folder = Folder::new();
    folder.write("plain.jsonl", lines(|_| String::new()));
    folder.write("ones.jsonl", lines(|_| ", \"w\": 1".to_owned()));
    folder.write("halves.csv", {
        let rows = (100..300).map(|i| format!("{i},{},0.5\n", answer(i)));
        ["source,target,w\n".to_owned()].into_iter().chain(rows).collect::<String>()
    });
    let bad = |i: usize| format!(", \"w\": 0}}\n{{\"source\": \"{i}\", \"target\": \"x\", \"w\": 1");
    folder.write("zeros.jsonl", lines(bad));
    folder.write("apart.jsonl", lines(|i| format!(", \"w\": {}", [0.25, 4.0][i % 2])));
    let file = |name: &str| format!("train = \"{name}\"\ncolumns = [\"source\", \"target\"]\nweight_column = \"w\"");
    recipe(&folder, "plain.toml", "train = \"plain.jsonl\"", "");
    for name in ["ones.jsonl", "halves.csv", "apart.jsonl", "zeros.jsonl"] {
        recipe(&folder, &format!("{name}.toml"), &file(name), "");
    }
    let train = |recipe: &str, run: &str| folder.told(&["train", recipe, "--run", run]);
    train("plain.toml", "plain");
    train("ones.jsonl.toml", "ones");
    assert!(folder.weights("plain") == folder.weights("ones"));
    train("halves.csv.toml", "halves");
    train("apart.jsonl.toml", "apart");
    assert!(folder.weights("plain") != folder.weights("apart"));
    let told = train("zeros.jsonl.toml", "zeros");
    assert!(told.contains("200 of 400 lines or pairs are left out: 200 of the weight 0 (first in line 1)"), "{told}");
    // Only what all weights have in common cancels out.
    let loss = |run: &str| {
        let told = folder.succeed(&["eval", run, "--loss-only", "--json"]);
        serde_json::from_str::<serde_json::Value>(&told).unwrap()["loss"].as_f64().unwrap()
    };
    let (plain, halves) = (loss("plain"), loss("halves"));
    assert!((plain - halves).abs() < 1e-3 * plain, "{plain} {halves}");

    folder.write("some.tsv", "1\t2\t\n3\t4\t2.5\n".repeat(50));
    recipe(&folder, "some.toml", "train = \"some.tsv\"\nweight_column = 2", "");
    let told = train("some.toml", "some");
    assert!(told.contains("50 examples have no weight, and count 1 (first in line 1)"), "{told}");
}

#[test]
fn weights_that_cannot_be_are_told() {
    let folder = Folder::new();
    let fail = |data: &str, more: &str, parts: &[&str]| {
        recipe(&folder, "wrong.toml", data, more);
        folder.fail(&["train", "wrong.toml", "--run", "run"], parts);
        assert!(!folder.path("run/recipe.toml").exists());
    };
    for (weight, shown) in
        [("-1", "-1"), ("\"much\"", "\"much\""), ("1e9", "1000000000.0"), ("1e-39", "1e-39"), ("[1]", "[1]")]
    {
        folder.write("wrong.jsonl", lines(|i| format!(", \"w\": {}", if i == 102 { weight } else { "1" })));
        let data = "train = \"wrong.jsonl\"\nweight_column = \"w\"";
        fail(data, "", &["wrong.jsonl, line 3", "its weight (\"w\")", shown, "a number from 1e-20"]);
    }
    folder.write("good.jsonl", lines(|_| ", \"w\": 1".to_owned()));
    fail("train = \"good.jsonl\"", "", &["line 1", "\"w\"", "Take it out"]);
    let named = "columns = [\"source\", \"target\"]\nweight_column";
    fail(&format!("train = \"good.jsonl\"\n{named} = \"weight\""), "", &["none of its examples has a weight"]);
    fail(&format!("train = \"good.jsonl\"\n{named} = 2"), "", &["data.weight_column = 2", "known by names"]);
    fail("train = \"pairs.tsv\"\nweight_column = \"w\"", "", &["data.weight_column = \"w\"", "known by numbers"]);
    fail("train = \"pairs.tsv\"\nweight_column = 2", "", &["none of its examples has a weight"]);
    fail("train = \"pairs.tsv\"\nweight_column = -2", "", &["data.weight_column = -2", "by number from 0 or by name"]);
    ["a.txt", "b.txt"].iter().for_each(|name| folder.write(name, "1\n2\n"));
    fail("train = [\"a.txt\", \"b.txt\"]\nweight_column = 2", "", &["b.txt", "it has no columns"]);
    fail("train = \"pairs.tsv\"\ncolumns = [0, 1]\nweight_column = 1", "", &["data.columns has it, too"]);
    let loss = "[loss]\nkind = \"embedding\"\nmeasure = \"l2\"\n";
    fail("train = \"good.jsonl\"\nweight_column = \"w\"", loss, &["data.weight_column", "cross entropy"]);
    fail("train = \"good.jsonl\"\nweight_column = \"target\"", "", &["key of a text"]);
    folder.write("zero.jsonl", lines(|_| ", \"w\": 0".to_owned()));
    fail("train = \"zero.jsonl\"\nweight_column = \"w\"", "", &["zero.jsonl", "200 of the weight 0"]);
}
