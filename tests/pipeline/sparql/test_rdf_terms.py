"""Terms of items and strings."""

from hgld.pipeline.sparql.rdf_terms import ENTITY, literal, qid


def test_literals_escape_control_characters() -> None:
    assert literal("a\\b\n", "") == '"a\\\\b\\n"'


def test_only_items_have_a_qid() -> None:
    assert qid(f"{ENTITY}Q42") == "Q42"
    for other in ("L42", "Q", "Q0", "Q4٢", "Q²", "P31"):
        assert qid(f"{ENTITY}{other}") == ""
    assert qid("http://www.wikidata.org/.well-known/genid/x") == ""
