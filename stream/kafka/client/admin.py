"""Before the worker joins: which topics there are, which to make, what the broker can do."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Mapping
from typing import Any, Final, Self

from aiokafka import errors as kafka_errors
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.client import ConnectionGroup
from aiokafka.conn import collect_hosts, create_conn

from stream.kafka.config import login_refused, not_safe
from stream.kafka.protocol.ports import RefusedError, TopicStatus
from stream.observer import Observer

from .requests import CreateTopics, TopicIds

log = logging.getLogger(__name__)

_CREATE_TOPICS: Final = 19
_TXN_OFFSET_COMMIT: Final = 28
_FENCED_VERSION: Final = 3
_LOGIN_ERRORS: Final = (
    kafka_errors.SaslAuthenticationFailed,
    kafka_errors.AuthenticationFailedError,
    kafka_errors.AuthenticationMethodNotSupported,
    kafka_errors.UnsupportedSaslMechanismError,
)
_WAIT_SECONDS: Final = (0.5, 1.0, 2.0, 5.0, 10.0)


class Admin:
    """A connection for what happens before and beside the stream.

    Args:
        settings: aiokafka's client keywords.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._client = AIOKafkaAdminClient(**settings)
        self._apis: Mapping[int, tuple[int, int]] = {}

    async def __aenter__(self) -> Self:
        await self._client.start()
        client = self._client._client
        node = client.get_random_node()
        if await client.ready(node):
            self._apis = client._conns[(node, ConnectionGroup.DEFAULT)]._versions
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    @property
    def can_create(self) -> bool:
        """Whether the broker makes topics when asked; the embedded one does not."""
        return _CREATE_TOPICS in self._apis

    @property
    def can_fence(self) -> bool:
        """Whether the broker has transactions that are fenced by the group's generation."""
        _, newest = self._apis.get(_TXN_OFFSET_COMMIT, (0, -1))
        return self.can_create and newest >= _FENCED_VERSION

    async def describe(self, topics: list[str]) -> dict[str, TopicStatus]:
        """Describe those of `topics` that exist."""
        client = self._client._client
        try:
            answer = await client.send(client.get_random_node(), TopicIds(topics))
        except (NotImplementedError, kafka_errors.IncompatibleBrokerVersion):
            known = await self._client.describe_topics(topics)
            return {
                t["topic"]: TopicStatus(len(t["partitions"]), "")
                for t in known
                if t["error_code"] == 0
            }
        return {
            name: TopicStatus(len(partitions), topic_id)
            for error, name, topic_id, _, partitions, *_ in answer.topics
            if error == 0
        }

    async def tombstones_kept(self, topics: list[str]) -> dict[str, float]:
        """Seconds for which tombstones stay; topics of which the broker does not say are absent."""
        name = "delete.retention.ms"
        wanted = [ConfigResource(ConfigResourceType.TOPIC, t, {name: None}) for t in topics]
        try:
            answers = await self._client.describe_configs(wanted)
        except (kafka_errors.KafkaError, NotImplementedError):
            return {}
        return {
            topic: int(entries[0][1]) / 1000
            for answer in answers
            for code, _, _, topic, entries in answer.resources
            if not code and entries and entries[0][1]
        }

    async def create(self, topics: list[tuple[str, int, int, dict[str, str]]]) -> None:
        """Create topics `(name, partitions, replication, config)`; existing ones are left alone.

        Raises:
            KafkaError: The first refusal.
        """
        if not topics:
            return
        answer = await self._client._send_to_controller(CreateTopics(topics))
        for name, code, message, *_ in answer.topic_errors:
            error = kafka_errors.for_code(code)
            if code and error is not kafka_errors.TopicAlreadyExistsError:
                raise error(f"Topic {name!r} was not created: {message or error.__name__}.")


async def connect(settings: Mapping[str, Any], observer: Observer) -> Admin:
    """Connect, waiting for a broker that is not there yet.

    Raises:
        RefusedError: If a broker is there, and refuses the login or cannot be trusted.
    """
    for attempt in range(1_000_000):
        admin = Admin(settings)
        try:
            return await admin.__aenter__()
        except kafka_errors.KafkaConnectionError:
            await admin.__aexit__()
            await _raise_if_refused(settings)
            servers = ",".join(settings["bootstrap_servers"])
            why = f"no broker answers at kafka.bootstrap_servers, {servers}"
            await _wait(attempt, why, observer)
    raise AssertionError


async def _raise_if_refused(settings: Mapping[str, Any]) -> None:
    """Ask one broker after the other by hand: the client only says that none would do."""
    if settings.get("security_protocol", "PLAINTEXT") == "PLAINTEXT":
        return
    own = {name: value for name, value in settings.items() if name != "bootstrap_servers"}
    for host, port, _ in collect_hosts(list(settings["bootstrap_servers"]), randomize=False):
        try:
            connection = await create_conn(host, port, **own)
        except _LOGIN_ERRORS as error:
            raise RefusedError(
                login_refused(
                    settings.get("sasl_mechanism", ""),
                    settings.get("sasl_plain_username", ""),
                    str(error),
                )
            ) from None
        except ssl.SSLCertVerificationError as error:
            raise RefusedError(not_safe(error.verify_message)) from None
        except (OSError, TimeoutError, kafka_errors.KafkaError):
            continue
        connection.close()
        return


async def wait_for_topics(
    admin: Admin, topics: tuple[str, ...], observer: Observer
) -> dict[str, TopicStatus]:
    """Wait until every input topic exists."""
    for attempt in range(1_000_000):
        try:
            found = await admin.describe(list(topics))
        except kafka_errors.KafkaError as error:
            await _wait(attempt, f"the broker does not say which topics it has ({error})", observer)
            continue
        missing = [topic for topic in topics if topic not in found]
        if not missing:
            return found
        await _wait(attempt, f"input topic {missing[0]!r} does not exist yet", observer)
    raise AssertionError


async def _wait(attempt: int, why: str, observer: Observer) -> None:
    seconds = _WAIT_SECONDS[min(attempt, len(_WAIT_SECONDS) - 1)]
    observer.phase("waiting", why)
    log.warning("Waiting: %s. Trying again in %g s.", why, seconds)
    await asyncio.sleep(seconds)
