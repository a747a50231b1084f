"""Nested elements, escaped."""

import pytest

from thalweg.reports.markup import Markup, element, escape, join


def test_text_is_escaped_and_markup_is_not() -> None:
    inner = element("b", "<i>&")
    assert inner == "<b>&lt;i&gt;&amp;</b>"
    assert element("p", inner, " <") == "<p><b>&lt;i&gt;&amp;</b> &lt;</p>"


def test_attributes_cannot_be_left() -> None:
    assert element("td", title='"><script>') == '<td title="&quot;&gt;&lt;script&gt;"></td>'
    assert escape("'") == "&#x27;"


def test_attribute_names() -> None:
    written = element("div", class_="a", data_figure="b", name="c", hidden=None)
    assert written == '<div class="a" data-figure="b" name="c"></div>'


def test_empty_elements_close_themselves() -> None:
    assert element("circle", r=2) == '<circle r="2"/>'
    with pytest.raises(AssertionError):
        element("meta", "text")


def test_none_is_nothing_and_zero_is_a_number() -> None:
    assert join(None, 0, "a", Markup("<br/>")) == "0a<br/>"
