"""Another release of the service, of a wheel or of a revision in git, to run beside today's."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

from tests.e2e.service import ROOT

from .frame import Refuted

LAST: Final = "1e79bc159077"
"""The release before; a revision until the first tag."""


def unpacked(release: str, folder: Path) -> Path:
    """Unpack a release, so that `PYTHONPATH` can name it.

    Args:
        release: Path of a wheel, or a revision of this repository, from which a wheel is built.
        folder: A folder that is not there yet.

    Returns:
        The folder with the packages.

    Raises:
        Refuted: If there is no such wheel or revision, or it cannot be built.
    """
    folder.mkdir()
    wheel = Path(release)
    if wheel.suffix != ".whl":
        wheel = _built(release, folder)
    code = folder / "code"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(code)
    return code


def _built(revision: str, folder: Path) -> Path:
    """Build the wheel of a revision."""
    source, archive = folder / "source", folder / "source.tar"
    source.mkdir()
    _call(["git", "-C", str(ROOT), "archive", "-o", str(archive), revision])
    _call(["tar", "-xf", str(archive), "-C", str(source)])
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder)]
    _call([*pip, str(source)])
    return next(folder.glob("*.whl"))


def _call(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise Refuted(f"{' '.join(command[:4])} failed.\n{(done.stdout + done.stderr)[-2000:]}")
