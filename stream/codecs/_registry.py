"""Client of Confluent's schema registry: the one call that reading needs."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any

from stream.errors import UserError
from stream.http_client import opener

_TIMEOUT_SECONDS = 5.0
_NOT_FOUND = 404


class RegistryUnavailable(UserError):  # noqa: N818  # a state, not a mistake
    """The registry does not answer, and the schema is not known yet.

    The messages are not refused: the partition waits for the schema.
    """


class SchemaRegistry:
    """Client that fetches schemas by id.

    Args:
        url: Base URL, `http://host:port`.
        username: User, or empty.
        password: Password of the user.

    Raises:
        UserError: If the URL is neither http nor https.
    """

    def __init__(self, url: str, username: str = "", password: str = "") -> None:
        if not url.startswith(("http://", "https://")):
            raise UserError(
                "The schema registry needs a URL. Expected http://host:port or https://host:port. "
                f"Received: input.schema_registry_url={url!r}.",
                exit_code=2,
            )
        self._url = url.rstrip("/")
        self._headers = {"Accept": "application/vnd.schemaregistry.v1+json"}
        if username:
            token = base64.b64encode(f"{username}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {token}"
        self._opener = opener()

    def schema(self, schema_id: int) -> Any:
        """Return the parsed JSON of a schema; None when the registry has no Avro schema of this id.

        Raises:
            RegistryUnavailable: If the registry does not answer, or not with a schema.
        """
        address = f"{self._url}/schemas/ids/{schema_id}"
        request = urllib.request.Request(address, headers=self._headers)  # noqa: S310  # http(s) only
        try:
            with self._opener.open(request, timeout=_TIMEOUT_SECONDS) as answer:
                reply = json.load(answer)
                text = reply["schema"] if reply.get("schemaType", "AVRO") == "AVRO" else "null"
                return json.loads(text)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == _NOT_FOUND:
                    return None
            cause = f"HTTP {error.code} {error.reason}".rstrip()
        except (
            OSError,
            HTTPException,
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            RecursionError,
        ) as error:
            cause = str(error)
        raise RegistryUnavailable(
            f"The schema registry gave no schema {schema_id}: {cause}. Expected an answer from "
            f"{address}. Check input.schema_registry_url; nothing is lost: the partition waits for "
            "the schema."
        )
