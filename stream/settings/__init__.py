"""Settings of the service, and the only reader of its environment variables.

Flags beat the environment (`EMBER_SECTION__KEY`), which beats the file (`ember.toml`), which beats
the defaults. `Settings.load()` reads all of them; `Settings()` holds the defaults, whatever the
environment contains.

Examples:
    >>> from stream.settings import Settings
    >>> Settings(input={"topics": ["metrics"]}).output.topic("anomalies", "metrics")
    'metrics.anomalies'
"""

from ._base import Section as Section
from ._base import SettingsError as SettingsError
from ._channels import ChannelRule as ChannelRule
from ._channels import ChannelsSection as ChannelsSection
from ._console import ConsoleSection as ConsoleSection
from ._detection import AlertsSection as AlertsSection
from ._detection import ModelSection as ModelSection
from ._detection import OutputKind as OutputKind
from ._detection import OutputSection as OutputSection
from ._incidents import IncidentsSection as IncidentsSection
from ._input import InputSection as InputSection
from ._input import WindowSection as WindowSection
from ._kafka import KafkaSection as KafkaSection
from ._learning import LearnSection as LearnSection
from ._load import DEFAULT_FILE as DEFAULT_FILE
from ._load import Settings as Settings
from ._load import colours_wanted as colours_wanted
from ._load import env_name as env_name
from ._operation import CheckpointSection as CheckpointSection
from ._operation import DeadLettersSection as DeadLettersSection
from ._operation import HttpSection as HttpSection
from ._operation import LogSection as LogSection
from ._operation import StateSection as StateSection
from ._operation import SupervisionSection as SupervisionSection
from ._operation import TracesSection as TracesSection
from ._receivers import AlertmanagerSection as AlertmanagerSection
from ._receivers import CredentialsFields as CredentialsFields
from ._receivers import CredentialsSection as CredentialsSection
from ._receivers import EmailSection as EmailSection
from ._receivers import GroupFields as GroupFields
from ._receivers import HttpFields as HttpFields
from ._receivers import HttpReceiverSection as HttpReceiverSection
from ._receivers import PagerdutySection as PagerdutySection
from ._receivers import ReceiverSection as ReceiverSection
from ._receivers import SlackSection as SlackSection
from ._receivers import TlsFields as TlsFields
from ._receivers import WebhookSection as WebhookSection
from ._remote_write import RemoteWriteSection as RemoteWriteSection
from ._show import json_schema as json_schema
from ._show import render_json as render_json
from ._show import render_toml as render_toml
from ._topics import name_fault as name_fault
