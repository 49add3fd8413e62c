"""JSON and CSV files of results: each appears whole or not at all, and one that is damaged is refused with what to do."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from began.errors import InputError, raise_resource_error
from began.files import write_atomically, write_text
from experiments.corpora.record import TEXT_COLUMNS

RUN_AGAIN = "remove its folder and run the experiment again"
SEARCH = "search"
"""Folder of a condition's searches."""


def how_to_repair(path: Path) -> str:
    """Returns what to do where a file of results is damaged: runs cannot do without the searches they selected in."""
    if path.parent.name != SEARCH:
        return RUN_AGAIN
    return f"remove {path.parents[1]} (its runs belong to these searches), and run the experiment again"


def read_json(path: Path) -> dict:
    """Returns the content of a JSON file.

    Raises:
        InputError: it is absent or not a JSON record.
    """
    with refusing(path, "a JSON file"):
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError(f"a {type(content).__name__} in place of a record")
        return content


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Writes a JSON file, whole or not at all."""
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_table(path: Path) -> pd.DataFrame:
    """Returns the content of a CSV file; TEXT_COLUMNS stay text ("03" is a speaker, "NA" may be a class).

    Raises:
        InputError: it is absent or not a table.
    """
    with refusing(path, "a CSV table"):
        columns = pd.read_csv(path, nrows=0).columns
        text = {name: str for name in columns if name in TEXT_COLUMNS}
        numbers = {name: ["", "nan", "NaN"] for name in columns if name not in text}
        return pd.read_csv(path, dtype=text, keep_default_na=False, na_values=numbers, float_precision="round_trip")


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Writes a CSV file, whole or not at all, without the index."""
    with write_atomically(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def put_in_front(table: pd.DataFrame, values: Mapping[str, Any]) -> pd.DataFrame:
    """Returns a table with columns of one value each in front of the others."""
    others = [name for name in table if name not in values]
    return table.assign(**values)[[*values, *others]]


def plain(value: Any) -> Any:
    """Returns a value in JSON's types: paths and names as text, NumPy scalars and arrays unpacked, NaN as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"cannot be written as JSON: {value!r} ({type(value).__name__})")


@contextmanager
def refusing(path: Path, expected: str) -> Iterator[None]:
    """Says what a file should be where a block that reads it fails."""
    try:
        yield
    except (OSError, ValueError, RecursionError) as error:  # pandas' parser errors are ValueErrors
        raise_resource_error(error)
        found = getattr(error, "strerror", None) or error
        raise InputError.about(path, found, expected, how_to_repair(path)) from error
