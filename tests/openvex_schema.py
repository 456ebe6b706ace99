"""OpenVEX 0.2.0 as a JSON schema, written from the tables of its specification (https://github.com/openvex/spec)."""

from typing import Any

TEXT = {"type": "string", "minLength": 1}
IRI = {"type": "string", "pattern": r"^[a-z][a-z0-9+.-]*:[!-~]+$"}
TIME = {"type": "string", "format": "date-time", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}

COMPONENT: dict[str, Any] = {
    "@id": IRI,
    "identifiers": {
        "type": "object",
        "properties": {"purl": TEXT, "cpe22": TEXT, "cpe23": TEXT},
        "additionalProperties": False,
        "minProperties": 1,
    },
    "hashes": {
        "type": "object",
        "properties": {"sha-256": {"pattern": "^[0-9a-f]{64}$"}},
        "additionalProperties": False,
    },
}
NAMED = {
    "type": "object",
    "additionalProperties": False,
    "anyOf": [{"required": ["@id"]}, {"required": ["identifiers"]}],
}


def _list(item: Any) -> dict[str, Any]:
    return {"type": "array", "items": item, "minItems": 1, "uniqueItems": True}


def _where(status: str, *needed: str) -> dict[str, Any]:
    wanted = {"anyOf": [{"required": [each]} for each in needed]}
    return {"if": {"properties": {"status": {"const": status}}}, "then": wanted}


JUSTIFICATIONS = (
    "component_not_present",
    "vulnerable_code_not_present",
    "vulnerable_code_not_in_execute_path",
    "vulnerable_code_cannot_be_controlled_by_adversary",
    "inline_mitigations_already_exist",
)

STATEMENT = {
    "type": "object",
    "properties": {
        "vulnerability": {
            "type": "object",
            "properties": {"@id": IRI, "name": TEXT, "description": TEXT, "aliases": _list(TEXT)},
            "required": ["name"],
            "additionalProperties": False,
        },
        "products": _list(
            NAMED | {"properties": COMPONENT | {"subcomponents": _list(NAMED | {"properties": COMPONENT})}}
        ),
        "status": {"enum": ["not_affected", "affected", "fixed", "under_investigation"]},
        "justification": {"enum": list(JUSTIFICATIONS)},
        **dict.fromkeys(("status_notes", "impact_statement", "action_statement", "supplier"), TEXT),
        **dict.fromkeys(("timestamp", "last_updated", "action_statement_timestamp"), TIME),
    },
    "required": ["vulnerability", "products", "status"],
    "additionalProperties": False,
    "allOf": [_where("not_affected", "justification", "impact_statement"), _where("affected", "action_statement")],
}

DOCUMENT = {
    "type": "object",
    "properties": {
        "@context": {"const": "https://openvex.dev/ns/v0.2.0"},
        "@id": IRI,
        **dict.fromkeys(("author", "role", "tooling"), TEXT),
        **dict.fromkeys(("timestamp", "last_updated"), TIME),
        "version": {"type": "integer", "minimum": 1},
        "statements": _list(STATEMENT),
    },
    "required": ["@context", "@id", "author", "timestamp", "version", "statements"],
    "additionalProperties": False,
}
