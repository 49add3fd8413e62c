"""The splits of the paper's tables, each checked for leakage before anything is trained (paper, section 3.3).

All of them split utterances; chunks are cut afterwards, so that no chunk of a test utterance is ever trained on. (The one
exception carries `leaking` in its name and exists to show what it does to a score.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from began.errors import InputError

VALIDATION_SPEAKERS = 2
"""Speakers of the training part that leave-one-speaker-out selects hyper-parameters on. Assumption."""

VALIDATION_FRACTION = 0.2
"""Fraction of the training utterances that the other protocols select hyper-parameters on. Assumption."""


@dataclass(frozen=True)
class Split:
    """One fold: positions of utterances in the corpus' table.

    Attributes:
        fold: the held-out speaker's name, or "pooled" where there is one fold only.
        train: int64; what heads are fitted on, after the search together with `validation`.
        validation: int64; what the search selects on.
        test: int64; touched once, at the end.
    """

    fold: str
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    @property
    def fitting(self) -> np.ndarray:
        """Training and validation utterances together: what the final heads are fitted on."""
        return np.sort(np.concatenate([self.train, self.validation]))


def check_split(split: Split, utterances: pd.DataFrame, disjoint: str | None = None) -> Split:
    """Returns the split if it is sound.

    Args:
        split: to be checked.
        utterances: the corpus' table.
        disjoint: a column, such as "speaker" or "video", of which no value may lie on both sides of training and test.
    Raises:
        InputError: a part is empty, or a class of the test part is missing from training.
        AssertionError: an utterance or a value of `disjoint` lies on both sides: a defect of the protocol.
    """
    parts = {"training": split.train, "validation": split.validation, "test": split.test}
    for name, part in parts.items():
        if len(part) == 0:
            raise InputError.about(f"fold {split.fold}", found=f"no utterance in the {name} part",
                                   expected="at least one", action="give more utterances or speakers")
    together = np.concatenate(list(parts.values()))
    assert len(np.unique(together)) == len(together), f"fold {split.fold}: an utterance lies in two parts"
    names = utterances["utterance"].to_numpy()
    assert not set(names[split.fitting]) & set(names[split.test]), f"fold {split.fold}: an utterance on both sides"
    if disjoint is not None:
        values = utterances[disjoint].to_numpy()
        both = set(values[split.fitting]) & set(values[split.test])
        assert not both, f"fold {split.fold}: {disjoint} {sorted(both)} on both sides"
    if "label" in utterances and utterances["label"].notna().all():
        labels = utterances["label"].to_numpy()
        absent = set(labels[split.test]) - set(labels[split.fitting])
        if absent:
            raise InputError.about(f"fold {split.fold}", found=f"no training utterance of {', '.join(sorted(absent))}",
                                   expected="every class of the test part in the training part",
                                   action="give more utterances of that class")
    return split


def leave_one_speaker_out(utterances: pd.DataFrame, seed: int = 0) -> list[Split]:
    """Returns a fold a speaker (paper, section 3.3: EmoDB).

    The search selects on VALIDATION_SPEAKERS of the remaining speakers, drawn by the seed; where the corpus knows the
    speakers' sex, one of each.

    Raises:
        InputError: fewer than four speakers.
    """
    speakers = sorted(utterances["speaker"].unique())
    if len(speakers) < VALIDATION_SPEAKERS + 2:
        raise InputError.about("leave one speaker out", found=f"{len(speakers)} speakers",
                               expected=f"at least {VALIDATION_SPEAKERS + 2}: one for the test, {VALIDATION_SPEAKERS} for the "
                               "search, one to train on", action="use the protocol kfold")
    return [check_split(split, utterances, disjoint="speaker") for split in _held_out_speakers(utterances, speakers, seed)]


def _held_out_speakers(utterances: pd.DataFrame, speakers: list[str], seed: int) -> Iterator[Split]:
    speaker_of = utterances["speaker"].to_numpy()
    sexes = utterances.groupby("speaker")["sex"].first() if "sex" in utterances else pd.Series("", index=speakers)
    for number, speaker in enumerate(speakers):
        generator = np.random.default_rng([seed, number])
        others = list(generator.permutation([other for other in speakers if other != speaker]))
        # Taking turns between the sexes in a random order of speakers.
        turn = pd.Series(others).groupby([sexes[other] for other in others]).cumcount()
        validation = [others[i] for i in np.argsort(turn.to_numpy(), kind="stable")[:VALIDATION_SPEAKERS]]
        is_test, is_validation = speaker_of == speaker, np.isin(speaker_of, validation)
        yield Split(speaker, np.flatnonzero(~is_test & ~is_validation), np.flatnonzero(is_validation),
                    np.flatnonzero(is_test))


def per_speaker(utterances: pd.DataFrame, seed: int, test_fraction: float = 0.4) -> list[Split]:
    """Returns a speaker-dependent fold a speaker: stratified 60/40 by utterances (paper, section 3.3: SAVEE)."""
    splits = []
    for number, speaker in enumerate(sorted(utterances["speaker"].unique())):
        rows = np.flatnonzero(utterances["speaker"].to_numpy() == speaker)
        # One each for training, search and test.
        _require_members(utterances["label"].to_numpy()[rows].astype(str), 3, f"speaker {speaker}")
        splits.append(check_split(_stratified(speaker, rows, utterances, [seed, number], test_fraction), utterances))
    return splits


def k_fold(utterances: pd.DataFrame, n_folds: int, seed: int) -> list[Split]:
    """Returns folds of utterances: by speaker where speakers are known and there are enough, else stratified by label."""
    from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold

    rows = np.arange(len(utterances))
    speakers = utterances["speaker"].to_numpy() if "speaker" in utterances else np.full(len(rows), "")
    by_speaker = len(np.unique(speakers)) >= n_folds
    labels = _strata(utterances)
    if by_speaker:
        folds = GroupKFold(n_folds, shuffle=True, random_state=seed).split(rows, groups=speakers)
    elif labels is not None:
        _require_members(labels, n_folds, f"{n_folds} folds")
        folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(rows, labels)
    else:
        folds = KFold(n_folds, shuffle=True, random_state=seed).split(rows)
    splits = []
    for number, (fitting, test) in enumerate(folds, start=1):
        train, validation = _hold_out(fitting, utterances, [seed, number])
        split = Split(f"fold{number}", train, validation, test)
        splits.append(check_split(split, utterances, disjoint="speaker" if by_speaker else None))
    return splits


def official(utterances: pd.DataFrame, seed: int, disjoint: str | None = None) -> list[Split]:
    """Returns the split that the corpus itself names in the column `split`; the search selects inside its training part.

    OMG-Emotion's validation part is what the paper's authors, like everybody without the challenge's hidden labels, can
    test on: where no labelled test part exists, the validation part is the test part.

    Args:
        utterances: the corpus' table; rows of other parts than those used are left alone.
        seed: of the choice of validation utterances.
        disjoint: a column, such as "video": training utterances that share a value with the test part are left out.
    Raises:
        InputError: the table has no column `split`, or one of its parts is empty.
    """
    if "split" not in utterances:
        raise InputError.about("protocol official", found="no column split", expected="split = train, validation or test",
                               action="add the column, or choose another protocol")
    part = utterances["split"].to_numpy()
    test = np.flatnonzero(part == "test")
    held_out = np.flatnonzero(part == "validation")
    fitting = np.flatnonzero(part == "train")
    has_test = len(test) > 0
    if not has_test:
        test = held_out
    if disjoint is not None:
        values = utterances[disjoint].to_numpy()
        fitting = fitting[~np.isin(values[fitting], values[test])]
    if len(fitting) < 2 or len(test) == 0:
        raise InputError.about("protocol official", found=f"{len(fitting)} training and {len(test)} test utterances",
                               expected="at least two and one", action="check the column split, and that the audio is there")
    train, validation = (fitting, held_out) if has_test and len(held_out) else _hold_out(fitting, utterances, [seed])
    return [check_split(Split("pooled", train, validation, test), utterances, disjoint)]


def _hold_out(rows: np.ndarray, utterances: pd.DataFrame, seed: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Returns training and validation rows, disjoint by video or speaker where that leaves both parts filled."""
    from sklearn.model_selection import GroupShuffleSplit

    random_state = int(np.random.default_rng(seed).integers(2**31))
    for column in ("video", "speaker"):
        if column in utterances and utterances[column].iloc[rows].nunique() >= 5:
            groups = utterances[column].to_numpy()[rows]
            splitter = GroupShuffleSplit(1, test_size=VALIDATION_FRACTION, random_state=random_state)
            train, validation = next(splitter.split(rows, groups=groups))
            return rows[train], rows[validation]
    return _stratified_pair(rows, utterances, random_state, VALIDATION_FRACTION)


