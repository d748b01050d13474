"""Writer of changelog records, for the commands that change state."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import Producer

from stream.engine import META_KEY, MetaRow
from stream.errors import UserError

from .clients import Deliveries


class StateWriter:
    """Writer of changelog records.

    Args:
        producer: Producer from `open_producer`.
    """

    def __init__(self, producer: Producer) -> None:
        self._deliveries = Deliveries(producer)
        self.written = 0

    def put(
        self,
        changelog: str,
        partition: int,
        key: bytes,
        value: bytes | None,
        headers: Sequence[tuple[str, str | bytes | None]] = (),
    ) -> None:
        """Write one record.

        Args:
            changelog: Changelog topic.
            partition: Partition of the changelog.
            key: Stream key, or `META_KEY`.
            value: Row of the key; None for a tombstone.
            headers: Headers of the record.
        """
        self._deliveries.put(
            changelog, value=value, key=key, partition=partition, headers=list(headers)
        )
        self.written += 1

    def put_meta(self, changelog: str, partition: int, meta: MetaRow) -> None:
        """Write an existing meta row, maybe of another changelog, as a partition's last record."""
        meta.changelog_id = ""  # the next start stores the id of this changelog
        self.put(changelog, partition, META_KEY, meta.encode())

    def flush(self) -> None:
        """Wait for all acknowledgements.

        Raises:
            UserError: If one is missing.
        """
        cause = self._deliveries.flush()
        if cause:
            raise UserError(f"The state was not written: {cause}.")
