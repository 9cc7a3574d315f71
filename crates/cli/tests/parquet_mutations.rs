//! Parquet files, mutated: as in `mutations.rs`.

mod mutation;

use descant_text::{Columns, Side, Source};
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
        for source in [Source::parquet(&path, None, None), Source::parquet(&path, Some(&columns), None)] {
            let Ok(source) = source else { continue };
            // Of a row group that is damaged there is one error, and what comes after it is read.
            let read =
                source.lines(Side::Target).map(|texts| texts.map(|text| text.map_or(0, |text| text.len())).sum());
            assert!(read.unwrap_or(0_usize) < 100_000_000);
        }
    });
}
