"""Bundles of the service: fetched from an https address, checked, and signed.

A model is identified by the digest of its card, which contains the digest of its arrays
(`ember model show` prints it). An address needs the digest, and a signature covers it. So neither
the server nor somebody who can write to the cache decides which model is in use.
"""

from __future__ import annotations

import base64
import binascii
import errno
import shutil
import ssl
import tempfile
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

from ember_core.distribution import install_command
from ember_core.serialize import ARRAYS_FILE, CARD_FILE, BundleError, bundle_digest, load_bundle

from .errors import UserError

SIGNATURE_FILE = "model.sig"
_MOST_BYTES = {CARD_FILE: 64 << 20, ARRAYS_FILE: 2 << 30, SIGNATURE_FILE: 1 << 10}
_TIMEOUT_SECONDS = 30.0
_PIECE = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT)
_DOMAIN = b"ember-bundle-v1:"
"""Prefix of the signed bytes, so that a signature for another purpose is never valid here."""


def fetch(address: str, sha256: str, cache: Path, *, signed: bool = False) -> Path:
    """Return the folder of a bundle; fetch it unless it is in the cache.

    Args:
        address: Address of the bundle's folder, with `model.json` and `model.safetensors` below.
        sha256: Digest of the bundle.
        cache: Folder of fetched bundles.
        signed: Fetch the signature too.

    Raises:
        UserError: If the bundle cannot be fetched or kept, is too large, or has another digest.
        BundleError: If the files are not a bundle.
    """
    try:
        return _fetched(address, sha256, cache, signed)
    except OSError as error:
        raise UserError(
            f"The model cannot be kept on this host: {error.strerror or error}. Expected to write "
            f"to state.directory, because model.path is an address. Received: {str(cache)!r}. Set "
            "state.directory (EMBER_STATE__DIRECTORY) to a folder this user may write to, with "
            "room for the model; in a container, to one of a volume."
        ) from None


def _fetched(address: str, sha256: str, cache: Path, signed: bool) -> Path:
    folder = cache / sha256
    names = [CARD_FILE, ARRAYS_FILE, *([SIGNATURE_FILE] if signed else [])]
    if all((folder / name).is_file() for name in names) and _whole(folder, sha256):
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{sha256[:12]}-", dir=cache))
    try:
        for name in names:
            _download(f"{address.rstrip('/')}/{name}", temporary / name, _MOST_BYTES[name])
            if name == CARD_FILE:  # the card is small: a wrong one saves fetching the arrays
                _expect(sha256, bundle_digest(temporary), f"{address} has another model")
        load_bundle(temporary)  # checks that the arrays are those of the card
        shutil.rmtree(folder, ignore_errors=True)  # it is damaged, or lacks the signature
        try:
            temporary.rename(folder)
        except OSError:  # another worker of this host fetched it in the meantime
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def check(folder: Path, sha256: str, public_key: Path | None) -> str:
    """Refuse a bundle that has another digest than expected, or no signature by a key.

    Args:
        folder: Folder of the bundle.
        sha256: Expected digest; empty: any.
        public_key: PEM file of an Ed25519 key; None: no signature is required.

    Returns:
        The digest that was checked. The bundle that is read afterwards must have the same.

    Raises:
        UserError: If the bundle is refused.
        BundleError: If the folder is not a bundle.
    """
    digest = bundle_digest(folder)
    if sha256:
        _expect(sha256, digest, f"{str(folder)!r} has another model")
    if public_key is None:
        return digest
    key, exceptions = read_public_key(public_key)
    path = folder / SIGNATURE_FILE
    try:
        signature = base64.b64decode(path.read_bytes(), validate=False)
        key.verify(signature, _DOMAIN + digest.encode())
    except OSError as error:
        raise UserError(
            f"The bundle is not signed. Expected {SIGNATURE_FILE} beside it, because "
            f"model.public_key is set. Received: {str(path)!r} ({error.strerror}). "
            "Sign it with `ember model sign`."
        ) from None
    except (exceptions.InvalidSignature, binascii.Error):
        raise UserError(
            "The bundle's signature is not by this key, or of another bundle. Expected one by "
            f"{str(public_key)!r} over {digest}. Received: {str(path)!r}."
        ) from None
    return digest