def _stratified(fold: str, rows: np.ndarray, utterances: pd.DataFrame, seed: list[int], test_fraction: float) -> Split:
    random_states = np.random.default_rng(seed).integers(2**31, size=2)
    fitting, test = _stratified_pair(rows, utterances, int(random_states[0]), test_fraction)
    train, validation = _stratified_pair(fitting, utterances, int(random_states[1]), VALIDATION_FRACTION)
    return Split(fold, train, validation, test)


def _stratified_pair(rows: np.ndarray, utterances: pd.DataFrame, random_state: int,
                     fraction: float) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.model_selection import train_test_split

    labels = _strata(utterances)
    strata = None if labels is None else labels[rows]
    if strata is not None:
        counts = np.unique(strata, return_counts=True)[1]
        n_second = int(np.ceil(fraction * len(rows)))
        if counts.min() < 2 or not len(counts) <= n_second <= len(rows) - len(counts):
            strata = None  # too few utterances to have every class on both sides
    first, second = train_test_split(rows, test_size=fraction, random_state=random_state, stratify=strata)
    return np.sort(first), np.sort(second)


def _strata(utterances: pd.DataFrame) -> np.ndarray | None:
    if "label" not in utterances or utterances["label"].isna().any():
        return None
    return utterances["label"].to_numpy().astype(str)


def _require_members(labels: np.ndarray, needed: int, what: str) -> None:
    names, counts = np.unique(labels, return_counts=True)
    small = [f"{name} ({count})" for name, count in zip(names, counts, strict=True) if count < needed]
    if small:
        raise InputError.about(what, found=f"classes with few utterances: {', '.join(small)}",
                               expected=f"at least {needed} utterances a class",
                               action="add utterances, or merge or leave out those classes")
