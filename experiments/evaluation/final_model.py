"""The model that a table leaves behind for its users: one head, trained on everything, after all scores are written.

The scores come from heads that never saw their test part; this one has seen every labelled utterance, with the parameters and
the number of epochs that were best in the mean over all the searches of the condition. No score is measured on it. It is
trained in this process, with all its threads: on another number of them its weights may differ in their last bits. Heads of a
few folds, trained in the same way, tell how certain it may be (`classifiers.calibration`).

Where one part of a corpus is the test part, a second model is left behind that has seen the training part alone, as the head of
run 1 had: its scores on the test part, and on other corpora, are scores on what it was not trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from began.errors import InputError, printable
from began.keras_file import read_attached_json
from began.spectrogram import SpectrogramConfig
from classifiers.calibration import FAR_SHARE, calibrate, measure_distances, scale_logits
from classifiers.metrics import CATEGORICAL, CONCORDANCE, DIMENSIONAL
from experiments.corpora.record import POOLED, SHORT_HASH
from experiments.evaluation.condition import HEADS, Condition
from experiments.evaluation.data import SPEEDS, open_encoder
from experiments.evaluation.options import Settings
from experiments.evaluation.protocols import INNER_FOLDS, k_fold, make_splits
from experiments.evaluation.result_files import SEARCH, plain
from experiments.evaluation.runs import read_metrics
from experiments.evaluation.searched_heads import head_job, list_members, train_ensembles
from experiments.evaluation.searches import read_trials
from experiments.evaluation.splits import draw_seed

if TYPE_CHECKING:
    from classifiers.training import HeadJob
    from experiments.evaluation.data import Data, Prepare

FILES = {CATEGORICAL: "model.keras", DIMENSIONAL: "model-dimensional.keras"}
"""Task -> file in the condition's folder."""

OF_TRAINING_PART = "-training-part"
"""How the name of the model ends that has seen the training part alone."""


def write_final_models(
    condition: Condition, data: Data, prepare: Prepare, settings: Settings, config: Mapping[str, Any]
) -> list[Path]:
    """Writes the models of a condition whose runs are complete, and returns the paths of those trained on everything.

    Only searched heads leave one: nothing else can be saved as a model for sound files. Where no parameters were tried with
    success by all searches, none is left, and it is said why.

    Args:
        condition, settings: as of `experiments.evaluation.evaluation_loop`.
        data: utterances that have chunks, with or without features.
        prepare: gives the data with features; called where a model has to be trained.
        config: the content of the runs' config.json.
    """
    if condition.method not in HEADS or not condition.search or condition.chunk_split:
        return []
    written = []
    for task in condition.tasks:
        try:
            best = choose_parameters(settings.results_dir, condition, task)
        except InputError as error:  # the scores stand all the same, and are to be rendered
            print(printable(f"note: no {task} model for own recordings is left behind: {error}"))
            continue
        path = settings.results_dir / condition.experiment / condition.name / FILES[task]
        rows = data.labelled(task)
        metadata = _describe(condition, data, task, best, settings, config)
        metadata |= {"n_utterances": len(rows), "sounds": _name_sounds(data, rows)}
        _write(path, rows, prepare, condition, settings, metadata, settings.seed)
        written.append(path)
        split, *others = make_splits(condition, data.corpus.utterances, settings.seed, run=1)
        if not others and split.fold == POOLED:
            metadata |= {"n_utterances": len(split.fitting), "trained_on": "training part"}
            metadata["sounds"] = _name_sounds(data, split.fitting)
            part = path.with_stem(path.stem + OF_TRAINING_PART)
            _write(part, split.fitting, prepare, condition, settings, metadata, draw_seed(settings.seed, 1, 0))
    return written


def _name_sounds(data: Data, utterances: np.ndarray) -> list[str]:
    return sorted({sound[:SHORT_HASH] for sound in data.corpus.utterances["sound"].iloc[utterances]})


