"""Bundles in the model topic: published whole, taken whole, whatever happens to the publisher."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from benchmarks.kafka_server import QUICK_COMPACTION
from ember_core.pipeline import FleetModel
from ember_core.serialize import bundle_digest, load_bundle, save_bundle
from stream.bundles import sign
from stream.errors import UserError
from stream.kafka.client.compacted_log import CompactedLogWriter, is_fenced
from stream.kafka.client.errors import KafkaError
from stream.kafka.config import WorkerConfig
from stream.kafka.model_topic.catalogue import KEPT
from stream.kafka.model_topic.manifest import Manifest, RecordKey
from stream.kafka.model_topic.publisher import describe, publish
from stream.kafka.model_topic.source import BundleSource
from tests.broker.conftest import Broker
from tests.stream.engine.conftest import save_two_models
from tests.worker_config import worker_config

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two models of the same channels."""
    return save_two_models(tmp_path_factory.mktemp("bundles"))


def config_of(broker: Broker) -> WorkerConfig:
    group = broker.name("g")
    config = worker_config(
        bootstrap_servers=(broker.bootstrap,), group=group, model_topic=f"{group}-model"
    )
    if not broker.real:  # it makes no topics when asked
        broker.create({config.model_topic: 1})
    return config


def manifest_of(folder: Path, note: str = "") -> Manifest:
    """The manifest with chunks so small that there are several."""
    return replace(describe(FleetModel.load(folder), folder, note), chunk_bytes=3_000)


def key_pair(folder: Path) -> tuple[Path, Path]:
    pem, key = serialization.Encoding.PEM, ed25519.Ed25519PrivateKey.generate()
    shapes = serialization.PrivateFormat.PKCS8, serialization.PublicFormat.SubjectPublicKeyInfo
    private = key.private_bytes(pem, shapes[0], serialization.NoEncryption())
    (folder / "key.pem").write_bytes(private)
    (folder / "key.pub").write_bytes(key.public_key().public_bytes(pem, shapes[1]))
    return folder / "key.pem", folder / "key.pub"


async def newest(source: BundleSource) -> tuple[str, str] | None:
    bundle = await source.newest()
    if bundle is None:
        return None
    assert FleetModel.load(bundle.folder).sha256 == bundle.manifest.digest
    return bundle.manifest.digest, bundle.manifest.note


async def test_what_is_published_is_what_workers_load(
    broker: Broker, tmp_path: Path, bundles: list[Path]
) -> None:
    """The newest; an earlier one after it is published anew, without its chunks again."""
    config = config_of(broker)
    sources = [BundleSource(config, tmp_path / "cache", None), BundleSource(config, None, None)]
    assert [await newest(source) for source in sources] == [None, None]
    one, two = (manifest_of(folder) for folder in bundles)
    for manifest, folder in ((one, bundles[0]), (two, bundles[1])):
        await publish(config, manifest, folder)
        assert [await newest(s) for s in sources] == [(manifest.digest, "")] * 2
    assert one.chunks > 1
    before = len(broker.consume_all(config.model_topic))
    again = replace(one, note="back")
    await publish(config, again, None)
    assert [await newest(s) for s in sources] == [(one.digest, "back")] * 2
    assert len(broker.consume_all(config.model_topic)) == before + 1
    catalogue = await sources[0].read()
    assert [p.manifest for p in catalogue.newest_first()] == [again, two]
    folders = {path.name for path in (tmp_path / "cache").iterdir()}
    assert folders == {one.digest, two.digest}


