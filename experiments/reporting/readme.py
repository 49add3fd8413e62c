"""The README's results: short tables between two markers, runs on real data only."""

from __future__ import annotations

import os
from pathlib import Path

from began.errors import InputError
from began.files import write_text
from experiments.evaluation import paper, runs
from experiments.reporting.cells import (
    OURS_HEADS,
    find_row,
    interval,
    markdown_table,
    number,
    ours_cells,
    plus_minus,
    printed,
    records,
)
from experiments.reporting.markdown import ONE_ENCODER
from experiments.reporting.results import Results
from experiments.reporting.tables import OURS, ablations, table1, table2, table3

README_BEGIN, README_END = "<!-- results:begin -->", "<!-- results:end -->"


def readme_section(results_dir: str | os.PathLike, readme: str | os.PathLike = "README.md") -> str:
    """Returns the README's results: short tables of the paper's numbers beside ours, real data only.

    Args:
        readme: where the section will stand; links to figures are relative to it.
    """
    everything = Results.read(results_dir)
    results = everything.without_synthetic()
    rows = []
    for name, table, title in (
        ("table1_savee", table1(results), "1, SAVEE"),
        ("table2_omg", table2(results), "2, OMG-Emotion"),
        ("table3_emodb", table3(results), "3, EmoDB"),
    ):
        ours = table[table["system"] == OURS]
        for condition in ours["condition"].unique():
            level = results.main_level(name, condition)
            if ours.loc[ours["condition"] == condition, "mean"].isna().all():
                columns = list(paper.HELD_AGAINST[name])
                values = [printed(find_row(table, system=paper.PAPER, column=column)) or "–" for column in columns]
                what = ("accuracy, " if name == "table1_savee" else "") + ", ".join(columns)
                what += "" if name == "table2_omg" else " (%)"
                rows.append(
                    [
                        title,
                        f"`{condition}`",
                        what,
                        ", ".join(values),
                        *ours_cells(None),
                        "LEAKING" if "leaking" in condition else "",
                    ]
                )
                continue
            for column, metric in paper.HELD_AGAINST[name].items():
                block = ours[
                    (ours["condition"] == condition)
                    & (ours["column"] == column)
                    & (ours["metric"] == metric)
                    & (ours["level"] == level)
                ]
                if name != "table1_savee":
                    block = block[block["fold"].isin((runs.POOLED, ""))]
                if len(block):
                    row = block.iloc[0]
                    what = f"accuracy, {column}" if name == "table1_savee" else column
                    published = find_row(table, system=paper.PAPER, column=column)
                    what += " (%)" * (row["unit"] == "%") + ", chunks" * (level == "chunk")
                    rows.append([title, f"`{condition}`", what, printed(published), *ours_cells(row), row["note"]])
    lines = [
        "Test part, utterance level unless chunks are named, pooled over folds; rendered from `results/` by "
        "`make tables`. ± and intervals (Student's t) are over runs.",
        "",
        markdown_table(["table", "condition", "measure", "paper", *OURS_HEADS, "note"], rows),
        "",
    ]
    table = ablations(results)
    if len(table):
        lines += [
            f"Ablations (EmoDB, leave one speaker out, utterance accuracy, %). {ONE_ENCODER}",
            "",
            markdown_table(
                ["condition", "what it is", "accuracy", "95 % interval", "UAR", "runs", "note"],
                [
                    [
                        f"`{row.condition}`",
                        row.description,
                        plus_minus(row.accuracy, row.accuracy_sd, "%"),
                        interval(row.accuracy_ci_low, row.accuracy_ci_high, "%"),
                        number(row.uar, "%"),
                        str(row.n_runs),
                        row.note,
                    ]
                    for row in records(table)
                ],
            ),
            "",
        ]
    folder = Path(readme).resolve().parent
    for experiment, name, words in (
        ("ablations", "ablations", "Ablations with 95 % intervals"),
        ("label_efficiency", "label_efficiency", "Accuracy against the share of labels"),
    ):
        picture = Path(results_dir).resolve() / "figures" / f"{name}.png"
        if picture.is_file() and results.conditions(experiment) and not everything.is_synthetic(experiment):
            lines += [f"![{words}]({Path(os.path.relpath(picture, folder)).as_posix()})", ""]
    tables = Path(os.path.relpath(Path(results_dir).resolve() / "tables", folder)).as_posix()
    links = [f"[{name}]({tables}/{name}.md)" for name in ("table1", "table2", "table3", "ablations")]
    lines += [f"In full: {', '.join(links)}."]
    return "\n".join(lines)


def update_readme(readme: str | os.PathLike, section: str) -> bool:
    """Puts a section between the README's markers; True when that changed the file.

    Raises:
        InputError: no such file, or not exactly one pair of markers.
    """
    path = Path(readme)
    if not path.is_file():
        raise InputError.about(path, found="no such file", expected="a README with markers", action="check --readme")
    text = path.read_text(encoding="utf-8")
    begins, ends = text.count(README_BEGIN), text.count(README_END)
    if begins != 1 or ends != 1 or text.index(README_BEGIN) > text.index(README_END):
        raise InputError.about(
            path,
            found=f"{begins} begin and {ends} end markers",
            expected=f"one {README_BEGIN} and, after it, one {README_END}",
            action="put the two markers where the results belong, each on a line of its own",
        )
    before, rest = text.split(README_BEGIN)
    after = rest.split(README_END)[1]
    updated = f"{before}{README_BEGIN}\n{section.strip()}\n{README_END}{after}"
    if updated != text:
        write_text(path, updated)
    return updated != text
