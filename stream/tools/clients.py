"""Thin confluent-kafka clients for the commands; the worker itself speaks aiokafka.

Every failure to reach a broker is one sentence, not librdkafka's log.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NoReturn

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._metadata import ClusterMetadata
from confluent_kafka.cimpl import NewTopic

from stream.errors import UserError
from stream.kafka.client.oauth import TokenSource
from stream.kafka.client.security import login_refused, not_safe
from stream.settings import KafkaSection

REQUEST_SECONDS: Final = 10.0
_AT_ONCE: Final = 1_000
_POLL_SECONDS: Final = 0.2
_NAMED: Final = 5
"""Partitions named in an error."""
_EMBEDDED_CLUSTER: Final = "mockCluster"
_PASSING: Final = frozenset(
    {KafkaError._PARTITION_EOF, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN}
)
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
    """No broker answers; another time one may."""


def client_config(kafka: KafkaSection, **more: Any) -> dict[str, Any]:
    """Settings as librdkafka names them.

    Args:
        kafka: The `[kafka]` section.
        **more: librdkafka's own settings, dots as double underscores (`group__id="x"`).
    """
    config: dict[str, Any] = {
        "bootstrap.servers": kafka.bootstrap_servers,
        "client.id": kafka.client_id,
        "log_level": 0,  # what matters comes back as errors
    }
    for field, name in _LIBRDKAFKA_NAMES.items():
        value = getattr(kafka, field)
        plain = value.get_secret_value() if hasattr(value, "get_secret_value") else value
        if plain:
            config[name] = str(plain)
    if kafka.sasl_mechanism == "OAUTHBEARER":
        source = TokenSource(kafka)
        config["oauth_cb"] = lambda _config: source.token()
    config.update({name.replace("__", "."): value for name, value in more.items()})
    return config


def open_producer(kafka: KafkaSection, **more: Any) -> Producer:
    """A producer for bulk: all replicas acknowledge, keys go where Kafka's Java clients send them.

    Idempotence keeps a partition's order over retries; the embedded broker does it too.
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
    """Hand a record over; while the producer's queue is full, wait for what is in it.

    Raises:
        KafkaException: If the producer refuses the record.
    """
    while True:
        try:
            producer.produce(topic, **record)
        except BufferError:
            producer.poll(0.05)
        else:
            return


def open_consumer(kafka: KafkaSection, group: str = "", **more: Any) -> Consumer:
    """A consumer that never commits; `group` only names whose offsets it asks for."""
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
    """Brokers and topics of the cluster; asking does not create any topic.

    Raises:
        UnreachableError: If no broker answers in time.
        UserError: If one refuses the login, or cannot be trusted.
    """
    said: list[KafkaError] = []
    client = AdminClient(client_config(kafka, error_cb=said.append))
    if kafka.sasl_mechanism == "OAUTHBEARER":
        client.poll(seconds)  # asks for the token; without it no request gets through
    try:
        return client.list_topics(timeout=seconds)
    except KafkaException as error:
        client.poll(0)
        for each in said:
            if each.code() == KafkaError._AUTHENTICATION:
                name, mechanism = kafka.sasl_username, kafka.sasl_mechanism
                raise UserError(login_refused(mechanism, name, each.str())) from None
            if each.code() == KafkaError._SSL:
                raise UserError(not_safe(each.str())) from None
        _unreachable(kafka, error)


def _unreachable(kafka: KafkaSection, error: KafkaException) -> NoReturn:
    raise UnreachableError(
        "No broker answers. Expected a Kafka broker at kafka.bootstrap_servers. "
        f"Received: bootstrap_servers={kafka.bootstrap_servers!r} ({error.args[0].str()}). "
        "Start one, or set --bootstrap-servers or EMBER_KAFKA__BOOTSTRAP_SERVERS."
    ) from None


def is_embedded(metadata: ClusterMetadata) -> bool:
    """Whether the cluster is the in-memory one of `stream.testing.embedded_broker`."""
    return str(metadata.cluster_id or "").startswith(_EMBEDDED_CLUSTER)


def partition_counts(metadata: ClusterMetadata) -> dict[str, int]:
    """Topic name -> number of partitions, of topics without an error."""
    return {
        name: len(topic.partitions)
        for name, topic in metadata.topics.items()
        if topic.error is None
    }