def _write(
    path: Path,
    utterances: np.ndarray,
    prepare: Prepare,
    condition: Condition,
    settings: Settings,
    metadata: dict[str, Any],
    seed: int,
) -> None:
    """Trains one head on some utterances and writes it, behind its encoder, as one .keras file, unless it is there."""
    from classifiers.heads import merge_heads
    from classifiers.predictor import build_predictor, save_predictor
    from classifiers.training import train_head

    if _is_current(path, metadata):
        return
    task, trained_on = metadata["task"], f"the {metadata.get('trained_on', f'{len(utterances)} labelled utterances')}"
    print(f"training the {task} model on {trained_on}")
    data = prepare()[0]
    job = replace(
        head_job(data, task, settings),
        parameters=metadata["parameters"],
        epochs=metadata["best_epoch"] if data.statistics is None else 1,
        seed=seed,
        rows=data.chunks_of(utterances, augmented=True),
    )
    encoder = open_encoder(condition, settings)
    heads = [train_head(member).model for member in list_members(job, condition.ensemble_size)]
    head = merge_heads(heads, task, job.n_outputs, job.parameters) if len(heads) > 1 else heads[0]
    if data.statistics is not None and (calibration := _calibrate(job, data, utterances, condition, settings)):
        metadata = plain({**metadata, "calibration": calibration})
        if task == CATEGORICAL:
            scale_logits(head, calibration["temperature"])
    save_predictor(path, build_predictor(encoder, head, metadata))
    print(printable(f"wrote {path}, for own recordings: trained on {trained_on}"))
    if condition.method == "utterance" and condition.front_end == "trimmed":
        print("note: it depends on the level of recordings: give it those of the same microphone and gain")


def _calibrate(
    job: HeadJob, data: Data, utterances: np.ndarray, condition: Condition, settings: Settings
) -> dict[str, Any] | None:
    """Returns what held-out utterances tell of a head's certainty, or None where there are too few to hold some out.

    Speakers are held out, where they are known.
    """
    from classifiers.statistics_columns import BLOCK
    from classifiers.training import choose_columns

    table = data.corpus.utterances.iloc[utterances].reset_index(drop=True)
    try:
        splits = k_fold(table, INNER_FOLDS, settings.seed)
    except InputError as error:
        print(f"not calibrated: {error}")
        return None
    parts = [(utterances[split.fitting], utterances[split.test]) for split in splits]
    jobs = [
        replace(job, rows=data.chunks_of(fitting, augmented=True), test_rows=data.scored_of(held_out))
        for fitting, held_out in parts
    ]
    columns = choose_columns(job)
    distances = []
    for fold, (_, held_out) in zip(jobs, parts, strict=True):
        rows, normalization = data.chunks_of(held_out), columns.measure_normalization(fold.rows)
        for block in np.split(rows, range(BLOCK, len(rows), BLOCK)):  # so that memory does not grow with the corpus
            distances.append(measure_distances(columns[block], *normalization))
    far = float(np.quantile(np.concatenate(distances), FAR_SHARE))
    found: dict[str, Any] = {"folds": len(splits), "far_distance": far}
    if job.task == CATEGORICAL:
        folds = []
        of_folds, _ = train_ensembles(jobs, condition.ensemble_size, settings.workers, "calibration")
        for fold, scores in zip(jobs, of_folds, strict=True):
            n_copies = len(scores) // len(np.unique(data.utterance[fold.test_rows]))  # which follow one another
            folds.append((scores.reshape(-1, n_copies, job.n_outputs), job.targets[fold.test_rows[::n_copies]]))
        found |= calibrate(folds, data.corpus.labels)
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in found.items()}


