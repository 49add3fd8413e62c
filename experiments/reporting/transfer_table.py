"""The table of what carries over to another corpus: without its labels, and with a few of them."""

import pandas as pd

from began.errors import counted
from experiments.corpora.record import MEAN_OVER_SPEAKERS, POOLED
from experiments.evaluation.condition import CORPUS_TITLES, SET_ASIDE, Condition
from experiments.evaluation.conditions import DIRECTIONS, ROBUST_METHODS, TRANSFER, TRANSFER_METHODS, carried_over
from experiments.reporting import markdown as md
from experiments.reporting.intervals import Interval
from experiments.reporting.notes import join_notes
from experiments.reporting.summary import RECALL, Results, select

_ABOUT = (
    "Means over the speakers that are tested on, with their 95 % intervals, of accuracy and unweighted average recall (UAR), "
    "over the classes that both corpora have. Nothing is searched: parameters are the defaults, which were chosen on EmoDB. "
    f"Every run sets {SET_ASIDE} utterances of the target corpus aside, from all of its speakers and as evenly over the "
    "classes as possible. The labelled ones are the first of them; all rows are tested on the same others. Where both corpora "
    "are trained on, the labelled target utterances are oversampled to the size of the source corpus. “Adapted”: features of "
    "the target corpus are shifted and scaled to the mean and standard deviation of the source corpus, without labels. Pooled "
    "scores, spreads over runs, and differences paired over the speakers are in transfer.csv."
)
_WORDS = {"source": "{source}", "adapted": "{source}, adapted", "alone": "{target} alone"}
_SCORES = {"accuracy": "accuracy", "uar": RECALL}
_TITLES = {str(ROBUST_METHODS[name]["method"]): name for name in TRANSFER_METHODS}


def make_table(results: Results) -> pd.DataFrame:
    """Returns one row per condition that has been run, shares in percent.

    `difference` is that of the UAR, paired over the speakers, with its 95 % interval: of both corpora together to the labelled
    utterances alone, of the adapted recordings to the same as they are. `chance` and `most_frequent` are the UAR and the
    accuracy of an answer that is always the same, in the first run.
    """
    rows = []
    for condition in TRANSFER.conditions.values():
        scores = select(results.scores, experiment=TRANSFER.name, condition=condition.name, level="utterance")
        if scores.empty:
            continue
        row: dict[str, object] = {"source": condition.source, "target": condition.corpus}
        row |= {"method": _TITLES[condition.method], "training": condition.training, "shots": condition.shots}
        for name, metric in _SCORES.items():
            (pooled,) = select(scores, metric=metric, scope=POOLED).itertuples()
            mean = next(select(scores, metric=metric, scope=MEAN_OVER_SPEAKERS).itertuples(), pooled)  # of one speaker
            row |= Interval(mean.mean, mean.ci_low, mean.ci_high).in_percent(name)
            row |= {f"{name}_sd_over_runs": 100 * mean.sd_over_runs, f"{name}_pooled": 100 * pooled.mean}
        paired, part = _compare(results, condition), results.test_part(TRANSFER.name, condition.name)
        row |= paired.in_percent("difference")
        row |= {"n_runs": int(mean.n_runs), "n_test": sum(part.sizes.values())}
        rows.append(row | {"chance": 100 / len(part.shares), "most_frequent": 100 * part.shares.iloc[0]})
    return pd.DataFrame(rows)


def _compare(results: Results, condition: Condition) -> Interval:
    """Returns the difference of a condition's UAR to what it should be better than."""
    base = "alone" if condition.shots else "source"
    if condition.training == base:
        return Interval()
    other = carried_over(condition.source, condition.corpus, _TITLES[condition.method], base, condition.shots)
    return results.compare(TRANSFER.name, condition.name, other.name, RECALL)


def to_markdown(results: Results, table: pd.DataFrame) -> str:
    """Returns the table as Markdown: a part for each direction, one row per training, two columns per method."""
    footnotes = md.Footnotes()
    lines = [f"# {TRANSFER.title} (%)", "", md.MADE, "", _ABOUT, ""]
    for direction in DIRECTIONS:
        part = table[(table["source"] == direction[0]) & (table["target"] == direction[1])]
        if not part.empty:
            lines += _describe_direction(results, part, footnotes)
    return "\n".join([*lines, *footnotes.lines()])


def _describe_direction(results: Results, part: pd.DataFrame, footnotes: md.Footnotes) -> list[str]:
    """Returns the lines of one direction."""
    source, target = (CORPUS_TITLES[part[name].iloc[0]] for name in ("source", "target"))
    heads, rows = ["trained on", "labelled"], []
    for method, block in part.groupby("method", sort=False):
        names = [carried_over(*row).name for row in block[["source", "target", "method", "training", "shots"]].to_numpy()]
        marks = footnotes.marks(join_notes(results, TRANSFER.name, names))
        numbers = sorted({int(number) for number in block["n_runs"]})
        n_runs = counted(numbers[0], "run") if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]} runs"
        heads += [f"`{method}`, {n_runs}: accuracy{marks}", "UAR"]
    for (shots, training), scores in part.groupby(["shots", "training"], sort=False):
        cells = [_WORDS[str(training)].format(source=source, target=target), f"{shots} of {target}" if shots else "none"]
        for _, row in scores.set_index("method").reindex(part["method"].unique()).iterrows():
            cells += [md.with_interval(row[name], row[f"{name}_ci_low"], row[f"{name}_ci_high"]) for name in _SCORES]
        rows.append((shots, cells))
    rows.sort(key=lambda row: row[0])  # what has as many labels stands together, in the order of the records
    tested = results.test_part(TRANSFER.name, names[0])
    n_test, most, share = sum(tested.sizes.values()), md.escape(tested.shares.index[0]), 100 * tested.shares.iloc[0]
    about = f"{n_test} test utterances, {counted(len(tested.sizes), 'speaker')}, {len(tested.shares)} classes. Chance: UAR "
    about += f"{md.number(100 / len(tested.shares))}; always “{most}”: accuracy {md.number(share)}."
    return [f"## From {source} to {target}", "", about, "", md.markdown_table(heads, (cells for _, cells in rows)), ""]
