"""The benchmark of head training runs, and reports what the bench's table holds."""

from __future__ import annotations

import pytest


def test_benchmark_of_leave_one_speaker_out_in_miniature():
    from experiments.benchmarks.leave_one_speaker_out import benchmark

    rows = benchmark(n_chunks=24, n_speakers=3, epochs=3, base_filters=2, workers=1, parameters={"filters": 4})
    assert [row["name"] for row in rows] == ["leave one speaker out, embedding included", "epoch of one head"]
    for row in rows:
        assert set(row) == {"name", "ours", "alternative", "ratio", "unit", "note"}
        assert row["ours"] > 0 and row["alternative"] > 0
        assert row["ratio"] == pytest.approx(row["alternative"] / row["ours"], rel=0.5)
    assert "extrapolated from 2 epochs of 1 fold" in rows[0]["note"]
