"""Faust application of one worker: its settings, tables and extension points."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import faust
from faust import stores
from faust.transport import drivers

from stream.kafka.config import WorkerConfig, table_name
from stream.kafka.context import Context
from stream.kafka.protocol.ports import FetchControl, GroupClient
from stream.kafka.runtime.session import Session

drivers.TRANSPORTS.aliases["ember"] = "stream.kafka.faust.transport:Transport"
stores.STORES.aliases["slab"] = "stream.kafka.faust.tables:SlabStore"

OpenSession = Callable[[GroupClient, FetchControl], Session]


class App(faust.App):
    """Faust's app, with the context and session that its extension points use.

    Attributes:
        context: Surroundings of the worker.
        open_session: Function that connects the worker to the consumer, once that is made.
        session: Session of the worker; there as soon as `consumer` is.
    """

    logger = logging.getLogger("faust")

    context: Context
    open_session: OpenSession
    session: Session

    def _create_directories(self) -> None:
        """Do nothing: Faust keeps no files here."""

    def _crash(self, reason: BaseException) -> None:
        self.context.fail(f"The worker broke: {type(reason).__name__}: {reason}", reason)


def make_app(context: Context, partitions: Mapping[str, int], open_session: OpenSession) -> App:
    """Make the application, its consumer and its session.

    Args:
        context: Surroundings of the worker.
        partitions: Number of partitions by input topic.
        open_session: Function that connects the worker to the consumer.
    """
    config = context.config
    app = App(config.group, **_settings(config))
    app.context = context
    app.open_session = open_session
    for topic, count in partitions.items():
        app.topics.add(app.topic(topic, key_type=bytes, value_type=bytes))
        app.Table(
            table_name(topic),
            key_type=bytes,
            value_type=bytes,
            partitions=count,
            store="slab://local",
        )
    app.consumer  # noqa: B018  # made here, which opens the session
    return app


def _settings(config: WorkerConfig) -> dict[str, Any]:
    return {
        "broker": "ember://local",
        "store": "slab://local",  # "slab://" alone is falsy, and Faust would take its default
        "datadir": str(config.directory / "faust"),
        "autodiscover": False,
        "web_enabled": False,
        "topic_disable_leader": True,
        "topic_allow_declare": False,
        "table_standby_replicas": config.standby_replicas,
        "consumer_group_instance_id": config.instance_id or None,
        "broker_session_timeout": config.session_timeout_seconds,
        "broker_request_timeout": 90.0,
        "broker_rebalance_timeout": config.rebalance_seconds,
        "broker_commit_interval": 3600.0,  # never: checkpoints commit
        "stream_wait_empty": True,
        "stream_recovery_delay": 0,
        "TableManager": "stream.kafka.faust.tables:SlabTables",
    }
