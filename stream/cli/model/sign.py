"""`ember model sign | verify`: signatures of bundles."""

from __future__ import annotations

from pathlib import Path

from ember_core.serialize import bundle_digest
from stream import bundles


def sign(bundle: Path, /, *, key: Path) -> None:
    """Sign a bundle: write model.sig beside its files.

    Args:
        bundle: Folder of the bundle.
        key: PEM file of an Ed25519 private key (`openssl genpkey -algorithm ed25519`).
    """
    digest = bundles.sign(bundle, key)
    print(f"Signed {digest}.")


def verify(bundle: Path, /, *, public_key: Path, sha256: str = "") -> None:
    """Check a bundle's signature, as the service does if model.public_key is set.

    Args:
        bundle: Folder of the bundle.
        public_key: PEM file of the public key (`openssl pkey -in KEY -pubout`).
        sha256: Digest that the bundle must have.
    """
    bundles.check(bundle, sha256, public_key)
    print(f"{bundle_digest(bundle)} is signed with this key.")
