"""What the programs of a container need to find: themselves, their files and their variables.

The image of a container is not known here. So a path is only judged where the overlay has the file: it
lies below a mounted ConfigMap or Secret that does not have it, or it has the name of a file that is
mounted elsewhere, or nowhere.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, NamedTuple

from validate.cluster.generated import line_in
from validate.cluster.mounts import MountedFile, mount_path, mounted_files, volume_files
from validate.cluster.references import references

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from validate.cluster.objects import ContainerView, KubeObject, PodView
    from validate.place import Place, Spot

_SHELLS = frozenset({"sh", "ash", "bash", "dash"})
_PYTHONS = frozenset({"python", "python3"})
_HOOKS = (
    ("startupProbe", "exec", "command"),
    ("readinessProbe", "exec", "command"),
    ("livenessProbe", "exec", "command"),
    ("lifecycle", "postStart", "exec", "command"),
    ("lifecycle", "preStop", "exec", "command"),
)
_PRE_STOP = _HOOKS[-1]
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_HOLDERS = ("ConfigMap", "Secret")
_VOLUMES = ("configMap", "secret", "projected")
_EXECUTABLE, _READABLE_BY_OTHERS = 0o111, 0o004
# What a daemon makes while it runs, which other rules follow.
_SOCKET = ".sock"
_LONGEST = 3
_PATH = re.compile(r"(?:^|=)(/[\w.@-]+(?:/[\w.@-]+)+)$")
_PATH_IN_TEXT = re.compile(r"(?<![\w.$}/-])/[\w.@-]+(?:/[\w.@-]+)+")
# Settings of files, one to a line: a path in prose says nothing.
_SETTING = re.compile(r"[:=]\s*[\"']?(?P<path>/[\w.@-]+(?:/[\w.@-]+)+)[\"']?,?\s*$")
_SETTINGS = (".cfg", ".conf", ".ini", ".json", ".toml", ".yaml", ".yml")
# What sleep takes: its seconds, and what a unit of them is worth.
_DURATION = re.compile(r"(?P<number>\d+(\.\d+)?|inf(inity)?)(?P<unit>[smhd]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DEFAULT_GRACE = 30
# Where programs keep files of their own; rootdirectory is the setting of docker's registry.
_DIRECTORIES_TO_WRITE = frozenset("DOCKER_CONFIG HOME TMPDIR XDG_CACHE_HOME XDG_CONFIG_HOME".split())
_DIRECTORY_SETTING = re.compile(r"^\s*rootdirectory:\s*[\"']?(?P<path>/[\w.@/-]+)[\"']?\s*$")
_COMMENT = re.compile(r"(^|\s)#.*")
_NAME = "[A-Z][A-Z0-9_]*"
_ENDS_WHERE_UNSET = re.compile(r"^\s*set\s+(-\w*u|-o\s+nounset)", re.MULTILINE)
_USED_BY_SHELL = re.compile(rf"(?<![\\$])\$(?:\{{({_NAME})\}}|({_NAME}))")
_SET_BY_SHELL = re.compile(rf"\b({_NAME})=|\b(?:for|read(?:\s+-r)?)\s+({_NAME})\b")
_USED_BY_PYTHON = re.compile(rf"os\.environ\[[\"']({_NAME})[\"']\]")
# What a shell, the kubelet or nearly every image sets.
_ALWAYS_SET = frozenset("HOME HOSTNAME IFS LANG OLDPWD PATH PPID PWD RANDOM SHELL TERM UID USER".split())
_SET_BY_KUBELET = "KUBERNETES_"


class Fault(NamedTuple):
    """Something that a container will not find.

    Attributes:
        at: the word, or the line, that asks for it.
        problem: a sentence.
        related: where what was meant is, or should be.
    """

    at: Place | Spot
    problem: str
    related: tuple[Place, ...] = ()


class _File(NamedTuple):
    """A file that an object of the overlay has, and where the pod mounts it (empty: nowhere)."""

    name: str
    place: Place
    path: str
    namespace: str = ""

    @classmethod
    def of(cls, file: MountedFile, path: str, *, mounted: bool = True) -> _File:
        """Return a file of a volume, which has this path in a container or else in the volume."""
        return cls(posixpath.basename(path), file.place, path if mounted else "")

    @property
    def entry(self) -> tuple[object, ...]:
        """What tells it from every other file: the object and the key."""
        return self.place.document.title, self.place.path


class _Word(NamedTuple):
    """A path, and the word or the line that consists of it."""

    at: Place | Spot
    path: str


def faults(pods: Iterable[PodView], objects: Iterable[KubeObject]) -> Iterator[Fault]:
    """Yield what the containers of pods are told to use and will not find."""
    together = tuple(objects)
    unmounted: dict[str, list[_File]] = {}
    for file in _unmounted(together):
        unmounted.setdefault(file.namespace, []).append(file)
    for pod in pods:
        yield from _faults(pod, together, unmounted.get(pod.owner.namespace, ()))


def _faults(pod: PodView, together: tuple[KubeObject, ...], unmounted: Sequence[_File]) -> Iterator[Fault]:
    containers = [_Container(one, pod, together) for one in pod.all_containers]
    mounted = [_File.of(file, path) for one in containers for path, file in one.files.items()]
    entries = {file.entry for file in mounted}
    in_volumes = [_File.of(file, path, mounted=False) for path, file in volume_files(together, pod)]
    elsewhere = [
        *mounted,
        *(file for file in in_volumes if file.entry not in entries),
        *unmounted,
    ]
    shared = {
        mount_path(mount): one.view.name
        for one in containers
        for mount in one.view.mounts
        if not _is_one_file(mount)
    }
    for container in containers:
        yield from container.judge_paths(elsewhere)
        yield from container.judge_mounts()
        yield from container.judge_probes()
        yield from container.judge_writing()
        yield from container.judge_texts(shared)
        yield from container.judge_commands()


def _is_one_file(mount: Place) -> bool:
    """Whether a mount lays one file over that of the image, which other containers have as it is."""
    name = posixpath.basename(mount_path(mount))
    return "." in name and posixpath.basename((mount / "subPath").text) == name


def _unmounted(objects: tuple[KubeObject, ...]) -> Iterator[_File]:
    """Yield the files of ConfigMaps and Secrets that no object refers to."""
    used = {(one.kind, one.name) for one in references(objects) if one.kind in _HOLDERS}
    for item in objects:
        if item.kind in _HOLDERS and (item.kind, item.name) not in used:
            entries = (item.place / "data").entries()
            yield from (_File(key, place, "", item.namespace) for key, place in entries)


class _Container:
    """A container, with the files that are mounted into it by absolute path."""

    def __init__(self, view: ContainerView, pod: PodView, objects: tuple[KubeObject, ...]) -> None:
        self.view = view
        self.pod = pod
        self.files: dict[str, MountedFile] = mounted_files(objects, pod, view)
        self.who = f"{view.name} of {pod.owner.title}"

    def judge_paths(self, elsewhere: Sequence[_File]) -> Iterator[Fault]:
        for word in self.words():
            if any(path == word.path or path.startswith(f"{word.path}/") for path in self.files):
                continue
            mount = self.mount_above(word.path)
            directory = mount_path(mount) if mount else ""
            beside = sorted(path for path in self.files if mount and path.startswith(f"{directory}/"))
            if mount and beside:
                names = ", ".join(posixpath.relpath(path, directory) for path in beside)
                problem = f"{self.who} uses {word.path}, and what is mounted at {directory} has only {names}"
                yield Fault(word.at, problem, (mount / "mountPath",))
                continue
            # Below any other mount something may write it, unless it is a file that nobody mounts at all.
            name = posixpath.basename(word.path)
            namesakes = [one for one in elsewhere if one.name == name and not (mount and one.path)]
            for file in namesakes[:1]:
                where = f"mounted at {file.path}" if file.path else "mounted nowhere"
                problem = f"{self.who} uses {word.path}, and {name} of {file.place.document.title} is {where}"
                yield Fault(word.at, problem, (file.place,))

    def judge_writing(self) -> Iterator[Fault]:
        """Yield the directories that a program is told to write to, and that it cannot write to."""
        if self.view.place.at("securityContext", "readOnlyRootFilesystem").value is not True:
            return
        told: list[tuple[Place | Spot, str]] = [
            (word, word.text)
            for entry in (self.view.place / "env").each()
            if (entry / "name").text in _DIRECTORIES_TO_WRITE and (word := entry / "value").text
        ]
        for path, file in self.files.items():
            lines = file.place.text.splitlines() if path.endswith(_SETTINGS) and not file.encoded else ()
            told += [
                (line_in(file.place, number, found.start("path")), found["path"])
                for number, line in enumerate(lines)
                if (found := _DIRECTORY_SETTING.search(line))
            ]
        for at, directory in told:
            path = posixpath.normpath(directory)
            # What is mounted below may be all that is looked for.
            below = any(mount_path(mount).startswith(f"{path}/") for mount in self.view.mounts)
            if not self.has_mounted(path) and not below:
                problem = f"{self.who} keeps files in {directory}, where its file system is read-only"
                yield Fault(at, problem, (self.view.place / "volumeMounts",))

    def judge_probes(self) -> Iterator[Fault]:
        """Yield the ports that a probe asks for by a name which the container gives to none."""
        names = {(port / "name").text for port in self.view.ports}
        for probe in _PROBES:
            for handler in ("httpGet", "tcpSocket"):
                port = self.view.place.at(probe, handler, "port")
                if port.text and port.text not in names:
                    known = ", ".join(sorted(filter(None, names))) or "none with a name"
                    problem = f"the {probe} of {self.who} asks at the port {port.text}, and it has {known}"
                    yield Fault(port, problem, (self.view.place / "ports",))

    def judge_mounts(self) -> Iterator[Fault]:
        """Yield the files that belong to root, and that the user of the container may not read."""
        user = self.user
        group = self.pod.spec.at("securityContext", "fsGroup")
        if not user or group.exists:
            return
        for mount in self.view.mounts:
            volume = self.pod.volume((mount / "name").text)
            for source in (volume / kind for kind in _VOLUMES) if volume else ():
                mode = source / "defaultMode"
                if isinstance(mode.value, int) and not mode.value & _READABLE_BY_OTHERS:
                    problem = (
                        f"{self.who} runs as user {user}, which may not read what is mounted at "
                        f"{mount_path(mount)}: its files belong to root, with mode {mode.value:04o}"
                    )
                    yield Fault(mode, problem, (group,))

    @property
    def user(self) -> int:
        """The user that the container runs as, 0 where that is root or up to the image."""
        for context in (self.view.place / "securityContext", self.pod.spec / "securityContext"):
            user = (context / "runAsUser").value
            if isinstance(user, int):
                return user
        return 0

    def judge_texts(self, shared: Mapping[str, str]) -> Iterator[Fault]:
        """Yield the directories that a text uses, another container mounts, and this one does not."""
        for text in self.texts():
            for number, line in enumerate(text.text.splitlines()):
                for found in _PATH_IN_TEXT.finditer(_COMMENT.sub("", line)):
                    path = posixpath.normpath(found[0])
                    if path.endswith(_SOCKET):
                        continue
                    directory = next((one for one in shared if f"{path}/".startswith(f"{one}/")), "")
                    if directory.count("/") > 1 and not self.has_mounted(path):
                        owner = shared[directory]
                        problem = f"{self.who} uses {path}, and only {owner} mounts {directory}"
                        at = line_in(text, number, found.start())
                        yield Fault(at, problem, (self.view.place / "volumeMounts",))
                        return

    def texts(self) -> Iterator[Place]:
        """Yield the texts that the container runs: of its commands, and the scripts that they name."""
        fields = [self.view.place / "command", *(self.view.place.at(*hook) for hook in _HOOKS)]
        for word in (word for field in fields for word in field.each()):
            if len(word.text.split()) > 1:
                yield word
            elif word.text in self.files:
                yield self.files[word.text].place

    def has_mounted(self, path: str) -> bool:
        """Whether something is mounted at a path or above it."""
        return any(f"{path}/".startswith(f"{mount_path(mount)}/") for mount in self.view.mounts)

    def words(self) -> Iterator[_Word]:
        """Yield the absolute paths that words, variables and settings in mounted files consist of."""
        words = [word for field in ("command", "args") for word in (self.view.place / field).each()]
        words += [entry / "value" for entry in (self.view.place / "env").each()]
        for word in words:
            if found := _PATH.search(word.text):
                yield _Word(word, posixpath.normpath(found[1]))
        for path, file in self.files.items():
            lines = file.place.text.splitlines() if path.endswith(_SETTINGS) and not file.encoded else ()
            for number, line in enumerate(lines):
                if found := _SETTING.search(_COMMENT.sub("", line)):
                    at = line_in(file.place, number, found.start("path"))
                    yield _Word(at, posixpath.normpath(found["path"]))

    def mount_above(self, path: str) -> Place | None:
        """Return the mount that a path lies below, the nearest of several."""
        above = [mount for mount in self.view.mounts if path.startswith(f"{mount_path(mount)}/")]
        return max(above, key=lambda mount: len(mount_path(mount)), default=None)

    def judge_commands(self) -> Iterator[Fault]:
        if (self.view.place / "command").items:
            words = [word for field in ("command", "args") for word in (self.view.place / field).each()]
            yield from self.judge_command(words)
        # Without a command, the image knows what the arguments are for.
        for hook in _HOOKS:
            if argv := list(self.view.place.at(*hook).each()):
                yield from self.judge_command(argv)
                if hook == _PRE_STOP and _is_sleep(argv[0]):
                    yield from self.judge_pause(argv[1:])

    def judge_command(self, argv: Sequence[Place]) -> Iterator[Fault]:
        first, *rest = argv
        program = first.text
        name = posixpath.basename(program)
        if program.startswith("-") or program.isdecimal() or len(program.split()) != 1:
            yield Fault(first, f"{self.who} runs {_shown(program)}, which is no program")
        elif program in self.files and not self.is_executable(program):
            yield Fault(first, f"{self.who} runs {program}, which is mounted and not executable")
        elif name in _SHELLS | _PYTHONS:
            yield from self.judge_text(name, first, rest)
        elif _is_sleep(first) and not (rest and all(_DURATION.fullmatch(word.text) for word in rest)):
            yield Fault((rest or [first])[-1], f"{self.who} runs sleep without a time that it takes")

    def judge_pause(self, times: Sequence[Place]) -> Iterator[Fault]:
        """Yield a pause before the end that is longer than the time that the pod has to end."""
        seconds = sum(
            float(found["number"]) * _UNITS[found["unit"]]
            for word in times
            if (found := _DURATION.fullmatch(word.text))
        )
        grace = self.pod.spec / "terminationGracePeriodSeconds"
        allowed = grace.value if isinstance(grace.value, int) else _DEFAULT_GRACE
        if seconds > allowed:
            problem = f"{self.who} waits {seconds:g} s in preStop, and its pod has {allowed} s to end"
            yield Fault(times[0], problem, (grace,))

    @property
    def is_interactive(self) -> bool:
        """Whether somebody may type into it."""
        return any((self.view.place / field).value is True for field in ("stdin", "tty"))

    def judge_text(self, name: str, first: Place, rest: Sequence[Place]) -> Iterator[Fault]:
        """Judge what an interpreter is given: options, then a text or the name of a file."""
        options = [word for word in rest if word.text.startswith("-")]
        inline = next((word for word in options if re.fullmatch(r"-[a-z]*c", word.text)), None)
        given = [word for word in rest if word not in options]
        if not given:
            if not self.is_interactive:
                yield Fault((rest or [first])[-1], f"{self.who} runs {name} with nothing to do")
            return
        text = given[0]
        if not inline and "\n" in text.text:
            yield Fault(text, f"{self.who} runs {name} without -c: it takes its text for the name of a file")
        elif inline:
            yield from self.judge_variables(name, text, strict="u" in inline.text)
        elif text.text in self.files:
            yield from self.judge_variables(name, self.files[text.text].place, strict=False)

    def judge_variables(self, name: str, text: Place, *, strict: bool) -> Iterator[Fault]:
        """Yield the variables that nothing sets, where the program ends for want of one."""
        if (self.view.place / "envFrom").items:
            return
        entries = (self.view.place / "env").each()
        known = {(one / "name").text for one in entries if (one / "value").text or (one / "valueFrom").exists}
        known |= _ALWAYS_SET
        pattern = _USED_BY_PYTHON
        if name in _SHELLS:
            if not strict and not _ENDS_WHERE_UNSET.search(text.text):
                return
            known |= {name for found in _SET_BY_SHELL.findall(text.text) for name in found}
            pattern = _USED_BY_SHELL
        for number, line in enumerate(text.text.splitlines()):
            for found in pattern.finditer(_COMMENT.sub("", line)):
                variable = next(filter(None, found.groups()))
                if variable not in known and not variable.startswith(_SET_BY_KUBELET):
                    known.add(variable)
                    problem = f"{self.who} ends where its program uses {variable}, which nothing sets"
                    yield Fault(line_in(text, number, found.start()), problem, (self.view.place / "env",))

    def is_executable(self, path: str) -> bool:
        """Whether the volume makes a file executable, which it does not by itself."""
        mount = self.mount_above(path)
        volume = self.pod.volume((mount / "name").text) if mount else None
        if volume is None:
            return True
        sources = [volume / source for source in _VOLUMES]
        modes = [source / "defaultMode" for source in sources]
        modes += [entry / "mode" for source in sources for entry in (source / "items").each()]
        return any(isinstance(mode.value, int) and mode.value & _EXECUTABLE for mode in modes)


def _is_sleep(program: Place) -> bool:
    return posixpath.basename(program.text) == "sleep"


def _shown(text: str) -> str:
    words = text.split()
    return " ".join(words[:_LONGEST]) + (" ..." if len(words) > _LONGEST else "")
