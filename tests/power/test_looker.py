"""The looker finds what it is there to find, and a failure can be found again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge import engine
from edge.handover import HandOver
from edge.uploads import Taken, Uploads
from tests.power.battery import BATTERY
from tests.power.disk import (
    MODES,
    Create,
    Disk,
    MakeFolder,
    Operation,
    Rename,
    Sync,
    SyncFolder,
    Truncate,
    Unlink,
    Write,
)
from tests.power.explore import BadAddress, Result, explore, replay
from tests.power.recording import record
from tests.power.state import faults
from tests.power.wrong import (
    AnswersBeforeCommit,
    BytesNotForcedOut,
    NamesNotForcedOut,
    NeverSyncs,
    SplitTransaction,
    SyncsSometimes,
)


def _explored(name: str, **wrong: object) -> Result:
    shape = msgspec.structs.replace(BATTERY[name], **wrong)
    return explore(shape, "1", boots=0, most=300)


def _said(result: Result) -> str:
    return "\n".join(failure.what for failure in result.failures)


@pytest.mark.timeout(300)
def test_commits_that_are_not_forced_out_are_found() -> None:
    """synchronous=NORMAL loses commits that had returned, and nothing else is wrong with it."""
    result = _explored("simple", adapter=SyncsSometimes)

    assert "is not one of" in _said(result)
    assert "integrity" not in _said(result)


@pytest.mark.timeout(300)
def test_a_database_that_forces_nothing_out_is_found_damaged() -> None:
    """synchronous=OFF leaves files that SQLite cannot vouch for, besides losing commits."""
    result = _explored("idempotency", adapter=NeverSyncs)

    assert "is not one of" in _said(result)
    assert "integrity_check" in _said(result) or "cannot be used" in _said(result)


@pytest.mark.timeout(300)
def test_an_answer_before_its_commit_is_found() -> None:
    """What was acknowledged is not there."""
    result = _explored("simple", adapter=AnswersBeforeCommit)

    assert "not kept: flow" in _said(result)


@pytest.mark.timeout(300)
def test_a_transition_in_two_transactions_is_found() -> None:
    """Between the two nothing would ever move the execution."""
    result = _explored("simple", adapter=SplitTransaction)

    assert "nothing will ever move flow, which is RUNNING" in _said(result)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("files", [NamesNotForcedOut, BytesNotForcedOut])
def test_payloads_that_are_not_forced_out_are_found(files: type) -> None:
    """A record refers to a file that is not there, or is not whole."""
    result = _explored("payloads", files=files)

    assert "beside the database: The file" in _said(result)


@pytest.mark.timeout(300)
def test_a_file_that_is_noted_before_it_is_there_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The row tells size and digest of what is not under the name yet."""

    async def note_first(_: Uploads, unfinished: Path, __: Path, taken: Taken, note: Any) -> Path:
        await note(taken)
        return unfinished

    monkeypatch.setattr(Uploads, "_noted", note_first)
    result = _explored("files")

    assert "is not what was uploaded" in _said(result)


@pytest.mark.timeout(300)
def test_a_changed_schema_without_a_copy_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what was before nothing is left."""
    monkeypatch.setattr(engine, "keep_copy", lambda *_, **__: None)
    result = _explored("release_before")

    assert "there is no copy from before" in _said(result)


@pytest.mark.timeout(300)
def test_a_boot_that_forgets_what_waits_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is wrong with any row: only going on shows that workers are never handed the task."""

    async def forget(_: HandOver, *, alone: bool = False) -> None:
        """Queues stay empty."""

    monkeypatch.setattr(HandOver, "take_up", forget)
    result = _explored("simple")

    assert {"after the power cut the device did not go on"} == {
        failure.what.partition(":")[0] for failure in result.failures
    }


# The disk.


def _images(
    operations: list[Operation], mode: str, seeds: int = 40
) -> set[tuple[tuple[str, bytes], ...]]:
    """Everything that a mode may leave of some operations, for many seeds."""
    disk = Disk({"old": b"before"})
    for operation in operations:
        disk.advance(operation)
    found = set()
    for seed in range(seeds):
        built = disk.build(disk.image(mode, str(seed)))
        found.add(tuple(sorted((name, one.content) for name, one in built.items())))
    return found


def test_what_was_forced_out_is_in_every_image() -> None:
    """With its name, once the folder was forced out as well; whatever the mode."""
    done: list[Operation] = [Create("new", 1), Write(1, 0, b"content"), Sync(1), SyncFolder("")]
    for mode in MODES:
        assert {(("new", b"content"), ("old", b"before"))} == _images(done, mode)


def test_a_name_is_certain_only_with_its_folder() -> None:
    """The bytes alone do not make a file appear; nor does a folder that nobody has heard of."""
    unnamed: list[Operation] = [Create("new", 1), Write(1, 0, b"content"), Sync(1)]
    nowhere: list[Operation] = [MakeFolder("in"), Create("in/new", 1), Sync(1), SyncFolder("in")]

    assert {(("old", b"before"),)} == _images(unnamed, "drop") == _images(nowhere, "drop")
    assert {(("new", b"content"), ("old", b"before"))} == _images(unnamed, "keep")


