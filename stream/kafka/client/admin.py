"""Questions to a cluster before and beside the stream: topics, abilities, open transactions."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self

from aiokafka import TopicPartition
from aiokafka import errors as kafka_errors
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.client import ConnectionGroup
from aiokafka.conn import collect_hosts, create_conn

from stream.kafka.protocol.ports import RefusedError, TopicStatus
from stream.types import TP

from .fenced_producer import fence_producer
from .requests import CreateTopics, TopicIds
from .security import login_refused, not_safe

log = logging.getLogger(__name__)

_CREATE_TOPICS: Final = 19
_DELETE_RECORDS: Final = 21
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
    """Connection to the cluster for questions that are not the stream's.

    Args:
        settings: Keywords of aiokafka's clients.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._client = AIOKafkaAdminClient(**settings)
        self._apis: Mapping[int, tuple[int, int]] = {}

    async def __aenter__(self) -> Self:
        await self._client.start()
        client = self._client._client
        node = client.get_random_node()
        # The versions tell what the broker can do; aiokafka keeps them per connection.
        if await client.ready(node):
            self._apis = client._conns[(node, ConnectionGroup.DEFAULT)]._versions
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    @property
    def can_create(self) -> bool:
        """Ability of the broker to make topics; the embedded one has none."""
        return _CREATE_TOPICS in self._apis

    @property
    def can_fence(self) -> bool:
        """Ability of the broker to fence transactions by the group's generation."""
        _, newest = self._apis.get(_TXN_OFFSET_COMMIT, (0, -1))
        return self.can_create and newest >= _FENCED_VERSION

    async def describe(self, topics: list[str]) -> dict[str, TopicStatus]:
        """Describe those of `topics` that exist."""
        client = self._client._client
        try:
            answer = await client.send(client.get_random_node(), TopicIds(topics))
        # The embedded broker and old ones have no topic ids.
        except (NotImplementedError, kafka_errors.IncompatibleBrokerVersion):
            described = await self._client.describe_topics(topics)
            return {
                t["topic"]: TopicStatus(len(t["partitions"]), "")
                for t in described
                if t["error_code"] == 0
            }
        return {
            name: TopicStatus(len(partitions), topic_id)
            for error, name, topic_id, _, partitions, *_ in answer.topics
            if error == 0
        }

    async def tombstones_kept(self, topics: list[str]) -> dict[str, float]:
        """Return the seconds for which tombstones stay; topics without an answer are absent."""
        name = "delete.retention.ms"
        resources = [ConfigResource(ConfigResourceType.TOPIC, t, {name: None}) for t in topics]
        try:
            answers = await self._client.describe_configs(resources)
        except (kafka_errors.KafkaError, NotImplementedError):
            return {}
        return {
            topic: int(entries[0][1]) / 1000
            for answer in answers
            for code, _, _, topic, entries in answer.resources
            if not code and entries and entries[0][1]
        }

    async def delete_records(self, offsets: Mapping[TP, int]) -> None:
        """Delete the records below an offset of each partition; a broker without that keeps them.

        Raises:
            KafkaError: If the broker refuses.
        """
        if _DELETE_RECORDS in self._apis and offsets:
            await self._client.delete_records(
                {TopicPartition(*tp): RecordsToDelete(offset) for tp, offset in offsets.items()}
            )

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
            # Workers of a group start together, and another one may have been faster.
            if code and error is not kafka_errors.TopicAlreadyExistsError:
                raise error(f"Topic {name!r} was not created: {message or error.__name__}.")


class OnDemandAdmin:
    """Cluster admin that connects anew for each question: they are rare.

    Args:
        settings: Keywords of aiokafka's clients.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings

    async def describe(self, topics: Sequence[str]) -> Mapping[str, TopicStatus]:
        """Describe those of `topics` that exist."""
        async with Admin(self._settings) as admin:
            return await admin.describe(list(topics))

    async def tombstones_kept(self, topics: Sequence[str]) -> Mapping[str, float]:
        """Return the seconds for which tombstones stay; topics without an answer are absent."""
        async with Admin(self._settings) as admin:
            return await admin.tombstones_kept(list(topics))

    async def delete_records(self, offsets: Mapping[TP, int]) -> None:
        """Delete the records below an offset of each partition."""
        async with Admin(self._settings) as admin:
            await admin.delete_records(offsets)

    async def fence_producer(self, transactional_id: str) -> None:
        """End the open transaction of a former worker, and fence the worker if it still lives."""
        await fence_producer(transactional_id, self._settings)


async def connect(settings: Mapping[str, Any], on_wait: Callable[[str], None]) -> Admin:
    """Connect, waiting for a broker that is not there yet.

    Args:
        settings: Keywords of aiokafka's clients.
        on_wait: Function told the reason of each wait.

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
            reason = f"no broker answers at kafka.bootstrap_servers, {servers}"
            await _wait(attempt, reason, on_wait)
    raise AssertionError


async def _raise_if_refused(settings: Mapping[str, Any]) -> None:
    """Ask one broker after the other by hand: the client only says that none can be used.

    Args:
        settings: Keywords of aiokafka's clients.

    Raises:
        RefusedError: If one refuses the login, or its certificate is not trusted.
    """
    if settings.get("security_protocol", "PLAINTEXT") == "PLAINTEXT":
        return
    keywords = {name: value for name, value in settings.items() if name != "bootstrap_servers"}
    for host, port, _ in collect_hosts(list(settings["bootstrap_servers"]), randomize=False):
        try:
            connection = await create_conn(host, port, **keywords)
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
        # Not reachable is no refusal: it may be up soon.
        except (OSError, TimeoutError, kafka_errors.KafkaError):
            continue
        connection.close()
        return


async def wait_for_topics(
    admin: Admin, topics: tuple[str, ...], on_wait: Callable[[str], None]
) -> dict[str, TopicStatus]:
    """Wait until every input topic exists.

    Args:
        admin: Connection to the cluster.
        topics: Names of the topics.
        on_wait: Function told the reason of each wait.
    """
    for attempt in range(1_000_000):
        try:
            described = await admin.describe(list(topics))
        except kafka_errors.KafkaError as error:
            reason = f"the broker does not say which topics it has ({error})"
        else:
            missing = [topic for topic in topics if topic not in described]
            if not missing:
                return described
            reason = f"input topic {missing[0]!r} does not exist yet"
        await _wait(attempt, reason, on_wait)
    raise AssertionError


async def _wait(attempt: int, reason: str, on_wait: Callable[[str], None]) -> None:
    seconds = _WAIT_SECONDS[min(attempt, len(_WAIT_SECONDS) - 1)]
    on_wait(reason)
    log.warning("Waiting: %s. Trying again in %g s.", reason, seconds)
    await asyncio.sleep(seconds)
