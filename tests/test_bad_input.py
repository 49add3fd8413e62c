"""Everything that users get wrong, and what every script answers: one clear message, an exit code, and nothing half-written."""

from __future__ import annotations

import errno
import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from began.command_line import run_script
from began.files import lock_folder
from began.keras_file import attach_json

LEFT_BEHIND = re.compile(r"\.lock|SYNTHETIC\.txt")
"""Files that a refused command may leave: locks are empty, and reused."""


class Bench:
    """Where one case is prepared: copies of the miniature corpora, an encoder, a results folder."""

    def __init__(
        self,
        tiny_corpora: Path,
        tiny_encoder: Path,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        mounts: Callable[[Path, str], Path],
    ) -> None:
        self.corpora, self.encoder, self.folder, self.monkeypatch = tiny_corpora, tiny_encoder, folder, monkeypatch
        self.results, self.mount = folder / "results", mounts

    def copy(self, name: str) -> Path:
        """Returns a corpus of this case's own, to be damaged."""
        return Path(shutil.copytree(self.corpora / name, self.folder / name))

    def file(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def damaged(self, corpus: str, damage: Callable[[Path], Any], pattern: str = "*.wav", number: int = 0) -> Path:
        """Returns a copy of a corpus, one of whose files has gone through `damage`."""
        folder = self.copy(corpus)
        damage(sorted(folder.rglob(pattern))[number])
        return folder

    # Command lines, small enough to run to the end should nothing be refused.

    def table3(self, data: Path | None = None, *more: object, encoder: Path | None = None) -> list[object]:
        return ["--data-dir", data or self.corpora / "EmoDB", "--encoder", encoder or self.encoder, *self._small(), *more]

    def table1(self, data: Path, *more: object) -> list[object]:
        return ["--data-dir", data, "--encoder", self.encoder, *self._small(), *more]

    table2 = table1

    def _small(self) -> list[object]:
        return ["--results-dir", self.results, "--runs", 1, "--max-evals", 1, "--epochs", 1, "--workers", 1]

    def pretrain(self, *more: object, data: Path | None = None) -> list[object]:
        return [
            "--data-dir",
            data or self.corpora / "LibriSpeech",
            "--results-dir",
            self.results,
            "--base-filters",
            2,
            "--latent-size",
            8,
            "--batch-size",
            4,
            "--epochs",
            1,
            *more,
        ]

    def custom(self, manifest: Path | str, protocol: str = "kfold", *more: object) -> list[object]:
        if isinstance(manifest, str):
            manifest = self.file("mine.csv", manifest)
        return [
            "--manifest",
            manifest,
            "--protocol",
            protocol,
            "--name",
            "mine",
            "--encoder",
            self.encoder,
            *self._small(),
            *more,
        ]

    def recordings(self, labels: str, speakers: str = "") -> str:
        """Returns a manifest of short recordings, one letter per label (and speaker)."""
        lines = ["file,label,speaker" if speakers else "file,label"]
        for number, label in enumerate(labels):
            path = self.folder / "sounds" / f"{number}.wav"
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, np.random.default_rng(number).uniform(-0.1, 0.1, 4_000), 16_000)
            lines.append(f"sounds/{number}.wav,{label}" + (f",{speakers[number]}" if speakers else ""))
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Case:
    """One thing that goes wrong.

    Attributes:
        name: what is wrong.
        script: module that is called.
        arrange: makes it wrong and returns the command line.
        words: regular expressions that the message must match: the file, what was found, expected, and to be done.
        code: exit code.
        leaves: what may lie in the results folder afterwards, besides locks: work that is whole and will be used.
    """

    name: str
    script: str
    arrange: Callable[[Bench], list[object]]
    words: tuple[str, ...]
    code: int = 2
    leaves: str = "(?!)"


ABLATIONS, LABELS = "experiments.ablations", "experiments.label_efficiency"
CHECK, PREDICT = "experiments.check", "classifiers.predict"
TABLE1, TABLE2, TABLE3 = "experiments.table1_savee", "experiments.table2_omg", "experiments.table3_emodb"
PRETRAIN, CUSTOM, REPORT = "experiments.pretrain_librispeech", "experiments.custom", "experiments.report"
OMG_PREPARE = "experiments.prepare_omg"

# --------------------------------------------------------------------------------------------------------- folders

LOADERS = {"librispeech": "LibriSpeech", "emodb": "EmoDB", "savee": "SAVEE", "omg": "OMG"}
TITLES = {"librispeech": "LibriSpeech", "emodb": "EmoDB", "savee": "SAVEE", "omg": "OMG-Emotion"}
OTHERS = {"librispeech": "EmoDB", "emodb": "SAVEE", "savee": "LibriSpeech", "omg": "EmoDB"}
BELOW = {"librispeech": "train-clean-100/19", "savee": "AudioData/DC"}


