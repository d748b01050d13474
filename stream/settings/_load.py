"""Loader of the settings: layers, sources, and mistakes as sentences."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self, cast

from pydantic import (
    BaseModel,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from stream.rekeying import rekey_topic
from stream.types import ONE_METRIC_CODECS

from ._base import SettingsError
from ._channels import ChannelRule, ChannelsSection
from ._console import ConsoleSection
from ._control import ControlSection
from ._detection import AlertsSection, ModelSection, OutputKind, OutputSection
from ._incidents import IncidentsSection
from ._input import InputSection, WindowSection
from ._kafka import KafkaSection, plain_names
from ._learning import LearnSection
from ._operation import (
    CheckpointSection,
    DeadLettersSection,
    HttpSection,
    LogSection,
    StateSection,
    SupervisionSection,
    TracesSection,
)
from ._receivers import (
    AlertmanagerSection,
    EmailSection,
    PagerdutySection,
    SlackSection,
    WebhookSection,
)
from ._remote_write import RemoteWriteSection

DEFAULT_FILE = Path("ember.toml")
_PREFIX = "EMBER_"
_REPLACED = {"kafka.auto.offset.reset": "input.start"}
"""Kafka's name of a setting -> Ember's setting in its place."""


def env_name(section: str, key: str) -> str:
    """Return the environment variable of a setting, for example `EMBER_KAFKA__GROUP`."""
    return f"{_PREFIX}{section}__{key}".upper()


def colours_wanted() -> bool:
    """Tell if the environment allows colours; `NO_COLOR` is the convention of no-color.org."""
    return not os.environ.get("NO_COLOR")


class Settings(BaseSettings):
    """All settings. Frozen. `Settings.load()` reads file and environment; `Settings()` neither."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter="__",
        enable_decoding=False,  # lists may be written with commas, see `_base.Names`
        frozen=True,
        extra="forbid",
        validate_default=False,
    )

    kafka: KafkaSection = Field(default=KafkaSection(), description="Kafka cluster.")
    input: InputSection = Field(default=InputSection(), description="Input topics and codec.")
    window: WindowSection = Field(
        default=WindowSection(), description="Windowing of samples into rows."
    )
    channels: ChannelsSection = Field(
        default=ChannelsSection(), description="Use of the channels, and computed ones."
    )
    model: ModelSection = Field(default=ModelSection(), description="Model bundle and warm-up.")
    learn: LearnSection = Field(
        default=LearnSection(), description="Training of the model from the input topics."
    )
    alerts: AlertsSection = Field(
        default=AlertsSection(), description="Thresholds and budget of alerts."
    )
    control: ControlSection = Field(
        default=ControlSection(), description="Documents of operators, followed while running."
    )
    output: OutputSection = Field(default=OutputSection(), description="Output topics.")
    checkpoint: CheckpointSection = Field(default=CheckpointSection(), description="Durability.")
    state: StateSection = Field(default=StateSection(), description="Keyed state of a worker.")
    supervision: SupervisionSection = Field(
        default=SupervisionSection(), description="Limits after which a stuck worker ends itself."
    )
    http: HttpSection = Field(default=HttpSection(), description="Metrics and health.")
    dead_letters: DeadLettersSection = Field(
        default=DeadLettersSection(), description="Refused messages."
    )
    log: LogSection = Field(default=LogSection(), description="Messages on stderr.")
    traces: TracesSection = Field(default=TracesSection(), description="OpenTelemetry.")
    incidents: IncidentsSection = Field(
        default=IncidentsSection(), description="Keys that fire together."
    )
    alertmanager: AlertmanagerSection = Field(
        default=AlertmanagerSection(), description="Target of `ember bridge alertmanager`."
    )
    webhook: WebhookSection = Field(
        default=WebhookSection(), description="Target of `ember bridge webhook`."
    )
    slack: SlackSection = Field(
        default=SlackSection(), description="Target of `ember bridge slack`."
    )
    pagerduty: PagerdutySection = Field(
        default=PagerdutySection(), description="Target of `ember bridge pagerduty`."
    )
    email: EmailSection = Field(
        default=EmailSection(), description="Target of `ember bridge email`."
    )
    remote_write: RemoteWriteSection = Field(
        default=RemoteWriteSection(), description="Target of `ember remote-write`."
    )

    console: ConsoleSection = Field(
        default=ConsoleSection(), description="Pages and API of `ember console`."
    )

    _sources: dict[str, str] = PrivateAttr(default_factory=dict)
    _origin: tuple[Path | None, dict[str, Any]] = PrivateAttr(default=(None, {}))
    _worker: int | None = PrivateAttr(default=None)
    _profile: tuple[tuple[str, ...], str] | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _window_mode_follows_codec(self) -> Self:
        if self.input.codec in ONE_METRIC_CODECS and "mode" not in self.window.model_fields_set:
            # A copy with a set value, so that a copy of these settings does not ask again.
            self.__dict__["window"] = self.window.model_copy(update={"mode": "time"})
            self._sources["window.mode"] = f"default of codec {self.input.codec}"
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Accept arguments only: `load` merges the layers itself, to know each value's source."""
        return (init_settings,)

    @classmethod
    def load(cls, config: Path | None = None, **overrides: Any) -> Self:
        """Read flags, environment, file and defaults; the first that has a value wins.

        Args:
            config: Settings file; None reads `ember.toml` in the working directory if it exists.
            **overrides: Flags, as sections (`kafka={"group": "x"}`) or single values
                (`kafka__group="x"`). None stands for a flag that was not set.

        Raises:
            SettingsError: One sentence for each mistake, in any of the layers.
        """
        # All layers are read before anything is validated, so that one run reports every mistake.
        merged: dict[str, dict[str, Any]] = {}
        sources: dict[str, str] = {}
        mistakes: list[str] = []
        for layer in _layers(config, overrides, mistakes):
            for section, key, value, source in layer:
                table = merged.setdefault(section, {})
                # A secret and the file that holds it are one setting.
                table.pop(f"{key}_file", None)
                table.pop(key.removesuffix("_file"), None)
                table[key] = value
                sources[f"{section}.{key}"] = source
        settings: Self | None = None
        try:
            settings = cls.model_validate(merged)
        except ValidationError as error:
            mistakes += _sentences(error, sources)
        if mistakes or settings is None:
            raise SettingsError(mistakes)
        settings._sources.update(sources)  # noqa: SLF001  # our own
        settings._origin = (config, overrides)  # noqa: SLF001
        return settings

    def reread(self) -> Self:
        """Read the same flags, the environment and the file again.

        Raises:
            SettingsError: One sentence for each mistake.
        """
        config, overrides = self._origin
        settings = self.load(config, **overrides)
        return settings if self._worker is None else settings.for_worker(self._worker)

    def for_worker(self, index: int) -> Self:
        """Return the settings of one of several workers on a host: own port, own instance id."""
        port, instance = self.http.port, self.kafka.instance_id
        # Port 0 (any free port) and an empty instance id (dynamic membership) stay as they are.
        settings = self.model_copy(
            update={
                "http": self.http.model_copy(update={"port": port and port + index}),
                "kafka": self.kafka.model_copy(
                    update={"instance_id": instance and f"{instance}-{index}"}
                ),
            }
        )
        settings._worker = index  # noqa: SLF001  # our own
        return settings

    @property
    def engine_topics(self) -> tuple[str, ...]:
        """Topics that the engine reads: the input topics, or that of re-keyed records."""
        return (rekey_topic(self.kafka.group),) if self.input.rekey else self.input.topics

    @property
    def model_topic(self) -> str:
        """Topic that brings the model's bundles; empty where `model.path` does."""
        return self.model.topic.replace("<group>", self.kafka.group)

    @property
    def control_topic(self) -> str:
        """Topic of the documents of operators; empty where nobody follows them."""
        topic = self.control.topic.replace("<group>", self.kafka.group)
        return topic if self.control.enabled else ""

    @property
    def model_topics(self) -> tuple[str, ...]:
        """Topics that bring the bundles, one for each profile; empty where folders do."""
        return tuple(each.model_topic for each in self.by_profile.values() if each.model_topic)

    @property
    def by_profile(self) -> dict[str, Self]:
        """Settings of each profile by its pattern, as those of a service of one model.

        Those of the keys of no profile are under the empty pattern. With `model.topic` each has a
        topic of its own.
        """
        section = self.model
        if not section.profiles:
            return {"": self}
        names = {pattern: f"-{name}" for pattern, name in section.profiles.items()}
        if section.other_keys is not None:
            names[""] = ""
        views = {}
        for pattern, name in names.items():
            update: dict[str, Any] = {"profiles": {}, "shadow_profile": ""}
            if section.topic:
                update["topic"] = section.topic + name
            elif pattern:
                update["path"] = section.profiles[pattern]
            view = self.model_copy(update={"model": section.model_copy(update=update)})
            view._profile = tuple(section.profiles), pattern  # noqa: SLF001  # our own
            views[pattern] = view
        return views

    @property
    def profile(self) -> tuple[tuple[str, ...], str] | None:
        """Patterns of all profiles, and that of the one these settings are of; None: of no one."""
        return self._profile

    @property
    def streams(self) -> tuple[str, ...]:
        """Names that stand for `<input>` in the output topics; joined input topics have one."""
        topics = self.input.topics
        return (self.kafka.group,) if self.input.rekey and len(topics) > 1 else topics

    def output_topics(self, kind: OutputKind) -> tuple[str, ...]:
        """Return the output topics of a kind, of all streams.

        Messages that are refused while they are re-keyed go to the dead letters of their own topic.
        """
        refused = self.input.topics if kind == "dead_letters" else ()
        names = [self.output.topic(kind, stream) for stream in (*self.streams, *refused)]
        return tuple(dict.fromkeys(names))

    @property
    def stream_names(self) -> dict[str, str]:
        """Names of streams by the topic that the engine reads, where the two differ."""
        return dict.fromkeys(self.engine_topics, self.streams[0]) if self.input.rekey else {}

    @model_validator(mode="after")
    def _rekeying_reads_other_topics(self) -> Self:
        topic = rekey_topic(self.kafka.group)
        if self.input.rekey and topic in self.input.topics:
            raise ValueError(
                f"`input.topics` has {topic!r}, to which re-keying writes. Expected the topics of "
                "your telemetry. Take it out, or set `input.rekey` to false"
            )
        return self

    @model_validator(mode="after")
    def _learning_publishes(self) -> Self:
        if not self.learn.enabled:
            return self
        if not self.model.topic:
            raise ValueError(
                "`learn.enabled` needs a topic to publish the model to. Expected `model.topic`, "
                "for example \"<group>-model\". Received: model.topic=''"
            )
        if self.model.public_key is not None and self.learn.private_key is None:
            raise ValueError(
                "`learn.enabled` makes bundles that nobody signs, and `model.public_key` refuses "
                "them. Expected `learn.private_key`, or no `model.public_key`"
            )
        return self

    def source(self, section: str, key: str) -> str:
        """Return the source of a value: `flag`, a variable's name, a file's name, or `default`."""
        name = f"{section}.{key}"
        return self._sources.get(name) or self._sources.get(f"{name}_file") or "default"


