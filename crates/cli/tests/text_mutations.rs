//! Parquet files and word vectors, mutated: as in `mutations.rs`.

mod mutation;

use descant_text::{Annotations, Columns, Side, Source, WordVectors};
use mutation::survives;
use std::fs;
use std::path::Path;

#[test]
fn parquet() {
    let folder = tempfile::tempdir().unwrap();
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../text/tests/reference");
    let original = |name: &str| fs::read(reference.join(name).with_extension("parquet")).unwrap();
    let originals = ["snappy", "zstd", "gzip", "lz4", "plain", "delta", "delta_length", "messages", "columns"];
    survives("parquet", originals.map(original).to_vec(), move |bytes| {
        let path = folder.path().join("a.parquet");
        fs::write(&path, bytes).unwrap();
        let columns = Columns::Names(vec!["en".to_owned()]);
        for source in [
            Source::parquet(&path, None, &Annotations::default()),
            Source::parquet(&path, Some(&columns), &Annotations::default()),
        ] {
            let Ok(source) = source else { continue };
            // Of a row group that is damaged there is one error, and what comes after it is read.
            let read =
                source.lines(Side::Target).map(|texts| texts.map(|text| text.map_or(0, |text| text.len())).sum());
            assert!(read.unwrap_or(0_usize) < 100_000_000);
        }
    });
}

#[test]
fn word_vectors() {
    let folder = tempfile::tempdir().unwrap();
    let row = |i: usize| format!("w{i} {} -1e-{i} 0.{i}\n", i * 7);
    let rows = (0..20).map(row).collect::<String>();
    let originals = [format!("20 3\n{rows}"), rows.clone(), rows.replace(' ', "\t")];
    survives("word-vectors", originals.map(String::into_bytes).to_vec(), move |bytes| {
        let path = folder.path().join("a.vec");
        fs::write(&path, bytes).unwrap();
        let wanted = |word: &str| word.starts_with('w');
        let Ok(vectors) = WordVectors::read(&path, 3, "model.embedding", wanted) else { return };
        let found = (0..20).filter_map(|i| vectors.get(&format!("w{i}")));
        found.for_each(|vector| assert!(vector.len() == 3 && vector.iter().all(|x| x.is_finite())));
        assert!(vectors.remarks().len() <= 5);
    });
}
