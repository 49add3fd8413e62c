"""Carrying over: trained on one corpus, tested on another one, with a few of its labels or none.

Both corpora are reduced to the classes that they share. Of the corpus that is tested on, every run sets some utterances aside,
drawn as evenly over the classes as possible; the labelled ones are the first of these, and all conditions of the run are tested
on the same others. Labelled utterances come from the speakers that are tested on.

However few the labelled utterances are, they are repeated until they weigh as much as the other corpus: the loss is the mean of
two losses, one of each corpus. This, and the default parameters, were fixed before anything was tested.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from began.arrays import open_npy, write_npy
from began.errors import InputError, printable
from began.files import UNFINISHED, lock_folder
from began.sound_hashes import SoundHashes
from classifiers.metrics import CATEGORICAL
from classifiers.statistics_columns import BLOCK
from experiments.corpora.duplicates import read_sounds, refuse_changed
from experiments.corpora.record import Corpus
from experiments.evaluation.baselines import make_classifier, score_classes
from experiments.evaluation.condition import CORPUS_TITLES, SET_ASIDE, Condition
from experiments.evaluation.data import Data, Outcome
from experiments.evaluation.evaluation_loop import finish_run, summarise
from experiments.evaluation.methods import describe_run, prepare
from experiments.evaluation.options import Settings
from experiments.evaluation.resuming import refuse_other_sounds, write_sounds
from experiments.evaluation.robustness_runs import PENALTY
from experiments.evaluation.runs import RunFolder
from experiments.evaluation.searched_heads import head_job
from experiments.evaluation.splits import Split, draw_seed, first_of_each


def measure_transfer(conditions: Sequence[Condition], corpora: Mapping[str, Corpus], settings: Settings) -> None:
    """Runs conditions as often as asked for; what is complete is left alone.

    Args:
        conditions: of the protocol "another_corpus".
        corpora: the two of them, by the names of their loaders.
        settings: of the command line.
    Raises:
        InputError: a sound file that cannot be read, corpora that are too small or share no classes, or a run folder that holds
            a run with other settings.
    """
    hashes = SoundHashes(settings.cache_dir)
    corpora = {name: read_sounds(corpus, hashes) for name, corpus in corpora.items()}
    together = unite(corpora)
    for target in corpora:
        divide(
            together.utterances, target, [settings.seed, 1]
        )  # corpora that are too small are refused before long work starts
    runs = [
        (condition, RunFolder(settings.results_dir, condition.experiment, condition.name, number))
        for number in range(1, settings.runs + 1)
        for condition in conditions
    ]
    for condition, run in runs:
        refuse_other_sounds(settings.results_dir, run.path, corpora[condition.corpus])
    configs = {condition.name: _describe(condition, corpora, settings) for condition in conditions}
    with lock_folder(settings.results_dir / conditions[0].experiment):
        hashes.save()
        for condition, run in runs:
            if run.is_started:  # refused before long work starts, where its settings are others
                run.start(configs[condition.name])
        for corpus in corpora.values():
            write_sounds(settings.results_dir, corpus)
        for method in dict.fromkeys(condition.method for condition in conditions):
            of_method = [(condition, run) for condition, run in runs if condition.method == method]
            missing = [(condition, run) for condition, run in of_method if not run.is_complete]
            print(f"\n{method}: {len(of_method) - len(missing)} of {len(of_method)} runs are complete")
            if missing:
                _run_method(missing, configs, corpora, together, hashes, settings)


def _describe(condition: Condition, corpora: Mapping[str, Corpus], settings: Settings) -> dict[str, object]:
    """Returns all that decides the scores of a run, with the hashes of both corpora."""
    source, config = corpora[condition.source], describe_run(condition, corpora[condition.corpus], settings)
    synthetic = any(corpus.synthetic for corpus in corpora.values())
    hashes = {"source_utterances_sha256": source.sha256, "source_sounds_sha256": source.sounds_sha256}
    others = {"n_unpublished": n} if (n := sum(one.n_unpublished for one in corpora.values())) and not synthetic else {}
    return {**config, **others, "source": CORPUS_TITLES[condition.source], "synthetic": synthetic, **hashes}


def _run_method(
    missing: Sequence[tuple[Condition, RunFolder]],
    configs: Mapping[str, Mapping[str, object]],
    corpora: Mapping[str, Corpus],
    together: Corpus,
    hashes: SoundHashes,
    settings: Settings,
) -> None:
    """Does runs of one method, those of one number together."""
    record = missing[0][0]
    parts = {name: prepare(record, corpus, settings)[0] for name, corpus in corpora.items()}
    for corpus in corpora.values():
        refuse_changed(corpus, hashes)
    train = train_classifiers if record.method == "functionals" else train_heads
    folder = settings.results_dir / record.experiment
    with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=folder) as temporary:  # where `lock_folder` removes what is left
        plain, adapted = join(parts, together, Path(temporary, "features.npy"))
        for number in sorted({run.run or 0 for _, run in missing}):
            chosen = [(condition, run) for condition, run in missing if run.run == number]
            jobs = [
                make_job(
                    condition,
                    adapted[condition.corpus] if condition.training == "adapted" else plain,
                    divide(together.utterances, condition.corpus, [settings.seed, number]),
                )
                for condition, _ in chosen
            ]
            for (condition, run), job, scores in zip(chosen, jobs, train(jobs, settings, number), strict=True):
                with lock_folder(run.path.parent):
                    run.start(configs[condition.name])
                    metrics = finish_run(run, condition, job.data, job.splits, {CATEGORICAL: Outcome(scores)}, settings)
                print(printable(f"{condition.name}, run {number}: {summarise(metrics, condition)}"))


# --------------------------------------------------------------------------------------------------------- two corpora


def unite(corpora: Mapping[str, Corpus]) -> Corpus:
    """Returns the utterances of all corpora whose classes all of them have, one after the other, with the column `corpus`.

    Raises:
        InputError: fewer than two classes in common.
    """
    found = [set(corpus.utterances["label"].dropna()) for corpus in corpora.values()]
    shared = tuple(sorted(set.intersection(*found)))
    if len(shared) < 2:
        classes = "; ".join(
            f"{corpus.name}: {', '.join(sorted(own))}" for corpus, own in zip(corpora.values(), found, strict=True)
        )
        raise InputError.about("the corpora", classes, "at least two classes in common", "give whole corpora")
    tables = [
        corpus.utterances[corpus.utterances["label"].isin(shared)].assign(corpus=name) for name, corpus in corpora.items()
    ]
    return Corpus(" and ".join(corpora), pd.concat(tables, ignore_index=True), shared)


class Parts(NamedTuple):
    """What is done with the utterances of two corpora: positions in their table, int64.

    Attributes:
        source: of the corpus that is trained on.
        set_aside: of the other one, in the order in which they are labelled.
        test: of that one, too.
    """

    source: np.ndarray
    set_aside: np.ndarray
    test: np.ndarray


def divide(utterances: pd.DataFrame, target: str, seed: Sequence[int]) -> Parts:
    """Returns who is trained on and who is tested on; no sound is in two parts.

    Args:
        utterances: of `unite`.
        target: the corpus that is tested on.
        seed: of the utterances that are set aside.
    Raises:
        InputError: it has too few utterances.
    """
    sounds, labels = utterances["sound"].to_numpy(), utterances["label"].to_numpy()
    is_target = (utterances["corpus"] == target).to_numpy()
    rows = np.flatnonzero(is_target)
    firsts = first_of_each(rows, utterances)
    if len(firsts) <= SET_ASIDE:
        found, expected = f"{len(firsts)} different recordings of shared classes", f"more than {SET_ASIDE}"
        action = f"give the whole corpus: {SET_ASIDE} are set aside, the others are tested on"
        raise InputError.about(CORPUS_TITLES.get(target, target), found, expected, action)
    generator, set_aside = np.random.default_rng(seed), np.arange(0)
    waiting = {label: generator.permutation(firsts[labels[firsts] == label]) for label in np.unique(labels[firsts])}
    while len(set_aside) < SET_ASIDE:  # one of each class, in random order, and again
        classes = generator.permutation([label for label, members in waiting.items() if len(members)])
        set_aside = np.concatenate([set_aside, *(waiting[label][:1] for label in classes)])
        waiting = {label: members[1:] for label, members in waiting.items()}
    set_aside = set_aside[:SET_ASIDE]
    test = rows[~np.isin(sounds[rows], sounds[set_aside])]
    source = np.flatnonzero(~is_target & ~np.isin(sounds, sounds[rows]))
    return Parts(source, set_aside, test)


def join(parts: Mapping[str, Data], together: Corpus, path: Path) -> tuple[Data, dict[str, Data]]:
    """Returns the features of two corpora as those of one, kept in a file.

    Args:
        parts: the two corpora, whole, by name.
        together: of `unite`, of the same corpora in the same order.
        path: of the file, .npy; mapped while the data are used.
    Returns:
        The features as they are; and by the corpus that is tested on, those in which its features have the mean and the
        standard deviation of the other corpus. Both are measured on the recordings without copies, and without labels.
    """
    rows, utterance, moments = {}, {}, {}
    for name, data in parts.items():
        shared = np.flatnonzero(data.corpus.utterances["label"].isin(together.labels))
        position = np.full(len(data.corpus.utterances), -1)
        position[shared] = np.flatnonzero(together.utterances["corpus"] == name)
        rows[name] = data.chunks_of(shared, augmented=True)
        utterance[name] = position[data.utterance[rows[name]]]
        recordings = data.features[data.chunks_of(shared)].astype(np.float64)
        moments[name] = recordings.mean(axis=0), recordings.std(axis=0)
    one, other = parts
    other_of, first = {one: other, other: one}, parts[one]
    form = first.features.dtype, first.features.shape[1:]
    with write_npy(path, *form) as append:
        for is_adapted in (False, True):
            for name, data in parts.items():
                for start in range(0, len(rows[name]), BLOCK):
                    block = data.features[rows[name][start : start + BLOCK]]
                    append(match_moments(block, moments[name], moments[other_of[name]]) if is_adapted else block)
    features, _ = open_npy(path, *form)

    def gather(flags: Mapping[str, np.ndarray | None]) -> np.ndarray | None:
        chosen = [of_corpus[rows[name]] for name, of_corpus in flags.items() if of_corpus is not None]
        return np.concatenate(chosen * 2) if chosen else None

    is_augmented = gather({name: data.is_augmented for name, data in parts.items()})
    is_altered = gather({name: data.is_altered for name, data in parts.items()})

    def take(target: str) -> Data:
        # Of each corpus either the features as they are or the adapted ones belong to an utterance, the others to none.
        belongs = [
            np.where((name == target) == is_adapted, utterance[name], -1) for is_adapted in (False, True) for name in parts
        ]
        return Data(together, features, np.concatenate(belongs), is_augmented, first.statistics, is_altered)

    return take(""), {name: take(name) for name in parts}


def match_moments(
    features: np.ndarray, moments: tuple[np.ndarray, np.ndarray], wanted: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Returns features, (n, ...), with mean and standard deviation, (...) each, brought to others; constants to the mean."""
    (mean, deviation), (wanted_mean, wanted_deviation) = moments, wanted
    factor = np.divide(wanted_deviation, deviation, out=np.zeros_like(deviation), where=deviation > 0)
    return (features - mean) * factor + wanted_mean


