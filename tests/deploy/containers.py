"""The image, built by buildah and run by podman, with the limits of compose file and chart."""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.conftest import lacking
from tests.deploy.base_image import make_root, python_home
from tests.deploy.promql import DEPLOY, ROOT

PROGRAMS: Final = ("podman", "buildah", "runc", "debootstrap", "catatonit")
DOCKERFILE: Final = DEPLOY / "docker" / "Dockerfile"
_CERTIFICATES: Final = Path("/etc/ssl/certs")
_RUNTIME: Final = ("--runtime", "runc")
_LIMITS: Final = ("--ulimit", "nofile=20000:20000", "--ulimit", "nproc=1000:1000")


def call(*command: str, timeout: float = 600.0, check: bool = True) -> str:
    """Run a command of the container engine; gives its output.

    Raises:
        AssertionError: If it fails, with what it said.
    """
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0 or not check, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


def built_image() -> str:
    """Build the image as the Dockerfile says, once a session of tests; gives its name."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    home = python_home()
    if missing:
        lacking("containers", f"{', '.join(missing)} not installed (Debian has packages)")
    if home is None:
        lacking("containers", "there is no Python 3.11 or newer outside of /usr to copy")
    name = f"localhost/ember-anomaly:{_digest()}"
    with _alone():
        if subprocess.run(["podman", "image", "exists", name], check=False).returncode:
            _make_base(home)
            _build(name)
    return name


@dataclass
class Container:
    """A running container.

    Attributes:
        name: Its name, unique.
        image: The image's name.
    """

    name: str
    image: str

    def inspected(self) -> dict[str, Any]:
        """What the engine knows of it."""
        (found,) = json.loads(call("podman", "inspect", self.name))
        return dict(found)

    def execute(self, *command: str, check: bool = True) -> str:
        """Run a command in it."""
        return call("podman", *_RUNTIME, "exec", self.name, *command, check=check)

    def healthy(self) -> bool:
        """Ask by the image's own health check."""
        command = ["podman", *_RUNTIME, "healthcheck", "run", self.name]
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        return done.returncode == 0

    def logs(self) -> str:
        """What it has written."""
        done = subprocess.run(
            ["podman", "logs", self.name], capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr

    def stop(self, grace_seconds: int) -> int:
        """Send SIGTERM, and SIGKILL after the grace period; gives the exit status."""
        call("podman", *_RUNTIME, "stop", "--time", str(grace_seconds), self.name, timeout=300)
        return int(self.inspected()["State"]["ExitCode"])


@dataclass
class Engine:
    """Runs containers of one image, and removes them at the end."""

    image: str
    names: list[str] = field(default_factory=list)

    def start(
        self, flags: Sequence[str], environment: Mapping[str, str], command: Sequence[str]
    ) -> Container:
        """Start a container in the background.

        Args:
            flags: Limits and volumes.
            environment: Variables.
            command: Arguments of the image's entry point.
        """
        name = f"ember-test-{uuid.uuid4().hex[:12]}"
        self.names.append(name)
        variables = [f"--env={key}={value}" for key, value in environment.items()]
        base = ["podman", *_RUNTIME, "run", "--network", "host", *_LIMITS, "--name", name]
        call(*base, "--detach", *flags, *variables, self.image, *command)
        return Container(name, self.image)

    def finish(
        self, flags: Sequence[str], environment: Mapping[str, str], command: Sequence[str]
    ) -> str:
        """Run a container to its end; gives its output."""
        variables = [f"--env={key}={value}" for key, value in environment.items()]
        base = ["podman", *_RUNTIME, "run", "--rm", "--network", "host", *_LIMITS]
        return call(*base, *flags, *variables, self.image, *command)

    def remove_all(self) -> None:
        """Remove what was started."""
        for name in self.names:
            call(
                "podman", *_RUNTIME, "rm", "--force", "--volumes", "--time", "5", name, check=False
            )


def flags_of_service(service: Mapping[str, Any]) -> list[str]:
    """Return the flags of podman that are the limits of a service of the compose file."""
    flags = [f"--security-opt={each}".replace(":true", "") for each in service["security_opt"]]
    flags += [f"--cap-drop={each.lower()}" for each in service["cap_drop"]]
    flags += [f"--tmpfs={each}" for each in service.get("tmpfs", [])]
    return [*flags, *["--read-only"] * service["read_only"], *["--init"] * service["init"]]


def flags_of_pod(pod: Mapping[str, Any], container: Mapping[str, Any]) -> list[str]:
    """Return the flags of podman that are the security contexts of a pod and its container."""
    flags = [f"--user={pod['runAsUser']}:{pod['runAsGroup']}"]
    flags += [f"--cap-drop={each.lower()}" for each in container["capabilities"]["drop"]]
    assert container["allowPrivilegeEscalation"] is False
    assert container["readOnlyRootFilesystem"] is True
    return [*flags, "--security-opt=no-new-privileges", "--read-only"]


def _digest() -> str:
    """Return a short hash of everything that the build copies."""
    digest = hashlib.sha256()
    copied = [ROOT / "pyproject.toml", *(DEPLOY / "docker").iterdir()]
    copied += [*(ROOT / "ember_core").rglob("*"), *(ROOT / "stream").rglob("*")]
    for path in sorted(each for each in copied if each.is_file()):
        if "__pycache__" not in path.parts:
            digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:12]


@contextmanager
def _alone() -> Iterator[None]:
    """Let one process build."""
    with (Path(tempfile.gettempdir()) / "ember-test-image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make_base(home: Path) -> None:
    """Import the stand-in for the base image, unless it is there."""
    (tag,) = re.findall(r"^ARG PYTHON=(\S+)$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    name = f"docker.io/library/python:{tag}"
    if subprocess.run(["podman", "image", "exists", name], check=False).returncode == 0:
        return
    with tempfile.TemporaryDirectory() as folder:
        root, archive = Path(folder) / "root", Path(folder) / "root.tar"
        make_root(root, home)
        with tarfile.open(archive, "w") as tar:
            tar.add(root, ".")
        call("podman", "import", "--quiet", str(archive), name)


def _build(name: str) -> None:
    """Build the image."""
    command = [
        "buildah",
        *_RUNTIME,
        "build",
        "--format",
        "docker",
        "--isolation",
        "chroot",
        "--network",
        "host",
    ]
    if _CERTIFICATES.is_dir():  # a package index may be behind a proxy that this machine trusts
        bundle = _CERTIFICATES / "ca-certificates.crt"
        command += [
            "--volume",
            f"{_CERTIFICATES}:{_CERTIFICATES}:ro",
            "--env",
            f"PIP_CERT={bundle}",
        ]
    call(*command, "-f", str(DOCKERFILE), "-t", name, str(ROOT), timeout=1200)
