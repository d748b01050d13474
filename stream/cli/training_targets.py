"""Bundles that `ember train` makes: one of all keys, or one of each profile's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ember_core.data.sources import Dataset, Remark
from stream.errors import UserError
from stream.settings import Settings
from stream.tools.key_sample import sampled
from stream.tools.profile_data import of_profile

from .destinations import require_folder


@dataclass(frozen=True)
class Targets:
    """Folders to write bundles to.

    Attributes:
        settings: Section `model`, whose profiles divide the keys.
        folders: Folder of each bundle, by the pattern of its profile; that of the keys of no
            profile is under the empty one.
        by_profile: Whether each bundle is of the keys of its profile, or one of all keys.
    """

    settings: Settings
    folders: dict[str, Path]
    by_profile: bool

    @classmethod
    def of(cls, settings: Settings, out: Path | None, profile: str | None) -> Targets:
        """Return the folders that the command line and the settings name.

        Args:
            settings: Section `model`.
            out: Folder of one bundle; None: those of the settings.
            profile: Pattern of the one profile to train; None: all of them, or all keys for `out`.

        Raises:
            UserError: If there is no such profile or no folder, or one cannot be written.
        """
        section = settings.model
        own = dict(section.profiles)
        if isinstance(section.other_keys, Path) and section.profiles:
            own[""] = section.other_keys
        if own and section.topic and out is None:
            raise UserError(
                "The bundles of these profiles come by topics. Expected --out DIR, and --profile. "
                f"Received: model.topic={section.topic!r}. Publish the bundle with `ember model "
                "deploy DIR --profile PATTERN`.",
                exit_code=2,
            )
        if profile is not None and profile not in own:
            raise UserError(
                "There is no such profile. Expected one of the patterns of model.profiles: "
                f"{', '.join(section.profiles) or 'there are none'}. Received: "
                f"--profile {profile!r}.",
                exit_code=2,
            )
        if out is not None:
            folders = {profile or "": out}
        elif not own:
            raise UserError(
                "The bundle needs a folder. Expected --out DIR, or settings with model.profiles.",
                exit_code=2,
            )
        else:
            folders = own if profile is None else {profile: own[profile]}
        for folder in folders.values():
            require_folder("--out", folder)
        return cls(settings, folders, by_profile=out is None or profile is not None)

    def datasets(self, dataset: Dataset, keys: int) -> Iterator[tuple[str, Path, Dataset | None]]:
        """Divide data by the profiles.

        Args:
            dataset: The data.
            keys: Most keys to take of each part; 0: all.

        Yields:
            Pattern, folder, and the data; None where no key of the data is of the profile.
        """
        patterns = list(self.settings.model.profiles)
        for pattern, folder in self.folders.items():
            part: Dataset | None = dataset
            if self.by_profile:
                part = of_profile(dataset, patterns, pattern)
            yield pattern, folder, None if part is None else sampled(part, keys)


def without_keys(pattern: str) -> Remark:
    """Return a remark on a profile that is not trained."""
    name = f"profile {pattern!r}" if pattern else "the keys of no profile"
    return Remark("empty_profile", f"The data have no key for {name}: its bundle stays as it is")
