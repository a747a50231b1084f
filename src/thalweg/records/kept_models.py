"""Where a study keeps the models that it trained, beside its records."""

from pathlib import Path

MODELS = "models"


def models_folder(directory: Path, study: int) -> Path:
    """The folder of a study's models in the directory of its store."""
    return directory / MODELS / str(study)
