"""Process of the embedded broker: librdkafka's mock cluster by ctypes, one line of JSON per call.

Run by path, never imported by the service: it must start in a fraction of a second, so it imports
nothing of this package. Each line on stdin is `{"call": NAME, "args": {...}}` and is answered by
one line on stdout; the end of stdin, or of the parent process, ends the cluster.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any, Protocol

_PRODUCER = 0  # rd_kafka_type_t
_OK = 0
_TOPIC_EXISTS = 36
_PARENT_CHECK_SECONDS = 1.0

_ERRORS: dict[str, type] = {
    "rd_kafka_mock_topic_create": ctypes.c_int,
    "rd_kafka_mock_topic_delete": ctypes.c_int,
    "rd_kafka_mock_broker_set_down": ctypes.c_int,
    "rd_kafka_mock_broker_set_up": ctypes.c_int,
    "rd_kafka_mock_broker_set_rtt": ctypes.c_int,
    "rd_kafka_mock_partition_delete_records": ctypes.c_int,
}


class MockError(Exception):
    """A call the mock cluster refused, or does not have."""


class Cluster(Protocol):
    """Interface of a mock cluster."""

    bootstrap: str

    def call(self, name: str, args: dict[str, Any]) -> Any:
        """Carry out one control call."""


def library_path() -> Path | None:
    """Return the path of the librdkafka in the confluent-kafka wheel, or None."""
    spec = importlib.util.find_spec("confluent_kafka")
    if spec is None or spec.origin is None:
        return None
    package = Path(spec.origin).parent
    for folder in (package.parent / "confluent_kafka.libs", package / ".dylibs"):
        for pattern in ("librdkafka-*.so*", "librdkafka.so*", "librdkafka*.dylib"):
            libraries = sorted(folder.glob(pattern))
            if libraries:
                return libraries[0]
    return None


class CtypesCluster:
    """Mock cluster by the C API: numbers of partitions can be chosen and faults injected."""

    def __init__(self, path: Path, brokers: int, rebalance_delay_ms: int) -> None:
        lib = ctypes.CDLL(str(path))
        # Pointers need a declared type: by default ctypes cuts results to a 32-bit int.
        lib.rd_kafka_new.restype = ctypes.c_void_p
        lib.rd_kafka_new.argtypes = [
            ctypes.c_int,
            ctypes.c_void_p,
            ctypes.c_char_p,
            ctypes.c_size_t,
        ]
        lib.rd_kafka_mock_cluster_new.restype = ctypes.c_void_p
        lib.rd_kafka_mock_cluster_new.argtypes = [ctypes.c_void_p, ctypes.c_int]
        lib.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        lib.rd_kafka_mock_cluster_bootstraps.argtypes = [ctypes.c_void_p]
        lib.rd_kafka_err2str.restype = ctypes.c_char_p
        lib.rd_kafka_err2str.argtypes = [ctypes.c_int]
        lib.rd_kafka_conf_new.restype = ctypes.c_void_p
        lib.rd_kafka_conf_set.argtypes = [
            ctypes.c_void_p,
            ctypes.c_char_p,
            ctypes.c_char_p,
            ctypes.c_char_p,
            ctypes.c_size_t,
        ]
        error = ctypes.create_string_buffer(512)
        conf = lib.rd_kafka_conf_new()
        # The handle only hosts the cluster: without this it warns that it has no broker itself.
        lib.rd_kafka_conf_set(conf, b"log_level", b"0", error, len(error))
        handle = lib.rd_kafka_new(_PRODUCER, conf, error, len(error))
        if not handle:
            raise MockError(f"librdkafka gave no handle: {error.value.decode()}")
        cluster = lib.rd_kafka_mock_cluster_new(handle, brokers)
        if not cluster:
            raise MockError("librdkafka could not start its mock cluster on 127.0.0.1")
        self._lib = lib
        self._cluster = ctypes.c_void_p(cluster)
        self._void(
            "rd_kafka_mock_group_initial_rebalance_delay_ms", ctypes.c_int32(rebalance_delay_ms)
        )
        # With controller 0 (the mock's own default) clients wait for a node that does not exist.
        self._void("rd_kafka_mock_set_controller_id", ctypes.c_int32(1))
        self.bootstrap = lib.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def call(self, name: str, args: dict[str, Any]) -> Any:
        """Carry out one control call; raises MockError if librdkafka refuses it."""
        method = getattr(self, f"_do_{name}", None)
        if method is None:
            raise MockError(f"unknown call {name!r}")
        return method(**args)

    def _do_create_topics(self, topics: dict[str, int]) -> None:
        for topic, partitions in topics.items():
            self._checked(
                "rd_kafka_mock_topic_create",
                ctypes.c_char_p(topic.encode()),
                ctypes.c_int(partitions),
                ctypes.c_int(1),
                context=f"topic {topic!r}",
            )

    def _do_delete_topic(self, topic: str) -> None:
        self._checked("rd_kafka_mock_topic_delete", ctypes.c_char_p(topic.encode()))

    def _do_delete_records(self, topic: str, partition: int, before: int) -> None:
        self._checked(
            "rd_kafka_mock_partition_delete_records",
            ctypes.c_char_p(topic.encode()),
            ctypes.c_int32(partition),
            ctypes.c_int64(before),
        )

    def _do_push_errors(self, api_key: int, errors: list[int]) -> None:
        array = (ctypes.c_int * len(errors))(*errors)
        self._void(
            "rd_kafka_mock_push_request_errors_array",
            ctypes.c_int16(api_key),
            ctypes.c_size_t(len(errors)),
            array,
        )

    def _do_clear_errors(self, api_key: int) -> None:
        self._void("rd_kafka_mock_clear_request_errors", ctypes.c_int16(api_key))

    def _do_set_rtt(self, rtt_ms: int, broker: int = -1) -> None:
        self._checked("rd_kafka_mock_broker_set_rtt", ctypes.c_int32(broker), ctypes.c_int(rtt_ms))

    def _do_set_down(self, broker: int = -1) -> None:
        self._checked("rd_kafka_mock_broker_set_down", ctypes.c_int32(broker))

    def _do_set_up(self, broker: int = -1) -> None:
        self._checked("rd_kafka_mock_broker_set_up", ctypes.c_int32(broker))

    def _function(self, name: str) -> Any:
        try:
            function = getattr(self._lib, name)
        except AttributeError:
            raise MockError(f"this librdkafka has no {name}") from None
        function.restype = _ERRORS.get(name)
        return function

    def _void(self, name: str, *args: Any) -> None:
        self._function(name)(self._cluster, *args)

    def _checked(self, name: str, *args: Any, context: str = "") -> None:
        code = self._function(name)(self._cluster, *args)
        if code not in (_OK, _TOPIC_EXISTS):
            text = self._lib.rd_kafka_err2str(code).decode()
            raise MockError(f"{name}{f' of {context}' if context else ''}: {text}")


class ClientCluster:
    """Mock cluster by a client setting: topics have the mock's default number of partitions."""

    def __init__(self, brokers: int) -> None:
        from confluent_kafka import Producer

        self._producer = Producer({"test.mock.num.brokers": brokers, "log_level": 0})
        nodes = self._producer.list_topics(timeout=10).brokers.values()
        self.bootstrap = ",".join(f"{node.host}:{node.port}" for node in nodes)

    def call(self, name: str, args: dict[str, Any]) -> Any:
        """Create topics by a metadata request; all other calls need the C API."""
        if name != "create_topics":
            raise MockError(f"{name!r} needs librdkafka's C API, which was not found in the wheel")
        for topic in args["topics"]:
            self._producer.list_topics(topic, timeout=10)


