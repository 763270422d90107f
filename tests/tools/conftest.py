"""The golden files for the tools."""

from __future__ import annotations

import pytest

from tests.conftest import Vectors
from tests.golden_files import Golden


@pytest.fixture(scope="session")
def golden(vectors: Vectors, tmp_path_factory: pytest.TempPathFactory) -> Golden:
    return Golden(vectors, tmp_path_factory.mktemp("golden"))