def _mkdir(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


FOLDERS = [
    *(
        Case(
            f"{name}: no such folder",
            CHECK,
            lambda b, n=name: [n, b.folder / "nowhere"],
            ("nowhere", "found no such folder", f"the folder of {TITLES[name]}", "Check the path; .+"),
        )
        for name in LOADERS
    ),
    *(
        Case(
            f"{name}: empty folder",
            CHECK,
            lambda b, n=name: [n, _mkdir(b.folder / "empty")],
            ("empty: found an empty folder", TITLES[name], "Check the path; .+"),
        )
        for name in LOADERS
    ),
    *(
        Case(
            f"{name}: a file",
            CHECK,
            lambda b, n=name: [n, b.file("corpus.zip", "PK")],
            (r"corpus\.zip: found a file", TITLES[name], "Give the folder"),
        )
        for name in LOADERS
    ),
    *(
        Case(
            f"{name}: another corpus",
            CHECK,
            lambda b, n=name: [n, b.copy(OTHERS[n])],
            (OTHERS[name], r"SYNTHETIC\.txt", f"expected {TITLES[name]}"),
        )
        for name in LOADERS
    ),
    *(
        Case(
            f"{name}: one level up",
            CHECK,
            lambda b, n=name: [n, b.copy(LOADERS[n]).parent],
            (r"expected .*\.(wav|flac|csv)", f"Give .*{folder}, where it lies"),
        )
        for name, folder in LOADERS.items()
    ),
    *(
        Case(
            f"{name}: one level down",
            CHECK,
            lambda b, n=name: [n, b.copy(LOADERS[n]) / BELOW[n]],
            (BELOW[name], "found", "Give .*, where it lies"),
        )
        for name in BELOW
    ),
    Case("manifest: no such file", CHECK, lambda b: ["manifest", b.folder / "my.csv"], ("my.csv", "no such file")),
    Case(
        "manifest: a folder",
        CHECK,
        lambda b: ["manifest", _mkdir(b.folder / "mine")],
        ("mine: found a folder", "CSV file", "Give the CSV file"),
    ),
    Case(
        "table 3: no such folder", TABLE3, lambda b: b.table3(b.folder / "EmoDB"), ("EmoDB: found no such folder", "download")
    ),
    Case(
        "table 1: statistics of chunks",
        TABLE1,
        lambda b: b.table1(b.corpora / "SAVEE", "--method", "statistics", "--conditions", "chunk_split_leaking"),
        ("found chunk_split_leaking", "expected utterance_split"),
    ),
    Case(
        "table 3: statistics of utterances that may be dropped",
        TABLE3,
        lambda b: b.table3(None, "--method", "statistics", "--tail", "drop"),
        ("--tail drop", "expected every utterance"),
    ),
    Case(
        "table 3: normalised speakers for heads",
        TABLE3,
        lambda b: b.table3(None, "--normalize-speakers"),
        ("--normalize-speakers", "--method statistics"),
    ),
    Case(
        "table 3: altered copies for heads on one second",
        TABLE3,
        lambda b: b.table3(None, "--method", "head", "--augment"),
        ("--augment: found it with --method head; expected --method utterance", "Leave it out"),
    ),
    Case(
        "table 3: no altered copies of what has none",
        TABLE3,
        lambda b: b.table3(None, "--method", "statistics", "--no-augment"),
        ("--no-augment: found it with --method statistics; expected --method utterance", "Leave it out"),
    ),
    Case(
        "table 1: altered copies of sound as recorded",
        TABLE1,
        lambda b: b.table1(None, "--front-end", "literal", "--augment"),
        ("--augment: found it with --front-end literal; expected --front-end normalized or trimmed", "Leave it out"),
    ),
    Case(
        "table 3: a front end for heads on one second",
        TABLE3,
        lambda b: b.table3(None, "--method", "head", "--front-end", "trimmed"),
        ("--front-end trimmed: found it with --method head; expected a method on whole utterances", "Leave it out"),
    ),
    Case(
        "label efficiency: classes weighed by what does not",
        LABELS,
        lambda b: ["--data-dir", b.corpora / "EmoDB", "--encoder", b.encoder, "--class-weight", "balanced"],
        ("--class-weight balanced", "found it with emodb_from_scratch_005", "--methods without those"),
    ),
    Case(
        "ablations: classes weighed by what does not",
        ABLATIONS,
        lambda b: [
            "--data-dir",
            b.corpora / "EmoDB",
            "--class-weight",
            "balanced",
            "--conditions",
            "began_16_epochs",
            "functionals",
        ],
        ("--class-weight balanced", "found it with functionals", "--conditions without those"),
    ),
    Case(
        "table 3: the name of another method's runs",
        TABLE3,
        lambda b: b.table3(None, "--method", "head", "--condition", "utterance_head"),
        ("--condition utterance_head: found the name of runs with another method; expected head_per_second",),
    ),
    Case(
        "ablations: a condition of the other corpus",
        ABLATIONS,
        lambda b: ["--data-dir", b.corpora / "EmoDB", "--conditions", "majority", "savee_utterance_head"],
        ("--conditions: found savee_utterance_head; expected one of --corpus emodb", "Give --corpus savee"),
    ),
    Case("table 1: another corpus", TABLE1, lambda b: b.table1(b.corpora / "EmoDB"), ("EmoDB: found .*wav/", "expected SAVEE")),
    Case(
        "pre-training: unknown subset",
        PRETRAIN,
        lambda b: b.pretrain("--subsets", "train-clean-360"),
        ("train-clean-100", "expected the subsets train-clean-360"),
    ),
    Case(
        "prepare_omg: no videos",
        OMG_PREPARE,
        lambda b: [
            "--annotations-dir",
            b.corpora / "OMG",
            "--videos-dir",
            _mkdir(b.folder / "videos"),
            "--dest",
            b.folder / "x",
        ],
        ("videos: found an empty folder", "downloaded videos"),
    ),
    Case(
        "check: --annotations-dir beside another corpus",
        CHECK,
        lambda b: ["emodb", b.corpora / "EmoDB", "--annotations-dir", b.folder],
        ("--annotations-dir", "emodb", "omg only"),
    ),
]

# ------------------------------------------------------------------------------------------- missing, surplus, names

CONTENTS = [
    Case(
        "check: utterances missing",
        CHECK,
        lambda b: ["emodb", b.damaged("EmoDB", Path.unlink)],
        ("528 of the 535 published utterances are not there", "03a01Nc"),
        code=1,
    ),
    Case(
        "check: sound that no annotation names",
        CHECK,
        lambda b: ["omg", b.damaged("OMG", lambda path: shutil.copy(path, path.with_name("utterance_99.wav")))],
        ("1 sound file named in no annotation", "utterance_99"),
        code=1,
    ),
    Case(
        "emodb: a foreign name",
        TABLE3,
        lambda b: b.table3(b.damaged("EmoDB", lambda p: p.rename(p.with_name("take1.wav")))),
        (r"take1\.wav: found a file name", "expected speaker", "Rename or remove it"),
    ),
    Case(
        "emodb: a speaker it does not have",
        TABLE3,
        lambda b: b.table3(b.damaged("EmoDB", lambda p: p.rename(p.with_name("99a01Fa.wav")))),
        (r"99a01Fa\.wav: found", "08 to 16"),
    ),
    Case(
        "savee: an utterance twice",
        TABLE1,
        lambda b: b.table1(b.damaged("SAVEE", lambda p: shutil.copy(p, p.with_name(p.name.upper())))),
        ("DC_a01 has 2 files", "keep one"),
    ),
    Case(
        "librispeech: a foreign name",
        PRETRAIN,
        lambda b: b.pretrain(data=b.damaged("LibriSpeech", lambda p: p.rename(p.with_name("take1.flac")), "*.flac")),
        (r"take1\.flac", "expected"),
    ),
    Case(
        "omg: no audio",
        TABLE2,
        lambda b: b.table2(b.damaged("OMG", lambda p: [path.unlink() for path in p.parent.parent.rglob("*.wav")])),
        ("no sound file of the 32 utterances", "prepare_omg"),
    ),
]

# ----------------------------------------------------------------------------------------------------------- tables


def _edit_csv(b: Bench, edit: Callable[[list[str]], list[str]]) -> list[object]:
    """Edits the lines of OMG's training CSV (the header is the first)."""
    folder = b.copy("OMG")
    path = folder / "omg_TrainVideos.csv"
    path.write_text("\n".join(edit(path.read_text(encoding="utf-8").splitlines())) + "\n", encoding="utf-8")
    return b.table2(folder)


def _set_cell(column: int, value: str) -> Callable[[list[str]], list[str]]:
    def edit(lines: list[str]) -> list[str]:
        cells = lines[3].split(",")
        cells[column] = value
        return [*lines[:3], ",".join(cells), *lines[4:]]

    return edit


LINE_4 = r"omg_TrainVideos\.csv line 4: "
TABLES = [
    Case(
        "omg: no CSV files",
        TABLE2,
        lambda b: b.table2(b.damaged("OMG", lambda p: [path.unlink() for path in p.parent.glob("*.csv")], "*.csv")),
        ("omg_TrainVideos.csv",),
    ),
    Case(
        "omg: one CSV file",
        TABLE2,
        lambda b: b.table2(b.damaged("OMG", Path.unlink, "omg_Val*")),
        (r"omg_ValidationVideos\.csv: found no such file", "the columns link, start"),
    ),
    Case(
        "omg: columns missing",
        TABLE2,
        lambda b: _edit_csv(b, lambda lines: [line.rsplit(",", 2)[0] for line in lines]),
        (r"omg_TrainVideos\.csv: found the columns link, start", "Add valence, EmotionMaxVote"),
    ),
    Case("omg: arousal is no number", TABLE2, lambda b: _edit_csv(b, _set_cell(5, "high")), (LINE_4, "arousal is 'high'")),
    Case(
        "omg: arousal out of range",
        TABLE2,
        lambda b: _edit_csv(b, _set_cell(5, "3")),
        (LINE_4, "arousal is 3; expected 0 to 1"),
    ),
    Case(
        "omg: arousal NaN", TABLE2, lambda b: _edit_csv(b, _set_cell(5, "nan")), (LINE_4, "arousal is .nan.; expected a number")
    ),
    Case(
        "omg: no such emotion",
        TABLE2,
        lambda b: _edit_csv(b, _set_cell(7, "9")),
        (LINE_4, "EmotionMaxVote is 9; expected 0 to 6"),
    ),
    Case(
        "omg: end before start",
        TABLE2,
        lambda b: _edit_csv(b, _set_cell(2, "0")),
        (LINE_4, "end is 0; expected more than start"),
    ),
    Case(
        "omg: a name that leads out of the folder",
        TABLE2,
        lambda b: _edit_csv(b, _set_cell(3, "../../etc")),
        (LINE_4, "video is '../../etc'"),
    ),
    Case("omg: a row twice", TABLE2, lambda b: _edit_csv(b, lambda lines: [*lines, lines[3]]), ("is already in .* line 4",)),
    Case(
        "omg: rows cut short", TABLE2, lambda b: _edit_csv(b, lambda lines: [*lines[:5], lines[5][:20]]), ("line 6: 1 cell$",)
    ),
    Case(
        "omg: not UTF-8",
        TABLE2,
        lambda b: b.table2(b.damaged("OMG", lambda p: p.write_bytes("Überschrift".encode("utf-16")), "omg_Train*")),
        ("UTF-16 text", "[Ss]ave it as UTF-8"),
    ),
    Case(
        "manifest: no column label", CUSTOM, lambda b: b.custom("file\na.wav\n"), ("mine.csv: found the columns file", "label")
    ),
    Case("manifest: semicolons", CUSTOM, lambda b: b.custom("file;label\na.wav;x\n"), ("[Ss]eparate the columns by commas",)),
    Case(
        "manifest: a device",
        CHECK,
        lambda b: ["manifest", "/dev/null"],
        ("/dev/null: found a pipe or device", "with a header", "[Cc]heck the path"),
    ),
    Case(
        "manifest: a quote that is never closed",
        CUSTOM,
        lambda b: b.custom('file,label\n"a.wav,x\n'),
        (r"not CSV \(line 2: .*\); expected a comma-separated UTF-8 file with a header", "[Cc]orrect that line"),
    ),
    Case(
        "manifest: a folder in place of a recording", CUSTOM, lambda b: b.custom("file,label\n.,x\n"), ("line 2: .*: a folder",)
    ),
    *(
        Case(
            f"manifest: {name} in a label",
            CUSTOM,
            lambda b, c=character: b.custom(b.recordings("ab").replace(",b", f',"b{c}b"')),
            (rf"line {line}: label is 'b{shown}b'; expected a name of printable characters",),
        )
        for name, character, shown, line in (("a line feed", "\n", r"\\n", 4), ("a no-break space", "\xa0", r"\\xa0", 3))
    ),
    Case(
        "manifest: a column without a name",
        CHECK,
        lambda b: ["manifest", b.file("mine.csv", b.recordings("a").replace("label", "label,").replace(",a", ",a,"))],
        ("note: columns that are not used: one without a name",),
        code=0,
    ),
    Case("manifest: empty", CUSTOM, lambda b: b.custom(""), ("mine.csv: found an empty file",)),
    Case("manifest: header only", CUSTOM, lambda b: b.custom("file,label\n"), ("a header without rows",)),
    Case("manifest: null characters", CUSTOM, lambda b: b.custom("file,label\n\0,x\n"), ("null characters",)),
    Case(
        "manifest: files missing, all listed",
        CUSTOM,
        lambda b: b.custom("file,label\na.wav,x\nb.wav,x\n"),
        (r"\(2\):", r"line 2: .*a\.wav: no such file", r"line 3: .*b\.wav: no such file"),
    ),
    Case(
        "manifest: a file twice",
        CUSTOM,
        lambda b: b.custom(b.recordings("ab") + "sounds/../sounds/0.wav,a\n"),
        ("line 4: .* is already in line 2",),
    ),
    Case(
        "manifest: label empty", CUSTOM, lambda b: b.custom(b.recordings("ab").replace(",b", ",")), ("line 3: label is empty",)
    ),
    Case(
        "manifest: valence out of range",
        CUSTOM,
        lambda b: b.custom(
            b.recordings("xy").replace("label", "arousal,valence").replace(",x", ",0.5,0").replace(",y", ",0.5,-7")
        ),
        ("1 line beyond the limits: line 3 .valence -7.; expected arousal in .0, 1.",),
    ),
    Case(
        "manifest: unknown split",
        CUSTOM,
        lambda b: b.custom(
            b.recordings("ab").replace("label", "label,split").replace(",a", ",a,train").replace(",b", ",b,hold"), "official"
        ),
        ("line 3: split is 'hold'; expected train, validation or test",),
    ),
    Case(
        "manifest: a name longer than any file system takes",
        CUSTOM,
        lambda b: b.custom(f"file,label\n{'a' * 5000}.wav,x\n"),
        ("line 2: file 'aaa.* is not a path",),
    ),
]

# ------------------------------------------------------------------------------------------------------ sound files


def _write(**options: Any) -> Callable[[Path], None]:
    """Returns a damage that replaces a file's sound."""
    samples, rate = options.pop("samples", np.zeros(16_000)), options.pop("rate", 16_000)
    return lambda path: soundfile.write(path, samples, rate, **options)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _understate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:40] + (1000).to_bytes(4, "little") + content[44:])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _text(path: Path) -> None:
    path.write_text("This is a letter, not a recording. " * 20, encoding="utf-8")


