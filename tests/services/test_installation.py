"""make install and uninstall over a borrowed environment: everything but the building of the real one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from installation.failure import Failure
from installation.install import install, uninstall
from installation.place import ENVIRONMENT, Place
from installation.tree import HERE, UNITS, installed_files
from tests.services.conftest import MAINS, run_here
from tests.services.installed import ROOT, borrow_environment, contents, files_naming, install_quickly
from walbc.servers import load_servers
from walbc.worker.policy_file import load_config

COMMANDS = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"])
NEEDS_BLOCK_DEVICES = ("walb-storage", "walb-archive", "walb-device@", "walb-attach@")
ANALYZE = shutil.which("systemd-analyze")


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation that no test of this file changes."""
    path = tmp_path_factory.mktemp("prefix") / "usr"
    install_quickly(Place.of_options(str(path), ""))
    return path


def unit(prefix: Path, name: str) -> str:
    return (prefix / UNITS / f"{name}.service").read_text()


def test_every_command_is_there_and_runs_in_the_private_environment(prefix: Path) -> None:
    assert {path.name for path in (prefix / "bin").iterdir()} == COMMANDS
    for path in (prefix / "bin").iterdir():
        assert path.read_text().startswith(f"#!{prefix}/lib/walb/bin/python -I\n")
        assert os.access(path, os.X_OK)
    for name, mark in (("walbc", "walbc: WalB control"), ("walb-archive", "walb archive"), ("wdiff-show", "usage")):
        done = subprocess.run([prefix / "bin" / name, "-h"], capture_output=True, text=True, check=True, env={})
        assert done.stdout.startswith(mark)


def test_the_environment_of_a_user_changes_nothing(prefix: Path, tmp_path: Path) -> None:
    (tmp_path / "walbc").mkdir()
    (tmp_path / "walbc" / "__init__.py").write_text("raise SystemExit('another walbc')")
    env = {"PYTHONPATH": str(tmp_path)}
    done = subprocess.check_output([prefix / "bin" / "walbc", "-h"], text=True, env=env, cwd=tmp_path)
    assert done.startswith("walbc: WalB control")


def test_completions_documents_and_examples_lie_where_they_are_looked_for(prefix: Path) -> None:
    for path, mark in (
        ("share/bash-completion/completions/walbc", "complete -o default -F _walbc walbc"),
        ("share/zsh/site-functions/_walbc", "#compdef walbc"),
        ("share/fish/vendor_completions.d/walbc.fish", "complete -c walbc"),
        ("share/doc/walb/docs/installing.md", "# Installing"),
        ("share/doc/walb/README.md", "# WalB"),
        ("share/doc/walb/examples/policy.yaml", f"walbc_path: {prefix}/bin/walbc"),
    ):
        assert mark in (prefix / path).read_text()


