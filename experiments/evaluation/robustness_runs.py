"""What altered recordings do to a method: trained on EmoDB as it is, tested on what happens to recordings on their way.

One classifier per speaker, with default parameters, is trained on the other speakers' recordings and scores its own speaker's,
as recorded and altered. Heads on whole utterances average over speeds, as the tables and `classifiers.predict` do. The same
heads, adapted to some of what they hear of a speaker, without labels, show what `classifiers.predict --adapt` gives.

Classifiers are trained once, in this process, when the first alteration has been heard. An alteration is made once for all
methods; its sound files and features last until they are scored.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from began.errors import printable
from began.files import lock_folder
from began.sound_hashes import SoundHashes
from began.startup import count_cores
from classifiers.head_parameters import choose_statistics
from classifiers.metrics import CATEGORICAL
from classifiers.statistics_columns import ChosenColumns
from experiments.corpora.duplicates import read_sounds, refuse_changed
from experiments.corpora.record import Corpus
from experiments.evaluation.alterations import ALTERATIONS, UNALTERED, Alteration
from experiments.evaluation.baselines import make_classifier, score_classes
from experiments.evaluation.condition import ADAPTED_TO, Condition
from experiments.evaluation.conditions import on_altered
from experiments.evaluation.data import Data, Outcome
from experiments.evaluation.evaluation_loop import finish_run, summarise
from experiments.evaluation.methods import describe_run, prepare
from experiments.evaluation.options import Settings
from experiments.evaluation.protocols import make_splits
from experiments.evaluation.resuming import refuse_other_sounds, write_sounds
from experiments.evaluation.runs import RunFolder
from experiments.evaluation.searched_heads import head_job
from experiments.evaluation.splits import Split, draw_seed

if TYPE_CHECKING:
    from classifiers.training import TrainedHead

EPOCHS = 30
"""Of heads that read one second at a time: the median of what the inner folds of the ablations choose."""

PENALTY = 0.1
"""C of the functionals' support vector machine: six of the ten searches of the ablations choose it, the others 0.01."""


def measure_robustness(methods: Sequence[str], alterations: Sequence[str], corpus: Corpus, settings: Settings) -> None:
    """Trains methods and writes one run of each for each alteration; what is complete is left alone.

    Args:
        methods: keys of `experiments.evaluation.conditions.ROBUST_METHODS`.
        alterations: keys of ALTERATIONS.
        corpus: as recorded.
        settings: of the command line.
    Raises:
        InputError: a sound file that cannot be read, or a run folder that holds a run with other settings.
    """
    hashes = SoundHashes(settings.cache_dir)
    corpus = read_sounds(corpus, hashes)
    hashes.save()
    splits = make_splits(on_altered(methods[0], UNALTERED), corpus.utterances, settings.seed, run=1)
    with ExitStack() as locks:
        runs = {key: _start(locks, *key, corpus, settings) for key in product(methods, alterations)}
        write_sounds(settings.results_dir, corpus)

        @cache
        def train(condition: Condition) -> list[Any]:
            own, _ = prepare(condition, corpus, settings)
            refuse_changed(corpus, hashes)
            print(f"training: {condition.method}")
            return _train_classifiers(condition.method, own, splits, settings)

        for name in alterations:
            missing = [method for method in methods if not runs[method, name].is_complete]
            if not missing:
                continue
            print(f"\n{ALTERATIONS[name].title}")
            with _altered(corpus, ALTERATIONS[name], settings) as (sounds, kept_there):
                # Heads that differ in training alone hear the same.
                conditions = {
                    method: replace(on_altered(method, name), name="", altered_copies=False, adapted_to="")
                    for method in missing
                }
                heard = {condition: prepare(condition, sounds, kept_there)[0] for condition in set(conditions.values())}
                refuse_changed(corpus, hashes)
                for method, condition in conditions.items():
                    data, record = replace(heard[condition], corpus=corpus), on_altered(method, name)
                    trained = train(replace(on_altered(method, UNALTERED), name="", adapted_to=""))
                    rows = [data.scored_of(split.test) for split in splits]
                    parts = enumerate(zip(trained, rows, strict=True))
                    scores = [_score(own, record, data, some, [settings.seed, fold]) for fold, (own, some) in parts]
                    outcomes = {CATEGORICAL: Outcome(scores)}
                    metrics = finish_run(runs[method, name], record, data, splits, outcomes, settings)
                    print(printable(f"{record.name}: {summarise(metrics, record)}"))