async def test_nobody_takes_half_of_a_bundle(
    broker: Broker, tmp_path: Path, bundles: list[Path]
) -> None:
    """A publisher killed between chunks; a chunk that is missing, or of other bytes."""
    config = config_of(broker)
    one, two = (manifest_of(folder) for folder in bundles)
    await publish(config, one, bundles[0])
    source, ignored = BundleSource(config, tmp_path / "cache", None), list[int]()
    source.report_ignored(lambda: ignored.append(1))
    name = config.model_transactional_id if broker.real else ""
    chunks = list(two.split(bundles[1]))
    async with CompactedLogWriter(config.client_settings(), config.model_topic, name) as writer:
        if broker.real:
            await writer._producer.begin_transaction()
        for number, chunk in enumerate(chunks[:-1]):
            await writer.put(RecordKey(two.digest, number).encode(), chunk)
        assert await newest(source) == (one.digest, "")
        # A second publisher ends what the first one has begun.
        await publish(config, replace(one, note="again"), None)
        assert await newest(source) == (one.digest, "again")
        if broker.real:
            with pytest.raises(KafkaError) as error:
                await writer.put(RecordKey(two.digest, 0).encode(), chunks[0])
            assert is_fenced(error.value)
    assert ignored == []
    catalogue = await source.read()
    assert catalogue.retired_keys(one.digest) == []
    manifest_key = RecordKey(two.digest, None).encode()
    async with CompactedLogWriter(config.client_settings(), config.model_topic, "") as writer:
        await writer.put(manifest_key, two.encode())
        assert await newest(source) == (one.digest, "again")
        for number, chunk in enumerate(chunks):
            await writer.put(RecordKey(two.digest, number).encode(), bytes(len(chunk)))
        await writer.put(manifest_key, two.encode())
        assert await newest(source) == (one.digest, "again")
        await source.newest()
        assert ignored == [1, 1]  # each once
    await publish(config, two, bundles[1])
    assert await newest(source) == (two.digest, "")


async def test_publications_are_followed_from_the_newest_on(
    broker: Broker, bundles: list[Path]
) -> None:
    config = config_of(broker)
    one, two = (manifest_of(folder) for folder in bundles)
    await publish(config, one, bundles[0])
    source = BundleSource(config, None, None)
    assert await newest(source) == (one.digest, "")
    publications = source.publications()
    following = asyncio.ensure_future(anext(publications))
    await publish(config, two, bundles[1])
    assert await asyncio.wait_for(following, 30) == two
    await publications.aclose()


async def test_only_a_signed_bundle_is_taken_where_a_key_is_set(
    embedded: Broker, tmp_path: Path, bundles: list[Path]
) -> None:
    private, public = key_pair(tmp_path)
    config = config_of(embedded)
    source = BundleSource(config, tmp_path / "cache", public)
    one = manifest_of(bundles[0])
    await publish(config, one, bundles[0])
    assert await newest(source) is None
    try:
        sign(bundles[0], private)
        await publish(config, manifest_of(bundles[0], "signed"), bundles[0])
    finally:
        (bundles[0] / "model.sig").unlink()
    assert await newest(source) == (one.digest, "signed")
    await publish(config, manifest_of(bundles[1]), bundles[1])
    assert await newest(source) == (one.digest, "signed")
    source.require(None)  # as a reload without model.public_key does
    assert await newest(source) == (bundle_digest(bundles[1]), "")
    with pytest.raises(UserError, match="The key cannot be used"):
        BundleSource(config, None, private)


@pytest.mark.slow
@pytest.mark.kafka
async def test_the_cleaner_takes_retired_bundles_and_leaves_the_others_whole(
    kafka: Broker, tmp_path: Path, bundles: list[Path]
) -> None:
    """Chunks of the bundles that stay are there also when those before them are gone."""
    config = config_of(kafka)
    kafka.create({config.model_topic: 1}, QUICK_COMPACTION)
    arrays, card = load_bundle(bundles[0])
    digests = []
    for number in range(KEPT + 2):
        folder = tmp_path / str(number)
        save_bundle(folder, arrays, card | {"version": str(number)})
        manifest = manifest_of(folder)
        await publish(config, manifest, folder)
        digests.append(manifest.digest)
    source = BundleSource(config, tmp_path / "cache", None)

    def chunked() -> set[str]:
        keys = [RecordKey.decode(r.key) for r in kafka.consume_all(config.model_topic) if r.value]
        return {key.digest for key in keys if key is not None and key.chunk is not None}

    async with asyncio.timeout(120):
        # The cleaner leaves the newest segment alone, so something has to follow.
        while chunked() != set(digests[-KEPT:]):
            await publish(config, replace(manifest, note="again"), None)
            await asyncio.sleep(1)
    catalogue = await source.read()
    assert [p.manifest.digest for p in catalogue.newest_first()] == digests[: -KEPT - 1 : -1]
    for published in catalogue.newest_first():
        folder = await source.load(published)
        assert FleetModel.load(folder).sha256 == published.manifest.digest
