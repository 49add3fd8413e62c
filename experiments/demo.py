"""Everything once, on speech that this project synthesises itself: LibriSpeech -> BEGAN -> head -> Table 3.

    python -m experiments.demo --output-dir demo

It writes corpora in the real layouts and runs the real scripts on them, with small settings. Synthetic emotions are easy:
the scores show that everything works, and are not comparable with the paper.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from began.command_line import run_script
from began.files import lock_folder

NOTICE = (
    "These numbers come from synthetic speech, made to be easy to tell apart. They show that everything runs; "
    "they are not comparable with the paper."
)


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output-dir", type=Path, default=Path("demo"), help="default: demo")
    parser.add_argument("--epochs", type=int, default=12, help="of the pre-training (default: 12)")
    return parser


def main(arguments: argparse.Namespace) -> int:
    from experiments.corpora import synthetic

    started = time.monotonic()
    folder = arguments.output_dir
    results = folder / "results"
    print(f"1. Synthesising corpora in {folder / 'data'}", flush=True)
    with lock_folder(folder):
        librispeech = synthetic.write_librispeech(folder / "data" / "LibriSpeech", n_speakers=8, n_utterances=7, seconds=5.0)
        emodb = synthetic.write_emodb(folder / "data" / "EmoDB", speakers=5, n_texts=3)

    from experiments import pretrain_librispeech, table3_emodb

    print("2. Pre-training the BEGAN without labels", flush=True)
    code = _run(
        pretrain_librispeech,
        "--data-dir",
        librispeech,
        "--results-dir",
        results,
        "--epochs",
        arguments.epochs,
        "--learning-rate",
        "0.0005",
    )
    encoder = results / pretrain_librispeech.EXPERIMENT / "began" / "encoder.keras"
    if code == 0:
        print("3. Table 3: leave one speaker out", flush=True)
        code = _run(
            table3_emodb,
            "--data-dir",
            emodb,
            "--encoder",
            encoder,
            "--results-dir",
            results,
            "--runs",
            "2",
            "--max-evals",
            "3",
            "--epochs",
            "25",
        )
    if code != 0:
        return code
    print()
    print((results / "tables" / "table3.md").read_text(encoding="utf-8"))
    print(NOTICE)
    print("\nPictures:")
    for picture in sorted(results.rglob("*.png")):
        print(f"  {picture}")
    print(f"\nDone in {(time.monotonic() - started) / 60:.1f} minutes; everything lies in {folder}")
    return 0


def _run(script: ModuleType, *argv: object) -> int:
    """Runs a script as its user would, and shows how."""
    words: Sequence[str] = [str(word) for word in argv]
    print(f"   python -m {script.__name__} {' '.join(words)}", flush=True)
    return run_script(script.main, script.make_parser(), words)


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser()))
