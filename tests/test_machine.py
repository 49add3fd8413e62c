"""What `experiments.check machine` says of a machine."""

import importlib.metadata

import pytest

pytest.importorskip("keras")

from began.command_line import run_script  # noqa: E402
from experiments import check  # noqa: E402
from experiments.evaluation import machine  # noqa: E402


def run(*argv):
    return run_script(check.main, check.make_parser(), list(argv))


def test_check_says_what_the_machine_runs_commands_with(capsys):
    assert run("machine") == 0
    said = capsys.readouterr().out
    lines = dict(line.partition(": ")[::2] for line in said.splitlines())
    assert lines["devices"] == "CPU:0" and lines["precision"].startswith("float32; of the pre-training ")
    assert f"keras {importlib.metadata.version('keras')}" in lines["versions"] and lines["threads"]
    assert "\nwhat would make it faster:\n- " in said
    assert run("machine", "data") == 2 and run("emodb") == 2
    err = capsys.readouterr().err
    assert "DIR: found data; expected nothing for `machine`" in err and "DIR: found nothing; expected the folder" in err


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"devices": ["CPU:0", "NVIDIA H200"]}, None),
        ({}, "a GPU makes the pre-training much faster"),
        ({"environment": {"CUDA_VISIBLE_DEVICES": ""}}, "CUDA_VISIBLE_DEVICES hides all GPUs"),
        ({"devices": ["CPU:0", "GPU"], "cores": 2}, "may use 2 of 4 cores"),
        ({"devices": ["CPU:0", "GPU"], "load": 6.0}, "other programs are running: 6.0 processes share 4 cores"),
        ({"devices": ["CPU:0", "GPU"], "environment": {"OMP_NUM_THREADS": "1"}}, "OMP_NUM_THREADS=1 leaves cores idle"),
        ({"devices": ["CPU:0", "GPU"], "environment": {"OMP_NUM_THREADS": "4"}}, None),
        ({"devices": ["CPU:0", "GPU"], "environment": {"TF_ENABLE_ONEDNN_OPTS": "0"}}, "turns off TensorFlow's fast kernels"),
    ],
)
def test_advice_for_a_machine(options, expected, monkeypatch):
    monkeypatch.setattr(machine.shutil, "which", lambda program: None)
    advice = machine.advise(**{"devices": ["CPU:0"], "cores": 4, "n_cores": 4, "load": 0.5, "environment": {}} | options)
    assert len(advice) == (expected is not None) and (expected or "") in "".join(advice)


def test_a_gpu_that_tensorflow_does_not_use_is_named(monkeypatch):
    monkeypatch.setattr(machine.shutil, "which", lambda program: f"/usr/bin/{program}")
    (advice,) = machine.advise(["CPU:0"], 4, 4, 0.5, {})
    assert "a GPU is there, but TensorFlow does not use it: pip install 'tensorflow[and-cuda]'" in advice
