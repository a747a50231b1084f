"""The difference of two studies for machines: Markdown, JUnit's XML, and annotations of GitHub's workflows."""

import re
from collections.abc import Callable, Mapping
from xml.etree import ElementTree

from thalweg.analysis.difference import Change, Difference
from thalweg.analysis.formatting import number
from thalweg.analysis.study_arm import Arm
from thalweg.reports.difference import cells, closing, told
from thalweg.reports.markdown import escaped, table

UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # not in XML 1.0


def markdown(found: Difference, title: str) -> str:
    """A heading, the conclusion, a table of the optimizers of both studies, and what else differs."""
    heads, body = cells(found)
    differing = "\n".join(f"- {escaped(line)}" for line in told(found))
    parts = [f"### {escaped(found.after.workload)}: study {escaped(title)}", escaped(closing(found))]
    return "\n\n".join(filter(None, [*parts, table(heads, body, 2), differing]))


def junit(found: Difference, title: str) -> str:
    """One test case per optimizer of both studies: failed where significantly worse, skipped where not judged."""
    name = f"thalweg diff {title}"
    worse, unjudged = sum(map(_is_worse, found.changes)), sum(not change.judged for change in found.changes)
    counts = {"tests": str(len(found.changes)), "failures": str(worse), "errors": "0", "skipped": str(unjudged)}
    root = ElementTree.Element("testsuites", {"name": _plain(name), **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": _plain(name), **counts})
    for change in found.changes:
        about = {"classname": _plain(found.after.workload), "name": _plain(change.contender)}
        case = ElementTree.SubElement(suite, "testcase", about)
        message = _plain(sentence(found, change))
        if _is_worse(change):
            ElementTree.SubElement(case, "failure", {"message": message, "type": "worse"}).text = message
        elif not change.judged:
            ElementTree.SubElement(case, "skipped", {"message": message})
        else:
            ElementTree.SubElement(case, "system-out").text = message
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}'


def github(found: Difference, title: str) -> str:
    """An error per optimizer that is significantly worse, a notice per better one, and one of the conclusion."""
    moved = [change for change in found.changes if change.significant]
    lines = [
        _command("error" if _is_worse(change) else "notice", change.contender, sentence(found, change))
        for change in moved
    ]
    return "\n".join([*lines, _command("notice", f"thalweg diff {title}", closing(found))])


FORMATS: Mapping[str, Callable[[Difference, str], str]] = {"md": markdown, "junit": junit, "github": github}
"""Format → function of a difference and a title, such as `"1 → 2"`."""


def sentence(found: Difference, change: Change) -> str:
    """`adam: significantly worse: 97.0 ± 0.6% before, 95.1 ± 0.7% after.`"""
    if not change.judged:
        way = "could not be judged"
    elif change.significant:
        way = f"significantly {change.direction or 'changed'}"
    else:
        way = "not significantly changed"
    before, after = (_score(found, side) for side in (change.before, change.after))
    return f"{change.contender}: {way}: {before} before, {after} after."


def _score(found: Difference, side: Arm) -> str:
    if not side.scores:
        return "failed" if side.failed else "no score"
    return number(found.after, side.score) + (f" ({side.lost} runs lost)" if side.lost else "")


def _is_worse(change: Change) -> bool:
    return change.significant and change.direction == "worse"


def _command(level: str, title: str, message: str) -> str:
    """A workflow command. Percent signs and line ends are escaped, in a property colons and commas as well."""
    data = message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    name = title.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A").replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={name}::{data}"


def _plain(text: str) -> str:
    return UNPRINTABLE.sub("�", text)
