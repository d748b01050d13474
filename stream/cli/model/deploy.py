"""`ember model deploy | rollback | reload`: change the bundle of a running service, and back.

The bundle in `model.path` is the one in service, also for a worker that starts later: these
commands change its files and then ask the workers to reload.
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
from stream.cli.options import WorkerArgs, WorkerOptions
from stream.cli.output import message
from stream.configure import load_model
from stream.errors import UserError
from stream.settings import Settings
from stream.tools.workers_http import request_worker

from .diff import compare

_SHOWN_CHANNELS = 5


def deploy(bundle: Path, /, *, force: bool = False, options: WorkerArgs = WorkerOptions()) -> int:
    """Replace the bundle of the service, and let the workers switch to it.

    The old bundle is kept beside it (`<model.path>.previous`) for `ember model rollback`. Workers
    switch at one input offset per partition, without a restart; a key has no events for a short
    while.

    Args:
        bundle: Folder of the new bundle.
        force: Deploy even if no channel is in both bundles.
        options: Workers to reload.
    """
    settings = Settings.load(options.config)
    home = _home(settings)
    new = load_model(settings, bundle)
    result: dict[str, Any] = {"deployed": new.sha256, "before": None}
    if (home / CARD_FILE).exists():
        old = load_model(settings, home)
        result["before"] = old.sha256
        result["state"] = compare(old, new)["state"]
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
    return _reload_workers(settings, result, options)


def rollback(*, options: WorkerArgs = WorkerOptions()) -> int:
    """Restore the bundle before the last deploy; a second rollback undoes the first.

    Args:
        options: Workers to reload.
    """
    settings = Settings.load(options.config)
    home = _home(settings)
    previous = _previous(home)
    if not (previous / CARD_FILE).exists():
        raise UserError(
            f"There is nothing to go back to. Expected the previous bundle in {str(previous)!r}, "
            "where `ember model deploy` leaves it."
        )
    new, old = load_model(settings, previous), load_model(settings, home)
    temporary = home.with_name(home.name + ".aside")
    _copy(home, temporary)
    _copy(previous, home)
    _copy(temporary, previous)
    shutil.rmtree(temporary)
    result = {"deployed": new.sha256, "before": old.sha256, "state": compare(old, new)["state"]}
    return _reload_workers(settings, result, options)


def reload(*, options: WorkerArgs = WorkerOptions()) -> int:
    """Let running workers reload settings and model, as SIGHUP does.

    They switch to the new model, thresholds (`alerts`, warm-ups, `window.max_gap`) and candidate;
    other changed settings are named and need a restart.

    Args:
        options: Workers to reload.
    """
    return _reload_workers(Settings.load(options.config), {}, options)


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
    rest = ", ..." if len(channels) > _SHOWN_CHANNELS else ""
    return ", ".join(channels[:_SHOWN_CHANNELS]) + rest


def _previous(home: Path) -> Path:
    return home.with_name(home.name + ".previous")


def _copy(bundle: Path, to: Path) -> None:
    """Replace the files one by one, the card last: a reader in between finds a wrong digest."""
    to.mkdir(parents=True, exist_ok=True)
    for name in (SIGNATURE_FILE, ARRAYS_FILE, CARD_FILE):
        if name == SIGNATURE_FILE and not (bundle / name).exists():
            (to / name).unlink(missing_ok=True)
            continue
        new = to / f".{name}.new"
        shutil.copyfile(bundle / name, new)
        new.replace(to / name)


def _reload_workers(settings: Settings, result: dict[str, Any], options: WorkerOptions) -> int:
    """Ask the workers to reload, print their answers, and return the exit code."""
    answers = {
        address: request_worker(f"{address}/reload", settings, method="POST")
        for address in options.urls(settings)
    }
    failed = [a for a in answers.values() if a.get("result") not in ("applied", "unchanged")]
    if options.json:
        sys.stdout.write(json.dumps({**result, "workers": answers}) + "\n")
        return 1 if failed else 0
    if result:
        old = (result["before"] or "nothing")[:12]
        print(f"{settings.model.path} holds {result['deployed'][:12]}, before {old}.")
        if result.get("state"):
            print(f"A key keeps: {result['state']}.")
    for address, answer in answers.items():
        print(f"{address}: {answer['detail']}")
        for name in answer.get("needs_restart", ()):
            print(f"{address}: {name} has changed too, and waits for a restart.")
    if failed:
        message("Those workers were not reached or refused; send them SIGHUP, or restart them.")
    return 1 if failed else 0
