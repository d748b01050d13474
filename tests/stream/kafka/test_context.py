"""How a worker says why it ends."""

from __future__ import annotations

import logging

import pytest

from stream.errors import UserError
from tests.stream.kafka.fakes import make_context


@pytest.mark.parametrize(
    ("cause", "sentence", "trace"),
    [
        (UserError("The disk is full. Free some."), "The disk is full. Free some.", False),
        (OSError("full"), "The stream broke: full.", True),
    ],
)
def test_what_the_user_can_mend_is_said_alone(
    cause: Exception, sentence: str, trace: bool, caplog: pytest.LogCaptureFixture
) -> None:
    codes: list[int] = []
    context = make_context(exit_process=codes.append)
    with caplog.at_level(logging.CRITICAL), pytest.raises(SystemExit):
        context.fail("The stream broke: full.", cause)
    (said,) = caplog.records
    assert said.getMessage() == f"{sentence} The process ends now."
    assert bool(said.exc_info) == trace
    assert codes == [1]
    assert context.lifecycle.phase == "failed"
