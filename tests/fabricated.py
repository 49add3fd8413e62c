"""Run folders with invented scores, for the tests of tables, figures and notebooks; components and weights of no training."""

import math

import numpy as np
import pandas as pd

from experiments.evaluation.runs import RunFolder, metrics_rows

SPEAKERS = ("DC", "JE", "JK", "KL")
EMOTIONS = ("anger", "neutral", "sadness")


PROTOCOLS = {"table1_savee": "each speaker alone", "table2_omg": "official training part"}


def write_run(results, experiment, condition, run, scores, config=None, predictions=None, trials=None, finish=True):
    """Writes one run, and its search beside it; scores: {(fold, level): {metric: value}}."""
    folder = RunFolder(results, experiment, condition, run)
    protocol = PROTOCOLS.get(experiment, "leave one speaker out")
    folder.start({"protocol": protocol, "method": "head", "max_evals": 20, "epochs": 100, "seed": run} | (config or {}))
    if predictions is not None:
        folder.write_table("predictions", predictions)
    for (fold, task), part in trials.groupby(["fold", "task"]) if trials is not None else ():
        (folder.path.parent / "search").mkdir(exist_ok=True)
        part.to_csv(folder.path.parent / "search" / f"{fold}-{task}-1a2b3c4d.csv", index=False)
    if finish:
        folder.finish(
            pd.concat(
                [
                    metrics_rows(values, experiment, condition, run, fold, "test", level)
                    for (fold, level), values in scores.items()
                ]
            )
        )
    return folder


def savee(results, condition="utterance_split", levels=("utterance", "chunk"), **options):
    """Three runs: utterances 70, 72, 74 %, chunks ten points less, binary accuracy of chunks near the paper."""
    for run, value in enumerate((0.70, 0.72, 0.74), start=1):
        scores = {}
        for speaker in SPEAKERS:
            scores[speaker, "utterance"] = {"accuracy": value, "binary_accuracy": 0.9}
            scores[speaker, "chunk"] = {"accuracy": value - 0.1, "binary_accuracy": 0.81}
        scores["pooled", "utterance"] = {"accuracy": value}
        write_run(
            results,
            "table1_savee",
            condition,
            run,
            {key: values for key, values in scores.items() if key[1] in levels},
            **options,
        )


def emodb(results, condition="head_per_second", experiment="table3_emodb", values=(0.70, 0.72, 0.74), **options):
    """Runs with the given pooled accuracy; speaker 03 two points above it, 08 two below, 09 the same."""
    for run, value in enumerate(values, start=1):
        scores = {
            (fold, level): {
                "accuracy": value + shift - 0.1 * (level == "chunk"),
                "unweighted_average_recall": value + shift - 0.05,
            }
            for fold, shift in (("03", 0.02), ("08", -0.02), ("09", 0.0), ("pooled", 0.0))
            for level in ("utterance", "chunk")
        }
        write_run(results, experiment, condition, run, scores, **options)


def classes(n=30, seed=0, dimensions=False):
    generator = np.random.default_rng(seed)
    target, prediction = generator.choice(EMOTIONS, n), generator.choice(EMOTIONS, n)
    table = pd.DataFrame(
        {"utterance": [f"0{i}" for i in range(n)], "speaker": "03", "fold": "03", "target": target, "prediction": prediction}
    )
    if dimensions:
        for name in ("arousal", "valence"):
            table[f"{name}_target"] = generator.random(n)
            table[f"{name}_prediction"] = generator.random(n)
    return table


def search(fold="03", seed=0, n=12):
    generator = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "fold": fold,
            "task": "categorical",
            "status": ["fail", *["ok"] * (n - 1)],
            "trial": range(n),
            "loss": [math.nan, *generator.random(n - 1)],
            "learning_rate": 10 ** generator.uniform(-5, -2, n),
            "optimizer": generator.choice(["adam", "sgd"], n),
            "dense_units": generator.choice([64.0, math.nan], n),
        }
    )


def omg(results, condition="official", **options):
    for run, value in enumerate((0.30, 0.32, 0.34), start=1):
        scores = {
            ("pooled", "utterance"): {
                "accuracy": value,
                "f1_micro": value,
                "f1_macro": 0.2,
                "f1_weighted": 0.25,
                "binary_accuracy": 0.80,
                "concordance_correlation_coefficient_arousal": 0.20,
                "concordance_correlation_coefficient_valence": -0.02,
                "concordance_correlation_coefficient_arousal_per_video": 0.11,
                "mean_squared_error_arousal": 0.04,
            },
            ("pooled", "chunk"): {"f1_micro": value - 0.05, "binary_accuracy": 0.74},
        }
        write_run(results, "table2_omg", condition, run, scores, **options)


def draw_components(base_filters: int) -> list[np.ndarray]:
    """Stand-ins for the principal components of an encoder's blocks (`began.components`)."""
    generator = np.random.default_rng(0)
    return [generator.normal(0, 0.1, (40, number * base_filters, 40)).astype(np.float32) for number in (1, 2, 3, 4)]


def fill_with_noise(model):
    """Gives every weight of a Keras model a value, also those that start as 0: none can be forgotten without a trace."""
    generator = np.random.default_rng(0)
    for layer in model._flatten_layers():
        if type(layer).__name__ in ("Conv2D", "Dense"):
            for weights in layer.weights:
                if not np.any(weights):
                    weights.assign(generator.normal(0, 0.1, weights.shape))
    return model
