//! Writing lists of numbers, such as the ids of sequences.

use crate::corpus::data::Starts;
use crate::storage::Writer;
use std::io;
use std::path::Path;

/// Writes lists of numbers end to end, with the length of each.
#[derive(Debug)]
pub(crate) struct ListWriter {
    pub(crate) numbers: Writer,
    pub(crate) lengths: Writer,
    pub(crate) starts: Starts,
}

impl ListWriter {
    /// Into files of this name, or into memory where there is no folder; each number in so many bytes.
    pub(crate) fn new(folder: Option<&Path>, name: &str, width: usize) -> io::Result<Self> {
        let path = |kind: &str| folder.map(|folder| folder.join(format!("{name}.{kind}")));
        let (numbers, lengths) = (Writer::new(path("ids"), width)?, Writer::new(path("lengths"), 4)?);
        Ok(Self { numbers, lengths, starts: Starts::default() })
    }

    pub(crate) fn add(&mut self, numbers: &[u32]) -> io::Result<()> {
        let length = u32::try_from(numbers.len()).map_err(io::Error::other)?;
        self.starts.push(length);
        self.lengths.extend(&[length])?;
        self.numbers.extend(numbers)
    }
}
