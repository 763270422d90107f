from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_the_page_of_states_is_what_the_tables_say() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "generate_states.py"))
    page = (ROOT / "docs" / "states.md").read_text()
    assert page == script["render"](), "run scripts/generate_states.py"
