"""The page docs/walbc-json.md, made from the tables: `python -m walbc.json_page > docs/walbc-json.md`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from walbc import status_shape
from walbc.commands import COMMANDS
from walbc.explanations import ANSWERS
from walbc.shapes import SHAPES, Field, json_value
from walbc.table import Command

_INTRODUCTION = """\
# Answers as JSON

With `--json`, before or after the command, `walbc` prints one line of JSON instead of the lines of the answer. (This
page is made from the program's tables.) An answer that cannot be read so is an error. Rules for readers:

- Members a server says nothing about are left out; newer servers may have more members, which are texts.
- A time is `YYYY-MM-DDThh:mm:ss` (UTC), `null` for never. Sizes are in the unit their name or meaning says.
- Errors are as without `--json`: one line on stderr, exit status 1, nothing on stdout.
"""

_STATUS = """
## status

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
    return "\n".join([_INTRODUCTION, *_queries(), *_shapes(), _STATUS, *_status_parts(), ""])


def queries() -> Iterator[tuple[str, Command]]:
    """The name and the row of everything that takes --json."""
    for name, command in COMMANDS.items():
        for row in command.forms.rows.values() if command.forms else [command]:
            if row.shape:
                yield f"{name} {row.name}" if command.forms else name, row


def _queries() -> Iterator[str]:
    yield from ("| Query | Answer | Example |", "|:--|:--|:--|")
    for name, row in queries():
        shape = SHAPES[row.shape]
        described = f"[{shape.value}](#{row.shape})" if shape.fields or row.shape == "status" else shape.value
        value = json.dumps(json_value(row.shape, ANSWERS[row.name]), ensure_ascii=False)
        example = "" if shape.fields or row.shape == "status" else f"`{value}`".replace("|", "\\|")
        yield f"| `{name}` | {described} | {example} |"


def _shapes() -> Iterator[str]:
    for name, shape in SHAPES.items():
        row = next((row for _, row in queries() if row.shape == name), None)
        if shape.fields and row:
            value = json_value(name, ANSWERS[row.name])
            yield from (f"\n## {name}\n", f"{shape.value.capitalize()}; its members:\n", *_members(shape.fields))
            yield f"\n    {json.dumps(value, ensure_ascii=False)}"


def _status_parts() -> Iterator[str]:
    for title, fields in _PARTS.items():
        yield from (f"\n### {title}\n", *_members(fields))


def _members(fields: Iterable[Field]) -> Iterator[str]:
    yield from ("| Member | Type | Meaning |", "|:--|:--|:--|")
    yield from (
        f"| `{field.name}` | {field.type.name} | {field.meaning.replace('|', chr(92) + '|')} |" for field in fields
    )


if __name__ == "__main__":
    print(page(), end="")