NOT_FINITE = {name: np.where(np.arange(16_000) == 9_000, value, 0.1) for name, value in (("NaN", np.nan), ("infinity", np.inf))}
FIRST = r"03a01Aa\.wav: found "
SOUNDS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "zero bytes": (_empty, r"an empty file \(0 bytes\)"),
    "truncated": (_cut, "a truncated file: .* of the"),
    "text": (_text, "a file that cannot be decoded"),
    "no samples": (_write(samples=np.zeros(0)), "a sound file without samples"),
    "NaN": (_write(samples=NOT_FINITE["NaN"], subtype="FLOAT"), "samples that are not finite"),
    "infinity": (_write(samples=NOT_FINITE["infinity"], subtype="FLOAT"), "samples that are not finite"),
    "integers in float samples": (_write(samples=np.full(16_000, 32_767.0), subtype="FLOAT"), "samples up to 32767"),
    "silence": (_write(), "silence .*expected speech"),
    "a constant": (_write(samples=np.full(16_000, 0.3)), "silence .*expected speech"),
    "a nonsense rate": (_write(rate=16), "a sample rate of 16 Hz"),
    "more sound than its header names": (_understate, "a header that was not brought up to date: it names 1000 of"),
    "a header alone": (lambda path: path.write_bytes(path.read_bytes()[:40]), "a truncated file"),
    "a dangling link": (lambda path: (path.unlink(), path.symlink_to("nowhere.wav")), "no such file"),
}