def _start(locks: ExitStack, method: str, name: str, corpus: Corpus, settings: Settings) -> RunFolder:
    """Begins a run, and holds its folder for as long as `locks` does."""
    condition = on_altered(method, name)
    run = RunFolder(settings.results_dir, condition.experiment, condition.name, 1)
    locks.enter_context(lock_folder(run.path.parent))
    refuse_other_sounds(settings.results_dir, run.path, corpus)
    run.start(describe_run(condition, corpus, settings) | {"alteration": name})
    if run.is_complete:
        print(printable(f"{method}, {condition.description}: complete in {run.path}"))
    return run


@contextmanager
def _altered(corpus: Corpus, alteration: Alteration, settings: Settings) -> Iterator[tuple[Corpus, Settings]]:
    """Yields the same corpus with altered sound files, and the settings to hear it with.

    Its files and features last as long as the block.
    """
    if alteration == ALTERATIONS[UNALTERED]:
        yield corpus, settings
        return
    from joblib import Parallel, delayed
    from tqdm import tqdm

    from began.audio import read_audio

    with tempfile.TemporaryDirectory(prefix="altered-") as folder:
        sources = list(corpus.utterances["path"])
        paths = [str(Path(folder, f"{number}{alteration.suffix}")) for number in range(len(sources))]

        def write(seed: int) -> None:
            alteration.write(paths[seed], read_audio(sources[seed]), seed)

        in_threads = Parallel(count_cores(), prefer="threads", return_as="generator")  # encoders let go of the interpreter
        written = in_threads(map(delayed(write), range(len(paths))))
        for _ in tqdm(written, desc="altering", unit="file", total=len(paths)):
            pass
        sounds = read_sounds(replace(corpus, utterances=corpus.utterances.assign(path=paths)), SoundHashes(folder))
        yield sounds, replace(settings, results_dir=Path(folder))


def _train_classifiers(method: str, own: Data, splits: Sequence[Split], settings: Settings) -> list[Any]:
    """Returns one classifier for each fold, trained on the recordings as they are."""
    if method == "functionals":
        targets = own.targets(CATEGORICAL)
        parts = [split.fitting for split in splits]
        return [make_classifier(PENALTY).fit(own.features[part], targets[part]) for part in parts]
    from tqdm import tqdm

    from classifiers.training import train_head

    job = head_job(own, CATEGORICAL, settings)
    jobs = [
        replace(job, seed=draw_seed(settings.seed, 1, number), rows=own.chunks_of(split.fitting, augmented=True))
        for number, split in enumerate(splits)
    ]
    return [train_head(job) for job in tqdm(jobs, desc="training", unit="head")]


def _score(classifier: Any, condition: Condition, data: Data, rows: np.ndarray, seed: Sequence[int]) -> np.ndarray:
    """Returns the scores of a speaker's rows of what was heard, float32 (n_rows, n_classes)."""
    if condition.method == "functionals":
        return score_classes(classifier, data.features[rows], data.n_outputs(CATEGORICAL))
    if condition.adapted_to:
        adapted = adapt(classifier, data, rows, ADAPTED_TO[condition.adapted_to], seed)
        return classifier.score(adapted, np.arange(len(rows)))
    return classifier.score(data.features, rows, data.statistics)


def adapt(head: TrainedHead, data: Data, rows: np.ndarray, number: int | None, seed: Sequence[int]) -> np.ndarray:
    """Returns what a head reads of a speaker's rows, adapted as `classifiers.predict --adapt` does.

    At each speed, the mean over recordings of this speaker is brought to the mean over what the head was trained on.

    Args:
        head: on whole utterances, with its model.
        rows: int64, (n_rows,), of all recordings of the speaker and their copies.
        number: of recordings that the mean is taken over, drawn from them; None: all.
        seed: of the draw. A larger number has those of the smaller ones among them.
    Returns:
        float32, shape (n_rows, 40, 1, n_columns).
    """
    columns = choose_statistics(head.parameters, data.statistics)
    statistics, utterances, copies = ChosenColumns(data.features, columns)[rows], data.utterance[rows], data.number[rows]
    drawn = np.isin(utterances, np.random.default_rng(seed).permutation(np.unique(utterances))[:number])
    trained = head.model.get_layer("normalization").get_weights()[0].reshape(statistics.shape[1:])
    for copy in np.unique(copies):
        statistics[copies == copy] += trained - statistics[(copies == copy) & drawn].mean(axis=0)
    return statistics
