"""What a request must be like to be built, and what is said where it is not."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

import binderhub.builder
from tests.e2e.streams import Ending
from tests.standin.conftest import IMAGE, REF, WAITING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GITHUB = "binder-examples/requirements"
WAITS = {"linger": 0, "until": lambda event: event.phase == "waiting"}


def told(stream) -> list[dict[str, str]]:
    kept = stream.transcript()
    assert (kept.status, kept.content_type) == (200, "text/event-stream")
    return [event.data for event in kept.events]


def refusal(stream) -> str:
    """Return the one thing that is said, before the stream ends."""
    (event,) = told(stream)
    assert (event["phase"], stream.ending, list(event)) == ("failed", Ending.CLOSED, ["phase", "message"])
    return event["message"]


def git(directory: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=directory, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the branches main, feature/x and x, and the tag v1."""
    directory = tmp_path_factory.mktemp("git") / "demo.git"
    directory.mkdir()
    git(directory, "init", "-q", "-b", "main")
    for branch in ("main", "feature/x", "x"):
        git(directory, "checkout", "-q", "-B", branch)
        git(directory, "commit", "-q", "--allow-empty", "-m", branch)
    git(directory, "tag", "v1", "main")
    git(directory, "checkout", "-q", "main")
    return directory


@pytest.fixture
def from_files(serve: Callable) -> Callable:
    """Return a function that asks a stand-in which reads repositories from files."""
    standin = serve({"GitRepoProvider": {"allowed_protocols": ["file"]}})

    def ask(repository: Path, ref: str, **options):
        return standin.build(f"file://{repository}", ref, **options)

    return ask


