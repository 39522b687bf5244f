# ruff: noqa: RUF001 - the characters are what is tested
"""Foreign texts in messages: whatever a service makes of markup, it finds none."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.core.defang import defang


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("outputs/model_v1.2.csv.gz", "outputs/model_v1.2.csv.gz"),
        ("a b/c-d.parquet", "a b/c-d.parquet"),
        ("first model. Second sentence.", "first model. Second sentence."),
        ("evil.com/login.csv", "evil․com/login.csv"),
        ("evil.com.csv", "evil․com.csv"),
        ("www.x-.com", "www․x-․com"),
        ("http://evil.example/a", "http∶//evil․example/a"),
        ("<!channel> <@U123> @everyone", "‹！channel› ‹＠U123› ＠everyone"),
        ("[here](https://e.example)", "(here)(https∶//e․example)"),
        ("![x](y) `code` **b** ~~s~~ | #1", "！(x)(y) 'code' ∗∗b∗∗ ∼∼s∼∼ ¦ ＃1"),
        ("one\r\nBcc: all\x00\u202etwo\u200b", "one Bcc∶ alltwo"),
        ("&lt;b&gt;\\", "＆lt;b＆gt;＼"),
    ],
)
def test_what_becomes_of_texts(text, shown):
    assert defang(text) == shown


@given(st.text(max_size=400))
def test_nothing_is_left_that_means_something(text):
    shown = defang(text, 100)
    assert len(shown) <= 100
    assert not re.search(r"[<>&@#!\[\]`|*~\\:\n\r]", shown)
    assert not any(unicodedata.category(one) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for one in shown)


@given(st.from_regex(r"\A[a-z]{1,8}\.(com|org|net|io|zip|py|app|de)(/[a-z]{0,5})?\Z"))
def test_no_name_of_a_host_is_left(text):
    assert "." not in defang(text)


def test_long_texts_are_cut():
    assert defang("x" * 300, 20) == "x" * 19 + "…"
