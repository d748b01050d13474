"""Schemas of the avro codec: asked for within bounds, waited for, and kept for the next start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stream.codecs import RegistryUnavailable, make_codec
from stream.codecs._avro import AvroCodec
from stream.codecs._base import Reading
from stream.codecs._key import KeyExpression
from stream.records import Reason
from tests.contract.test_codecs import AVRO_SCHEMA, CHANNELS, T0, Message, avro

pytest.importorskip("fastavro")

RECORD = {"ts": T0, "host": "web-1", "values": {"cpu": 0.5}}


class Registry:
    """Registry with its requests; `down`: no answer. `now` is the codec's clock."""

    def __init__(self, schemas: dict[int, Any] | None = None) -> None:
        self.schemas = schemas or {}
        self.asked: list[int] = []
        self.down = False
        self.now = 0.0

    def fetch(self, schema_id: int) -> Any:
        self.asked.append(schema_id)
        if self.down:
            raise RegistryUnavailable("The registry is away.")
        return self.schemas.get(schema_id)

    def codec(self, folder: Path | None = None) -> AvroCodec:
        options: dict[str, Any] = {"fetch": self.fetch, "folder": folder}
        key = KeyExpression("", example="host")
        return AvroCodec(CHANNELS, key, Reading(), clock=lambda: self.now, **options)


def of_schema(schema_id: int) -> Message:
    return Message(b"k", avro(AVRO_SCHEMA, RECORD, schema_id))


def test_avro_of_an_unknown_schema_is_refused_without_flooding_the_registry() -> None:
    """An id that the registry does not know is requested again after ten seconds."""
    registry = Registry()
    codec = registry.codec()
    for now in (0.0, 9.0, 11.0):
        registry.now = now
        decoded = codec.decode([Message(b"k", b"\x00\x00\x00\x00\x09rest")] * 1500)
        assert {r.reason for r in decoded.rejected} == {Reason.NOT_JSON}
        assert "has no Avro schema 9" in decoded.rejected[0].detail
    assert registry.asked == [9, 9]


def test_avro_garbage_of_ever_other_schemas_is_refused_without_flooding_the_registry() -> None:
    """Unknown ids cost few requests; good records beside and after them are decoded."""
    registry = Registry({5: AVRO_SCHEMA, 6: AVRO_SCHEMA})
    codec = registry.codec()
    garbage = [Message(b"k", b"\x00" + n.to_bytes(4, "big") + b"x") for n in range(100, 4100)]
    decoded = codec.decode([of_schema(5), *garbage])
    assert [r.message for r in decoded.rejected] == list(range(1, 4001))
    assert len(registry.asked) == 21
    assert "The registry was not asked" in decoded.rejected[-1].detail
    registry.now = 1.0
    assert codec.decode([of_schema(6)]).rejected == []
    codec.decode([Message(b"k", b"\x00\xff\xff\xff\xffx")])  # no registry counts so far
    assert registry.asked[-1] == 6


def test_avro_while_the_registry_is_away_waits_for_what_may_be_good_only() -> None:
    """Nothing is raised, known schemas still decode, and one request detects the outage."""
    registry = Registry({5: AVRO_SCHEMA, 6: AVRO_SCHEMA})
    codec = registry.codec()
    codec.decode([of_schema(5)])
    registry.down = True
    messages = [of_schema(5), of_schema(6), of_schema(5), of_schema(77)]
    codec.look_up(codec.lacks(messages))
    assert codec.ready(messages) == 1
    assert registry.asked == [5, 6]
    decoded = codec.decode_known(messages)
    assert decoded.message.tolist() == [0, 2]
    assert decoded.rejected[0].detail == "The registry is away."
    assert codec.retry() == "The registry is away."
    registry.down = False
    assert codec.retry() == ""
    codec.look_up(codec.lacks(messages))
    assert codec.ready(messages) == 4
    assert [r.message for r in codec.decode_known(messages).rejected] == [3]


def test_avro_garbage_is_garbage_while_the_registry_is_away_too() -> None:
    """Ids that the registry denied before neither block a partition nor cause requests."""
    registry = Registry({5: AVRO_SCHEMA})
    codec = registry.codec()
    messages = [of_schema(5), of_schema(9)]
    codec.decode(messages)
    registry.down = True
    for now in (11.0, 12.0, 13.0):
        registry.now = now
        codec.look_up(codec.lacks(messages))
        assert codec.ready(messages) == 2
        assert [r.message for r in codec.decode_known(messages).rejected] == [1]
    assert registry.asked == [5, 9, 9]


def test_avro_of_one_schema_the_registry_cannot_give_does_not_keep_others_waiting() -> None:
    """An error for one id does not block the others."""
    registry = Registry({6: AVRO_SCHEMA})

    def fetch(schema_id: int) -> Any:
        if schema_id == 4:
            raise RegistryUnavailable("Internal error.")
        return registry.fetch(schema_id)

    codec = make_codec("avro", CHANNELS, fetch_schema=fetch)
    assert isinstance(codec, AvroCodec)
    codec.look_up([4, 6])
    assert [codec.ready([of_schema(n)]) for n in (4, 6)] == [0, 0]
    assert codec.retry() == ""
    codec.look_up([6])
    assert [codec.ready([of_schema(n)]) for n in (6,)] == [1]


def test_avro_schemas_outlive_a_start_while_the_registry_is_away(tmp_path: Path) -> None:
    registry = Registry({5: AVRO_SCHEMA})
    registry.codec(tmp_path / "schemas").decode([of_schema(5)])
    registry.down = True
    assert registry.codec(tmp_path / "schemas").decode([of_schema(5)]).rejected == []
    assert registry.asked == [5]


@pytest.mark.parametrize(
    "kept",
    [b"", b"\xff", b"[]", b'{"id":6}', b'{"id":5,"sha256":"","schema":"long"}', b"[" * 100_000],
)
def test_avro_schemas_that_are_damaged_on_disk_are_fetched_anew(
    tmp_path: Path, kept: bytes
) -> None:
    registry = Registry({5: AVRO_SCHEMA})
    (tmp_path / "5.json").write_bytes(kept)
    assert registry.codec(tmp_path).decode([of_schema(5)]).rejected == []
    registry.down = True
    assert registry.codec(tmp_path).decode([of_schema(5)]).rejected == []
    assert registry.asked == [5]
    assert [path.name for path in tmp_path.iterdir()] == ["5.json"]


def test_avro_goes_on_where_the_disk_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    registry = Registry({5: AVRO_SCHEMA})
    assert registry.codec(tmp_path / "file").decode([of_schema(5)]).rejected == []
