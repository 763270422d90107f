"""NBD clients that others wrote get from walb-device what they expect: libnbd, QEMU, fio."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.device.walb_devices import Pair, Server

SIZE_BYTES = 8 << 20
DEBIAN = {"nbdinfo": "libnbd-bin", "nbdcopy": "libnbd-bin", "qemu-img": "qemu-utils", "qemu-io": "qemu-utils"}
SYSTEM_PYTHON = "/usr/bin/python3"


def needs(program: str) -> pytest.MarkDecorator:
    reason = f"{program} is not installed (Debian: {DEBIAN.get(program, program)})"
    return pytest.mark.skipif(shutil.which(program) is None, reason=reason)


def has_python_libnbd() -> bool:
    return (
        Path(SYSTEM_PYTHON).exists() and not subprocess.run([SYSTEM_PYTHON, "-c", "import nbd"], check=False).returncode
    )


def run(*command: str | Path) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(Pair(tmp_path, log_bytes=4 << 20, data_bytes=SIZE_BYTES)) as started:
        yield started.wait_ready()
        assert started.stop() == 0
        assert "Traceback" not in started.log_path.read_text()


@pytest.fixture
def uri(server: Server) -> str:
    return f"nbd+unix:///vol?socket={server.nbd_path}"


def image_of_data_and_holes(path: Path, seed: int) -> bytes:
    image = bytearray(SIZE_BYTES)
    rng = random.Random(seed)
    for _ in range(20):
        size = rng.randrange(1, 400) * 512
        offset = rng.randrange((SIZE_BYTES - size) // 512) * 512
        image[offset : offset + size] = rng.randbytes(size)
    path.write_bytes(image)
    return bytes(image)


@needs("nbdinfo")
def test_nbdinfo_is_told_all_abilities(uri: str) -> None:
    (export,) = json.loads(run("nbdinfo", "--json", uri))["exports"]
    assert export["export-size"] == SIZE_BYTES
    assert export["contexts"] == ["base:allocation"]
    for ability in ("flush", "fua", "trim", "zero", "multi_conn", "df", "fast_zero"):
        assert export[f"can_{ability}"], ability
    assert not export["is_read_only"]
    assert export["block_size_minimum"] == 512
    listed = json.loads(run("nbdinfo", "--json", "--list", uri))
    assert [entry["export-name"] for entry in listed["exports"]] == ["vol"]


@needs("nbdinfo")
def test_nbdinfo_maps_what_was_never_written_as_zeros(uri: str, server: Server) -> None:
    client = server.client()
    client.write(1 << 20, b"x" * 65536)
    client.flush()
    client.close()
    extents = json.loads(run("nbdinfo", "--map", "--json", uri))
    holes = [extent for extent in extents if extent["type"] == 3]
    assert sum(extent["length"] for extent in extents) == SIZE_BYTES
    assert all(
        extent["offset"] + extent["length"] <= 1 << 20 or extent["offset"] >= (1 << 20) + 65536 for extent in holes
    )
    assert holes


@needs("nbdcopy")
def test_nbdcopy_brings_an_image_in_and_out_over_several_connections(uri: str, server: Server, tmp_path: Path) -> None:
    image = image_of_data_and_holes(tmp_path / "in", 1)
    run("nbdcopy", "--connections=4", "--flush", tmp_path / "in", uri)
    run("nbdcopy", "--connections=4", uri, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == image


@needs("qemu-img")
def test_qemu_img_converts_and_compares(uri: str, tmp_path: Path) -> None:
    image_of_data_and_holes(tmp_path / "in", 2)
    run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", tmp_path / "in", uri)
    assert "identical" in run("qemu-img", "compare", "-f", "raw", "-F", "raw", tmp_path / "in", uri)


@needs("qemu-io")
def test_qemu_io_reads_what_it_writes_discards_and_zeroes(uri: str) -> None:
    steps = [
        *("write -P 7 1M 128k", "read -P 7 1M 128k"),
        *("discard 1M 64k", "read -P 0 1M 64k", "read -P 7 1088k 64k"),
        *("write -z 2M 1M", "read -P 0 2M 1M", "write -f -P 9 512 512", "read -P 9 512 512", "flush"),
    ]
    commands = [word for step in steps for word in ("-c", step)]
    printed = run("qemu-io", "-f", "raw", *commands, uri)
    assert "verification failed" not in printed


@needs("fio")
def test_fio_verifies_its_writes(uri: str, tmp_path: Path) -> None:
    job = ["--ioengine=nbd", f"--uri={uri}", "--rw=randrw", "--bsrange=512-64k", "--bs_unaligned=0"]
    limits = [f"--size={SIZE_BYTES}", "--iodepth=16", "--verify=crc32c", "--verify_fatal=1"]
    run("fio", "--name=job", *job, *limits, f"--aux-path={tmp_path}")


LIBNBD_STEPS = """
import nbd, sys
a, b = nbd.NBD(), nbd.NBD()
for handle in (a, b):
    handle.set_strict_mode(0)
    handle.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
    handle.connect_unix(sys.argv[1])
assert a.get_structured_replies_negotiated() and a.can_multi_conn()
a.pwrite(b"1" * 4096, 0)
b.flush()                                    # covers what a has completed
assert b.pread(4096, 0) == b"1" * 4096
assert b.pread_structured(512, 0, lambda *_: 0, nbd.CMD_FLAG_DF) == b"1" * 512
for call in (lambda: a.pread(512, a.get_size()), lambda: a.pwrite(b"x" * 512, a.get_size()), lambda: a.trim(512, 100)):
    try:
        call()
    except nbd.Error as error:
        assert error.errno in ("EINVAL", "ENOSPC"), error
    else:
        raise AssertionError("a request beyond the end was accepted")
try:
    a.zero(4096, 0, nbd.CMD_FLAG_FAST_ZERO)
except nbd.Error as error:
    assert error.errno == "ENOTSUP", error
assert a.pread(512, 0) == b"1" * 512         # the connection survives refusals
a.trim(4096, 0, nbd.CMD_FLAG_FUA)
assert b.pread(4096, 0) == bytes(4096)
a.shutdown(); b.shutdown()
print("done")
"""


@pytest.mark.skipif(not has_python_libnbd(), reason="libnbd's Python module is not installed (Debian: python3-libnbd)")
def test_libnbd_sees_flushes_of_other_connections_and_survives_refusals(server: Server) -> None:
    assert run(SYSTEM_PYTHON, "-c", LIBNBD_STEPS, server.nbd_path) == "done\n"
