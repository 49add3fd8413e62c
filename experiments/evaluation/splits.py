"""What a split is, and the checks for leakage that each one passes before anything is trained.

Recordings that hold the same sound (equal values in the column `sound`, where the table has it) stay on one side of a split.
Where utterances are assigned at random, duplicates go where the first of them goes. Where the corpus decides, by speaker, video
or an official split, and parts them, the test part stays whole, and what equals it is left out of the training part.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from began.errors import InputError
from experiments.corpora.record import POOLED


class Inner(NamedTuple):
    """One inner fold of the training part: positions of utterances to train and to select on, int64 each."""

    train: np.ndarray
    validation: np.ndarray


@dataclass(frozen=True)
class Split:
    """One fold: positions of utterances in the corpus' table.

    Attributes:
        fold: the held-out speaker's name, "fold1" and so on, or POOLED where there is one fold only.
        inner: what the search trains and selects on; each covers the whole training part.
        test: int64; touched once, at the end.
    """

    fold: str
    inner: tuple[Inner, ...]
    test: np.ndarray

    @property
    def title(self) -> str:
        """See `name_fold`."""
        return name_fold(self.fold)

    @property
    def fitting(self) -> np.ndarray:
        """The whole training part: what the final heads are fitted on."""
        return np.sort(np.concatenate(self.inner[0]))

    @property
    def fingerprint(self) -> str:
        """Hash of the inner folds: all that a search depends on, beside data and settings."""
        parts = b"/".join(part.tobytes() for inner in self.inner for part in inner)
        return hashlib.sha256(parts).hexdigest()[:8]


def name_fold(fold: object) -> str:
    """Returns a fold as messages name it: "fold 03" of a speaker, "fold1" of one with a number; or all of the test part."""
    if fold == POOLED:
        return "the whole test part"
    return f"{fold}" if str(fold).startswith("fold") else f"fold {fold}"


def complete_split(split: Split, utterances: pd.DataFrame, disjoint: str | None = None) -> Split:
    """Returns the split without duplicates on both sides, if it is sound (`check_split`)."""
    return check_split(leave_out_duplicates(split, utterances), utterances, disjoint)


def check_split(split: Split, utterances: pd.DataFrame, disjoint: str | None = None) -> Split:
    """Returns the split if it is sound.

    Args:
        split: to be checked.
        utterances: the corpus' table.
        disjoint: a column, such as "speaker" or "video", of which no value may lie on both sides of training and test.
    Raises:
        InputError: a part is empty, a class of the test part is missing from training, or an inner fold has one class only
            to train on.
        AssertionError: an utterance, a sound or a value of `disjoint` lies on both sides, or inner folds cover different
            utterances: a defect of the protocol.
    """
    fold, fitting = split.title, split.fitting
    for inner in split.inner:
        parts = {"training": inner.train, "validation": inner.validation, "test": split.test}
        for name in [name for name, part in parts.items() if len(part) == 0]:
            found = f"no utterance in the {name} part"
            raise InputError.about(fold, found, "at least one", "give more utterances or speakers")
        together = np.concatenate(list(parts.values()))
        assert len(np.unique(together)) == len(together), f"{fold}: an utterance lies in two parts"
        assert np.array_equal(np.sort(np.concatenate(inner)), fitting), f"{fold}: inner folds differ"
    for column in utterances.columns.intersection(["utterance", "sound", disjoint]):
        values = utterances[column].to_numpy()
        for inner in split.inner if column == "sound" else ():
            assert not np.isin(values[inner.train], values[inner.validation]).any(), f"{fold}: inner folds share a sound"
        both = set(values[fitting]) & set(values[split.test])
        assert not both, f"{fold}: {column} {sorted(both)} on both sides"
    if (labels := find_strata(utterances)) is None:
        return split
    others = f", from other {disjoint}s" if disjoint else ""
    if absent := set(labels[split.test]) - set(labels[fitting]):
        found, expected = f"no training utterance of {', '.join(sorted(absent))}", "each class of the test part in training"
        raise InputError.about(fold, found, expected, f"give more utterances of that class{others}")
    for classes in (set(labels[inner.train]) for inner in split.inner):
        if len(classes) < 2:
            found, expected = f"one class only ({', '.join(classes)}) to train on in an inner fold", "at least two"
            raise InputError.about(fold, found, expected, f"give more utterances of the other classes{others}")
    return split


def leave_out_duplicates(split: Split, utterances: pd.DataFrame) -> Split:
    """Returns the fold without training utterances that would bring a sound to both sides.

    Left out is what holds the sound of a test utterance; and of a sound on both sides of an inner fold, all but the first
    utterance.
    """
    if "sound" not in utterances:
        return split
    sounds, fitting = utterances["sound"].to_numpy(), split.fitting
    parted = [sound for inner in split.inner for sound in np.intersect1d(*(sounds[rows] for rows in inner))]
    later = fitting[pd.Series(sounds[fitting]).duplicated()]
    left_out = np.union1d(fitting[np.isin(sounds[fitting], sounds[split.test])], later[np.isin(sounds[later], parted)])
    return replace(split, inner=tuple(Inner(*(rows[~np.isin(rows, left_out)] for rows in inner)) for inner in split.inner))


def draw_seed(*numbers: int) -> int:
    """Returns a seed of its own for some numbers, such as a seed, a run and a fold: at least 0 and below 2³¹."""
    return int(np.random.default_rng(numbers).integers(2**31))


def first_of_each(rows: np.ndarray, utterances: pd.DataFrame) -> np.ndarray:
    """Returns some rows without those that hold the sound of an earlier one."""
    return rows[~utterances["sound"].iloc[rows].duplicated()] if "sound" in utterances else rows


def include_duplicates(chosen: np.ndarray, rows: np.ndarray, utterances: pd.DataFrame) -> np.ndarray:
    """Returns those of some rows that hold the sound of a chosen one."""
    sounds = utterances["sound"].to_numpy() if "sound" in utterances else np.arange(len(utterances))
    return rows[np.isin(sounds[rows], sounds[chosen])]


def find_strata(utterances: pd.DataFrame, rows: np.ndarray | slice = slice(None)) -> np.ndarray | None:
    """Returns the labels of some rows; None where not every utterance has one."""
    if "label" not in utterances or utterances["label"].isna().any():
        return None
    return utterances["label"].to_numpy().astype(str)[rows]


def require_members(labels: np.ndarray, needed: int, what: str) -> None:
    """Refuses classes with too few utterances; all of them are named."""
    small = [f"{name} ({count})" for name, count in zip(*np.unique(labels, return_counts=True), strict=True) if count < needed]
    if small:
        found, expected = f"classes with few utterances: {', '.join(small)}", f"at least {needed} utterances per class"
        raise InputError.about(what, found, expected, "add utterances, or merge or leave out those classes")


def require_two_speakers(utterances: pd.DataFrame, what: str) -> None:
    """Refuses classes of one speaker alone, who is never trained on when tested on; all of them are named."""
    if find_strata(utterances) is None:
        return
    speakers = utterances.groupby("label")["speaker"].unique()
    if alone := [f"{label} ({names[0]})" for label, names in speakers.items() if len(names) == 1]:
        found, action = f"classes of one speaker only: {', '.join(alone)}", "add other speakers, or leave out those classes"
        raise InputError.about(what, found, "at least two speakers per class", action)
