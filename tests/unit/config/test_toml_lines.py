"""Positions in a TOML file, against a file whose lines are counted by eye."""

from opt_data.config.toml_lines import key_lines, toml_entries

TEXT = """\
# about the file

[paths]  # where
# first line
# second line
data_root = "a"   # not this one
state_root = [
  "b",
]

# lost because of the blank line

"quoted" = 1
[ gateway ]
data_root = 2
"""


def test_lines_of_headers_and_keys() -> None:
    assert key_lines(TEXT) == {
        ("paths", ""): 3,
        ("paths", "data_root"): 6,
        ("paths", "state_root"): 7,
        ("paths", "quoted"): 13,
        ("gateway", ""): 14,
        ("gateway", "data_root"): 15,
    }


def test_only_the_comment_directly_above_belongs_to_a_key() -> None:
    comments = {entry.key: entry.comment for entry in toml_entries(TEXT) if entry.section == "paths"}
    assert comments == {"": "", "data_root": "first line second line", "state_root": "", "quoted": ""}
