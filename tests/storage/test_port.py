"""What every object store must do, on a folder and in memory."""

import pytest

from opt_data.errors import AlreadyRunning, CommitConflict
from opt_data.storage.port import MUST_NOT_EXIST, ObjectStore


def test_an_object_is_read_back_with_its_version(port: ObjectStore) -> None:
    assert port.read("a/b.bin") is None
    version = port.put("a/b.bin", b"one", expected=MUST_NOT_EXIST)
    stored = port.read("a/b.bin")
    assert stored is not None
    assert (stored.data, stored.version) == (b"one", version)


def test_creating_what_exists_is_a_conflict_and_changes_nothing(port: ObjectStore) -> None:
    port.put("a", b"one", expected=MUST_NOT_EXIST)
    with pytest.raises(CommitConflict):
        port.put("a", b"two", expected=MUST_NOT_EXIST)
    assert port.read("a").data == b"one"


def test_replacing_needs_the_current_version(port: ObjectStore) -> None:
    first = port.put("a", b"one", expected=MUST_NOT_EXIST)
    second = port.put("a", b"two", expected=first)
    assert second != first
    with pytest.raises(CommitConflict):
        port.put("a", b"three", expected=first)
    assert port.read("a").data == b"two"
    with pytest.raises(CommitConflict):
        port.put("b", b"three", expected=first)
    assert port.read("b") is None


def test_keys_are_listed_by_prefix_in_order(port: ObjectStore) -> None:
    for key in ("x/slot_03_b", "x/slot_03_a", "x/slot_04_a", "x/y/slot_03_c", "xx/slot_03_d"):
        port.put(key, b"", expected=MUST_NOT_EXIST)
    assert list(port.list("x/slot_03_")) == ["x/slot_03_a", "x/slot_03_b"]
    assert list(port.list("x/")) == ["x/slot_03_a", "x/slot_03_b", "x/slot_04_a", "x/y/slot_03_c"]
    assert list(port.list("x")) == ["x/slot_03_a", "x/slot_03_b", "x/slot_04_a", "x/y/slot_03_c", "xx/slot_03_d"]
    assert list(port.list("nothing/here/")) == []
    assert list(port.list("x/slot_03_a/")) == []
    assert list(port.list("x/../xx/")) == []


def test_deleting_is_final_idempotent_and_can_be_conditional(port: ObjectStore) -> None:
    version = port.put("a", b"one", expected=MUST_NOT_EXIST)
    with pytest.raises(CommitConflict):
        port.delete("a", expected="another version")
    port.delete("a", expected=version)
    port.delete("a", expected=version)
    port.delete("never/was/there")
    assert port.read("a") is None
    assert list(port.list("")) == []


def test_an_open_object_stays_whole_when_it_is_replaced(port: ObjectStore) -> None:
    first = port.put("a/b", b"one two", expected=MUST_NOT_EXIST)
    with port.open("a/b") as file:
        port.put("a/b", b"three", expected=first)
        assert file.read(3) == b"one"
        file.seek(-3, 2)
        assert file.read() == b"two"
    assert port.open("nothing") is None


def test_marks_tell_replaced_objects_apart(port: ObjectStore) -> None:
    first = port.put("a/b", b"one", expected=MUST_NOT_EXIST)
    port.put("c", b"", expected=MUST_NOT_EXIST)
    (before,) = port.marks("a/")
    assert list(port.marks("a/")) == [before]
    assert (before.key, before.size) == ("a/b", 3)
    port.put("a/b", b"two", expected=first)
    (after,) = port.marks("a/")
    assert after.tag != before.tag


def test_moves_take_objects_and_folders_and_can_be_repeated(port: ObjectStore) -> None:
    for key in ("in/a", "in/deep/b", "old", "new"):
        port.put(key, key.encode(), expected=MUST_NOT_EXIST)
    moves = [("new", "old"), ("in/", "out/of/sight/")]
    for _ in range(2):
        port.move(moves)
        assert list(port.list("")) == ["old", "out/of/sight/a", "out/of/sight/deep/b"]
    assert port.read("old").data == b"new"
    port.delete_all("out/of/")
    port.delete_all("out/of/")
    assert list(port.list("")) == ["old"]


def test_an_exclusive_lock_keeps_all_others_out(port: ObjectStore) -> None:
    with port.lock("one"):
        for shared in (False, True):
            with pytest.raises(AlreadyRunning), port.lock("one", shared=shared, wait=False):
                pytest.fail("held by two")
        with port.lock("another", wait=False):
            pass
    with (
        port.lock("one", shared=True),
        port.lock("one", shared=True, wait=False),
        pytest.raises(AlreadyRunning),
        port.lock("one", wait=False),
    ):
        pytest.fail("held by one that wants it alone")