_Leaf = tuple[str, str, Any, str]


def _layers(
    config: Path | None, overrides: Mapping[str, Any], mistakes: list[str]
) -> Iterator[Iterator[_Leaf]]:
    """Iterate over the layers from weakest to strongest, each as (section, key, value, source)."""
    path = config or (DEFAULT_FILE if DEFAULT_FILE.is_file() else None)
    if path is not None:
        yield _leaves(_read_toml(path), lambda section, key: str(path), mistakes)
    variables = EnvSettingsSource(Settings)()
    mistakes += _lost_variables()
    yield _leaves(variables, env_name, mistakes)
    yield _leaves(_nest(overrides), lambda section, key: "flag", mistakes)


def _leaves(layer: Mapping[str, Any], source: Any, mistakes: list[str]) -> Iterator[_Leaf]:
    for section, table in layer.items():
        if section not in Settings.model_fields:
            origin = source(section, "")
            hint = _close(section, Settings.model_fields)
            mistakes.append(f"`[{section}]` is not a section of the settings ({origin}).{hint}")
        elif section == "channels" and isinstance(table, list):  # `[[channels]]`
            yield section, "rules", table, source(section, "rules")
        elif not isinstance(table, Mapping):
            origin = source(section, "").rstrip("_")
            mistakes.append(
                f"`{section}` is a section, not a value. Expected `[{section}]` with keys below it."
                f" Received: {section}={table!r} ({origin})."
            )
        else:
            values = plain_names(dict(table)) if section == "kafka" else table
            for key, value in values.items():
                if value is not None:
                    yield section, key, value, source(section, key)


