"""Start a training in several processes on this machine."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from queue import Empty
from typing import Any, Literal, TypeVar

T = TypeVar("T")
_LOOK_SECONDS = 0.5  # how often a process that died without a word is looked for


def launch(
    work: Callable[..., T], processes: int, *args: Any, group: Literal["torch", "mlx"] = "torch"
) -> list[T]:
    """Run `work(*args)` in processes that `TorchDistributed` or `MLXDistributed` join.

    It does for one machine what `torchrun` and `mlx.launch` do, and brings the results back; over
    several machines use those.

    Args:
        work: A function at the top of a module; it makes its strategy itself.
        processes: Number of processes.
        *args: Arguments of `work`; they and the results are pickled.
        group: Library whose environment the processes get.

    Returns:
        What `work` returned in each process, by rank.

    Raises:
        RuntimeError: If a process fails; the others are ended.
    """
    if processes < 1 or group not in ("torch", "mlx"):
        raise ValueError(
            "The processes cannot be started so. Expected processes >= 1 and group 'torch' or "
            f"'mlx'. Received: processes={processes}, group={group!r}."
        )
    context = multiprocessing.get_context("spawn")  # a fork would share what torch holds
    results: Any = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        environments = _torch_environment if group == "torch" else _mlx_environment
        children = [
            context.Process(target=_child, args=(rank, environment, work, args, results))
            for rank, environment in enumerate(environments(processes, Path(folder)))
        ]
        for child in children:
            child.start()
        try:
            return _collect(children, results)
        finally:
            for child in children:
                if child.is_alive():
                    child.terminate()
                child.join()


def _collect(children: list[Any], results: Any) -> list[Any]:
    by_rank: dict[int, Any] = {}
    while len(by_rank) < len(children):
        try:
            rank, error, value = results.get(timeout=_LOOK_SECONDS)
        except Empty:
            dead = [
                (rank, child.exitcode)
                for rank, child in enumerate(children)
                if rank not in by_rank and child.exitcode not in (None, 0)
            ]
            if not dead:
                continue
            rank, error = dead[0][0], f"exit code {dead[0][1]}"
        if error:
            raise RuntimeError(f"Process {rank} of {len(children)} failed: {error}.")
        by_rank[rank] = value
    return [by_rank[rank] for rank in range(len(children))]


def _child(
    rank: int,
    environment: dict[str, str],
    work: Callable[..., Any],
    args: tuple[Any, ...],
    results: Any,
) -> None:
    os.environ.update(environment)
    try:
        results.put((rank, "", work(*args)))
    except BaseException as error:
        results.put((rank, f"{type(error).__name__}: {error}", None))
        raise


def _torch_environment(processes: int, folder: Path) -> list[dict[str, str]]:
    (port,) = _free_ports(1)
    return [
        {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(processes),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            # A machine need not know its own name.
            "GLOO_SOCKET_IFNAME": "lo0" if sys.platform == "darwin" else "lo",
        }
        for rank in range(processes)
    ]


def _mlx_environment(processes: int, folder: Path) -> list[dict[str, str]]:
    hosts = folder / "hosts.json"
    hosts.write_text(json.dumps([[f"127.0.0.1:{port}"] for port in _free_ports(processes)]))
    return [{"MLX_RANK": str(rank), "MLX_HOSTFILE": str(hosts)} for rank in range(processes)]


def _free_ports(count: int) -> list[int]:
    """Ports that nothing listened on a moment ago."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()
