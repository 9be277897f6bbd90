"""The guide "add a likelihood": its code keeps the contract that it shows."""

import re

from paths import ROOT

PAGE = ROOT / "tutorials" / "add_a_likelihood.md"


def test_the_guide(digits):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    names["test_logistic"]()


def test_its_class_takes_forty_lines_and_the_page_one_page():
    text = PAGE.read_text(encoding="utf-8")
    body = re.search(r"(@keras.saving.*?)\n\n\ndef reference", text, re.DOTALL).group(1)
    assert len([line for line in body.splitlines() if line.strip()]) <= 40
    assert len(text.splitlines()) <= 90