def _nest(overrides: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in overrides.items():
        section, _, key = name.replace(".", "__", 1).partition("__")
        if key:
            nested.setdefault(section, {})[key] = value
        elif isinstance(value, BaseModel):
            nested.setdefault(section, {}).update(value.model_dump(exclude_unset=True))
        elif isinstance(value, Mapping):
            nested.setdefault(section, {}).update(value)
        elif value is not None:
            nested[section] = value
    return nested


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeError) as error:
        raise SettingsError([f"{path} is not valid TOML: {error}."]) from None
    except OSError as error:
        cause = error.strerror or error
        raise SettingsError([f"The settings file {path} cannot be read: {cause}."]) from None


def _lost_variables() -> list[str]:
    """Report variables that look like settings and would be ignored silently."""
    names = {
        env_name(section, key): (section, key)
        for section, field in Settings.model_fields.items()
        for key in cast("type[BaseModel]", field.annotation).model_fields
    }
    # Names written with one underscore in place of two: `EMBER_KAFKA_GROUP`.
    blurred = {name.replace("__", "_"): name for name in names}
    mistakes = []
    for name, value in os.environ.items():
        upper = name.upper()
        if not upper.startswith(_PREFIX) or upper in names:
            continue
        section, delimiter, _ = upper.removeprefix(_PREFIX).partition("__")
        if delimiter and section.lower() not in Settings.model_fields:
            hint = _close(upper, names)
            mistakes.append(f"`{name}` names no section of the settings.{hint}")
        elif upper in blurred and "://" not in value:  # Kubernetes: a service named ember-http
            mistakes.append(f"`{name}` is not a setting. Did you mean `{blurred[upper]}`?")
    return mistakes