def read_public_key(path: Path) -> tuple[Any, Any]:
    """Return the key that verifies signatures, and the module of the errors of verification.

    Args:
        path: PEM file of an Ed25519 key.

    Raises:
        UserError: If the key cannot be used, or the package for it is not installed.
    """
    signatures, serialization, exceptions = _cryptography()
    key = _read_key(path, serialization.load_pem_public_key, signatures.Ed25519PublicKey)
    return key, exceptions


def sign(folder: Path, private_key: Path) -> str:
    """Write a bundle's signature beside it.

    Args:
        folder: Folder of the bundle.
        private_key: PEM file of an Ed25519 key, not encrypted.

    Returns:
        The digest that was signed.

    Raises:
        UserError: If the key cannot be used.
        BundleError: If the folder is not a bundle.
    """
    signatures, serialization, _ = _cryptography()
    load_bundle(folder)
    key = _read_key(
        private_key,
        lambda data: serialization.load_pem_private_key(data, None),
        signatures.Ed25519PrivateKey,
    )
    digest = bundle_digest(folder)
    text = base64.b64encode(key.sign(_DOMAIN + digest.encode()))
    (folder / SIGNATURE_FILE).write_bytes(text + b"\n")
    return digest


def _whole(folder: Path, sha256: str) -> bool:
    try:
        load_bundle(folder)
        return bundle_digest(folder) == sha256
    except BundleError:
        return False


def _expect(expected: str, digest: str, description: str) -> None:
    if digest != expected:
        raise UserError(
            f"{description} than it should. Expected model.sha256={expected}. Received: "
            f"sha256={digest}. `ember model show` prints a bundle's."
        )


def _read_key(path: Path, load: Any, kind: Any) -> Any:
    try:
        key = load(path.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        key = error
    if not isinstance(key, kind):
        raise UserError(
            f"The key cannot be used. Expected an Ed25519 key in PEM, as `openssl genpkey "
            f"-algorithm ed25519` makes it. Received: {str(path)!r} ({type(key).__name__}: {key})."
        )
    return key


def _cryptography() -> tuple[Any, Any, Any]:
    try:
        from cryptography import exceptions
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise UserError(
            "Signatures need the package cryptography. Install it with: "
            f"{install_command('signatures')}."
        ) from None
    return ed25519, serialization, exceptions


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str):  # type: ignore[no-untyped-def]
        if not newurl.startswith("https://"):
            raise UserError(
                "The model's address leads away from https. Expected every step to be https. "
                f"Received: {req.full_url} leads to {newurl}."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _download(url: str, to: Path, max_bytes: int) -> None:
    opener = urllib.request.build_opener(
        _HttpsOnly(), urllib.request.HTTPSHandler(context=ssl.create_default_context())
    )
    size = 0
    try:
        with opener.open(url, timeout=_TIMEOUT_SECONDS) as answer, to.open("wb") as file:
            while piece := answer.read(_PIECE):
                size += len(piece)
                if size > max_bytes:
                    raise UserError(
                        "The model is too large to be fetched. Expected at most "
                        f"{max_bytes:,} bytes. Received: more at {url}."
                    )
                file.write(piece)
            declared = answer.headers.get("Content-Length")
    except (OSError, HTTPException) as error:
        if getattr(error, "errno", None) in _FULL:  # `fetch` reports a full disk
            raise
        cause = getattr(error, "reason", error)
        raise UserError(
            f"The model was not fetched ({cause}). Expected the files of a bundle below "
            f"model.path, and a server this host trusts. Received: {url}."
        ) from None
    if declared is not None and declared.isdigit() and int(declared) != size:
        raise UserError(f"The model was fetched in part only: {size} of {declared} bytes of {url}.")
