"""Every recorded case again: the cluster does what the real one did, and the client reads the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import binderhub.builder
from tests.e2e.streams import Comment, Ending, normalise, read
from tests.standin.conftest import REF, open_after

if TYPE_CHECKING:
    from tests.e2e.streams import Event, Transcript
    from tests.standin.cluster import Pod

RECORDED = sorted((Path(__file__).parent / "streams").glob("*.txt"))


def is_of_the_log(event: Event) -> bool:
    return event.phase not in {"waiting", "ready"} and event.data != {"phase": "failed"}


def line_of(event: Event) -> str:
    """Return what repo2docker wrote: BinderHub made an event only of what is no JSON."""
    return event.message if event.phase == "unknown" else json.dumps(event.data) + "\n"


def ref_of(recorded: Transcript) -> str:
    """Return the commit that was built; where no image tells, it does not matter."""
    return recorded.image.rpartition(":")[2] or REF


def play(recorded: Transcript, cluster: Any, stream: Any) -> None:
    """Go through the case on the cluster, as the client reads of it."""
    pod = cluster.created()
    # The test deletes: the real cluster told of a failed pod once more before it was gone.
    cluster.keeps = True
    log = [line_of(event) for event in recorded.events if is_of_the_log(event)]
    # A pod that is still pending when the first keepalive comes.
    waits = isinstance(recorded.items[1], Comment)
    events = 0
    for item in stream:
        is_comment = isinstance(item, Comment)
        events += not is_comment
        waits = waits and not is_comment
        if waits or pod.is_over:
            continue
        if log and pod.body["status"]["phase"] == "Pending":
            pod.becomes("Running")
            pod.says(*log)
        if events == 1 + len(log):
            end(recorded, pod, has_run=bool(log))


def end(recorded: Transcript, pod: Pod, *, has_run: bool) -> None:
    failed = [event.data for event in recorded.events].count({"phase": "failed"})
    if recorded.image:
        pod.ends("Succeeded")
        pod.goes()
    elif has_run:
        pod.ends("Failed")
        for _ in range(failed - 2):
            pod.becomes("Failed")
        if failed > 1:
            pod.goes()
    elif failed:
        pod.goes()


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
def test_a_recorded_case_is_the_same_again(standin, cluster, registry, file, monkeypatch) -> None:
    monkeypatch.setattr(binderhub.builder, "KEEPALIVE", 0.1)
    recorded = read(file)
    is_there_already = recorded.events[0].phase == "ready"
    if is_there_already:
        name, _, tag = recorded.image.partition("/")[2].rpartition(":")
        registry.manifests[f"/v2/{name}/manifests/{tag}"] = {"schemaVersion": 2}
    stays = recorded.ending == Ending.LEFT
    options = open_after(len(recorded.events)) if stays else {}
    stream = standin.build(ref=ref_of(recorded), **options)
    if not is_there_already:
        play(recorded, cluster, stream)
    kept = stream.transcript()
    assert [event.data for event in kept.events] == [event.data for event in recorded.events]
    assert kept.ending == recorded.ending
    assert {item.text for item in kept.items if isinstance(item, Comment)} <= {":keepalive"}
    assert normalise(kept) == normalise(recorded)
    assert bool(cluster.bodies) is not is_there_already


def test_the_cases_are_those_that_were_recorded() -> None:
    assert len(RECORDED) == 12
    assert {read(file).ending for file in RECORDED} == {Ending.CLOSED, Ending.LEFT}