def _close(name: str, known: Any) -> str:
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean `{matches[0]}`?" if matches else ""


def _sentences(error: ValidationError, sources: Mapping[str, str]) -> list[str]:
    sentences = []
    for problem in error.errors():
        if not problem["loc"]:  # of several sections together: the sentence names them
            sentences.append(problem["msg"].removeprefix("Value error, ") + ".")
            continue
        section, *path = (str(part) for part in problem["loc"])
        key = path[0] if path else ""
        name = f"{section}.{key}" if key else section
        origin = f" ({sources[name]})" if name in sources else ""
        fields = cast("type[BaseModel]", Settings.model_fields[section].annotation).model_fields
        if section == "channels" and len(path) > 1:
            number = f"Rule {int(path[1]) + 1} of `[[channels]]` cannot be used{origin}"
            sentences.append(f"{number}. {_rule_problem(problem, path[2:])}")
            continue
        if problem["type"] == "extra_forbidden":
            hint = f" Use `{_REPLACED[name]}`." if name in _REPLACED else _close(key, fields)
            sentences.append(f"`{name}` is not a setting{origin}.{hint}")
            continue
        cause = problem["msg"].removeprefix("Value error, ")
        cause = cause[0].upper() + cause[1:]  # messages of our own validators begin in lower case
        if not key:
            sentences.append(f"`[{section}]` cannot be used. {cause}.")
            continue
        value = problem["input"]
        shown_value = "(secret)" if fields[key].annotation is SecretStr else repr(value)
        hint = ""
        if problem["type"] == "literal_error" and isinstance(value, str):
            expected = problem["ctx"]["expected"]
            hint = _close(value, [part for part in expected.split("'") if part.strip(" ,or")])
        received = f"Received: {key}={shown_value}{origin}."
        sentences.append(f"`{name}` has a value that cannot be used. {cause}. {received}{hint}")
    return sentences


def _rule_problem(problem: Any, path: list[str]) -> str:
    """Return the problem of one rule of the channels in a sentence."""
    if problem["type"] == "extra_forbidden":
        return f"`{path[0]}` is no key of a rule.{_close(path[0], ChannelRule.model_fields)}"
    cause = problem["msg"].removeprefix("Value error, ")
    return f"{cause[0].upper()}{cause[1:]}. Received: {problem['input']!r}."
