"""Reading policy files; what is wrong is told as `FILE:LINE: KEY: ...`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from walbc.worker.config import Config
from walbc.worker.schema import PolicyError
from walbc.worker.unknown_keys import unknown_keys
from walbd.model.error import InvalidArgument, one_line

MAX_FILE_BYTES = 1 << 20
STDIN = "-"


def load_config(paths: list[str], warn: Callable[[str], None] = lambda _: None) -> Config:
    """The configuration of files, later ones over earlier ones; `warn` is told of keys that are ignored. Raises
    InvalidArgument with file, line, key and what was expected."""
    config = Config()
    text = ""
    for path in paths:
        text = _read(path)
        _take(config, path, text)
        for keys, hint in unknown_keys(yaml.safe_load(text)):
            warn(f"{path}:{_line(text, keys)}: {'.'.join(keys)}: unknown, ignored (hint: {hint})")
    try:
        config.verify()
    except PolicyError as error:
        raise _located(error, paths[-1], text) from error
    return config


def _read(path: str) -> str:
    try:
        data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1) if path == STDIN else Path(path).read_bytes()
        text = data.decode()
    except OSError as error:
        raise InvalidArgument(f"{path}: {error.strerror}", "name a policy file with -f") from error
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"{path}: not UTF-8", "write the policy file in UTF-8") from error
    if len(data) > MAX_FILE_BYTES:
        raise InvalidArgument(f"{path}: larger than {MAX_FILE_BYTES} bytes", "is it a policy file?")
    return text


def _take(config: Config, path: str, text: str) -> None:
    try:
        config.setStr(text)
    except PolicyError as error:
        raise _located(error, path, text) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise InvalidArgument(
            f"{path}:{line}: no YAML: {one_line(str(problem))}", "write 'key: value' lines"
        ) from error
    except RecursionError as error:
        raise InvalidArgument(f"{path}:1: nested too deeply", "write 'key: value' lines") from error


def _located(error: PolicyError, path: str, text: str) -> InvalidArgument:
    place = ": ".join([f"{path}:{_line(text, error.path)}", *filter(None, [".".join(error.path)])])
    return InvalidArgument(f"{place}: {error.found}", f"expected {error.expected}")


def _line(text: str, keys: tuple[str, ...]) -> int:
    return _line_of(yaml.compose(text, Loader=yaml.SafeLoader), keys)


def _line_of(node: yaml.Node | None, path: tuple[str, ...]) -> int:
    """The line of a key, or of the innermost section there is on the way to it."""
    line = node.start_mark.line + 1 if node else 1
    for name in path:
        if not isinstance(node, yaml.MappingNode):
            break
        found = next(((key, value) for key, value in node.value if key.value == name), None)
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line
