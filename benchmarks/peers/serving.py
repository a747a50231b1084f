"""The side of a child process: functions that another process calls, one JSON line a call, one a result."""

import json
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any


def serve(packages: tuple[str, ...], *functions: Callable[..., Any]) -> None:
    """Says the packages' versions, then answers until standard input ends. What libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    by_name = {f.__name__: f for f in functions}
    answers.write(json.dumps({name: version(name) for name in packages}) + "\n")
    for line in sys.stdin:
        asked = json.loads(line)
        answers.write(json.dumps(by_name[asked["call"]](**asked["given"])) + "\n")
