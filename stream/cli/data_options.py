"""Options of the commands that read recorded telemetry; apart, because they import NumPy."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ember_core.data.sources import DataOptions as DataOptions

DataFiles = Annotated[list[str], Parameter(required=True)]
DataArgs = Annotated[DataOptions, Parameter(name="*")]
