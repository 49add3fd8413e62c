"""One module a corpus, each in the same order: description, citation, licence, how to obtain it, counts, `load`."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING

from began.errors import InputError

if TYPE_CHECKING:
    from experiments.corpora.record import Corpus

__all__ = ["CORPORA", "load", "open_corpus"]


class _Modules(Mapping[str, ModuleType]):
    """Corpus modules by name, imported when they are asked for."""

    _NAMES = ("librispeech", "savee", "omg", "emodb", "manifest")

    def __getitem__(self, name: str) -> ModuleType:
        if name not in self._NAMES:
            raise KeyError(name)
        return importlib.import_module(f"experiments.corpora.{name}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._NAMES)

    def __len__(self) -> int:
        return len(self._NAMES)


CORPORA: Mapping[str, ModuleType] = _Modules()


def load(name: str, data_dir: str | os.PathLike[str], **options: object) -> Corpus:
    """Returns a corpus as it lies on the disk: paths and labels, no audio.

    Args:
        name: a key of `CORPORA`.
        data_dir: its folder (for `manifest` the CSV file).
        options: what that corpus' own `load` takes besides.
    Raises:
        InputError: no such corpus, or its folder does not hold it.
    """
    if name not in CORPORA:
        raise InputError.about(
            "corpus", found=repr(name), expected=f"one of {', '.join(CORPORA)}", action="choose one of these"
        )
    return CORPORA[name].load(data_dir, **options)


def open_corpus(name: str, data_dir: str | os.PathLike[str], **options: object) -> Corpus:
    """Returns a corpus whose sound files have been checked, and prints what it holds.

    Raises:
        InputError: see `load`; also every sound file that cannot be used.
    """
    from experiments.corpora.record import check_audio

    corpus = load(name, data_dir, **options)
    check_audio(corpus, progress=True)
    print(corpus.describe())
    return corpus