def choose_parameters(results_dir: Path, condition: Condition, task: str) -> dict[str, Any]:
    """Returns the parameters with the lowest validation loss in the mean over all the searches of a condition.

    Searches have other training parts, and so losses that cannot be compared: only parameters that every search has tried
    count, such as the points that all begin with. A search that was cut off, of a run that nobody went on with, does not count.

    Returns:
        `parameters` of the head, `epochs` after which its score was best (the median), `loss`, and `n_searches`.
    Raises:
        InputError: no parameters were tried with success by all the searches.
    """
    from classifiers.head_parameters import resolve_parameters

    trials = read_trials(results_dir, condition.experiment, condition.name)
    of_task = trials[trials["task"] == task]
    n_trials = of_task.groupby("search")["trial"].transform("size")
    of_task = of_task[n_trials == n_trials.max()]
    n_searches = of_task["search"].nunique()
    kind = "utterance" if condition.method == "utterance" else "second"
    names = list(resolve_parameters(task, kind=kind))
    means = (
        of_task[of_task["status"] == "ok"]
        .reindex(columns=[*names, "loss", "epochs", "search"])  # where nothing was tried, parameters have no columns
        .astype({"loss": float, "epochs": float})
        .groupby(names, sort=False)
        .agg(loss=("loss", "mean"), epochs=("epochs", "median"), n=("search", "nunique"))
    )
    good = means[means["n"] == n_searches].reset_index()
    if good.empty:
        folder = results_dir / condition.experiment / condition.name / SEARCH
        raise InputError.about(
            folder,
            f"no trial of a {task} head that succeeded in all searches",
            "one",
            "give more --max-evals and another --results-dir",
        )
    row = good.loc[good["loss"].idxmin()]
    parameters = resolve_parameters(task, {name: row[name] for name in names}, kind)
    return {"parameters": parameters, "epochs": round(row["epochs"]), "loss": float(row["loss"]), "n_searches": n_searches}


def _describe(
    condition: Condition, data: Data, task: str, best: Mapping[str, Any], settings: Settings, config: Mapping[str, Any]
) -> dict[str, Any]:
    """What the file says about itself, in JSON's types."""
    labels = {"labels": data.corpus.labels} if task == CATEGORICAL else {}
    hashes = ("utterances_sha256", "sounds_sha256", "encoder_sha256", "components_sha256")
    names = (*hashes, "corpus", "features", "spectrogram", "tail", "seed")
    kept = {name: config[name] for name in names if name in config}
    if condition.method == "utterance":
        speeds = list(SPEEDS if condition.copies else SPEEDS[:1])
        kept |= {"kind": "utterance", "speeds": speeds, "tail": "overlap", "features": "utterance"}
        if not condition.altered_copies:
            kept["altered_copies"] = False
        heard = replace(SpectrogramConfig.from_dict(kept["spectrogram"]), front_end=condition.front_end)
        kept["spectrogram"] = heard.to_dict()
        kept["tested"] = _summarise_tests(settings.results_dir, condition, task)
    own = {
        "task": task,
        "experiment": condition.experiment,
        "condition": condition.name,
        "aggregation": "mean" if condition.method == "utterance" else settings.pooling[task],
        "class_weight": settings.class_weight,
        "parameters": best["parameters"],
        "best_epoch": best["epochs"],
        "n_searches": best["n_searches"],
        "search_loss": best["loss"],
    }
    if condition.ensemble_size > 1:
        own["ensemble_size"] = condition.ensemble_size
    return plain({**labels, **kept, **own})


def _summarise_tests(results_dir: Path, condition: Condition, task: str) -> dict[str, Any]:
    """Returns what heads like this one scored on utterances that they had not seen: means over the runs, fractions."""
    metrics = read_metrics(results_dir, condition.experiment, condition.name)
    chosen = metrics[(metrics["split"] == "test") & (metrics["fold"] == POOLED) & (metrics["level"] == condition.main_level)]
    names = ("accuracy", "unweighted_average_recall") if task == CATEGORICAL else CONCORDANCE
    means = chosen.groupby("metric")["value"].mean()
    tested = {name: round(float(means[name]), 4) for name in names if name in means}
    return {"protocol": condition.protocol_text, "runs": chosen["run"].nunique(), **tested}


def _is_current(path: Path, metadata: Mapping[str, Any]) -> bool:
    """Whether a whole model of the same description is there already."""
    try:
        found = read_attached_json(path, "head")
        found.pop("calibration", None)  # which follows from the rest
        return found == metadata
    except InputError:
        return False
