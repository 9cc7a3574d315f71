//! Where texts are: tables with and without headers, objects, several files, and what filters leave of them.

use descant_text::{
    Annotations, Columns, ControlConfig, Corpus, Example, FilterConfig, Form, Place, Source, TextError, Tokenizer,
};
use descant_text::{TokenizerConfig, TokenizerKind};
use std::io::Write;
use std::path::{Path, PathBuf};

fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn names(names: &[&str]) -> Columns {
    Columns::Names(names.iter().map(|name| (*name).to_owned()).collect())
}

fn read(source: &Source) -> Result<Vec<(String, String, u64)>, TextError> {
    let text = |example: Example| {
        let source = example.source.unwrap_or_default();
        (source.to_string(), example.target.to_string(), example.place.line)
    };
    source.examples()?.map(|example| Ok(text(example?))).collect()
}

fn pair(source: &str, target: &str, line: u64) -> (String, String, u64) {
    (source.to_owned(), target.to_owned(), line)
}

fn bytes() -> Tokenizer {
    let config = TokenizerConfig { kind: TokenizerKind::Byte, ..Default::default() };
    Tokenizer::train(&config, true, std::iter::empty()).unwrap()
}

#[test]
fn csv_is_read_by_its_header_by_names_and_by_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let text = "id,en,de\r\n1,\"Yes, I do.\",Ja.\r\n\r\n2,\"He said \"\"no\"\".\n\",Nein.\r\n";
    let path = write(folder.path(), "a.csv", text);
    let csv = |columns: &Columns| Source::csv(&path, Some(columns), &Annotations::default());
    let expected = [pair("Yes, I do.", "Ja.", 2), pair("He said \"no\".\n", "Nein.", 4)];
    let named = csv(&names(&["en", "de"])).unwrap();
    assert_eq!((named.form(), read(&named).unwrap()), (Form::Pairs, expected.to_vec()));
    let report = Corpus::encode(&named, Some(&bytes()), &bytes(), 99, None).unwrap().report().clone();
    assert_eq!((report.target.columns.count, report.blank.count), (2, 1), "the column id, and the blank line");
    let one = csv(&names(&["de"])).unwrap();
    assert_eq!((one.form(), read(&one).unwrap().len()), (Form::Texts, 2));
    let numbered = csv(&Columns::Numbers(vec![2, 1])).unwrap();
    assert_eq!(read(&numbered).unwrap()[..2], [pair("de", "en", 1), pair("Ja.", "Yes, I do.", 2)]);
    let error = csv(&names(&["en", "fr"])).unwrap_err().to_string();
    assert!(error.contains("line 1: there is no column \"fr\": its columns are \"id\", \"en\", \"de\""), "{error}");
    let error = read(&csv(&Columns::Numbers(vec![0, 3])).unwrap()).unwrap_err();
    assert!(matches!(error, TextError::Columns { line: 1, expected: 4, found: 3, .. }), "{error}");
    // Without columns, the header is read like keys of JSON.
    let of = |text: &str| Source::csv(&write(folder.path(), "b.csv", text), None, &Annotations::default());
    let error = of(text).unwrap_err().to_string();
    assert!(error.contains("\"en\"") && error.contains("data.columns = [\"en\", \"de\"]"), "{error}");
    let error = of("en;de\na;b\n").unwrap_err().to_string();
    assert!(error.contains("commas"), "{error}");
    let source = of("target,source\nb,a\n").unwrap();
    assert_eq!((source.form(), read(&source).unwrap()), (Form::Pairs, vec![pair("a", "b", 2)]));
    let source = of("instruction,input,output\nsay,,it\nsay,this,it\n").unwrap();
    assert_eq!(read(&source).unwrap(), [pair("say", "it", 2), pair("say\n\nthis", "it", 3)]);
    let source = of("text\na\n\"\n\"\n").unwrap();
    assert_eq!((source.form(), read(&source).unwrap()), (Form::Texts, vec![pair("", "a", 2), pair("", "\n", 3)]));
    assert!(of("text,text\na,b\n").unwrap_err().to_string().contains("\"text\" twice"));
    let error = read(&of("source,target\na,b\na\n").unwrap()).unwrap_err();
    assert!(matches!(error, TextError::Fields { line: 3, expected: 2, found: 1, .. }), "{error}");
    // After a row that is wrong, the next ones are read.
    let source = of("source,target\na,b\na,b,c\n\"x\nc,d\n").unwrap();
    let all: Vec<_> = source
        .examples()
        .unwrap()
        .map(|example| example.map(|_| ()).map_err(|error| error.place().unwrap().1))
        .collect();
    assert_eq!(all, [Ok(()), Err(3), Err(4)]);
}

