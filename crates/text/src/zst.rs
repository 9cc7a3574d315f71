use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use std::io::{BufRead, Error, ErrorKind, Read, Result};

/// Decompresses a `.zst` file: all of its frames, each verified by its checksum.
pub(crate) struct Zst<R: BufRead> {
    /// The frame being read, or what lies between two; none after an error.
    state: Option<State<R>>,
}

enum State<R: BufRead> {
    Frame(Box<StreamingDecoder<R, FrameDecoder>>),
    Between(R),
}

impl<R: BufRead> Zst<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { state: Some(State::Between(reader)) }
    }
}

impl<R: BufRead> Read for Zst<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let damaged = |reason: String| Error::new(ErrorKind::InvalidData, reason);
        while let Some(state) = self.state.take() {
            match state {
                State::Frame(mut frame) => {
                    let read =
                        frame.read(buffer).map_err(|error| damaged(format!("its zstd data is damaged: {error}")))?;
                    if read > 0 || buffer.is_empty() {
                        self.state = Some(State::Frame(frame));
                        return Ok(read);
                    }
                    let (stored, found) =
                        (frame.decoder.get_checksum_from_data(), frame.decoder.get_calculated_checksum());
                    if stored.is_some() && stored != found {
                        return Err(damaged("its checksum is not that of its text".to_owned()));
                    }
                    self.state = Some(State::Between(frame.into_inner()));
                }
                State::Between(mut reader) => {
                    if reader.fill_buf()?.is_empty() {
                        self.state = Some(State::Between(reader));
                        return Ok(0);
                    }
                    let frame = StreamingDecoder::new(reader);
                    let frame = frame.map_err(|error| damaged(format!("it is no zstd file: {error}")))?;
                    self.state = Some(State::Frame(Box::new(frame)));
                }
            }
        }
        Err(damaged("its zstd data is damaged".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    #[test]
    fn all_frames_are_read_and_damage_is_told() {
        let frames = ["first ".repeat(50), "second ".repeat(70)];
        let file = frames.iter().flat_map(|text| compress_to_vec(text.as_bytes(), CompressionLevel::Fastest));
        let file: Vec<u8> = file.collect();
        let read = |file: &[u8]| {
            let mut text = String::new();
            Zst::new(file).read_to_string(&mut text).map(|_| text)
        };
        assert_eq!(read(&file).unwrap(), frames.concat());
        assert!(read(&file[..file.len() - 3]).is_err());
        assert!(read(b"no zstd at all").is_err());
        assert_eq!(read(b"").unwrap(), "");
        // Beyond the first frame's header, which may say that there is no checksum.
        for i in 10..file.len() / 2 {
            let mut damaged = file.clone();
            damaged[i] ^= 0x10;
            assert!(read(&damaged).map_or(true, |text| text == frames.concat()), "byte {i}");
        }
    }
}
