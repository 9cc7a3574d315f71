//! Rows of Parquet: of the columns that are read, and one row group after the other, with a page of each column in memory.

mod pages;

use crate::catch_panic::caught;
use crate::columns::{Columns, OPTIONAL, check_columns};
use crate::json::{JsonForm, Record, SaidRecord};
use crate::lines::LONGEST_OBJECT;
use crate::{Annotations, TextError};
use pages::Pages;
use parquet::basic::{ConvertedType, Repetition};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::PageReader;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::reader::RowGroupReader;
use parquet::record::reader::{ReaderIter, RowIter, TreeBuilder};
use parquet::record::{Field, Row};
use parquet::schema::types::{SchemaDescPtr, SchemaDescriptor, Type};
use serde_json::{Map, Value};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows that are decoded at once: few, as a text may be a whole book.
const BATCH: usize = 64;

/// The rows of a file.
pub(crate) struct ParquetRows {
    path: PathBuf,
    file: Arc<File>,
    metadata: ParquetMetaData,
    /// The columns that are read.
    schema: SchemaDescPtr,
    /// Those of source and target, where they are named.
    names: Option<Vec<String>>,
    form: JsonForm,
    /// Whether there are other columns.
    has_more: bool,
    /// The row groups that are begun, and the rows of the last of them.
    groups: usize,
    rows: Option<ReaderIter>,
    /// The rows that are read, and those up to the end of the row group.
    number: u64,
    end: u64,
}

/// What a row is.
pub(crate) enum ParquetRow {
    /// What it says.
    Said(SaidRecord),
    /// It has more bytes than are read.
    Large,
}

impl ParquetRows {
    /// Opens a file, of which the footer says what its columns are.
    ///
    /// # Errors
    /// Where it cannot be read, or has no such columns.
    pub(crate) fn open(path: &Path, columns: Option<&Columns>, beside: &Annotations) -> Result<Self, TextError> {
        let wrong = |reason| TextError::Parquet { path: path.to_owned(), reason };
        let read = |error| TextError::io("read", path, error);
        let mut file = File::open(path).map_err(read)?;
        if file.metadata().map_err(read)?.is_dir() {
            return Err(TextError::Folder { path: path.to_owned() });
        }
        let mut begins = Vec::new();
        file.by_ref().take(4).read_to_end(&mut begins).map_err(read)?;
        if begins != b"PAR1" {
            return Err(wrong(not_parquet(&begins).to_owned()));
        }
        let damaged =
            |error| wrong(format!("its footer, which says where its columns are, cannot be read: {}", reason(&error)));
        let metadata = guarded(|| ParquetMetaDataReader::new().parse_and_finish(&file)).map_err(damaged)?;
        if metadata.file_metadata().num_rows() == 0 {
            return Err(TextError::Empty { path: path.to_owned() });
        }
        let names = columns.and_then(Columns::names);
        let fields = metadata.file_metadata().schema().get_fields();
        let all: Vec<(String, Value)> = fields.iter().map(|field| (field.name().to_owned(), like(field))).collect();
        check_columns(all.clone(), names, beside).map_err(wrong)?;
        let is_read = |name: &str| names.is_none_or(|names| names.iter().any(|read| read == name)) || beside.has(name);
        let fields: Vec<Arc<Type>> = fields.iter().filter(|field| is_read(field.name())).cloned().collect();
        let is_weight = |name: &str| beside.weight.as_ref().is_some_and(|column| column.is(name));
        let are_texts = |field: &&Arc<Type>| (names.is_some() || field.name() != MESSAGES) && !is_weight(field.name());
        for field in fields.iter().filter(are_texts) {
            check_text(field).map_err(wrong)?;
        }
        let texts = all.iter().filter(|(name, _)| is_read(name) && !(names.is_none() && beside.has(name)));
        let form = Record::of_fields(texts.cloned().collect(), names, &Annotations::default());
        let form = form.map_or(JsonForm::Pairs, |said| said.record.form());
        let has_more = fields.len() < all.len();
        let schema = Type::group_type_builder("schema").with_fields(fields).build();
        let schema = schema.map_err(damaged)?;
        Ok(Self {
            path: path.to_owned(),
            file: Arc::new(file),
            metadata,
            schema: Arc::new(SchemaDescriptor::new(Arc::new(schema))),
            names: names.map(<[String]>::to_vec),
            form,
            has_more,
            groups: 0,
            rows: None,
            number: 0,
            end: 0,
        })
    }

    /// What its rows are.
    pub(crate) fn form(&self) -> JsonForm {
        self.form
    }

    /// The row that was read last, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The next row.
    ///
    /// # Errors
    /// What is wrong with it; where its row group is damaged, the next row is that of the next one.
    pub(crate) fn next_row(&mut self, beside: &Annotations) -> Result<Option<ParquetRow>, TextError> {
        loop {
            let wrong = |line, reason| TextError::Example { path: self.path.clone(), line, reason };
            let (group, number) = (self.groups, self.number + 1);
            let next = match &mut self.rows {
                Some(rows) => guarded(|| rows.next().transpose()),
                None => {
                    let Some(group) = self.metadata.row_groups().get(group) else { return Ok(None) };
                    self.groups += 1;
                    self.end = self.number.saturating_add(group.num_rows().try_into().unwrap_or(0));
                    let group = Group { file: &self.file, metadata: group };
                    let rows = TreeBuilder::new().with_batch_size(BATCH);
                    guarded(|| rows.as_iter(self.schema.clone(), &group)).map(|rows| {
                        self.rows = Some(rows);
                        None
                    })
                }
            };
            match next {
                Ok(None) if self.number == self.end => self.rows = None,
                Ok(None) => {}
                Ok(Some(row)) => {
                    self.number = number;
                    return self.said(row, beside).map(Some).map_err(|reason| wrong(number, reason));
                }
                Err(error) => {
                    // Its columns may be out of step.
                    (self.rows, self.number) = (None, self.end);
                    return Err(wrong(number, format!("row group {} cannot be read: {}", self.groups, reason(&error))));
                }
            }
        }
    }

