"""Recordings that hold the same sound, sample for sample: across a split, they would be known before they are tested.

Published corpora have them, and a folder that was unpacked into itself. Containers do not count, see `began.audio.hash_sound`;
what was cut, filtered or resampled is another sound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from began.errors import InputError, printable, shorten
from began.sound_hashes import SoundHashes
from experiments.corpora.folders import read_each
from experiments.corpora.record import Corpus

if TYPE_CHECKING:
    import pandas as pd

COMPARED = ("speaker", "label", "split", "arousal", "valence")
"""Columns in which a recording and its duplicate should agree."""


def read_sounds(corpus: Corpus, hashes: SoundHashes) -> Corpus:
    """Returns a corpus with the column `sound`; reads every sound file that is not known, from beginning to end.

    Raises:
        InputError: lists every file that cannot be used.
    """
    return replace(corpus, utterances=corpus.utterances.assign(sound=read_each(corpus, hashes.of)))


def refuse_changed(corpus: Corpus, hashes: SoundHashes) -> None:
    """Raises an InputError where a recording is no longer what `read_sounds` found: one that was changed while it was used.

    To be called when the files have been read, before anything is kept of them: no scores are then of other sounds than those
    that they are written down for. What has not been touched meanwhile is not read again.
    """
    names, now = corpus.utterances["utterance"], read_sounds(corpus, hashes).utterances["sound"]
    if changed := [printable(name) for name in names[now != corpus.utterances["sound"]]]:
        found = f"recordings that were changed since the start: {len(changed)} of {len(now)} ({shorten(changed)})"
        raise InputError.about(
            corpus.name, found, "them to stay as they are meanwhile", "restore them, or start again with a new --results-dir"
        )


def find_duplicates(utterances: pd.DataFrame) -> dict[tuple[str, ...], list[str]]:
    """Returns what is there more than once: columns in which the duplicates differ -> one text per sound, `FILE = FILE`.

    Args:
        utterances: a corpus' table with the column `sound`.
    """
    found: dict[tuple[str, ...], list[str]] = {}
    compared = [column for column in COMPARED if column in utterances]
    for _, same in utterances[utterances.duplicated("sound", keep=False)].groupby("sound", sort=False):
        differing = tuple(column for column in compared if same[column].nunique(dropna=False) > 1)
        found.setdefault(differing, []).append(" = ".join(_name(row, differing) for row in same.to_dict("records")))
    return found


def _name(row: Mapping[str, Any], columns: tuple[str, ...]) -> str:
    values = ", ".join(f"{column} {printable(row[column])}" for column in columns)
    return printable(row["path"]) + (f" ({values})" if values else "")


def describe_duplicates(utterances: pd.DataFrame, list_differing: bool = False) -> list[str]:
    """Returns one line per kind of duplicates: how many recordings are there more than once, and some of them.

    Args:
        utterances: a corpus' table with the column `sound`.
        list_differing: give each recording whose duplicates differ in something a line of its own.
    """
    lines = []
    for differing, texts in sorted(find_duplicates(utterances).items()):
        kind = "there more than once" + (f", with different {' and '.join(differing)}" if differing else "")
        if differing and list_differing:
            lines += [f"the same sound is {kind}: {text}" for text in texts]
        else:
            lines.append(f"{len(texts)} {'sound is' if len(texts) == 1 else 'sounds are'} {kind}: {shorten(texts)}")
    return lines
