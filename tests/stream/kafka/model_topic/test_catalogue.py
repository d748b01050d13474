"""Records of the model topic: chunks and manifests, whole bundles, and what is retired."""

from __future__ import annotations

import hashlib
import itertools
import os
from pathlib import Path

import numpy as np
import pytest

from ember_core.serialize import ARRAYS_FILE, CARD_FILE, bundle_digest, save_bundle
from stream.kafka.model_topic.cache import BundleCache
from stream.kafka.model_topic.catalogue import KEPT, Catalogue
from stream.kafka.model_topic.manifest import Manifest, ManifestError, RecordKey


def manifest_of(folder: Path, chunk_bytes: int = 100, signature: str = "") -> Manifest:
    return Manifest(
        digest=bundle_digest(folder),
        card_bytes=(folder / CARD_FILE).stat().st_size,
        arrays_bytes=(folder / ARRAYS_FILE).stat().st_size,
        chunk_bytes=chunk_bytes,
        signature=signature,
        channels=("a", "b"),
        training={"rows": 3},
        note="as äsked",
    )


def bundle(folder: Path, seed: int = 0) -> Path:
    save_bundle(folder, {"w": np.arange(200.0) + seed}, {"name": "m"})
    return folder


def named(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


def published(catalogue: Catalogue, offsets: itertools.count[int], name: object) -> Manifest:
    """Take a bundle of two chunks, and return its manifest."""
    manifest = Manifest(digest=named(name), card_bytes=5, arrays_bytes=10, chunk_bytes=8)
    for number in range(2):
        key = RecordKey(manifest.digest, number).encode()
        assert catalogue.take(next(offsets), key, b"x") is None
    key = RecordKey(manifest.digest, None).encode()
    assert catalogue.take(next(offsets), key, manifest.encode()) is not None
    return manifest


@pytest.mark.parametrize("chunk_bytes", [1, 7, 100, 1_000_000])
def test_chunks_give_back_the_bytes_of_the_bundle(tmp_path: Path, chunk_bytes: int) -> None:
    manifest = manifest_of(bundle(tmp_path / "b"), chunk_bytes)
    chunks = list(manifest.split(tmp_path / "b"))
    assert len(chunks) == manifest.chunks
    assert all(len(chunk) == chunk_bytes for chunk in chunks[:-1])
    files = manifest.join(chunks)
    assert files == {name: (tmp_path / "b" / name).read_bytes() for name in files}
    assert set(files) == {CARD_FILE, ARRAYS_FILE}


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    manifest = manifest_of(bundle(tmp_path / "b"), signature="abc=")
    assert Manifest.decode(manifest.encode(), manifest.digest) == manifest


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ((b'"format":1', b'"format":2'), "format is 2"),
        ((b'"arrays_bytes":10', b'"arrays_bytes":0'), "not above zero"),
        ((b'"arrays_bytes":10', b'"arrays_bytes":9999999999'), "are the most"),
        ((b'"arrays_bytes":10', b'"arrays_bytes":"ten"'), "no manifest"),
        ((b"}", b""), "no manifest"),
        ((b'"digest":"', b'"digest":"0'), "its key names"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_left_out(
    change: tuple[bytes, bytes], reason: str
) -> None:
    catalogue, manifest = Catalogue(), Manifest(digest=named(1), card_bytes=5, arrays_bytes=10)
    value = manifest.encode()
    assert change[0] in value
    key = RecordKey(manifest.digest, None).encode()
    assert catalogue.take(7, key, value.replace(*change)) is None
    assert catalogue.newest_first() == []
    assert reason in catalogue.unusable[7, manifest.digest]
    assert catalogue.retired_keys(named(2), kept=1) == []  # left to the version that wrote it


@pytest.mark.parametrize("key", [None, b"", b"manifest/..", b"chunk/../1", b"manifest/\xff", b"x"])
def test_records_of_something_else_are_none_of_a_bundle(key: bytes | None) -> None:
    assert RecordKey.decode(key) is None
    assert Catalogue().take(0, key, b"{}") is None


def test_half_a_bundle_is_not_whole() -> None:
    catalogue, offsets = Catalogue(), itertools.count()
    manifest = published(catalogue, offsets, 1)
    assert catalogue.chunk_offsets(manifest) == [0, 1]
    catalogue.take(next(offsets), RecordKey(manifest.digest, 1).encode(), None)
    assert not catalogue.is_whole(manifest)
    with pytest.raises(ManifestError, match="1 of its 2 chunks are missing"):
        catalogue.chunk_offsets(manifest)


def test_the_newest_publication_comes_first_also_of_an_earlier_bundle() -> None:
    catalogue, offsets = Catalogue(), itertools.count()
    first, second = (published(catalogue, offsets, name) for name in "ab")
    assert [p.manifest for p in catalogue.newest_first()] == [second, first]
    catalogue.take(next(offsets), RecordKey(first.digest, None).encode(), first.encode())
    assert [p.manifest for p in catalogue.newest_first()] == [first, second]
    assert catalogue.is_whole(first)


def test_a_publication_retires_the_oldest_and_what_dead_publishers_left() -> None:
    """Of any bundle that goes, the manifest goes before its chunks; the others stay whole."""
    catalogue, offsets = Catalogue(), itertools.count()
    manifests = [published(catalogue, offsets, name) for name in range(KEPT + 2)]
    catalogue.take(next(offsets), RecordKey(named("orphan"), 0).encode(), b"x")
    keys = catalogue.retired_keys(named("new"))
    decoded = [RecordKey.decode(key) for key in keys]
    gone = {manifest.digest for manifest in manifests[:3]}
    assert {key.digest for key in decoded if key} == gone | {named("orphan")}
    kinds = [key is not None and key.chunk is None for key in decoded]
    assert kinds == [True] * 3 + [False] * 7
    for key in keys:
        catalogue.take(next(offsets), key, None)
    assert [p.manifest for p in catalogue.newest_first()] == manifests[:2:-1]
    assert all(catalogue.is_whole(p.manifest) for p in catalogue.newest_first())
    assert catalogue.retired_keys(named("new")) == []


def test_a_bundle_that_is_published_again_retires_one_less() -> None:
    catalogue, offsets = Catalogue(), itertools.count()
    manifests = [published(catalogue, offsets, name) for name in range(KEPT)]
    assert catalogue.retired_keys(manifests[0].digest) == []


def test_what_is_not_the_bundle_of_its_digest_is_not_kept(tmp_path: Path) -> None:
    manifest = manifest_of(bundle(tmp_path / "b"))
    other = manifest_of(bundle(tmp_path / "other", seed=1))
    cache = BundleCache(tmp_path / "cache")
    with pytest.raises(ManifestError, match="not the bundle of its digest"):
        cache.add(manifest, other.join(list(other.split(tmp_path / "other"))))
    assert cache.find(manifest) is None
    assert list((tmp_path / "cache").iterdir()) == []


def test_bundles_are_kept_with_their_newest_signature_until_the_topic_has_them_no_more(
    tmp_path: Path,
) -> None:
    manifest = manifest_of(bundle(tmp_path / "b"))
    cache = BundleCache(tmp_path / "cache")
    folder = cache.add(manifest, manifest.join(list(manifest.split(tmp_path / "b"))))
    assert not (folder / "model.sig").exists()
    signed = manifest_of(tmp_path / "b", signature="abc=")
    assert cache.find(signed) == folder
    assert (folder / "model.sig").read_text() == "abc="
    cache.keep({manifest.digest})
    assert cache.find(manifest) == folder
    cache.keep(set())  # another worker of this host may load it now
    assert cache.find(manifest) == folder
    os.utime(folder, (0, 0))
    cache.keep(set())
    assert cache.find(manifest) is None


def test_a_bundle_that_another_worker_reads_is_not_written_again(tmp_path: Path) -> None:
    """A damaged one is."""
    manifest = manifest_of(bundle(tmp_path / "b"))
    files = manifest.join(list(manifest.split(tmp_path / "b")))
    folder = BundleCache(tmp_path / "cache").add(manifest, files)
    inode = (folder / ARRAYS_FILE).stat().st_ino
    assert BundleCache(tmp_path / "cache").add(manifest, files) == folder
    assert (folder / ARRAYS_FILE).stat().st_ino == inode
    (folder / ARRAYS_FILE).write_bytes(b"damaged")
    cache = BundleCache(tmp_path / "cache")
    assert cache.find(manifest) is None
    assert cache.find(manifest_of(tmp_path / "b")) is None
    assert cache.add(manifest, files) == folder
    assert cache.find(manifest) == folder
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [manifest.digest]


def test_a_folder_that_cannot_be_written_is_replaced_by_a_temporary_one(tmp_path: Path) -> None:
    manifest = manifest_of(bundle(tmp_path / "b"))
    (tmp_path / "file").touch()
    cache = BundleCache(tmp_path / "file" / "cache")
    folder = cache.add(manifest, manifest.join(list(manifest.split(tmp_path / "b"))))
    assert cache.find(manifest) == folder
    assert bundle_digest(folder) == manifest.digest
