"""`ember model deploy`, `rollback` and `reload`: another bundle in the service's place, and back.

The bundle of `model.path` is the truth, also for a worker that starts: these commands change its
two files and then tell the workers.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ember_core.serialize import ARRAYS_FILE, CARD_FILE
from stream.bundles import SIGNATURE_FILE
from stream.configure import load_model
from stream.errors import UserError
from stream.settings import Settings
from stream.tools.workers_http import THE_ONE_HERE, ToWorkers, WorkerOptions, ask

from .diff import compare

_SHOWN_CHANNELS = 5


def deploy(bundle: Path, /, *, force: bool = False, options: ToWorkers = THE_ONE_HERE) -> int:
    """Put a bundle in the place of the service's, and let the workers take it over.

    The bundle before is kept beside it (`<model.path>.previous`) for `ember model rollback`.
    Workers take it over at one input offset per partition, without a restart; a key stays without
    events for a short while.

    Args:
        bundle: Folder of the bundle.
        force: Also where it has no channel in common with the service's.
        options: The workers to tell.
    """
    settings = Settings.load(options.config)
    home = _home(settings)
    new = load_model(settings, bundle)
    found: dict[str, Any] = {"deployed": new.sha256, "before": None}
    if (home / CARD_FILE).exists():
        old = load_model(settings, home)
        found["before"] = old.sha256
        found["state"] = compare(old, new)["state"]
        if old.sha256 == new.sha256:
            raise UserError(f"The service's bundle in {str(home)!r} is this one already.")
        if not force and not set(old.channels) & set(new.channels):
            raise UserError(
                "The bundle is of other telemetry: it would refuse every record. Expected a "
                f"channel of {_some(old.channels)}. Received: {str(bundle)!r} with channels "
                f"{_some(new.channels)}. Where that is meant, say --force."
            )
        _copy(home, _previous(home))
    _copy(bundle, home)
    return _tell(settings, found, options)


def rollback(*, options: ToWorkers = THE_ONE_HERE) -> int:
    """Take the bundle before the last deploy back; twice is where it began.

    Args:
        options: The workers to tell.
    """
    settings = Settings.load(options.config)
    home = _home(settings)
    previous = _previous(home)
    if not (previous / CARD_FILE).exists():
        raise UserError(
            f"There is nothing to go back to. Expected the bundle of before in {str(previous)!r}, "
            "where `ember model deploy` leaves it."
        )
    new, old = load_model(settings, previous), load_model(settings, home)
    aside = home.with_name(home.name + ".aside")
    _copy(home, aside)
    _copy(previous, home)
    _copy(aside, previous)
    shutil.rmtree(aside)
    found = {"deployed": new.sha256, "before": old.sha256, "state": compare(old, new)["state"]}
    return _tell(settings, found, options)


def reload(*, options: ToWorkers = THE_ONE_HERE) -> int:
    """Let running workers read settings and model again, as SIGHUP does.

    Taken over are the model, its thresholds (`alerts`, warm-ups, `window.max_gap`) and the
    candidate; whatever else changed is named and waits for a restart.

    Args:
        options: The workers to tell.
    """
    return _tell(Settings.load(options.config), {}, options)


def _home(settings: Settings) -> Path:
    home = settings.model.path
    if not isinstance(home, Path) or settings.model.sha256:
        raise UserError(
            "The service's bundle is named by its digest. Expected a folder in model.path without "
            f"model.sha256. Received: model.path={str(home)!r}. Change both settings, and run "
            "`ember model reload`."
        )
    return home


def _some(channels: Sequence[str]) -> str:
    more = ", ..." if len(channels) > _SHOWN_CHANNELS else ""
    return ", ".join(channels[:_SHOWN_CHANNELS]) + more


def _previous(home: Path) -> Path:
    return home.with_name(home.name + ".previous")


def _copy(bundle: Path, to: Path) -> None:
    """Both files, each in one stroke, the card last: between the two a reader finds a mismatch."""
    to.mkdir(parents=True, exist_ok=True)
    for name in (SIGNATURE_FILE, ARRAYS_FILE, CARD_FILE):
        if name == SIGNATURE_FILE and not (bundle / name).exists():
            (to / name).unlink(missing_ok=True)
            continue
        new = to / f".{name}.new"
        shutil.copyfile(bundle / name, new)
        new.replace(to / name)


def _tell(settings: Settings, found: dict[str, Any], options: WorkerOptions) -> int:
    """Ask the workers to reload, and say what came of it."""
    answers = {
        address: ask(f"{address}/reload", settings, method="POST")
        for address in options.urls(settings)
    }
    failed = [a for a in answers.values() if a.get("result") not in ("applied", "unchanged")]
    if options.json:
        sys.stdout.write(json.dumps({**found, "workers": answers}) + "\n")
        return 1 if failed else 0
    if found:
        before = (found["before"] or "nothing")[:12]
        print(f"{settings.model.path} holds {found['deployed'][:12]}, before {before}.")
        if found.get("state"):
            print(f"A key keeps: {found['state']}.")
    for address, answer in answers.items():
        print(f"{address}: {answer['detail']}")
        for name in answer.get("needs_restart", ()):
            print(f"{address}: {name} has changed too, and waits for a restart.")
    if failed:
        print(
            "Those workers were not reached or refused; send them SIGHUP, or restart them.",
            file=sys.stderr,
        )
    return 1 if failed else 0