# ------------------------------------------------------------------------------------------------------------ training


class Job(NamedTuple):
    """One classifier to train.

    Attributes:
        data: of both corpora.
        rows: of its features, that are trained on, int64.
        splits: one for each speaker that is tested on.
        scored: of each split, the rows of the features that are scored, int64.
    """

    data: Data
    rows: np.ndarray
    splits: list[Split]
    scored: list[np.ndarray]


def make_job(condition: Condition, data: Data, parts: Parts) -> Job:
    """Returns what a condition trains on and is tested on."""
    rows = [] if condition.training == "alone" else [data.chunks_of(parts.source, augmented=True)]
    if condition.shots:
        labelled = data.chunks_of(parts.set_aside[: condition.shots], augmented=True)
        rows.append(np.tile(labelled, max(1, round(len(parts.source) / condition.shots))))
    speakers = data.corpus.utterances["speaker"].to_numpy()[parts.test]
    splits = [Split(speaker, (), parts.test[speakers == speaker]) for speaker in np.unique(speakers)]
    return Job(data, np.concatenate(rows), splits, [data.scored_of(split.test) for split in splits])


def train_classifiers(jobs: Sequence[Job], settings: Settings, run: int) -> list[list[np.ndarray]]:
    """Fits support vector machines; returns the scores of each split of each job, float32 (n_scored, n_classes)."""
    found = []
    for data, rows, _, scored in jobs:
        model = make_classifier(PENALTY).fit(data.features[rows], data.targets(CATEGORICAL)[rows])
        found.append([score_classes(model, data.features[some], data.n_outputs(CATEGORICAL)) for some in scored])
    return found


def train_heads(jobs: Sequence[Job], settings: Settings, run: int) -> list[list[np.ndarray]]:
    """Trains heads with default parameters; returns what `train_classifiers` does."""
    from classifiers import workers

    seed, head_jobs = draw_seed(settings.seed, run, 0), []
    for data, rows, _, scored in jobs:
        job = head_job(data, CATEGORICAL, settings)
        head_jobs.append(replace(job, seed=seed, rows=rows, test_rows=np.concatenate(scored)))
    trained = workers.train_heads(head_jobs, settings.workers, progress=f"run {run}, heads")
    ends = [np.cumsum([len(some) for some in job.scored])[:-1] for job in jobs]
    return [np.split(head.scores, end) for head, end in zip(trained, ends, strict=True)]
