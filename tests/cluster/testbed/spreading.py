"""How the tests are spread over pytest-xdist's workers; a plugin of all tests.

What has a cluster stays together, so that each cluster is started once, and comes first: it takes longest and mostly
waits, while other workers take one module after the other, those with slow tests first. A machine of two cores is busy
to the end then.
"""

import os
from pathlib import PurePath

import hypothesis
import pytest

hypothesis.settings.register_profile("beside others", deadline=None)  # an example's wall time says nothing there
hypothesis.settings.load_profile("beside others")

WITH_CLUSTER = {"api_lane", "chart", "cluster", "images"}
GIVES_WAY = 10
"""The niceness of the other tests: what is claimed of an operator's pace holds beside them."""


def has_cluster(path):
    """Say whether a module belongs to those that share the clusters."""
    return PurePath(path).parent.name in WITH_CLUSTER


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (not has_cluster(item.path), item.path not in slow))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadScopeScheduling

    class Spreading(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            module = nodeid.partition("::")[0]
            return "cluster" if has_cluster(module) else module

    return Spreading(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    if "PYTEST_XDIST_WORKER" in os.environ and not has_cluster(item.path):
        os.setpriority(os.PRIO_PROCESS, 0, GIVES_WAY)
