"""What altered recordings do to a method: trained on EmoDB as it is, tested on what happens to recordings on their way.

One classifier per speaker, with default parameters, is trained on the other speakers' recordings and scores its own speaker's,
as recorded and altered. Whole utterances are read once, at their own speed, also where a table averages over speeds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from began.files import lock_folder, printable
from began.sounds import SoundHashes
from classifiers.metrics import CATEGORICAL
from experiments.corpora.equal_sounds import read_sounds
from experiments.corpora.record import Corpus
from experiments.evaluation.alterations import ALTERATIONS, UNALTERED, Alteration
from experiments.evaluation.baselines import compute_functionals, make_classifier, score_classes
from experiments.evaluation.conditions import Condition
from experiments.evaluation.data import Data, Outcome, represent
from experiments.evaluation.evaluate import finish_run
from experiments.evaluation.methods import describe_run
from experiments.evaluation.options import Settings
from experiments.evaluation.protocols import Split, make_splits
from experiments.evaluation.runs import RunFolder, write_sounds
from experiments.evaluation.searched_heads import draw_seed, head_job

EPOCHS = 30
"""Of heads that read one second at a time: the median of what the inner folds of the ablations choose."""

PENALTY = 0.01
"""C of the functionals' support vector machine: half of the searches of the ablations choose it, the others 0.1."""

Score = Callable[[Data, np.ndarray], np.ndarray]
"""A trained classifier: (data, rows) -> scores, float32 (n_rows, n_classes)."""


def measure_robustness(conditions: Mapping[str, Condition], corpus: Corpus, settings: Settings) -> None:
    """Trains a method and writes one run for each alteration; what is complete is left alone.

    Args:
        conditions: alteration -> record, all of one method.
        corpus: as recorded.
        settings: of the command line.
    Raises:
        InputError: a sound file that cannot be read, or a run folder that holds a run with other settings.
    """
    hashes = SoundHashes(settings.cache_dir)
    corpus, record = read_sounds(corpus, hashes), next(iter(conditions.values()))
    runs = {name: RunFolder(settings.results_dir, one.experiment, one.name, 1) for name, one in conditions.items()}
    missing = [name for name, run in runs.items() if not run.is_complete]
    splits = make_splits(record, corpus.utterances, settings.seed, run=1)
    scorers = _train(record, corpus, splits, settings) if missing else []
    hashes.save()
    for name, run in runs.items():
        condition = conditions[name]
        config = describe_run(condition, corpus, settings) | {"alteration": name}
        with lock_folder(run.path.parent):
            run.start(config)
            if run.is_complete:
                print(printable(f"{condition.description}: complete in {run.path}"))
                continue
            write_sounds(settings.results_dir, corpus)
            with altered(corpus, ALTERATIONS[name]) as sounds:
                data = replace(_represent(condition, sounds, settings), corpus=corpus)
                scores = [score(data, data.scored_of(split.test)) for score, split in zip(scorers, splits, strict=True)]
            metrics = finish_run(run, condition, data, splits, {CATEGORICAL: Outcome(scores)}, settings)
            pooled = metrics[(metrics["fold"] == "pooled") & (metrics["level"] == condition.main_level)].set_index("metric")
            print(f"{condition.description}: accuracy {100 * pooled.loc['accuracy', 'value']:.1f} %")


@contextmanager
def altered(corpus: Corpus, alteration: Alteration) -> Iterator[Corpus]:
    """Yields the same corpus with altered sound files, which last as long as the block."""
    if alteration == ALTERATIONS[UNALTERED]:
        yield corpus
        return
    from tqdm import tqdm

    from began.audio import read_audio

    with tempfile.TemporaryDirectory(prefix="altered-") as folder:
        paths = [str(Path(folder, f"{number}{alteration.suffix}")) for number in range(len(corpus.utterances))]
        for seed, source in enumerate(tqdm(corpus.utterances["path"], desc="altering", unit="file")):
            alteration.write(paths[seed], read_audio(source), seed)
        table = corpus.utterances.assign(path=paths)
        yield read_sounds(replace(corpus, utterances=table), SoundHashes(folder))


def _represent(condition: Condition, corpus: Corpus, settings: Settings) -> Data:
    """Returns what is scored: one reading of each recording."""
    if condition.method == "functionals":
        return compute_functionals(corpus)
    return represent(replace(condition, copies=False, altered_copies=False), corpus, settings)


def _train(condition: Condition, corpus: Corpus, splits: list[Split], settings: Settings) -> list[Score]:
    """Returns one trained classifier for each fold."""
    from tqdm import tqdm

    fit = _fit_classifier if condition.method == "functionals" else _fit_head
    data = compute_functionals(corpus) if condition.method == "functionals" else represent(condition, corpus, settings)
    numbers = tqdm(range(len(splits)), desc="training", unit="head")
    return [fit(data, splits[number], settings, number) for number in numbers]


def _fit_classifier(data: Data, split: Split, settings: Settings, number: int) -> Score:
    model = make_classifier(PENALTY).fit(data.features[split.fitting], data.targets(CATEGORICAL)[split.fitting])
    return lambda other, rows: score_classes(model, other.features[rows], other.n_outputs(CATEGORICAL))


def _fit_head(data: Data, split: Split, settings: Settings, number: int) -> Score:
    from classifiers.heads import resolve_parameters
    from classifiers.training import train_head

    job = head_job(data, CATEGORICAL, settings)
    seed, rows = draw_seed(settings.seed, run=1, fold=number), data.chunks_of(split.fitting, copies=True)
    head = train_head(replace(job, parameters=resolve_parameters(CATEGORICAL, kind=job.kind), seed=seed, rows=rows))
    return lambda other, rows: head.score(other.features, rows, other.statistics)
