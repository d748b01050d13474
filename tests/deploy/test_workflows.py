"""Workflows of CI and release: pinned, without rights they do not need; what they call exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ember_core.distribution import NAME
from tests.deploy.promql import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
RELEASE = ROOT / ".ci" / "release"


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    return found


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_its_commit(path: Path) -> None:
    """A tag can be moved; the comment says which one it was."""
    used = re.findall(r"uses: (.*)", path.read_text(encoding="utf-8"))
    assert used
    for line in used:
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_job_can_write_what_it_need_not(path: Path) -> None:
    """Nothing is writable by default, no checkout leaves its token behind, every job ends."""
    whole = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert whole["permissions"] in ({}, {"contents": "read"})
    for job in whole["jobs"].values():
        assert job["timeout-minutes"] <= 60
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False
            assert "${{" not in step.get("run", ""), "a shell must not be handed an expression"


def test_zizmor_has_nothing_to_say() -> None:
    program = Path(sys.executable).with_name("zizmor")
    if not program.exists():
        pytest.skip("zizmor is not installed in this environment")
    done = subprocess.run(
        [program, "--offline", "--no-progress", *WORKFLOWS],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_release_is_built_once_tried_described_and_vouched_for() -> None:
    """Wheel, image, what is in them, and where they came from."""
    release = jobs(ROOT / ".github" / "workflows" / "release.yml")
    said = RELEASE.read_text(encoding="utf-8")
    steps = [step.get("run", "") for j in ("wheel", "chart") for step in release[j]["steps"]]
    called = [re.match(r"\.ci/release (\w+)", step) for step in steps]
    names = [match[1] for match in called if match]
    assert names == ["version", "build", "check", "try", "sbom", "chart"]
    for name in names:
        assert re.search(rf"^{name}\)", said, re.MULTILINE)
    uses = [step for step in release["image"]["steps"] if "uses" in step]
    image = {step["uses"].split("@")[0]: step.get("with", {}) for step in uses}
    build = image["docker/build-push-action"]
    assert (ROOT / build["file"]).is_file()
    assert build["provenance"] == "mode=max"
    assert build["sbom"] is True
    assert set(release["publish"]["needs"]) == {"wheel", "image", "chart"}
    for job in ("image", "chart", "publish"):
        assert any("attest-build-provenance" in s.get("uses", "") for s in release[job]["steps"])


def test_files_of_another_name_are_refused(tmp_path: Path) -> None:
    for name in ("another-1.0-py3-none-any.whl", "another-1.0.tar.gz"):
        (tmp_path / name).touch()
    command = [RELEASE, "check", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"Expected {NAME.replace('-', '_')}-" in done.stdout
    assert "Received: another-1.0-py3-none-any.whl another-1.0.tar.gz." in done.stdout


def test_a_tag_that_is_not_the_version_is_refused() -> None:
    done = subprocess.run([RELEASE, "version", "v0"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Received: v0." in done.stdout
