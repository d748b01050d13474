"""Bundles of the model topic on local disk, each in a folder that is named by its digest."""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
import time
import weakref
from collections.abc import Collection, Mapping
from pathlib import Path

from ember_core.files import write_atomically
from ember_core.serialize import BundleError, bundle_digest, load_bundle
from stream.bundles import SIGNATURE_FILE

from .manifest import Manifest, ManifestError

log = logging.getLogger(__name__)

_YOUNG_SECONDS = 3_600.0


class BundleCache:
    """Folder of bundles; a temporary one where the given folder cannot be written.

    Args:
        folder: Folder for the bundles; None: a temporary one.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._temporary: Path | None = None

    def find(self, manifest: Manifest) -> Path | None:
        """Return the folder of a bundle that is here already, whole and with its signature."""
        for parent in self._parents():
            folder = parent / manifest.digest
            if folder.is_dir() and _is_bundle(folder, manifest.digest):
                try:
                    _sign(folder, manifest.signature)
                except OSError:
                    continue
                return folder
        return None

    def add(self, manifest: Manifest, files: Mapping[str, bytes]) -> Path:
        """Write a bundle and return its folder.

        Args:
            manifest: Manifest of the bundle.
            files: Content of its files by name.

        Raises:
            ManifestError: If the files are not the bundle that the manifest names.
        """
        if self._folder is not None:
            try:
                return _write(self._folder, manifest, files)
            except OSError as error:
                log.warning(
                    "The model is kept in a temporary folder: %s cannot be written (%s).",
                    self._folder,
                    error.strerror or error,
                )
        if self._temporary is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="ember-model-"))
            # Deleted with this object, at the latest when the process ends.
            weakref.finalize(self, shutil.rmtree, self._temporary, ignore_errors=True)
        return _write(self._temporary, manifest, files)

    def keep(self, digests: Collection[str]) -> None:
        """Delete the bundles that the topic has no more.

        Args:
            digests: Digests of the bundles in the topic.
        """
        # Another worker of this host may know of a newer bundle than this one, and load it now.
        newest = time.time() - _YOUNG_SECONDS
        for folder in [folder for parent in self._parents() for folder in parent.iterdir()]:
            with contextlib.suppress(FileNotFoundError):
                if folder.name not in digests and folder.stat().st_mtime < newest:
                    shutil.rmtree(folder, ignore_errors=True)

    def _parents(self) -> list[Path]:
        folders = (self._folder, self._temporary)
        return [parent for parent in folders if parent is not None and parent.is_dir()]


def _write(parent: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    folder = parent / manifest.digest
    making = Path(tempfile.mkdtemp(prefix=f".{manifest.digest[:12]}-", dir=parent))
    try:
        for name, content in files.items():
            (making / name).write_bytes(content)
        if not _is_bundle(making, manifest.digest):
            raise ManifestError("its chunks are not the bundle of its digest")
        _sign(making, manifest.signature)
        # Another worker of this host may have written it in the meantime, and may read it now.
        if not _is_bundle(folder, manifest.digest):
            shutil.rmtree(folder, ignore_errors=True)  # it is damaged
            try:
                making.rename(folder)
            except OSError:
                if not _is_bundle(folder, manifest.digest):
                    raise
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return folder


def _is_bundle(folder: Path, digest: str) -> bool:
    try:
        load_bundle(folder)
        return bundle_digest(folder) == digest
    except BundleError:
        return False


def _sign(folder: Path, signature: str) -> None:
    """Store the signature of the newest manifest: a bundle may be signed after it was published."""
    path = folder / SIGNATURE_FILE
    if signature:
        write_atomically(path, signature.encode())
    else:
        path.unlink(missing_ok=True)
