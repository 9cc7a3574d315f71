#!/usr/bin/env python3
"""Writes crates/text/tests/reference/*: small files of Parquet in every form that is read, and the same texts as JSON lines.

    python3 -m venv ~/arrow && ~/arrow/bin/pip install pyarrow
    ~/arrow/bin/python tools/parquet_files.py
"""
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = Path(__file__).parent.parent / "crates/text/tests/reference"
# Sources that come again, and targets of many lengths, scripts and line ends.
ENDS = ["", "\n", " 我们", " ñandú 😊", "\ttab", ' "quoted", twice']
PAIRS = [dict(prompt=f"what is {n % 17}?", completion=f"{n} {'and more ' * (n % 7)}{ENDS[n % 6]}") for n in range(200)]


def write(name, table, **options):
    pq.write_table(table, FOLDER / f"{name}.parquet", **options)


def lines(name, rows):
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (FOLDER / f"{name}.jsonl").write_text(text, encoding="utf-8")


def strings(rows, kind=pa.string()):
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: pa.array([row.get(name) for row in rows], kind) for name in names})


def encoded(encoding):
    return dict(use_dictionary=False, column_encoding={"prompt": encoding, "completion": encoding})


FOLDER.mkdir(exist_ok=True)
pairs = strings(PAIRS)
lines("pairs", PAIRS)
# Row groups of 64, 64, 64 and 8 rows; dictionary pages, as usual.
write("snappy", pairs, row_group_size=64)
write("zstd", strings(PAIRS, pa.large_string()), compression="zstd", data_page_version="2.0", row_group_size=64)
write("gzip", pairs, compression="gzip", use_dictionary=False, data_page_size=512, write_batch_size=16)
write("lz4", pairs, compression="lz4", data_page_version="2.0")
write("plain", pairs, compression="none", use_dictionary=False, row_group_size=150)
write("delta", pairs, compression="zstd", **encoded("DELTA_BYTE_ARRAY"))
write("delta_length", pairs, data_page_version="2.0", **encoded("DELTA_LENGTH_BYTE_ARRAY"))
categories = pa.table({name: pairs[name].dictionary_encode() for name in pairs.column_names})
write("categories", categories.unify_dictionaries())
required = pa.schema([pa.field(name, pa.string(), nullable=False) for name in pairs.column_names])
write("required", pairs.cast(required), compression="none", row_group_size=64)
# Not read: another codec, and a page of much more bytes than the file has.
write("brotli", pairs, compression="brotli")
write("large_page", strings([dict(prompt="a", completion="b" * 150_000_000)]), compression="zstd", use_dictionary=False, write_statistics=False)

# System prompts that some rows have not.
SYSTEM = [row | ({"system": f"be {n}"} if n % 3 == 1 else {}) for n, row in enumerate(PAIRS[:30])]
lines("system", SYSTEM)
write("system", strings(SYSTEM), row_group_size=10)

# Columns of other names and types, and one text that is null.
COLUMNS = [dict(id=n, en=row["prompt"], de=row["completion"]) for n, row in enumerate(PAIRS)]
lines("columns", COLUMNS)
tags = pa.array([["a", "b"]] * len(COLUMNS))
write("columns", pa.Table.from_pylist(COLUMNS).append_column("tags", tags), row_group_size=64)
write("null", pa.Table.from_pylist(COLUMNS[:70] + [dict(id=70, en="what?", de=None)]), row_group_size=64)

# Conversations, of which some answers are not learned.
MESSAGES = []
for n, row in enumerate(PAIRS[:40]):
    said = [("user", row["prompt"]), ("assistant", row["completion"])] * (1 + n % 3)
    said = [dict(role=role, content=content) for role, content in said]
    if n % 4 == 0:
        said = [dict(role="system", content=f"be {n}"), *said]
    if n % 5 == 0:
        said = [*said, dict(role="user", content="and?"), dict(role="assistant", content="no", weight=0)]
    MESSAGES.append(dict(messages=said))
lines("messages", MESSAGES)
message = pa.struct([("role", pa.string()), ("content", pa.string()), ("weight", pa.int64())])
schema = pa.schema([("messages", pa.list_(message))])
write("messages", pa.Table.from_pylist(MESSAGES, schema), compression="zstd", row_group_size=16)
