//! `descant doctor`: each planted fault is named with its line or share and a remedy, and nothing else is.

mod common;

use common::Folder;
use serde_json::Value;

/// A recipe that is done in a second or two.
const RECIPE: &str = include_str!("common/recipes/doctor.toml");

const ROLES: [(&str, &str); 12] = [
    ("farmer", "Bauer"),
    ("teacher", "Lehrer"),
    ("doctor", "Arzt"),
    ("driver", "Fahrer"),
    ("baker", "Bäcker"),
    ("king", "König"),
    ("hunter", "Jäger"),
    ("student", "Schüler"),
    ("painter", "Maler"),
    ("singer", "Sänger"),
    ("judge", "Richter"),
    ("miller", "Müller"),
];
const VERBS: [(&str, &str); 10] = [
    ("sees", "sieht"),
    ("buys", "kauft"),
    ("sells", "verkauft"),
    ("carries", "trägt"),
    ("counts", "zählt"),
    ("finds", "findet"),
    ("paints", "malt"),
    ("brings", "bringt"),
    ("loses", "verliert"),
    ("hides", "versteckt"),
];
const QUALITIES: [(&str, &str); 8] = [
    ("old", "alte"),
    ("red", "rote"),
    ("new", "neue"),
    ("small", "kleine"),
    ("heavy", "schwere"),
    ("cheap", "billige"),
    ("round", "runde"),
    ("broken", "kaputte"),
];
const THINGS: [(&str, &str); 10] = [
    ("houses", "Häuser"),
    ("books", "Bücher"),
    ("apples", "Äpfel"),
    ("chairs", "Stühle"),
    ("bottles", "Flaschen"),
    ("boxes", "Kisten"),
    ("coats", "Mäntel"),
    ("stones", "Steine"),
    ("cups", "Tassen"),
    ("maps", "Karten"),
];
const PLACES: [(&str, &str); 8] = [
    ("at the market", "auf dem Markt"),
    ("in the garden", "im Garten"),
    ("near the river", "am Fluss"),
    ("behind the church", "hinter der Kirche"),
    ("in the kitchen", "in der Küche"),
    ("on the bridge", "auf der Brücke"),
    ("under the roof", "unter dem Dach"),
    ("in the forest", "im Wald"),
];
const DOES: [(&str, &str); 8] = [
    ("sleeps", "schläft"),
    ("laughs", "lacht"),
    ("waits", "wartet"),
    ("sings", "singt"),
    ("dances", "tanzt"),
    ("works", "arbeitet"),
    ("reads", "liest"),
    ("swims", "schwimmt"),
];
const HOW: [(&str, &str); 6] = [
    ("today", "heute"),
    ("slowly", "langsam"),
    ("alone", "allein"),
    ("again", "wieder"),
    ("outside", "draußen"),
    ("quietly", "leise"),
];

type Pair = (String, String);

/// A sentence and its translation; all are different.
fn sentence(number: u64) -> Pair {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678;
    let mut next = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let (role, verb, thing) = (ROLES[next(12)], VERBS[next(10)], THINGS[next(10)]);
    let (amount, place) = (2 + next(97), PLACES[next(8)]);
    let quality = if next(2) == 0 { ("", "") } else { QUALITIES[next(8)] };
    let space = |word: &str| if word.is_empty() { String::new() } else { format!("{word} ") };
    let (mut english, mut german) = (
        format!("The {} {} {amount} {}{} {}", role.0, verb.0, space(quality.0), thing.0, place.0),
        format!("Der {} {} {amount} {}{} {}", role.1, verb.1, space(quality.1), thing.1, place.1),
    );
    if next(3) > 0 {
        let (other, does, how) = (ROLES[next(12)], DOES[next(8)], HOW[next(6)]);
        english += &format!(", and the {} {} {}", other.0, does.0, how.0);
        german += &format!(", und der {} {} {}", other.1, does.1, how.1);
    }
    (english + ".", german + ".")
}

fn sentences(range: std::ops::Range<u64>) -> Vec<Pair> {
    range.map(sentence).collect()
}

fn tsv(pairs: &[Pair]) -> String {
    pairs.iter().map(|(source, target)| format!("{source}\t{target}\n")).collect()
}

