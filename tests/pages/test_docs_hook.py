"""The site's hook: notebooks and pages from elsewhere become pages, equations become MathML."""

import re

import pytest
from models import load_file
from paths import ROOT


@pytest.fixture(scope="module")
def hooks():
    pytest.importorskip("mkdocs", reason='the site needs pip install -e ".[docs]"')
    return load_file(ROOT / ".docs" / "hooks.py")


def content(hooks, html):
    page = type("Page", (), {"file": type("File", (), {"src_uri": "page.md"})})
    return hooks.on_page_content(html, page=page, config=None, files=None)


def test_equations_become_mathml(hooks):
    html = content(hooks, r'<p><span class="arithmatex">\(\sigma^2 &lt; 1\)</span> <code>$HOME</code></p>')
    assert "<msup>" in html
    assert "arithmatex" not in html
    aligned = r'<div class="arithmatex">\[\begin{aligned} a &amp;= b \\ c &amp;= d \end{aligned}\]</div>'
    assert content(hooks, aligned).count("<mtr>") == 2


_WRONG = [
    rf'<span class="arithmatex">\({latex}\)</span>' for latex in (r"\nosuch{x}", r"\begin{gathered}", r"\left( x")
]


@pytest.mark.parametrize("html", [*_WRONG, "<p>$ \\sigma$</p>"])
def test_what_cannot_be_shown_as_an_equation_stops_the_build(hooks, html):
    from mkdocs.exceptions import PluginError

    with pytest.raises(PluginError, match="received"):
        content(hooks, html)


def test_a_notebook_becomes_a_page(hooks, tmp_path):
    import nbformat

    answer = "Why:\n1. one\n$$a\n- b$$\n<details><summary>Answer</summary>\n\nBecause.\n\n</details>"
    outputs = [
        nbformat.v4.new_output("stream", text="a  b\n"),
        nbformat.v4.new_output("display_data", data={"image/png": "aGVsbG8=", "text/plain": "<Figure>"}),
    ]
    cells = [
        nbformat.v4.new_markdown_cell("# Title"),
        nbformat.v4.new_code_cell("%pip install it", metadata={"tags": ["generated"]}),
        nbformat.v4.new_code_cell("draw()", outputs=outputs),
        nbformat.v4.new_markdown_cell(answer),
    ]
    path = tmp_path / "01_it.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    page = hooks._markdown(path)
    assert page.startswith("# Title\n\n```python\ndraw()\n```\n\n``` { .text .output }\na  b\n```\n\n![")
    assert "(01_it/1-1.png)" in page
    assert "<Figure>" not in page
    assert "Why:\n\n1. one\n\n$$a\n- b$$\n\n" in page
    assert '<details markdown="1">' in page


def test_links_lead_to_pages_or_to_the_repository(hooks):
    config = type("Config", (), {"extra": {"repository": "https://example.org/it"}})
    published = {"tutorials/01_it.ipynb": "tutorials/01_it.md", "export/README.md": "export.md"}
    text = "[a](01_it.ipynb#x) [b](../export/README.md) [c](../LICENSE) [d](nowhere.md) [![e](https://x.org/e.svg)](https://y.org)"
    linked = hooks._relinked(text, "tutorials/README.md", "tutorials/index.md", published, config)
    links = ["01_it.md#x", "../export.md", "https://example.org/it/blob/main/LICENSE", "nowhere.md", "https://y.org"]
    assert re.findall(r"\]\(([^)]+)\)", linked) == links
