"""What holds for all tests of verify."""

import pytest


@pytest.fixture(autouse=True)
def without_starts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every program of a toolchain would be started in each test, half a second each: test_starts alone wants it."""
    if request.module.__name__ != "test_starts":
        monkeypatch.setattr("gobuild.verify.runner.check_starts", lambda *_given: ())