@pytest.fixture
def hosts(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have git find GitHub and GitLab in a directory, with the repository there."""
    for path in ("github.com/binder-examples/requirements", "gitlab.com/group/a-project.git"):
        link = tmp_path / path
        link.parent.mkdir(parents=True)
        link.symlink_to(repository)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.file://{tmp_path}/.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://")


@pytest.mark.parametrize("accept", ["text/event-stream", "Text/Event-Stream", "text/event-stream;q=0.9"])
def test_an_event_stream_is_asked_for_by(standin, accept) -> None:
    assert told(standin.build(headers={"Accept": accept}, **WAITS)) == [WAITING]


@pytest.mark.parametrize("accept", ["", "*/*", "text/html", "text/event-stream, application/json"])
def test_an_event_stream_is_not_asked_for_by(standin, cluster, accept) -> None:
    (event,) = told(standin.build(headers={"Accept": accept}))
    message = "Missing Accept header: text/event-stream\n"
    assert event == {"phase": "failed", "status_code": 400, "message": message}
    assert cluster.calls == []


@pytest.mark.parametrize("word", ["true", "True", "TRUE"])
def test_a_build_without_a_launch_is_asked_for_by(standin, cluster, word) -> None:
    stream = standin.build(query={"build_only": word})
    cluster.created().ends("Succeeded")
    assert told(stream)[-1]["phase"] == "ready"


def test_a_build_without_a_launch_is_not_for_those_with_pages(serve, cluster, registry) -> None:
    standin = serve({"BinderHub": {"enable_api_only_mode": False}})
    (event,) = told(standin.build())
    assert event == {
        "phase": "failed",
        "status_code": 400,
        "message": "Building but not launching is not permitted when the API only mode was not enabled "
        "by setting `enable_api_only_mode` to True. \n",
    }
    # That is seen after the registry was asked.
    assert len(registry.asked) == 1
    assert cluster.calls == []


def test_nobody_is_given_a_build_token(standin) -> None:
    (event,) = told(standin.build(query={"build_token": "x.y.z"}))
    assert event == {"phase": "failed", "status_code": 403, "message": "Invalid build token\n"}


@pytest.mark.parametrize("ref", ["main", "feature/x", "x", "v1", "HEAD"])
def test_a_ref_is_resolved(from_files, repository, cluster, ref) -> None:
    told(from_files(repository, ref, **WAITS))
    commit = git(repository, "ls-remote", ".", ref).split()[0]
    assert f"--ref={commit}" in cluster.created().body["spec"]["containers"][0]["args"]


def test_a_full_hash_needs_no_repository(standin, cluster) -> None:
    told(standin.build("git://192.0.2.1/nowhere.git", REF, **WAITS))
    assert f"--ref={REF}" in cluster.created().body["spec"]["containers"][0]["args"]


def test_git_is_asked_over_its_own_protocol(serve, cluster, repository, git_daemon) -> None:
    url = git_daemon(repository.parent)
    told(serve().build(f"{url}/demo.git", "main", **WAITS))
    args = cluster.created().body["spec"]["containers"][0]["args"]
    assert (args[1], args[-1]) == (f"--ref={git(repository, 'rev-parse', 'main')}", f"{url}/demo.git")


def test_a_ref_that_is_not_there_is_told(from_files, repository, cluster) -> None:
    stream = from_files(repository, "gone")
    key = f"git:file%3A%2F%2F{str(repository).replace('/', '%2F')}/gone"
    said = f"Could not resolve ref for {key}. Double check your URL and that your repo is public.\n"
    assert refusal(stream) == said
    assert cluster.calls == []


def test_a_repository_that_is_not_there_is_told(from_files, tmp_path) -> None:
    said = refusal(from_files(tmp_path / "gone.git", "main"))
    key = f"git:file%3A%2F%2F{str(tmp_path).replace('/', '%2F')}%2Fgone.git/main"
    start = f"Error resolving ref for {key}: Unable to run git ls-remote to get the `resolved_ref`: fatal: "
    assert said.startswith(start)


def test_a_protocol_that_is_not_allowed_is_told(standin, repository) -> None:
    said = f"Unsupported git url file://{repository}, protocol file not in git\n"
    assert refusal(standin.build(f"file://{repository}", "main")) == said


def test_an_option_is_no_repository(serve, tmp_path) -> None:
    standin = serve({"GitRepoProvider": {"allowed_protocols": [""]}})
    assert "fatal: " in refusal(standin.build(f"--upload-pack=touch {tmp_path}/made", "main"))
    assert not (tmp_path / "made").exists()


def test_the_short_form_of_ssh_is_a_url(standin) -> None:
    said = "Unsupported git url ssh://git@host.example/user/repo.git, protocol ssh not in git\n"
    assert refusal(standin.build("git@host.example:user/repo.git", "main")) == said


@pytest.mark.parametrize(
    ("provider", "spec", "said"),
    [
        ("nope", "x/y", "No provider found for prefix nope\n"),
        ("zenodo", "10.5281/zenodo.1", "No provider found for prefix zenodo\n"),
        ("git", "x", "not enough values to unpack (expected 2, got 1)\n"),
        ("gl", "group%2Fproject/", "not enough values to unpack (expected 2, got 1)\n"),
        ("gh", "user/main", 'Spec is not of the form "user/repo/ref", provided: "user/main".\n'),
        (
            *("gh", "user/x"),
            'Spec is not of the form "user/repo/ref", provided: "user/x". Did you mean "user/x/HEAD"?\n',
        ),
    ],
)
def test_a_spec_that_is_none_is_told(standin, provider, spec, said) -> None:
    stream = standin.ask(f"build/{provider}/{spec}?build_only=true")
    assert refusal(stream) == said


def test_a_trait_that_a_provider_refuses_is_told(serve) -> None:
    said = refusal(serve({"GitRepoProvider": {"banned_specs": 3}}).build())
    assert said == "The 'banned_specs' trait of a GitRepoProvider instance expected a list, not the int 3.\n"


@pytest.mark.parametrize(
    ("traits", "is_built"),
    [
        ({"banned_specs": ["^git%3A.*DEMO"]}, False),
        ({"banned_specs": ["^nothing"]}, True),
        ({"allowed_specs": ["^git%3A"]}, True),
        ({"allowed_specs": ["^https"]}, False),
        ({"allowed_specs": [".*"], "banned_specs": [".*"]}, False),
    ],
)
def test_specs_are_allowed_and_banned(serve, traits, is_built) -> None:
    stream = serve({"GitRepoProvider": {**traits, "allowed_protocols": ["git"]}}).build(**WAITS)
    spec = f"git%3A%2F%2Fgit.binder.svc%2Fdemo.git/{REF}"
    said = f"Sorry, {spec} is not allowed to launch. Please contact admins for more info!"
    assert told(stream) == [WAITING if is_built else {"phase": "failed", "message": said}]


@pytest.mark.usefixtures("hosts")
def test_github_is_asked_through_git(standin, cluster, repository) -> None:
    told(standin.build(GITHUB, "feature/x", provider="gh", **WAITS))
    pod = cluster.created().body
    commit = git(repository, "rev-parse", "feature/x")
    args = pod["spec"]["containers"][0]["args"]
    assert args[1:3] == [
        f"--ref={commit}",
        f"--image=registry.binder.svc:5000/binder/r2d-binder-2dexamples-2drequirements-55ab5c:{commit}",
    ]
    assert args[-1] == "https://github.com/binder-examples/requirements"


@pytest.mark.usefixtures("hosts")
def test_gitlab_is_asked_through_git(standin, cluster, repository) -> None:
    told(standin.build("group/a-project", "main", provider="gl", **WAITS))
    pod = cluster.created().body
    commit = git(repository, "rev-parse", "main")
    assert pod["spec"]["containers"][0]["args"][1] == f"--ref={commit}"
    assert pod["spec"]["containers"][0]["args"][-1] == "https://gitlab.com/group/a-project.git"


@pytest.mark.usefixtures("hosts")
def test_a_branch_of_github_that_was_renamed_leads_to_the_default_one(
    standin, cluster, repository, monkeypatch
) -> None:
    monkeypatch.setattr(binderhub.builder, "DETOUR", 0)
    stream = standin.build(
        GITHUB, "master", provider="gh", linger=0, until=lambda event: event.data == WAITING
    )
    detour, waiting = told(stream)
    assert waiting == WAITING
    assert detour == {
        "phase": "waiting",
        "message": f"Could not resolve ref for gh:{GITHUB}/master. Double check your URL and that your repo "
        'is public. GitHub has changed default branches from "master" to "main". Tip: HEAD will always '
        "resolve to a repository's default branch.\n"
        "Trying again with HEAD instead of master. Please update your links.\n",
    }
    args = cluster.created().body["spec"]["containers"][0]["args"]
    assert args[1] == f"--ref={git(repository, 'rev-parse', 'HEAD')}"


@pytest.mark.usefixtures("hosts")
def test_a_branch_of_github_that_is_not_there_is_told(standin) -> None:
    assert refusal(standin.build(GITHUB, "gone", provider="gh")) == (
        f"Could not resolve ref for gh:{GITHUB}/gone. Double check your URL and that your repo is public. "
        'GitHub has changed default branches from "master" to "main".\n'
    )


@pytest.mark.parametrize(
    ("provider", "config", "environment", "credentials"),
    [
        ("gh", {}, {}, None),
        ("gh", {"GitHubRepoProvider": {"access_token": "t"}}, {}, r"username=t\npassword=x-oauth-basic"),
        ("gh", {}, {"GITHUB_ACCESS_TOKEN": "t", "GITHUB_CLIENT_ID": "c"}, r"username=c\npassword=t"),
        ("gl", {}, {"GITLAB_PRIVATE_TOKEN": "t"}, r"username=binderhub\npassword=t"),
        ("git", {"GitRepoProvider": {"allowed_protocols": ["git"], "git_credentials": "x"}}, {}, "x"),
    ],
)
def test_credentials_for_git_reach_the_pod(
    serve, cluster, provider, config, environment, credentials
) -> None:
    repo = {"gh": "user/repo", "gl": "group/project", "git": "git://git.binder.svc/demo.git"}[provider]
    told(serve(config, **environment).build(repo, REF, provider=provider, **WAITS))
    (container,) = cluster.created().body["spec"]["containers"]
    expected = [] if credentials is None else [{"name": "GIT_CREDENTIAL_ENV", "value": credentials}]
    assert container["env"] == expected


def test_an_eleventh_request_in_an_hour_is_one_too_many(serve) -> None:
    standin = serve({"RateLimiter": {"limit": 10}})
    streams = [standin.ask("build/nope/x") for _ in range(11)]
    remaining = [stream.headers.get("X-Ratelimit-Remaining") for stream in streams]
    assert remaining == [*map(str, range(9, -1, -1)), None]
    assert streams[0].headers["X-Ratelimit-Limit"] == "10"
    assert streams[0].headers["X-Ratelimit-Reset"] == streams[9].headers["X-Ratelimit-Reset"]
    assert told(streams[9])[0]["message"] == "No provider found for prefix nope\n"
    too_many = "Rate limit exceeded. Try again in 3600 seconds.\n"
    assert told(streams[10]) == [{"phase": "failed", "status_code": 429, "message": too_many}]


@pytest.mark.parametrize(
    ("header", "second"),
    [
        ("X-Forwarded-For", "203.0.113.9, 192.0.2.2"),
        ("X-Real-Ip", "192.0.2.2"),
        ("X-Forwarded-For", "192.0.2.2"),
    ],
)
def test_whoever_asks_is_believed_for_whom(serve, header, second) -> None:
    standin = serve({"RateLimiter": {"limit": 1}})
    answers = [
        told(standin.ask("build/nope/x", headers={header: address}))[0].get("status_code")
        for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2", second)
    ]
    assert answers == [None, 429, None, 429]


def test_an_allowance_is_new_after_its_period(serve, monkeypatch) -> None:
    now = 1_000_000.0
    monkeypatch.setattr("binderhub.ratelimit.time.time", lambda: now)
    standin = serve({"RateLimiter": {"limit": 1, "period_seconds": 60}})
    answers = []
    for seconds in (0, 60, 1):
        now += seconds
        (event,) = told(standin.ask("build/nope/x"))
        answers.append(event.get("status_code"))
    assert answers == [None, 429, None]


def test_without_a_limit_nothing_is_counted(standin) -> None:
    assert "X-Ratelimit-Remaining" not in standin.ask("build/nope/x").headers


def test_a_banned_network_is_turned_away(serve) -> None:
    banned = {"192.0.2.0/24": "everywhere", "192.0.2.8/30": "there"}
    standin = serve({"BinderHub": {"ban_networks": banned}})
    there, elsewhere = {"X-Forwarded-For": "192.0.2.9"}, {"X-Forwarded-For": "198.51.100.1"}
    (event,) = told(standin.ask("build/nope/x", headers=there))
    said = "Requests from there are not allowed\n"
    assert event == {"phase": "failed", "status_code": 403, "message": said}
    assert refusal(standin.ask("build/nope/x", headers=elsewhere)) == "No provider found for prefix nope\n"
    assert [standin.get(path, **there).status for path in ("metrics", "versions")] == [403, 200]


USER_POD = {"spec": {"containers": [{"image": IMAGE}]}}
USERS = {"app": "jupyterhub", "component": "singleuser-server"}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"LaunchQuota": {"total_quota": 1}}, "Too many users on this BinderHub! Try again soon.\n"),
        ({"BinderHub": {"pod_quota": 0}}, "Too many users on this BinderHub! Try again soon.\n"),
        ({"LaunchQuota": {"total_quota": 2}}, None),
        (
            {"BinderHub": {"per_repo_quota": 1}},
            "Too many users running git://git.binder.svc/demo.git! Try again soon.\n",
        ),
        ({"BinderHub": {"per_repo_quota": 2}}, None),
        (
            {"GitRepoProvider": {"spec_config": [{"pattern": "^git", "config": {"quota": 1}}]}},
            "Too many users running git://git.binder.svc/demo.git! Try again soon.\n",
        ),
        (
            {
                "BinderHub": {"per_repo_quota": 1, "per_repo_quota_higher": 5},
                "GitRepoProvider": {"high_quota_specs": ["^git"]},
            },
            None,
        ),
        (
            {
                "BinderHub": {"launch_quota_class": "binderhub.quota.LaunchQuota"},
                "LaunchQuota": {"total_quota": 0},
            },
            None,
        ),
    ],
)
def test_too_many_users_keep_builds_away(serve, cluster, config, said) -> None:
    cluster.add("binder", "jupyter-user", USERS, **USER_POD)
    stream = serve(config).build(**WAITS)
    if said is None:
        assert told(stream) == [WAITING]
    else:
        assert refusal(stream) == said
        assert cluster.calls == [
            "GET /api/v1/namespaces/binder/pods?labelSelector=app=jupyterhub,component=singleuser-server"
        ]


def test_users_are_counted_where_the_quota_says(serve, cluster) -> None:
    config = {"KubernetesLaunchQuota": {"total_quota": 1, "namespace": "hub"}}
    told(serve(config).build(**WAITS))
    assert cluster.calls[0].startswith("GET /api/v1/namespaces/hub/pods?labelSelector=app=jupyterhub,")


def test_a_spec_config_that_is_none_is_an_internal_error(serve) -> None:
    standin = serve({"GitRepoProvider": {"allowed_protocols": ["git"], "spec_config": [{"pattern": 3}]}})
    (event,) = told(standin.build())
    assert event == {"phase": "failed", "status_code": 500, "message": "Internal Server Error\n"}
