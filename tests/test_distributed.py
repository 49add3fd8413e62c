"""Several processes and devices: the same weights as one process on the combined batch, and a worker that dies."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from began.distributed import Cluster
from began.errors import InputError
from tests.pretrain_small import SMALL

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("workers", "index", "devices", "words"),
    [
        ("host", 0, 1, "HOST:PORT"),
        ("host:port", 0, 1, "HOST:PORT"),
        ("host:0", 0, 1, "HOST:PORT"),
        ("a:1, a:1", 0, 1, "an address once"),
        ("A:1,a:01", 0, 1, "an address once"),
        ("http://a:1", 0, 1, "HOST:PORT"),
        ("a b:1", 0, 1, "HOST:PORT"),
        ("::1:2222", 0, 1, "HOST:PORT"),
        ("a:\u0661", 0, 1, "HOST:PORT"),
        ("a:1,b:2", None, 1, "0 to 1"),
        ("a:1,b:2", 2, 1, "0 to 1"),
        (None, 1, 1, "--workers"),
        (None, None, 0, "--devices"),
    ],
)
def test_options_that_describe_no_cluster(workers, index, devices, words):
    with pytest.raises(InputError, match=words):
        Cluster.from_options(workers, index, devices)


def test_options():
    alone = Cluster.from_options(None, None)
    assert (alone.n_replicas, alone.is_chief, alone.connect()) == (1, True, None)
    second = Cluster.from_options("10.0.0.1:2222, 10.0.0.2:2222", 1, 4)
    assert second.workers == ("10.0.0.1:2222", "10.0.0.2:2222")
    assert (second.n_workers, second.n_replicas, second.is_chief) == (2, 8, False)


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("", 0)) as other:
        port = other.getsockname()[1]
        cluster = Cluster.from_options(f"127.0.0.1:{port},127.0.0.1:1", 0)
        with pytest.raises(InputError, match=rf"--workers 127.0.0.1:{port}: found that port {port} cannot be opened here"):
            cluster.check_network()
        with pytest.raises(InputError, match="cannot be opened here"):
            cluster.connect()
    assert len(cluster.check_network()) == 1
    assert Cluster.from_options(None, None).check_network() == []


@pytest.mark.parametrize(
    ("host", "is_public"),
    [("8.8.8.8", True), ("[2001:4860:4860::8888]", True), ("10.1.2.3", False), ("192.168.0.1", False), ("localhost", False)],
)
def test_public_addresses_are_warned_of(host, is_public):
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    notes = Cluster.from_options(f"{host}:{port},10.0.0.1:2222", 0).check_network()
    assert "is open on all networks of this machine" in notes[0]
    assert len(notes) == 1 + is_public
    assert not is_public or f"warning: {host}:{port} is on the public internet" in notes[1]


def test_the_tunnel_of_the_documentation_leads_every_worker_to_the_other():
    """Each machine has the other worker's port from ssh, and its own from TensorFlow."""
    text = (ROOT / "docs" / "distributed.md").read_text(encoding="utf-8").split("### Through a tunnel")[1].split("## ")[0]
    (tunnel,) = re.findall(r"^ssh .*", text, re.MULTILINE)
    workers = set(re.findall(r"--workers (\S+)", text))
    assert len(workers) == 1
    first, second = Cluster.from_options(workers.pop(), 0).workers
    assert f"-L {second}:{second} " in tunnel
    assert f"-R {first}:{first} " in tunnel
    assert [f"--worker-index {index}" in text for index in (0, 1)] == [True, True]


def test_missing_gpus_are_named():
    pytest.importorskip("tensorflow")
    with pytest.raises(InputError, match="found [0-9]+ GPUs"):
        Cluster(devices=999).connect()


WORKER = """
import sys
from pathlib import Path
from began.command_line import run_script
from began.startup import start_backend
import argparse

def main(arguments):
    start_backend()
    import tensorflow as tf
    from began.dataset import ChunkStore
    from began.distributed import Cluster
    from began.pretraining import PretrainingSettings, pretrain
    from tests.pretrain_small import SMALL

    if arguments.devices > 1:  # logical processors in place of GPUs
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * arguments.devices)
        Cluster.connect = lambda self: tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(self.devices)])
    settings = PretrainingSettings(**{**SMALL, "noise": arguments.noise, "learning_rate": arguments.rate},
                                   epochs=arguments.epochs)
    cluster = Cluster.from_options(arguments.workers, arguments.worker_index, arguments.devices)
    pretrain(ChunkStore(arguments.store), Path(arguments.folder), settings, cluster=cluster,
             report=lambda line: print(line, flush=True))

parser = argparse.ArgumentParser()
parser.add_argument("store")
parser.add_argument("folder")
parser.add_argument("--epochs", type=int, default=2)
parser.add_argument("--noise", default="shared")
parser.add_argument("--rate", type=float, default=SMALL_RATE)
parser.add_argument("--workers")
parser.add_argument("--worker-index", type=int)
parser.add_argument("--devices", type=int, default=1)
sys.exit(run_script(main, parser))
""".replace("SMALL_RATE", str(SMALL["learning_rate"]))


