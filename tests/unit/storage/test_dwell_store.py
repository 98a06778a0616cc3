"""What was learned survives, and nothing that happens to the file is an error."""

import pytest

from opt_data.core.dwell import DwellKnowledge, Experience
from opt_data.storage.dwell_store import DwellStore

KNOWN = DwellKnowledge(
    {"AAPL at0 d1": Experience(20, 0.9, 0.5, 1.5), "AAPL out4 d4": Experience(2, 0.0)},
    {265598: Experience(3, 0.25, 0.125, 4.0)},
)


def test_what_was_saved_is_loaded(tmp_path):
    DwellStore(tmp_path / "dwell").save("BRK B", KNOWN)

    assert DwellStore(tmp_path / "dwell").load("BRK B") == KNOWN
    assert [path.name for path in (tmp_path / "dwell").iterdir()] == ["BRK.B.json"]


def test_of_an_unknown_symbol_nothing_is_known(tmp_path):
    assert DwellStore(tmp_path / "dwell").load("AAPL") == DwellKnowledge()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"format":2,"kinds":{},"contracts":{}}',
        b'{"format":1,"kinds":{}}',
        b'{"format":1,"kinds":[],"contracts":{}}',
        b'{"format":1,"kinds":{"X":[1]},"contracts":{}}',
        b'{"format":1,"kinds":{"X":[1,7.0,0.5,0.5]},"contracts":{}}',
        b'{"format":1,"kinds":{"X":[1,1.0,-3.0,0.5]},"contracts":{}}',
        b'{"format":1,"kinds":{"X":[1,NaN,1,1]},"contracts":{}}',
        b'{"format":1,"kinds":{},"contracts":{"one":[1,1,null,null]}}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_a_damaged_file_is_no_knowledge_and_is_replaced(tmp_path, content):
    store = DwellStore(tmp_path)
    store.path("AAPL").write_bytes(content)

    assert store.load("AAPL") == DwellKnowledge()
    store.save("AAPL", KNOWN)
    assert store.load("AAPL") == KNOWN


def test_a_folder_that_cannot_be_written_is_only_said(tmp_path, caplog):
    (tmp_path / "dwell").write_text("a file where the folder should be")
    store = DwellStore(tmp_path / "dwell")

    store.save("AAPL", KNOWN)

    assert "cannot be written" in caplog.text
    assert store.load("AAPL") == DwellKnowledge()