#[test]
fn compressed_csv_and_attributes_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(b"source,target,tone\na,b,low\nc,d,\n").unwrap();
    let path = write(folder.path(), "a.csv.gz", encoder.finish().unwrap());
    let control: ControlConfig = serde_json::from_str(r#"{"tone": ["low", "high"]}"#).unwrap();
    let annotations = Annotations { control: Some(control), ..Annotations::default() };
    for columns in [None, Some(names(&["source", "target"]))] {
        let source = Box::new(Source::csv(&path, columns.as_ref(), &annotations).unwrap());
        assert_eq!(source.form(), Form::Pairs);
        let source = Source::Annotated { source, annotations: annotations.clone() };
        let attributes = |example: Example| example.source.unwrap().attributes().to_vec();
        let found: Vec<_> = source.examples().unwrap().map(|example| attributes(example.unwrap())).collect();
        assert_eq!(found, [vec!["<tone=low>".to_owned()], vec![]]);
    }
    let path = write(folder.path(), "b.csv", "source,target\na,b\n");
    let error = Source::csv(&path, None, &annotations).unwrap_err().to_string();
    assert!(error.contains("there is no column \"tone\""), "{error}");
}

#[test]
fn columns_of_tabs_and_keys_of_objects_have_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "a.tsv", "en\tid\tde\nYes\t1\tJa\n");
    let source = Source::Tsv { path: path.clone(), columns: Some(names(&["en", "de"])) };
    assert_eq!(read(&source).unwrap(), [pair("Yes", "Ja", 2)]);
    let one = Source::Tsv { path: path.clone(), columns: Some(Columns::Numbers(vec![2])) };
    assert_eq!((one.form(), read(&one).unwrap()), (Form::Texts, vec![pair("", "de", 1), pair("", "Ja", 2)]));
    let error = read(&Source::Tsv { path, columns: Some(names(&["en", "fr"])) }).unwrap_err().to_string();
    assert!(error.contains("there is no column \"fr\": its columns are \"en\", \"id\", \"de\""), "{error}");
    let path = write(folder.path(), "a.jsonl", "{\"q\":\"a\",\"id\":[3],\"a\":\"b\"}\n{\"q\":\"c\"}\n");
    let source = Source::json(&path, Some(&names(&["q", "a"])), &Annotations::default()).unwrap();
    let all: Vec<Result<Example, TextError>> = source.examples().unwrap().collect();
    assert_eq!(all[0].as_ref().unwrap().target.to_string(), "b");
    let error = all[1].as_ref().unwrap_err().to_string();
    assert!(error.contains("line 2: there is no \"a\": its keys are \"q\""), "{error}");
    let text = Source::json(&path, Some(&names(&["q"])), &Annotations::default()).unwrap();
    assert_eq!((text.form(), read(&text).unwrap().len()), (Form::Texts, 2));
}

#[test]
fn several_files_are_one_text() {
    let folder = tempfile::tempdir().unwrap();
    let tsv = write(folder.path(), "a.tsv", "a\tb\nc\t\n");
    let jsonl =
        write(folder.path(), "b.jsonl", "{\"source\":\"\",\"target\":\"e\"}\n{\"source\":\"f\",\"target\":\"g\"}\n");
    let parts = vec![
        Source::Tsv { path: tsv.clone(), columns: None },
        Source::json(&jsonl, None, &Annotations::default()).unwrap(),
    ];
    let source = Source::Several { parts };
    assert_eq!(read(&source).unwrap().len(), 4);
    assert_eq!(source.files(), [&tsv, &jsonl]);
    let place = folder.path().join("data");
    let corpus = Corpus::encode(&source, Some(&bytes()), &bytes(), 99, Some(&place)).unwrap();
    assert_eq!((corpus.len(), corpus.examples().unwrap()), (2, vec![0, 3]));
    let found = corpus.report();
    assert_eq!(found.source.empty.first, Place { line: 1, file: 1 });
    let notes = found.notes("all").concat();
    assert!(notes.contains(&format!("first in line 1 of {}", jsonl.display())), "{notes}");
    assert!(notes.contains(&format!("first in line 2 of {}", tsv.display())), "{notes}");
    corpus.check_texts(&source).unwrap();
    let one = Source::Tsv { path: tsv.clone(), columns: None };
    assert!(matches!(corpus.check_texts(&one), Err(TextError::OtherFiles { were: 2, .. })));
    std::fs::write(&tsv, "a\tb\nc\td\n").unwrap();
    assert!(matches!(corpus.check_texts(&source), Err(TextError::Changed { path }) if path == tsv));
    // A continuous text goes on in a line of its own.
    let stream = |name: &str, text: &str| Source::Stream { path: write(folder.path(), name, text) };
    let parts = vec![stream("one", "first"), stream("two", "second\n"), stream("three", "third")];
    let text: String = read(&Source::Several { parts }).unwrap().into_iter().map(|(_, text, _)| text).collect();
    assert_eq!(text, "first\nsecond\nthird");
}

