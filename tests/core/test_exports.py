"""Files from finished results: nothing a spreadsheet runs, nothing a page loads."""

import csv
import io
import re

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pyarrow.parquet as pq
import pytest

from core.exports import csv_bytes, html_bytes, parquet_bytes


def cells(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "item": np.array(["a", "b", "c"]),
            "text": ['saying "no", twice', "two\nlines", "ünïcode – 道"],
            "grade": np.array([0.125, -1.0, np.nan], np.float32),
            "words": [3, 2, -1],
        }
    )


# CSV --------------------------------------------------------------------------------------------


def test_csv_reads_back(table):
    back = pd.read_csv(io.BytesIO(csv_bytes(table)))
    pd.testing.assert_frame_equal(back, table, check_dtype=False)


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "=",
        "- a dash",
        '=HYPERLINK("http://x")',
        "+1+1",
        "@SUM(A1)",
        "-cmd",
        "--1",
        "-2+3+cmd|' /C calc'!A0",
        "-1+1",
        "-.5-A1",
        "\t=1+1",
        "\r=1+1",
        "\n=1+1",
        " =1+1",
        "\uff1d1+1",
        "\uff0b1",
        "\uff20SUM(A1)",
    ],
)
def test_a_cell_that_a_spreadsheet_would_run_is_quoted(text):
    written = cells(csv_bytes(pd.DataFrame({"text": [text]})))[1][0]
    assert written == "'" + text


@pytest.mark.parametrize("text", ["-1", "-0.5", "-.5", "-1e-3", "a=b", "don't", "1+1", "a -b", ""])
def test_what_no_spreadsheet_runs_is_left_alone(text):
    assert cells(csv_bytes(pd.DataFrame({"text": [text]})))[1][0] == text


@pytest.mark.parametrize("inner", ["a\r=1+1", "a\n=1+1", "a;=1+1", "a,=1+1", 'a",=1+1', 'a"\r=1+1'])
def test_a_text_cannot_begin_another_cell(inner):
    data = csv_bytes(pd.DataFrame({"text": [inner], "n": [1]})).decode()
    escaped = inner.replace('"', '""')
    assert data == f'"text","n"\n"{escaped}",1\n'


def test_negative_numbers_stay_numbers(table):
    assert cells(csv_bytes(table))[2][2:] == ["-1.0", "2"]


@pytest.mark.parametrize("kind", [object, "str", "category"])
def test_every_kind_of_text_column_is_guarded(kind):
    table = pd.DataFrame({"text": pd.Series(["=1", "b"]).astype(kind)})
    assert cells(csv_bytes(table))[1:] == [["'=1"], ["b"]]


def test_a_column_name_is_guarded_too():
    assert cells(csv_bytes(pd.DataFrame({"=1+1": [1]})))[0] == ["'=1+1"]


def test_missing_texts_stay_empty():
    table = pd.DataFrame({"text": ["=1", None], "n": [1, 2]})
    assert cells(csv_bytes(table))[2] == ["", "2"]


def test_the_table_itself_is_not_changed(table):
    table.loc[0, "text"] = "=1+1"
    before = table.copy()
    csv_bytes(table)
    pd.testing.assert_frame_equal(table, before)


def test_an_empty_table_keeps_its_heading(table):
    assert cells(csv_bytes(table[:0])) == [list(table.columns)]
    assert pq.read_table(io.BytesIO(parquet_bytes(table[:0]))).column_names == list(table.columns)


# Parquet ----------------------------------------------------------------------------------------


def test_parquet_reads_back_with_its_types(table):
    back = pd.read_parquet(io.BytesIO(parquet_bytes(table)))
    pd.testing.assert_frame_equal(back, table, check_dtype=False)
    assert back["grade"].dtype == np.float32


def test_parquet_of_a_selection_holds_no_column_of_row_numbers(table):
    chosen = pq.read_table(io.BytesIO(parquet_bytes(table[table["words"] > 2])))
    assert chosen.column_names == list(table.columns)
    assert chosen["text"].to_pylist() == ['saying "no", twice']


def test_parquet_keeps_texts_as_they_are():
    table = pd.DataFrame({"text": ["=1+1"]})
    assert pd.read_parquet(io.BytesIO(parquet_bytes(table)))["text"].tolist() == ["=1+1"]


# HTML -------------------------------------------------------------------------------------------


@pytest.fixture
def page():
    bad = "</script><script>alert(1)</script>"
    figure = go.Figure(go.Scattergl(x=[1], y=[2], text=[bad]))
    return html_bytes([figure, go.Figure(go.Bar(x=[1]))], "A <b>heading</b> & more").decode()


def test_the_page_loads_nothing_from_anywhere(page):
    bundle = max(re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL), key=len)
    assert "plotly.js" in bundle[:2000]
    rest = page.replace(bundle, "")
    assert not re.search(r"(src|href)\s*=", rest)
    assert not re.search(r"@import|url\(|fetch\(|<link|<img|<iframe", rest)
    assert not re.search(r"<script[^>]+(src|type=.?module)", page)


def test_the_library_is_there_once_for_all_figures(page):
    assert len(re.findall(r"plotly\.js v\d", page)) == 1  # its banner
    assert len(re.findall(r'class="plotly-graph-div"', page)) == 2
    assert len(page) < 8_000_000


def test_heading_and_texts_cannot_become_markup(page):
    assert "<title>A &lt;b&gt;heading&lt;/b&gt; &amp; more</title>" in page
    assert "<script>alert" not in page


def test_the_page_says_its_encoding():
    page = html_bytes([go.Figure(go.Bar(x=[1], text=["道"]))], "Größe")
    assert b"charset='utf-8'" in page
    assert "Größe" in page.decode("utf-8")


def test_no_figure_is_a_page_still():
    assert b"<h1>Empty</h1>" in html_bytes([], "Empty")
