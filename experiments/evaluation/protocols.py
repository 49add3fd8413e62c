"""The splits of the paper's tables, each checked for leakage (paper, section 3.3).

All of them split utterances; chunks are cut afterwards, so that no chunk of a test utterance is ever trained on. (The one
exception carries `leaking` in its name and exists to show what it does to a score.)

Duplicates of a recording stay on one side of a split: `experiments.evaluation.splits`.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from began.errors import InputError, counted
from experiments.corpora.record import POOLED, UNKNOWN_SPEAKER
from experiments.evaluation.condition import Condition
from experiments.evaluation.conditions import TEST_PART
from experiments.evaluation.splits import (
    Inner,
    Split,
    check_split,
    complete_split,
    draw_seed,
    find_strata,
    first_of_each,
    include_duplicates,
    require_members,
    require_two_speakers,
)

INNER_FOLDS = 3
"""Inner folds that hyper-parameters are selected on: each training utterance is validated on once. Assumption. Two of EmoDB's
speakers alone, a hundred utterances, select by luck."""

ENOUGH_UTTERANCES = 1000
"""Training utterances from which on a single held-out part is large enough to select on. Assumption. Where one speaker
is left out, there are always INNER_FOLDS, of speakers."""

VALIDATION_FRACTION = 0.2
"""Fraction of the training utterances in that single part. Assumption."""


def make_splits(condition: Condition, utterances: pd.DataFrame, seed: int, run: int) -> list[Split]:
    """Returns the folds of a condition's run.

    Runs share their folds, and so one search; the protocol "per_speaker" splits anew for every run.

    Raises:
        InputError: the utterances are too few for the protocol.
    """
    if len(utterances) < 3:
        expected = "at least 3: one each to train, to select and to test on"
        raise InputError.about("the split", counted(len(utterances), "recording"), expected, "add recordings")
    if condition.protocol == "per_speaker":
        splits = per_speaker(utterances, seed, run)
    elif condition.protocol == "leave_one_speaker_out":
        splits = leave_one_speaker_out(utterances, seed)
    elif condition.protocol == "k_fold":
        splits = k_fold(utterances, condition.folds, seed)
    elif condition.protocol == "official":
        splits = official(utterances, seed)
    else:
        disjoint = "video" if condition.protocol.startswith("source_disjoint") else None
        test_part = "test" if condition.protocol.endswith(TEST_PART) else "validation"
        splits = official(utterances, seed, disjoint=disjoint, test_part=test_part)
    if condition.percent == 100:
        return splits
    disjoint = None if condition.protocol == "per_speaker" else "speaker"
    return draw_share(splits, utterances, condition.percent, [seed, run], disjoint)


def count_shared_speakers(condition: Condition, utterances: pd.DataFrame, seed: int) -> int:
    """Returns how many known speakers are trained and tested on, where the protocol does not say so itself."""
    named = ("per_speaker", "another_corpus", "leave_one_speaker_out")
    if condition.protocol in named or condition.chunk_split:
        return 0
    speakers, shared = utterances["speaker"].to_numpy(), set()
    for split in make_splits(condition, utterances, seed, run=1):
        shared |= {*speakers[split.fitting]} & {*speakers[split.test]}
    return len(shared - {UNKNOWN_SPEAKER})


def draw_share(
    splits: list[Split], utterances: pd.DataFrame, percent: int, seed: list[int], disjoint: str | None
) -> list[Split]:
    """Returns folds with a share of their training utterances; the test part stays whole.

    Drawn from each inner fold's validation part, at least one per class: so every inner fold has something to select on.

    Raises:
        InputError: it would become another share, more than a fifth off, for there are too few utterances.
    """
    labels, drawn = utterances["label"].to_numpy(), []
    for number, split in enumerate(splits):
        generator = np.random.default_rng([*seed, number, percent])
        kept = []
        for rows in (inner.validation for inner in split.inner):
            for label in np.unique(labels[rows]):
                members = generator.permutation(rows[labels[rows] == label])
                kept.extend(members[: max(1, round(len(members) * percent / 100))])
        if abs(len(kept) / len(split.fitting) - percent / 100) > percent / 500:
            found = f"{len(kept)} of {len(split.fitting)} training utterances as the nearest share"
            expected = f"about {percent} % (one per class and inner fold at least)"
            raise InputError.about(f"{percent} % of the labels, {split.title}", found, expected, "give another percentage")
        inner = tuple(Inner(*(rows[np.isin(rows, kept)] for rows in fold)) for fold in split.inner)
        drawn.append(check_split(replace(split, inner=inner), utterances, disjoint=disjoint))
    return drawn


def leave_one_speaker_out(utterances: pd.DataFrame, seed: int = 0) -> list[Split]:
    """Returns one fold per speaker (paper, section 3.3: EmoDB).

    The search selects on inner folds that leave out a third of the remaining speakers each, assigned at random; where the
    corpus knows the speakers' sex, both sexes are spread evenly.

    Raises:
        InputError: fewer than four speakers, or a class of one speaker alone.
    """
    speakers = sorted(utterances["speaker"].unique())
    if len(speakers) < INNER_FOLDS + 1:
        expected = f"at least {INNER_FOLDS + 1}: one for the test, the others for the search"
        # With more folds than speakers, kfold would split by utterances.
        action = f"use the protocol kfold with {len(speakers)} folds" if len(speakers) > 1 else "add speakers"
        raise InputError.about("leave one speaker out", counted(len(speakers), "speaker"), expected, action)
    require_two_speakers(utterances, "leave one speaker out")
    speaker_of = utterances["speaker"].to_numpy()
    sexes = utterances.groupby("speaker")["sex"].first() if "sex" in utterances else pd.Series("", index=speakers)
    splits = []
    for number, speaker in enumerate(speakers):
        generator = np.random.default_rng([seed, number])
        others = list(generator.permutation([other for other in speakers if other != speaker]))
        in_order = sorted(others, key=lambda other: sexes[other])  # one sex after the other, each in a random order
        is_test = speaker_of == speaker
        held_out = [np.isin(speaker_of, in_order[first::INNER_FOLDS]) for first in range(INNER_FOLDS)]
        inner = tuple(Inner(np.flatnonzero(~is_test & ~part), np.flatnonzero(part)) for part in held_out)
        splits.append(complete_split(Split(speaker, inner, np.flatnonzero(is_test)), utterances, disjoint="speaker"))
    return splits


def per_speaker(utterances: pd.DataFrame, seed: int, run: int) -> list[Split]:
    """Returns one speaker-dependent fold per speaker: stratified 60/40 by utterances (paper, section 3.3: SAVEE).

    Every run, and every seed, splits anew.
    """
    splits = []
    for number, speaker in enumerate(sorted(utterances["speaker"].unique())):
        rows = np.flatnonzero(utterances["speaker"].to_numpy() == speaker)
        labels = utterances["label"].to_numpy()[first_of_each(rows, utterances)].astype(str)
        if len(set(labels)) < 2:
            found, action = f"one class only ({labels[0]})", "give recordings of other classes, or use another protocol"
            raise InputError.about(f"speaker {speaker}", found, "at least two, for each speaker is learnt alone", action)
        require_members(labels, 3, f"speaker {speaker}")  # one each for training, search and test
        # A zero at the end changes nothing: the published splits, of seed 0, were drawn without one.
        random_states = np.random.default_rng([run, number, seed]).integers(2**31, size=2)
        fitting, test = _stratified_pair(rows, utterances, int(random_states[0]), 0.4)
        splits.append(
            complete_split(Split(speaker, _inner_folds(fitting, utterances, int(random_states[1])), test), utterances)
        )
    return splits


def k_fold(utterances: pd.DataFrame, n_folds: int, seed: int) -> list[Split]:
    """Returns folds of utterances: by speaker where speakers are known and there are enough, else stratified by label."""
    from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold

    rows, speakers = np.arange(len(utterances)), utterances["speaker"].to_numpy()
    firsts = first_of_each(rows, utterances)
    if n_folds > len(firsts):
        found = f"{n_folds} for {counted(len(firsts), 'recording')}"
        raise InputError.about("--folds", found, "at most as many as recordings", "choose fewer")
    labels = find_strata(utterances, firsts)
    by_speaker, at_random = len({*speakers} - {UNKNOWN_SPEAKER}) >= n_folds, {"shuffle": True, "random_state": seed}
    if by_speaker:
        require_two_speakers(utterances, f"{n_folds} folds of speakers")
        folds = [rows[test] for _, test in GroupKFold(n_folds, **at_random).split(rows, groups=speakers)]
    else:
        if labels is not None:
            require_members(labels, n_folds, f"{n_folds} folds")
        folder = (KFold if labels is None else StratifiedKFold)(n_folds, **at_random)
        folds = [include_duplicates(firsts[test], rows, utterances) for _, test in folder.split(firsts, labels)]
    splits = []
    for number, test in enumerate(folds, start=1):
        random_state = draw_seed(seed, number)
        split = Split(f"fold{number}", _inner_folds(np.setdiff1d(rows, test), utterances, random_state), test)
        splits.append(complete_split(split, utterances, disjoint="speaker" if by_speaker else None))
    return splits


def official(utterances: pd.DataFrame, seed: int, disjoint: str | None = None, test_part: str | None = None) -> list[Split]:
    """Returns the split that the corpus itself names in the column `split`.

    Where a part "test" is tested on, the part "validation" is selected on; else inner folds of the training part are.

    Args:
        utterances: the corpus' table; rows of other parts than those used are left alone.
        seed: of the choice of validation utterances.
        disjoint: a column, such as "video": training utterances that share a value with the test part are left out.
        test_part: what is tested on, "validation" or "test"; None takes the part "test" where there is one.
    Raises:
        InputError: the table has no column `split`, or one of its parts is empty.
    """
    if "split" not in utterances:
        expected, action = "split = train, validation or test", "add the column, or choose another protocol"
        raise InputError.about("protocol official", "no column split", expected, action)
    part = utterances["split"].to_numpy()
    if test_part is None:
        test_part = "test" if (part == "test").any() else "validation"
    test = np.flatnonzero(part == test_part)
    held_out = np.flatnonzero(part == "validation") if test_part == "test" else np.array([], dtype=np.int64)
    fitting = np.flatnonzero(part == "train")
    for column in utterances.columns.intersection(["sound", disjoint]):
        values = utterances[column].to_numpy()
        fitting, held_out = (rows[~np.isin(values[rows], values[test])] for rows in (fitting, held_out))
    if len(fitting) < 2 or len(test) == 0:
        parts = ", ".join(f"{name} {(part == name).sum()}" for name in sorted(set(part)))
        found = f"{len(fitting)} training and {len(test)} test utterances (column split: {parts})"
        action = "check the column split, and the audio"
        raise InputError.about("protocol official", found, "at least two and one", action)
    inner: tuple[Inner, ...] = (Inner(fitting, held_out),)
    if len(held_out) == 0:
        inner = _inner_folds(fitting, utterances, draw_seed(seed))
    return [complete_split(Split(POOLED, inner, test), utterances, disjoint)]


def _inner_folds(rows: np.ndarray, utterances: pd.DataFrame, random_state: int) -> tuple[Inner, ...]:
    """Returns inner folds of training rows, disjoint by video or speaker where that leaves all of them filled."""
    from sklearn.model_selection import GroupKFold, GroupShuffleSplit, KFold, StratifiedKFold

    firsts = first_of_each(rows, utterances)
    large, at_random = len(firsts) >= ENOUGH_UTTERANCES, {"shuffle": True, "random_state": random_state}
    for column in ("video", "speaker"):
        if column in utterances and utterances[column].iloc[rows].nunique() >= 5:
            one_part = GroupShuffleSplit(1, test_size=VALIDATION_FRACTION, random_state=random_state)
            groups, splitter = utterances[column].to_numpy()[rows], one_part if large else GroupKFold(INNER_FOLDS, **at_random)
            return tuple(Inner(rows[train], rows[validation]) for train, validation in splitter.split(rows, groups=groups))
    if large:
        return (Inner(*_stratified_pair(rows, utterances, random_state, VALIDATION_FRACTION)),)
    if len(firsts) < 2:
        found, action = f"{counted(len(firsts), 'different recording')} in a training part", "give more recordings"
        raise InputError.about("splits", found, "at least two, to search on", action)
    n_folds, labels = min(INNER_FOLDS, len(firsts)), find_strata(utterances, firsts)
    smallest = 0 if labels is None else int(np.unique(labels, return_counts=True)[1].min())
    fits = smallest >= 2
    splitter = StratifiedKFold(min(n_folds, smallest), **at_random) if fits else KFold(n_folds, **at_random)
    held_out = [
        include_duplicates(firsts[part], rows, utterances) for _, part in splitter.split(firsts, labels if fits else None)
    ]
    return tuple(Inner(np.setdiff1d(rows, part), part) for part in held_out)


def _stratified_pair(
    rows: np.ndarray, utterances: pd.DataFrame, random_state: int, fraction: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns some rows in two parts, duplicates together."""
    from sklearn.model_selection import train_test_split

    firsts = first_of_each(rows, utterances)
    strata = find_strata(utterances, firsts)
    if strata is not None:
        counts, n_second = np.unique(strata, return_counts=True)[1], int(np.ceil(fraction * len(firsts)))
        if counts.min() < 2 or not len(counts) <= n_second <= len(firsts) - len(counts):
            strata = None  # too few utterances to have every class on both sides
    parts = train_test_split(firsts, test_size=fraction, random_state=random_state, stratify=strata)
    first, second = (include_duplicates(part, rows, utterances) for part in parts)
    return first, second