def _unreadable(b: Bench, data: Path) -> Path:
    """Makes one file unreadable, for the superuser too, whom permissions do not stop."""
    import builtins

    victim, plain_open = str(sorted(data.rglob("*.wav"))[0]), builtins.open

    def refusing(path: Any, *arguments: Any, **options: Any) -> Any:
        if os.fsdecode(path) == victim if isinstance(path, (str, bytes, os.PathLike)) else False:
            raise PermissionError(errno.EACCES, "Permission denied", victim)
        return plain_open(path, *arguments, **options)

    b.monkeypatch.setattr(builtins, "open", refusing)
    return data


def _mkfifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def _several_bad(b: Bench) -> Path:
    folder = b.copy("EmoDB")
    for path, damage in zip(sorted(folder.rglob("*.wav")), (_empty, _cut, _text), strict=False):
        damage(path)
    return folder


AUDIO = [
    *(
        Case(f"table 3: {name}", TABLE3, lambda b, d=damage: b.table3(b.damaged("EmoDB", d)), (FIRST + found, "expected"))
        for name, (damage, found) in SOUNDS.items()
    ),
    *(
        Case(
            f"predict: {name}",
            PREDICT,
            lambda b, d=damage: ["--model", b.model, b.damaged("EmoDB", d) / "wav" / "03a01Aa.wav"],
            ("skipped: .*" + FIRST + found, "1 of 1 files"),
            code=1,
        )
        for name, (damage, found) in SOUNDS.items()
        if name != "a dangling link"
    ),
    Case(
        "predict: no such file",
        PREDICT,
        lambda b: ["--model", b.model, b.folder / "a.wav"],
        (r"a\.wav: no such file or folder",),
    ),
    Case(
        "predict: a pipe",
        PREDICT,
        lambda b: ["--model", b.model, _mkfifo(b.folder / "a.wav")],
        (r"skipped: .*a\.wav: found a pipe or device; expected a sound file",),
        code=1,
    ),
    Case(
        "predict: a folder without sound",
        PREDICT,
        lambda b: ["--model", b.model, _mkdir(b.folder / "f")],
        ("without sound files",),
    ),
    Case(
        "table 3: several bad files, all listed",
        TABLE3,
        lambda b: b.table3(_several_bad(b)),
        (
            r"cannot be used \(3\):",
            FIRST + "an empty",
            r"03a01Ea\.wav: found a truncated",
            r"03a01Fa\.wav: found a file that can",
        ),
    ),
    Case(
        "check: several bad files, all listed",
        CHECK,
        lambda b: ["emodb", _several_bad(b)],
        (FIRST + "an empty", r"03a01Ea\.wav: found a truncated", r"03a01Fa\.wav: found a file that can"),
        code=1,
    ),
    Case(
        "table 3: unreadable permissions",
        TABLE3,
        lambda b: b.table3(_unreadable(b, b.copy("EmoDB"))),
        (FIRST + r"a file that cannot be opened \(Permission denied\)", "[Cc]heck its permissions"),
    ),
    Case(
        "pre-training: truncated FLAC",
        PRETRAIN,
        lambda b: b.pretrain(data=b.damaged("LibriSpeech", _cut, "*.flac")),
        (r"\d-0000\.flac: found a", "truncated|decoded"),
    ),
    Case(
        "custom: truncated OGG",
        CUSTOM,
        lambda b: b.custom(b.recordings("ab") + f"{b.file('c.wav', b'OggS' + bytes(90))},a\n"),
        (r"c\.wav: found a truncated file: .*without the last page",),
    ),
]

