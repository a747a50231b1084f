"""What kind of number a metric is, by its name."""

import re

ACCURACY = re.compile("accuracy|top([2-9]|[1-9][0-9]+)")
SHARE = re.compile(f"{ACCURACY.pattern}|f1|auroc", re.IGNORECASE)


def is_accuracy(metric: str) -> bool:
    """Whether the name is that of an accuracy, top-K accuracy included, which is printed in percent."""
    return ACCURACY.fullmatch(metric) is not None


def is_share(metric: str) -> bool:
    """Whether the name is that of a metric in [0, 1]: an accuracy, F1 or AUROC, in any letters."""
    return SHARE.fullmatch(metric) is not None
