//! Tensors in files, of whatever format: their names, shapes and types, where their numbers lie, and the numbers as f32.

pub(crate) mod gguf;
mod pickle;
mod safetensors;
mod torch;

use crate::Error;
use half::{bf16, f16};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Bytes that are read at once.
const CHUNK: usize = 1 << 18;
/// Elements of a quantised block, which have one scale.
const BLOCK: usize = 32;

/// How the numbers of a tensor are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ElementType {
    F32,
    F64,
    F16,
    BF16,
    /// Blocks of 32 with a scale in half precision, in 8 bits each.
    Q8,
    /// The same in 4 bits: the first 16 are the lower halves of the bytes.
    Q4,
    /// Another type, by its name: it is in the file, and cannot be read as weights.
    Other(String),
}

impl ElementType {
    /// How many numbers are stored together, and in how many bytes; `None` where they cannot be read.
    fn block(&self) -> Option<(usize, usize)> {
        match self {
            Self::F32 => Some((1, 4)),
            Self::F64 => Some((1, 8)),
            Self::F16 | Self::BF16 => Some((1, 2)),
            Self::Q8 => Some((BLOCK, 2 + BLOCK)),
            Self::Q4 => Some((BLOCK, 2 + BLOCK / 2)),
            Self::Other(_) => None,
        }
    }

    /// The numbers of some whole blocks.
    fn decode(&self, bytes: &[u8], to: &mut [f32]) {
        fn each<const N: usize>(bytes: &[u8], to: &mut [f32], read: impl Fn([u8; N]) -> f32) {
            to.iter_mut().zip(bytes.as_chunks().0).for_each(|(to, bytes)| *to = read(*bytes));
        }
        match self {
            Self::F32 => each(bytes, to, f32::from_le_bytes),
            Self::F64 => each(bytes, to, |bytes| f64::from_le_bytes(bytes) as f32),
            Self::F16 => each(bytes, to, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Self::BF16 => each(bytes, to, |bytes| bf16::from_le_bytes(bytes).to_f32()),
            Self::Q8 | Self::Q4 => {
                for (to, bytes) in
                    to.chunks_exact_mut(BLOCK).zip(bytes.chunks_exact(self.block().map_or(1, |(_, bytes)| bytes)))
                {
                    let scale = f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
                    for (i, to) in to.iter_mut().enumerate() {
                        let value = match self {
                            Self::Q8 => bytes[2 + i] as i8,
                            _ => (bytes[2 + i % 16] >> (i / 16 * 4) & 0xf) as i8 - 8,
                        };
                        *to = scale * f32::from(value);
                    }
                }
            }
            Self::Other(_) => {}
        }
    }
}

/// A tensor of a file.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) element_type: ElementType,
    /// The first byte of its numbers in the file.
    pub(crate) start: u64,
    /// How its numbers, row after row, lie in the file where they do not lie so: axes, outer ones first, each with its
    /// length and how far apart the numbers along it are.
    pub(crate) view: Option<Vec<(usize, usize)>>,
}

impl Tensor {
    /// How many numbers it has; `None` where that is more than can be counted.
    pub(crate) fn len(&self) -> Option<usize> {
        self.shape.iter().try_fold(1_usize, |len, &length| len.checked_mul(length))
    }

    /// How many numbers of the file it spans.
    fn span(&self) -> Option<usize> {
        let Some(view) = &self.view else { return self.len() };
        if self.len()? == 0 {
            return Some(0);
        }
        let reach = |&(length, stride): &(usize, usize)| (length - 1).checked_mul(stride);
        view.iter().try_fold(1_usize, |span, axis| span.checked_add(reach(axis)?))
    }

    /// How many bytes of the file it spans; `None` where its numbers cannot be read.
    pub(crate) fn bytes(&self) -> Option<u64> {
        let (numbers, bytes) = self.element_type.block()?;
        (self.span()?.is_multiple_of(numbers))
            .then_some(self.span()? as u64 / numbers as u64)
            .and_then(|blocks| blocks.checked_mul(bytes as u64))
    }
}

/// A file of tensors that is being read.
#[derive(Debug)]
pub(crate) struct TensorFile {
    path: PathBuf,
    file: File,
    tensors: Vec<Tensor>,
}

