"""The runner of the guide fails on every way in which a page can be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.guide.page import PageError
from tests.guide.runner import play


def play_text(folder: Path, text: str) -> None:
    (folder / "page.md").write_text(text)
    play("page.md", folder=folder)


def test_a_right_page_passes(tmp_path: Path) -> None:
    play_text(
        tmp_path,
        """
```conf
# /etc/walb/list
one
```

```console
$ greeting=hello
$ echo $greeting; cat /etc/walb/list
hello
# /etc/walb/list
one
$ cat > ~/more << END
> 1 2026-11-28T06:51:34 of localhost:10200
> END
$ cat ~/more /nowhere
1 2020-01-01T00:00:00 of localhost:10200
cat: ...: No such file or directory
$ echo $?
1
$ seq 9
1
...
9
```

```text
not run
```

```python
>>> number = 6 * 7
>>> number
42
>>> open('/nowhere/file')
Traceback (most recent call last):
FileNotFoundError: [Errno 2] No such file or directory: '/nowhere/file'
```
""",
    )


@pytest.mark.parametrize(
    ("block", "told"),
    [
        ("```console\n$ echo one\ntwo\n```\n", "page.md:2: $ echo one\nexpected: two\n     got: one\n"),
        ("```console\n$ echo one\n```\n", "got: one"),
        ("```console\n$ true\none\n```\n", "expected: one\n     got: (nothing more)"),
        ("```console\n$ printf 'a\\nb\\nc\\n'\na\n...\nd\n```\n", "expected: d"),
        ("```console\n$ false\n```\n", "exit status 1"),
        ("```console\n$ echo '3 2026-11-28T06:51:34'\n3 yesterday\n```\n", "expected: 3 yesterday"),
        ("```console\n$ echo '|5|-->|4|'\n|5|-->|6|\n```\n", "got: |5|-->|4|"),
        ("```console\n$ echo gid:5\ngid:1\n$ echo gid:6\ngid:1\n```\n", "page.md:4:"),
        ("```console\n$ false\n$ echo $?\n0\n```\n", "expected: 0\n     got: 1"),
        ("```python\n>>> 6 * 7\n43\n```\n", "page.md:2: >>> 6 * 7"),
        ("```python\n>>> 1 / 0\n```\n", "ZeroDivisionError"),
        ("```python\n>>> 1 / 0\nTraceback (most recent call last):\nKeyError: 1\n```\n", "another error"),
        ("```bash\necho one\n```\n", "unknown kind of block 'bash'"),
        ("```conf\none\n```\n", "a file begins with"),
        ("```console\necho one\n```\n", "a console block begins with"),
        ("```console\n$ echo one\n", "has no end"),
    ],
)
def test_a_wrong_page_fails_and_says_where(tmp_path: Path, block: str, told: str) -> None:
    with pytest.raises(PageError) as failure:
        play_text(tmp_path, block)
    assert told in str(failure.value)


def test_a_page_is_played_after_the_page_it_begins_with_and_no_page_twice(tmp_path: Path) -> None:
    for name in ("first", "second"):
        text = f"Begins where [First](first.md) ends.\n\n```console\n$ test $steps = 1 && echo {name}\n{name}\n```\n"
        (tmp_path / f"{name}.md").write_text(text)
    (tmp_path / "first.md").write_text("```console\n$ steps=$((steps + 1))\n```\n")
    (tmp_path / "third.md").write_text((tmp_path / "second.md").read_text())
    play("second.md", "third.md", folder=tmp_path)