/// A folder with a recipe, and a training text of 600 pairs made otherwise by `plant`.
fn folder(plant: impl FnOnce(&mut Vec<Pair>)) -> Folder {
    let folder = Folder::new();
    let mut train = sentences(0..600);
    plant(&mut train);
    folder.write("doctor.toml", RECIPE);
    folder.write("train.tsv", tsv(&train));
    folder.write("dev.tsv", tsv(&sentences(1000..1100)));
    folder
}

/// What the doctor says, and its exit status.
#[track_caller]
fn examination(folder: &Folder, more: &[&str]) -> (Value, i32) {
    let output = folder.run(&[&["doctor", "doctor.toml", "--json"], more].concat());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let found = serde_json::from_str(&said).unwrap_or_else(|_| panic!("no JSON: {said}\n{error}"));
    (found, output.status.code().unwrap())
}

/// Warnings and errors: name of the check, message, the lines that it shows.
fn harmful(found: &Value) -> Vec<(String, String, Vec<u64>)> {
    let findings = found["findings"].as_array().unwrap().iter();
    let findings = findings.filter(|finding| finding["severity"] != "note");
    findings
        .map(|finding| {
            let text = |key: &str| finding[key].as_str().unwrap().to_owned();
            assert!(!text("remedy").is_empty(), "{finding}");
            let lines = finding["lines"].as_array().into_iter().flatten();
            (text("check"), text("message"), lines.map(|line| line["line"].as_u64().unwrap()).collect())
        })
        .collect()
}

/// That exactly these checks find something that harms, the first one with a message that says `part`, and the first line `line`.
#[track_caller]
fn finds(folder: &Folder, more: &[&str], checks: &[&str], part: &str, line: Option<u64>) {
    let (found, status) = examination(folder, more);
    let harmful = harmful(&found);
    let mut names: Vec<&str> = harmful.iter().map(|(check, ..)| check.as_str()).collect();
    names.dedup();
    assert_eq!(names, checks, "{harmful:#?}");
    let of_first: Vec<_> = harmful.iter().filter(|(check, ..)| check == checks[0]).collect();
    let says = of_first
        .iter()
        .any(|(_, message, lines)| message.contains(part) && line.is_none_or(|line| lines.first() == Some(&line)));
    assert!(says, "{part:?}, line {line:?}: {of_first:#?}");
    assert_eq!(status, 1);
}

