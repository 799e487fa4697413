"""What is on the picture of a system: who takes part, who may send to whom, and where findings are.

Boxes have places by what they are, not by a layout that is computed: the system is always the same few parts,
and people who look at two pictures look for what differs.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from validate.binderhub.capacity import capacity
from validate.binderhub.flows import System, needed_flows
from validate.cluster.addresses import Addresses
from validate.cluster.network import PRIVATE, Direction, Endpoint, Network, Port, other_policies
from validate.cluster.openings import describe_peer
from validate.cluster.podsecurity import namespace_level
from validate.place import unhashed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from validate.binderhub.flows import Flow
    from validate.cluster.network import Decision
    from validate.cluster.objects import PodView
    from validate.finding import Finding
    from validate.overlay import Overlay

_METADATA = Addresses.of("169.254.169.254/32")
_HTTP, _HTTPS = Port(80), Port(443)
_BINDER, _BUILD, _DAEMON = "BinderHub", "build pods", "docker-api"
_LONGEST = 44
# From the top of the picture to its end, by how a key begins; the last one is that of everything.
_ORDER = ("apiserver", "hub", "git", "dns", "registry", "internet", "private", "metadata", "")
_PRIVATE = "private addresses: cluster and neighbours"


class Part(StrEnum):
    """What a box stands for, which decides where it is drawn."""

    CLIENT = "client"
    BINDER = "binder"
    BUILD = "build"
    DAEMON = "daemon"
    SOCKET = "socket"
    CREDENTIALS = "credentials"
    OUTSIDE = "outside"


class Mark(NamedTuple):
    """A finding at a box, by its number in the list below the picture."""

    number: int
    severity: str
    is_new: bool


class Box(Struct, frozen=True):
    """One part of the system.

    Attributes:
        id: of letters and digits, and the same in every picture of the same part.
        title: what it is called.
        lines: what else is known of it.
        marks: the findings about it.
    """

    id: str
    part: Part
    title: str
    lines: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()


class Arrow(Struct, frozen=True):
    """Who sends to whom over the network.

    Attributes:
        source: id of a box.
        target: id of a box.
        ports: such as ``443/TCP``.
        allowed: whether policies let it through.
        wanted: whether the system needs it; what it does not need had better be denied.
        by: the policy that decides, empty where none does.
    """

    source: str
    target: str
    ports: str
    allowed: bool
    wanted: bool = True
    by: str = ""

    @property
    def is_fine(self) -> bool:
        """Whether it is as it should be."""
        return self.allowed is self.wanted


class Legend(NamedTuple):
    """A finding as the list below the picture has it."""

    number: int
    severity: str
    rule: str
    problem: str
    at: str
    is_new: bool


class Picture(Struct, frozen=True):
    """A system.

    Attributes:
        overlay: its name.
        namespace: where it is deployed.
        node: on which nodes builds run.
        boxes: those that take part.
        arrows: who may send to whom, and who may not.
        notes: what protects it besides: pod security, admission.
        legend: the findings.
    """

    overlay: str
    namespace: str
    node: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    notes: tuple[str, ...]
    legend: tuple[Legend, ...]


def settled(
    picture: Picture, drawn: Sequence[Finding], kept: Iterable[Finding], new: Iterable[Finding]
) -> Picture:
    """Return a picture that was drawn with the findings ``drawn`` with those of them alone that are kept.

    ``new`` are those that a change brings. Which ones they are may be known only after the overlay is gone.
    """
    staying, brought = frozenset(kept), frozenset(new)
    numbers: dict[int, int] = {}
    for entry, finding in zip(picture.legend, drawn, strict=True):
        if finding in staying:
            numbers[entry.number] = len(numbers) + 1
    fresh = {entry.number for entry, finding in zip(picture.legend, drawn, strict=True) if finding in brought}
    return replace(
        picture,
        boxes=tuple(
            replace(
                box,
                marks=tuple(
                    mark._replace(number=numbers[mark.number], is_new=mark.number in fresh)
                    for mark in box.marks
                    if mark.number in numbers
                ),
            )
            for box in picture.boxes
        ),
        legend=tuple(
            entry._replace(number=numbers[entry.number], is_new=entry.number in fresh)
            for entry in picture.legend
            if entry.number in numbers
        ),
    )


def draw(overlay: Overlay, findings: Sequence[Finding] = (), new: Iterable[Finding] = ()) -> Picture | None:
    """Return the picture of an overlay, None where it deploys no BinderHub that reads a configuration.

    ``new`` are those of the findings that a change brings.
    """
    if overlay.binder is None or overlay.config is None:
        return None
    return _Drawing(overlay, findings, frozenset(new)).picture()


class _Drawing:
    def __init__(self, overlay: Overlay, findings: Sequence[Finding], new: frozenset[Finding]) -> None:
        assert overlay.binder is not None  # noqa: S101 - for the type checker: tested by the caller
        assert overlay.config is not None  # noqa: S101 - likewise
        self.overlay = overlay
        self.network = Network.of(overlay.objects, overlay.facts.namespaces)
        self.binder = overlay.binder
        self.config = overlay.config
        self.build = overlay.build_pod.object if overlay.build_pod else None
        self.outside: dict[str, str] = {}
        self.involved: dict[str, set[str]] = {}
        self.legend = tuple(
            Legend(number, one.severity, one.rule, one.problem, str(one.at.origin), one in new)
            for number, one in enumerate(findings, start=1)
        )
        self.about = [_titles(one) for one in findings]
        self.placed: set[int] = set()

    def picture(self) -> Picture:
        clients = list(self.clients())
        arrows = [*(arrow for _, arrow in clients), *self.needed(), *self.unwanted()]
        boxes = [
            *(box for box, _ in clients),
            self.binder_box(),
            *self.secret_boxes(),
            *self.build_boxes(),
            *self.outside_boxes(arrows),
        ]
        return Picture(
            self.overlay.name,
            self.binder.object.namespace,
            self.nodes(),
            tuple(boxes),
            tuple(dict.fromkeys(arrows)),
            tuple(self.notes()),
            self.legend,
        )

    def box(self, key: str, part: Part, title: str, lines: Iterable[str] = (), *about: str) -> Box:
        """Return a box, marked with what is found in the objects of these titles."""
        numbers = [
            index
            for index, titles in enumerate(self.about)
            if index not in self.placed and titles & set(about)
        ]
        self.placed.update(numbers)
        marks = tuple(
            Mark(self.legend[n].number, self.legend[n].severity, self.legend[n].is_new) for n in numbers
        )
        return Box(key, part, title, tuple(lines), marks)

    def binder_box(self) -> Box:
        item = self.binder.object
        services = [one.title for one in self.overlay.of_kind("Service") if one.name == item.name]
        account = (self.binder.pod.spec / "serviceAccountName").text or "default"
        rights = [
            one.title
            for one in self.overlay.of_kind("ServiceAccount", "Role", "RoleBinding")
            if account in (one.name, (one.place / "roleRef" / "name").text)
        ]
        about = (item.title, "BinderHub configuration", *services, *rights)
        lines = (item.title, _short_image(self.binder.container.image))
        return self.box("binder", Part.BINDER, _BINDER, lines, *about)

    def build_boxes(self) -> Iterator[Box]:
        daemon = self.overlay.docker_api
        build = self.build.pod if self.build else None
        mounted = self.overlay.build_pod.socket_path if self.overlay.build_pod else None
        if daemon is not None:
            lines = (daemon.object.title, _short_image(daemon.container.image))
            yield self.box("daemon", Part.DAEMON, _DAEMON, lines, daemon.object.title)
        if build is not None:
            image = next((one.image for one in build.containers), "")
            yield self.box(
                "build", Part.BUILD, "build pod", ("one for each build", _short_image(image)), "build pod"
            )
        if mounted:
            yield self.box("socket", Part.SOCKET, "socket", (mounted,))

    def secret_boxes(self) -> Iterator[Box]:
        name = self.overlay.build_pod.push_secret if self.overlay.build_pod else ""
        if name:
            titles = {
                f"{kind} {self.binder.object.namespace}/{name}" for kind in ("Secret", "ExternalSecret")
            }
            yield self.box("secret", Part.CREDENTIALS, f"Secret {name}", ("mounted by both",), *titles)

    def outside_boxes(self, arrows: Sequence[Arrow]) -> Iterator[Box]:
        """Yield what is sent to, always in the same order; findings about policies in the way mark it."""
        for key in sorted(self.outside, key=_rank):
            title = self.outside[key]
            what, _, host = title.partition(" ") if key.startswith("registry") else (title, "", "")
            wrong = any(one.target == key and not one.is_fine for one in arrows)
            policies = self.involved.get(key, ()) if wrong else ()
            yield self.box(key, Part.OUTSIDE, what, [host] if host else (), *policies)

    def clients(self) -> Iterator[tuple[Box, Arrow]]:
        """Yield whom the policies of BinderHub let in, each with its way in."""
        end = self.network.pod(self.binder.pod)
        policies = self.network.isolating(end, Direction.INGRESS)
        port = self.config.effective("BinderHub", "port")
        ports = f"{port if isinstance(port, int) else 8585}/TCP"
        if not policies:
            yield (
                self.box("client0", Part.CLIENT, "everybody", (f"at {ports}", "no policy is in the way")),
                Arrow("client0", "binder", ports, allowed=True, wanted=False),
            )
            return
        found: dict[str, str] = {}
        for policy in policies:
            for rule in policy.place.at("spec", "ingress").each():
                peers = [describe_peer(peer) for peer in (rule / "from").each()] or ["everybody"]
                for peer in peers:
                    found.setdefault(peer, policy.name)
        for number, (peer, name) in enumerate(found.items()):
            key = f"client{number}"
            box = self.box(key, Part.CLIENT, peer, (f"at {ports}", f"by {name}"))
            yield box, Arrow(key, "binder", ports, allowed=True, by=name)
        yield (
            self.box("others", Part.CLIENT, "everybody else", (f"denied by {policies[0].name}",)),
            Arrow("others", "binder", ports, allowed=False, wanted=False, by=policies[0].name),
        )

    def needed(self) -> Iterator[Arrow]:
        """Yield the connections that the system needs, those of one target by one arrow."""
        sources = {_BINDER: "binder", _BUILD: "build", _DAEMON: "daemon"}
        ports: dict[Arrow, list[str]] = {}
        for flow in needed_flows(self.system()):
            source = sources.get(flow.source)
            if source and " over " not in flow.target:
                arrow = self.arrow(source, flow)
                ports.setdefault(replace(arrow, ports=""), []).append(arrow.ports)
        yield from (replace(arrow, ports=", ".join(dict.fromkeys(told))) for arrow, told in ports.items())

    def arrow(self, source: str, flow: Flow) -> Arrow:
        # Git hosts are one box, whatever protocols they are asked by.
        title = flow.target.partition(" (")[0].partition(" by ")[0].removeprefix("the ")
        key = "".join(letter for letter in title.lower() if letter.isalnum())
        self.outside.setdefault(key, title)
        decisions = [(route, self.network.decide(*route)) for route in flow.routes]
        open_ones = [one for one in decisions if one[1].allowed]
        self.note(key, [decision for _, decision in decisions])
        ports = ", ".join(dict.fromkeys(str(route.port) for route, _ in open_ones or decisions))
        decided = (open_ones or decisions)[0][1]
        return Arrow(source, key, ports, allowed=bool(open_ones), by=_by(decided, allowed=bool(open_ones)))

    def note(self, key: str, decisions: Sequence[Decision]) -> None:
        """Remember which policies have a say in what reaches a box."""
        sides = (side for one in decisions for side in (one.egress, one.ingress))
        self.involved.setdefault(key, set()).update(
            policy.title for side in sides for policy in side.isolating
        )

    def unwanted(self) -> Iterator[Arrow]:
        """Yield what builds had better not reach: the identity of their node, and what is near them."""
        sources: list[tuple[str, PodView]] = []
        if self.build is not None and self.build.pod is not None:
            sources.append(("build", self.build.pod))
        if self.overlay.docker_api is not None:
            sources.append(("daemon", self.overlay.docker_api.pod))
        for key, title, addresses, port in (
            ("private", _PRIVATE, PRIVATE, _HTTPS),
            ("metadata", "metadata service of the node", _METADATA, _HTTP),
        ):
            for source, pod in sources:
                self.outside.setdefault(key, title)
                end = self.network.pod(pod)
                reached = self.network.reachable(end, addresses, port)
                decision = self.network.decide(end, Endpoint(addresses), port)
                self.note(key, [decision])
                part = "" if not reached or reached == addresses else f", only {_blocks(reached)}"
                # Part of it is open on purpose, where somebody has named it.
                wanted = bool(reached) and reached != addresses
                yield Arrow(
                    source, key, f"{port}{part}", bool(reached), wanted, _by(decision, allowed=bool(reached))
                )

    def system(self) -> System:
        daemon = self.overlay.docker_api
        return System(
            self.network,
            self.overlay.objects,
            self.config,
            (self.binder.pod, self.binder.container),
            (daemon.pod, daemon.container) if daemon else None,
            self.build.pod if self.build else None,
            tuple(one.name for one in self.overlay.facts.namespaces),
        )

    def nodes(self) -> str:
        """Return on which nodes builds run."""
        pools, build = self.overlay.facts.pools, self.build.pod if self.build else None
        if build is None or not pools:
            return "a node"
        daemon = self.overlay.docker_api
        found = capacity(pools, build, daemon.pod if daemon else None, self.overlay.objects)
        names = ", ".join(str(one) for one in found)
        return f"a node of pool {names}" if found else "no declared pool admits both"

    def notes(self) -> Iterator[str]:
        for item in self.overlay.of_kind("Namespace"):
            if item.name == self.binder.object.namespace:
                yield f"pod security: {namespace_level(item.labels)}"
        admission = [item.name for item in self.overlay.of_kind("ValidatingAdmissionPolicy")]
        prefix = f"{self.binder.object.namespace}-"
        yield from (f"admission: {name.removeprefix(prefix)}" for name in admission)
        isolated = [
            policy.name
            for policy in self.overlay.of_kind("NetworkPolicy")
            if not (policy.place.at("spec", "ingress").items or policy.place.at("spec", "egress").items)
        ]
        yield from (f"network: {name}" for name in isolated)
        if next(other_policies(self.overlay.objects), None) is not None:
            yield "network: policies of a plugin allow or deny more than is drawn"


def _rank(key: str) -> int:
    return next(number for number, start in enumerate(_ORDER) if key.startswith(start))


def in_one_line(text: str) -> str:
    """Return a text without what cannot be drawn: control characters are spaces."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _titles(finding: Finding) -> set[str]:
    return {unhashed(one.title) for one in (finding.at, *finding.related)}


def _by(decision: Decision, *, allowed: bool) -> str:
    """Return the policy that lets it through, the widest of several, or one that does not."""
    sides = (decision.egress, decision.ingress)
    if allowed:
        found = [opening for side in sides[:1] for opening in side.openings]
        best = max(found, key=lambda one: one.addresses.size, default=None)
        return _name(best.rule.document) if best else ""
    denying = next((side for side in sides if not side.allowed), None)
    if denying is None:
        return ""
    section = denying.direction.lower()
    return min(denying.isolating, key=lambda one: len(one.place.at("spec", section).items)).name


def _name(document: object) -> str:
    return str(getattr(document, "name", ""))


def _short_image(image: str) -> str:
    """Return an image without its registry, and of a digest the first characters."""
    name, at, digest = image.partition("@")
    shown = name.rpartition("/")[2] + (f"{at}{digest[:14]}" if at else "")
    return _cut(shown)


def _blocks(addresses: Addresses) -> str:
    """Return addresses as CIDR blocks, of many the first one."""
    blocks = addresses.blocks()
    return blocks[0] if len(blocks) == 1 else f"{blocks[0]} and {len(blocks) - 1} more"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
