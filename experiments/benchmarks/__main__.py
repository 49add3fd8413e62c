"""Measures and writes results/benchmarks.csv.

    python -m experiments.benchmarks --results-dir results

takes about forty minutes on two cores that do nothing else, and writes when a part is done; --only measures some of them. With
other work on the machine the figures are lower, and the ratios less certain.
"""

import argparse
import importlib
import os
import sys
from pathlib import Path

from began.command_line import run_script
from began.errors import InputError
from began.precision import describe_processor
from began.startup import count_cores
from experiments.evaluation.result_files import write_table

PARTS = (
    "preparation",
    "memory",
    "many_files",
    "long_file",
    "predicting",
    "embedding",
    "checksums",
    "training_step",
    "leave_one_speaker_out",
    "growth",
    "tables",
)
AGAINST = ("predicting", "tables")
"""Parts that --against concerns; there is no other way to make a table, so without it that part is left out."""


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmarks", description=__doc__)
    parser.add_argument("--results-dir", type=Path, default=Path("results"), help="default: results")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="parts to measure; default: all")
    against = "commit whose commands predict and make a table beside ours; default: predicts with TensorFlow, makes no table"
    parser.add_argument("--against", metavar="COMMIT", help=against)
    return parser


def main(arguments: argparse.Namespace) -> None:
    parts = arguments.only or [part for part in PARTS if part != "tables" or arguments.against]
    if "tables" in parts and not arguments.against:
        raise InputError.about("--only tables", "no other commit", "one to compare with", "add --against COMMIT")
    import pandas as pd

    if (busy := os.getloadavg()[0]) > 0.5:
        print(f"note: other programs keep {busy:.1f} cores busy; the figures will be lower than this machine's", flush=True)
    path, processor, rows = arguments.results_dir / "benchmarks.csv", f"{describe_processor()}, {count_cores()} cores", []
    for number, part in enumerate(parts, start=1):
        print(f"measuring: {part.replace('_', ' ')}", flush=True)
        benchmark = importlib.import_module(f"experiments.benchmarks.{part}").benchmark
        rows += benchmark(against=arguments.against) if part in AGAINST else benchmark()
        table = pd.DataFrame(rows).assign(processor=processor)
        if path.exists():  # rows of other processors stay, and of this one, until all parts are measured, what was not
            before = pd.read_csv(path)
            is_done = number == len(parts) and {*PARTS} - {"tables"} <= {*parts}
            is_kept = before["name"].str.startswith("one run of Table 3") & ("tables" not in parts)
            replaced = (before["processor"] == processor) & (is_done & ~is_kept | before["name"].isin(table["name"]))
            table = pd.concat([before[~replaced], table], ignore_index=True)
        write_table(path, table)
    print(table.to_string(index=False, na_rep="", max_colwidth=90))
    print(f"wrote {path}")


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser(), kept="Finished parts are kept: --only PART … measures the others."))
