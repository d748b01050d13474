"""Tools for tests of a deployment: a broker in memory, the service on it, and a small model.

None is for production. Importing them is quick: heavy packages are imported when they are used.
"""

from .embedded_broker import NOT_FOR_PRODUCTION as NOT_FOR_PRODUCTION
from .embedded_broker import EmbeddedBroker as EmbeddedBroker
from .embedded_broker import EmbeddedBrokerError as EmbeddedBrokerError
from .embedded_service import EmbeddedService as EmbeddedService
from .embedded_service import ServiceError as ServiceError
from .events import Event as Event
from .small_model import simulate_rows as simulate_rows
from .small_model import small_model as small_model
