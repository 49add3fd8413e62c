"""What a model scores on another corpus, in aligned columns for a terminal."""

from collections.abc import Mapping, Sequence

import pandas as pd

from began.errors import counted
from classifiers.metrics import CATEGORICAL, CONCORDANCE, DIMENSIONS
from experiments.corpora.record import POOLED
from experiments.evaluation.trained_model import RESTRICTED
from experiments.reporting import markdown as md
from experiments.reporting.intervals import t_interval
from experiments.reporting.summary import RECALL, select

SPEAKERS_SHOWN = 20
"""So many rows of single speakers; more are in metrics.csv alone."""

ANSWERS = {"": "all classes", RESTRICTED: "shared classes"}
"""How the names of metrics begin -> what the model could answer."""


def describe_scores(metrics: pd.DataFrame, tables: Sequence[pd.DataFrame], task: str) -> str:
    """Returns the scores of all recordings, by class and by speaker.

    Args:
        metrics: of `experiments.evaluation.trained_model.tabulate_metrics`.
        tables: of `experiments.evaluation.trained_model.predict_corpus`.
        task: of the model.
    """
    blocks = _describe_classes(metrics, tables) if task == CATEGORICAL else _describe_dimensions(metrics, tables[0])
    return "\n\n".join(blocks)


def _describe_classes(metrics: pd.DataFrame, tables: Sequence[pd.DataFrame]) -> list[str]:
    answers = dict(zip(ANSWERS, tables, strict=False))
    counts = tables[0]["target"].value_counts().sort_index()
    rows = []
    for prefix in answers:
        found = select(metrics, fold=POOLED).set_index("metric")["value"]
        rows.append(
            {
                "answers (%)": ANSWERS[prefix],
                "accuracy": _percent(found[f"{prefix}accuracy"]),
                "UAR": _percent(found[f"{prefix}{RECALL}"]),
                **_over_speakers(metrics, "UAR", f"{prefix}{RECALL}", "%"),
                "calibration error": _percent(found[f"{prefix}expected_calibration_error"]),
            }
        )
    always = {"accuracy": _percent(counts.max() / counts.sum()), "UAR": _percent(1 / len(counts))}
    rows.append({"answers (%)": f"always {counts.idxmax()}", **always})
    classes = pd.DataFrame({"class": counts.index, "n": counts.to_numpy()})
    for prefix, table in answers.items():
        recalls = (table["target"] == table["prediction"]).groupby(table["target"]).mean()
        classes[f"recall (%), {ANSWERS[prefix]}"] = recalls.map(_percent).to_numpy()
    columns = {
        f"{name}, {ANSWERS[prefix]}": prefix + metric
        for prefix in answers
        for name, metric in (("accuracy (%)", "accuracy"), ("UAR (%)", RECALL))
    }
    return [_align(pd.DataFrame(rows)), _align(classes), *_describe_speakers(metrics, tables[0], columns, "%")]


def _describe_dimensions(metrics: pd.DataFrame, predictions: pd.DataFrame) -> list[str]:
    found, rows = select(metrics, fold=POOLED).set_index("metric")["value"], []
    for name, metric in zip(DIMENSIONS, CONCORDANCE, strict=True):
        row = {"": name, "CCC": md.number(found[metric], ""), **_over_speakers(metrics, "CCC", metric, "")}
        rows.append(row | {"mean squared error": md.number(found[f"mean_squared_error_{name}"], "")})
    columns = {f"CCC, {name}": metric for name, metric in zip(DIMENSIONS, CONCORDANCE, strict=True)}
    return [_align(pd.DataFrame(rows)), *_describe_speakers(metrics, predictions, columns, "")]


def _over_speakers(metrics: pd.DataFrame, name: str, metric: str, unit: str) -> dict[str, str]:
    """Returns the mean over the speakers with its 95 % interval; nothing where they are not known."""
    values = select(metrics[metrics["fold"] != POOLED], metric=metric)["value"]
    if values.empty:
        return {}
    factor = 100.0 if unit else 1.0
    mean, low, high, n = t_interval(values, 0.0 if unit else -1.0, 1.0)
    text = md.with_interval(factor * mean, factor * low, factor * high, unit)
    has_interval = " (95 % interval)" if n > 2 else ""
    return {f"mean {name} over {counted(n, 'speaker')}{has_interval}": text}


def _describe_speakers(metrics: pd.DataFrame, predictions: pd.DataFrame, columns: Mapping[str, str], unit: str) -> list[str]:
    """Returns one block with the scores of single speakers; none where these are not known."""
    by_speaker = metrics[metrics["fold"] != POOLED].pivot(index="fold", columns="metric", values="value")
    if by_speaker.empty:
        return []
    factor = 100.0 if unit else 1.0
    shown = (factor * by_speaker[list(columns.values())]).map(lambda value: md.number(value, unit)).set_axis([*columns], axis=1)
    shown.insert(0, "n", predictions["speaker"].value_counts()[shown.index])
    left_out = len(shown) - SPEAKERS_SHOWN
    more = [f"… and {counted(left_out, 'more speaker')}, in metrics.csv"] if left_out > 0 else []
    return ["\n".join([_align(shown.rename_axis("speaker").reset_index().head(SPEAKERS_SHOWN)), *more])]


def _percent(share: float) -> str:
    return md.number(100 * share)


def _align(table: pd.DataFrame) -> str:
    """Returns a table in columns: the first to the left, the others to the right."""
    cells = table.astype(object).where(table.notna(), "").astype(str)
    first, *others = cells.columns
    widths = {name: max(map(len, [name, *cells[name]])) for name in cells}
    rows = [dict(zip(cells, cells, strict=True)), *cells.to_dict("records")]
    return "\n".join(
        "  ".join([row[first].ljust(widths[first]), *(row[name].rjust(widths[name]) for name in others)]) for row in rows
    )
