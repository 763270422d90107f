"""The real thing, built and installed as operators do it: minutes, and root."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.group import free_port
from installation.debian import SYSTEM_PYTHON
from tests.services.installed import LIMIT_SEC, ROOT, contents, files_naming, make
from tests.services.notify_socket import NotifySocket

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
ANALYZE = shutil.which("systemd-analyze")
DIST = ROOT / "build" / "dist"
COMMANDS = ("walbc", "walb-storage", "walb-proxy", "walb-archive", "walb-device", "walb-worker", "wdevc", "wdiff-show")
is_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a short path, for sockets and first lines of scripts."""
    path = Path(tempfile.mkdtemp(prefix="walb-i-"))
    yield path
    shutil.rmtree(path)


def runs(folder: Path, environment: Path) -> None:
    """The commands and the library of an installation work, from anywhere and without a PATH."""
    for name in COMMANDS:
        done = subprocess.run([folder / name, "-h"], capture_output=True, text=True, check=True, cwd="/", env={})
        assert done.stdout, name
    code = "import walb, walblib, walbd._core; print(walb.__file__)"
    out = subprocess.check_output([environment / "bin" / "python", "-c", code], text=True, cwd="/")
    assert out.startswith(str(environment))


# ---- make install ----


def session_of_the_page() -> str:
    """The commands of docs/installing.md that make a group without systemd."""
    page = (ROOT / "docs" / "installing.md").read_text()
    section = page.split("## Without systemd")[1].split("\n## ")[0]
    return "".join(f"{line[4:]}\n" for line in section.splitlines() if line.startswith("    "))


def adapted(session: str, prefix: Path, place: Path, ports: dict[str, int], device: str) -> str:
    """The session below another PREFIX, with folders, ports and a device name of the test; where a program begins to
    serve in the background, wait until it does. sudo may be missing: root needs none."""
    sudo = "" if not shutil.which("sudo") else "sudo "
    session = session.replace("sudo ", sudo).replace("/var/forest/walb", str(place / "data"))
    for port, free in ports.items():
        session = session.replace(port, str(free))
    session = re.sub(r"\bvol0\b", device, session)
    session = re.sub(r"^((?:sudo )?)(walb-|wdevc)", rf"\1{prefix}/bin/\2", session, flags=re.MULTILINE)
    lines = []
    for line in session.splitlines():
        lines.append(line)
        if served := re.match(r".* -p (\d+) .*&$", line):
            lines.append(f"until (: < /dev/tcp/localhost/{served[1]}) 2>/dev/null; do sleep 0.1; done")
        elif line.endswith("&"):
            lines.append(f"until [ -S /run/walb/{device}.ctl ]; do sleep 0.1; done")
    return "\n".join(["set -e", *lines, "wait", "echo ended"])


@is_root
def test_a_group_from_an_installed_prefix_backs_up_and_restores_and_nothing_is_left(place: Path) -> None:
    prefix, device = place / "usr", f"t{os.getpid()}"
    make("install", f"PREFIX={prefix}")
    runs(prefix / "bin", prefix / "lib" / "walb")
    if ANALYZE:
        units = [str(path).replace("@.", "@v.") for path in sorted((prefix / "lib/systemd/system").iterdir())]
        subprocess.run([ANALYZE, "verify", "--man=no", *units], check=True)
    ports = {port: free_port() for port in ("10000", "10100", "10200")}
    script = adapted(session_of_the_page(), prefix, place, ports, device)
    path = f"{prefix}/bin:{os.environ['PATH']}:/usr/sbin:/sbin"
    process = subprocess.Popen(
        ["bash", "-c", script],
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        out, _ = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 9)
    assert process.returncode == 0, out
    assert {"restored", "ended"} <= set(out.splitlines()), out
    make("install", f"PREFIX={prefix}")  # over the older one
    make("uninstall", f"PREFIX={prefix}")
    assert contents(place) & {"usr"} == set()
    assert (place / "data" / "archive" / device).is_dir(), "data stay"
    Path(f"/run/walb/{device}.lock").unlink()


