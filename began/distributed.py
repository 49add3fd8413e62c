"""Pre-training on several devices and several machines, through `tf.distribute`.

Every process runs the same program over its part of every batch. The gradients, and the losses that move k, are summed
over all replicas, so that all hold the same weights after every step: those that one process would have reached with
the whole batch. Worker 0 writes and reports; the others get its checkpoints over the network and need no shared disk.

Keras' `fit` does not run under MultiWorkerMirroredStrategy (tensorflow#72388); a plain loop of
`strategy.run(model.train_step)` does.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import json
import os
import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from began.errors import InputError, name_cause

_ADDRESS = re.compile(r"([\w.-]+|\[[\da-fA-F:.]+(?:%[\w.-]+)?\]):([0-9]{1,9})")
"""A host's name or address, IPv6 in brackets, and a port."""


@dataclass(frozen=True)
class Cluster:
    """The processes that train one model together, of which this is number `index`.

    Attributes:
        workers: "host:port" of every process, in the same order everywhere; empty for one process alone.
        devices: accelerators that each process uses; 1 also stands for the processor where there is none.
    """

    workers: tuple[str, ...] = ()
    index: int = 0
    devices: int = 1

    @classmethod
    def from_options(cls, workers: str | None, index: int | None, devices: int = 1) -> Cluster:
        """Returns the cluster that `--workers HOST:PORT,… --worker-index N --devices N` describe.

        Raises:
            InputError: an address without port or twice, an index that is missing or none of the workers'.
        """
        if devices < 1:
            raise InputError.about("--devices", devices, "1 or more", "give a positive number")
        if workers is None:
            if index is not None:
                raise InputError.about("--worker-index", "no --workers", "all workers' addresses", "give --workers as well")
            return cls(devices=devices)
        names = tuple(name.strip() for name in workers.split(","))
        for name in names:
            if not (address := _ADDRESS.fullmatch(name)) or not 0 < int(address[2]) < 65536:
                expected = "HOST:PORT, such as 192.168.0.2:2222"
                raise InputError.about("--workers", repr(name), expected, "separate the addresses by commas, without spaces")
        # TensorFlow would wait for the second of two names of one address without end.
        if len({(host.lower(), int(port)) for host, _, port in (name.rpartition(":") for name in names)}) < len(names):
            raise InputError.about("--workers", workers, "an address once", "give every worker a port of its own")
        if index is None or not 0 <= index < len(names):
            action = "give this process its number among the workers, counted from 0"
            raise InputError.about("--worker-index", index, f"0 to {len(names) - 1}", action)
        return cls(names, index, devices)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes and reports."""
        return self.index == 0

    @property
    def n_workers(self) -> int:
        return max(1, len(self.workers))

    @property
    def n_replicas(self) -> int:
        """Copies of the model that train together."""
        return self.n_workers * self.devices

    def check_network(self) -> list[str]:
        """Returns what the user should know of the port that this process opens: one note for each line; none without workers.

        TensorFlow's server listens on all interfaces, whatever address is named (grpc_server_lib.cc has "0.0.0.0:" in its
        source), and runs what it is sent: there is no setting against either.

        Raises:
            InputError: the port is taken.
        """
        if not self.workers:
            return []
        own = self.workers[self.index]
        port = own.rpartition(":")[2]
        try:
            socket.create_server(("", int(port))).close()
        except OSError as error:
            action = "end the program that has it, or give this worker another port on all machines"
            found = f"that port {port} cannot be opened here ({error.strerror or error})"
            raise InputError.about(f"--workers {own}", found, "a free port", action) from error
        notes = [f"note: port {port} is open on all networks of this machine, and runs what it is sent (docs/distributed.md)"]
        for name in self.workers:
            if public := _find_public_address(name.rpartition(":")[0].strip("[]")):
                notes.append(
                    f"warning: {name} is on the public internet ({public}): close the ports to all others, or use a tunnel"
                )
        return notes

    def connect(self) -> Any:
        """Returns the `tf.distribute` strategy of this cluster, once all workers are there; None for one device alone.

        Must come before anything else that TensorFlow does.

        Raises:
            InputError: the machine has fewer devices, the port is taken, or a worker cannot be reached.
        """
        if self.n_replicas == 1:
            return None
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        if self.devices > 1 and len(gpus) < self.devices:
            action = "give fewer devices, or install the GPU's TensorFlow"
            raise InputError.about("--devices", f"{len(gpus)} GPUs that TensorFlow can use", self.devices, action)
        if gpus:
            tf.config.set_visible_devices(gpus[: self.devices], "GPU")
        if not self.workers:
            return tf.distribute.MirroredStrategy([f"GPU:{number}" for number in range(self.devices)])
        task = {"type": "worker", "index": self.index}
        os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": self.workers}, "task": task})
        self.check_network()  # a port may have been taken since
        with self.report_lost_worker("the other workers have come"):
            return tf.distribute.MultiWorkerMirroredStrategy()

    @contextlib.contextmanager
    def report_lost_worker(self, until: str) -> Iterator[None]:
        """Turns TensorFlow's error about a worker that was lost inside the block into an InputError."""
        import tensorflow as tf

        names = ("Unavailable", "Aborted", "Cancelled", "Internal", "DeadlineExceeded", "FailedPrecondition")
        try:
            yield
        except tuple(getattr(tf.errors, f"{name}Error") for name in names) as error:
            if not self.workers:
                raise
            found = f"that another worker cannot be reached any more ({name_cause(error)})"
            expected = f"all of {', '.join(self.workers)} until {until}"
            action = "start every worker again with the command it had: they go on from worker 0's last checkpoint"
            raise InputError.about(f"worker {self.index} of {self.n_workers}", found, expected, action) from error


