"""Asks running pods how far they are: gently, a few at a time, each once an interval."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field

from selection_operator.views.pods import PodView
from selection_operator.views.progress import LiveProgress, read_progress

AT_ONCE = 16
TICK_SECONDS = 0.5
FIRST_ASK_SECONDS = 1.0
"""A pod is asked first this long after it was seen running, so that a short run tells something too."""


@dataclass
class ProgressPoller:
    """Keeps what running pods say of themselves, and tells when one says something new."""

    pods: Mapping[str, PodView]
    """All pods by uid, as the watch has them."""
    live: dict[str, LiveProgress]
    """What they have said, by uid; kept up to date."""
    ask: Callable[[str], Awaitable[bytes]]
    """Asks the pod at an address."""
    tell: Callable[[PodView], None]
    """Is called after a change."""
    every_seconds: float
    clock: Callable[[], float]
    _due: dict[str, float] = field(default_factory=dict)
    _limit: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def run(self) -> None:
        """Poll for ever."""
        async with asyncio.TaskGroup() as group:
            while True:
                for pod in self._take_due():
                    group.create_task(self._ask(pod))
                await asyncio.sleep(TICK_SECONDS)

    def _take_due(self) -> Iterator[PodView]:
        running = {pod.uid: pod for pod in self.pods.values() if pod.is_running and pod.address}
        for uid in [uid for uid in self._due if uid not in running]:
            del self._due[uid]
        for uid in [uid for uid in self.live if uid not in running]:
            del self.live[uid]
        for uid, pod in running.items():
            if self._due.setdefault(uid, self.clock() + FIRST_ASK_SECONDS) <= self.clock():
                self._due[uid] = self.clock() + self.every_seconds
                yield pod

    async def _ask(self, pod: PodView) -> None:
        async with self._limit:
            said = read_progress(await self.ask(pod.address))
        if said is not None and said != self.live.get(pod.uid):
            self.live[pod.uid] = said
            self.tell(pod)
