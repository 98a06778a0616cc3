"""What every object store must do, on a folder and in memory."""

import pytest

from opt_data.errors import CommitConflict
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


def test_deleting_is_final_idempotent_and_can_be_conditional(port: ObjectStore) -> None:
    version = port.put("a", b"one", expected=MUST_NOT_EXIST)
    with pytest.raises(CommitConflict):
        port.delete("a", expected="another version")
    port.delete("a", expected=version)
    port.delete("a", expected=version)
    port.delete("never/was/there")
    assert port.read("a") is None
    assert list(port.list("")) == []