def start(store: Path, folder: Path, *options: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, *map(str, (store, folder, *options))],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(os.environ),
    )


def start_workers(store: Path, folders: list[Path], *options: object) -> list[subprocess.Popen]:
    """Starts one process per folder; each has a folder of its own, as on machines without a shared disk."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in folders]
    addresses = ",".join(f"127.0.0.1:{server.getsockname()[1]}" for server in sockets)
    for server in sockets:
        server.close()
    return [
        start(store, folder, "--workers", addresses, "--worker-index", index, *options) for index, folder in enumerate(folders)
    ]


def finish(processes: list[subprocess.Popen]) -> list[tuple[int, str, str]]:
    outputs = [process.communicate(timeout=400) for process in processes]
    return [(process.returncode, *output) for process, output in zip(processes, outputs, strict=True)]


def assert_same_weights(first: Path, second: Path) -> None:
    a, b = (np.load(folder / "checkpoint.npz") for folder in (first, second))
    assert a.files == b.files
    for name in set(a.files) - {"state"}:
        # Adam makes whole steps even of gradients that are mere rounding: a hundredth of a step is allowed.
        np.testing.assert_allclose(a[name], b[name], rtol=1e-5, atol=0.01 * SMALL["learning_rate"], err_msg=name)


@pytest.fixture(scope="module")
def alone(small_store_folder, tmp_path_factory) -> Path:
    """The folder of one process that trained on whole batches."""
    folder = tmp_path_factory.mktemp("alone")
    ((code, _, errors),) = finish([start(small_store_folder, folder)])
    assert code == 0, errors
    return folder


def test_two_processes_equal_one_on_the_combined_batch(small_store_folder, alone, tmp_path):
    """And: a worker that is killed ends the other with a message, and the same commands go on from the checkpoint."""
    folders = [tmp_path / "first", tmp_path / "second"]
    workers = start_workers(small_store_folder, folders)
    for line in workers[0].stdout:
        if line.startswith("epoch 0.67"):  # the second of six rounds; the first one's checkpoint is there
            break
    workers[1].kill()
    (code, _, errors), _ = finish(workers)
    assert code == 2
    assert "another worker cannot be reached" in errors
    assert "start every worker again with the command it had" in errors.lower()
    assert not (folders[0] / "encoder.keras").exists()

    (first, said, errors), (second, _, _) = finish(start_workers(small_store_folder, folders))
    assert (first, second) == (0, 0), errors
    assert "from epoch 0.00" not in said
    assert (folders[0] / "encoder.keras").exists()
    assert not folders[1].exists()  # the other worker writes nothing, and had the checkpoint over the network
    assert_same_weights(alone, folders[0])


def test_two_devices_of_one_process_equal_one(small_store_folder, alone, tmp_path):
    ((code, _, errors),) = finish([start(small_store_folder, tmp_path, "--devices", 2)])
    assert code == 0, errors
    assert_same_weights(alone, tmp_path)


def test_workers_with_other_settings_are_refused(small_store_folder, tmp_path):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = ",".join(f"127.0.0.1:{server.getsockname()[1]}" for server in sockets)
    for server in sockets:
        server.close()
    workers = [
        start(small_store_folder, tmp_path / str(index), "--workers", addresses, "--worker-index", index, "--noise", noise)
        for index, noise in enumerate(("shared", "separate"))
    ]
    (first, _, _), (second, _, errors) = finish(workers)
    assert "other settings or other chunks than worker 0's" in errors
    assert first != 0
    assert second == 2


def test_batch_must_be_divisible(small_store_folder, tmp_path):
    from began.dataset import ChunkStore
    from began.pretraining import PretrainingSettings, pretrain

    with pytest.raises(InputError, match="a multiple of 3"):
        pretrain(ChunkStore(small_store_folder), tmp_path, PretrainingSettings(**SMALL), cluster=Cluster(devices=3))