# ------------------------------------------------------------------------------------------------- encoders, models


def _keras_file(b: Bench, shape: tuple[int, ...], name: str = "encoder.keras", attach: dict[str, Any] | None = None) -> Path:
    """Writes a small foreign network."""
    import keras

    path = b.folder / name
    inputs = keras.layers.Input(shape)
    keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(inputs))).save(path)
    for member, content in (attach or {}).items():
        attach_json(path, member, content)
    return path


def _other_spectrogram(b: Bench) -> Path:
    """Writes an encoder of 32 bins whose settings say 512."""
    from began.spectrogram import SpectrogramConfig

    return _keras_file(b, (32, 8, 1), attach={"spectrogram": SpectrogramConfig().to_dict()})


def _cut_weights(b: Bench) -> Path:
    """Writes the encoder with a damaged byte inside its weights; its directory is whole."""
    content = bytearray(b.encoder.read_bytes())
    place = content.index(b"\x89HDF") + 2_000
    content[place : place + 400] = bytes(400)
    return b.file("encoder.keras", bytes(content))


def _lose_weights(b: Bench) -> Path:
    """Writes the encoder with a weight that is no number."""
    from began.encoder import read_config
    from began.network_file import load_network

    encoder = load_network(b.encoder)
    encoder.set_weights([np.full_like(weight, np.nan) for weight in encoder.get_weights()])
    encoder.save(b.folder / "encoder.keras")
    attach_json(b.folder / "encoder.keras", "spectrogram", read_config(b.encoder).to_dict())
    return b.folder / "encoder.keras"


def _add_foreign_layer(b: Bench) -> Path:
    """Writes an encoder with a layer of Keras that none of ours has."""
    import keras

    from began.spectrogram import SpectrogramConfig

    inputs = keras.layers.Input((512, 32, 1))
    keras.Model(inputs, keras.layers.GaussianNoise(0.1, name="map")(inputs)).save(b.folder / "encoder.keras")
    attach_json(b.folder / "encoder.keras", "spectrogram", SpectrogramConfig().to_dict())
    return b.folder / "encoder.keras"


ENCODERS: dict[str, tuple[Callable[[Bench], Path], tuple[str, ...]]] = {
    "no such file": (lambda b: b.folder / "encoder.keras", ("no such file", "[Cc]heck the path")),
    "a folder": (lambda b: _mkdir(b.folder / "encoder.keras"), ("found",)),
    "text": (lambda b: b.file("encoder.keras", "no network"), ("damaged or foreign file", "[Cc]opy it again")),
    "zero bytes": (lambda b: b.file("encoder.keras", ""), ("damaged or foreign file",)),
    "cut in the middle": (lambda b: b.file("encoder.keras", b.encoder.read_bytes()[:9_000]), ("damaged or foreign file",)),
    "damaged weights": (_cut_weights, ("cannot be loaded", "[Cc]opy it again")),
    "a foreign network": (lambda b: _keras_file(b, (4,)), (r"without spectrogram\.json",)),
    "settings that are none": (lambda b: _keras_file(b, (4,), attach={"spectrogram": {"loudness": 11}}), ("found",)),
    "settings that are a list": (lambda b: _keras_file(b, (4,), attach={"spectrogram": [1]}), ("found",)),
    "weights that are not finite": (_lose_weights, ("weights that are not finite", "[Cc]opy it again")),
    "a layer that none of ours has": (_add_foreign_layer, ("GaussianNoise", "[Dd]o not trust")),
    "a network that does not fit its settings": (_other_spectrogram, (r"found .*32, 8, 1", r"expected .*512, 32, 1")),
}
_HEAD = ("--method", "head")  # which needs no principal components beside the encoder
NETWORKS = [
    *(
        Case(f"table 3: encoder: {name}", TABLE3, lambda b, m=make: b.table3(None, *_HEAD, encoder=m(b)), (r"encoder", *words))
        for name, (make, words) in ENCODERS.items()
    ),
    Case(
        "predict: an encoder in place of a model",
        PREDICT,
        lambda b: ["--model", b.encoder, b.folder],
        (r"encoder\.keras", r"without head\.json"),
    ),
    *(
        Case(
            f"predict: {what} in place of a model",
            PREDICT,
            lambda b, m=make: ["--model", m(b), b.folder],
            (f"found {what}; expected", "[Cc]heck the path"),
        )
        for what, make in (("a folder", lambda b: b.folder), ("a pipe or device", lambda b: Path("/dev/null")))
    ),
    Case(
        "predict: model cut in the middle",
        PREDICT,
        lambda b: ["--model", b.file("cut.keras", b.model.read_bytes()[:9_000]), b.folder],
        (r"cut\.keras: found a damaged or foreign file",),
    ),
]

# ---------------------------------------------------------------------------------------------- options, protocols