#[test]
fn filters_take_out_what_is_then_no_example() {
    let folder = tempfile::tempdir().unwrap();
    let one = write(folder.path(), "a.tsv", "a\tb\nc\tc\na\tb\n\td\n");
    let two = write(folder.path(), "b.tsv", "e\tf\na\tb\n");
    let part = |path: &PathBuf| Source::Tsv { path: path.clone(), columns: None };
    let mut config = FilterConfig::default();
    (config.copies, config.duplicates) = (true, true);
    let source = Box::new(Source::Several { parts: vec![part(&one), part(&two)] });
    let filtered = Source::Filtered { source, filter: config.clone().into() };
    for _ in 0..2 {
        assert_eq!(read(&filtered).unwrap(), [pair("a", "b", 1), pair("", "d", 4), pair("e", "f", 1)]);
    }
    let place = folder.path().join("data");
    let corpus = Corpus::encode(&filtered, Some(&bytes()), &bytes(), 99, Some(&place)).unwrap();
    // Examples are numbered as they are read.
    assert_eq!((corpus.len(), corpus.examples().unwrap()), (2, vec![0, 2]));
    let notes = Corpus::report_in(&place).unwrap().unwrap().notes("all");
    let (one, two) = (one.display(), two.display());
    assert_eq!(
        notes[1],
        format!(
            "all: 3 of 6 lines or pairs are taken out by [data.filter]: 1 by copies (line 2 of {one}), 2 by duplicates \
             (line 3 of {one}, line 2 of {two})."
        )
    );
    // What is left of nothing.
    let mut config = FilterConfig::default();
    config.min_characters = 9;
    let none = Source::Filtered { source: Box::new(part(&folder.path().join("b.tsv"))), filter: config.into() };
    let error = read(&none).unwrap_err();
    assert!(
        matches!(error, TextError::AllFiltered { .. }) && error.to_string().contains("2 by min_characters"),
        "{error}"
    );
}

#[test]
fn what_half_of_the_tokens_are_unknown_in_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let config = TokenizerConfig { kind: TokenizerKind::Character, ..Default::default() };
    let known = Tokenizer::train(&config, false, ["abcd"].into_iter().map(|text| Ok(text.to_owned()))).unwrap();
    let lines = |name: &str, text: &str| Source::Lines { path: write(folder.path(), name, text) };
    let parts = vec![lines("one", "ab\ncd\n"), lines("two", "abc\n☃☃☃☃☃☃☃☃☃\n")];
    let error = Corpus::encode(&Source::Several { parts }, None, &known, 99, None).unwrap_err().to_string();
    let [one, two] = ["one", "two"].map(|name| folder.path().join(name).display().to_string());
    assert!(error.starts_with(&format!("{one}, {two}: ")), "{error}");
    assert!(error.contains(&format!("first in line 2 of {two}: ")), "{error}");
}

#[test]
fn a_place_after_a_file_that_cannot_be_opened_is_of_its_own_file() {
    let folder = tempfile::tempdir().unwrap();
    let csv = |name: &str| {
        let path = write(folder.path(), name, "source,target\n1,2\n");
        Source::csv(&path, None, &Annotations::default()).unwrap()
    };
    let parts = vec![csv("a.csv"), csv("b.csv"), csv("c.csv")];
    write(folder.path(), "b.csv", "source;target\n1;2\n");
    let found: Vec<_> = Source::Several { parts }.examples().unwrap().collect();
    assert_eq!(found.len(), 3);
    assert_eq!(found[0].as_ref().unwrap().place, Place { line: 2, file: 0 });
    let error = found[1].as_ref().unwrap_err();
    assert!(matches!(error, TextError::Separator { line: 1, is_csv: true, .. }), "{error}");
    assert_eq!(found[2].as_ref().unwrap().place, Place { line: 2, file: 2 });
}

#[test]
#[cfg(unix)]
fn what_can_be_read_only_once_is_refused() {
    let path = PathBuf::from("/dev/null");
    let error = Corpus::encode(&Source::Lines { path }, None, &bytes(), 9, None).unwrap_err();
    assert!(matches!(error, TextError::ReadOnce { .. }), "{error}");
}