def _find_public_address(host: str) -> str | None:
    """Returns an address of a host that everybody can reach; None where it has none, or cannot be found."""
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return None
    return next((address for address in sorted(found) if ipaddress.ip_address(address.partition("%")[0]).is_global), None)


def count_replicas() -> int:
    """Returns how many replicas train together; 1 outside `tf.distribute`, and on every other backend."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def take_part(values: Any, size: Any) -> Any:
    """Returns this replica's rows of a tensor that all have drawn alike: shape (size, …) of (replicas * size, …)."""
    if count_replicas() == 1:
        return values
    import tensorflow as tf

    number = tf.distribute.get_replica_context().replica_id_in_sync_group
    return values[number * size : (number + 1) * size]


def average(*values: Any) -> tuple[Any, ...]:
    """Returns scalars averaged over the replicas; gradient does not flow through the average of several."""
    if count_replicas() == 1:
        return values
    import tensorflow as tf

    together = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, tf.stop_gradient(tf.stack(values)))
    return tuple(tf.unstack(together, num=len(values)))


class DistributedLoop:
    """What `fit` is for one device: rounds of steps on all replicas, with Keras callbacks between them.

    Args:
        strategy: of `Cluster.connect`.
        model: compiled in the strategy's scope, its optimiser built.
    """

    def __init__(self, strategy: Any, cluster: Cluster, model: Any) -> None:
        import tensorflow as tf

        self.strategy, self.cluster, self.model = strategy, cluster, model

        @tf.function(reduce_retracing=True)
        def step(batch: Any) -> Any:
            return strategy.run(model.train_step, args=((batch,),))

        self._step = step

    def fit(
        self, batches: Iterator[np.ndarray], *, steps_per_epoch: int, initial_epoch: int, epochs: int, callbacks: Sequence[Any]
    ) -> None:
        """Trains, like Keras' `fit` with the same arguments.

        Args:
            batches: this process' part of every batch, float32, shape (batch / workers, n_bins, n_frames, 1).
        Raises:
            InputError: another worker was lost.
        """
        import keras

        called: Any = keras.callbacks.CallbackList(callbacks, model=self.model)
        with self.cluster.report_lost_worker("the training is done"):
            called.on_train_begin()
            for epoch in range(initial_epoch, epochs):
                self.model.reset_metrics()
                called.on_epoch_begin(epoch)
                logs: dict[str, float] = {}
                for batch in range(steps_per_epoch):
                    called.on_train_batch_begin(batch)
                    results = self._step(self._distribute(next(batches)))
                    logs = {name: float(self.strategy.experimental_local_results(value)[0]) for name, value in results.items()}
                    called.on_train_batch_end(batch, logs)
                called.on_epoch_end(epoch, logs)
            called.on_train_end()

    def _distribute(self, batch: np.ndarray) -> Any:
        import tensorflow as tf

        parts, first = np.split(batch, self.cluster.devices), self.cluster.index * self.cluster.devices
        return self.strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(parts[context.replica_id_in_sync_group - first])
        )

    def share(self, content: bytes) -> bytes:
        """Returns worker 0's bytes on every worker."""
        import tensorflow as tf

        # The values of all replicas are joined: all but one come with none. Collectives know no bytes, and want some value.
        values = np.frombuffer(b"-" + content, np.uint8).astype(np.int32)
        parts = self.strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(values if context.replica_id_in_sync_group == 0 else values[:0])
        )
        with self.cluster.report_lost_worker("the training has begun"):
            return self.strategy.gather(parts, axis=0).numpy().astype(np.uint8).tobytes()[1:]

    def require_same(self, description: Any) -> None:
        """Raises InputError where the description of settings and data (plain types) differs from worker 0's."""
        digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode()).digest()
        if self.share(digest) != digest:
            worker = f"worker {self.cluster.index} of {self.cluster.n_workers}"
            found, expected = "other settings or other chunks than worker 0's", "the same options and corpus on every worker"
            raise InputError.about(worker, found, expected, "compare commands and data, and start all workers again")
