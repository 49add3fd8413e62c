"""Files from strangers: none of them runs code, whatever it holds."""

from __future__ import annotations

import argparse
import ast
import errno
import functools
import importlib
import io
import json
import pickle
import re
import shutil
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from began.command_line import run_script
from began.errors import InputError
from began.keras_file import attach_json
from began.spectrogram import SpectrogramConfig
from experiments.evaluation.conditions import BASE_ENCODER

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [path for floor in ("began", "classifiers", "experiments") for path in sorted((ROOT / floor).rglob("*.py"))]


class Trap:
    """Runs code when it is unpickled: it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return Path.mkdir, (self.folder,)


HEAD = {
    "task": "categorical",
    "labels": ["anger", "neutral"],
    "tail": "overlap",
    "aggregation": "mean",
    "parameters": {},
    "spectrogram": SpectrogramConfig().to_dict(),
}


def attach_all(path: Path) -> Path:
    """Adds what a file of this project has beside the network, so that nothing but the network can be refused."""
    attach_json(path, "spectrogram", SpectrogramConfig().to_dict())
    attach_json(path, "head", HEAD)
    return path


def write_lambda(path: Path, sprung: Path) -> Path:
    """A network with a Lambda layer whose function leaves a trace when it runs."""
    import keras

    inputs = keras.layers.Input((512, 32, 1))
    code = f"__import__('pathlib').Path({str(sprung)!r}).mkdir(exist_ok=True)"
    outputs = keras.layers.Lambda(eval(f"lambda x: ({code}, x)[1]"), output_shape=(512, 32, 1), name="map")(inputs)
    keras.Model(inputs, outputs).save(path)
    if sprung.exists():
        sprung.rmdir()
    return attach_all(path)


def write_foreign_class(path: Path, sprung: Path, module: str, name: str) -> Path:
    """A network whose configuration names a function of another module as the class of a layer."""
    import keras

    inputs = keras.layers.Input((512, 32, 1))
    keras.Model(inputs, keras.layers.Dense(2, name="map")(inputs)).save(path)
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    config = json.loads(members["config.json"])
    layer = next(layer for layer in config["config"]["layers"] if layer["class_name"] == "Dense")
    layer |= {"module": module, "class_name": name, "registered_name": name}
    layer["config"] = {"path": str(sprung), "name": str(sprung), "command": f"mkdir {sprung}", "args": [f"mkdir {sprung}"]}
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return attach_all(path)


def write_disguised_hdf5(path: Path, sprung: Path) -> Path:
    """An HDF5 model of old Keras with a Lambda layer, and a ZIP archive behind it: both formats find their own part."""
    hdf5 = path.with_suffix(".h5")
    import keras

    inputs = keras.layers.Input((512, 32, 1))
    code = f"__import__('pathlib').Path({str(sprung)!r}).mkdir(exist_ok=True)"
    outputs = keras.layers.Lambda(eval(f"lambda x: ({code}, x)[1]"), output_shape=(512, 32, 1), name="map")(inputs)
    keras.Model(inputs, outputs).save(hdf5)
    if sprung.exists():
        sprung.rmdir()
    with zipfile.ZipFile(hdf5, "a") as archive:
        for member, content in (("spectrogram", HEAD["spectrogram"]), ("head", HEAD), ("config", {})):
            archive.writestr(f"{member}.json", json.dumps(content))
    return hdf5


HOSTILE = {
    "Lambda layer": write_lambda,
    "os.system as a layer": lambda path, sprung: write_foreign_class(path, sprung, "os", "system"),
    "os.mkdir as a layer": lambda path, sprung: write_foreign_class(path, sprung, "os", "mkdir"),
    "subprocess as a layer": lambda path, sprung: write_foreign_class(path, sprung, "subprocess", "Popen"),
    "HDF5 in disguise": write_disguised_hdf5,
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Returns a function that writes one of these networks, once, and what would be there after its code had run."""

    @functools.cache
    def write(name: str) -> tuple[Path, Path]:
        folder = tmp_path_factory.mktemp("hostile")
        return HOSTILE[name](folder / "encoder.keras", folder / "sprung"), folder / "sprung"

    return write


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("script", ["classifiers.predict", "experiments.table3_emodb", "experiments.ablations"])
def test_a_hostile_network_runs_no_code(name, script, hostile, tiny_corpora, tmp_path, capsys):
    path, sprung = hostile(name)
    data, results = tiny_corpora / "EmoDB", tmp_path / "results"
    if script == "experiments.ablations":
        base = results / "pretrain_librispeech" / BASE_ENCODER
        base.mkdir(parents=True)
        path = Path(shutil.copy(path, base / "encoder.keras"))
    argv = {
        "classifiers.predict": ["--model", path, data / "wav" / "03a01Wa.wav"],
        "experiments.table3_emodb": ["--data-dir", data, "--encoder", path, "--results-dir", results, "--method", "head"],
        "experiments.ablations": ["--data-dir", data, "--results-dir", results, "--conditions", "began_16_epochs", "--runs", 1],
    }[script]
    module = importlib.import_module(script)
    assert run_script(module.main, module.make_parser(), [str(word) for word in argv]) == 2
    assert not sprung.exists()
    message = capsys.readouterr().err
    assert path.name in message
    assert "expected" in message
    assert name != "Lambda layer" or re.search("Lambda.*[Dd]o not trust", message)
    assert not list(tmp_path.rglob("*.npy"))


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), FileNotFoundError(errno.ENOENT, "No usable temporary directory found")],
    ids=["no space", "no temporary folder"],
)
def test_a_full_disk_is_not_blamed_on_a_stranger(error, tiny_encoder, monkeypatch, capsys):
    import keras

    from began.network_file import load_network

    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(keras.models, "load_model", fail)
    assert run_script(lambda arguments: load_network(tiny_encoder), argparse.ArgumentParser(), []) == 2
    message = capsys.readouterr().err
    assert "free space" in message
    assert "stranger" not in message


