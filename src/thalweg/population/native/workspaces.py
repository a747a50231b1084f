"""The workspaces of a thread."""

import threading

from thalweg.population.native.code import Code, Workspace


class Workspaces:
    """One workspace for each thread, as large as the largest that its code needs."""

    def __init__(self) -> None:
        self._here = threading.local()

    def of(self, code: Code) -> Workspace:
        kept: Workspace | None = getattr(self._here, "kept", None)
        if kept is None or kept.size < code.workspace:
            kept = self._here.kept = Workspace(code.workspace)
        kept.errors.zero_()
        return kept
