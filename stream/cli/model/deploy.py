"""`ember model deploy | rollback | reload`: change the bundle of a running service, and back.

The bundle in `model.path` is the one in service, also for a worker that starts later: these
commands change its files and then ask the workers to reload. With `model.topic` they publish in
that topic instead, which the workers follow.
"""

from __future__ import annotations

import json
import shutil
import sys
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

from . import topic
from .profile import require_profile
from .replacement import replacement


def deploy(
    bundle: Path,
    /,
    *,
    profile: str = "",
    note: str = "",
    force: bool = False,
    options: WorkerArgs = WorkerOptions(),
) -> int:
    """Replace the bundle of the service, and let the workers switch to it.

    The old bundle stays for `ember model rollback`: beside the new one (`<model.path>.previous`),
    or in the model topic. Workers switch at one input offset per partition, without a restart; a
    key has no events for a short while.

    Args:
        bundle: Folder of the new bundle.
        profile: Pattern of model.profiles whose bundle it replaces. Default: that of model.path.
        note: Words about it for `ember model history`, with model.topic only.
        force: Deploy even if no channel is in both bundles.
        options: Workers to reload. With model.topic they follow the topic, and nobody is asked.
    """
    settings = Settings.load(options.config)
    home = _home(settings, profile)
    if home is None:
        topic.deploy(
            settings.by_profile[profile], bundle, note=note, force=force, json=options.json
        )
        return 0
    _require_topic(note=note)
    new, old = load_model(settings, bundle), None
    if (home / CARD_FILE).exists():
        old = load_model(settings, home)
        if old.sha256 == new.sha256:
            raise UserError(f"The service's bundle in {str(home)!r} is this one already.")
    result = replacement(old, new, str(bundle), force=force)
    if old is not None:
        _copy(home, _previous(home))
    # Copied, not moved: the given bundle stays where it is.
    _copy(bundle, home)
    return _reload_workers(settings, result, options, home)


def rollback(
    digest: str = "",
    /,
    *,
    profile: str = "",
    note: str = "",
    options: WorkerArgs = WorkerOptions(),
) -> int:
    """Restore the bundle before the last deploy; a second rollback undoes the first.

    Args:
        digest: Beginning of the digest of an earlier bundle, or of the last candidate that the gate
            held back, see `ember model history`; with model.topic only.
        profile: Pattern of model.profiles whose bundle goes back. Default: that of model.path.
        note: Words for `ember model history`, with model.topic only.
        options: Workers to reload. With model.topic they follow the topic, and nobody is asked.
    """
    settings = Settings.load(options.config)
    home = _home(settings, profile)
    if home is None:
        topic.rollback(settings.by_profile[profile], digest, note=note, json=options.json)
        return 0
    _require_topic(digest=digest, note=note)
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
    result = replacement(old, new, str(previous), force=True)
    return _reload_workers(settings, result, options, home)


def reload(*, options: WorkerArgs = WorkerOptions()) -> int:
    """Let running workers reload settings and model, as SIGHUP does.

    They switch to the new model, thresholds (`alerts`, warm-ups, `window.max_gap`) and candidate;
    other changed settings are named and need a restart.

    Args:
        options: Workers to reload.
    """
    return _reload_workers(Settings.load(options.config), {}, options)


def _home(settings: Settings, profile: str) -> Path | None:
    """Return the folder of the bundle in service; None where a topic brings it.

    Raises:
        UserError: If there is no such profile, or the bundle is named by its digest.
    """
    section = settings.model
    require_profile(settings, profile)
    if section.topic:
        return None
    if profile:
        return section.profiles[profile]
    home = section.other_keys
    if not isinstance(home, Path) or settings.model.sha256:
        raise UserError(
            "The service's bundle is named by its digest. Expected a folder in model.path without "
            f"model.sha256. Received: model.path={str(home)!r}. Change both settings, and run "
            "`ember model reload`."
        )
    return home


def _require_topic(**options: str) -> None:
    """Refuse options that need the model topic."""
    for name, value in options.items():
        if value:
            raise UserError(
                "A bundle in a folder has no history. Expected model.topic, or no "
                f"{name}. Received: {name}={value!r}.",
                exit_code=2,
            )


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


def _reload_workers(
    settings: Settings, result: dict[str, Any], options: WorkerOptions, home: Path | None = None
) -> int:
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
        print(f"{home} holds {result['deployed'][:12]}, before {old}.")
        if result.get("state"):
            print(f"A key keeps: {result['state']}.")
    for address, answer in answers.items():
        print(f"{address}: {answer['detail']}")
        for name in answer.get("needs_restart", ()):
            print(f"{address}: {name} has changed too, and waits for a restart.")
    if failed:
        message("Those workers were not reached or refused; send them SIGHUP, or restart them.")
    return 1 if failed else 0
