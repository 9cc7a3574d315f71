//! Files of tensors (safetensors), read from front to end, or each half so on a thread of its own, and each tensor straight
//! to where it is to be: nothing of a file is held twice, and its checksum is taken on the way.

use descant_autograd::ValuesMut;
use descant_text::open_file;
use half::{bf16, f16};
use safetensors::tensor::{Dtype, Metadata, SafeTensorError, TensorInfo, TensorView, serialize_to_file};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Longest header, as the format has it.
const HEADER: u64 = 100_000_000;
/// Bytes that are read at once: they are still in the cache when the checksum is taken.
const CHUNK: usize = 1 << 18;

/// A file of tensors that is being read.
#[derive(Debug)]
pub struct TensorFile {
    file: File,
    crc: crc32fast::Hasher,
    /// In order of their place, as the header has them.
    tensors: Vec<(String, TensorInfo)>,
    /// Why the header is none.
    broken: Option<String>,
    /// Where in the file the tensors begin.
    start: u64,
    /// Bytes of the tensors read so far.
    position: usize,
    /// For numbers of another type than they are wanted in.
    chunk: Vec<u8>,
}

impl TensorFile {
    /// Opens a file, and reads its header.
    ///
    /// # Errors
    /// What reading fails with. A header that is none is an error of [`TensorFile::tensors`].
    pub fn open(path: &Path) -> Result<Self> {
        Self::of(open_file(path)?)
    }

    /// The same of a file that is open, from its front.
    ///
    /// # Errors
    /// As [`TensorFile::open`].
    pub fn of(mut file: File) -> Result<Self> {
        file.seek(SeekFrom::Start(0))?;
        let len = file.metadata()?.len();
        let mut crc = crc32fast::Hasher::new();
        let mut size = Vec::new();
        file.by_ref().take(8).read_to_end(&mut size)?;
        crc.update(&size);
        let header = size.try_into().map_or(u64::MAX, u64::from_le_bytes);
        let (mut tensors, mut broken) = (Vec::new(), None);
        if header > HEADER.min(len.saturating_sub(8)) {
            broken = Some("it has no header".to_owned());
        } else {
            let mut json = Vec::new();
            file.by_ref().take(header).read_to_end(&mut json)?;
            crc.update(&json);
            match serde_json::from_slice::<Metadata>(&json) {
                Ok(metadata) if metadata.data_len() as u64 == len - 8 - header => {
                    let info = |name: String| metadata.info(&name).cloned().map(|info| (name, info));
                    tensors = metadata.offset_keys().into_iter().filter_map(info).collect();
                }
                Ok(metadata) => {
                    broken = Some(format!(
                        "it has {} bytes of numbers, where its header says {}",
                        len - 8 - header,
                        metadata.data_len()
                    ));
                }
                Err(error) => broken = Some(format!("its header: {error}")),
            }
        }
        let start = file.stream_position()?;
        Ok(Self { file, crc, tensors, broken, start, position: 0, chunk: Vec::new() })
    }

    /// The names and forms of the tensors, in the order in which they are to be read.
    ///
    /// # Errors
    /// Why the file is none of tensors.
    pub fn tensors(&self) -> std::result::Result<&[(String, TensorInfo)], &str> {
        self.broken.as_deref().map_or(Ok(&self.tensors), Err)
    }

    /// Reads the numbers of a tensor. Those before it that were not read are passed over.
    ///
    /// # Errors
    /// What reading fails with; a tensor of another length, or of another type than a floating-point one.
    pub fn read_f32(&mut self, tensor: &TensorInfo, values: &mut [f32]) -> Result<()> {
        if tensor.dtype != Dtype::F32 {
            return self.read_as(tensor, values, |value| value as f32);
        }
        self.begin(tensor, 4 * values.len())?;
        for part in values.chunks_mut(CHUNK / 4) {
            self.next_f32(part)?;
        }
        Ok(())
    }

    /// The same, packed where they are to be.
    fn read_values(&mut self, tensor: &TensorInfo, values: ValuesMut<'_>) -> Result<()> {
        match values {
            ValuesMut::RowMajor(values) => self.read_f32(tensor, values),
            ValuesMut::Packed(weight) if tensor.dtype == Dtype::F32 => {
                self.begin(tensor, 4 * weight.len())?;
                weight.fill(CHUNK / 4, |part| self.next_f32(part))
            }
            ValuesMut::Packed(weight) => {
                let mut all = vec![0.0; weight.len()];
                self.read_f32(tensor, &mut all)?;
                weight.copy_from(&all);
                Ok(())
            }
        }
    }

    fn next_f32(&mut self, values: &mut [f32]) -> Result<()> {
        self.next(bytemuck::cast_slice_mut(&mut *values))?;
        values.iter_mut().for_each(|value| *value = f32::from_bits(u32::from_le(value.to_bits())));
        Ok(())
    }

