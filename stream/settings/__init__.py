"""Settings of the service, and the only reader of its environment variables.

Flags beat the environment (`EMBER_SECTION__KEY`), which beats the file (`ember.toml`), which beats
the defaults. `Settings.load()` reads all of them; `Settings()` holds the defaults, whatever the
environment contains.

Examples:
    >>> from stream.settings import Settings
    >>> Settings(input={"topics": ["metrics"]}).output.topic("anomalies", "metrics")
    'metrics.anomalies'
"""

from ._alertmanager import AlertmanagerSection as AlertmanagerSection
from ._base import Section as Section
from ._base import SettingsError as SettingsError
from ._kafka import KafkaSection as KafkaSection
from ._load import Settings as Settings
from ._load import colours_wanted as colours_wanted
from ._load import env_name as env_name
from ._sections import AlertsSection as AlertsSection
from ._sections import CheckpointSection as CheckpointSection
from ._sections import DeadLettersSection as DeadLettersSection
from ._sections import HttpSection as HttpSection
from ._sections import InputSection as InputSection
from ._sections import LogSection as LogSection
from ._sections import ModelSection as ModelSection
from ._sections import OutputSection as OutputSection
from ._sections import StateSection as StateSection
from ._sections import SupervisionSection as SupervisionSection
from ._sections import TracesSection as TracesSection
from ._sections import WindowSection as WindowSection
from ._show import json_schema as json_schema
from ._show import render_json as render_json
from ._show import render_toml as render_toml
