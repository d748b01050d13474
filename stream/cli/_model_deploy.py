"""`ember model deploy`, `rollback` and `reload`: another bundle in the service's place, and back.

The bundle of `model.path` is the truth, also for a worker that starts: these commands change its
two files and then tell the workers.
"""

from __future__ import annotations

import json as json_
import shutil
import sys
from pathlib import Path
from typing import Any

from ember_core.serialize import ARRAYS_FILE, CARD_FILE
from stream.bundles import SIGNATURE_FILE
from stream.cli._model_diff import compare
from stream.cli._workers_http import ask, urls_of
from stream.configure import load_model
from stream.errors import UserError
from stream.settings import Settings


def deploy(
    bundle: Path,
    /,
    *,
    url: tuple[str, ...] = (),
    workers: int = 1,
    config: Path | None = None,
    json: bool = False,
) -> int:
    """Put a bundle in the place of the service's, and let the workers take it over.

    The bundle before is kept beside it (`<model.path>.previous`) for `ember model rollback`.
    Workers take it over at one input offset per partition, without a restart; a key stays without
    events for a short while.

    Args:
        bundle: Folder of the bundle.
        url: Addresses of workers, http://host:port; default http.host and http.port.
        workers: Workers on this host, at consecutive ports.
        config: Settings file; default ember.toml where there is one.
        json: Print one JSON object.
    """
    settings = Settings.load(config)
    home = _home(settings)
    new = load_model(settings, bundle)
    found: dict[str, Any] = {"deployed": new.sha256, "before": None}
    if (home / CARD_FILE).exists():
        old = load_model(settings, home)
        found["before"] = old.sha256
        found["state"] = compare(old, new)["state"]
        if old.sha256 == new.sha256:
            raise UserError(f"The service's bundle in {str(home)!r} is this one already.")
        _copy(home, _previous(home))
    _copy(bundle, home)
    return _tell(settings, found, url, workers, json=json)


def rollback(
    *,
    url: tuple[str, ...] = (),
    workers: int = 1,
    config: Path | None = None,
    json: bool = False,
) -> int:
    """Take the bundle before the last deploy back; twice is where it began.

    Args:
        url: Addresses of workers, http://host:port; default http.host and http.port.
        workers: Workers on this host, at consecutive ports.
        config: Settings file; default ember.toml where there is one.
        json: Print one JSON object.
    """
    settings = Settings.load(config)
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
    return _tell(settings, found, url, workers, json=json)


def reload(
    *,
    url: tuple[str, ...] = (),
    workers: int = 1,
    config: Path | None = None,
    json: bool = False,
) -> int:
    """Let running workers read settings and model again, as SIGHUP does.

    Taken over are the model, its thresholds (`alerts`, warm-ups, `window.max_gap`) and the
    candidate; whatever else changed is named and waits for a restart.

    Args:
        url: Addresses of workers, http://host:port; default http.host and http.port.
        workers: Workers on this host, at consecutive ports.
        config: Settings file; default ember.toml where there is one.
        json: Print one JSON object.
    """
    return _tell(Settings.load(config), {}, url, workers, json=json)


def _home(settings: Settings) -> Path:
    home = settings.model.path
    if not isinstance(home, Path) or settings.model.sha256:
        raise UserError(
            "The service's bundle is named by its digest. Expected a folder in model.path without "
            f"model.sha256. Received: model.path={str(home)!r}. Change both settings, and run "
            "`ember model reload`."
        )
    return home


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


def _tell(
    settings: Settings, found: dict[str, Any], url: tuple[str, ...], workers: int, *, json: bool
) -> int:
    """Ask the workers to reload, and say what came of it."""
    answers = {
        address: ask(f"{address}/reload", settings, method="POST")
        for address in urls_of(settings, url, workers)
    }
    failed = [a for a in answers.values() if a.get("result") not in ("applied", "unchanged")]
    if json:
        sys.stdout.write(json_.dumps({**found, "workers": answers}) + "\n")
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
