"""Both builds of the transcoder, for every test here."""

from __future__ import annotations

from typing import Any

import pytest

from tests import builds

_BUILDS = {"compiled": builds.compiled(), "uncompiled": builds.uncompiled()}


@pytest.fixture(params=sorted(_BUILDS))
def build(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The transcoder's modules by name. A build that is missing is a failure."""
    modules: dict[str, Any] = _BUILDS[request.param]
    assert modules["walker"].compiled is (request.param == "compiled"), "run `make build` first"
    return modules
