"""Where repositories are, and what a ref of one resolves to.

``git`` as BinderHub does it. ``gh`` and ``gl`` ask git, where BinderHub asks the API of the host. The classes
of the other providers are here for configurations that name them, and serve nothing.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote, urlsplit

from validate.binderhub.names import build_name, image_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from binderhub.configuration import Configuration

_HASH = re.compile(r"[0-9a-f]{40}")
_SCP = re.compile(r"([\w\-]+@[\w\-\.]+):(.+)")
_PARTS_OF_GITHUB = 3


class RepoProvider:
    """A repository and a ref, as the path of a request names them.

    Raises:
        TraitError: a trait of the provider is refused.
        ValueError: the spec is none of the provider's.

    Attributes:
        name: how metrics call the provider.
        label: how people are told of it.
        repo: URL of the repository, as repo2docker is given it.
        unresolved_ref: branch, tag or commit, as asked for.
        slug: what builds and images of the repository are named after.
    """

    name: ClassVar[str] = ""
    label: ClassVar[str] = ""
    repo: str
    unresolved_ref: str
    slug: str

    def __init__(self, configuration: Configuration, spec: str) -> None:
        self.spec = spec
        self._configuration = configuration
        configuration.load(type(self).__name__)
        self._read()

    def _read(self) -> None:
        """Take the spec apart.

        Raises:
            ValueError: it is none of this provider's.
        """
        raise NotImplementedError

    async def resolve(self) -> str | None:
        """Return the commit that the ref stands for, None where there is no such ref.

        Raises:
            RuntimeError: nobody can tell.
        """
        if _HASH.match(self.unresolved_ref):
            return self.unresolved_ref
        return await _ls_remote(self.repo, self.unresolved_ref)

    @property
    def git_credentials(self) -> str:
        """What git in the build pod authenticates with, empty for nothing."""
        return str(self.trait("git_credentials") or "")

    @property
    def is_banned(self) -> bool:
        """Whether the repository may not be built."""
        allowed = self.trait("allowed_specs")
        return self.matches("banned_specs") or bool(allowed and not self.matches("allowed_specs"))

    def matches(self, trait: str) -> bool:
        """Return whether one of the regular expressions that a trait lists matches the spec."""
        return any(re.match(pattern, self.spec, re.IGNORECASE) for pattern in self.trait(trait))

    def trait(self, name: str) -> Any:
        """Return the value of a trait of this provider."""
        return self._configuration.get(type(self).__name__, name)

    def token(self, trait: str, variable: str) -> str:
        """Return a token that the configuration has, else the environment."""
        return str(self.trait(trait) or self._configuration.environment.get(variable, ""))

    def build_name(self, ref: str) -> str:
        """Return the name of the build of a commit."""
        return build_name(self.slug, ref)

    def image_name(self, ref: str) -> str:
        """Return the name of the image of a commit, with its tag."""
        return image_name(self._configuration.app("image_prefix"), self.slug, ref)


class GitRepoProvider(RepoProvider):
    """Any repository: ``<URL, escaped>/<ref, escaped>``."""

    name = "Git"
    label = "Git repository"

    def _read(self) -> None:
        escaped, ref = self.spec.split("/", 1)
        self.repo = unquote(escaped)
        if scp := _SCP.match(self.repo):
            self.repo = "ssh://{}/{}".format(*scp.groups())
        protocol, allowed = urlsplit(self.repo).scheme, sorted(self.trait("allowed_protocols"))
        if protocol not in allowed:
            raise ValueError(
                f"Unsupported git url {self.repo}, protocol {protocol} not in {', '.join(allowed)}"
            )
        self.unresolved_ref = unquote(ref)
        if not self.unresolved_ref:
            raise ValueError("`unresolved_ref` must be specified in the url for the basic git provider")
        self.slug = self.repo


class GitHubRepoProvider(RepoProvider):
    """GitHub: ``user/repo/ref``."""

    name = "GitHub"
    label = "GitHub"

    def _read(self) -> None:
        parts = self.spec.split("/", 2)
        if len(parts) != _PARTS_OF_GITHUB:
            message = f'Spec is not of the form "user/repo/ref", provided: "{self.spec}".'
            if len(parts) == _PARTS_OF_GITHUB - 1 and parts[-1] not in {"main", "master", "HEAD"}:
                message += f' Did you mean "{self.spec}/HEAD"?'
            raise ValueError(message)
        user, repo, self.unresolved_ref = parts
        repo = repo.removesuffix(".git")
        self.repo = f"https://{self.trait('hostname')}/{user}/{repo}"
        self.slug = f"{user}-{repo}"

    @property
    def git_credentials(self) -> str:
        """What the access token makes, with the two characters of a newline that git's helper reads."""
        token = self.token("access_token", "GITHUB_ACCESS_TOKEN")
        client = self.token("client_id", "GITHUB_CLIENT_ID")
        if not token:
            return super().git_credentials
        user, password = (client, token) if client else (token, "x-oauth-basic")
        return super().git_credentials or rf"username={user}\npassword={password}"


