"""What altered recordings do to a method: trained on EmoDB as it is, tested on what happens to recordings on their way.

One classifier per speaker, with default parameters, is trained on the other speakers' recordings and scores its own speaker's,
as recorded and altered. Whole utterances are read once, at their own speed, also where a table averages over speeds.

Each alteration is made once, for all methods, and what the encoder gives is cached. Then the heads of a method are trained side
by side, and score all alterations.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from began.files import lock_folder, printable
from began.sounds import SoundHashes
from began.startup import count_cores
from classifiers.metrics import CATEGORICAL
from experiments.corpora.equal_sounds import read_sounds, refuse_changed
from experiments.corpora.record import Corpus
from experiments.evaluation.alterations import ALTERATIONS, UNALTERED, Alteration
from experiments.evaluation.baselines import make_classifier, score_classes
from experiments.evaluation.conditions import Condition, on_altered
from experiments.evaluation.data import Data, Outcome, represent
from experiments.evaluation.evaluate import finish_run
from experiments.evaluation.functionals import compute_functionals
from experiments.evaluation.methods import describe_run
from experiments.evaluation.options import Settings
from experiments.evaluation.protocols import Split, make_splits
from experiments.evaluation.runs import POOLED, RunFolder, refuse_other_sounds, write_sounds
from experiments.evaluation.searched_heads import draw_seed, head_job

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
        def fit_once() -> list[Any]:
            own = compute_functionals(corpus, on_altered("functionals", UNALTERED).front_end)
            refuse_changed(corpus, hashes)
            return _fit_classifiers(own, splits)

        heard: dict[str, dict[str, Data]] = {method: {} for method in methods}
        for name in alterations:
            missing = [method for method in methods if not runs[method, name].is_complete]
            heard_now = _hear(name, missing, corpus, settings)
            refuse_changed(corpus, hashes)
            for method, data in heard_now.items():
                if method == "functionals":  # whose features are not cached
                    scores = _classify(fit_once(), data, splits)
                    _finish(runs[method, name], on_altered(method, name), data, splits, scores, settings)
                else:
                    heard[method][name] = data
        for method, of_method in heard.items():
            if of_method:
                print(f"\n{method}")
                own = represent(on_altered(method, UNALTERED), corpus, settings)
                refuse_changed(corpus, hashes)
                scored = _train_and_score(own, [*of_method.values()], splits, settings)
                for (name, data), scores in zip(of_method.items(), scored, strict=True):
                    _finish(runs[method, name], on_altered(method, name), data, splits, scores, settings)


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


def _hear(name: str, methods: Sequence[str], corpus: Corpus, settings: Settings) -> dict[str, Data]:
    """Returns what each method hears of the altered corpus: one reading of each recording."""
    if not methods:
        return {}
    print(f"\n{ALTERATIONS[name].title}")
    with altered(corpus, ALTERATIONS[name]) as sounds:

        @cache
        def hear(condition: Condition) -> Data:
            if condition.method == "functionals":
                return compute_functionals(sounds, condition.front_end)
            return represent(condition, sounds, settings)

        common: dict[str, Any] = {"name": "", "copies": False, "altered_copies": False}  # heads that differ in training alone
        of_methods = {method: hear(replace(on_altered(method, name), **common)) for method in methods}
    return {method: replace(data, corpus=corpus) for method, data in of_methods.items()}


@contextmanager
def altered(corpus: Corpus, alteration: Alteration) -> Iterator[Corpus]:
    """Yields the same corpus with altered sound files, which last as long as the block."""
    if alteration == ALTERATIONS[UNALTERED]:
        yield corpus
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
        yield read_sounds(replace(corpus, utterances=corpus.utterances.assign(path=paths)), SoundHashes(folder))


def _fit_classifiers(own: Data, splits: Sequence[Split]) -> list[Any]:
    targets = own.targets(CATEGORICAL)
    return [make_classifier(PENALTY).fit(own.features[split.fitting], targets[split.fitting]) for split in splits]


def _classify(models: Sequence[Any], data: Data, splits: Sequence[Split]) -> list[np.ndarray]:
    parts = zip(models, splits, strict=True)
    return [score_classes(model, data.features[split.test], data.n_outputs(CATEGORICAL)) for model, split in parts]


def _train_and_score(own: Data, heard: Sequence[Data], splits: Sequence[Split], settings: Settings) -> list[list[np.ndarray]]:
    """Trains one head for each fold on the recordings as they are.

    Returns:
        Of everything that was heard, of each fold: scores of its test part, float32 (n_rows, n_classes).
    """
    from classifiers.heads import resolve_parameters
    from classifiers.workers import train_heads

    parts = [own, *heard]  # workers send scores back, and no heads
    features, utterance = (np.concatenate([getattr(part, name) for part in parts]) for name in ("features", "utterance"))
    job = head_job(replace(own, features=features, utterance=utterance), CATEGORICAL, settings)
    job = replace(job, parameters=resolve_parameters(CATEGORICAL, kind=job.kind))
    starts = np.cumsum([len(part.utterance) for part in parts[:-1]])
    tests = [[start + data.scored_of(split.test) for start, data in zip(starts, heard, strict=True)] for split in splits]
    jobs = [
        replace(
            job,
            seed=draw_seed(settings.seed, run=1, fold=number),
            rows=own.chunks_of(split.fitting, copies=True),
            test_rows=np.concatenate(rows),
        )
        for number, (split, rows) in enumerate(zip(splits, tests, strict=True))
    ]
    trained = train_heads(jobs, settings.workers)
    by_fold = [
        np.split(head.scores, np.cumsum([len(part) for part in rows[:-1]])) for head, rows in zip(trained, tests, strict=True)
    ]
    return [list(scores) for scores in zip(*by_fold, strict=True)]


def _finish(
    run: RunFolder, condition: Condition, data: Data, splits: Sequence[Split], scores: list[np.ndarray], settings: Settings
) -> None:
    """Writes a run, and says what it scored."""
    metrics = finish_run(run, condition, data, splits, {CATEGORICAL: Outcome(scores)}, settings)
    pooled = metrics[(metrics["fold"] == POOLED) & (metrics["level"] == condition.main_level)].set_index("metric")
    print(f"{condition.description}: accuracy {100 * pooled.loc['accuracy', 'value']:.1f} %")
