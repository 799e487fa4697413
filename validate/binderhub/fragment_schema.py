"""A JSON Schema of configuration fragments, so that an editor completes and checks them.

Written to ``fragment.schema.json`` by ``validate schema fragment``. It accepts what BinderHub and the
API server accept, but for curiosities such as ``port: true``. What one fragment alone does not tell,
it cannot know: a class of another package is known where the same fragment names it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from validate.binderhub.precedence import APPLICATION
from validate.binderhub.traits import TraitSchema

if TYPE_CHECKING:
    from collections.abc import Iterable

    from validate.binderhub.trait_types import TraitType
    from validate.binderhub.traits import Trait, TraitClass

# What editors know best.
_DIALECT = "http://json-schema.org/draft-07/schema#"
_CLASS_NAME = "^[A-Z]"
_OF_ANOTHER_PACKAGE = {"type": "string", "pattern": r"^(?!binderhub\.).*\."}
_STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}
_QUANTITIES = {
    "type": "object",
    "additionalProperties": {
        "type": ["string", "number"],
        "pattern": r"^[+-]?(\d+\.?\d*|\.\d+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?$",
    },
}
# What BinderHub passes on to the API server, which refuses more than the trait does.
_AT_API_SERVER: dict[str, dict[str, Any]] = {
    "extra_envs": _STRINGS,
    "node_selector": _STRINGS,
    "image_pull_secrets": {"items": {"type": "string"}},
    "resources": {
        "type": "object",
        "properties": {"limits": _QUANTITIES, "requests": _QUANTITIES},
        "additionalProperties": False,
    },
}
_KINDS: dict[str, dict[str, Any]] = {
    "Any": {},
    "Bool": {"enum": [True, False, 0, 1]},
    # Not Kubernetes' own sizes: `512M` and never `512Mi`.
    "ByteSpecification": {"type": ["number", "string"], "pattern": "[0-9.] *[KMGT]$"},
    "Dict": {"type": "object"},
    "Enum": {"enum": [0, 10, 20, 30, 40, 50, "DEBUG", "INFO", "WARN", "ERROR", "CRITICAL"]},
    "Float": {"type": "number"},
    "Integer": {"type": "integer"},
    "Type": {"type": "string", "pattern": r"\."},
    "Unicode": {"type": "string"},
}
# How the help of a trait begins that nobody should set any more.
_GOING = ("Deprecated", "Removed")
# Python objects, which no YAML holds.
_NOTHING: dict[str, Any] = {"not": {}}


def fragment_schema() -> dict[str, Any]:
    """Return the schema of one fragment: a mapping of classes to their traits."""
    schema = TraitSchema.load()
    return {
        "$schema": _DIALECT,
        "title": "Configuration of BinderHub",
        "description": f"A fragment of config.d for BinderHub {schema.version}. "
        "Written by `python -m validate schema fragment`.",
        "type": "object",
        "minProperties": 1,
        "properties": {name: {"$ref": f"#/definitions/{name}"} for name in schema.class_names},
        "additionalProperties": {"type": "object"},
        **_unless_of_another_package(
            {"required": [APPLICATION], "properties": {APPLICATION: _names_own()}},
            schema.class_names,
        ),
        "definitions": {name: _class(schema, name) for name in schema.class_names},
    }


def _class(schema: TraitSchema, name: str) -> dict[str, Any]:
    known = schema.find(name)
    assert known is not None  # noqa: S101 - for the type checker: it is one of the schema's own names
    traits = {trait: _trait(schema, known, each) for trait, each in schema.traits(name).items()}
    told: dict[str, Any] = {"type": "object"}
    if known.path:
        told["description"] = known.path
    if name != APPLICATION:
        return {**told, "properties": traits, "additionalProperties": known.open}
    inner = [each for each in schema.class_names if _reads_nested(schema, each)]
    return {
        **told,
        "properties": {**traits, **{each: {"$ref": f"#/definitions/{each}"} for each in inner}},
        **_unless_of_another_package(_names_own(), [*traits, *inner]),
    }


def _reads_nested(schema: TraitSchema, name: str) -> bool:
    known = schema.find(name)
    return known is not None and known.reads_nested


def _names_own() -> dict[str, Any]:
    """Return what holds of traits of BinderHub that name a class of another package."""
    types = [
        name for name, trait in TraitSchema.load().traits(APPLICATION).items() if trait.type.kind == "Type"
    ]
    named = [{"required": [name], "properties": {name: _OF_ANOTHER_PACKAGE}} for name in types]
    providers = {"type": "object", "not": {"additionalProperties": {"not": _OF_ANOTHER_PACKAGE}}}
    return {"anyOf": [*named, {"required": ["repo_providers"], "properties": {"repo_providers": providers}}]}


def _unless_of_another_package(condition: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return what allows these names, and any name of a class where the fragment brings its own classes."""
    known = {"enum": list(names)}
    return {
        "if": condition,
        "then": {"propertyNames": {"anyOf": [known, {"pattern": _CLASS_NAME}]}},
        "else": {"propertyNames": known},
    }


def _trait(schema: TraitSchema, owner: TraitClass, trait: Trait) -> dict[str, Any]:
    told: dict[str, Any] = {"description": trait.help} if trait.help else {}
    if trait.default is not None and not trait.computed:
        told["default"] = trait.default
    if trait.help.startswith(_GOING):
        told |= {"deprecated": True, "deprecationMessage": trait.help}
    accepted = _type(trait.type)
    target = trait.successor or (owner.name, trait.name)
    passed_on = target[0] in schema.classes["KubernetesBuildExecutor"].sections
    # `resources` is the successor of `memory_request`, which is a size and no mapping.
    if passed_on and trait.type.kind in {"Dict", "List"}:
        accepted |= _AT_API_SERVER.get(target[1], {})
    return told | accepted


def _type(kind: TraitType) -> dict[str, Any]:
    if kind.kind == "Union":
        found: dict[str, Any] = {"anyOf": [_type(part) for part in kind.parts]}
    elif kind.kind in {"List", "Set"}:
        items = {"items": _type(kind.parts[0])} if kind.parts else {}
        # traitlets takes a string for a list of one.
        found = {"type": ["array", "string"], **items}
    else:
        found = dict(_KINDS.get(kind.kind, _NOTHING))
    return {"anyOf": [found, {"type": "null"}]} if kind.allow_none else found
