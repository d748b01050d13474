"""Where the service's bundle is: in a folder, or fetched once from an https address; and whose.

What identifies a model is the digest of its card, which holds that of its arrays
(`ember model show` prints it). An address needs it, and a signature is over it: neither the server
nor whoever can write to the cache decides what judges.
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
"""Before the digest: a signature of these bytes can be meant for nothing else."""


def is_address(path: Path | str) -> bool:
    """Whether a bundle is to be fetched."""
    return isinstance(path, str) and path.startswith("https://")


def fetch(address: str, sha256: str, cache: Path, *, signed: bool = False) -> Path:
    """The folder of a bundle, fetched unless it was before.

    Args:
        address: Of its folder: `model.json` and `model.safetensors` are below it.
        sha256: Digest of the bundle.
        cache: Folder for what was fetched.
        signed: Fetch its signature too.

    Raises:
        UserError: If it cannot be had or kept, is too large, or is another one.
        BundleError: If what came is no bundle.
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
    aside = Path(tempfile.mkdtemp(prefix=f".{sha256[:12]}-", dir=cache))
    try:
        for name in names:
            _download(f"{address.rstrip('/')}/{name}", aside / name, _MOST_BYTES[name])
            if name == CARD_FILE:  # before the larger one
                _expect(sha256, bundle_digest(aside), f"{address} has another model")
        load_bundle(aside)  # the arrays are those of the card
        shutil.rmtree(folder, ignore_errors=True)  # damaged, or without signature
        try:
            aside.rename(folder)
        except OSError:  # another worker of this host was quicker
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def check(folder: Path, sha256: str, public_key: Path | None) -> str:
    """Refuse a bundle that is another one than expected, or not signed with a key.

    Args:
        folder: The bundle.
        sha256: Its digest; empty: any.
        public_key: PEM file of an Ed25519 key; None: no signature is asked for.

    Returns:
        The digest that was judged; what is read afterwards must have the same.

    Raises:
        UserError: If it is refused.
        BundleError: If it is no bundle.
    """
    found = bundle_digest(folder)
    if sha256:
        _expect(sha256, found, f"{str(folder)!r} has another model")
    if public_key is None:
        return found
    signatures, serialization, exceptions = _cryptography()
    key = _read_key(public_key, serialization.load_pem_public_key, signatures.Ed25519PublicKey)
    path = folder / SIGNATURE_FILE
    try:
        signature = base64.b64decode(path.read_bytes(), validate=False)
        key.verify(signature, _DOMAIN + found.encode())
    except OSError as error:
        raise UserError(
            f"The bundle is not signed. Expected {SIGNATURE_FILE} beside it, because "
            f"model.public_key is set. Received: {str(path)!r} ({error.strerror}). "
            "Sign it with `ember model sign`."
        ) from None
    except (exceptions.InvalidSignature, binascii.Error):
        raise UserError(
            "The bundle's signature is not by this key, or of another bundle. Expected one by "
            f"{str(public_key)!r} over {found}. Received: {str(path)!r}."
        ) from None
    return found


def sign(folder: Path, private_key: Path) -> str:
    """Write a bundle's signature beside it.

    Args:
        folder: The bundle.
        private_key: PEM file of an Ed25519 key, not encrypted.

    Returns:
        The digest it is over.

    Raises:
        UserError: If the key cannot be used.
        BundleError: If it is no bundle.
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


def _expect(expected: str, found: str, what: str) -> None:
    if found != expected:
        raise UserError(
            f"{what} than it should. Expected model.sha256={expected}. Received: sha256={found}. "
            "`ember model show` prints a bundle's."
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


def _download(url: str, to: Path, most: int) -> None:
    opener = urllib.request.build_opener(
        _HttpsOnly(), urllib.request.HTTPSHandler(context=ssl.create_default_context())
    )
    size = 0
    try:
        with opener.open(url, timeout=_TIMEOUT_SECONDS) as answer, to.open("wb") as file:
            while piece := answer.read(_PIECE):
                size += len(piece)
                if size > most:
                    raise UserError(
                        f"The model is too large to be fetched. Expected at most {most:,} bytes. "
                        f"Received: more at {url}."
                    )
                file.write(piece)
            declared = answer.headers.get("Content-Length")
    except (OSError, HTTPException) as error:
        if getattr(error, "errno", None) in _FULL:
            raise
        why = getattr(error, "reason", error)
        raise UserError(
            f"The model was not fetched ({why}). Expected the files of a bundle below model.path, "
            f"and a server this host trusts. Received: {url}."
        ) from None
    if declared is not None and declared.isdigit() and int(declared) != size:
        raise UserError(f"The model was fetched in part only: {size} of {declared} bytes of {url}.")