# ------------------------------------------------------------------------------------------- files that grow in memory


def write_sets(fill: Callable[[h5py.File], object]) -> bytes:
    """An HDF5 file with the data sets that `fill` makes."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        fill(file)
    return content.getvalue()


def in_config(before: str, after: str) -> dict[str, Callable[[str], bytes]]:
    """The configuration of the small network below, changed, and without the shapes that Keras notes beside the layers."""

    def change(config: str) -> bytes:
        assert before in config
        return re.sub(r'"build_config": \{[^}]*\}', '"build_config": null', config.replace(before, after)).encode()

    return {"config.json": change}


WEIGHTS_FILE = "model.weights.h5"
GROWING: dict[str, dict[str, Any]] = {
    "weights that unpack": {WEIGHTS_FILE: lambda _: bytes(1 << 27)},
    "metadata that unpack": {"metadata.json": lambda _: b" " * (1 << 27)},
    "a member that nobody asks for": {"assets/a": lambda _: b" " * (1 << 27)},
    "many small members": {f"{number}.json": lambda _: b" " * (1 << 20) for number in range(70)},
    "a configuration of many lists": {"config.json": lambda _: b"[" + b"[]," * 2_000_000 + b"[]]"},
    "as many lists as are let through": {"config.json": lambda _: b"[" + b"[]," * 340_000 + b"[]]"},
    "a set without content": {WEIGHTS_FILE: lambda _: write_sets(lambda f: f.create_dataset("a", (1 << 30,), "f4"))},
    "a set in empty pieces": {
        WEIGHTS_FILE: lambda _: write_sets(lambda f: f.create_dataset("a", (1 << 28,), "f4", chunks=(1 << 20,), compression=9))
    },
    "one number in a large piece": {
        WEIGHTS_FILE: lambda _: write_sets(
            lambda f: f.create_dataset("a", data=np.ones(1), maxshape=(None,), chunks=(1 << 25,), compression=1)
        )
    },
    "a set in another file": {
        WEIGHTS_FILE: lambda _: write_sets(
            lambda f: f.create_dataset("a", (1 << 28,), "f4", external=[("/dev/zero", 0, 1 << 30)])
        )
    },
    "a layer of a thousand million units": in_config('"units": 54321', '"units": 1000000000'),
    "a large input": in_config('"batch_shape": [null, 8, 8, 2]', '"batch_shape": [null, 30000, 8, 30000]'),
    "an adapter of high rank": in_config('"units": 54321', '"units": 54321, "lora_rank": 100000000'),
    "a large step in the middle": in_config('"size": [2, 2]', '"size": [20000, 20000]'),
    "a number spread over an input": in_config('"mean": null, "variance": null', '"mean": 0.0, "variance": 1.0'),
}


@pytest.fixture(scope="module")
def small_network(tmp_path_factory) -> dict[str, bytes]:
    """The members of the .keras file of a network with layers that the traps below alter."""
    import keras
    from keras import layers

    inputs = keras.Input((8, 8, 2))
    x = layers.Normalization(axis=(1, 3))(inputs)
    x = layers.MaxPooling2D((7, 7))(layers.UpSampling2D((2, 2))(x))
    path = tmp_path_factory.mktemp("small_network") / "small.keras"
    keras.Model(inputs, layers.Dense(54321)(layers.Flatten()(x))).save(path)
    with zipfile.ZipFile(path) as archive:
        return {member: archive.read(member) for member in archive.namelist()}


def write_growing(path: Path, members: dict[str, bytes], changes: dict[str, Callable[[str], bytes]]) -> Path:
    """A .keras file of a few megabytes at most that would take gigabytes."""
    changed = {member: change(members.get(member, b"").decode("utf-8", "replace")) for member, change in changes.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in {**members, **changed}.items():
            archive.writestr(member, data)
    assert path.stat().st_size < 5_000_000
    return path


REFUSING = """
import re, sys
from pathlib import Path
from began.errors import InputError
from began.network_file import load_network
from began.startup import start_backend

