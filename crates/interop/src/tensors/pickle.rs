//! Reads pickles without running what they say: a machine for the few instructions of which Python's `pickle` makes tables
//! of tensors. Whatever would call a function is kept as a value; who reads it decides which functions it knows.

use super::{damaged, unsupported};
use std::collections::HashMap;
use std::io::{self, Read};

/// The most values of a pickle: one of 10,000 tensors has some 300,000.
const MOST_VALUES: usize = 1 << 21;
/// The longest text.
const LONGEST_TEXT: usize = 1 << 16;

/// Where a value lies among all of its pickle.
pub(super) type Id = u32;

/// A value.
#[derive(Debug)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float,
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// Keys and values in turn.
    Dict(Vec<Id>),
    /// A function or a class: its module and its name.
    Global(String, String),
    /// What a function is called with.
    Call(Id, Id),
    /// What lies outside of the pickle.
    Persistent(Id),
}

/// The values of a pickle, of which the last is the whole.
#[derive(Debug, Default)]
pub(super) struct Pickle {
    values: Vec<Value>,
    whole: Id,
}

impl Pickle {
    pub(super) fn whole(&self) -> &Value {
        self.get(self.whole)
    }

    pub(super) fn get(&self, id: Id) -> &Value {
        &self.values[id as usize]
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = Id> {
        0..self.values.len() as Id
    }

    fn add(&mut self, value: Value) -> io::Result<Id> {
        if self.values.len() == MOST_VALUES {
            return Err(damaged(format!("its pickle has more than {MOST_VALUES} values")));
        }
        self.values.push(value);
        Ok(self.values.len() as Id - 1)
    }

    /// Reads one, from its first byte to its STOP.
    ///
    /// # Errors
    /// Where it is damaged, or has an instruction that no table of tensors has.
    pub(super) fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut machine =
            Machine { from, pickle: Self::default(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
        while !machine.step()? {}
        Ok(machine.pickle)
    }
}

struct Machine<'a, R> {
    from: &'a mut R,
    pickle: Pickle,
    stack: Vec<Id>,
    /// How high the stack was at each mark.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<R: Read> Machine<'_, R> {
    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn text(&mut self, len: usize) -> io::Result<String> {
        if len > LONGEST_TEXT {
            return Err(damaged(format!("its pickle has a text of {len} bytes")));
        }
        let mut bytes = vec![0; len];
        self.from.read_exact(&mut bytes)?;
        String::from_utf8(bytes).map_err(|error| damaged(format!("its pickle has a text that is not UTF-8: {error}")))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        loop {
            let [byte] = self.bytes()?;
            match byte {
                b'\n' => break,
                _ if line.len() == LONGEST_TEXT => return Err(damaged("its pickle has a line without end")),
                byte => line.push(byte),
            }
        }
        String::from_utf8(line).map_err(|error| damaged(format!("its pickle has a text that is not UTF-8: {error}")))
    }

    fn push(&mut self, value: Value) -> io::Result<()> {
        let id = self.pickle.add(value)?;
        self.stack.push(id);
        Ok(())
    }

    fn pop(&mut self) -> io::Result<Id> {
        let least = self.marks.last().copied().unwrap_or(0);
        match self.stack.len() > least {
            true => self.stack.pop().ok_or_else(empty),
            false => Err(empty()),
        }
    }

    fn pop_many(&mut self, count: usize) -> io::Result<Vec<Id>> {
        let mut ids = (0..count).map(|_| self.pop()).collect::<io::Result<Vec<Id>>>()?;
        ids.reverse();
        Ok(ids)
    }

    /// What was put on the stack since the last mark.
    fn pop_mark(&mut self) -> io::Result<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(empty)?;
        Ok(self.stack.split_off(mark))
    }

    /// Adds to the list or table that is on top.
    fn extend(&mut self, more: Vec<Id>) -> io::Result<()> {
        let top = *self.stack.last().ok_or_else(empty)?;
        let dict = match &self.pickle.values[top as usize] {
            // An OrderedDict is filled as a dict is.
            Value::Call(class, _) if matches!(self.pickle.get(*class), Value::Global(_, name) if name == "OrderedDict") => {
                true
            }
            Value::Dict(_) => true,
            Value::List(_) => false,
            other => return Err(damaged(format!("its pickle adds to {}", other.kind()))),
        };
        if dict && !more.len().is_multiple_of(2) {
            return Err(damaged("its pickle has a key without a value"));
        }
        match &mut self.pickle.values[top as usize] {
            Value::List(all) | Value::Dict(all) => all.extend(more),
            value => *value = Value::Dict(more),
        }
        Ok(())
    }

