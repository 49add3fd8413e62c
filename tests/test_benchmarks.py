"""The benchmarks run in miniature, and report what the bench's table holds."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from began.errors import InputError
from experiments.benchmarks import ROOT, alternate, check_out, make_row, run_in_process
from experiments.benchmarks.__main__ import PARTS


@pytest.mark.parametrize("part", PARTS)
def test_every_part_of_the_bench_is_there(part):
    assert callable(importlib.import_module(f"experiments.benchmarks.{part}").benchmark)


def test_rows_name_the_processor_and_those_of_others_stay(tmp_path, monkeypatch, capsys):
    from types import SimpleNamespace

    from began.command_line import run_script
    from experiments.benchmarks import __main__ as bench

    row = {"name": "a part", "ours": 1.0, "alternative": 2.0, "ratio": 2.0, "unit": "s", "note": ""}
    monkeypatch.setitem(sys.modules, "experiments.benchmarks.growth", SimpleNamespace(benchmark=lambda: [row]))
    monkeypatch.setattr(bench, "count_cores", lambda: 2)
    for processor in ("one, avx2", "another, avx2", "one, avx2"):
        monkeypatch.setattr(bench, "describe_processor", lambda processor=processor: processor)
        assert run_script(bench.main, bench.make_parser(), ["--results-dir", str(tmp_path), "--only", "growth"]) == 0
    lines = (tmp_path / "benchmarks.csv").read_text().splitlines()
    assert [line.split('"')[-2] for line in lines[1:]] == ["another, avx2, 2 cores", "one, avx2, 2 cores"]


def test_rounds_alternate_and_the_first_does_not_count():
    called = []
    seconds = alternate({name: partial(called.append, name) for name in "ab"}, repetitions=2)
    assert called == list("ababab")
    assert {name: values.shape for name, values in seconds.items()} == {"a": (2,), "b": (2,)}


@pytest.mark.parametrize(("inverse", "ratio"), [(False, 0.5), (True, 2.0)])
def test_a_row_has_medians_of_the_rounds(inverse, ratio):
    row = make_row("a part", np.array([1.0, 2.0, 4.0]), np.array([3.0, 4.0, 4.0]), "s", "a note", inverse=inverse)
    assert row == {"name": "a part", "ours": 2.0, "alternative": 4.0, "ratio": ratio, "unit": "s", "note": "a note"}


def test_memory_is_that_of_a_process_of_its_own():
    assert run_in_process(os.getpid) != os.getpid()


@pytest.fixture
def one_round(monkeypatch):
    """Nothing is done twice: what is measured is not looked at."""
    for name in ("checksums", "embedding", "predicting"):
        module = importlib.import_module(f"experiments.benchmarks.{name}")
        monkeypatch.setattr(module, "alternate", lambda sides, repetitions: {side: measure(run) for side, run in sides.items()})


def measure(run: Callable[[], Any]) -> np.ndarray:
    started = time.perf_counter()
    run()
    return np.array([time.perf_counter() - started])


def test_benchmark_of_leave_one_speaker_out_in_miniature():
    from experiments.benchmarks.leave_one_speaker_out import benchmark

    rows = benchmark(n_chunks=24, n_speakers=3, epochs=3, base_filters=2, workers=1, parameters={"filters": 4})
    assert [row["name"] for row in rows] == ["leave one speaker out, embedding included", "epoch of one head"]
    assert all(row["ours"] > 0 and row["alternative"] > 0 for row in rows)
    assert "extrapolated from 2 epochs of 1 fold" in rows[0]["note"]


def test_benchmark_of_many_files_in_miniature(monkeypatch):
    from experiments.benchmarks import many_files

    monkeypatch.setattr(many_files, "run_in_process", lambda function, *arguments: function(*arguments))
    rows = many_files.benchmark(60, 30)
    assert [row["name"] for row in rows] == [
        "predicting 60 files vs 30",
        "predicting 60 files, peak memory",
        "caching the representation of 60 files vs 30",
        "caching the representation of 60 files, peak memory",
    ]
    assert all(row["ours"] > 0 and row["alternative"] > 0 for row in rows)


def test_benchmark_of_a_long_file_in_miniature():
    pytest.importorskip("onnxruntime")
    from experiments.benchmarks.long_file import benchmark

    speed, memory = benchmark(long_minutes=4, short_minutes=1)
    assert speed["name"] == "predicting a recording of 4 minutes vs 1, time" and "goal 4" in speed["note"]
    assert speed["ours"] > 0 and memory["ours"] > 0


def test_benchmark_of_growth_in_miniature():
    from experiments.benchmarks.growth import benchmark

    rows = benchmark(n_many=(8,), n_few=4)
    assert [row["name"] for row in rows] == [
        "training a head, 8 utterances vs 4",
        "training a head, 8 utterances vs 4, peak memory",
    ]
    assert all(row["ours"] > 0 and row["alternative"] > 0 for row in rows)


def test_benchmark_of_predicting_in_miniature(one_round):
    pytest.importorskip("onnxruntime")
    from experiments.benchmarks.predicting import benchmark

    (row,) = benchmark(repetitions=1)
    assert row["ratio"] > 1  # TensorFlow alone takes seconds to import


def list_worktrees() -> str:
    return subprocess.run(["git", "-C", ROOT, "worktree", "list"], capture_output=True, text=True).stdout


def test_benchmark_of_tables_in_miniature(monkeypatch):
    """Its commands are parsed, as they are given, and not run."""
    from experiments import table3_emodb
    from experiments.benchmarks import tables

    if subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True).returncode:
        pytest.skip("no git checkout, so no other commit")
    given = []

    def parse(command: list[str], subject: str, folder: Path) -> None:
        assert command[:3] == [sys.executable, "-m", "experiments.table3_emodb"]
        arguments = table3_emodb.make_parser().parse_args(command[3:])
        assert arguments.encoder.is_relative_to(folder) and arguments.encoder.is_file()
        assert len(list(arguments.data_dir.rglob("*.wav"))) == 28 and not list(arguments.results_dir.iterdir())
        assert (folder / "experiments" / "table3_emodb.py").is_file()
        given.append((folder == ROOT, arguments.method, arguments.max_evals))

    monkeypatch.setattr(tables, "run_command", parse)
    before = list_worktrees()
    rows = tables.benchmark("HEAD", speakers=4, n_texts=1, max_evals=1, methods=("statistics", ""))
    assert [row["name"] for row in rows] == [
        "one run of Table 3, support vector machines",
        "one run of Table 3, the default method",
    ]
    assert {row["unit"] for row in rows} == {"s"}
    # Each side in turn, and twice: the first time does not count.
    default = table3_emodb.make_parser().parse_args(["--data-dir", "d", "--encoder", "e"]).method
    assert given == [(ours, method, 1) for method in ("statistics", default) for ours in (True, False) * 2]
    assert list_worktrees() == before


def test_a_commit_that_is_not_there_is_named():
    with pytest.raises(InputError, match="--against no-such-commit: found .*no-such-commit"), check_out("no-such-commit"):
        pass


def test_tables_are_measured_beside_a_commit_alone(tmp_path, capsys):
    from began.command_line import run_script
    from experiments.benchmarks import __main__ as bench

    assert run_script(bench.main, bench.make_parser(), ["--results-dir", str(tmp_path), "--only", "tables"]) == 2
    assert "Add --against COMMIT" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_benchmark_of_checksums_in_miniature(one_round):
    from experiments.benchmarks.checksums import benchmark

    rows = benchmark(repetitions=1, n_files=4, base_filters=2)
    assert [row["name"].split(" vs ")[0] for row in rows] == [
        "checksums of cached seconds",
        "checksums of cached utterances and their copies",
    ]
    assert all(0 < row["ratio"] < 0.5 for row in rows)


def test_benchmark_of_embedding_in_miniature(one_round):
    from experiments.benchmarks.embedding import benchmark

    (row,) = benchmark(repetitions=1, n_files=4, base_filters=2)
    assert row["ours"] > 0 and row["alternative"] > 0