def open_cluster(brokers: int, rebalance_delay_ms: int) -> Cluster:
    """Open a cluster by the C API, or by the client setting if the library lacks it."""
    path = library_path()
    if path is not None:
        try:
            return CtypesCluster(path, brokers, rebalance_delay_ms)
        except (AttributeError, OSError, MockError) as error:
            sys.stderr.write(f"mock cluster without the C API: {error}\n")
    return ClientCluster(brokers)


def serve(cluster: Cluster) -> None:
    """Answer calls until stdin or the parent process ends."""
    parent = os.getppid()
    pending = b""
    _answer({"bootstrap": cluster.bootstrap})
    while True:
        ready, _, _ = select.select([0], [], [], _PARENT_CHECK_SECONDS)
        if not ready:
            # A fork of the parent can hold the pipe open after the parent itself has gone.
            if os.getppid() != parent:
                return
            continue
        chunk = os.read(0, 65536)
        if not chunk:
            return
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            try:
                request = json.loads(line)
                _answer({"result": cluster.call(request["call"], request["args"])})
            except (MockError, KeyError, TypeError, ValueError) as error:
                _answer({"error": f"{type(error).__name__}: {error}"})


def _answer(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run the process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--brokers", type=int, default=1)
    parser.add_argument("--rebalance-delay-ms", type=int, default=0)
    options = parser.parse_args()
    # Ctrl-C belongs to the parent, which stops its workers first and the broker last.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(open_cluster(options.brokers, options.rebalance_delay_ms))
    sys.stdout.flush()
    # librdkafka's threads need no shutdown: everything is in memory and ends with the process.
    os._exit(0)


if __name__ == "__main__":
    main()
