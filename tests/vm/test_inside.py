"""The files of inside/ run in User Mode Linux: in one boot together, in the long run each in one of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.vm.uml import Outcome, pytest_command, reason_to_skip, run_inside

INSIDE = Path(__file__).parent / "inside"
LIMIT_SEC = 240
LONG_LIMIT_SEC = 7200
# pytest's exit statuses: all passed, some failed, none collected.
RAN_TO_THE_END = (0, 1, 5)

pytestmark = pytest.mark.skipif(bool(reason_to_skip()), reason=reason_to_skip())


@dataclass
class Boot:
    """A run of some files: how it ended, and of each file (test, "passed", "skipped: WHY" or "failed")."""

    outcome: Outcome
    verdicts: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def read(self, junit: Path) -> None:
        """The verdicts."""
        for case in ElementTree.parse(junit).getroot().iter("testcase"):
            skipped = case.find("skipped")
            is_failed = case.find("failure") is not None or case.find("error") is not None
            verdict = "failed" if is_failed else "passed" if skipped is None else f"skipped: {skipped.get('message')}"
            (name,) = [word for word in str(case.get("classname")).split(".") if word.startswith("test_")]
            self.verdicts.setdefault(f"{name}.py", []).append((str(case.get("name")), verdict))


class Boots:
    """Boots when the first test asks."""

    def __init__(self, session: pytest.Session, factory: pytest.TempPathFactory) -> None:
        self._config, self._factory = session.config, factory
        self._markers = session.config.option.markexpr
        self._is_sample = "not long" in self._markers
        chosen = {item.callspec.params["name"] for item in session.items if item.path == Path(__file__)}
        self._batches = [sorted(chosen)] if self._is_sample else [[name] for name in sorted(chosen)]
        self._done: dict[str, Boot] = {}

    def of(self, name: str) -> Boot:
        """The boot a file ran in."""
        if name not in self._done:
            batch = next(names for names in self._batches if name in names)
            self._done |= dict.fromkeys(batch, self._run(batch))
        return self._done[name]

    def _run(self, names: list[str]) -> Boot:
        folder, seed = self._factory.mktemp("boot"), self._config.getoption("randomly_seed")
        command = pytest_command([INSIDE / name for name in names], folder, seed, self._markers)
        limit_sec = LIMIT_SEC * len(names) if self._is_sample else LONG_LIMIT_SEC
        boot = Boot(run_inside(folder, command, limit_sec))
        if boot.outcome.status in RAN_TO_THE_END:
            boot.read(folder / "junit.xml")
        return boot


@pytest.fixture(scope="module")
def boots(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Boots:
    """Of this session."""
    return Boots(request.session, tmp_path_factory)


@pytest.mark.timeout(LONG_LIMIT_SEC + 60)
@pytest.mark.parametrize("name", sorted(path.name for path in INSIDE.glob("test_*.py")))
def test_a_file_of_tests_passes_inside_user_mode_linux(name: str, boots: Boots) -> None:
    boot = boots.of(name)
    verdicts = boot.verdicts.get(name, [])
    if boot.outcome.status not in RAN_TO_THE_END or any(verdict == "failed" for _, verdict in verdicts):
        pytest.fail(f"{boot.outcome.output}\n{boot.outcome.console}", pytrace=False)
    if not verdicts:
        pytest.skip("all tests of this file are long ones")
    skipped = [f"{test}: {verdict}" for test, verdict in verdicts if verdict != "passed"]
    if skipped:
        pytest.skip("; ".join(skipped))