class GitLabRepoProvider(RepoProvider):
    """GitLab: ``<group/project, escaped>/<ref, escaped>``."""

    name = "GitLab"
    label = "GitLab"

    def _read(self) -> None:
        escaped, ref = self.spec.split("/", 1)
        namespace, self.unresolved_ref = unquote(escaped), unquote(ref)
        if not self.unresolved_ref:
            raise ValueError("An unresolved ref is required")
        self.repo = f"https://{self.trait('hostname')}/{namespace}.git"
        self.slug = "-".join(part.replace("-", "_-") for part in namespace.split("/"))

    @property
    def git_credentials(self) -> str:
        """What the private token makes."""
        token = self.token("private_token", "GITLAB_PRIVATE_TOKEN")
        return super().git_credentials or (rf"username=binderhub\npassword={token}" if token else "")


class FakeProvider(RepoProvider):
    """One repository that is nowhere, at one commit, whatever is asked for."""

    name = "Fake"
    label = "Fake GitHub"

    def _read(self) -> None:
        self.repo = "https://example.com/fake/repo.git"
        self.slug = "Rick-Morty"

    async def resolve(self) -> str | None:
        """Return the one commit."""
        return "1a2b3c4d5e6f"


class _AbsentProvider(RepoProvider):
    """In BinderHub, not here."""


class GistRepoProvider(_AbsentProvider):
    """Gists."""


class ZenodoProvider(_AbsentProvider):
    """DOIs of Zenodo."""


class FigshareProvider(_AbsentProvider):
    """DOIs of Figshare."""


class HydroshareProvider(_AbsentProvider):
    """Resources of Hydroshare."""


class DataverseProvider(_AbsentProvider):
    """DOIs of Dataverse installations."""


class CKANProvider(_AbsentProvider):
    """Datasets of CKAN installations."""


def providers(configuration: Configuration) -> Mapping[str, type[RepoProvider]]:
    """Return the providers that are configured and are here, by prefix.

    Raises:
        KeyError: a class is configured that BinderHub does not have.
    """
    configured = configuration.app("repo_providers")
    found = {prefix: globals()[path.rpartition(".")[2]] for prefix, path in configured.items()}
    return {prefix: each for prefix, each in found.items() if not issubclass(each, _AbsentProvider)}


async def _ls_remote(repo: str, ref: str) -> str | None:
    """Return the commit that ``ref`` stands for in a repository, None where it has none of that name."""
    git = await asyncio.create_subprocess_exec(
        *("git", "ls-remote", "--", repo, ref), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    found, said = await git.communicate()
    if git.returncode:
        raise RuntimeError(f"Unable to run git ls-remote to get the `resolved_ref`: {said.decode()}")
    return found.decode().split(maxsplit=1)[0] if found else None