def test_man_pages_go_to_their_sections(tmp_path: Path, prefix: Path) -> None:
    source = tmp_path / "source"
    (source / "docs" / "man").mkdir(parents=True)
    for name in ("walbc.1", "walb-policy.5", "walb.7", "notes.md"):
        (source / "docs" / "man" / name).write_text(name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    files = installed_files(Place.of_options("/usr", ""), source, prefix / ENVIRONMENT)
    pages = {str(file.path): file.content for file in files if file.path.parts[:2] == ("share", "man")}
    assert pages == {
        "share/man/man1/walbc.1": b"walbc.1",
        "share/man/man5/walb-policy.5": b"walb-policy.5",
        "share/man/man7/walb.7": b"walb.7",
    }


def test_units_are_right_in_the_eyes_of_systemd(prefix: Path, tmp_path: Path) -> None:
    if not ANALYZE:
        pytest.skip("needs systemd-analyze")
    units = [str(path).replace("@.", "@vol0.") for path in sorted((prefix / UNITS).iterdir())]
    assert len(units) == 6
    done = subprocess.run([ANALYZE, "verify", "--man=no", *units], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    broken = tmp_path / "broken.service"
    broken.write_text(
        unit(prefix, "walb-proxy").replace("/bin/walb-proxy", "/bin/walb-prxy").replace("=mixed", "=some")
    )
    done = subprocess.run([ANALYZE, "verify", "--man=no", broken], capture_output=True, text=True, check=False)
    assert "walb-prxy is not executable" in done.stderr and "Failed to parse kill mode" in done.stderr


def test_each_unit_names_pages_that_are_installed(prefix: Path) -> None:
    for path in (prefix / UNITS).iterdir():
        name, section, page = re.findall(r"^Documentation=man:(\S+)\((\d)\) file:(\S+)$", path.read_text(), re.M)[0]
        assert (prefix / f"share/man/man{section}/{name}.{section}").exists()
        assert Path(page).exists()


@pytest.mark.parametrize("kind", ["storage", "proxy", "archive", "worker", "device@"])
def test_a_unit_checks_then_starts_the_program_and_is_told_of_its_life(prefix: Path, kind: str) -> None:
    lines = unit(prefix, f"walb-{kind}").splitlines()
    command = f"{prefix}/bin/walb-{kind.rstrip('@')}" + (" -n %i" if kind == "device@" else "") + " $OPTIONS"
    assert f"ExecStartPre={command} --check" in lines
    assert f"ExecStart={command}" in lines
    assert {"Type=notify", "Restart=on-failure", "EnvironmentFile=/etc/default/%N"} <= set(lines)
    assert any(line.startswith("WatchdogSec=") for line in lines)
    assert ("ExecReload=/bin/kill -HUP $MAINPID" in lines) == (kind != "device@")


@pytest.mark.parametrize("name", NEEDS_BLOCK_DEVICES)
def test_no_sandbox_keeps_block_devices_away(prefix: Path, name: str) -> None:
    options = {line.split("=")[0] for line in unit(prefix, name).splitlines() if not line.startswith("#")}
    assert not options & {"PrivateDevices", "ProtectClock", "DevicePolicy", "DeviceAllow", "PrivateIPC", "DynamicUser"}


def test_a_stop_is_given_more_time_than_it_takes(prefix: Path) -> None:
    limits = {
        path.name: re.findall(r"^TimeoutStopSec=(\d+)$", path.read_text(), re.MULTILINE)
        for path in (prefix / UNITS).iterdir()
    }
    for kind in ("storage", "proxy", "archive"):
        assert int(limits[f"walb-{kind}.service"][0]) > 10  # docs/operating.md
    from walbc.worker.service import MANAGED_STOP_SEC

    assert int(limits["walb-worker.service"][0]) > MANAGED_STOP_SEC


@pytest.mark.parametrize("name", ["walb-storage", "walb-proxy", "walb-archive", "walb-device@vol0"])
def test_the_options_in_the_examples_are_taken_by_the_programs(name: str, tmp_path: Path) -> None:
    options = example_options(name)
    program = name.split("@", maxsplit=1)[0]
    if program == "walb-device":
        # Its devices are not there: only what is said before they are looked for is wrong.
        status, out, err = run_here([program, "-n", "vol0", "-s", str(tmp_path), *options, "--check"])
        assert (status, out) == (1, "") and err.startswith("walb-device: error: cannot open /dev/vg/vol0-log: No such")
        return
    (tmp_path / "base").mkdir()
    options[options.index("-b") + 1] = str(tmp_path / "base")
    options[options.index("-p") + 1] = "0"
    status, out, _ = run_here([program, *options, "--check"])
    assert status == 0, out
    assert program in MAINS


def example_options(name: str) -> list[str]:
    """As systemd splits them."""
    text = (HERE / "examples" / name).read_text()
    return re.findall(r'^OPTIONS="(.*)"$', text, re.MULTILINE)[0].split()


def test_the_example_policy_and_servers_file_are_right(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = prefix / "share/doc/walb/examples"
    assert load_config([str(examples / "policy.yaml")]).general.port == 10200
    servers = load_servers({"WALBC_CONFIG": str(examples / "servers.toml")})
    assert list(servers) == ["s0", "p0", "a0"]
    assert example_options("walb-worker") == ["-f", "/etc/walb/policy.yaml"]


# ---- what installing and uninstalling change ----


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Place]:
    """An installation of a test's own."""
    place = Place.of_options(str(tmp_path / "usr"), "")
    install_quickly(place)
    yield place


def test_uninstalling_leaves_nothing(own: Place, tmp_path: Path) -> None:
    uninstall(own)
    assert contents(tmp_path) == set()
    with pytest.raises(Failure, match="nothing is installed below"):
        uninstall(own)


def test_what_others_have_put_beside_it_stays(own: Place) -> None:
    mine = own.root / "share" / "doc" / "walb" / "my-notes"
    mine.write_text("mine")
    (own.root / "bin" / "other").write_text("other")
    uninstall(own)
    assert contents(own.root) == {"bin", "bin/other", "share", "share/doc", "share/doc/walb", "share/doc/walb/my-notes"}


def test_installing_again_replaces_everything_and_removes_what_is_no_longer_part_of_it(own: Place) -> None:
    everything = contents(own.root)
    with open(own.manifest, "a") as manifest:
        manifest.write("bin/walb-old\n")
    (own.root / "bin" / "walb-old").write_text("of an older version")
    (own.environment / "old").write_text("of an older version")
    (own.root / "bin" / "walbc").write_text("broken")
    install_quickly(own)
    assert contents(own.root) == everything
    assert (own.root / "bin" / "walbc").read_text().startswith("#!")
    uninstall(own)
    assert not own.root.exists()


def test_an_installation_that_fails_leaves_the_older_one_at_work(own: Place) -> None:
    everything = contents(own.root)

    def fail(folder: Path, final: Path, source: Path) -> None:
        folder.mkdir()
        raise Failure("no package index")

    with pytest.raises(Failure, match="no package index"):
        install(own, ROOT, fail)
    assert contents(own.root) == everything
    done = subprocess.run([own.root / "bin" / "walbc", "-h"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("walbc: WalB control")


def test_a_first_installation_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path, final: Path, source: Path) -> None:
        raise Failure("no package index")

    with pytest.raises(Failure):
        install(Place.of_options(str(tmp_path / "a" / "b"), ""), ROOT, fail)
    assert contents(tmp_path) <= {"a"}


def test_files_of_others_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("walbc", "wdevc"):
        (tmp_path / "bin" / name).write_text("walb-tools 1.0.19")
    with pytest.raises(Failure, match=r"bin/walbc and 1 more would be overwritten: move what is there away"):
        install_quickly(Place.of_options(str(tmp_path), ""))
    assert contents(tmp_path) == {"bin", "bin/walbc", "bin/wdevc"}


def test_a_packager_s_folder_is_named_nowhere_in_what_lies_in_it(tmp_path: Path) -> None:
    place = Place.of_options("/opt/walb", str(tmp_path / "root"))
    install_quickly(place)
    assert {path.name for path in (tmp_path / "root" / "opt" / "walb" / "bin").iterdir()} == COMMANDS
    assert list(files_naming(tmp_path / "root", str(tmp_path))) == []
    assert (tmp_path / "root/opt/walb/bin/walbc").read_text().startswith("#!/opt/walb/lib/walb/bin/python -I\n")
    assert "ExecStart=/opt/walb/bin/walb-proxy" in unit(tmp_path / "root/opt/walb", "walb-proxy")
    uninstall(place)
    assert not [path for path in (tmp_path / "root").rglob("*") if not path.is_dir()]


@pytest.mark.parametrize("prefix", ["usr/local", "/opt/my walb", "/opt/%h", "/opt/../etc", "/" + "x" * 120])
def test_a_prefix_that_scripts_or_units_cannot_name_is_refused(prefix: str) -> None:
    with pytest.raises(Failure, match="PREFIX="):
        Place.of_options(prefix, "")


def test_the_borrowed_environment_is_the_one_of_this_project(tmp_path: Path) -> None:
    borrow_environment(tmp_path / "e", Path("/opt/e"), ROOT)
    command = [str(tmp_path / "e/bin/python"), "-I", "-c", "import walb, walblib; print(walb.__file__)"]
    assert subprocess.check_output(command, text=True).startswith(str(ROOT))
