"""The model of traitlets against traitlets itself, on configurations that nobody would write."""

from __future__ import annotations

import json
import types
from typing import TYPE_CHECKING, Any

import traitlets
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from traitlets.config import Application, Config, LoggingConfigurable

from validate.binderhub.precedence import Settings
from validate.binderhub.traits import Trait, TraitSchema

if TYPE_CHECKING:
    from validate.binderhub.trait_types import TraitType

SCHEMA = TraitSchema.load()
QUICK = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


class ByteSpecification(traitlets.Integer):
    """A size in bytes, as binderhub.utils describes it."""

    allow_none = True

    def validate(self, _: Any, value: Any) -> int:
        if isinstance(value, int | float):
            return int(value)
        refusal = traitlets.TraitError(
            f"{value} is not a valid memory specification. Must be an int or a string with suffix K, M, G, T"
        )
        try:
            number = float(value[:-1])
        except ValueError:
            raise refusal from None
        if value[-1] not in "KMGT":
            raise refusal
        return int(number * 1024 ** (1 + "KMGT".index(value[-1])))


def real_type(kind: TraitType, **options: Any) -> traitlets.TraitType[Any, Any]:
    """Return the trait of traitlets that a recorded type names."""
    options["allow_none"] = kind.allow_none
    parts = [real_type(part) for part in kind.parts]
    match kind.kind:
        case "ByteSpecification":
            return ByteSpecification(options.get("default_value", 0))
        case "Dict":
            default = options.get("default_value")
            return traitlets.Dict({} if default is None else default, allow_none=kind.allow_none)
        case "List" | "Set":
            return getattr(traitlets, kind.kind)(*parts, default_value=options.get("default_value") or [])
        case "Enum":
            return traitlets.Enum(Application.log_level.values, default_value=20)
        case "Type":
            path = kind.description.split("'")[1]
            module, _, name = path.rpartition(".")
            wanted = types.new_class(name, exec_body=lambda body: body.update(__module__=module))
            return traitlets.Type(wanted, klass=wanted, allow_none=kind.allow_none)
        case "Union":
            return traitlets.Union(parts, default_value="")
        case _:
            return getattr(traitlets, kind.kind)(**options)


def real_trait(trait: Trait) -> traitlets.TraitType[Any, Any]:
    options: dict[str, Any] = {}
    if not trait.computed and not (trait.default is None and not trait.type.allow_none):
        options["default_value"] = trait.default
    return real_type(trait.type, **options).tag(config=True)


def own_traits(name: str) -> dict[str, Any]:
    """Return the members of a class of BinderHub that its base classes do not have."""
    known = SCHEMA.classes[name]
    inherited = {trait for base in known.bases if base in SCHEMA.classes for trait in SCHEMA.traits(base)}
    inherited |= set(Application.class_trait_names())
    return {trait: real_trait(each) for trait, each in SCHEMA.traits(name).items() if trait not in inherited}


def copy_to_successor(app: Any, change: Any) -> None:
    class_name, trait = SCHEMA.traits("BinderHub")[change.name].successor or ("", "")
    app.config[class_name][trait] = change.new


def only_unix(_: Any, proposal: Any) -> Any:
    SCHEMA.validate("build_docker_host", proposal.value)
    return proposal.value


COPIED = [name for name, trait in SCHEMA.traits("BinderHub").items() if trait.successor]
COPIED.remove("build_max_age")
RealBinderHub = type(
    "BinderHub",
    (Application,),
    {
        **{name: trait for name, trait in own_traits("BinderHub").items() if trait is not None},
        "build_class": traitlets.Any(),
        "copy": traitlets.observe(*COPIED)(copy_to_successor),
        "only_unix": traitlets.validate("build_docker_host")(only_unix),
    },
)
RealBuildExecutor = type("BuildExecutor", (LoggingConfigurable,), own_traits("BuildExecutor"))
RealExecutor = type(
    "KubernetesBuildExecutor",
    (RealBuildExecutor,),
    {
        **own_traits("KubernetesBuildExecutor"),
        # Overridden with another default.
        "push_secret": traitlets.Unicode("binder-build-docker-config").tag(config=True),
    },
)


