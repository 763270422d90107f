"""Each file of inside/ runs in a User Mode Linux of its own."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.vm.uml import pytest_command, reason_to_skip, run_inside

INSIDE = Path(__file__).parent / "inside"
LIMIT_SEC = 240
LONG_LIMIT_SEC = 7200
NO_TESTS_COLLECTED = 5

pytestmark = pytest.mark.skipif(bool(reason_to_skip()), reason=reason_to_skip())


def outcomes(junit: Path) -> list[tuple[str, str]]:
    """(test, "passed", "skipped: WHY" or "failed") of each."""
    found = []
    for case in ElementTree.parse(junit).getroot().iter("testcase"):
        skipped = case.find("skipped")
        is_failed = case.find("failure") is not None or case.find("error") is not None
        verdict = "failed" if is_failed else "passed" if skipped is None else f"skipped: {skipped.get('message')}"
        found.append((str(case.get("name")), verdict))
    return found


@pytest.mark.timeout(LONG_LIMIT_SEC + 60)
@pytest.mark.parametrize("name", sorted(path.name for path in INSIDE.glob("test_*.py")))
def test_a_file_of_tests_passes_inside_user_mode_linux(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    markers = request.config.option.markexpr
    limit_sec = LIMIT_SEC if "not long" in markers else LONG_LIMIT_SEC
    command = pytest_command(INSIDE / name, tmp_path, request.config.getoption("randomly_seed"), markers)
    result = run_inside(tmp_path, command, limit_sec)
    if result.status == NO_TESTS_COLLECTED:
        pytest.skip("all tests of this file are long ones")
    if result.status != 0:
        pytest.fail(f"{result.output}\n{result.console}", pytrace=False)
    verdicts = outcomes(tmp_path / "junit.xml")
    assert verdicts
    skipped = [f"{test}: {verdict}" for test, verdict in verdicts if verdict != "passed"]
    if skipped:
        pytest.skip("; ".join(skipped))
