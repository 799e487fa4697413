"""Quantities, LimitRanges and ResourceQuotas: what refuses a pod, and what just lets it pass."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from textwrap import dedent
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from validate.cluster.limits import Quantity, parse_quantity, refusals
from validate.cluster.objects import KubeObject
from validate.source import compose

NANO = 10**9
TWICE = "the limit may be 2 times the request"


# --- Quantities -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1", 1),
        (2, 2),
        (0.5, Fraction(1, 2)),
        ("500m", Fraction(1, 2)),
        ("1.5Gi", 3 * 2**29),
        ("128974848", 128974848),
        ("129e6", 129 * 10**6),
        ("129E6", 129 * 10**6),
        ("1e-3", Fraction(1, 1000)),
        ("1E", 10**18),
        ("1Ei", 2**60),
        ("1k", 1000),
        ("1Ki", 1024),
        ("100u", Fraction(1, 10**4)),
        ("100n", Fraction(1, 10**7)),
        (".5", Fraction(1, 2)),
        ("5.", 5),
        ("+5", 5),
        ("-5", -5),
        ("0.1n", Fraction(1, NANO)),
        ("-0.1n", Fraction(-1, NANO)),
        ("1e400", 2**63 - 1),
        ("1e999999999", 2**63 - 1),
        ("1e-999999999", Fraction(1, NANO)),
        ("0e5", 0),
    ],
)
def test_a_quantity_is_read_exactly(text: str | float, amount: Fraction | int) -> None:
    assert parse_quantity(text) == Quantity(int(amount * NANO))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Gi",
        "1GB",
        "1gi",
        "1K",
        "1 Gi",
        "1,5",
        "0x1",
        "1e",
        "1e1.5",
        "--1",
        "1Gi1",
        ".",
        "\u0663",
        None,
        True,
        [],
        {},
    ],
)
def test_what_kubernetes_cannot_parse_is_refused_with_a_sentence(text: Any) -> None:
    with pytest.raises(ValueError, match=r"is not a number such as|has the unit"):
        parse_quantity(text)


units = {"n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "": Fraction(1)}
units |= {unit: Fraction(1000) ** power for power, unit in enumerate("kMGTPE", start=1)}
units |= {f"{unit}i": Fraction(1024) ** power for power, unit in enumerate("KMGTPE", start=1)}


@settings(max_examples=60)
@given(
    sign=st.sampled_from(["", "-", "+"]),
    whole=st.integers(0, 10**6),
    places=st.text("0123456789", max_size=12),
    unit=st.sampled_from([*units, "e3", "E-4", "e+0"]),
)
def test_parsing_agrees_with_exact_fractions(sign: str, whole: int, places: str, unit: str) -> None:
    text = f"{sign}{whole}.{places}{unit}" if places else f"{sign}{whole}{unit}"
    scale = units[unit] if unit in units else Fraction(10) ** int(unit[1:])
    exact = Fraction(f"{sign}{whole}.{places or 0}") * scale * NANO
    capped = min(abs(exact), Fraction((2**63 - 1) * NANO)) * (-1 if exact < 0 else 1)
    assert parse_quantity(text).nano == (floor(capped) if sign == "-" else ceil(capped))


@settings(max_examples=50)
@given(st.lists(st.integers(0, 10**15), min_size=1, max_size=3))
def test_a_sum_is_written_so_that_it_reads_the_same(amounts: list[int]) -> None:
    total = sum((Quantity(amount) for amount in amounts), Quantity(0))
    assert parse_quantity(str(total)) == total


def test_a_quantity_keeps_how_it_was_written_and_a_sum_is_readable() -> None:
    assert str(parse_quantity("1024Mi")) == "1024Mi"
    assert str(parse_quantity("512Mi") + parse_quantity("512Mi")) == "1Gi"
    assert str(parse_quantity("100m") + parse_quantity("150m")) == "250m"
    assert str(parse_quantity("1") + parse_quantity("1500")) == "1501"


# --- What refuses a pod -----------------------------------------------------------------------------


def objects(text: str, kind: str) -> list[KubeObject]:
    found = []
    for field in compose(dedent(text), "limits.yaml"):
        plain = field.plain()
        assert isinstance(plain, dict)
        if plain["kind"] == kind:
            found.append(KubeObject(plain, field.writers_at))
    return found


def limit_range(*limits: str) -> str:
    return f"kind: LimitRange\nmetadata: {{name: l}}\nspec: {{limits: [{', '.join(limits)}]}}\n"


def quota(hard: str, more: str = "") -> str:
    return f"kind: ResourceQuota\nmetadata: {{name: q}}\nspec: {{hard: {hard}{more}}}\n"


def container(resources: str, name: str = "main", more: str = "") -> str:
    return f"{{name: {name}, resources: {resources}{more}}}"


def pod(*containers: str, init: tuple[str, ...] = (), more: str = "") -> dict[str, Any]:
    text = f"{{containers: [{', '.join(containers)}], initContainers: [{', '.join(init)}]{more}}}"
    spec: dict[str, Any] = yaml.safe_load(text)
    return spec


def found(spec: dict[str, Any], *texts: str) -> list[str]:
    text = "---\n".join(texts)
    return [
        f"{refusal.at}: {refusal.sentence}"
        for refusal in refusals(spec, objects(text, "LimitRange"), objects(text, "ResourceQuota"))
    ]


SILENT = pod(container("{}"))


def test_nothing_refuses_a_pod_in_a_namespace_without_limits() -> None:
    assert found(SILENT) == []


@pytest.mark.parametrize(
    ("limits", "refused", "expected", "admitted"),
    [
        ("type: Container, min: {memory: 64Mi}", "{requests: {memory: 63Mi}}",
         "min.memory: container main requests 63Mi of memory, and the least is 64Mi",
         "{requests: {memory: 64Mi}}"),
        ("type: Container, min: {memory: 64Mi}", "{requests: {memory: 64Mi}, limits: {memory: 63Mi}}",
         "min.memory: container main is limited to 63Mi of memory, and the least is 64Mi", "{}"),
        ("type: Container, max: {cpu: '2'}", "{limits: {cpu: 2001m}}",
         "max.cpu: container main is limited to 2001m of cpu, and the most is 2", "{limits: {cpu: 2}}"),
        ("type: Container, maxLimitRequestRatio: {cpu: '2'}", "{requests: {cpu: 1}, limits: {cpu: 2001m}}",
         "maxLimitRequestRatio.cpu: container main requests 1 of cpu and is limited to 2001m, and " + TWICE,
         "{requests: {cpu: 1}, limits: {cpu: '2'}}"),
        ("type: Container, maxLimitRequestRatio: {cpu: '2'}", "{requests: {cpu: 1}}",
         "maxLimitRequestRatio.cpu: container main has no limit of cpu, and " + TWICE, "{limits: {cpu: 1}}"),
        ("type: Container, default: {memory: 1Gi}", "{requests: {memory: 2Gi}}",
         "default.memory: container main requests 2Gi of memory and gets the limit 1Gi",
         "{requests: {memory: 1Gi}}"),
        ("type: Container, max: {memory: 1Gi}", "{requests: {memory: 2Gi}, limits: {memory: 1Gi}}",
         "max.memory: container main requests 2Gi of memory, and the most is 1Gi", "{}"),
        ("type: Pod, min: {cpu: 1}", "{}", "min.cpu: the pod requests no cpu, and the least is 1",
         "{limits: {cpu: 1}}"),
        ("type: Pod, max: {cpu: 1}", "{requests: {cpu: 1}}",
         "max.cpu: the pod has no limit of cpu, and the most is 1", "{limits: {cpu: 1}}"),
    ],
)  # fmt: skip
def test_a_limit_range_refuses_the_miss_and_admits_the_near_miss(
    limits: str, refused: str, expected: str, admitted: str
) -> None:
    bounds = limit_range(f"{{{limits}}}")
    assert found(pod(container(refused)), bounds) == [f"spec.limits[0].{expected}"]
    assert found(pod(container(admitted)), bounds) == []


def test_a_limit_range_gives_what_its_own_bounds_demand() -> None:
    bounds = (
        "{type: Container, min: {cpu: 100m}, max: {cpu: 1, memory: 1Gi}, maxLimitRequestRatio: {memory: 1}}"
    )
    assert found(SILENT, limit_range(bounds)) == []


def test_a_default_that_breaks_the_bound_of_another_limit_range_is_refused() -> None:
    given_by_one = limit_range("{type: Container, default: {cpu: 4}}")
    bounded_by_other = limit_range("{type: Container, max: {cpu: 2}}")
    assert found(SILENT, given_by_one, bounded_by_other) == [
        "spec.limits[0].max.cpu: container main is limited to 4 of cpu, and the most is 2"
    ]
    assert found(SILENT, bounded_by_other, given_by_one) == []


def test_init_containers_are_bounded_one_by_one() -> None:
    spec = pod(container("{}"), init=(container("{limits: {cpu: 3}}", "setup"),))
    assert found(spec, limit_range("{type: Container, max: {cpu: 2}}")) == [
        "spec.limits[0].max.cpu: container setup is limited to 3 of cpu, and the most is 2"
    ]


@pytest.mark.parametrize(
    ("spec", "taken"),
    [
        (pod(container("{limits: {cpu: 1}}"), container("{limits: {cpu: 2}}", "b")), "3"),
        (pod(container("{limits: {cpu: 1}}"), init=(container("{limits: {cpu: 5}}", "setup"),)), "5"),
        (pod(container("{limits: {cpu: 4}}"), init=(container("{limits: {cpu: 3}}", "setup"),)), "4"),
        (pod(container("{limits: {cpu: 1}}"),
             init=(container("{limits: {cpu: 2}}", "proxy", ", restartPolicy: Always"),)), "3"),
        (pod(container("{limits: {cpu: 1}}"),
             init=(container("{limits: {cpu: 2}}", "proxy", ", restartPolicy: Always"),
                   container("{limits: {cpu: 7}}", "setup"))), "9"),
        (pod(container("{limits: {cpu: 1}}"), more=", resources: {limits: {cpu: 8}}"), "8"),
    ],
)  # fmt: skip
def test_a_pod_takes_what_runs_together_or_more_where_an_init_container_does(
    spec: dict[str, Any], taken: str
) -> None:
    assert found(spec, limit_range(f"{{type: Pod, max: {{cpu: {taken}}}}}")) == []
    refused = found(spec, quota("{limits.cpu: 500m}"))
    assert [line.partition("takes ")[2] for line in refused] == [
        f"{taken} of limits.cpu, and the quota is 500m"
    ]


@pytest.mark.parametrize("name", ["cpu", "requests.cpu", "limits.memory", "memory"])
def test_a_quota_demands_that_every_container_says_how_much(name: str) -> None:
    field, _, resource = name.rpartition(".")
    (refused,) = found(SILENT, quota(f"{{{name}: 10}}"))
    assert refused == (
        f"spec.hard{'.' + name if '.' not in name else f'[{chr(34)}{name}{chr(34)}]'}: "
        f"the quota of {name} demands {field or 'requests'}.{resource}, which container main does not set"
    )
    assert found(pod(container(f"{{limits: {{{resource}: 1}}}}")), quota(f"{{{name}: 10}}")) == []


def test_a_quota_names_each_silent_container_and_init_containers_too() -> None:
    spec = pod(container("{}", "a"), container("{limits: {cpu: 1}}", "b"), init=(container("{}", "c"),))
    (refused,) = found(spec, quota("{limits.cpu: 10}"))
    assert refused.endswith("which container a, c does not set")


def test_the_defaults_of_a_limit_range_satisfy_a_quota() -> None:
    defaults = limit_range("{type: Container, default: {cpu: 1, memory: 1Gi}}")
    assert found(SILENT, defaults, quota("{limits.cpu: 1, requests.memory: 1Gi}")) == []
    (refused,) = found(SILENT, defaults, quota("{requests.memory: 1023Mi}"))
    assert refused.endswith("the pod takes 1Gi of requests.memory, and the quota is 1023Mi")


@pytest.mark.parametrize(
    "hard", ["{requests.ephemeral-storage: 1Gi}", "{configmaps: 0}", "{requests.nvidia.com/gpu: 0}"]
)
def test_a_quota_of_anything_else_demands_nothing(hard: str) -> None:
    assert found(SILENT, quota(hard)) == []


def test_a_quota_of_an_extended_resource_counts_its_requests() -> None:
    spec = pod(container("{limits: {nvidia.com/gpu: 2}}"))
    assert len(found(spec, quota("{requests.nvidia.com/gpu: 1}"))) == 1
    assert found(spec, quota("{requests.nvidia.com/gpu: 2}")) == []


@pytest.mark.parametrize("name", ["pods", "count/pods"])
def test_a_quota_of_no_pods_refuses_the_first(name: str) -> None:
    (refused,) = found(SILENT, quota(f"{{{name}: 0}}"))
    assert refused.endswith(f"the pod takes 1 of {name}, and the quota is 0")
    assert found(SILENT, quota(f"{{{name}: 1}}")) == []


def test_resources_of_the_pod_as_a_whole_satisfy_a_quota() -> None:
    spec = pod(container("{}"), more=", resources: {limits: {cpu: 1}}")
    assert found(spec, quota("{limits.cpu: 1}")) == []
    assert len(found(spec, quota("{limits.cpu: 900m}"))) == 1


HIGH = pod(container("{}"), more=", priorityClassName: high")
ENDING = pod(container("{}"), more=", activeDeadlineSeconds: 5")
ASKING = pod(container("{requests: {cpu: 1}}"))


def priority(operator: str) -> str:
    return f", scopeSelector: {{matchExpressions: [{{scopeName: PriorityClass, operator: {operator}}}]}}"


@pytest.mark.parametrize(
    ("scope", "counted", "spared"),
    [
        (", scopes: [BestEffort]", SILENT, ASKING),
        (", scopes: [NotBestEffort]", ASKING, pod(container("{requests: {cpu: 0}}"))),
        (", scopes: [Terminating]", ENDING, SILENT),
        (", scopes: [NotTerminating]", SILENT, ENDING),
        (", scopes: [BestEffort, NotTerminating]", SILENT, ENDING),
        (priority("In, values: [high]"), HIGH, pod(container("{}"), more=", priorityClassName: low")),
        (priority("NotIn, values: [high]"), SILENT, HIGH),
        (priority("Exists"), HIGH, SILENT),
        (priority("DoesNotExist"), SILENT, HIGH),
    ],
)
def test_a_quota_counts_the_pods_in_its_scope(
    scope: str, counted: dict[str, Any], spared: dict[str, Any]
) -> None:
    assert len(found(counted, quota("{pods: 0}", scope))) == 1
    assert found(spared, quota("{pods: 0}", scope)) == []


def test_the_place_is_the_line_of_the_bound() -> None:
    text = """\
        kind: LimitRange
        metadata: {name: l}
        spec:
          limits:
            - type: Container
              max:
                memory: 1Gi
        """
    spec = pod(container("{limits: {memory: 2Gi}}"))
    (refusal,) = refusals(spec, objects(text, "LimitRange"), [])
    assert refusal.at.origin.line == 7
