use crate::open_file;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A long list of numbers: in memory, or in a file of little-endian numbers that is read where it is needed.
#[derive(Debug)]
pub(crate) enum Storage {
    Memory(Vec<u32>),
    File { file: File, width: usize },
}

/// By which a file is known again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checksum {
    pub(crate) bytes: u64,
    pub(crate) crc32: u32,
}

impl Checksum {
    /// That of a whole file, whose bytes `watch` sees as they come.
    pub(crate) fn of(mut file: &File, mut watch: impl FnMut(&[u8])) -> io::Result<Self> {
        let (mut crc, mut bytes, mut chunk) = (crc32fast::Hasher::new(), 0, vec![0; 1 << 16]);
        loop {
            match file.read(&mut chunk) {
                Ok(0) => return Ok(Self { bytes, crc32: crc.finalize() }),
                Ok(n) => {
                    crc.update(&chunk[..n]);
                    watch(&chunk[..n]);
                    bytes += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Storage {
    /// Opens a file of numbers of `width` bytes that are below `limit`, and holds it against its checksum.
    pub(crate) fn open(path: &Path, width: usize, checksum: Checksum, limit: u64) -> io::Result<Self> {
        let damaged = |what: &str| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Err(io::Error::other(format!("{name} {what}")))
        };
        let file = open_file(path)?;
        let (mut largest, mut cut) = (0, Vec::new());
        let found = Checksum::of(&file, |bytes| {
            let mut bytes = bytes;
            // A number may be cut where a chunk ends.
            while !cut.is_empty() && !bytes.is_empty() {
                cut.push(bytes[0]);
                bytes = &bytes[1..];
                if cut.len() == width {
                    largest = largest.max(number(&cut));
                    cut.clear();
                }
            }
            let whole = bytes.chunks_exact(width);
            cut.extend_from_slice(whole.remainder());
            largest = whole.map(number).fold(largest, u32::max);
        })?;
        match found == checksum && cut.is_empty() {
            false => damaged("is not what was written: its checksum is another"),
            true if found.bytes > 0 && u64::from(largest) >= limit => {
                damaged(&format!("holds the number {largest}, and all should be below {limit}"))
            }
            true => Ok(Self::File { file, width }),
        }
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
                Ok(bytes.chunks_exact(*width).map(number).collect())
            }
        }
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |n, &byte| n << 8 | u32::from(byte))
}

/// Writes a [`Storage`], one number after the other.
#[derive(Debug)]
pub(crate) enum Writer {
    Memory(Vec<u32>),
    File { file: BufWriter<File>, width: usize, crc: crc32fast::Hasher, bytes: u64 },
}

impl Writer {
    /// Into a file, or into memory where there is none.
    pub(crate) fn new(path: Option<PathBuf>, width: usize) -> io::Result<Self> {
        Ok(match path {
            Some(path) => {
                let file = File::options().read(true).write(true).create_new(true).open(path)?;
                Self::File { file: BufWriter::new(file), width, crc: crc32fast::Hasher::new(), bytes: 0 }
            }
            None => Self::Memory(Vec::new()),
        })
    }

    pub(crate) fn extend(&mut self, numbers: &[u32]) -> io::Result<()> {
        match self {
            Self::Memory(all) => all.extend_from_slice(numbers),
            Self::File { file, width, crc, bytes } => {
                let all: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes().into_iter().take(*width)).collect();
                crc.update(&all);
                *bytes += all.len() as u64;
                file.write_all(&all)?;
            }
        }
        Ok(())
    }

    /// Ends the writing; what is in a file is on the disk then.
    pub(crate) fn finish(self) -> io::Result<(Storage, Checksum)> {
        Ok(match self {
            Self::Memory(numbers) => (Storage::Memory(numbers), Checksum::default()),
            Self::File { file, width, crc, bytes } => {
                let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
                file.sync_all()?;
                (Storage::File { file, width }, Checksum { bytes, crc32: crc.finalize() })
            }
        })
    }
}
