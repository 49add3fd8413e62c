"""What a run rests on that is to be repeated; that the small run gives the same bits again is held by test_crashes.py."""

from __future__ import annotations

import json
import os

from began.files import sha256_of
from began.keras_file import attach_json


def test_the_environment_is_on_record(small_run):
    for folder in ("pretrain_librispeech/began", "table3_emodb/head_per_second/run1"):
        environment = json.loads((small_run / "results" / folder / "environment.json").read_text(encoding="utf-8"))
        assert {
            "commit",
            "uncommitted_changes",
            "versions",
            "python",
            "cpu_count",
            "flags",
            "op_determinism",
            "devices",
            "date",
        } <= set(environment)
        assert {"keras", "numpy", "hyperas", "soundfile"} <= set(environment["versions"])
        assert environment["flags"]["TF_NUM_INTRAOP_THREADS"] == os.environ["TF_NUM_INTRAOP_THREADS"]
        assert environment["op_determinism"] is True


def test_a_network_file_has_the_same_bytes_whenever_it_is_written(tmp_path):
    from began.network_file import load_network
    from began.networks import build_encoder

    hashes = []
    for number in range(2):
        path = tmp_path / f"{number}.keras"
        build_encoder((64, 32, 1), base_filters=2, latent_size=8, seed=1).save(path)
        attach_json(path, "spectrogram", {"n_fft": 128})
        hashes.append(sha256_of(path))
        load_network(path)
    assert hashes[0] == hashes[1]
