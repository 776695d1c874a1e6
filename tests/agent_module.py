"""The agent as a module, for tests of its pure functions and for runs on a virtual clock."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from types import ModuleType

from tests.harness import AGENT


def load() -> ModuleType:
    """Import the agent's file, once."""
    if "fence_ovh" not in sys.modules:
        loader = importlib.machinery.SourceFileLoader("fence_ovh", str(AGENT))
        spec = importlib.util.spec_from_file_location("fence_ovh", AGENT, loader=loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["fence_ovh"] = module
        loader.exec_module(module)
    return sys.modules["fence_ovh"]