    /// The same of many tensors, in the order of the file: the second half of their bytes on a thread of its own.
    ///
    /// # Errors
    /// As [`TensorFile::read_f32`].
    pub fn read_all_f32(&mut self, mut tensors: Vec<(TensorInfo, ValuesMut<'_>)>) -> Result<()> {
        let Some((last, _)) = tensors.last() else { return Ok(()) };
        let half = self.position + (last.data_offsets.1 - self.position.min(last.data_offsets.1)) / 2;
        let others = tensors.split_off(tensors.partition_point(|(tensor, _)| tensor.data_offsets.1 <= half));
        let Some((first, _)) = others.first() else { return Ok(()) };
        let begin = first.data_offsets.0;
        let mut second = Self {
            file: self.file.try_clone()?,
            crc: crc32fast::Hasher::new(),
            tensors: Vec::new(),
            broken: None,
            start: self.start,
            position: begin,
            chunk: Vec::new(),
        };
        let (first, others) = rayon::join(
            || {
                tensors.into_iter().try_for_each(|(tensor, values)| self.read_values(&tensor, values))?;
                self.pass(begin - self.position)
            },
            || others.into_iter().try_for_each(|(tensor, values)| second.read_values(&tensor, values)),
        );
        first.and(others)?;
        self.crc.combine(&second.crc);
        self.position = second.position;
        Ok(())
    }

    /// The same in double precision.
    ///
    /// # Errors
    /// As [`TensorFile::read_f32`].
    pub fn read_f64(&mut self, tensor: &TensorInfo, values: &mut [f64]) -> Result<()> {
        self.read_as(tensor, values, |value| value)
    }

    fn read_as<T>(&mut self, tensor: &TensorInfo, values: &mut [T], cast: impl Fn(f64) -> T) -> Result<()> {
        match tensor.dtype {
            Dtype::F32 => self.read_each(tensor, values, |bytes| cast(f32::from_le_bytes(bytes).into())),
            Dtype::F64 => self.read_each(tensor, values, |bytes| cast(f64::from_le_bytes(bytes))),
            Dtype::BF16 => self.read_each(tensor, values, |bytes| cast(bf16::from_le_bytes(bytes).into())),
            Dtype::F16 => self.read_each(tensor, values, |bytes| cast(f16::from_le_bytes(bytes).into())),
            dtype => Err(Error::new(ErrorKind::InvalidData, format!("its numbers are of type {dtype:?}"))),
        }
    }

    fn read_each<T, const N: usize>(
        &mut self,
        tensor: &TensorInfo,
        values: &mut [T],
        read: impl Fn([u8; N]) -> T,
    ) -> Result<()> {
        self.begin(tensor, N * values.len())?;
        let mut chunk = std::mem::take(&mut self.chunk);
        chunk.resize(CHUNK, 0);
        for part in values.chunks_mut(CHUNK / N) {
            let bytes = &mut chunk[..N * part.len()];
            self.next(bytes)?;
            part.iter_mut().zip(bytes.as_chunks().0).for_each(|(value, bytes)| *value = read(*bytes));
        }
        self.chunk = chunk;
        Ok(())
    }

    /// Hands out the bytes of a tensor, some rows at a time, each of so many bytes, with the number of the first.
    ///
    /// # Errors
    /// What reading fails with; a tensor of another length; what `take` fails with.
    pub fn read_rows(
        &mut self,
        tensor: &TensorInfo,
        (rows, row_bytes): (usize, usize),
        mut take: impl FnMut(usize, &[u8]) -> Result<()>,
    ) -> Result<()> {
        self.begin(tensor, rows * row_bytes)?;
        let at_once = (CHUNK / row_bytes.max(1)).max(1);
        let mut chunk = std::mem::take(&mut self.chunk);
        for first in (0..rows).step_by(at_once) {
            chunk.resize(at_once.min(rows - first) * row_bytes, 0);
            self.next(&mut chunk)?;
            take(first, &chunk)?;
        }
        self.chunk = chunk;
        Ok(())
    }

    /// Goes to where a tensor of so many bytes begins; what is read next is that.
    fn begin(&mut self, tensor: &TensorInfo, bytes: usize) -> Result<()> {
        let (start, end) = tensor.data_offsets;
        if start < self.position || end - start != bytes {
            let reason = format!("a tensor of {} bytes was to be read as one of {bytes}", end - start);
            return Err(Error::new(ErrorKind::InvalidInput, reason));
        }
        self.pass(start - self.position)
    }

    /// The next bytes.
    fn next(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(bytes, self.start + self.position as u64)?;
        self.crc.update(bytes);
        self.position += bytes.len();
        Ok(())
    }

    /// Reads some bytes for their checksum alone; at the end of the file it ends.
    fn pass(&mut self, mut bytes: usize) -> Result<()> {
        self.chunk.resize(CHUNK, 0);
        while bytes > 0 {
            let read = self.file.read_at(&mut self.chunk[..bytes.min(CHUNK)], self.start + self.position as u64)?;
            if read == 0 {
                break;
            }
            self.crc.update(&self.chunk[..read]);
            self.position += read;
            bytes -= read;
        }
        Ok(())
    }

    /// The checksum of the whole file, CRC-32.
    ///
    /// # Errors
    /// What reading the rest fails with.
    pub fn checksum(mut self) -> Result<u32> {
        self.pass(usize::MAX)?;
        Ok(self.crc.finalize())
    }
}

/// Writes a safetensors file with the usual permissions: `safetensors` makes files for their owner alone.
///
/// # Errors
/// Where it cannot be written; where two tensors have one name.
pub fn write_tensors<'a>(
    path: &Path,
    tensors: Vec<(String, TensorView<'a>)>,
    metadata: Option<HashMap<String, String>>,
) -> std::result::Result<(), SafeTensorError> {
    let permissions = File::create(path)?.metadata()?.permissions();
    serialize_to_file(tensors, metadata, path)?;
    Ok(fs::set_permissions(path, permissions)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::{TensorView, serialize};

    /// Three tensors of the numbers 0 to 5 of different types, as a file, and its bytes.
    fn file(folder: &Path) -> (std::path::PathBuf, Vec<u8>) {
        let numbers = || (0..6_u8).map(f32::from);
        let parts = [
            ("a", Dtype::F32, numbers().flat_map(f32::to_le_bytes).collect::<Vec<u8>>()),
            ("b", Dtype::BF16, numbers().flat_map(|x| bf16::from_f32(x).to_le_bytes()).collect()),
            ("c", Dtype::F64, numbers().flat_map(|x| f64::from(x).to_le_bytes()).collect()),
        ];
        let views = parts.iter().map(|(name, dtype, data)| (*name, TensorView::new(*dtype, vec![2, 3], data).unwrap()));
        let bytes = serialize(views, None).unwrap();
        let path = folder.join("some.safetensors");
        fs::write(&path, &bytes).unwrap();
        (path, bytes)
    }

    #[test]
    fn tensors_of_every_type_are_read_in_order_and_the_checksum_is_that_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, bytes) = file(folder.path());
        for skipped in ["", "a", "b", "c"] {
            let mut file = TensorFile::open(&path).unwrap();
            let tensors = file.tensors().unwrap().to_vec();
            assert_eq!(tensors.len(), 3);
            for (_, tensor) in tensors.iter().filter(|(name, _)| name != skipped) {
                let (mut single, mut double) = ([9.0; 6], [9.0; 6]);
                match tensor.dtype {
                    Dtype::F64 => file.read_f64(tensor, &mut double).unwrap(),
                    _ => file.read_f32(tensor, &mut single).unwrap(),
                }
                assert!(single == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0] || double == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
                assert!(file.read_f32(tensor, &mut single).is_err(), "a tensor is read once");
            }
            assert_eq!(file.checksum().unwrap(), crc32fast::hash(&bytes));
        }
    }

