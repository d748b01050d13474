"""Connections of the commands to a cluster, by confluent-kafka; the worker itself uses aiokafka.

Every failure to reach a broker is one sentence, not librdkafka's log. `reading` has the functions
that read records and offsets with these consumers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NoReturn

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._metadata import ClusterMetadata
from confluent_kafka.cimpl import NewTopic

from stream.errors import UserError
from stream.kafka.client.oauth import TokenSource
from stream.kafka.client.security import login_refused, not_safe
from stream.settings import KafkaSection

REQUEST_SECONDS: Final = 10.0
FLUSH_SECONDS: Final = 60.0
_EMBEDDED_CLUSTER: Final = "mockCluster"
_LIBRDKAFKA_NAMES: Final[Mapping[str, str]] = {
    "security_protocol": "security.protocol",
    "sasl_mechanism": "sasl.mechanism",
    "sasl_username": "sasl.username",
    "sasl_password": "sasl.password",
    "ssl_ca_location": "ssl.ca.location",
    "ssl_certificate_location": "ssl.certificate.location",
    "ssl_key_location": "ssl.key.location",
    "ssl_key_password": "ssl.key.password",
}


class UnreachableError(UserError):
    """No broker answers; a later attempt may succeed."""


def client_config(kafka: KafkaSection, **more: Any) -> dict[str, Any]:
    """Return the settings under librdkafka's names.

    Args:
        kafka: The `[kafka]` section.
        **more: librdkafka's own settings, dots as double underscores (`group__id="x"`).
    """
    config: dict[str, Any] = {
        "bootstrap.servers": kafka.bootstrap_servers,
        "client.id": kafka.client_id,
        "log_level": 0,  # errors are raised; librdkafka's log would say them twice
    }
    for field, name in _LIBRDKAFKA_NAMES.items():
        value = getattr(kafka, field)
        text = value.get_secret_value() if hasattr(value, "get_secret_value") else value
        if text:
            config[name] = str(text)
    if kafka.sasl_mechanism == "OAUTHBEARER":
        source = TokenSource(kafka)
        config["oauth_cb"] = lambda _config: source.token()
    config.update({name.replace("__", "."): value for name, value in more.items()})
    return config


def open_producer(kafka: KafkaSection, **more: Any) -> Producer:
    """Open a producer for bulk: all replicas acknowledge, Kafka's own partitioner is used.

    Idempotence keeps a partition's order over retries; the embedded broker supports it too.

    Args:
        kafka: The `[kafka]` section.
        **more: librdkafka's own settings, as for `client_config`.
    """
    bulk = {
        "acks": "all",
        "enable__idempotence": True,
        "partitioner": "murmur2_random",
        "linger__ms": 5,
        "batch__num__messages": 10_000,
        "batch__size": 512 * 1024,
        "queue__buffering__max__messages": 200_000,
        "queue__buffering__max__kbytes": 256 * 1024,
    }
    return Producer(client_config(kafka, **{**bulk, **more}))


def put(producer: Producer, topic: str, **record: Any) -> None:
    """Hand a record over; while the producer's queue is full, wait until it has room.

    Args:
        producer: Producer from `open_producer`.
        topic: Target topic.
        **record: Keywords of `Producer.produce`.

    Raises:
        KafkaException: If the producer refuses the record.
    """
    while True:
        try:
            producer.produce(topic, **record)
        except BufferError:
            producer.poll(0.05)  # delivers acknowledgements, which makes room
        else:
            return


def open_consumer(kafka: KafkaSection, group: str = "", **more: Any) -> Consumer:
    """Open a consumer that commits nothing by itself.

    Args:
        kafka: The `[kafka]` section.
        group: Consumer group whose offsets it asks for. Default: a group of the commands.
        **more: librdkafka's own settings, as for `client_config`.
    """
    return Consumer(
        client_config(
            kafka,
            **{
                "group__id": group or f"{kafka.group}-reader",
                "enable__auto__commit": False,
                "auto__offset__reset": "earliest",
                "enable__partition__eof": True,
                "fetch__wait__max__ms": 100,
                **more,
            },
        )
    )


def fetch_metadata(kafka: KafkaSection, seconds: float = REQUEST_SECONDS) -> ClusterMetadata:
    """Return brokers and topics of the cluster; asking does not create any topic.

    Raises:
        UnreachableError: If no broker answers in time.
        UserError: If one refuses the login, or cannot be trusted.
    """
    client_errors: list[KafkaError] = []
    client = AdminClient(client_config(kafka, error_cb=client_errors.append))
    if kafka.sasl_mechanism == "OAUTHBEARER":
        client.poll(seconds)  # asks for the token; without it no request gets through
    try:
        return client.list_topics(timeout=seconds)
    except KafkaException as error:
        # The request only says that it timed out; the reason is in the client's own errors.
        client.poll(0)
        for cause in client_errors:
            if cause.code() == KafkaError._AUTHENTICATION:
                name, mechanism = kafka.sasl_username, kafka.sasl_mechanism
                raise UserError(login_refused(mechanism, name, cause.str())) from None
            if cause.code() == KafkaError._SSL:
                raise UserError(not_safe(cause.str())) from None
        _unreachable(kafka, error)


def _unreachable(kafka: KafkaSection, error: KafkaException) -> NoReturn:
    raise UnreachableError(
        "No broker answers. Expected a Kafka broker at kafka.bootstrap_servers. "
        f"Received: bootstrap_servers={kafka.bootstrap_servers!r} ({error.args[0].str()}). "
        "Start one, or set --bootstrap-servers or EMBER_KAFKA__BOOTSTRAP_SERVERS."
    ) from None


def is_embedded(metadata: ClusterMetadata) -> bool:
    """Return True for the in-memory cluster of `stream.testing`."""
    return str(metadata.cluster_id or "").startswith(_EMBEDDED_CLUSTER)


def partition_counts(metadata: ClusterMetadata) -> dict[str, int]:
    """Return the number of partitions of every topic that has no error."""
    return {
        name: len(topic.partitions)
        for name, topic in metadata.topics.items()
        if topic.error is None
    }


def create_topic(kafka: KafkaSection, topic: str, partitions: int, **config: str) -> None:
    """Create a topic with the replication factor of the settings.

    Args:
        kafka: The `[kafka]` section.
        topic: Name of the topic.
        partitions: Number of partitions.
        **config: Settings of the topic.

    Raises:
        UserError: If the cluster refuses.
    """
    client = AdminClient(client_config(kafka))
    new = NewTopic(topic, partitions, replication_factor=kafka.replication_factor, config=config)
    try:
        client.create_topics([new], request_timeout=REQUEST_SECONDS)[topic].result()
    except KafkaException as error:
        raise UserError(
            f"The topic {topic!r} was not created: {error.args[0].str()}. "
            "Create it with your cluster's own tools."
        ) from None


class Deliveries:
    """Records handed to a producer, and the first error among their acknowledgements.

    Args:
        producer: Producer from `open_producer`.
    """

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._error = ""

    def put(self, topic: str, **record: Any) -> None:
        """Hand a record over, as `put` does; arguments as of `put`.

        Raises:
            KafkaException: If the producer refuses the record.
        """
        put(self._producer, topic, on_delivery=self._on_delivery, **record)
        self._producer.poll(0)

    def fail(self, error: str) -> None:
        """Count a record as failed that was never handed over."""
        self._error = self._error or error

    def _on_delivery(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self.fail(error.str())

    def flush(self, seconds: float = FLUSH_SECONDS) -> str:
        """Wait for all acknowledgements; return the reason why one is missing, or ""."""
        unacknowledged = self._producer.flush(seconds)
        if unacknowledged and not self._error:
            return f"{unacknowledged} records were not acknowledged"
        return self._error
