"""Category names: every spelling has the same normal form, and GLDv2's own URLs round-trip."""

import csv
import gzip

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from hgld.foundation.errors import HgldError
from hgld.hierarchy.taxonomy.commons_category import category_url, normalise
from tests.paths import PUBLISHED_LABELS


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("http://commons.wikimedia.org/wiki/Category:Lake_Garda", "Lake Garda"),
        ("https://commons.m.wikimedia.org/wiki/Category:Lake_Garda", "Lake Garda"),
        ("//commons.wikimedia.org/wiki/category:lake_Garda", "Lake Garda"),
        ("https://commons.wikimedia.org/wiki/Category:Lake_Garda?uselang=de#mw-pages", "Lake Garda"),
        ("https://commons.wikimedia.org/wiki/Category:Who%3F_1?uselang=de", "Who? 1"),
        ("https://commons.wikimedia.org/w/index.php?title=Category:Lake_Garda&action=history", "Lake Garda"),
        ("http://commons.wikimedia.org/w/index.php?uselang=it&title=Category:Lake_Garda#top", "Lake Garda"),
        ("Category:Who? 1", "Who? 1"),
        ("Category:Lake Garda", "Lake Garda"),
        ("Category: Lake__Garda ", "Lake Garda"),
        ("lake Garda", "Lake Garda"),
        ("Cath%C3%A9drale_de_Noyon", "Cathédrale de Noyon"),
        ("Cathe\u0301drale de Noyon", "Cathédrale de Noyon"),
        ("Chicago_Hilton_%26_Towers", "Chicago Hilton & Towers"),
        ("100% wool", "100% wool"),
        ("éclair", "Éclair"),
        ("ßtraße", "ßtraße"),
        ("東京タワー", "東京タワー"),
        ("https://commons.wikimedia.org/wiki/Category:Lake_Garda?uselang=de#mw-subcategories", "Lake Garda"),
        ("http://commons.wikimedia.org/wiki/Category:Quo_vadis%3F", "Quo vadis?"),
        ("Quo vadis?", "Quo vadis?"),
        (":Category:Lake Garda", "Lake Garda"),
        ("\u200eLake\u00a0Garda\u202c", "Lake Garda"),
        ("e\u200e\u0301clair", "Éclair"),
        ("\u0131\u0307z", "\u0130z"),
    ],
)
def test_every_spelling_has_the_same_normal_form(text: str, name: str) -> None:
    assert normalise(text) == name


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Category:", "no category name"),
        (" ", "no category name"),
        ("Caf%E9", "not UTF-8"),
        ("A[1]", "'\\['"),
        ("a\x00b", "cannot"),
        ("\ud800", "cannot be in a title"),
        ("Caf\ufffd", "cannot"),
        ("List #3", "cannot"),
    ],
)
def test_an_invalid_name_is_an_error(text: str, problem: str) -> None:
    with pytest.raises(HgldError, match=problem):
        normalise(text)


names = st.text(min_size=1) | st.text(st.sampled_from("aıẞßǆ ̧́̇_%25:?#\u200eé\u00a0"), min_size=1)


@given(names)
def test_the_normal_form_is_stable_and_urls_round_trip(text: str) -> None:
    try:
        name = normalise(text)
    except HgldError as error:
        assert str(error).encode("utf-8")  # it can be printed
        reject()
    assert normalise(name) == name
    assert normalise(category_url(name)) == name
    assert category_url(name).isascii()


@pytest.mark.skipif(not PUBLISHED_LABELS.is_file(), reason="the published labels are not beside this checkout")
def test_all_published_urls_round_trip() -> None:
    with gzip.open(PUBLISHED_LABELS, "rt", encoding="utf-8", newline="") as lines:
        urls = [row["category"] for row in csv.DictReader(lines)]
    assert len(urls) == 9689
    assert [category_url(normalise(url)) for url in urls] == urls
