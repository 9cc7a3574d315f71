//! Files of `torch.save`: a pickle that says what the tensors are, and their storages, in an archive or one after the
//! other. Nothing in a pickle is run: of the functions that it names, those that make tensors are known, and any other
//! is an error.

use super::pickle::{Id, Pickle, Value};
use super::{ElementType, Tensor, damaged, unsupported};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use zip::{CompressionMethod, ZipArchive};

/// What the older format begins with: a pickle of a number that is longer than 64 bits.
const MAGIC: [u8; 15] = *b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
/// The version that is in the files of all releases of PyTorch.
const PROTOCOL: i64 = 1001;

/// What a pickle says of a storage.
struct Storage {
    key: String,
    element_type: ElementType,
    /// Bytes of a number.
    width: u64,
}

/// PyTorch's names for storages, what they hold, and the bytes of a number. Of whole numbers the place is known, but they
/// are no weights.
const KINDS: [(&str, Option<ElementType>, u64); 10] = [
    ("FloatStorage", Some(ElementType::F32), 4),
    ("DoubleStorage", Some(ElementType::F64), 8),
    ("HalfStorage", Some(ElementType::F16), 2),
    ("BFloat16Storage", Some(ElementType::BF16), 2),
    ("LongStorage", None, 8),
    ("IntStorage", None, 4),
    ("ShortStorage", None, 2),
    ("CharStorage", None, 1),
    ("ByteStorage", None, 1),
    ("BoolStorage", None, 1),
];

/// The tensors of a file of PyTorch 1.6 or later: an archive that is not compressed.
///
/// # Errors
/// Where it is damaged, or holds something else than tensors.
pub(super) fn zipped(file: &mut File) -> io::Result<Vec<Tensor>> {
    let wrong = |error: zip::result::ZipError| damaged(format!("it is no archive: {error}"));
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(wrong)?;
    let pickle = archive.file_names().find(|name| name.ends_with("/data.pkl")).map(str::to_owned);
    let pickle = pickle.ok_or_else(|| damaged("its archive has no data.pkl"))?;
    let folder = pickle.trim_end_matches("data.pkl").to_owned();
    if let Ok(mut order) = archive.by_name(&format!("{folder}byteorder")) {
        let mut text = String::new();
        order.by_ref().take(16).read_to_string(&mut text)?;
        if text.trim() != "little" {
            return Err(unsupported(format!("its numbers are of the byte order {:?}, expected little", text.trim())));
        }
    }
    let pickle = {
        let stored = archive.by_name(&pickle).map_err(wrong)?;
        check_stored(stored.compression())?;
        Pickle::read(&mut BufReader::new(stored))?
    };
    tensors(&pickle, |storage| {
        let stored = archive.by_name(&format!("{folder}data/{}", storage.key)).map_err(wrong)?;
        check_stored(stored.compression())?;
        Ok((stored.data_start(), stored.size()))
    })
}

fn check_stored(compression: CompressionMethod) -> io::Result<()> {
    match compression {
        CompressionMethod::Stored => Ok(()),
        other => Err(unsupported(format!("its archive is compressed ({other}), which those of torch.save are not"))),
    }
}

/// The tensors of a file of before PyTorch 1.6: five pickles, and the storages after them.
///
/// # Errors
/// As [`zipped`].
pub(super) fn legacy(file: &mut File) -> io::Result<Vec<Tensor>> {
    let len = file.metadata()?.len();
    let mut file = BufReader::new(file);
    let mut first = [0; MAGIC.len()];
    file.read_exact(&mut first)?;
    if first != MAGIC {
        return Err(unsupported("it is a pickle, but not one of torch.save"));
    }
    match Pickle::read(&mut file)?.whole() {
        Value::Int(PROTOCOL) => {}
        _ => return Err(unsupported(format!("it is not of the protocol {PROTOCOL}"))),
    }
    let system = Pickle::read(&mut file)?;
    let little = |pair: &[Id]| match (system.get(pair[0]), system.get(pair[1])) {
        (Value::Text(key), Value::Bool(is)) if key == "little_endian" => Some(*is),
        _ => None,
    };
    let Value::Dict(pairs) = system.whole() else { return Err(damaged("its second pickle is no table")) };
    if pairs.chunks_exact(2).find_map(little) == Some(false) {
        return Err(unsupported("its numbers are big-endian, expected little-endian ones"));
    }
    let pickle = Pickle::read(&mut file)?;
    let keys = Pickle::read(&mut file)?;
    let Value::List(keys_of) = keys.whole() else { return Err(damaged("its last pickle is no list of storages")) };
    // Each storage has the count of its numbers before it; how long a number is, the pickle says.
    let widths = widths(&pickle)?;
    let mut places = HashMap::new();
    let mut position = file.stream_position()?;
    for &key in keys_of {
        let Value::Text(key) = keys.get(key) else { return Err(damaged("a storage has no name")) };
        let width = widths.get(key.as_str()).ok_or_else(|| damaged(format!("no tensor has the storage {key:?}")))?;
        file.seek(SeekFrom::Start(position))?;
        let mut count = [0; 8];
        file.read_exact(&mut count)?;
        let bytes = u64::from_le_bytes(count).checked_mul(*width).filter(|bytes| *bytes <= len);
        let bytes = bytes.ok_or_else(|| damaged(format!("the storage {key:?} is longer than the file")))?;
        places.insert(key.clone(), (position + 8, bytes));
        position += 8 + bytes;
    }
    tensors(&pickle, |storage| {
        let place = places.get(&storage.key).copied();
        place.ok_or_else(|| damaged(format!("it has no storage {:?}", storage.key)))
    })
}

