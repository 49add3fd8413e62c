"""JSON kept inside a .keras file, and limits on what is read from one."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from began.errors import ARCHIVE_ERRORS, InputError, printable, raise_resource_error
from began.files import StrPath, describe_no_file, is_file, say_why_not_there

WEIGHTS = "model.weights.h5"
"""The member of a .keras file that holds the weights; all others are JSON, and small."""

MAX_JSON_BYTES, MAX_NETWORK_BYTES = 1 << 22, (1 << 26) + (1 << 22)
"""Limits on what is read from a .keras file: 4 MB for a JSON member (260,000 listed recordings), 68 MB in all (128 base filters
need 63). A small archive can unpack to far more, and Keras holds weights three times while loading."""

NEW_IN_KERAS = ("quantization_config", "input_axes", "output_axes")
"""Members that layers and initialisers have since Keras 3.5, and that networks of this project leave at null."""


def attach_json(keras_file: StrPath, name: str, content: dict[str, Any]) -> None:
    """Adds `content` as the member `name.json` to a .keras file, which Keras itself ignores.

    So one file carries a network and the settings it was made with, and still loads without this project's code, in Keras 3.5
    and later. Dates and memory addresses, which Keras also writes, are taken out: the same network and settings give the same
    bytes, and so the same hash, by which runs know their encoder.

    Raises:
        InputError: `content` is longer than what is read again; the file stays as it was.
    """
    data = json.dumps(content, indent=1, sort_keys=True).encode()
    if len(data) > MAX_JSON_BYTES:
        found, expected = f"{len(data) / 1e6:.1f} MB in {name}.json", f"at most {MAX_JSON_BYTES / 1e6:.1f} MB"
        action = "train on fewer recordings, which are listed there: it could be saved, but not opened again"
        raise InputError.about(Path(keras_file).name, found, expected, action)
    with zipfile.ZipFile(keras_file) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    if "metadata.json" in members:
        metadata = {key: value for key, value in json.loads(members["metadata.json"]).items() if key != "date_saved"}
        members["metadata.json"] = json.dumps(metadata).encode()
    if "config.json" in members:
        ids: dict[bytes, bytes] = {}
        address = rb'(?<="shared_object_id": )\d+'
        config = re.sub(address, lambda a: ids.setdefault(a[0], b"%d" % len(ids)), members["config.json"])
        members["config.json"] = json.dumps(json.loads(config, object_hook=_leave_out_new_members)).encode()
    members[f"{name}.json"] = data
    with zipfile.ZipFile(keras_file, "w") as archive:
        for member, data in members.items():
            archive.writestr(zipfile.ZipInfo(member), data)  # ZipInfo's own date is a constant


def _leave_out_new_members(config: dict[str, Any]) -> dict[str, Any]:
    """Returns a Keras configuration without members that are null and that Keras 3.5 refuses to know.

    Nor do operations (such as a mean) know their own name there; it stands beside their configuration, too.
    """
    if str(config.get("module")).startswith("keras.src.ops") and isinstance(config.get("config"), dict):
        config = {**config, "config": {name: value for name, value in config["config"].items() if name != "name"}}
    return {name: value for name, value in config.items() if name not in NEW_IN_KERAS or value is not None}


@contextmanager
def open_keras_file(path: StrPath) -> Iterator[zipfile.ZipFile]:
    """Opens a .keras file for reading, after checking how large its members say that they are: none gives more than it says.

    Raises:
        ValueError: a member is larger than this project's are, or all are together.
        OSError, zipfile.BadZipFile: it cannot be read, or is no archive.
    """
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.file_size > MAX_JSON_BYTES and member.filename != WEIGHTS:
                name = printable(member.filename)[:60]
                raise ValueError(f"{member.file_size} bytes in {name}, more than {MAX_JSON_BYTES}")
        if (total := sum(member.file_size for member in archive.infolist())) > MAX_NETWORK_BYTES:
            raise ValueError(f"{total} bytes when unpacked, more than {MAX_NETWORK_BYTES}")
        yield archive


def read_attached_json(keras_file: StrPath, name: str, default: dict[str, Any] | None = None) -> dict[str, Any]:
    """Returns what `attach_json` stored under `name`, or `default` (where one is given) if there is nothing.

    Raises:
        InputError: no such file, not a .keras file, damaged, or without that member and a default.
    """
    path = Path(keras_file)
    expected = f"a .keras file of this project, with {name}.json inside"
    if not is_file(path):
        raise InputError.about(path, describe_no_file(path), expected, say_why_not_there(path) or "check the path")
    try:
        with open_keras_file(path) as archive:
            content = json.loads(archive.read(f"{name}.json"))
        if not isinstance(content, dict):
            raise ValueError(f"{name}.json is no record")
        return content
    except KeyError as error:
        if default is not None:
            return default
        raise InputError.about(path, f"a .keras file without {name}.json", expected, "give another file") from error
    except ARCHIVE_ERRORS as error:
        raise_resource_error(error)
        found = f"a damaged or foreign file ({error})"
        raise InputError.about(path, found, expected, "copy it again, or make it again") from error