start_backend()
for path in sys.argv[1:]:
    try:
        load_network(path)
        print(path, "was opened")
    except InputError as error:
        print(error)
print(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])  # the most that this process ever held
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc, as Linux has it")
def test_files_that_grow_are_refused_before_they_do(small_network, tmp_path):
    whole = write_growing(tmp_path / "whole.keras", small_network, {})
    paths = [
        write_growing(tmp_path / f"{name.replace(' ', '_')}.keras", small_network, changes) for name, changes in GROWING.items()
    ]
    done = subprocess.run([sys.executable, "-c", REFUSING, whole, *paths], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    opened, *refused, kilobytes = done.stdout.splitlines()
    assert "was opened" in opened
    for path, line in zip(paths, refused, strict=True):
        assert line.startswith(f"{path}: found")
        assert "expected" in line
    assert int(kilobytes) < 1e6


def test_the_traps_would_spring(tmp_path):
    """Else the tests above and below would prove nothing."""
    import keras

    sprung = tmp_path / "sprung"
    keras.models.load_model(write_lambda(tmp_path / "a.keras", sprung), safe_mode=False).predict(
        np.zeros((1, 512, 32, 1), np.float32), verbose=0
    )
    assert sprung.exists()
    sprung.rmdir()
    pickle.loads(pickle.dumps(Trap(sprung)))
    assert sprung.exists()


def save_pickled(path: Path, sprung: Path) -> None:
    np.save(path, np.array([Trap(sprung)], dtype=object), allow_pickle=True)


@pytest.mark.parametrize("member", ["counts.npy", "features.npy"])
def test_a_pickle_in_the_cache_is_not_opened(member, tiny_encoder, speech_files, tmp_path):
    from began.encoder import load_frozen_encoder
    from began.representation import represent_corpus

    encoder = load_frozen_encoder(tiny_encoder)
    represent_corpus(encoder, speech_files[:2], tmp_path / "cache")
    (path,) = (tmp_path / "cache").rglob(member)
    save_pickled(path, tmp_path / "sprung")
    with pytest.raises(InputError, match=member.replace(".", r"\.")):
        represent_corpus(encoder, speech_files[:2], tmp_path / "cache")
    assert not (tmp_path / "sprung").exists()


def test_a_pickle_as_a_shard_or_checkpoint_is_not_opened(small_store_folder, tmp_path):
    from began.checkpoint import read_checkpoint
    from began.dataset import ChunkStore
    from began.pretraining import PretrainingSettings, build_began

    folder = Path(shutil.copytree(small_store_folder, tmp_path / "store"))
    save_pickled(folder / "shard-00000.npy", tmp_path / "sprung")
    with pytest.raises(InputError, match="shard-00000"):
        ChunkStore(folder)
    np.savez(tmp_path / "checkpoint.npz", state=np.array([Trap(tmp_path / "sprung")], dtype=object))
    model = build_began(PretrainingSettings(base_filters=2, latent_size=8), (32, 8, 1))
    with pytest.raises(InputError, match="damaged checkpoint"):
        read_checkpoint(tmp_path / "checkpoint.npz", model)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("trap", ["compressed", "larger than it is", "of less than nothing"])
def test_a_checkpoint_that_grows_is_refused_before_it_does(trap, tmp_path):
    """As files of networks are: what is read takes no more memory than the file has bytes."""
    from began.checkpoint import read_checkpoint
    from began.pretraining import PretrainingSettings, build_began

    def begin(shape: tuple[int, ...]) -> bytes:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
        return header.getvalue()

    members = {
        "compressed": {"state.npy": begin((50_000_000,)) + bytes(200_000_000)},
        "larger than it is": {"state.npy": begin((10**13,))},
        "of less than nothing": {"model-0000.npy": begin((-(10**13),)), "state.npy": begin((10**13,))},
    }[trap]
    with zipfile.ZipFile(tmp_path / "checkpoint.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    del members
    model = build_began(PretrainingSettings(base_filters=2, latent_size=8), (32, 8, 1))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="damaged checkpoint .* values, more than lie in the file"):
            read_checkpoint(tmp_path / "checkpoint.npz", model)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


# ----------------------------------------------------------------------------------------------------- the sources

CALLS_OF_DATA = {"eval", "exec", "compile"}
FORBIDDEN_MODULES = {"pickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_sources_open_nothing_unsafely(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            if ast.unparse(node) not in (
                "from joblib import cpu_count",
                "from joblib import Parallel, delayed",
            ):  # load nothing
                assert not {name.split(".")[0] for name in names} & FORBIDDEN_MODULES
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        owner = getattr(getattr(node.func, "value", None), "id", "")
        given = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
        # The one exception runs our own templates through Hyperas' compiler, in memory.
        if isinstance(node.func, ast.Name) and name in CALLS_OF_DATA:
            assert path.name == "spaces.py"
        if owner == "np" and name == "load":
            assert given.get("allow_pickle") is False
        if name == "load_model":
            assert given.get("safe_mode") is True
        of_text = getattr(getattr(node.func, "value", None), "attr", "") == "str"  # pandas' Series.str.extract
        if name in ("extractall", "extract") and not of_text:
            # ZIP archives know no filter; tests/test_download.py holds that their names are checked.
            assert given.get("filter") == "data" or path.name == "download.py"
        assert given.get("shell") is not True
        assert given.get("allow_pickle") is not True
        assert name not in ("system", "popen", "read_pickle", "enable_unsafe_deserialization", "mktemp")


def test_hyperas_leaves_no_code_on_the_disk(tmp_path, monkeypatch):
    """Its driver would write temp_model.py into the working directory, where anybody may wait for it."""
    from classifiers.spaces import SPACES, compile_space

    monkeypatch.chdir(tmp_path)
    compile_space.cache_clear()
    for kind, task in SPACES:
        compile_space(kind, task)
    assert list(tmp_path.iterdir()) == []