OPTIONS = [
    *(
        Case(
            f"table 3: {option} {value}",
            TABLE3,
            lambda b, o=option, v=value: b.table3(None, o, v),
            (f"{option}: found {value}; expected at least 1",),
        )
        for option, value in (("--runs", 0), ("--max-evals", 0), ("--epochs", -3), ("--workers", 0))
    ),
    *(
        Case(f"table 3: --seed {seed}", TABLE3, lambda b, s=seed: b.table3(None, "--seed", s), (f"--seed: found {seed}",))
        for seed in (-1, 2**31)
    ),
    Case(
        "table 3: a condition that is no name",
        TABLE3,
        lambda b: b.table3(None, "--condition", "../x"),
        (r"'\.\./x'", "letters, digits"),
    ),
    *(
        Case(
            f"pre-training: {option} {value}",
            PRETRAIN,
            lambda b, o=option, v=value: b.pretrain(o, v),
            (option, f"found {value}"),
        )
        for option, value in (("--gamma", 2.0), ("--learning-rate", "nan"), ("--batch-size", 0), ("--seed", -1))
    ),
    Case(
        "pre-training: a batch larger than the data",
        PRETRAIN,
        lambda b: b.pretrain("--batch-size", 500),
        ("chunks", r"at least a batch \(500\)", "more speech, or a smaller batch"),
        leaves="cache/.*|.*/(config|environment).json|sounds/.*",
    ),
    Case(
        "table 3: three speakers",
        TABLE3,
        lambda b: b.table3(b.damaged("EmoDB", lambda p: [path.unlink() for path in p.parent.glob("10*")])),
        ("leave one speaker out: found 3 speakers", "at least 4", "kfold"),
    ),
    Case(
        "table 1: a class with fewer utterances than the split needs",
        TABLE1,
        lambda b: b.table1(b.damaged("SAVEE", lambda p: [p.with_name(f"sa0{number}.wav").unlink() for number in (2, 3)])),
        (r"speaker DC: found classes with few utterances: sadness \(1\)", "at least 3", "[Aa]dd utterances"),
    ),
    Case(
        "custom: a class with fewer recordings than folds",
        CUSTOM,
        lambda b: b.custom(b.recordings("aaaaab"), "kfold", "--folds", 3),
        (r"classes with few utterances: b \(1\)",),
    ),
    Case(
        "custom: two recordings",
        CUSTOM,
        lambda b: b.custom(b.recordings("ab"), "kfold", "--folds", 2),
        ("the split: found 2 recordings; expected at least 3", "Add recordings"),
    ),
    Case(
        "custom: two recordings, one speaker left out",
        CUSTOM,
        lambda b: b.custom(b.recordings("ab", "xy"), "loso"),
        ("the split: found 2 recordings; expected at least 3", "Add recordings"),
    ),
    Case(
        "custom: every speaker has one class, learnt alone",
        CUSTOM,
        lambda b: b.custom(b.recordings("aaaabbbb", "xxxxyyyy"), "speaker-dependent"),
        (r"speaker x: found one class only \(a\); expected at least two", "use another protocol"),
    ),
    Case(
        "custom: every speaker has one class, left out",
        CUSTOM,
        lambda b: b.custom(b.recordings("aabbaabb", "wwxxyyzz"), "loso"),
        (r"one class only \(.\) to train on in an inner fold; expected at least two", "other classes, from other speakers"),
    ),
    Case(
        "custom: classes of one speaker",
        CUSTOM,
        lambda b: b.custom(b.recordings("abcabdabab", "wwwxxxyyzz"), "loso"),
        (
            r"found classes of one speaker only: c \(w\), d \(x\); expected at least two speakers per class",
            "[Aa]dd other speakers",
        ),
    ),
    Case(
        "custom: labels in upper and lower case",
        CUSTOM,
        lambda b: b.custom(b.recordings("aAab")),
        ("mine.csv: found names in the column label that differ in upper and lower case", "A, a", "[Ww]rite them alike"),
    ),
    Case("custom: one class", CUSTOM, lambda b: b.custom(b.recordings("aaaa")), (r"one class only \(a\)", "at least two")),
    Case(
        "custom: loso without speakers",
        CUSTOM,
        lambda b: b.custom(b.recordings("abab"), "loso"),
        ("no column speaker", "kfold"),
    ),
    Case("custom: official without split", CUSTOM, lambda b: b.custom(b.recordings("abab"), "official"), ("no column split",)),
    Case(
        "custom: --folds 1",
        CUSTOM,
        lambda b: b.custom(b.recordings("abab"), "kfold", "--folds", 1),
        ("--folds: found 1 with", "at least 2"),
    ),
    Case(
        "custom: more folds than recordings",
        CUSTOM,
        lambda b: b.custom(b.recordings("abab"), "kfold", "--folds", 9),
        ("--folds", "9 for 4"),
    ),
    Case(
        "custom: speaker empty",
        CUSTOM,
        lambda b: b.custom(b.recordings("ab", "x ").replace(", ", ",")),
        ("line 3: speaker is empty",),
    ),
]

# -------------------------------------------------------------------------------------------------- results folders


def _with_results(b: Bench, prepare: Callable[[Path], Any], argv: list[object]) -> list[object]:
    prepare(b.results)
    return argv


def _hold(b: Bench, path: Path) -> None:
    """Another run holds the folder until the case is over."""
    holding = lock_folder(path)
    holding.__enter__()
    b.monkeypatch.setattr(b, "release", lambda: holding.__exit__(None, None, None), raising=False)


def _table3_run(config: str) -> Callable[[Path], None]:
    def prepare(results: Path) -> None:
        run = results / "table3_emodb" / "head_per_second" / "run1"
        run.mkdir(parents=True)
        (run / "config.json").write_text(config, encoding="utf-8")

    return prepare


def _store(content: str) -> Callable[[Path], None]:
    def prepare(results: Path) -> None:
        folder = results / "cache" / "librispeech-log"
        folder.mkdir(parents=True)
        (folder / "store.json").write_text(content, encoding="utf-8")

    return prepare


def _checkpoint(results: Path) -> None:
    folder = _mkdir(results / "pretrain_librispeech" / "began")
    (folder / "checkpoint.npz").write_bytes(b"PK\x03\x04 and nothing behind it")


def _metrics(results: Path) -> None:
    _table3_run("{}")(results)
    (results / "table3_emodb" / "head_per_second" / "run1" / "metrics.csv").write_text("score\n1\n", encoding="utf-8")


