"""A host clock that jumps neither gives an archive up nor keeps it."""

from __future__ import annotations

from tests.group_testing import QuickWorld, until
from tests.proxy.proxy_testing import Surroundings, diff_of, volume_of
from walbd.net.wdiff_transfer import Answer


class JumpingWorld(QuickWorld):
    """A quick world whose wall clock can be set."""

    ahead_sec = 0

    def now(self) -> int:
        return super().now() + self.ahead_sec


async def test_a_clock_set_forward_gives_no_archive_up(around: Surroundings) -> None:
    world = JumpingWorld()
    archive = around.archives["a0"]
    archive.answers = [Answer.STOPPED]
    async with around.started(world, retry_timeout_sec=100_000, max_delay_sec=1) as proxy:
        await around.send(proxy, diff_of(0, 1))
        await until(lambda: len(archive.offers) > 1)
        world.ahead_sec = 1_000_000
        seen = len(archive.offers)
        await until(lambda: len(archive.offers) > seen + 2)
        assert not volume_of(proxy).queues["a0"].is_send_error
        assert any("lastFailure stopped" in line for line in await proxy.call("status", "v0"))
        world.ahead_sec = -1_000_000
        archive.answers = [Answer.ACCEPT]
        await until(lambda: archive.accepted() == ["|0|-->|1|"])
        await until(lambda: not volume_of(proxy).queues["a0"].trouble)
        assert not any("lastFailure" in line for line in await proxy.call("status", "v0"))
