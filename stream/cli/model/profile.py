"""Check of the profile that a command on bundles is about."""

from __future__ import annotations

from stream.errors import UserError
from stream.settings import Settings


def require_profile(settings: Settings, profile: str) -> None:
    """Refuse a profile that the settings do not have.

    Args:
        settings: Section `model`.
        profile: Pattern of the profile; empty: the keys of no profile.

    Raises:
        UserError: If there is no such profile, or no bundle for the other keys.
    """
    section = settings.model
    patterns = ", ".join(section.profiles)
    if profile and profile not in section.profiles:
        raise UserError(
            "There is no such profile. Expected one of the patterns of model.profiles: "
            f"{patterns or 'there are none'}. Received: --profile {profile!r}.",
            exit_code=2,
        )
    if not profile and section.other_keys is None:
        raise UserError(
            "The service has no bundle for the keys of no profile. Expected --profile with one of "
            f"{patterns}.",
            exit_code=2,
        )
