"""`ember mcp`: the console as tools for assistants."""

from __future__ import annotations

from .options import SettingsArgs, SettingsOptions


def mcp(*, url: str = "", write: bool = False, source: SettingsArgs = SettingsOptions()) -> None:
    """Serve tools of the Model Context Protocol over stdin and stdout, for an assistant.

    They ask a console (`ember console`): alerts and their reasons, episodes of a key, its values
    beside the usual band, incidents, and which pages other rules would have sent. They change
    nothing unless --write is given.

    Args:
        url: Address of the console. Default: console.host and console.port.
        write: Also let the assistant give feedback, acknowledge and silence, in the name of
            console.user and with console.token.
        source: Settings file.
    """
    from stream.mcp_server import serve
    from stream.settings import Settings

    serve(Settings.load(source.config), url, writes=write)
