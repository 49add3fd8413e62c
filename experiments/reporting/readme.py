"""The README's results: the paper's tables in short, between two markers, runs on real data only."""

import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from began.errors import InputError
from began.files import StrPath, describe_no_file, is_file, write_text
from experiments.evaluation import paper
from experiments.evaluation.conditions import EXPERIMENTS
from experiments.reporting.markdown import NOT_RUN, Footnotes, markdown_table
from experiments.reporting.notes import SYNTHETIC_NOTICE
from experiments.reporting.tables import FILES, OURS, split_ablations
from experiments.reporting.tables_markdown import COLUMNS, beside_the_paper, name_unit

README_BEGIN, README_END = "<!-- results:begin -->", "<!-- results:end -->"
_MOST_ROWS = 6  # the paper and the main conditions; the rest is in the table


def readme_section(tables: Mapping[str, pd.DataFrame], results_dir: StrPath, readme: StrPath) -> str:
    """Returns the README's results, without what is from synthetic speech; links are relative to the README."""
    root = Path(os.path.relpath(Path(results_dir).resolve(), Path(readme).resolve().parent)).as_posix()
    lines = ["Test scores, rendered by `make tables`. ± is over runs, intervals over speakers.", ""]
    for experiment, record in EXPERIMENTS.items():
        table, footnotes = tables[experiment], Footnotes()
        table = table[~table["notes"].str.contains(SYNTHETIC_NOTICE, regex=False)]
        link = f"**[{record.title}]({root}/tables/{FILES[experiment]}.md)**"
        if experiment.startswith("table"):
            is_absent = (table["system"] == OURS) & (table["n_runs"] == 0)
            absent = ", ".join(f"`{name}`" for name in table.loc[is_absent, "condition"])
            chosen = table[table["system"].isin((paper.PAPER, OURS)) & ~is_absent]
            if OURS not in set(chosen["system"]):
                lines += [f"{link}: {NOT_RUN}.", ""]
                continue
            beside = markdown_table(*beside_the_paper(experiment, chosen, footnotes, _MOST_ROWS))
            lines += [f"{link}{name_unit(table)}. {COLUMNS[experiment]}", "", beside, "", *footnotes.lines()]
            lines += [f"{NOT_RUN.capitalize()}: {absent}.", ""] if absent else []
        elif experiment == "ablations" and len(table):
            lines += [f"{link}:", ""]
            for base in [*split_ablations(table)][:1]:
                lines += [f"![Ablations, with intervals]({root}/figures/ablations_{base}.png)", ""]
    return "\n".join(lines).strip()


def update_readme(readme: StrPath, section: str) -> None:
    """Puts a section between the README's markers.

    Raises:
        InputError: no such file, or not exactly one pair of markers.
    """
    path = Path(readme)
    if not is_file(path):
        raise InputError.about(path, describe_no_file(path), "a README with markers", "check --readme")
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(README_BEGIN)
    _, end, after = rest.partition(README_END)
    if not (begin and end) or README_BEGIN in rest or README_END in before + after:
        expected = f"one {README_BEGIN} and, after it, one {README_END}"
        raise InputError.about(path, "other markers", expected, "put each on a line of its own")
    updated = f"{before}{README_BEGIN}\n{section}\n{README_END}{after}"
    if updated != text:
        write_text(path, updated)
