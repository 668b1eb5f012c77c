"""Category names: every spelling has the same normal form, and GLDv2's own URLs round-trip."""

import csv
import gzip
import unicodedata

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from hgld.foundation.errors import HgldError
from hgld.hierarchy.taxonomy.commons_category import URL, category_url, normalise
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
        ("Category:ნარიყალა", "ნარიყალა"),
        ("Chicago Hilton &amp; Towers", "Chicago Hilton & Towers"),
        ("http://commons.wikimedia.org/wiki/Category:Chicago_Hilton_&amp;_Towers", "Chicago Hilton & Towers"),
        ("http://commons.wikimedia.org/wiki/Category:St._Mary&#39;s_Church#mw-pages", "St. Mary's Church"),
        ("&quot;n&#x303;&#34;", '"ñ"'),
        ("&eacute;clair &#0233; &#XE9; &AMP; &apos;", "Éclair é é & '"),
        ("AT&T & co; ltd", "AT&T & co; ltd"),
        ("caf&eacute", "Caf&eacute"),
        ("Lake&nbsp;Garda", "Lake Garda"),
        (" _ Foo __ Bar_ _", "Foo Bar"),
        ("  : category _ : Quux", "Quux"),
        ("CATEGORY:lake_Garda", "Lake Garda"),
        ("cat:Lake Garda", "Lake Garda"),
        ("Kategorie:Lake Garda", "Kategorie:Lake Garda"),
        ("Category:Foo:Sandbox", "Foo:Sandbox"),
        ("Lake Garda #History", "Lake Garda"),
        ("X#z#z%zz", "X"),
        ("http://commons.wikimedia.org/wiki/Category:Lake_Garda%23History", "Lake Garda"),
        ("https://commons.wikimedia.org/w/index.php?title=Category:Lake+Garda&amp;action=raw", "Lake Garda"),
        ("http://commons.wikimedia.org/wiki/Category:C+C", "C+C"),
        ("Lake\u3000\u2028\u2029\u202f\u1680\u180e\u2000\u200a\u205fGarda", "Lake Garda"),
        ("\u200eT\u200fe\u202as\u202bt\u202c\u202d\u202e", "Test"),
        ("\u212bngstr\u00f6m", "Ångström"),
        ("\tLake Garda\r\n", "Lake Garda"),
        ("100%25 %41 wool", "100% A wool"),
        ("Quo_vadis%3f 'a' \\ $1 \"b\"", "Quo vadis? 'a' \\ $1 \"b\""),
        ("commons.wikimedia.org/wiki/Category:Lake_Garda", "Lake Garda"),
        ("https://commons.wikimedia.org:443/wiki/Category:Lake_Garda", "Lake Garda"),
        ("https://commons.wikimedia.org/?title=Category:Lake+Garda", "Lake Garda"),
        ("https://commons.wikimedia.org/w/?uselang=it&title=Category%3ALake_Garda#top", "Lake Garda"),
        ("https://commons.wikimedia.org/wiki/index.php?title=Category:Lake_Garda&curid=1", "Lake Garda"),
        ("https://commons.m.wikimedia.org/wiki/Category%3ALake_Garda", "Lake Garda"),
        ("Category:Category:Lake Garda", "Lake Garda"),
        ("Category:Template:Lake", "Template:Lake"),
        ("2001: A Space Odyssey", "2001: A Space Odyssey"),
        ("UTC+01:00", "UTC+01:00"),
        ("Talk", "Talk"),
        (".com", ".com"),
        ("Foo/.../Sandbox", "Foo/.../Sandbox"),
        ("A~~", "A~~"),
        ("Category:" + "x" * 255, "X" + "x" * 254),
    ],
)
def test_every_spelling_has_the_same_normal_form(text: str, name: str) -> None:
    assert normalise(text) == name


# Letter → the first letter of a title on Commons: title case as of Unicode 14, except ß. From MediaWiki's tests and
# Wikimedia's settings, and by hand from the columns of UnicodeData.txt and SpecialCasing.txt.
FIRST_LETTERS = {
    **{"a": "A", "é": "É", "å": "Å", "я": "Я", "ω": "Ω", "ი": "ი", "ნ": "ნ", "ჿ": "ჿ", "ß": "ß", "ẞ": "ẞ"},
    **{"ǆ": "ǅ", "ǅ": "ǅ", "Ǆ": "ǅ", "ǉ": "ǈ", "ǌ": "ǋ", "ǳ": "ǲ", "ŉ": "ʼN", "ǰ": "J\u030c", "ﬁ": "Fi", "և": "Եւ"},
    **{"ᾳ": "ᾼ", "ᾀ": "ᾈ", "ᾼ": "ᾼ", "ᾲ": "Ὰ\u0345", "ΐ": "Ϊ\u0301", "ⅷ": "Ⅷ", "ⓐ": "Ⓐ", "ꮟ": "Ꮟ", "ʂ": "Ʂ"},
    **{"ı": "I", "ÿ": "Ÿ", "ſ": "S", "ĳ": "Ĳ", "ა": "ა", "Ა": "Ა", "ⴀ": "Ⴀ", "𐐨": "𐐀", "東": "東", "1": "1", '"': '"'},
}


