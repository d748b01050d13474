"""OpenAPI document of the API, made from the types of its endpoints."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from stream.version import version

from .answers import ErrorAnswer
from .endpoint import Endpoint

_REFERENCE = "#/components/schemas/{name}"
_NAME = re.compile(r"\{(\w+)(?::\w+)?\}")


def openapi(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of some endpoints.

    Args:
        endpoints: The endpoints.
    """
    types: list[Any] = [ErrorAnswer]
    for endpoint in endpoints:
        types += [endpoint.answer, endpoint.query]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    paths: dict[str, Any] = {}
    pairs = iter(schemas[1:])
    for endpoint in endpoints:
        answer, query = next(pairs), next(pairs)
        path = _NAME.sub(r"{\1}", endpoint.path)
        paths.setdefault(path, {})[endpoint.method.lower()] = _operation(
            endpoint, answer, query, components
        )
    queries = {endpoint.query.__name__ for endpoint in endpoints if endpoint.method != "POST"}
    body_schemas = {name: schema for name, schema in components.items() if name not in queries}
    return {
        "openapi": "3.1.0",
        "info": {"title": "ember console", "version": version()},
        "paths": paths,
        "components": {
            "schemas": body_schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(
    endpoint: Endpoint, answer: Any, query: Any, components: dict[str, Any]
) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _NAME.findall(endpoint.path)
    ]
    operation: dict[str, Any] = {
        "operationId": f"{endpoint.method.lower()}_{endpoint.run.__name__}",
        "summary": endpoint.summary,
        "responses": {
            "200": _response("Answer.", answer),
            "4XX": _response("Refused, with the reason.", {"$ref": _reference(ErrorAnswer)}),
        },
    }
    if endpoint.method == "POST":
        content = {"application/json": {"schema": query}}
        operation["requestBody"] = {"required": True, "content": content}
    else:
        schema = components.get(endpoint.query.__name__, {})
        for name, field in schema.get("properties", {}).items():
            is_required = name in schema.get("required", ())
            parameters.append(
                {"name": name, "in": "query", "required": is_required, "schema": field}
            )
    if endpoint.method != "GET":
        header = {"name": "X-Ember-CSRF", "in": "header", "required": True}
        parameters.append({**header, "schema": {"type": "string"}})
    if endpoint.writes:
        operation["security"] = [{"token": []}]
    return {**operation, "parameters": parameters}


def _reference(kind: type) -> str:
    return _REFERENCE.format(name=kind.__name__)


def _response(description: str, schema: Any) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
