"""What `tests/fuzz.py` has found in the readers of strangers' files, and what it looked for and must never find."""

from __future__ import annotations

import io
import json
import struct
import zipfile

import hypothesis
import numpy as np
import pytest
import soundfile
from fuzz import READERS, make_input, make_sounds

from began.audio import read_audio
from began.errors import InputError
from began.keras_file import MAX_JSON_BYTES, attach_json, read_attached_json
from experiments.corpora import load
from experiments.corpora.record import RESERVED_LABELS

# ------------------------------------------------------------------------------------------------------- .keras files


def archive_of(content: bytes, **options: object) -> bytearray:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as archive:
        archive.writestr("head.json", content)
    return bytearray(file.getvalue())


def with_field(archive: bytearray, offset: int, value: int) -> bytearray:
    """Sets a 16-bit field of the central directory's entry (APPNOTE.TXT, section 4.3.12)."""
    entry = archive.index(b"PK\1\2")
    archive[entry + offset : entry + offset + 2] = struct.pack("<H", value)
    return archive


ARCHIVES = {
    "of a later version": lambda: with_field(archive_of(b"{}"), 6, 84),
    "with a password": lambda: with_field(archive_of(b"{}"), 8, 1),
    "of an unknown compression": lambda: with_field(archive_of(b"{}"), 10, 77),
    "deflated, damaged": lambda: (lambda whole: whole[:45] + bytes([whole[45] ^ 0xFF]) + whole[46:])(
        archive_of(json.dumps(list(range(300))).encode(), compression=zipfile.ZIP_DEFLATED)
    ),
    "with LZMA, damaged": lambda: (lambda whole: whole[:45] + b"\xff" + whole[46:])(
        archive_of(json.dumps(list(range(300))).encode(), compression=zipfile.ZIP_LZMA)
    ),
    "with JSON nested too deep": lambda: archive_of(b'{"a":' * 200_000),
    "with a list": lambda: archive_of(b"[]"),
    "with bytes that are not UTF-8": lambda: archive_of(b'{"a": "\xff"}'),
    "that unpacks to more than memory should hold": lambda: archive_of(
        b'"' + b"a" * (MAX_JSON_BYTES + 1) + b'"', compression=zipfile.ZIP_DEFLATED
    ),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives(name, tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(ARCHIVES[name]())
    with pytest.raises(InputError, match=r"model\.keras: found a damaged or foreign file"):
        read_attached_json(path, "head")


def test_a_model_of_many_recordings_can_be_opened_and_one_of_too_many_is_not_written(tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(archive_of(b"{}"))
    attach_json(path, "head", {"sounds": [f"{number:010x}" for number in range(260_000)]})
    assert len(read_attached_json(path, "head")["sounds"]) == 260_000
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"model\.keras: found 4\.3 MB in head\.json; expected at most 4\.2 MB"):
        attach_json(path, "head", {"sounds": [f"{number:010x}" for number in range(270_000)]})
    assert path.read_bytes() == before


# -------------------------------------------------------------------------------------------------------------- sound


@pytest.mark.parametrize("rate_hz", [1, 1_999, 1_000_001, 2**31 - 1])
def test_rates_that_no_recording_has(rate_hz, tmp_path):
    """A damaged header: 1 Hz would stretch three seconds to half a day."""
    soundfile.write(tmp_path / "a.wav", np.zeros(3_000), 16_000)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[24:28] = struct.pack("<I", rate_hz)
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(InputError, match=f"found a sample rate of {rate_hz} Hz; expected 2000 to 1000000 Hz"):
        read_audio(tmp_path / "a.wav")


def test_finite_samples_whose_mean_is_not(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.full((300, 2), 3e38), 16_000, subtype="FLOAT")
    with pytest.raises(InputError, match=r"found samples up to 3e\+38; expected samples from -1 to 1"):
        read_audio(tmp_path / "a.wav")


# ---------------------------------------------------------------------------------------------------------- manifests


@pytest.mark.parametrize("label", sorted(RESERVED_LABELS))
def test_labels_that_are_columns_of_results(label, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.tile([0.1, -0.1], 800), 16_000)
    (tmp_path / "my.csv").write_text(f"file,label\na.wav,{label}\n", encoding="utf-8")
    with pytest.raises(InputError, match=f"label is '{label}', which is another column of predictions; expected another name"):
        load("manifest", tmp_path / "my.csv")


# ------------------------------------------------------------------------------------------------------- a short fuzz


def test_property_tests_draw_the_same_every_time():
    """Whatever the environment; `make fuzz` asks for the other profile."""
    assert hypothesis.settings().derandomize and hypothesis.settings().deadline is None
    assert not hypothesis.settings.get_profile("random").derandomize


@pytest.mark.parametrize("seed", range(4))
def test_mutated_files_give_a_value_or_an_input_error(seed, tmp_path):
    """A hundred of the inputs that the long run makes by the ten thousand."""
    random, sounds, refused = np.random.default_rng(seed), make_sounds(), 0
    for _ in range(100):
        reader, path = make_input(random, sounds, tmp_path)
        try:
            READERS[reader](path)
        except InputError as error:
            refused += 1
            assert "found" in str(error) or "\n  - " in str(error)
    assert 20 <= refused < 100
