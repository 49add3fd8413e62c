"""The benchmark of large folders runs, and reports what the bench's table holds."""

from __future__ import annotations

import pytest


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
