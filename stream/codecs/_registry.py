"""Client of Confluent's schema registry: the calls that reading needs."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from typing import Any, TypeVar

from stream.errors import UserError
from stream.http_client import opener

_TIMEOUT_SECONDS = 5.0
_NOT_FOUND = 404
_MOST_REFERENCES = 200

_T = TypeVar("_T")


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
        """Return an Avro schema as parsed JSON; None when the registry has no such one.

        Where it refers to others: `{"references": [..], "schema": ..}`, each after those that it
        refers to.

        Raises:
            RegistryUnavailable: If the registry does not answer, or not with a schema.
        """
        schema = self._with_references(schema_id, "AVRO", "")
        if schema is None:
            return None
        text, references = schema
        if not references:
            return self._checked(schema_id, json.loads, text)
        parsed = [self._checked(schema_id, json.loads, schema) for _, schema in references]
        return {"references": parsed, "schema": self._checked(schema_id, json.loads, text)}

    def protobuf_schema(self, schema_id: int) -> Any:
        """Return the descriptors of a protobuf schema; None when the registry has no such one.

        Returns:
            `{"file": .., "dependencies": [{"name": .., "file": ..}, ..]}`, serialized in base64;
            from a registry that cannot do so, the text of the .proto files.

        Raises:
            RegistryUnavailable: If the registry does not answer, or not with a schema.
        """
        schema = self._with_references(schema_id, "PROTOBUF", "?format=serialized")
        if schema is None:
            return None
        text, references = schema
        dependencies = [{"name": name, "file": schema} for name, schema in references]
        return {"file": text, "dependencies": dependencies}

    def _with_references(
        self, schema_id: int, kind: str, query: str
    ) -> tuple[str, list[tuple[str, str]]] | None:
        """Return a schema and those that it refers to, by name; None when any is missing."""
        reply = self._get(schema_id, f"/schemas/ids/{schema_id}{query}")
        if reply is None or reply.get("schemaType", "AVRO") != kind:
            return None
        references: dict[str, str] = {}
        if not self._collect(schema_id, reply, query, references):
            return None
        return self._checked(schema_id, _text, reply), list(references.items())

    def _collect(
        self, schema_id: int, reply: dict[str, Any], query: str, references: dict[str, str]
    ) -> bool:
        """Add the schemas that a reply refers to, the deepest first; tell if all are there."""
        for reference in reply.get("references") or ():
            name, subject, version = self._checked(schema_id, _coordinates, reference)
            if name in references:
                continue
            if len(references) >= _MOST_REFERENCES:
                return False
            references[name] = ""  # a circle ends here
            path = f"/subjects/{urllib.parse.quote(subject, safe='')}/versions/{version}{query}"
            referred = self._get(schema_id, path)
            if referred is None or not self._collect(schema_id, referred, query, references):
                return False
            del references[name]  # behind those that it refers to
            references[name] = self._checked(schema_id, _text, referred)
        return True

    def _get(self, schema_id: int, path: str) -> dict[str, Any] | None:
        """Return the JSON object at a path; None when the registry says that there is none."""
        address = self._url + path
        request = urllib.request.Request(address, headers=self._headers)  # noqa: S310  # http(s) only
        try:
            with self._opener.open(request, timeout=_TIMEOUT_SECONDS) as answer:
                reply = json.load(answer)
            if isinstance(reply, dict) and "schema" in reply:
                return reply
            cause = "the answer has no schema"
        except urllib.error.HTTPError as error:
            with error:
                if error.code == _NOT_FOUND:
                    return None
            cause = f"HTTP {error.code} {error.reason}".rstrip()
        except (OSError, HTTPException, ValueError, RecursionError) as error:
            cause = str(error)
        raise self._unavailable(schema_id, cause)

    def _checked(self, schema_id: int, read: Callable[[Any], _T], part: Any) -> _T:
        """Read a part of an answer; one of another form is no answer."""
        try:
            return read(part)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise self._unavailable(schema_id, str(error)) from None

    def _unavailable(self, schema_id: int, cause: str) -> RegistryUnavailable:
        return RegistryUnavailable(
            f"The schema registry gave no schema {schema_id}: {cause}. Expected an answer from "
            f"{self._url}/schemas/ids/{schema_id}. Check input.schema_registry_url; nothing is "
            "lost: the partition waits for the schema."
        )


def _coordinates(reference: Any) -> tuple[str, str, int]:
    return str(reference["name"]), str(reference["subject"]), int(reference["version"])


def _text(reply: Any) -> str:
    return str(reply["schema"])