def test_a_packager_s_folder_is_named_by_no_file_that_is_run(place: Path) -> None:
    root = place / "root"
    make("install", f"DESTDIR={root}", "PREFIX=/opt/walb")
    assert list(files_naming(root, str(root))) == []
    assert (root / "opt/walb/bin/walbc").read_text().startswith("#!/opt/walb/lib/walb/bin/python -I\n")
    unit = (root / "opt/walb/lib/systemd/system/walb-archive.service").read_text()
    assert "ExecStart=/opt/walb/bin/walb-archive" in unit
    make("uninstall", f"DESTDIR={root}", "PREFIX=/opt/walb")
    assert not [path for path in root.rglob("*") if not path.is_dir()]


# ---- packages ----


@pytest.fixture(scope="module")
def packages() -> dict[str, Path]:
    """What make package makes, by suffix."""
    if not shutil.which("dpkg-deb") or not os.path.exists(SYSTEM_PYTHON):
        pytest.skip("needs dpkg-deb and Debian's Python")
    printed = make("package").splitlines()
    made = {path.suffix: path for path in DIST.iterdir()}
    assert {str(path.relative_to(ROOT)) for path in made.values()} <= set(printed)
    return made


def test_the_wheel_works_in_an_environment_of_its_own(packages: dict[str, Path], place: Path) -> None:
    subprocess.run([SYSTEM_PYTHON, "-m", "venv", place / "env"], check=True)
    pip = [place / "env" / "bin" / "python", "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, packages[".whl"]], check=True, timeout=LIMIT_SEC)
    runs(place / "env" / "bin", place / "env")


def test_the_sdist_alone_makes_an_installation(packages: dict[str, Path], place: Path) -> None:
    shutil.unpack_archive(packages[".gz"], place, filter="data")
    source = next(place.glob("walb-*"))
    command = ["make", "install", f"PREFIX={place}/usr", f"PYTHON={sys.executable}"]
    subprocess.run(command, cwd=source, check=True, timeout=LIMIT_SEC, stdout=subprocess.DEVNULL)
    runs(place / "usr" / "bin", place / "usr" / "lib" / "walb")


def test_the_debian_package_unpacks_to_what_names_its_final_place(packages: dict[str, Path], place: Path) -> None:
    subprocess.run(["dpkg-deb", "-x", packages[".deb"], place], check=True)
    assert list(files_naming(place / "usr" / "bin", "/tmp/")) == []
    assert (place / "usr/bin/walbc").read_text().startswith("#!/usr/lib/walb/bin/python -I\n")
    assert (place / "usr/lib/walb/bin/python3").resolve() == Path(SYSTEM_PYTHON).resolve()
    assert (place / "usr/share/zsh/vendor-completions/_walbc").exists()
    command = [place / "usr/lib/walb/bin/python", "-I", place / "usr/bin/walbc", "-h"]
    assert subprocess.check_output(command, text=True).startswith("walbc: WalB control")


@is_root
def test_the_debian_package_is_installed_runs_and_is_removed_without_a_trace(
    packages: dict[str, Path], place: Path
) -> None:
    if subprocess.run(["dpkg", "-s", "walb"], capture_output=True, check=False).returncode == 0:
        pytest.skip("a package walb is installed here")
    subprocess.run(["dpkg", "-i", packages[".deb"]], check=True, stdout=subprocess.DEVNULL)
    try:
        files = subprocess.check_output(["dpkg", "-L", "walb"], text=True).split()
        runs(Path("/usr/bin"), Path("/usr/lib/walb"))
        if ANALYZE:
            units = [name.replace("@.", "@v.") for name in files if name.endswith(".service")]
            assert len(units) == 6
            subprocess.run([ANALYZE, "verify", "--man=no", *units], check=True)
        serves(Path("/usr/bin/walb-proxy"), place)
    finally:
        for option in ("-r", "-P"):
            subprocess.run(["dpkg", option, "walb"], check=True, stdout=subprocess.DEVNULL)
    assert [name for name in files if "walb" in Path(name).name and os.path.lexists(name)] == []
    assert not os.path.exists("/usr/lib/walb")


def serves(program: Path, place: Path) -> None:
    """A daemon of an installation starts and ends as it should."""
    (place / "base").mkdir()
    with NotifySocket(place / "notify") as notified:
        command = [program, "-b", place / "base", "-p", "0", "-l", "log"]
        process = subprocess.Popen(command, env=notified.environment())
        try:
            ready = notified.until(lambda message: message.startswith("READY=1"))
            port = int(re.findall(r"port (\d+)", ready)[0])
            socket.create_connection(("127.0.0.1", port), timeout=10).close()
            process.terminate()
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait()
