"""The table of encoders of several seeds: what pre-training gains, where its own luck is in the interval, too."""

import pandas as pd

from experiments.evaluation.condition import CORPUS_TITLES
from experiments.evaluation.conditions import ENCODER_SEEDS, EXPERIMENTS, PAIRS_OVER_SEEDS, at_encoder_seed
from experiments.reporting import markdown as md
from experiments.reporting.intervals import crossed_interval, t_interval
from experiments.reporting.notes import join_notes
from experiments.reporting.summary import Results

NAME = "encoder_seeds"
OVER_BOTH = "all"

_EXPERIMENT = EXPERIMENTS["ablations"]
_ABOUT = (
    "By how many points a classifier is more accurate on one encoder than on another, averaged over the speakers. First, a "
    "BEGAN pre-trained for 16 epochs is compared with a network of the same seed: one with random weights, or an "
    "autoencoder, trained for as long without a generator. Then, networks of 16 base filters are compared with those of 8, "
    "and in the last row one encoder with networks of all seeds. The intervals of one seed are Student's t over speakers. "
    "The interval of all seeds is over speakers and seeds: it says whether the gain would hold for other speakers and other "
    "seeds (two-way random effects, Satterthwaite; or, where it is wider, Student's t over the means of seeds or speakers). "
    "Of an encoder of which there is one, it says nothing about other seeds."
)


def make_table(results: Results) -> pd.DataFrame:
    """Returns one row per classifier and seed, and one for all seeds together where all have been run; points of accuracy.

    The columns are ``condition``, ``base``, ``seed`` ("all" for the mean), ``difference``, ``ci_low``, ``ci_high`` and
    ``n_speakers``.
    """
    rows = []
    for condition, base in PAIRS_OVER_SEEDS:
        by_seed, names = {}, []
        for seed in ENCODER_SEEDS:
            names += [at_encoder_seed(condition, seed), at_encoder_seed(base, seed)]
            if (differences := results.subtract(_EXPERIMENT.name, *names[-2:])) is not None:
                by_seed[seed] = differences
                rows.append((condition, base, str(seed), *t_interval(differences, -1.0, 1.0)))
        if len(by_seed) == len(ENCODER_SEEDS) and not results.are_on_other_sounds(_EXPERIMENT.name, *names):
            rows.append((condition, base, OVER_BOTH, *crossed_interval(pd.DataFrame(by_seed), -1.0, 1.0)))
    table = pd.DataFrame(rows, columns=["condition", "base", "seed", "difference", "ci_low", "ci_high", "n_speakers"])
    scores = ["difference", "ci_low", "ci_high"]
    return table.assign(**100 * table[scores].astype(float))


def to_markdown(results: Results, table: pd.DataFrame) -> str:
    """Returns the table as Markdown: one row per classifier, one column per seed and one for all."""
    rows, footnotes = [], md.Footnotes()
    for (condition, base), block in table.groupby(["condition", "base"], sort=False):
        cells = {row.seed: md.with_interval(row.difference, row.ci_low, row.ci_high, sign="+") for row in block.itertuples()}
        names = [at_encoder_seed(name, seed) for name in (condition, base) for seed in ENCODER_SEEDS]
        notes = join_notes(results, _EXPERIMENT.name, names)
        if OVER_BOTH not in cells and len(cells) == len(ENCODER_SEEDS):
            notes += "; " * bool(notes) + "the seeds were run on different recordings, so they are not averaged"
        marks = footnotes.marks(notes)
        corpus = CORPUS_TITLES[_EXPERIMENT.conditions[condition].corpus]
        rows.append(
            [corpus, f"`{condition}` − `{base}`{marks}", *(cells.get(str(seed), "") for seed in (*ENCODER_SEEDS, OVER_BOTH))]
        )
    heads = ["", "", *(f"seed {seed}" for seed in ENCODER_SEEDS), "all seeds"]
    lines = ["# What pre-training gains, over speakers and encoders", "", md.MADE, "", _ABOUT, ""]
    return "\n".join([*lines, md.markdown_table(heads, rows), "", *footnotes.lines()])