def create_topic(kafka: KafkaSection, topic: str, partitions: int, **config: str) -> None:
    """Create a topic with the setting's replication.

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


def watermarks(consumer: Consumer, topic: str, partitions: int) -> list[tuple[int, int]]:
    """First and end offset of every partition, as the broker has them now."""
    found = []
    for partition in range(partitions):
        at = TopicPartition(topic, partition)
        low, high = consumer.get_watermark_offsets(at, timeout=REQUEST_SECONDS, cached=False)
        found.append((low, high))
    return found


def committed(consumer: Consumer, topic: str, partitions: int) -> list[int | None]:
    """The consumer's group's committed offsets; None where it has none."""
    asked = [TopicPartition(topic, partition) for partition in range(partitions)]
    answered = consumer.committed(asked, timeout=REQUEST_SECONDS)
    return [at.offset if at.offset >= 0 else None for at in answered]


def commit(consumer: Consumer, offsets: list[TopicPartition]) -> None:
    """Set offsets of the consumer's group.

    Raises:
        UserError: If the broker refuses.
    """
    try:
        consumer.commit(offsets=offsets, asynchronous=False)
    except KafkaException as error:
        raise UserError(
            f"The group's offsets were not set: {error.args[0].str()}. Expected a group without "
            "running members, and the right to read with it. Run the command again."
        ) from None


def read_range(
    consumer: Consumer, ranges: Mapping[tuple[str, int], tuple[int, int]], seconds: float = 60.0
) -> Iterator[Message]:
    """Messages of [first, end) of some partitions, interleaved as they arrive.

    Ends early where a partition ends before `end` (transaction markers, compaction).

    Raises:
        UserError: If `seconds` pass without a word of what is left: a part is never the whole.
    """
    wanted = {at: span for at, span in ranges.items() if span[0] < span[1]}
    if not wanted:
        return
    consumer.assign([TopicPartition(*at, first) for at, (first, _) in wanted.items()])
    reached = {at: first for at, (first, _) in wanted.items()}
    open_ends = {at: end for at, (_, end) in wanted.items()}
    silent = 0.0
    while open_ends:
        if silent >= seconds:
            _cut_off(open_ends, reached, seconds)
        messages = consumer.consume(_AT_ONCE, timeout=_POLL_SECONDS)
        if len(messages) < _AT_ONCE:  # a full batch takes no time
            silent += _POLL_SECONDS
        for message in messages:
            if message.topic() is None:  # about the client or its group, not about a partition
                raise_unless_passing(message)
                continue
            at = place(message)
            end = open_ends.get(at)
            if end is None:
                continue
            error = message.error()
            if error is not None:
                raise_unless_passing(message)
                if error.code() == KafkaError._PARTITION_EOF:
                    del open_ends[at]
                    silent = 0.0
                continue
            silent = 0.0
            offset = message.offset()
            assert offset is not None
            reached[at] = offset + 1
            if offset < end:
                yield message
            if offset >= end - 1:
                del open_ends[at]
    consumer.unassign()


def _cut_off(
    open_ends: Mapping[tuple[str, int], int], reached: Mapping[tuple[str, int], int], seconds: float
) -> NoReturn:
    left = [f"{t}-{p}: {reached[t, p]} of {open_ends[t, p]}" for t, p in sorted(open_ends)]
    more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
    raise UserError(
        f"A topic was read in part only: the broker has sent nothing for {seconds:g} s. Expected "
        f"every record up to the end offset. Received: {', '.join(left[:_NAMED])}{more}. Look "
        "whether the brokers are well, and run the command again."
    )


def newest(
    consumer: Consumer, partitions: Mapping[str, int], count: int, *, spread: bool = False
) -> list[Message]:
    """The newest messages of some topics, oldest first by Kafka's timestamp.

    Args:
        consumer: From `open_consumer`.
        partitions: Topic -> number of partitions.
        count: How many at most.
        spread: Read only `count / partitions` of each, instead of finding the very newest.
    """
    total = sum(partitions.values())
    each = max(1, -(-count // total)) if spread else count
    ranges: dict[tuple[str, int], tuple[int, int]] = {}
    for topic, number in partitions.items():
        for partition, (low, high) in enumerate(watermarks(consumer, topic, number)):
            ranges[topic, partition] = (max(low, high - each), high)
    found = sorted(read_range(consumer, ranges), key=order)
    return found[-count:] if count else []


def starts_since(
    consumer: Consumer,
    partitions: Mapping[str, int],
    timestamp_ms: int,
    *,
    searchable: bool = True,
) -> dict[tuple[str, int], int]:
    """First offset of every partition whose Kafka timestamp is not before `timestamp_ms`.

    Args:
        consumer: From `open_consumer`.
        partitions: Topic -> number of partitions.
        timestamp_ms: Milliseconds since the epoch.
        searchable: False for the embedded broker, which cannot search by time: there the answer
            is the first offset, and the caller drops what is too old.
    """
    found: dict[tuple[str, int], int] = {}
    for topic, number in partitions.items():
        marks = watermarks(consumer, topic, number)
        if not searchable:
            found.update({(topic, at): low for at, (low, _) in enumerate(marks)})
            continue
        asked = [TopicPartition(topic, at, timestamp_ms) for at in range(number)]
        for at in consumer.offsets_for_times(asked, timeout=REQUEST_SECONDS):
            # A negative answer: every record is older.
            after = at.offset if at.offset >= 0 else marks[at.partition][1]
            found[topic, at.partition] = after
    return found


def place(message: Message) -> tuple[str, int]:
    """Topic and partition of a message."""
    topic, partition = message.topic(), message.partition()
    assert topic is not None
    assert partition is not None
    return topic, partition


def headers_of(message: Message) -> dict[str, str]:
    """Headers as text; of a repeated name the last one, which is the one that was added last."""
    pairs: Any = message.headers() or []
    return as_text(pairs)


def as_text(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    """Headers as text, the last one of a repeated name."""
    return {name: (value or b"").decode("utf-8", "replace") for name, value in headers}


def order(message: Message) -> tuple[int, str, int, int]:
    """Sort key: Kafka's timestamp, then the coordinates."""
    return (message.timestamp()[1], *place(message), message.offset() or 0)


def is_end(message: Message) -> bool:
    """Whether it only says that a partition has been read to its end, at the message's offset."""
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF


def raise_unless_passing(message: Message) -> None:
    """Raise a message's error unless it says that a partition ends here, or mends itself.

    Raises:
        UserError: If reading on is pointless: no access, topic gone, a fatal error.
    """
    error = message.error()
    if error is None or error.retriable() or error.code() in _PASSING:
        return
    raise UserError(f"The broker refused to be read: {error.str()}.")