#[test]
fn a_sound_training_has_no_findings_that_harm() {
    let folder = folder(|_| ());
    let (found, status) = examination(&folder, &[]);
    assert!(status == 0 && harmful(&found).is_empty(), "{found:#}");
    let training = &found["training"];
    assert_eq!((training["learned"].as_u64(), training["held_out"].as_u64()), (Some(600), Some(100)));
    for key in ["parameters", "memory", "step_seconds", "tokens_per_s", "total_seconds"] {
        assert!(training[key].as_f64().unwrap() > 0.0, "{key}: {training}");
    }
    let (loss, uniform) = (training["start_loss"].as_f64().unwrap(), training["uniform_loss"].as_f64().unwrap());
    assert!((loss - uniform).abs() < 0.1 * uniform, "{loss} {uniform}");
    let memorized = &training["memorization"];
    let of = |key: &str| memorized[key].as_f64().unwrap();
    assert!(of("last_loss") < 0.2 && of("wrong_source_loss") > of("last_loss") + 0.1, "{memorized}");
    assert!(found["gradients"][0].as_u64().unwrap() > 5 && found["gradients"][1].as_f64().unwrap() < 1e-6);
    let lengths = &found["texts"][0]["lengths"]["target"];
    let counted: u64 = lengths["histogram"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum();
    assert!(counted == 600 && lengths["median"].as_u64() < lengths["longest"].as_u64(), "{lengths}");
    // For people the same, and no run is left.
    let told = folder.succeed(&["doctor", "doctor.toml"]);
    for part in ["training: 600 pairs in train.tsv", "a step takes", "ln V", "0 errors, 0 warnings"] {
        assert!(told.contains(part), "{part}:\n{told}");
    }
    assert!(!folder.path("runs").exists());
}

#[test]
fn duplicates_and_overlap_are_found() {
    let repeated = folder(|train| train.extend_from_within(100..160));
    finds(&repeated, &[], &["duplicates"], "60 of 660 pairs (9.1 %) came before", Some(601));
    let overlapping = folder(|train| train.extend(sentences(1010..1030)));
    finds(&overlapping, &[], &["overlap"], "20 of 100 pairs (20 %) are in the training text too", Some(11));
    // The same in other case and punctuation, and with another word.
    let near = folder(|train| {
        train.extend(sentences(1010..1030).into_iter().map(|(a, b)| (a.to_uppercase(), b.replace('.', "!"))));
    });
    let (found, _) = examination(&near, &[]);
    let message = found["findings"].to_string();
    assert!(message.contains("20 of 100 pairs (20 %) are in the training text but for case"), "{message}");
    let tests = folder(|_| ());
    tests.write("test.tsv", tsv(&sentences(550..650)));
    finds(&tests, &["--test", "test.tsv"], &["overlap"], "test.tsv (test): 50 of 100 pairs", Some(1));
}

#[test]
fn pairs_that_do_not_belong_together_are_found() {
    let shifted = folder(|train| {
        for i in 300..train.len() - 1 {
            train[i].1 = train[i + 1].1.clone();
        }
        train.pop();
    });
    // A line or two of those out of step may fit by chance.
    let (found, status) = examination(&shifted, &[]);
    let harm = harmful(&found);
    let [(check, message, lines)] = &harm[..] else { panic!("{harm:#?}") };
    assert!(check == "alignment" && message.contains("1 line earlier") && status == 1, "{message}");
    assert!((300..=303).contains(&lines[0]) && message.contains(&format!("from line {} on", lines[0])), "{message}");
    // The files of a line that is missing differ in length too.
    let english: String = sentences(0..600).into_iter().map(|(english, _)| english + "\n").collect();
    let mut german: Vec<String> = sentences(0..600).into_iter().map(|(_, german)| german + "\n").collect();
    german.remove(400);
    shifted.write("train.en", english);
    shifted.write("train.de", german.concat());
    let (found, _) = examination(&shifted, &["--set", "data.train=['train.en', 'train.de']"]);
    let found = harmful(&found);
    assert!(found[0].0 == "reading" && found[0].1.contains("600 lines") && found[0].1.contains("599"), "{found:?}");
    assert!(found[1].0 == "alignment" && (400..=403).contains(&found[1].2[0]), "{found:?}");
    let shuffled = folder(|train| {
        let targets: Vec<String> = train.iter().map(|(_, target)| target.clone()).collect();
        (300..600).for_each(|i| train[i].1 = targets[300 + (i - 300) * 7 % 300].clone());
    });
    finds(&shuffled, &[], &["alignment"], "fit no better than by chance", None);
    let swapped = folder(|train| train[100..160].iter_mut().for_each(|(a, b)| std::mem::swap(a, b)));
    let (found, _) = examination(&swapped, &[]);
    let columns = &harmful(&found)[0];
    assert!(columns.0 == "columns-swapped" && columns.1.contains("60 of 600 pairs"), "{columns:?}");
    assert!(columns.1.contains("from line 101 to line 160") && columns.2[0] == 101, "{columns:?}");
}

/// The checks of all findings, notes too.
fn checks(folder: &Folder) -> Vec<String> {
    let (found, _) = examination(folder, &[]);
    let findings = found["findings"].as_array().unwrap().iter();
    findings.map(|finding| finding["check"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_fits_or_is_alike_by_nature_is_no_fault() {
    // Labels in blocks, of which the last ones share no word with their sources.
    let labels = folder(|train| {
        for (i, (source, target)) in train.iter_mut().enumerate() {
            let label = ["weather", "music", "books", "search", "other", "nothing"][i / 100];
            *target = label.to_owned();
            if i < 400 {
                *source = format!("{label} {source}");
            }
        }
    });
    assert!(!checks(&labels).contains(&"alignment".to_owned()));
    // Both sides of one kind, where a few words happen to be of the other side elsewhere.
    let alike = folder(|train| {
        for (i, pair) in train.iter_mut().enumerate() {
            pair.1 = sentence(2000 + i as u64).0;
            let words = if i == 300 { ["qxqx zxzx", "wvwv jyjy"] } else { ["wvwv jyjy", "qxqx zxzx"] };
            if i % 10 == 0 {
                (pair.0, pair.1) = (words[0].to_owned(), words[1].to_owned());
            }
        }
    });
    assert!(!checks(&alike).contains(&"columns-swapped".to_owned()));
}

#[test]
fn what_cannot_be_read_is_found_by_line() {
    let latin = folder(|_| ());
    let bytes: Vec<u8> = tsv(&sentences(0..600)).chars().map(|c| c as u8).collect();
    let wrong = tsv(&sentences(0..600)).lines().filter(|line| !line.is_ascii()).count();
    let first = tsv(&sentences(0..600)).lines().position(|line| !line.is_ascii()).unwrap() + 1;
    latin.write("train.tsv", bytes);
    let part = format!("train.tsv: {wrong} of 600 lines");
    finds(&latin, &[], &["encoding"], &part, None);
    finds(&latin, &[], &["encoding"], &format!("are not UTF-8: {first}, "), None);
    let decoded = folder(|train| {
        for (_, target) in &mut train[200..250] {
            *target = target.bytes().map(char::from).collect();
        }
    });
    finds(&decoded, &[], &["characters"], "UTF-8 that was read in another encoding", None);
    let invisible = folder(|train| train[200..250].iter_mut().for_each(|(_, target)| target.insert(3, '\u{200b}')));
    finds(&invisible, &[], &["characters"], "50 of 600 targets (8.3 %) have invisible characters", Some(201));
    let returns = folder(|_| ());
    returns.write("train.tsv", tsv(&sentences(0..600)).replace('\n', "\r"));
    finds(&returns, &[], &["line-ends"], "carriage return (CR) without a line feed (LF): 1", None);
    let short = folder(|_| ());
    short.write("train.tsv", tsv(&sentences(0..600)).replacen('\t', " ", 1));
    finds(&short, &[], &["columns"], "1 of 600 lines (0.2 %) have other columns than a pair: 1", None);
}

#[test]
fn texts_that_are_not_what_they_seem_are_found() {
    let empty = folder(|train| train.iter_mut().skip(19).step_by(20).for_each(|(_, target)| target.clear()));
    finds(&empty, &[], &["left-out"], "30 with an empty target (first in line 20)", Some(20));
    let cyrillic = folder(|train| {
        for (_, target) in train.iter_mut().skip(9).step_by(12) {
            *target = target.replace("der", "дверь").replace("Der", "Мельник");
        }
    });
    let small = ["--set", "target_tokenizer={kind='character', vocabulary=56}"];
    finds(&cyrillic, &small, &["unknown"], "mostly in Cyrillic script", None);
    let cut = folder(|train| {
        for (_, target) in train {
            *target = target.chars().take(56).collect();
        }
    });
    finds(&cut, &[], &["truncation"], "cut off at 56 characters", None);
    let french = folder(|train| {
        for (i, (_, target)) in train.iter_mut().skip(11).step_by(12).enumerate() {
            *target = format!("Les {i} enfants sont dans le jardin avec une amie, et il pleut sur la ville.");
        }
    });
    finds(&french, &[], &["languages"], "not in German as the others are (French: 50)", Some(12));
}

#[test]
fn markup_and_other_tokenization_are_found() {
    let tokenized = folder(|train| {
        for (source, target) in train.iter_mut().skip(2).step_by(3) {
            for text in [source, target] {
                *text = text.replace(',', " ,").replace('.', " .");
            }
        }
    });
    finds(
        &tokenized,
        &[],
        &["tokenized"],
        "200 of 600 sources (33 %) that have points or commas are tokenized",
        Some(3),
    );
    let html = folder(|train| {
        for (_, target) in train.iter_mut().skip(24).step_by(25) {
            *target = format!("<b>{target}</b>");
        }
    });
    finds(&html, &[], &["markup"], "24 of 600 targets (4.0 %) have HTML", Some(25));
}

#[test]
fn what_is_no_training_is_told() {
    let folder = Folder::with_exported_llama();
    folder.succeed(&["import", "model", "--run", "imported"]);
    folder.fail(&["doctor", "imported"], &["imported", "without a training", "init = \"imported\""]);
    folder.fail(&["doctor", "model"], &["a model from elsewhere, and no recipe", "import model"]);
    folder.fail(&["doctor", "text.txt"], &["text.txt", "this is no recipe", "descant init"]);
    folder.fail(&["doctor", "absent.toml"], &["absent.toml", "Check the path"]);
    folder.fail(&["doctor", "lm.toml", "--set", "data.train=absent.txt"], &["absent.txt", "No such file"]);
    // A run stands for its own recipe.
    let output = folder.run(&["doctor", "run", "--json", "--set", "train.steps=3"]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["training"]["steps"], 3, "{found}");
}