impl TensorFile {
    /// Opens a file of safetensors or of PyTorch, which its first bytes tell, and reads what is in it.
    ///
    /// # Errors
    /// Where it is neither, or damaged: a tensor that can be read lies in the file as a whole.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let unread = |error| Error::io("read the weights", path, error);
        match fs::metadata(path) {
            Err(error) => return Err(unread(error)),
            Ok(file) if !file.is_file() => return Err(Error::folder(path, "it is no regular file")),
            Ok(_) => {}
        }
        let mut file = File::open(path).map_err(unread)?;
        let mut first = Vec::new();
        file.by_ref().take(9).read_to_end(&mut first).map_err(unread)?;
        file.seek(SeekFrom::Start(0)).map_err(unread)?;
        let tensors = match first[..] {
            // Behind the length of a header, which may be any number.
            [.., b'{'] if first.len() == 9 => safetensors::tensors(&mut file),
            [b'P', b'K', 3, 4, ..] => torch::zipped(&mut file),
            [0x80, 2..=5, ..] => torch::legacy(&mut file),
            _ => safetensors::tensors(&mut file),
        };
        Self::of(path, file, tensors.map_err(|error| unreadable(path, error))?)
    }

    /// One of these tensors, each of which is to lie in the file as a whole.
    ///
    /// # Errors
    /// The tensor that does not.
    pub(crate) fn of(path: &Path, file: File, mut tensors: Vec<Tensor>) -> Result<Self, Error> {
        let len = file.metadata().map_err(|error| Error::io("read the weights", path, error))?.len();
        let ends = |tensor: &Tensor| tensor.bytes().and_then(|bytes| tensor.start.checked_add(bytes));
        let cut = |tensor: &&Tensor| tensor.element_type.block().is_some() && ends(tensor).is_none_or(|end| end > len);
        if let Some(Tensor { name, shape, .. }) = tensors.iter().find(cut) {
            let reason = format!("it is damaged: it has {len} bytes, and '{name}', {shape:?}, does not lie in them");
            return Err(Error::folder(path, reason));
        }
        tensors.sort_by_key(|tensor| tensor.start);
        Ok(Self { path: path.to_owned(), file, tensors })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// In the order of their place in the file.
    pub(crate) fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Changes the names, shapes or views of its tensors.
    pub(crate) fn rename(&mut self, change: impl FnMut(&mut Tensor)) {
        self.tensors.iter_mut().for_each(change);
    }

    /// The numbers of a tensor that is then no longer one of them; `None` where there is none of this name.
    ///
    /// # Errors
    /// As [`TensorFile::read`].
    pub(crate) fn take(&mut self, name: &str) -> Result<Option<Vec<f32>>, Error> {
        let Some(at) = self.tensors.iter().position(|tensor| tensor.name == name) else { return Ok(None) };
        let tensor = self.tensors.remove(at);
        self.values(&tensor).map(Some)
    }

    /// The numbers of a tensor, row after row, in memory of their own: none where its type is not read, whose shape may be
    /// anything.
    ///
    /// # Errors
    /// As [`TensorFile::read`].
    pub(crate) fn values(&mut self, tensor: &Tensor) -> Result<Vec<f32>, Error> {
        let len = tensor.element_type.block().and(tensor.len()).unwrap_or(0);
        let mut values = vec![0.0; len];
        self.read(tensor, &mut values)?;
        Ok(values)
    }

    /// Whether `second` is the same table as `first`: then it is no longer one of the tensors. So is one that is not there.
    ///
    /// # Errors
    /// As [`TensorFile::read`].
    pub(crate) fn is_tied(&mut self, second: &str, first: &str) -> Result<bool, Error> {
        let find = |name: &str| self.tensors.iter().find(|tensor| tensor.name == name).cloned();
        let (Some(second), Some(first)) = (find(second), find(first)) else { return Ok(find(second).is_none()) };
        if second.shape != first.shape {
            return Ok(false);
        }
        let is_same = self.values(&first)? == self.values(&second)?;
        self.tensors.retain(|tensor| !is_same || tensor.name != second.name);
        Ok(is_same)
    }

    /// The numbers of a tensor, row after row.
    ///
    /// # Errors
    /// Where the system refuses; where it has another type or another number of them.
    pub(crate) fn read(&mut self, tensor: &Tensor, to: &mut [f32]) -> Result<(), Error> {
        let Tensor { name, shape, element_type, .. } = tensor;
        let Some((together, size)) = element_type.block() else {
            let ElementType::Other(kind) = element_type else { return Ok(()) };
            return Err(Error::folder(&self.path, format!("'{name}' is of type {kind}")));
        };
        if tensor.len() != Some(to.len()) {
            let reason = format!("'{name}' is {shape:?}, and was to be read as {} numbers", to.len());
            return Err(Error::folder(&self.path, reason));
        }
        let unread = |error| Error::io("read the weights", &self.path, error);
        self.file.seek(SeekFrom::Start(tensor.start)).map_err(unread)?;
        let mut spanned = Vec::new();
        let part = match &tensor.view {
            None => &mut *to,
            Some(_) => {
                spanned.resize(tensor.span().unwrap_or(0), 0.0);
                &mut spanned[..]
            }
        };
        let mut bytes = vec![0; CHUNK.min(part.len() / together * size).next_multiple_of(size)];
        for part in part.chunks_mut(bytes.len().max(size) / size * together) {
            let bytes = &mut bytes[..part.len() / together * size];
            self.file.read_exact(bytes).map_err(unread)?;
            element_type.decode(bytes, part);
        }
        if let Some(view) = &tensor.view {
            for (i, to) in to.iter_mut().enumerate() {
                let (mut rest, mut at) = (i, 0);
                for (length, stride) in view.iter().rev() {
                    at += rest % length * stride;
                    rest /= length;
                }
                *to = spanned[at];
            }
        }
        Ok(())
    }
}

/// What reading the head of a file failed with.
pub(crate) fn unreadable(path: &Path, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::InvalidData => Error::folder(path, format!("it is damaged: {error}")),
        io::ErrorKind::Unsupported => Error::folder(path, error.to_string()),
        io::ErrorKind::UnexpectedEof => Error::folder(path, "it is damaged: it ends too early"),
        _ => Error::io("read the weights", path, error),
    }
}

/// What a damaged file fails with.
fn damaged(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

/// What a file fails with that is whole, and of something that is not read.
fn unsupported(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, reason.into())
}

#[cfg(test)]
mod tests;
