"""Charts: where the lines are, whose colour they have, and that no text becomes markup."""

from __future__ import annotations

import re

from deformcli.pages import Line, legend, line_chart


def test_lines_fill_the_field_between_the_least_and_the_largest_value():
    falling = Line([(0, 3.0), (1, 2.0), (2, 1.0)], [(1, 1.5, 2.5)])
    chart = line_chart("loss", [falling], over="steps", ends=(0, 2), ticks=[(2, "2 steps")])
    assert 'points="0.0,0.0 210.0,110.0 420.0,220.0"' in chart
    assert re.search(r'whisker" x1="210.0" x2="210.0" y1="165.0" y2="55.0"', chart)
    assert [float(level) for level in re.findall(r'class="level"[^>]*>([^<]*)', chart)] == [1, 2, 3]
    assert 'x="420.0" y="238">2 steps</text>' in chart


def test_a_single_value_and_a_line_without_any():
    chart = line_chart("constant", [Line([(5, 1.0)]), Line([])], over="steps", ends=(5, 5), ticks=[])
    assert re.findall(r'points="([^"]*)"', chart) == ["0.0,0.0", ""]


def test_colours_begin_anew_after_the_last():
    lines, names = [Line([(0, float(index)), (1, 0.0)]) for index in range(10)], [str(index) for index in range(10)]
    chart = line_chart("many", lines, over="yaw", ends=(0, 1), ticks=[])
    expected = [str(index % 8) for index in range(10)]
    assert re.findall(r'<polyline class="s(\d)"', chart) == expected
    assert re.findall(r'<span class="s(\d)"', legend(names)) == expected


def test_texts_are_escaped():
    chart = line_chart("<b>", [Line([(0, 1.0)])], over="<i>", ends=(0, 1), ticks=[(0, "<u>")])
    assert not re.search("<[biu]>", chart + legend(["<b>"]))
    assert "&lt;b&gt;" in chart and "&lt;b&gt;" in legend(["<b>"])
