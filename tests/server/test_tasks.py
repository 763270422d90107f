from __future__ import annotations

import pytest

from tests.fakes import FakeWorld
from tests.server.server_testing import make_runtime
from walbd.model.error import BadState, Cancelled
from walbd.server.tasks import HISTORY, Slots, WorkTable


async def test_a_kind_of_work_beyond_its_limit_is_refused() -> None:
    works = WorkTable(make_runtime()[0], max_foreground=1, max_receiving=1)
    with works.begin("restore", "v0", Slots.FOREGROUND):
        with pytest.raises(BadState, match="exceeds max foreground tasks:1"):
            works.begin("apply", "v1", Slots.FOREGROUND)
        works.begin("resize", "v1", Slots.UNLIMITED)
        works.begin("wlog-transfer", "v1", Slots.RECEIVE)
        with pytest.raises(BadState, match="exceeds max receiving tasks:1"):
            works.begin("wlog-transfer", "v2", Slots.RECEIVE)
    with works.begin("apply", "v1", Slots.FOREGROUND):
        assert len(works.running("v1")) == 3


async def test_progress_and_result_can_be_read_while_and_after_work_runs() -> None:
    world = FakeWorld(start_sec=0)
    works = WorkTable(make_runtime(world)[0], 2, 2)
    with works.begin("restore", "v0", Slots.FOREGROUND, total=10) as work:
        work.phase = "copy"
        work.set_done(4)
        await world.advance(5)
        (line,) = works.lines("v0")
        assert line.split("\t")[4:] == ["done:4", "total:10", "unit:bytes", "phase:copy", "result:running"]
    with pytest.raises(ZeroDivisionError), works.begin("apply", "v0", Slots.FOREGROUND):
        raise ZeroDivisionError("no\nway")
    assert [line.rsplit("\t", 1)[1] for line in works.lines()] == ["result:no\\nway", "result:succeeded"]
    assert "end:1970-01-01T00:00:05" in works.lines()[1]
    assert works.lines("v1") == works.running("v1") == []


async def test_work_is_cancelled_by_a_forced_shutdown_or_its_own_reason() -> None:
    runtime, _ = make_runtime()
    works = WorkTable(runtime, 2, 2)
    stopping = False
    with (
        works.begin("a", "v0", Slots.FOREGROUND) as one,
        works.begin("b", "v0", Slots.FOREGROUND, lambda: stopping) as two,
    ):
        one.check_cancelled()
        two.check_cancelled()
        stopping = True
        runtime.shutdown.request("force")
        for work in (one, two):
            with pytest.raises(Cancelled, match="force stopped:v0"):
                work.check_cancelled()


async def test_no_work_begins_during_a_shutdown() -> None:
    runtime, _ = make_runtime()
    runtime.shutdown.request("graceful")
    with pytest.raises(BadState, match="shutting down"):
        WorkTable(runtime, 2, 2).begin("a", "v0", Slots.FOREGROUND)


async def test_work_that_was_refused_is_not_remembered() -> None:
    works = WorkTable(make_runtime()[0], 2, 2)
    with works.begin("full-bkp", "v0", Slots.FOREGROUND):
        pass
    before = works.last_results("v0")
    with pytest.raises(BadState), works.begin("full-bkp", "v0", Slots.FOREGROUND, is_begun=False):
        raise BadState("not accepted by the archive")
    assert works.lines() == works.last_results("v0") == before
    with pytest.raises(BadState), works.begin("full-bkp", "v0", Slots.FOREGROUND, is_begun=False) as work:
        work.is_begun = True
        raise BadState("overflow")
    assert works.last_results("v0")[0].endswith("result:overflow")


async def test_what_is_remembered_is_bounded() -> None:
    works = WorkTable(make_runtime()[0], 2, 2)
    for number in range(HISTORY + 10):
        with works.begin(str(number), "v0", Slots.UNLIMITED):
            pass
    assert len(works.lines()) == HISTORY
