"""The benchmarks run in miniature, and report what the bench's table holds."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from began.errors import InputError
from experiments.benchmarks import ROOT, check_out
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


def test_benchmark_of_leave_one_speaker_out_in_miniature():
    from experiments.benchmarks.leave_one_speaker_out import benchmark

    rows = benchmark(n_chunks=24, n_speakers=3, epochs=3, base_filters=2, workers=1, parameters={"filters": 4})
    assert [row["name"] for row in rows] == ["leave one speaker out, embedding included", "epoch of one head"]
    for row in rows:
        assert set(row) == {"name", "ours", "alternative", "ratio", "unit", "note"}
        assert row["ours"] > 0 and row["alternative"] > 0
        assert row["ratio"] == pytest.approx(row["alternative"] / row["ours"], rel=0.5)
    assert "extrapolated from 2 epochs of 1 fold" in rows[0]["note"]


def test_benchmark_of_many_files_in_miniature():
    from experiments.benchmarks.many_files import benchmark

    rows = benchmark(60, 30)
    assert [row["name"] for row in rows] == [
        "predicting 60 files vs 30",
        "predicting 60 files, peak memory",
        "caching the representation of 60 files vs 30",
        "caching the representation of 60 files, peak memory",
    ]
    for row in rows:
        assert row["ours"] > 0 and row["alternative"] > 0
        assert row["ratio"] == pytest.approx(row["ours"] / row["alternative"], rel=1e-2)


def test_benchmark_of_predicting_in_miniature():
    pytest.importorskip("onnxruntime")
    from experiments.benchmarks.predicting import benchmark

    (row,) = benchmark(repetitions=1)
    assert row["ratio"] == pytest.approx(row["alternative"] / row["ours"], rel=1e-2)
    assert row["ratio"] > 1.5


def list_worktrees() -> str:
    return subprocess.run(["git", "-C", ROOT, "worktree", "list"], capture_output=True, text=True).stdout


def test_benchmark_of_tables_in_miniature():
    from experiments.benchmarks.tables import benchmark

    if subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True).returncode:
        pytest.skip("no git checkout, so no other commit")
    before = list_worktrees()
    (row,) = benchmark("HEAD", speakers=4, n_texts=1, max_evals=1, methods=("statistics",))
    assert row["name"] == "one run of Table 3, support vector machines" and row["unit"] == "s"
    assert row["ours"] > 0 and row["ratio"] == pytest.approx(row["alternative"] / row["ours"], rel=1e-2)
    assert list_worktrees() == before


def test_a_commit_that_is_not_there_is_named():
    with pytest.raises(InputError, match="--against no-such-commit: found .*no-such-commit"), check_out("no-such-commit"):
        pass


def test_tables_are_measured_beside_a_commit_alone(tmp_path, capsys):
    from began.command_line import run_script
    from experiments.benchmarks import __main__ as bench

    assert run_script(bench.main, bench.make_parser(), ["--results-dir", str(tmp_path), "--only", "tables"]) == 2
    assert "Add --against COMMIT" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_benchmark_of_checksums_in_miniature():
    from experiments.benchmarks.checksums import benchmark

    rows = benchmark(repetitions=1, n_files=4, base_filters=2)
    assert [row["name"].split(" vs ")[0] for row in rows] == [
        "checksums of cached seconds",
        "checksums of cached utterances and their copies",
    ]
    for row in rows:
        assert row["ratio"] == pytest.approx(row["ours"] / row["alternative"], rel=1e-2)
        assert 0 < row["ratio"] < 0.5


def test_benchmark_of_embedding_in_miniature():
    from experiments.benchmarks.embedding import benchmark

    (row,) = benchmark(repetitions=1, n_files=4, base_filters=2)
    assert row["ratio"] == pytest.approx(row["ours"] / row["alternative"], rel=1e-2)