    fn remember(&mut self, key: u32) -> io::Result<()> {
        let top = *self.stack.last().ok_or_else(empty)?;
        if self.memo.len() >= MOST_VALUES {
            return Err(damaged(format!("its pickle memoizes more than {MOST_VALUES} values")));
        }
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> io::Result<()> {
        let id = *self.memo.get(&key).ok_or_else(|| damaged("its pickle recalls what it never remembered"))?;
        if self.stack.len() >= MOST_VALUES {
            return Err(damaged(format!("its pickle has more than {MOST_VALUES} values")));
        }
        self.stack.push(id);
        Ok(())
    }

    /// Does an instruction: whether it was the last.
    fn step(&mut self) -> io::Result<bool> {
        let [instruction] = self.bytes()?;
        match instruction {
            b'\x80' => drop(self.bytes::<1>()?), // PROTO
            b'\x95' => drop(self.bytes::<8>()?), // FRAME
            b'.' => {
                self.pickle.whole = self.pop()?;
                return Ok(true);
            }
            b'(' => {
                if self.marks.len() >= MOST_VALUES {
                    return Err(damaged("its pickle has too many marks"));
                }
                self.marks.push(self.stack.len());
            }
            b'0' => drop(self.pop()?), // POP
            b'N' => self.push(Value::None)?,
            b'\x88' => self.push(Value::Bool(true))?,
            b'\x89' => self.push(Value::Bool(false))?,
            b'J' => {
                let number = i32::from_le_bytes(self.bytes()?);
                self.push(Value::Int(number.into()))?;
            }
            b'K' => {
                let [number] = self.bytes()?;
                self.push(Value::Int(number.into()))?;
            }
            b'M' => {
                let number = u16::from_le_bytes(self.bytes()?);
                self.push(Value::Int(number.into()))?;
            }
            b'\x8a' => {
                let [len] = self.bytes()?;
                let mut number = [0_u8; 8];
                if usize::from(len) > number.len() {
                    return Err(damaged("its pickle has a number of more than 64 bits"));
                }
                self.from.read_exact(&mut number[..usize::from(len)])?;
                if len > 0 && number[usize::from(len) - 1] & 0x80 != 0 {
                    number[usize::from(len)..].fill(0xff);
                }
                self.push(Value::Int(i64::from_le_bytes(number)))?;
            }
            b'G' => {
                self.bytes::<8>()?;
                self.push(Value::Float)?;
            }
            b'X' => {
                let len = u32::from_le_bytes(self.bytes()?);
                let text = self.text(len as usize)?;
                self.push(Value::Text(text))?;
            }
            b'\x8c' => {
                let [len] = self.bytes()?;
                let text = self.text(len.into())?;
                self.push(Value::Text(text))?;
            }
            b')' => self.push(Value::Tuple(Vec::new()))?,
            b']' => self.push(Value::List(Vec::new()))?,
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b't' | b'\x85'..=b'\x87' => {
                let parts = match instruction {
                    b't' => self.pop_mark()?,
                    of_few => self.pop_many(usize::from(of_few - b'\x84'))?,
                };
                self.push(Value::Tuple(parts))?;
            }
            b'a' | b's' | b'e' | b'u' => {
                let entries = match instruction {
                    b'a' => self.pop_many(1)?,
                    b's' => self.pop_many(2)?,
                    _ => self.pop_mark()?,
                };
                self.extend(entries)?;
            }
            b'q' => {
                let [key] = self.bytes()?;
                self.remember(key.into())?;
            }
            b'r' => {
                let key = u32::from_le_bytes(self.bytes()?);
                self.remember(key)?;
            }
            b'\x94' => self.remember(self.memo.len() as u32)?,
            b'h' => {
                let [key] = self.bytes()?;
                self.recall(key.into())?;
            }
            b'j' => {
                let key = u32::from_le_bytes(self.bytes()?);
                self.recall(key)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Global(module, name))?;
            }
            b'\x93' => {
                let parts = self.pop_many(2)?;
                match (self.pickle.get(parts[0]), self.pickle.get(parts[1])) {
                    (Value::Text(module), Value::Text(name)) => {
                        let global = Value::Global(module.clone(), name.clone());
                        self.push(global)?;
                    }
                    _ => return Err(damaged("its pickle names a function by something else than texts")),
                }
            }
            b'R' | b'\x81' => {
                let parts = self.pop_many(2)?;
                self.push(Value::Call(parts[0], parts[1]))?;
            }
            // What PyTorch sets on the table itself: `_metadata`, which says nothing of weights.
            b'b' => drop(self.pop()?),
            b'Q' => {
                let id = self.pop()?;
                self.push(Value::Persistent(id))?;
            }
            other => {
                return Err(unsupported(format!(
                    "its pickle has the instruction {other:#04x}, which no table of tensors has. Save the tensors alone: \
                     torch.save(model.state_dict(), FILE)"
                )));
            }
        }
        Ok(false)
    }
}

impl Value {
    /// What it is, for a message.
    pub(super) fn kind(&self) -> String {
        match self {
            Self::None => "None".to_owned(),
            Self::Bool(_) => "a bool".to_owned(),
            Self::Int(_) => "a number".to_owned(),
            Self::Float => "a real number".to_owned(),
            Self::Text(_) => "a text".to_owned(),
            Self::Tuple(_) => "a tuple".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Dict(_) => "a table".to_owned(),
            Self::Global(module, name) => format!("{module}.{name}"),
            Self::Call(..) => "what a function makes".to_owned(),
            Self::Persistent(_) => "a storage".to_owned(),
        }
    }
}

fn empty() -> io::Error {
    damaged("its pickle takes more from its stack than is there")
}
