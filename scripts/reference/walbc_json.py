"""The page of answers as JSON, made from the tables of walbc."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from scripts.reference import markdown
from scripts.reference.markdown import block, code, see_also, table
from walbc import status_shape
from walbc.commands import COMMANDS
from walbc.explanations import ANSWERS
from walbc.shapes import SHAPES, Field, json_value
from walbc.table import Command

_DESCRIPTION = """
With `--json`, before or after the command, [walbc](walbc.md) prints one line of JSON instead of the lines of the
answer. An answer that cannot be read so is an error. Rules for readers:

- Members a server says nothing about are left out; newer servers may have more members, which are texts.
- A time is `YYYY-MM-DDThh:mm:ss` (UTC), `null` for never. Sizes are in the unit their name or meaning says.
- Errors are as without `--json`: one line on stderr, exit status 1, nothing on stdout.
"""

_STATUS = """
| Member | Type | Meaning |
|:--|:--|:--|
| `kind` | text | storage, proxy or archive |
| `settings` | object | of the server; see below |
| `archive` | text | of a storage: its primary archive, HOST:PORT:PORT |
| `proxies` | list | of a storage: its proxies; see below |
| `taskQueue` | list | of a storage or proxy: transfers that wait; see below |
| `volumes` | list | volumes; of a proxy each has `archives`, a list of queues |

`status VOL` is an object with the members of a volume and

| Member | Type | Meaning |
|:--|:--|:--|
| `kind` | text | storage, proxy or archive |
| `actions` | object | how often each action is running, by its name |
| `done` | object | of a storage: the record up to which log has been sent |
| `queue` | list | of a storage: records of log that waits |
| `archives` | list | of a proxy: its queues |
"""

_PARTS = {
    "settings": status_shape.SETTINGS,
    "a proxy of a storage": status_shape.PROXY_STATE,
    "a transfer that waits": status_shape.QUEUED,
    "a volume": status_shape.VOLUME,
    "a queue": status_shape.QUEUE,
    "a record": status_shape.RECORD,
}


def page() -> str:
    """The whole page."""
    sections = {
        "Description": _DESCRIPTION,
        "Queries": table(("Query", "Answer", "Example"), _queries()),
        **dict(_shapes()),
        "status": "\n\n".join([_STATUS.strip(), *_status_parts()]),
        "See also": see_also("walbc"),
    }
    return markdown.page("walbc-json(5): answers of walbc as JSON", sections)


def queries() -> Iterator[tuple[str, Command]]:
    """The name and the row of everything that takes --json."""
    for name, command in COMMANDS.items():
        for row in command.forms.rows.values() if command.forms else [command]:
            if row.shape:
                yield f"{name} {row.name}" if command.forms else name, row


def _queries() -> Iterator[tuple[str, str, str]]:
    for name, row in queries():
        shape = SHAPES[row.shape]
        is_described = shape.fields or row.shape == "status"
        described = f"[{shape.value}](#{row.shape})" if is_described else shape.value
        value = json.dumps(json_value(row.shape, ANSWERS[row.name]), ensure_ascii=False)
        yield code(name), described, "" if is_described else code(value)


def _shapes() -> Iterator[tuple[str, str]]:
    for name, shape in SHAPES.items():
        row = next((row for _, row in queries() if row.shape == name), None)
        if shape.fields and row:
            value = json.dumps(json_value(name, ANSWERS[row.name]), ensure_ascii=False)
            yield name, f"{shape.value.capitalize()}; its members:\n\n{_members(shape.fields)}\n\n{block(value)}"


def _status_parts() -> Iterator[str]:
    for title, fields in _PARTS.items():
        yield from (f"### {title}", _members(fields))


def _members(fields: Iterable[Field]) -> str:
    rows = ((code(field.name), field.type.name, field.meaning) for field in fields)
    return table(("Member", "Type", "Meaning"), rows)