    fn said(&self, row: Row, beside: &Annotations) -> Result<ParquetRow, String> {
        let (mut fields, mut bytes) = (Vec::new(), 0);
        for (name, field) in row.into_columns() {
            let value = value(field, &mut bytes).map_err(|reason| format!("{name:?} {reason}"))?;
            // All rows have all columns: null is where an object would not have the key.
            let is_optional = self.names.is_none() && OPTIONAL.contains(&name.as_str());
            if !(value.is_null() && is_optional) {
                fields.push((name, value));
            }
        }
        if bytes > LONGEST_OBJECT {
            return Ok(ParquetRow::Large);
        }
        let said = Record::of_fields(fields, self.names.as_deref(), beside)?;
        Ok(ParquetRow::Said(SaidRecord { has_more: self.has_more, ..said }))
    }
}

/// The key of conversations.
const MESSAGES: &str = "messages";

/// The kind of value that a column has.
fn like(column: &Type) -> Value {
    match column.get_basic_info().converted_type() {
        ConvertedType::LIST => Value::Array(Vec::new()),
        _ if column.is_group() => Value::Object(Map::new()),
        _ => Value::String(String::new()),
    }
}

/// That a column has texts.
fn check_text(column: &Type) -> Result<(), String> {
    let (name, info) = (column.name(), column.get_basic_info());
    let found = match column {
        Type::GroupType { .. } => "lists or structs".to_owned(),
        _ if info.repetition() == Repetition::REPEATED => "lists".to_owned(),
        Type::PrimitiveType { .. } => match info.converted_type() {
            ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON => return Ok(()),
            ConvertedType::NONE => column.get_physical_type().to_string(),
            other => other.to_string(),
        },
    };
    Err(format!(
        "its column {name:?} has {found}, and a text has to be a string (BYTE_ARRAY with the logical type String). Make strings of it, or \
         say which other columns are read, such as data.columns = [\"en\", \"de\"]"
    ))
}

/// A number; JSON has none for a NaN, which is how some programs write what is missing.
fn finite(number: f64) -> Result<Value, String> {
    match number.is_infinite() {
        true => Err(format!("it has the number {number}")),
        false => Ok(number.into()),
    }
}

/// A value as JSON has it; the bytes of its texts are counted.
fn value(field: Field, bytes: &mut usize) -> Result<Value, String> {
    Ok(match field {
        Field::Null => Value::Null,
        Field::Str(text) => {
            *bytes += text.len();
            Value::String(text)
        }
        Field::Bool(is) => is.into(),
        Field::Int(number) => number.into(),
        Field::Long(number) => number.into(),
        Field::Float(number) => finite(number.into())?,
        Field::Double(number) => finite(number)?,
        Field::ListInternal(list) => {
            let elements = list.elements().iter().map(|element| value(element.clone(), bytes));
            Value::Array(elements.collect::<Result<_, _>>()?)
        }
        Field::Group(fields) => {
            let mut object = Map::new();
            for (name, field) in fields.into_columns() {
                // All structs have all fields.
                let value = value(field, bytes)?;
                if !value.is_null() {
                    object.insert(name, value);
                }
            }
            Value::Object(object)
        }
        _ => return Err("has a value of a type that JSON has not. Make strings of it".to_owned()),
    })
}

/// What is said of a file that does not begin as one of Parquet.
fn not_parquet(begins: &[u8]) -> &'static str {
    match begins {
        b"PARE" => "it is encrypted. Write it without",
        [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd] => {
            "it is compressed as a whole, and Parquet is read by parts. Decompress it: its pages are compressed anyway"
        }
        _ => "it is no Parquet, as its first bytes say. If it is text, name it .txt, .tsv, .csv or .jsonl",
    }
}

/// What the library says: of damaged pages it also panics.
fn guarded<T>(work: impl FnOnce() -> ParquetResult<T>) -> ParquetResult<T> {
    caught(work).unwrap_or_else(|panic| Err(ParquetError::General(panic)))
}

/// The same with what to do; what is not read says so itself.
fn reason(error: &ParquetError) -> String {
    match error {
        ParquetError::NYI(reason) => reason.clone(),
        ParquetError::General(reason) | ParquetError::EOF(reason) => {
            format!("it is cut off or damaged ({reason}). {REMEDY}")
        }
        other => format!("{other}. {REMEDY}"),
    }
}

const REMEDY: &str = "Get the file again, or write it anew";

/// A row group of a file, for the library's assembly of rows.
struct Group<'a> {
    file: &'a Arc<File>,
    metadata: &'a RowGroupMetaData,
}

impl RowGroupReader for Group<'_> {
    fn metadata(&self) -> &RowGroupMetaData {
        self.metadata
    }

    fn num_columns(&self) -> usize {
        self.metadata.num_columns()
    }

    fn get_column_page_reader(&self, column: usize) -> ParquetResult<Box<dyn PageReader>> {
        let rows = usize::try_from(self.metadata.num_rows())?;
        Ok(Box::new(Pages::new(self.file, self.metadata.column(column), rows)?))
    }

    fn get_column_bloom_filter(&self, _column: usize) -> Option<&Sbbf> {
        None
    }

    fn get_row_iter(&self, projection: Option<Type>) -> ParquetResult<RowIter<'_>> {
        RowIter::from_row_group(projection, self)
    }
}