def outcome(function: Any) -> Any:
    try:
        return function()
    except Exception as error:  # noqa: BLE001 - the exception is the result
        return f"{type(error).__name__}: {error}"


scalars = st.none() | st.booleans() | st.integers(-2, 200) | st.sampled_from(["", "x", "1G", "512Mi", 0.5])
odd_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
)


every_trait = st.sampled_from(
    [
        (name, trait)
        for name, known in SCHEMA.classes.items()
        if not known.open
        for trait in SCHEMA.traits(name).values()
        # Most traits are strings; one of each kind in each class is as good as all of them.
        if trait is next(each for each in SCHEMA.traits(name).values() if each.type == trait.type)
    ]
)


@given(owned=every_trait, value=odd_values)
@settings(parent=QUICK, max_examples=60)
def test_each_trait_refuses_what_traitlets_refuses_in_the_same_words(
    owned: tuple[str, Trait], value: Any
) -> None:
    class_name, trait = owned
    # What names a class is looked up in BinderHub itself, and BinderHub's Python slices dicts differently.
    assume(not (trait.type.kind == "Type" and isinstance(value, str)))
    assume(not (trait.type.kind == "ByteSpecification" and isinstance(value, dict)))
    assume(not (trait.type.kind == "Set" and isinstance(value, list) and len(value) > 1))
    real = type(class_name, (LoggingConfigurable,), {trait.name: real_trait(trait)})
    theirs = outcome(lambda: getattr(real(config=Config({class_name: {trait.name: value}})), trait.name))
    ours = outcome(lambda: trait.type.accept(value, trait.name, class_name))
    if isinstance(theirs, set):
        theirs = sorted(theirs)
    assert ours == theirs


executor_traits = st.sampled_from([*SCHEMA.traits("KubernetesBuildExecutor"), "nodeSelector"])
likely_values = st.sampled_from(
    ["a", "b", "/var/run/docker.sock", "unix:///a", 0, "1G", {}, {"a": "b"}, ["a"], None]
)
executor_section = st.dictionaries(executor_traits, likely_values | odd_values, max_size=4)
nested_sections = st.dictionaries(
    st.sampled_from(["LoggingConfigurable", "BuildExecutor", "KubernetesBuildExecutor"]),
    executor_section,
    max_size=2,
)
application_section = st.builds(
    lambda traits, nested: {**traits, **nested},
    st.dictionaries(
        st.sampled_from([*COPIED, "port", "image_prefix", "nonsense"]), likely_values, max_size=3
    ),
    nested_sections,
)
configurations = st.builds(
    lambda flat, application, base: {**flat, **application, **base},
    nested_sections,
    st.fixed_dictionaries({}, optional={"BinderHub": application_section}),
    st.fixed_dictionaries({}, optional={"Application": application_section}),
)


def holds_a_byte_size_in_a_mapping(config: Any) -> bool:
    return isinstance(config, dict) and any(
        (key.endswith(("memory_limit", "memory_request")) and isinstance(value, dict))
        or holds_a_byte_size_in_a_mapping(value)
        for key, value in config.items()
    )


@given(config=configurations)
@settings(parent=QUICK, max_examples=60)
def test_the_executor_holds_what_traitlets_merges_and_fails_as_it_does(config: dict[str, Any]) -> None:
    assume(not holds_a_byte_size_in_a_mapping(config))

    def theirs() -> dict[str, Any]:
        executor = RealExecutor(parent=RealBinderHub(config=Config(json.loads(json.dumps(config)))))
        return {name: getattr(executor, name) for name in SCHEMA.traits("KubernetesBuildExecutor")}

    def ours() -> dict[str, Any]:
        model = Settings(config)
        model.load("BinderHub")
        loaded = model.load("KubernetesBuildExecutor")
        for name in SCHEMA.traits("KubernetesBuildExecutor"):
            deciding = [setter.path for setter in model.setters("KubernetesBuildExecutor", name)[:1]]
            assert deciding == ([loaded[name].path] if name in loaded else [])
        defaults = RealExecutor()
        return {
            name: loaded[name].value if name in loaded else getattr(defaults, name)
            for name in SCHEMA.traits("KubernetesBuildExecutor")
        }

    assert outcome(ours) == outcome(theirs)
