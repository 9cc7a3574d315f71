//! The head of a GGUF file, of version 2 or 3: values by key, and where the tensors are.

use super::{ElementType, Tensor, damaged, unsupported};
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};

/// The longest text: a chat template.
const LONGEST_TEXT: u64 = 1 << 20;
/// The most values, those of lists counted: a vocabulary of 256,000 entries with its merges has 1.3 million.
const MOST_VALUES: u64 = 1 << 21;
/// The most entries of lists that are kept whoever reads them: one for each layer, say.
const SHORT_LIST: u64 = 1 << 12;
/// Lists with an entry for each token or merge.
const LONG_LISTS: [&str; 4] =
    ["tokenizer.ggml.tokens", "tokenizer.ggml.scores", "tokenizer.ggml.token_type", "tokenizer.ggml.merges"];
/// The most keys, and the most tensors: the largest models have a few thousand.
const MOST_NAMES: u64 = 1 << 16;
/// The most axes of a tensor.
const MOST_AXES: u32 = 4;

/// What a file is said to be, and its tensors, whose axes are here in the usual order.
///
/// # Errors
/// Where it is none.
pub(crate) fn head(file: &mut File) -> io::Result<(Map<String, Value>, Vec<Tensor>)> {
    let mut from = Reader { from: BufReader::new(file), values: 0 };
    if from.bytes()? != *b"GGUF" {
        return Err(damaged("it does not begin with GGUF"));
    }
    match from.u32()? {
        2 | 3 => {}
        other => return Err(unsupported(format!("it is of version {other} of GGUF, expected 2 or 3"))),
    }
    let (count, items) = (from.u64()?, from.u64()?);
    for (named, count) in [("tensors", count), ("keys", items)] {
        if count > MOST_NAMES {
            return Err(damaged(format!("it has {count} {named}, expected at most {MOST_NAMES}")));
        }
    }
    let mut values = Map::new();
    for _ in 0..items {
        let (key, kind) = (from.text()?, from.u32()?);
        let value = from.value(kind, LONG_LISTS.contains(&key.as_str()))?;
        if values.contains_key(&key) {
            return Err(damaged(format!("it has the key {key} twice")));
        }
        let is_finite = match &value {
            Value::Array(items) => !items.iter().any(Value::is_null),
            one => !one.is_null(),
        };
        if !is_finite {
            return Err(damaged(format!("{key} has a number that is not finite")));
        }
        values.insert(key, value);
    }
    let alignment = match values.get("general.alignment") {
        None => 32,
        Some(alignment) => {
            let alignment = alignment.as_u64().filter(|n| n.is_power_of_two() && *n <= 1 << 16);
            alignment.ok_or_else(|| damaged("general.alignment is no power of two"))?
        }
    };
    let mut tensors = Vec::new();
    for _ in 0..count {
        let (name, axes) = (from.text()?, from.u32()?);
        if axes > MOST_AXES {
            return Err(damaged(format!("'{name}' has {axes} axes")));
        }
        let mut shape = (0..axes)
            .map(|_| from.u64().and_then(|n| usize::try_from(n).map_err(|_| damaged(format!("'{name}' is too large")))))
            .collect::<io::Result<Vec<usize>>>()?;
        shape.reverse();
        let element_type = match from.u32()? {
            0 => ElementType::F32,
            1 => ElementType::F16,
            2 => ElementType::Q4,
            8 => ElementType::Q8,
            28 => ElementType::F64,
            30 => ElementType::BF16,
            other => ElementType::Other(type_name(other)),
        };
        tensors.push(Tensor { name, shape, element_type, start: from.u64()?, view: None });
    }
    let data = from.from.stream_position()?.next_multiple_of(alignment);
    for tensor in &mut tensors {
        tensor.start = tensor.start.checked_add(data).ok_or_else(|| damaged("a tensor lies outside of it"))?;
    }
    Ok((values, tensors))
}

/// What llama.cpp calls a type of numbers.
fn type_name(number: u32) -> String {
    const NAMES: [(u32, &str); 12] = [
        (3, "Q4_1"),
        (6, "Q5_0"),
        (7, "Q5_1"),
        (9, "Q8_1"),
        (10, "Q2_K"),
        (11, "Q3_K"),
        (12, "Q4_K"),
        (13, "Q5_K"),
        (14, "Q6_K"),
        (15, "Q8_K"),
        (20, "IQ4_NL"),
        (23, "IQ4_XS"),
    ];
    let name = NAMES.iter().find(|(known, _)| *known == number).map(|(_, name)| (*name).to_owned());
    let name = name.unwrap_or_else(|| format!("number {number} of GGUF"));
    format!("{name}, expected F32, F16, BF16, Q8_0 or Q4_0")
}

struct Reader<R> {
    from: R,
    values: u64,
}

impl<R: Read> Reader<R> {
    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> io::Result<u32> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> io::Result<u64> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    fn text(&mut self) -> io::Result<String> {
        let len = self.u64()?;
        if len > LONGEST_TEXT {
            return Err(damaged(format!("it has a text of {len} bytes")));
        }
        let mut bytes = Vec::new();
        self.from.by_ref().take(len).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        String::from_utf8(bytes).map_err(|error| damaged(format!("it has a text that is not UTF-8: {error}")))
    }

    fn count(&mut self, more: u64) -> io::Result<()> {
        self.values = self.values.saturating_add(more);
        match self.values > MOST_VALUES {
            true => Err(damaged(format!("it has more than {MOST_VALUES} values"))),
            false => Ok(()),
        }
    }

    /// A value of a type; of a long list, unless it is `kept`, only that it is one.
    fn value(&mut self, kind: u32, kept: bool) -> io::Result<Value> {
        self.count(1)?;
        Ok(match kind {
            0 => u8::from_le_bytes(self.bytes()?).into(),
            1 => i8::from_le_bytes(self.bytes()?).into(),
            2 => u16::from_le_bytes(self.bytes()?).into(),
            3 => i16::from_le_bytes(self.bytes()?).into(),
            4 => self.u32()?.into(),
            5 => i32::from_le_bytes(self.bytes()?).into(),
            6 => real(f32::from_le_bytes(self.bytes()?)),
            7 => (self.bytes::<1>()? != [0]).into(),
            8 => self.text()?.into(),
            9 => {
                let (kind, len) = (self.u32()?, self.u64()?);
                if kind == 9 {
                    return Err(unsupported("it has a list of lists"));
                }
                self.count(len)?;
                self.values -= len;
                if !kept && len > SHORT_LIST {
                    (0..len).try_for_each(|_| self.value(kind, false).map(drop))?;
                    return Ok(format!("a list of {len} entries").into());
                }
                (0..len).map(|_| self.value(kind, false)).collect::<io::Result<Vec<Value>>>()?.into()
            }
            10 => self.u64()?.into(),
            11 => i64::from_le_bytes(self.bytes()?).into(),
            12 => f64::from_le_bytes(self.bytes()?).into(),
            other => return Err(damaged(format!("it has a value of the type {other}"))),
        })
    }
}

/// A number with as many digits as single precision has, so that 1e-5 is 1e-5; null where it is not finite.
fn real(x: f32) -> Value {
    x.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}