    #[test]
    fn many_tensors_are_read_as_each_is_and_with_the_same_checksum() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("many.safetensors");
        let numbers: Vec<f32> = (0..700_000_u32).map(|i| i as f32).collect();
        let names: Vec<String> = (0..7).map(|i| format!("t{i}")).collect();
        let views = names.iter().zip(numbers.chunks(100_000)).map(|(name, part)| {
            (name, TensorView::new(Dtype::F32, vec![part.len()], bytemuck::cast_slice(part)).unwrap())
        });
        let bytes = serialize(views, None).unwrap();
        fs::write(&path, &bytes).unwrap();
        for skipped in [vec![], vec![0], vec![6], vec![2, 3, 4], vec![0, 1, 2, 3, 4, 5], vec![0, 1, 2, 3, 4, 5, 6]] {
            let mut file = TensorFile::open(&path).unwrap();
            let mut read = vec![-1.0; numbers.len()];
            let tensors = file.tensors().unwrap().to_vec();
            let places = read.chunks_mut(100_000).map(ValuesMut::RowMajor);
            let places = tensors.into_iter().map(|(_, tensor)| tensor).zip(places).enumerate();
            let wanted = places.filter(|(i, _)| !skipped.contains(i)).map(|(_, wanted)| wanted).collect();
            file.read_all_f32(wanted).unwrap();
            assert_eq!(file.checksum().unwrap(), crc32fast::hash(&bytes));
            for (i, (read, own)) in read.chunks(100_000).zip(numbers.chunks(100_000)).enumerate() {
                assert!(if skipped.contains(&i) { read.iter().all(|&x| x == -1.0) } else { read == own }, "{i}");
            }
        }
    }

    #[test]
    fn a_damaged_file_is_told_and_still_has_a_checksum() {
        let folder = tempfile::tempdir().unwrap();
        let (path, bytes) = file(folder.path());
        let huge = [u64::MAX.to_le_bytes().to_vec(), bytes[8..].to_vec()].concat();
        let no_json = [&bytes[..8], b"!", &bytes[9..]].concat();
        for damaged in [&bytes[..bytes.len() - 1], &bytes[..7], &[], &huge, &no_json] {
            fs::write(&path, damaged).unwrap();
            let file = TensorFile::open(&path).unwrap();
            assert!(file.tensors().is_err());
            assert_eq!(file.checksum().unwrap(), crc32fast::hash(damaged));
        }
        fs::write(&path, &bytes).unwrap();
        let mut file = TensorFile::open(&path).unwrap();
        let first = file.tensors().unwrap()[0].1.clone();
        assert!(file.read_f32(&first, &mut [0.0; 5]).is_err());
    }
}
