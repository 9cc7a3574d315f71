use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A long list of numbers: in memory, or in a file of little-endian numbers that is read where it is needed.
#[derive(Debug)]
pub(crate) enum Storage {
    Memory(Vec<u32>),
    File { file: File, width: usize },
}

impl Storage {
    /// Opens a file of numbers of `width` bytes.
    pub(crate) fn open(path: &Path, width: usize) -> io::Result<Self> {
        Ok(Self::File { file: File::open(path)?, width })
    }

    /// How many numbers.
    pub(crate) fn len(&self) -> io::Result<u64> {
        match self {
            Self::Memory(numbers) => Ok(numbers.len() as u64),
            Self::File { file, width } => Ok(file.metadata()?.len() / *width as u64),
        }
    }

    /// The numbers of a range.
    pub(crate) fn read(&self, range: Range<u64>) -> io::Result<Vec<u32>> {
        match self {
            Self::Memory(numbers) => numbers
                .get(range.start as usize..range.end as usize)
                .map(<[u32]>::to_vec)
                .ok_or_else(|| io::ErrorKind::UnexpectedEof.into()),
            Self::File { file, width } => {
                let mut bytes = vec![0; (range.end - range.start) as usize * width];
                file.read_exact_at(&mut bytes, range.start * *width as u64)?;
                let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |n, &byte| n << 8 | u32::from(byte));
                Ok(bytes.chunks_exact(*width).map(number).collect())
            }
        }
    }
}

/// Writes a [`Storage`], one number after the other.
#[derive(Debug)]
pub(crate) enum Writer {
    Memory(Vec<u32>),
    File { path: PathBuf, file: BufWriter<File>, width: usize },
}

impl Writer {
    /// Into a file, or into memory where there is none.
    pub(crate) fn new(path: Option<PathBuf>, width: usize) -> io::Result<Self> {
        Ok(match path {
            Some(path) => Self::File { file: BufWriter::new(File::create(&path)?), path, width },
            None => Self::Memory(Vec::new()),
        })
    }

    pub(crate) fn extend(&mut self, numbers: &[u32]) -> io::Result<()> {
        match self {
            Self::Memory(all) => all.extend_from_slice(numbers),
            Self::File { file, width, .. } => {
                for number in numbers {
                    file.write_all(&number.to_le_bytes()[..*width])?;
                }
            }
        }
        Ok(())
    }

    /// Ends the writing; what is in a file is on the disk then.
    pub(crate) fn finish(self) -> io::Result<Storage> {
        Ok(match self {
            Self::Memory(numbers) => Storage::Memory(numbers),
            Self::File { path, file, width } => {
                file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
                Storage::open(&path, width)?
            }
        })
    }
}
