//! Files that `tools/parquet_files.py` wrote by Arrow: their rows are what JSON lines of the same texts are.

use descant_text::{Annotations, ChatTemplate, Column, Columns, Example, Form, Source, TextError};
use std::path::{Path, PathBuf};

fn reference(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name)
}

fn names(names: &[&str]) -> Columns {
    Columns::Names(names.iter().map(|name| (*name).to_owned()).collect())
}

fn parquet(name: &str, columns: Option<&Columns>) -> Result<Source, TextError> {
    Source::parquet(&reference(&format!("{name}.parquet")), columns, &Annotations::default())
}

fn json(name: &str, columns: Option<&Columns>) -> Source {
    Source::json(&reference(&format!("{name}.jsonl")), columns, &Annotations::default()).unwrap()
}

fn read(source: &Source) -> Result<Vec<Example>, TextError> {
    source.examples()?.collect()
}

#[test]
fn pairs_are_read_from_every_encoding_and_codec() {
    let expected = read(&json("pairs", None)).unwrap();
    assert_eq!(expected.len(), 200);
    for name in ["snappy", "zstd", "gzip", "lz4", "plain", "delta", "delta_length", "categories", "required"] {
        let source = parquet(name, None).unwrap();
        assert_eq!(source.form(), Form::Pairs);
        assert!(read(&source).unwrap() == expected, "{name}");
    }
}

#[test]
fn columns_are_read_by_their_names_and_no_others() {
    for columns in [names(&["en", "de"]), names(&["de", "en"]), names(&["de"])] {
        let source = parquet("columns", Some(&columns)).unwrap();
        assert!(read(&source).unwrap() == read(&json("columns", Some(&columns))).unwrap(), "{columns}");
    }
    let error = |columns: &[&str]| parquet("columns", Some(&names(columns))).unwrap_err().to_string();
    let missing = error(&["en", "du"]);
    assert!(
        missing.ends_with("there is no column \"du\": its columns are \"de\", \"id\", \"en\", \"tags\""),
        "{missing}"
    );
    assert!(error(&["en", "id"]).contains("column \"id\" has INT64, and a text has to be a string"));
    assert!(error(&["tags", "de"]).contains("column \"tags\" has lists or structs, and"));
    let unnamed = parquet("columns", None).unwrap_err().to_string();
    assert!(unnamed.contains("its keys are \"id\", \"en\"") && unnamed.contains("data.columns ="), "{unnamed}");
}

#[test]
fn a_column_of_numbers_has_the_weights_of_examples() {
    let weights = |name: &str| {
        let weight = Some(Column::Name(name.to_owned()));
        let annotations = Annotations { weight, ..Annotations::default() };
        let source = |file: &str| reference(&format!("columns.{file}"));
        let columns = names(&["en", "de"]);
        let parquet = Source::parquet(&source("parquet"), Some(&columns), &annotations).unwrap();
        let json = Source::json(&source("jsonl"), Some(&columns), &annotations).unwrap();
        [parquet, json].map(|source| {
            let source = Source::Annotated { source: Box::new(source), annotations: annotations.clone() };
            let examples: Result<Vec<Example>, TextError> = source.examples().unwrap().collect();
            Ok::<_, TextError>(examples?.into_iter().map(|example| example.weight).collect::<Vec<_>>())
        })
    };
    let [parquet, json] = weights("id").map(Result::unwrap);
    assert_eq!(parquet, json);
    assert_eq!(parquet[..3], [Some(0.0), Some(1.0), Some(2.0)]);
    assert!(weights("none").map(Result::unwrap)[0].iter().all(Option::is_none));
    let [parquet, _] = weights("tags");
    let error = parquet.unwrap_err().to_string();
    assert!(error.contains("row 1: its weight (\"tags\")") && error.contains("a number from 1e-20"), "{error}");
}

#[test]
fn null_is_no_text_but_may_be_no_system_prompt() {
    let source = parquet("null", Some(&names(&["en", "de"]))).unwrap();
    let error = read(&source).unwrap_err().to_string();
    assert!(error.ends_with("null.parquet, row 71: \"de\" is null: expected a text"), "{error}");
    assert_eq!(read(&parquet("null", Some(&names(&["en"]))).unwrap()).unwrap().len(), 71);
    let chat = |source: Source| {
        let template = ChatTemplate::built_in("chatml").unwrap();
        read(&Source::Chat { source: Box::new(source), template }).unwrap()
    };
    assert!(chat(parquet("system", None).unwrap()) == chat(json("system", None)));
    let messages = parquet("messages", None).unwrap();
    assert_eq!(messages.form(), Form::Conversations);
    assert!(chat(messages) == chat(json("messages", None)));
}

#[test]
fn what_cannot_be_read_is_named() {
    let error = read(&parquet("brotli", None).unwrap()).unwrap_err().to_string();
    assert!(error.contains("brotli.parquet, row 1: row group 1 cannot be read: it is compressed by BROTLI"), "{error}");
    let error = read(&parquet("large_page", None).unwrap()).unwrap_err().to_string();
    assert!(error.contains("large_page.parquet, row 1") && error.contains("more than 128 MB decompressed"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let wrong = |bytes: &[u8], means: &str| {
        let path = folder.path().join("a.parquet");
        std::fs::write(&path, bytes).unwrap();
        let error = Source::parquet(&path, None, &Annotations::default()).unwrap_err().to_string();
        assert!(error.contains("a.parquet") && error.contains(means), "{error}");
    };
    let whole = std::fs::read(reference("plain.parquet")).unwrap();
    wrong(&whole[..whole.len() - 9], "cut off or damaged");
    wrong(&whole[..9], "cut off or damaged");
    wrong(b"a text\n", "no Parquet");
    wrong(b"\x1f\x8b\x08\0\0", "compressed as a whole");
    wrong(b"", "no Parquet");
    assert!(matches!(Source::parquet(folder.path(), None, &Annotations::default()), Err(TextError::Folder { .. })));
    // Of a row group that is damaged, no more is read; of the next one all is.
    let mut damaged = std::fs::read(reference("zstd.parquet")).unwrap();
    damaged[60..200].fill(0xff);
    let path = folder.path().join("b.parquet");
    std::fs::write(&path, damaged).unwrap();
    let examples: Vec<_> = Source::parquet(&path, None, &Annotations::default()).unwrap().examples().unwrap().collect();
    let errors: Vec<String> = examples.iter().filter_map(|example| Some(example.as_ref().err()?.to_string())).collect();
    assert!(errors.len() == 1 && errors[0].contains("b.parquet, row 1: row group 1 cannot be read"), "{errors:?}");
    assert_eq!(examples.len(), 1 + 200 - 64);
    assert_eq!(examples[1].as_ref().unwrap().place.line, 65);
}