/// The table of tensors that a pickle is; `place` says where a storage begins, and how many bytes it has.
fn tensors(pickle: &Pickle, mut place: impl FnMut(&Storage) -> io::Result<(u64, u64)>) -> io::Result<Vec<Tensor>> {
    const ALONE: &str = "Save the tensors alone: torch.save(model.state_dict(), FILE)";
    let Value::Dict(pairs) = pickle.whole() else {
        return Err(unsupported(format!("it holds {}, expected a table of tensors. {ALONE}", pickle.whole().kind())));
    };
    let mut all = Vec::with_capacity(pairs.len() / 2);
    for pair in pairs.chunks_exact(2) {
        let Value::Text(name) = pickle.get(pair[0]) else {
            return Err(unsupported(format!("it has {} for a name. {ALONE}", pickle.get(pair[0]).kind())));
        };
        let Some(parts) = rebuilt(pickle, pair[1], name)? else {
            return Err(unsupported(format!("'{name}' is {}, and no tensor. {ALONE}", pickle.get(pair[1]).kind())));
        };
        let wrong = || damaged(format!("'{name}' is no tensor of a storage"));
        let [storage, offset, shape, strides] = parts.get(..4).ok_or_else(wrong)? else { return Err(wrong()) };
        let storage = storage_of(pickle, *storage)?;
        let (start, bytes) = place(&storage)?;
        let Value::Int(offset @ 0..) = *pickle.get(*offset) else { return Err(wrong()) };
        let (shape, strides) =
            (lengths(pickle, *shape).ok_or_else(wrong)?, lengths(pickle, *strides).ok_or_else(wrong)?);
        if shape.len() != strides.len() {
            return Err(wrong());
        }
        let start = (offset as u64).checked_mul(storage.width).and_then(|skipped| skipped.checked_add(start));
        let start = start.ok_or_else(wrong)?;
        let is_contiguous = is_contiguous(&shape, &strides);
        let view = (!is_contiguous).then(|| shape.iter().copied().zip(strides).collect());
        let tensor = Tensor { name: name.clone(), shape, element_type: storage.element_type, start, view };
        // Within its storage, not only within the file.
        let inside = |span: u64| span.saturating_add(offset as u64).saturating_mul(storage.width) <= bytes;
        if !tensor.span().is_some_and(|span| inside(span as u64)) {
            return Err(damaged(format!("'{name}', {:?}, is larger than its storage", tensor.shape)));
        }
        all.push(tensor);
    }
    Ok(all)
}

/// What a tensor is made of: storage, offset, shape, strides and more; `None` of what is none.
fn rebuilt<'a>(pickle: &'a Pickle, id: Id, name: &str) -> io::Result<Option<&'a [Id]>> {
    let Value::Call(function, parts) = pickle.get(id) else { return Ok(None) };
    let Value::Tuple(parts) = pickle.get(*parts) else { return Ok(None) };
    let Value::Global(module, function) = pickle.get(*function) else { return Ok(None) };
    match (module.as_str(), function.as_str()) {
        ("torch._utils", "_rebuild_tensor_v2") => Ok(Some(parts)),
        // A parameter is a tensor, and whether it is trained; not another parameter.
        ("torch._utils", "_rebuild_parameter") => match parts.first().map(|&inner| (inner, pickle.get(inner))) {
            Some((inner, Value::Call(..))) if inner < id => rebuilt(pickle, inner, name),
            _ => Ok(None),
        },
        _ => Err(unsupported(format!("'{name}' would be made by {module}.{function}, and nothing of a file is run"))),
    }
}

fn storage_of(pickle: &Pickle, id: Id) -> io::Result<Storage> {
    let wrong = || damaged("a tensor has no storage");
    let Value::Persistent(parts) = pickle.get(id) else { return Err(wrong()) };
    let Value::Tuple(parts) = pickle.get(*parts) else { return Err(wrong()) };
    let part = |i: usize| parts.get(i).map(|&id| pickle.get(id));
    let (Some(Value::Text(what)), Some(Value::Global(module, class)), Some(Value::Text(key))) =
        (part(0), part(1), part(2))
    else {
        return Err(wrong());
    };
    let known = KINDS.iter().find(|(name, ..)| module == "torch" && class == name);
    let (_, element_type, width) = known
        .filter(|_| what == "storage")
        .ok_or_else(|| unsupported(format!("it has element_type of the type {module}.{class}, which is not known")))?;
    let element_type = match element_type {
        Some(numbers) => numbers.clone(),
        None => ElementType::Other(class.trim_end_matches("Storage").to_owned()),
    };
    Ok(Storage { key: key.clone(), element_type, width: *width })
}

/// The bytes of a number of each storage.
fn widths(pickle: &Pickle) -> io::Result<HashMap<String, u64>> {
    let storages = pickle.ids().filter(|&id| matches!(pickle.get(id), Value::Persistent(_)));
    storages.map(|id| storage_of(pickle, id).map(|storage| (storage.key, storage.width))).collect()
}

fn lengths(pickle: &Pickle, id: Id) -> Option<Vec<usize>> {
    let Value::Tuple(parts) = pickle.get(id) else { return None };
    let length = |&id: &Id| match *pickle.get(id) {
        Value::Int(length) => usize::try_from(length).ok(),
        _ => None,
    };
    parts.iter().map(length).collect()
}

/// Whether numbers lie row after row. The stride of an axis of one number means nothing.
fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1_usize;
    shape.iter().zip(strides).rev().all(|(&length, &stride)| {
        let is = length <= 1 || stride == expected;
        expected = expected.saturating_mul(length);
        is
    })
}
