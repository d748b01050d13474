"""Base class and field types of the settings' sections."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from stream.errors import UserError


class SettingsError(UserError):
    """Settings that cannot be used.

    Args:
        mistakes: Sentences, one for each mistake.
        exit_code: 2 when the command line itself is wrong, else 1.
    """

    def __init__(self, mistakes: Sequence[str], *, exit_code: int = 2) -> None:
        super().__init__("\n".join(mistakes), exit_code=exit_code)
        self.mistakes = list(mistakes)


class Section(BaseModel):
    """A table of `ember.toml`. Frozen; unknown keys are mistakes.

    Every secret `x` may be set by `x_file`, the path of a file with the secret (Docker and
    Kubernetes secrets). White space around the secret is dropped.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    @model_validator(mode="before")
    @classmethod
    def _read_secret_files(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        # Before validation, so that a secret from a file passes the same checks as any other.
        data = dict(data)
        for name in [name for name in cls.model_fields if f"{name}_file" in cls.model_fields]:
            path = data.get(f"{name}_file")
            if not path:
                continue
            if data.get(name):
                raise ValueError(f"`{name}` and `{name}_file` are both set; keep one of them")
            try:
                data[name] = Path(path).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeError) as error:
                raise ValueError(f"`{name}_file` cannot be read ({error})") from None
        return data


def split_list(value: Any) -> Any:
    """Split the text of an environment variable: a JSON list, or names with commas between them."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.startswith("["):
        return json.loads(text)
    return [part.strip() for part in text.split(",") if part.strip()]


def split_table(value: Any) -> Any:
    """Split the text of an environment variable: a JSON object, or `name=value,name=value`."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.startswith("{"):
        return json.loads(text)
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    return {name.strip(): value_text.strip() for name, _, value_text in pairs}


Names = Annotated[tuple[str, ...], BeforeValidator(split_list)]
Table = Annotated[dict[str, str], BeforeValidator(split_table)]
