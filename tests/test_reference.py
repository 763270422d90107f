"""The reference pages and the man pages."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from scripts.reference.files import ALIASES, MAN, PAGES, ROOT, made_files
from scripts.reference.markdown import MADE
from scripts.reference.roff import man_page
from walbc import servers
from walbc.worker.config import ApplyConfig, GeneralConfig, MergeConfig, ReplServerConfig
from walbd.device.main import DEVICE_OPTIONS

REMEDY = "run python -m scripts.reference"
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
NAME = "page"


def rendered(markdown: str, sections: dict[str, str] | None = None) -> str:
    """The source of a man page, without its head."""
    return man_page(NAME, "1", "a page", f"# {NAME}(1): a page\n\n{markdown}\n", sections or {}).partition("a page\n")[
        2
    ]


def committed(name: str) -> str:
    return (ROOT / PAGES / f"{name}.md").read_text()


def needs(program: str) -> str:
    found = shutil.which(program)
    if not found:
        pytest.skip(f"{program} is not installed (scripts/test-packages.txt)")
    return found


def test_the_pages_are_what_the_tables_say() -> None:
    for path, text in made_files().items():
        assert (ROOT / path).exists() and (ROOT / path).read_text() == text, f"{path}: {REMEDY}"


def test_no_page_is_left_of_what_is_gone() -> None:
    made = set(made_files())
    man = {path.relative_to(ROOT) for path in (ROOT / MAN).iterdir()}
    pages = {path.relative_to(ROOT) for path in (ROOT / PAGES).iterdir() if path.read_text().startswith(MADE)}
    assert man | pages <= made, f"remove {man | pages - made}"


@pytest.mark.parametrize("program", SCRIPTS)
def test_every_program_has_a_page_and_a_man_page(program: str) -> None:
    assert (ROOT / MAN / f"{program}.1").exists()
    text = committed(ALIASES.get(program, program))
    for heading in ("Synopsis", "Description", "Options", "Exit status", "See also"):
        assert f"\n## {heading}\n" in text


def test_the_links_of_all_documents_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"


def test_groff_has_nothing_to_say_about_the_man_pages() -> None:
    groff = needs("groff")
    pages = [path for path in sorted((ROOT / MAN).iterdir()) if path.stem not in ALIASES]
    done = subprocess.run(
        [groff, "-t", "-man", "-Tutf8", "-ww", *pages], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    shown = re.sub(r"\x1b\[\d+m", "", done.stdout)
    assert "walb-storage - ships the log of walb devices" in shown


def test_whatis_and_apropos_find_every_page() -> None:
    lexgrog = needs("lexgrog")
    pages = [path for path in sorted((ROOT / MAN).iterdir()) if path.stem not in ALIASES]
    done = subprocess.run([lexgrog, *pages], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for page, line in zip(pages, done.stdout.splitlines(), strict=True):
        assert f'"{page.stem} - ' in line


def test_another_name_of_a_program_leads_to_its_man_page(tmp_path: Path) -> None:
    man = needs("man")
    (tmp_path / "man1").mkdir()
    for name in ("walb_worker.py.1", "walb-worker.1"):
        shutil.copy(ROOT / MAN / name, tmp_path / "man1")
    done = subprocess.run(
        [man, "-M", tmp_path, "walb_worker.py"], capture_output=True, text=True, timeout=60, check=False
    )
    assert "walb-worker - applies, merges" in re.sub(".\b", "", done.stdout)


def test_the_page_of_the_servers_file_has_its_keys() -> None:
    assert [f"`{key}`" for key in servers.KEYS] == re.findall(r"^\| (`\w+`)", committed("walb-servers"), re.MULTILINE)


def test_the_page_of_policies_has_their_keys() -> None:
    text = committed("walb-policy")
    sections = {
        "general": GeneralConfig,
        "apply": ApplyConfig,
        "merge": MergeConfig,
        "repl.servers.NAME": ReplServerConfig,
    }
    for section, config in sections.items():
        for key in config.KEYS:
            assert re.search(rf"^\| `{section}\.(\w+`, `[\w.]*)?{key}`", text, re.MULTILINE), f"{section}.{key}"


def test_the_page_of_device_lists_has_the_options_of_a_device() -> None:
    found = re.findall(r"^\| `(.*?)` \|", committed("walb-devices").replace("\\|", "|"), re.MULTILINE)
    assert found == [option.form for option in DEVICE_OPTIONS]


@pytest.mark.parametrize(
    ("markdown", "roff"),
    [
        ("a\\b", ".PP\na\\eb"),
        (".so /etc/passwd", ".PP\n\\&.so /etc/passwd"),
        ("'quoted' - \"twice\"", ".PP\n\\(aqquoted\\(aq \\- \\(dqtwice\\(dq"),
        ("`-o PATH` of *it*", ".PP\n\\fB\\-o \\fIPATH\\fR of \\fIit\\fR"),
        ("`WALBC_HOST` and `SIGHUP`", ".PP\n\\fBWALBC_HOST\\fR and \\fBSIGHUP\\fR"),
        (
            "[other](other.md), [that](other.md), [gone](gone.md)",
            ".PP\n\\fBother\\fR(7), that (\\fBother\\fR(7)), gone",
        ),
        ("- one\n  more\n- two", ".IP \\(bu 4\none more\n.IP \\(bu 4\ntwo"),
        ("    .x ~^`", ".PP\n.RS 4\n.nf\n\\&.x \\(ti\\(ha\\(ga\n.fi\n.RE"),
        ("| A | Meaning |\n|:--|:--|\n| `a\\|b` | it |", ".TP\n\\fBa|b\\fR\nit.\\&"),
    ],
)
def test_markdown_becomes_a_man_page(markdown: str, roff: str) -> None:
    assert rendered(markdown, {"other": "7"}) == f"{roff}\n"


def test_a_narrow_table_stays_one_and_a_wide_one_becomes_a_list() -> None:
    head = "| From | To | Cause |\n|:--|:--|:--|\n"
    assert ".TS\n" in rendered(f"{head}| a | b | c |")
    wide = rendered(f"{head}| {'a' * 60} | b | c |")
    assert wide == f".TP\n{'a' * 60}\nTo: b. Cause: c.\\&\n"
