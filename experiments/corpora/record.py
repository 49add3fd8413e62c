"""What a loader returns, how to fetch it, and the names that results keep for themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from began.errors import InputError, counted, printable, shorten
from began.find_sounds import list_other_encodings
from began.sound_hashes import hash_together

if TYPE_CHECKING:  # pandas is imported when the first corpus is built, so that `--help` stays quick
    import pandas as pd

SYNTHETIC_MARKER = "SYNTHETIC.txt"
"""File that `experiments.corpora.synthetic` leaves in the folders it writes."""

COLUMNS = ("utterance", "path", "speaker", "label", "arousal", "valence", "split", "video", "clip", "subset", "sex", "text")
"""Columns that `Corpus.utterances` may have, in their order."""

UNKNOWN_SPEAKER = "unknown"
"""Speaker of recordings where a corpus names none: many, or one, and so no speaker in counts and means over speakers."""

SHORT_HASH = 8
"""Letters of a recording's hash that tell it from others of its corpus."""

POOLED = "pooled"
"""Name of the fold that stands for all folds together."""

MEAN_OVER_SPEAKERS, MEAN_OVER_FOLDS, AVERAGED = "mean over speakers", "mean over folds", "runs averaged"
SCOPES = (POOLED, MEAN_OVER_SPEAKERS, MEAN_OVER_FOLDS, AVERAGED)
"""What a score may be of, beside a single fold, in the order of tables; no speaker may be called so."""

TEXT_COLUMNS = frozenset(
    ("experiment", "condition", "fold", "split", "level", "metric", "utterance", "speaker", "target", "prediction")
    + ("video", "path", "label", "sex", "text", "status", "task", "search", "error")
)
"""Columns of results that are text even where every value looks like a number: EmoDB's speakers are "03", "08", …"""

_PREDICTIONS = {f"{name}_{kind}" for name in ("arousal", "valence") for kind in ("target", "prediction")}
_OF_PREDICT = {"file", "channel", "start", "end", "start_seconds", "end_seconds", "emotion", "notes"}
RESERVED_LABELS = TEXT_COLUMNS | _PREDICTIONS | _OF_PREDICT | {"run"}
"""Names that no class may have: tables of predictions have one column per class beside others of these names."""


class Archive(NamedTuple):
    """A corpus, or a part of it, as one file on a public server."""

    url: str
    checksum: str | None  # "md5:…" as its publisher states it, or None where none is published
    gigabytes: float  # the unpacked audio takes about as much again


@dataclass(frozen=True)
class Corpus:
    """A corpus as it lies on the disk.

    Attributes:
        name: of the loader, or of the user's file or folder.
        utterances: one row per utterance, sorted by `utterance`, with the columns `utterance` (unique), `path`, `speaker`
            and, where they apply, `label`, `arousal` in [0, 1], `valence` in [-1, 1], `split` (train, validation, test),
            `video`, `clip`, `subset`, `sex` (F, M), `text`; and `sound`, the hash of the samples, where they have been read
            (`experiments.corpora.duplicates`).
        labels: the classes, sorted.
        missing: utterances that the annotations name and the disk does not hold (`utterance`, `split`, `expected`), or None
            where a corpus cannot tell.
        notes: what a user should know but need not act on: surplus files, counts other than the published ones.
        n_unpublished: how many of the published utterances are absent, and how many others are there, together.
    """

    name: str
    utterances: pd.DataFrame
    labels: tuple[str, ...]
    missing: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()
    n_unpublished: int = 0

    @property
    def synthetic(self) -> bool:
        """True where this project made the corpus: a marker file lies in its folder."""
        folders = list(Path(self.utterances["path"].iloc[0]).parents)[:5]
        return any((folder / SYNTHETIC_MARKER).is_file() for folder in folders)

    @property
    def sha256(self) -> str:
        """Hash of the names and what they are labelled with: every column except paths, sounds and the spoken text."""
        table = self.utterances.drop(columns=["path", "text", "sound"], errors="ignore")
        return hashlib.sha256(table.to_csv(index=False, lineterminator="\n").encode("utf-8", "surrogateescape")).hexdigest()

    @property
    def sounds_sha256(self) -> str:
        """Hash of the names and the sound of each, which must have been read."""
        return hash_together(map(" ".join, self.utterances[["utterance", "sound"]].itertuples(index=False)))

    def describe(self) -> str:
        """Returns one line: utterances, speakers, labels, and how many are missing."""
        table = self.utterances
        parts = [f"{self.name}: {counted(len(table), 'utterance')}", count_speakers(table["speaker"])]
        if "label" in table and table["label"].notna().any():
            counts = table["label"].value_counts().sort_index()
            parts.append(", ".join(f"{label} {count}" for label, count in counts.items()))
        if self.missing is not None and len(self.missing):
            parts.append(f"{len(self.missing)} without audio")
        return printable("; ".join(parts))


def count_speakers(speakers: Collection[str]) -> str:
    """Returns how many speakers the utterances have, one of each, in words; those whose speaker is not known have none."""
    n_known, n_without = len({*speakers} - {UNKNOWN_SPEAKER}), sum(name == UNKNOWN_SPEAKER for name in speakers)
    if not n_known:
        return "speakers unknown"
    more = f" and {counted(n_without, 'utterance')} of unknown speakers" if n_without else ""
    return counted(n_known, "speaker") + more


def refuse_other_encodings(names: Iterable[str]) -> None:
    """Refuses names of files that are not UTF-8, which CSV and JSON files cannot hold.

    Raises:
        InputError: names them.
    """
    if wrong := list_other_encodings(names):
        found, action = f"{counted(len(wrong), 'name')} in another encoding", "rename, for instance with convmv"
        raise InputError.about(shorten(wrong), found, "names in UTF-8", action)


def build_corpus(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    labels: Sequence[str] = (),
    missing: Sequence[Mapping[str, Any]] | None = None,
    notes: Sequence[str] = (),
    published: Collection[str] | None = None,
) -> Corpus:
    """Returns the record of a corpus: rows sorted by utterance, columns in one order, labels sorted.

    Args:
        published: names of all its utterances, where they are known: others than these are counted, and noted.
    Raises:
        InputError: a file name that is not UTF-8.
    """
    import pandas as pd

    refuse_other_encodings([name, *(str(row["utterance"]) for row in rows)])
    table = pd.DataFrame(list(rows), columns=[column for column in COLUMNS if any(column in row for row in rows)])
    table = table.sort_values("utterance", kind="stable").reset_index(drop=True)
    if missing is not None:
        missing = pd.DataFrame(list(missing), columns=["utterance", "split", "expected"])
    found, known = set(table["utterance"]), set(table["utterance"] if published is None else published)
    absent, surplus = sorted(known - found), sorted(found - known)
    if absent:
        notes = [*notes, f"{len(absent)} of the {len(known)} published utterances are not there: {shorten(absent)}"]
    if surplus:
        notes = [*notes, f"{counted(len(surplus), 'utterance')} not among the {len(known)} published ones: {shorten(surplus)}"]
    noted = tuple(map(printable, notes))
    return Corpus(name, table, tuple(sorted(labels)), missing, noted, len(absent) + len(surplus))