def test_each_mode_leaves_what_it_says() -> None:
    """Of two sectors over the old content, and of the end of the file."""
    writes: list[Operation] = [Write(-1, 0, b"A" * 512 + b"B" * 512), Write(-1, 1_024, b"C")]
    old, grown = b"before", b"before" + bytes(1_019)
    whole = b"A" * 512 + b"B" * 512 + b"C"

    def contents(mode: str) -> set[bytes]:
        return {image[0][1] for image in _images(writes, mode)}

    assert {old} == contents("drop")
    assert {whole} == contents("keep")
    assert {grown} == contents("zeros")
    assert {old, whole, whole[:1_024], old + bytes(1_018) + b"C"} == contents("subset")
    assert {old, whole, whole[:1_024]} <= contents("prefix")
    assert whole[:512] in contents("prefix")
    assert old + bytes(506) + b"B" * 512 in contents("sector")


def test_a_renamed_file_is_under_one_of_its_names() -> None:
    """And under the new one for certain, when its folder was forced out."""
    renamed: list[Operation] = [
        MakeFolder("a"), SyncFolder(""), Create("u", 1), Write(1, 0, b"x"), Sync(1),
        Rename("u", "a/f", 1),
    ]  # fmt: skip

    assert {(("old", b"before"),)} == _images(renamed, "drop")
    assert {(("a/f", b"x"), ("old", b"before"))} == _images(renamed, "keep")
    assert {(("a/f", b"x"), ("old", b"before"))} == _images([*renamed, SyncFolder("a")], "drop")


def test_what_was_taken_away_may_come_back() -> None:
    """Until its folder was forced out; and so may what a file was cut off."""
    gone: list[Operation] = [Truncate(-1, 3), Unlink("old")]

    assert {(("old", b"before"),)} == _images(gone, "drop")
    assert {()} == _images(gone, "keep") == _images([*gone, SyncFolder("")], "drop")


# Recordings and addresses.


def test_two_recordings_of_a_shape_are_equal() -> None:
    """An address means the same image tomorrow. Nonces and ids of messages differ, in their bytes."""
    first, second = record(BATTERY["sub_workflow"]), record(BATTERY["sub_workflow"])

    assert first.operations == second.operations
    assert first.commits == second.commits
    assert [type(one) for one in record(BATTERY["secrets"]).operations] == [
        type(one) for one in record(BATTERY["secrets"]).operations
    ]


def test_an_address_finds_its_failure_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """In another run of the same shape."""
    wrong = msgspec.structs.replace(BATTERY["simple"], adapter=SyncsSometimes)
    failure = explore(wrong, "7", boots=0).failures[0]
    monkeypatch.setitem(BATTERY, "simple", wrong)

    assert failure.what == replay(failure.address).wrong


@pytest.mark.parametrize(
    ("address", "part"),
    [
        ("nothing:1:drop:1", "shape"),
        ("simple:x:drop:1", "index"),
        ("simple:99999:drop:1", "index"),
        ("simple:1:sideways:1", "mode"),
        ("simple:", "index"),
    ],
)
def test_a_bad_address_names_its_bad_part(address: str, part: str) -> None:
    """Whoever mistypes one is told what to look at."""
    with pytest.raises(BadAddress, match=f"^{part}: "):
        replay(address)


def test_a_state_that_is_well_has_no_faults() -> None:
    """Whatever a shape has committed; so the faults of images are theirs."""
    recording = record(BATTERY["sub_workflow"])

    assert [] == [fault for state in recording.states.values() for fault in faults(state)]


def _command(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.power", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.timeout(150)
def test_the_command_looks_and_replays() -> None:
    """It says how many images it has seen, and 0 is the answer when all is well."""
    looked = _command("--shape", "fork_none", "--images", "300", "--jobs", "1", "--seed", "5")
    replayed = _command("--replay", "fork_none:20:keep:5")

    assert (0, 0) == (looked.returncode, replayed.returncode), looked.stderr + replayed.stderr
    assert "0 failures" in looked.stdout
    assert "nothing is wrong" in replayed.stdout


@pytest.mark.timeout(150)
def test_the_command_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    """What was noted of the same question is believed; what is through leaves no note."""
    note = tmp_path / "note"
    words = ["--shape", "fork_none", "--shape", "fork_one", "--images", "300", "--jobs", "1"]
    note.write_text("1 300 fork_none fork_one\nfork_none\n")
    looked = _command(*words, "--resume", str(note))

    assert 0 == looked.returncode, looked.stderr
    assert "1 shapes are done" in looked.stdout
    assert "[1/1] fork_one" in looked.stdout
    assert not note.exists()


@pytest.mark.timeout(150)
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--shape", "simpel"], "--shape"),
        (["--images", "0"], "--images"),
        (["--replay", "simple:1:sideways:1"], "mode: 'sideways'"),
    ],
)
def test_the_command_names_what_it_cannot_use(words: list[str], said: str) -> None:
    """On standard error, with 2 as its answer."""
    answer = _command(*words)

    assert 2 == answer.returncode
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr
