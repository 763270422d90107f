"""--json: each answer has the shape that is documented for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.reference.walbc_json import queries
from walbc.commands import COMMANDS
from walbc.explanations import ANSWERS
from walbc.shapes import SHAPES, json_value
from walbd.model.error import ProtocolViolation

QUERIES = dict(queries())


def check_documented(shape: str, value: Any) -> None:
    """Every member of an object is described, and its value is of the type described."""
    described = {field.name: field.type.name for field in SHAPES[shape].fields}
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict) and described:
            for name, member in item.items():
                assert is_a(described[name], member), f"{shape} {name}: {member!r} is no {described[name]}"


def is_a(type_name: str, value: Any) -> bool:
    names = {bool: "true or false", int: "number", float: "number", str: "text time", list: "list", dict: "object"}
    if value is None:
        return "null" in type_name
    return type_name.split(maxsplit=1)[0] in names[type(value)].split()


def test_every_target_of_get_has_a_shape() -> None:
    forms = COMMANDS["get"].forms
    assert forms and all(row.shape in SHAPES for row in forms.rows.values())


@pytest.mark.parametrize("name", QUERIES)
def test_the_example_of_each_answer_has_the_documented_shape(name: str) -> None:
    row = QUERIES[name]
    value = json_value(row.shape, ANSWERS[row.name])
    assert json.loads(json.dumps(value)) == value
    check_documented(row.shape, value)


@pytest.mark.parametrize(
    ("shape", "lines", "value"),
    [
        ("number", ["18043"], 18043),
        ("flag", ["0"], False),
        ("texts", [], []),
        ("estimate", ["never"], None),
        ("estimate", ["12"], 12),
        ("text", ["name:with\ttab"], "name:with\ttab"),
        ("restorable", ["5 --- 0"], [{"gid": 5, "time": None, "isExplicit": False}]),
        (
            "diffs",
            ["|0,1|-->|2| -C 2026-11-23T01:02:00 0"],
            [
                {
                    "begin": "|0,1|",
                    "end": "|2|",
                    "isMergeable": False,
                    "isCompare": True,
                    "time": "2026-11-23T01:02:00",
                    "bytes": 0,
                }
            ],
        ),
        (
            "snapshots",
            ["name:1\tkind:proxy\tarchive:a0\tgid:\ttimestamp:"],
            [{"name": "1", "kind": "proxy", "archive": "a0", "gid": None, "timestamp": None}],
        ),
        ("actions", ["0 Merge 1 ---"], [{"name": "0", "actions": {"Merge": {"count": 1, "lastBegin": None}}}]),
    ],
)
def test_values_are_of_their_types(shape: str, lines: list[str], value: object) -> None:
    assert json_value(shape, lines) == value


@pytest.mark.parametrize(
    ("shape", "lines"),
    [
        ("number", ["x"]),
        ("number", []),
        ("number", ["1", "2"]),
        ("flag", ["2"]),
        ("diffs", ["nonsense"]),
        ("restorable", ["5 yesterday 0"]),
        ("works", ["nonsense"]),
        ("works", ["done:x"]),
        ("actions", ["vol0"]),
        ("statistics", ["NONSENSE\tx"]),
        ("statistics", ["GET_COUNT\tx"]),
        ("destination", ["x"]),
        ("status", ["nonsense"]),
        ("status", ["-----ArchiveGlobal-----", "-----Volume-----", "volume"]),
        ("status", ["-----Volume-----", "  archive a0 x"]),
        ("status", []),
    ],
)
def test_an_answer_that_is_nonsense_is_an_error_that_shows_it(shape: str, lines: list[str]) -> None:
    with pytest.raises(ProtocolViolation, match="the answer is no "):
        json_value(shape, lines)


def test_the_reason_of_a_failure_is_a_sentence_in_the_status_of_a_server() -> None:
    line = "volume v0 state Target logUsagePb 5 logCapacityPb 9 isOverflow 1 lastFailure cannot connect (hint: look)"
    lines = ["-----StorageGlobal-----", "-----Volume-----", line, "volume v1 state Failed bad file"]
    first, second = json_value("status", lines)["volumes"]
    assert (first["lastFailure"], first["isOverflow"]) == ("cannot connect (hint: look)", True)
    assert second == {"volume": "v1", "state": "Failed", "reason": "bad file"}


def test_what_a_newer_server_adds_is_passed_on_as_text() -> None:
    assert json_value("works", ["name:v\tcolour:5"]) == [{"name": "v", "colour": "5"}]