WHOLE_CACHE = r"cache/.*"
RESULTS = [
    Case(
        "table 3: results folder is a file",
        TABLE3,
        lambda b: _with_results(b, lambda r: r.write_text("x"), b.table3()),
        ("results", "found a file; expected a folder", "[Cc]hoose another folder"),
    ),
    Case(
        "pre-training: results folder is a file",
        PRETRAIN,
        lambda b: _with_results(b, lambda r: r.write_text("x"), b.pretrain()),
        ("results", "found a file; expected a folder"),
    ),
    Case(
        "table 3: results folder is read-only",
        TABLE3,
        lambda b: _with_results(b, lambda r: b.mount(r, "ro"), b.table3()),
        ("results", r"cannot be written \(Read-only file system\)", "choose another folder"),
    ),
    Case(
        "pre-training: results folder is read-only",
        PRETRAIN,
        lambda b: _with_results(b, lambda r: b.mount(r, "ro"), b.pretrain()),
        ("results", r"cannot be written \(Read-only file system\)"),
    ),
    Case(
        "report: results folder is read-only",
        REPORT,
        lambda b: _with_results(b, lambda r: b.mount(r, "ro"), ["--results-dir", b.results]),
        ("results", "Read-only file system"),
    ),
    Case(
        "table 3: disk full while features are written",
        TABLE3,
        lambda b: _with_results(b, lambda r: b.mount(r, "size=100k"), b.table3()),
        (r"features\.npy: found that it cannot be written", "[Ff]ree some space"),
        leaves=r"cache/features/\w+/features\.npy\.(unfinished|checksums)",  # the same command goes on from there
    ),
    Case(
        "pre-training: disk full while chunks are written",
        PRETRAIN,
        lambda b: _with_results(b, lambda r: b.mount(r, "size=100k"), b.pretrain()),
        ("shard-00000.npy: found that it cannot be written", "[Ff]ree some space"),
        leaves=r"cache/librispeech-log/store\.json",
    ),
    Case(
        "pre-training: disk full while a checkpoint is written",
        PRETRAIN,
        lambda b: _with_results(b, lambda r: b.mount(r, "size=600k"), b.pretrain()),
        ("cannot be written", "[Ff]ree some space"),
        leaves=r"cache/.*|sounds/.*|pretrain_librispeech/began/((config|environment)\.json|history\.csv|logs/.*|.*\.png)",
    ),
    Case(
        "table 3: a run of other settings",
        TABLE3,
        lambda b: _with_results(b, _table3_run('{"epochs": 99}'), b.table3(None, "--method", "head")),
        (r"run1 \(made with other settings\)", "found .*epochs=99", "expected .*epochs=1"),
        leaves=WHOLE_CACHE,
    ),
    Case(
        "table 3: settings that are no JSON",
        TABLE3,
        lambda b: _with_results(b, _table3_run('{"epochs'), b.table3(None, "--method", "head")),
        (r"config\.json: found", "expected a JSON file"),
        leaves=WHOLE_CACHE,
    ),
    Case(
        "table 3: another run is writing",
        TABLE3,
        lambda b: _with_results(
            b, lambda r: _hold(b, r / "table3_emodb" / "head_per_second"), b.table3(None, "--method", "head")
        ),
        ("table3_emodb/head_per_second: found another run that is writing into it", "[Ww]ait for the other run"),
        leaves=WHOLE_CACHE,
    ),
    Case(
        "pre-training: another run is writing",
        PRETRAIN,
        lambda b: _with_results(b, lambda r: _hold(b, r / "pretrain_librispeech" / "began"), b.pretrain()),
        ("began: found another run", "[Ww]ait for the other"),
    ),
    Case(
        "pre-training: a store of other settings",
        PRETRAIN,
        lambda b: _with_results(b, _store('{"tail": "pad"}'), b.pretrain()),
        (
            "librispeech-log: found a chunk store with other spectrogram, tail",
            "Remove the folder, or choose another one, with --results-dir",
        ),
    ),
    Case(
        "pre-training: a store that is no JSON",
        PRETRAIN,
        lambda b: _with_results(b, _store("{"), b.pretrain()),
        (r"store\.json: found a damaged description", "[Rr]emove its folder"),
    ),
    Case(
        "pre-training: a damaged checkpoint",
        PRETRAIN,
        lambda b: _with_results(b, _checkpoint, b.pretrain()),
        (r"checkpoint\.npz: found a damaged checkpoint", "[Rr]emove it"),
        leaves=r"cache/.*|sounds/.*|.*/(config|environment)\.json|.*/logs/.*",
    ),
    Case(
        "demo: output folder is a file",
        "experiments.demo",
        lambda b: ["--output-dir", b.file("mine", "")],
        ("mine: found a file; expected a folder", "[Cc]hoose another folder"),
    ),
    Case(
        "report: a damaged metrics.csv",
        REPORT,
        lambda b: _with_results(b, _metrics, ["--results-dir", b.results]),
        (r"run1.metrics\.csv", "found", "columns experiment,condition|experiment, condition", "run the experiment again"),
    ),
]

CASES = [*FOLDERS, *CONTENTS, *TABLES, *AUDIO, *NETWORKS, *OPTIONS, *RESULTS]


@pytest.fixture
def mounts():
    """Returns a function that makes a folder a small or read-only file system of its own, where that is allowed."""
    made = []

    def mount(path: Path, options: str) -> Path:
        path.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
            if options != "ro" or os.geteuid() == 0:
                pytest.skip("file systems cannot be mounted here")
            path.chmod(0o555)
            pytest.skip("the message of a folder without permission differs")
        made.append(path)
        return path

    yield mount
    for path in made:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture(scope="session")
def tiny_model(tiny_encoder, tmp_path_factory) -> Path:
    """A predictor as the tables write it, untrained."""
    from began.encoder import load_frozen_encoder
    from classifiers.heads import build_head
    from classifiers.predictor import build_predictor, save_predictor

    encoder = load_frozen_encoder(tiny_encoder)
    metadata = {"task": "categorical", "labels": ["anger", "neutral"], "tail": "overlap", "aggregation": "mean"}
    head = build_head("categorical", encoder.feature_shape, len(metadata["labels"]), seed=1)
    path = tmp_path_factory.mktemp("tiny_model") / "model.keras"
    save_predictor(path, build_predictor(encoder, head, metadata))
    return path


