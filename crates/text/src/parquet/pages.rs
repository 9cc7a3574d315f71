//! Pages of a column, decompressed here: the codecs of the crate bind to C for zstd, and take memory for what a damaged header says.

use crate::lines::LONGEST_OBJECT;
use crate::zst::Zst;
use flate2::read::MultiGzDecoder;
use parquet::basic::Compression;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;

/// The pages of a column of a row group.
pub(super) struct Pages {
    /// As they are in the file.
    stored: SerializedPageReader<File>,
    compression: Compression,
}

impl Pages {
    pub(super) fn new(file: &Arc<File>, column: &ColumnChunkMetaData, rows: usize) -> Result<Self> {
        let compression = column.compression();
        if !is_known(compression) {
            let reason = format!("it is compressed by {compression}. Write it with snappy, zstd, gzip or lz4_raw");
            return Err(ParquetError::NYI(reason));
        }
        let as_stored = column.clone().into_builder().set_compression(Compression::UNCOMPRESSED).build()?;
        Ok(Self { stored: SerializedPageReader::new(file.clone(), &as_stored, rows, None)?, compression })
    }

    /// Decompresses what comes after the first `plain` bytes.
    fn decompress(&self, page: &[u8], plain: usize) -> Result<Vec<u8>> {
        let damaged = |reason: String| ParquetError::General(format!("a page: {reason}"));
        let (levels, values) = page.split_at_checked(plain).ok_or_else(|| damaged("it is cut off".to_owned()))?;
        let mut whole = levels.to_vec();
        let mut read = |reader: Box<dyn Read + '_>| {
            let read = reader.take(MOST_OF_PAGE + 1).read_to_end(&mut whole).map_err(|error| error.to_string())?;
            match read as u64 > MOST_OF_PAGE {
                true => Err(format!(
                    "it has more than {} MB decompressed. Write smaller pages (data_page_size)",
                    MOST_OF_PAGE >> 20
                )),
                false => Ok(read),
            }
        };
        let read = match self.compression {
            _ if values.is_empty() => Ok(0),
            Compression::GZIP(_) => read(Box::new(MultiGzDecoder::new(values))),
            Compression::ZSTD(_) => read(Box::new(Zst::new(values))),
            Compression::SNAPPY => snappy(values).and_then(|values| read(Box::new(&values[..]))),
            Compression::LZ4_RAW => {
                let values = lz4_flex::block::decompress(values, MOST_OF_LZ4 * values.len());
                values.map_err(|error| error.to_string()).and_then(|values| read(Box::new(&values[..])))
            }
            _ => read(Box::new(values)),
        };
        read.map_err(damaged)?;
        Ok(whole)
    }
}

fn snappy(values: &[u8]) -> std::result::Result<Vec<u8>, String> {
    let length = snap::raw::decompress_len(values).map_err(|error| error.to_string())?;
    match length > MOST_OF_SNAPPY * values.len() {
        true => Err(format!("{} bytes cannot be {length} decompressed ones", values.len())),
        false => snap::raw::Decoder::new().decompress_vec(values).map_err(|error| error.to_string()),
    }
}

/// Bytes of a page. Some 1 MB are usual; gzip and zstd make as many as they like of a few.
const MOST_OF_PAGE: u64 = 8 * LONGEST_OBJECT as u64;

/// Of one byte, snappy and LZ4 make no more than these.
const MOST_OF_SNAPPY: usize = 32;
const MOST_OF_LZ4: usize = 256;

fn is_known(compression: Compression) -> bool {
    use Compression::{GZIP, LZ4_RAW, SNAPPY, UNCOMPRESSED, ZSTD};
    matches!(compression, UNCOMPRESSED | SNAPPY | GZIP(_) | ZSTD(_) | LZ4_RAW)
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let Some(mut page) = self.stored.get_next_page()? else { return Ok(None) };
        match &mut page {
            Page::DataPage { buf, .. } => *buf = self.decompress(buf, 0)?.into(),
            Page::DataPageV2 { buf, def_levels_byte_len, rep_levels_byte_len, is_compressed: true, .. } => {
                let levels = def_levels_byte_len.saturating_add(*rep_levels_byte_len);
                *buf = self.decompress(buf, levels as usize)?.into();
            }
            Page::DataPageV2 { .. } => {}
            Page::DictionaryPage { buf, num_values, .. } => {
                *buf = self.decompress(buf, 0)?.into();
                // Each value has a byte at least: more would be memory without bound.
                if *num_values as usize > buf.len() {
                    return Err(ParquetError::General("a dictionary of more values than bytes".to_owned()));
                }
            }
        }
        Ok(Some(page))
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.stored.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.stored.skip_next_page()
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}