@pytest.mark.parametrize(("letter", "first"), FIRST_LETTERS.items())
def test_the_first_letter_is_that_of_mediawiki(letter: str, first: str) -> None:
    assert normalise(f"Category:{letter}xyz") == unicodedata.normalize("NFC", f"{first}xyz")


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
        ("A%2520B", "'%20' cannot be in a title on Commons; is the text encoded twice"),
        ("A &amp;amp; B", "'&amp;' cannot"),
        ("St. Mary&amp;#39;s Church", "'&#' cannot"),
        ("A &nosuch; B", "'&nosuch;' cannot"),
        ("A &lt; B", "'<' cannot"),
        ("A &#10; B", r"'\\n' cannot"),
        ("A &#150; B", "cannot"),
        ("A &#xD800; B", "cannot"),
        (f"A &#{'9' * 5000}; B", "cannot"),
        ("A \t B", r"'\\t' cannot"),
        ("A\uffffB", "cannot"),
        ("Category:A|B", "'\\|' cannot"),
        ("A{{B}}", "'{' cannot"),
        (":Lake Garda", "':' cannot be in a title on Commons; give Category:Name"),
        ("Category::Lake Garda", "':' cannot"),
        ("::Category:Lake Garda", "':' cannot"),
        ("Category:#History", "no category name"),
        ("__  __", "no category name"),
        (".", "'\\.' cannot"),
        ("../Sandbox", "'\\.\\./' cannot"),
        ("Foo/./Sandbox", "'/\\./' cannot"),
        ("Sandbox/..", "'/\\.\\.' cannot"),
        ("A ~~~ Name", "'~~~' cannot"),
        ("x" * 256, "256 bytes; a title on Commons has at most 255"),
        ("é" * 128, "256 bytes"),
        ("a\u0301" * 100_000, r"'\.\.\. is not a category: 200,000 characters"),
        *[
            (page, "is not a category: another page; expected Category:Name, or the URL of a category on Commons")
            for page in [
                "http://commons.wikimedia.org/wiki/File:Lake_Garda.jpg",
                "http://commons.wikimedia.org/wiki/Template%3AFoo",
                "http://commons.wikimedia.org/wiki/Main_Page",
                "http://commons.wikimedia.org/wiki//Category:Lake_Garda",
                "https://commons.wikimedia.org/w/index.php?title=Category_talk:Lake_Garda",
                *("File:Lake.jpg", "image : Lake.jpg", "Category_talk:Lake", "User_talk:Me", ":Template:Foo"),
                *("en:Category:Lake Garda", ":de:Category:Lake Garda", "commons:Category:Lake Garda"),
            ]
        ],
        ("https://commons.wikimedia.org/wiki/?curid=1", "no category name"),
        ("https://en.wikipedia.org/wiki/Category:Lake_Garda", "'https://' cannot.*the URL of a category there"),
    ],
)
def test_an_invalid_name_is_an_error(text: str, problem: str) -> None:
    with pytest.raises(HgldError, match=problem):
        normalise(text)


names = st.text(min_size=1) | st.text(st.sampled_from("aıẞßǆŉนი ̧́̇_%25:?#&;mp./~\u200eé\u00a0"), min_size=1)


# whose names begin like another namespace, or another wiki
LOOK_FOREIGN = ("Media:Stadt", "Data: x", "Help: The film", "Talk: show", "Animals: Cat: x")


@pytest.mark.parametrize("name", LOOK_FOREIGN)
def test_a_stored_name_may_begin_like_another_namespace(name: str) -> None:
    assert normalise(f"Category:{name}") == normalise(category_url(name)) == normalise(name, stored=True) == name
    with pytest.raises(HgldError, match="another page"):
        normalise(name)
    with pytest.raises(HgldError, match="another page"):
        normalise("https://commons.wikimedia.org/wiki/File:X.jpg", stored=True)


@given(names | st.sampled_from([f"Category:{name}" for name in LOOK_FOREIGN]))
def test_the_normal_form_is_stable_and_urls_round_trip(text: str) -> None:
    try:
        name = normalise(text)
    except HgldError as error:
        assert str(error).encode("utf-8")  # it can be printed
        reject()
    assert normalise(name, stored=True) == name
    assert normalise(category_url(name)) == name
    assert category_url(name).isascii()


@pytest.mark.skipif(not PUBLISHED_LABELS.is_file(), reason="the published labels are not beside this checkout")
def test_all_published_urls_round_trip() -> None:
    with gzip.open(PUBLISHED_LABELS, "rt", encoding="utf-8", newline="") as lines:
        urls = [row["category"] for row in csv.DictReader(lines)]
    assert len(urls) == 9689
    assert [category_url(normalise(url)) for url in urls] == urls


@given(
    st.text(alphabet="AZaz09_(),'.-~:%#&/ é", max_size=20)
    | st.from_regex(r"[A-Z][a-z0-9]{0,3}(_[A-Za-z(),'.-]{1,3})*", fullmatch=True)
)
def test_a_plain_url_has_the_normal_form_of_any_other(name: str) -> None:
    """Most URLs are recognised as plain at once; a URL with a query is not, and means the same page."""
    results = []
    for url in (URL + name, f"http://commons.wikimedia.org/w/index.php?title=Category:{name}"):
        try:
            results.append(normalise(url))
        except HgldError:
            results.append("")
    if "&" not in name and "#" not in name:  # which end the title in a query, or begin a fragment
        assert results[0] == results[1]
