"""Keys of a policy that mean nothing: they are ignored, as by the reference, but a typing mistake should not be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from walbc.worker.config import ApplyConfig, GeneralConfig, MergeConfig, ReplServerConfig
from walbd.model.suggest import suggestion

_ANY = "*"
_KNOWN: Mapping[str, object] = {
    "general": GeneralConfig.KEYS,
    "apply": ApplyConfig.KEYS,
    "merge": MergeConfig.KEYS,
    "repl": {"servers": {_ANY: ReplServerConfig.KEYS}, "disabled_volumes": None},
    "retention": {"keep": None},
}


def unknown_keys(policy: object) -> Iterator[tuple[tuple[str, ...], str]]:
    """(keys that lead to it, what may have been meant) of each key of a parsed policy that is not known."""
    yield from _unknown(policy, _KNOWN, ())


def _unknown(section: object, known: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if not isinstance(section, dict) or not isinstance(known, Mapping):
        return
    for key, value in section.items():
        name = str(key)
        if _ANY in known or name in known:
            yield from _unknown(value, known.get(name, known.get(_ANY)), (*path, name))
        else:
            yield (*path, name), _meant(name, known)


def _meant(name: str, known: Mapping[str, object]) -> str:
    sections = [section for section, keys in known.items() if isinstance(keys, Mapping) and name in keys]
    if sections:
        return f"write it below {' or '.join(sections)}"
    names = list(known)
    return suggestion(name, names, f"known are {' '.join(names)}")