def list_files(folder: Path) -> dict[str, int]:
    """Returns the files below a folder, with their sizes."""
    return {
        str(path.relative_to(folder)): path.lstat().st_size
        for path in folder.rglob("*")
        if not path.is_dir() or path.name.startswith(".writing")
    }


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_bad_input(case, tiny_corpora, tiny_encoder, tiny_model, tmp_path, monkeypatch, mounts, capsys):
    bench = Bench(tiny_corpora, tiny_encoder, tmp_path, monkeypatch, mounts)
    bench.model = tiny_model
    bench.release = lambda: None
    script = importlib.import_module(case.script)
    argv = [str(word) for word in case.arrange(bench)]
    before = list_files(tmp_path)
    capsys.readouterr()
    code = run_script(script.main, script.make_parser(), argv)  # anything but an InputError would end the test here
    bench.release()
    monkeypatch.undo()
    said = capsys.readouterr()
    message = said.err if case.code == 2 else said.out + said.err
    assert code == case.code, message
    assert "Traceback" not in message
    if case.code == 2:
        assert message.count("error: ") == 1, message
        message = message[message.index("error: ") :]
        listing = message.rstrip().splitlines()[1:]
        assert all(line.startswith("  - ") for line in listing), message
        assert listing or re.search(r"(?s)found .+; expected .+\. \S.+[.?]$", message.rstrip()), message
    for word in case.words:
        assert re.search(word, message), f"{word!r} is not in: {message}"
    left = {name for name, size in list_files(tmp_path).items() if before.get(name) != size}
    allowed = re.compile(rf"results/(?:{case.leaves})")
    surplus = [
        name
        for name in left
        if not LEFT_BEHIND.fullmatch(Path(name).name) and (".writing" in name or not allowed.fullmatch(name))
    ]
    assert not surplus


# ------------------------------------------------------------------------------- unusual, and to be taken as it is

LOUD = np.clip(3 * np.sin(np.arange(16_000) / 9), -1, 1)
UNUSUAL: dict[str, tuple[str, dict[str, Any]]] = {
    "clipped": ("a.wav", {"data": LOUD, "samplerate": 16_000}),
    "8 kHz": ("a.wav", {"data": LOUD[:8_000], "samplerate": 8_000}),
    "192 kHz": ("a.wav", {"data": np.tile(LOUD, 12), "samplerate": 192_000}),
    "stereo": ("a.wav", {"data": np.stack([LOUD] * 2, 1), "samplerate": 16_000}),
    "6 channels": ("a.wav", {"data": np.stack([LOUD] * 6, 1), "samplerate": 48_000}),
    "24 bit": ("a.wav", {"data": LOUD, "samplerate": 16_000, "subtype": "PCM_24"}),
    "float": ("a.wav", {"data": LOUD, "samplerate": 16_000, "subtype": "FLOAT"}),
    "double": ("a.wav", {"data": LOUD, "samplerate": 16_000, "subtype": "DOUBLE"}),
    "two samples": ("a.wav", {"data": np.array([0.5, -0.5]), "samplerate": 16_000}),
    "opposite phase": ("a.wav", {"data": np.stack([LOUD, -LOUD], 1), "samplerate": 16_000}),
    "a very long name": (f"{'n' * 251}.wav", {"data": LOUD, "samplerate": 16_000}),
    "a name that is not UTF-8": ("caf\udce9.wav", {"data": LOUD, "samplerate": 16_000}),
    "a name with a line feed": ("a\nb.wav", {"data": LOUD, "samplerate": 16_000}),
}


@pytest.fixture(scope="module")
def frozen(tiny_encoder):
    from began.encoder import load_frozen_encoder

    return load_frozen_encoder(tiny_encoder)


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_sound_is_taken(name, tmp_path, frozen, tiny_model, capsys):
    from began.representation import represent_corpus
    from classifiers import predict
    from experiments.corpora.folders import probe, try_each

    file_name, options = UNUSUAL[name]
    path = tmp_path / "sounds" / file_name
    path.parent.mkdir()
    soundfile.write(os.fsencode(path), format="WAV", **options)
    assert try_each([str(path)], probe) == ({str(path): None}, [])
    features = represent_corpus(frozen, [path], tmp_path / "cache").features
    assert len(features) == 1
    assert np.isfinite(features).all()
    assert run_script(predict.main, predict.make_parser(), ["--model", str(tiny_model), str(path.parent)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_ten_hours_of_sound_are_read_block_by_block(tmp_path, monkeypatch):
    """As many blocks as a ten-hour file has, of a length that a test can read; no array grows with the file."""
    from began import audio
    from began.front_end import stream_chunks

    soundfile.write(tmp_path / "long.wav", np.tile(LOUD, 80), 2_000, subtype="PCM_16")  # 640 s in place of 10 h
    monkeypatch.setattr(audio, "BLOCK_SECONDS", 1)  # in place of 60
    sizes = [block.nbytes for block in stream_chunks(tmp_path / "long.wav")]
    assert len(sizes) >= 400
    assert sum(sizes) == 640 * 16_000 * 4
    assert max(sizes) <= 3 * 16_000 * 4


def test_many_channels_at_a_high_rate_are_read_in_small_blocks(tmp_path):
    """Eight channels at 655 kHz took 1.6 GB: a block held a minute, however many values that is."""
    from began import audio, sound_file

    soundfile.write(tmp_path / "a.wav", np.tile(LOUD[:, np.newaxis], (60, 8)), 655_000, subtype="PCM_16")
    with audio.open_audio(tmp_path / "a.wav") as file:
        sizes = [block.size for block in audio.read_blocks(file)]
    assert sum(sizes) == 60 * 16_000 * 8 and max(sizes) <= sound_file.BLOCK_VALUES < sum(sizes)
    assert abs(len(audio.read_audio(tmp_path / "a.wav")) - 60 * 16_000 * 16_000 / 655_000) <= 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full, as Linux has it")
def test_output_redirected_to_a_full_disk(tmp_path):
    soundfile.write(tmp_path / "a.wav", LOUD, 16_000)
    (tmp_path / "mine.csv").write_text("file,label\na.wav,x\n", encoding="utf-8")
    command = [sys.executable, "-m", "experiments.check", "manifest", str(tmp_path / "mine.csv")]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, cwd=Path(__file__).resolve().parents[1], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert re.fullmatch(r"error: output: found .*No space left.*; expected free space\. Free some.*\n", done.stderr)


def test_debug_shows_the_traceback(tmp_path):
    from began.errors import InputError
    from experiments import check

    with pytest.raises(InputError):
        run_script(check.main, check.make_parser(), ["emodb", str(tmp_path / "nowhere"), "--debug"])
