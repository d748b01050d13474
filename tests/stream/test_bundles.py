"""Bundles from an https address, pinned by digest, and signed."""

from __future__ import annotations

import datetime as dt
import errno
import io
import ipaddress
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from ember_core.distribution import install_command
from ember_core.serialize import BundleError, bundle_digest, load_bundle
from stream import bundles
from stream.cli import main
from stream.configure import load_model
from stream.errors import UserError
from stream.settings import Settings, SettingsError
from tests.stream.engine.conftest import CHANNELS, KNOWN, fit


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "small"
    fit(KNOWN, CHANNELS, rows=211).save(folder)
    return folder


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of 127.0.0.1, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    created = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    traditional = serialization.PrivateFormat.TraditionalOpenSSL
    path.write_bytes(key.private_bytes(pem, traditional, plain) + created.public_bytes(pem))
    return path


class Server(HTTPServer):
    """TLS server of a folder; `asked` lists its requests, `redirect` is an address for all."""

    folder: Path
    asked: list[str]
    redirect: str
    short: bool

    def handle_error(self, *_: object) -> None:
        """Ignore clients that do not trust the certificate and hang up."""


@pytest.fixture
def server(
    bundle: Path, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        server: Server

        def do_GET(self) -> None:
            self.server.asked.append(self.path)
            path = self.server.folder / self.path.rsplit("/", 1)[-1]
            if self.server.redirect:
                self.send_response(302)
                self.send_header("Location", self.server.redirect + self.path)
                self.end_headers()
                return
            if not path.is_file():
                self.send_error(404)
                return
            data = path.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if self.server.short else data)

        def log_message(self, *_: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.folder = tmp_path / "served"
    shutil.copytree(bundle, server.folder)
    server.asked, server.redirect, server.short = [], "", False
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def address(server: Server) -> str:
    return f"https://127.0.0.1:{server.server_address[1]}/fleet"


def test_a_bundle_is_fetched_once_and_is_that_of_its_digest(
    server: Server, bundle: Path, tmp_path: Path
) -> None:
    """A restart needs no server; a changed copy is fetched again."""
    sha256, cache = bundle_digest(bundle), tmp_path / "state"
    settings = Settings.load(
        model={"path": address(server), "sha256": sha256}, state={"directory": cache}
    )
    assert load_model(settings).sha256 == sha256
    assert server.asked == ["/fleet/model.json", "/fleet/model.safetensors"]
    load_model(settings)
    assert len(server.asked) == 2
    for name in ("model.json", "model.safetensors"):
        (cache / "models" / sha256 / name).write_text("{}")
        assert load_model(settings).sha256 == sha256
    assert len(server.asked) == 6
    assert [path.name for path in (cache / "models").iterdir()] == [sha256]


def _other_digest(server: Server) -> str:
    return "0" * 64


def _damaged(server: Server) -> str:
    path = server.folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    return ""


def _absent(server: Server) -> str:
    (server.folder / "model.safetensors").unlink()
    return ""


def _redirected(server: Server) -> str:
    server.redirect = "http://127.0.0.1:1"
    return ""


def _cut(server: Server) -> str:
    server.short = True
    return ""


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_other_digest, "another model than it should. Expected model.sha256=000"),
        (_damaged, "arrays are not those its card was written with"),
        (_absent, "was not fetched"),
        (_redirected, "leads away from https"),
        (_cut, "in part only|was not fetched"),
    ],
)
def test_what_is_not_the_bundle_is_refused_and_leaves_nothing(
    server: Server,
    bundle: Path,
    tmp_path: Path,
    spoil: Callable[[Server], str],
    sentence: str,
) -> None:
    sha256 = spoil(server) or bundle_digest(bundle)
    with pytest.raises((UserError, BundleError), match=sentence):
        bundles.fetch(address(server), sha256, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_redirect_that_stays_on_https_is_followed(
    server: Server, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base_url = address(server).removesuffix("/fleet")
    server.redirect = base_url
    original = server.RequestHandlerClass.do_GET  # type: ignore[attr-defined]

    def once(handler: Any) -> None:
        original(handler)
        server.redirect = "" if server.redirect else base_url

    monkeypatch.setattr(server.RequestHandlerClass, "do_GET", once)
    assert bundles.fetch(address(server), bundle_digest(bundle), tmp_path / "cache").is_dir()
    assert len(server.asked) == 4


def test_a_bundle_that_does_not_end_is_given_up(
    server: Server, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(bundles._MOST_BYTES, "model.safetensors", 100)
    with pytest.raises(UserError, match="Expected at most 100 bytes"):
        bundles.fetch(address(server), bundle_digest(bundle), tmp_path / "cache")


def test_a_server_nobody_vouches_for_is_not_asked(
    server: Server, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(UserError, match="certificate verify failed"):
        bundles.fetch(address(server), bundle_digest(bundle), tmp_path / "cache")
    assert server.asked == []


@pytest.mark.parametrize("what", ["in the way", "read-only", "full"])
def test_a_model_that_cannot_be_kept_is_one_sentence(
    server: Server, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The error names `state.directory`, and the volume a container needs."""
    settings = Settings.load(
        model={"path": address(server), "sha256": bundle_digest(bundle)},
        state={"directory": tmp_path / "state"},
    )
    if what == "in the way":
        (tmp_path / "state").write_text("")
    elif what == "read-only":
        error = OSError(errno.EROFS, "Read-only file system")
        monkeypatch.setattr(Path, "mkdir", mock.Mock(side_effect=error))
    else:
        opened = Path.open

        def open_(path: Path, mode: str = "r", **options: Any) -> Any:
            return FullDisk() if mode == "wb" else opened(path, mode, **options)

        monkeypatch.setattr(Path, "open", open_)
    with pytest.raises(UserError, match=r"cannot be kept on this host.*EMBER_STATE__DIRECTORY"):
        load_model(settings)


class FullDisk(io.BytesIO):
    """File on a full disk."""

    def write(self, _: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_an_address_is_https_and_has_a_digest() -> None:
    with pytest.raises(SettingsError, match="An address in `path` also needs `sha256`"):
        Settings.load(model={"path": "https://models.example/fleet"})
    with pytest.raises(SettingsError, match="Expected a folder or an https address"):
        Settings.load(model={"path": "http://models.example/fleet", "sha256": "0" * 64})


@pytest.mark.parametrize("when", ["checked", "read"])
def test_a_bundle_replaced_while_it_is_read_judges_only_as_what_it_is(
    when: str, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change before the reading is refused; a later one leaves the digest of the bundle read."""
    good, folder = bundle_digest(bundle), tmp_path / "model"
    shutil.copytree(bundle, folder)
    fit(KNOWN, CHANNELS, rows=223).save(tmp_path / "other")

    def then_replaced(work: Callable[..., Any]) -> Callable[..., Any]:
        def both(*args: Any) -> Any:
            result = work(*args)
            shutil.copytree(tmp_path / "other", folder, dirs_exist_ok=True)
            return result

        return both

    settings = Settings(model={"path": folder, "sha256": good})
    if when == "checked":
        monkeypatch.setattr(bundles, "check", then_replaced(bundles.check))
        with pytest.raises(UserError, match="changed while it was read"):
            load_model(settings)
    else:
        monkeypatch.setattr("ember_core.pipeline.fleet.load_bundle", then_replaced(load_bundle))
        assert load_model(settings).sha256 == good


def test_a_folder_may_be_pinned_too(bundle: Path) -> None:
    sha256 = bundle_digest(bundle)
    assert load_model(Settings.load(model={"path": bundle, "sha256": sha256})).sha256 == sha256
    with pytest.raises(UserError, match="has another model"):
        load_model(Settings.load(model={"path": bundle, "sha256": "1" * 64}))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Private key, its public key, and the public key of another pair."""
    folder = tmp_path_factory.mktemp("keys")
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    paths = []
    for name in ("ours", "theirs"):
        key = ed25519.Ed25519PrivateKey.generate()
        private, public = folder / name, folder / f"{name}.pub"
        private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
        shape = serialization.PublicFormat.SubjectPublicKeyInfo
        public.write_bytes(key.public_key().public_bytes(pem, shape))
        paths += [private, public]
    return [paths[0], paths[1], paths[3]]


def test_only_a_bundle_signed_with_the_key_judges(
    bundle: Path, keys: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    private, public, foreign = keys
    folder = tmp_path / "model"
    shutil.copytree(bundle, folder)
    settings = Settings.load(model={"path": folder, "public_key": public})
    with pytest.raises(UserError, match="is not signed"):
        load_model(settings)
    assert main(["model", "sign", str(folder), "--key", str(private)]) == 0
    assert load_model(settings).sha256 == bundle_digest(folder)
    assert main(["model", "verify", str(folder), "--public-key", str(public)]) == 0
    assert main(["model", "verify", str(folder), "--public-key", str(foreign)]) == 1
    assert "not by this key" in capsys.readouterr().err
    fit(KNOWN[:2], CHANNELS, rows=211).save(folder)
    with pytest.raises(UserError, match="of another bundle"):
        load_model(settings)
    (folder / "model.sig").write_text("?")
    with pytest.raises(UserError, match="not by this key"):
        load_model(settings)


def test_a_signature_is_fetched_with_its_bundle(
    server: Server, bundle: Path, keys: list[Path], tmp_path: Path
) -> None:
    bundles.sign(server.folder, keys[0])
    settings = Settings.load(
        model={"path": address(server), "sha256": bundle_digest(bundle), "public_key": keys[1]},
        state={"directory": tmp_path},
    )
    assert load_model(settings).keys == list(KNOWN)
    assert server.asked[-1] == "/fleet/model.sig"


def test_a_key_that_is_none_is_named(bundle: Path, keys: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Expected an Ed25519 key"):
        bundles.check(bundle, "", keys[0])
    with pytest.raises(UserError, match="Expected an Ed25519 key"):
        bundles.sign(bundle, tmp_path / "absent")


def test_without_the_extra_the_mend_is_named(bundle: Path, tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from pathlib import Path; from stream import bundles\n"
        f"bundles.check(Path({str(bundle)!r}), '', Path('key'))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert install_command("signatures") in result.stderr
