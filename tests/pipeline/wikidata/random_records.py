"""Random records of an endpoint, for hypothesis."""

from hypothesis import strategies as st

from hgld.pipeline.wikidata.records import WikidataRecords

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
ITEM = st.integers(1, 60).map("Q{}".format)
CATEGORY_ROWS = st.tuples(TEXT, st.sampled_from(["P373", "sitelink", "sitelink Q70893996"]), ITEM)
ITEM_ROWS = (
    st.tuples(ITEM, st.sampled_from(["P31", "P301", "P971", "P17", "sameAs"]), ITEM)
    | st.tuples(ITEM, st.sampled_from(["label en", "label mul", "P625"]), TEXT)
    | st.tuples(ITEM, st.just("sitelinks"), st.integers(0, 400).map(str))
)
CLASS_ROWS = st.tuples(ITEM, st.sampled_from(["P279", "sameAs"]), ITEM) | st.tuples(
    ITEM, st.sampled_from(["label en", "alias"]), TEXT
)
RECORDS = st.builds(
    lambda *parts: WikidataRecords(*(tuple(sorted(part)) for part in parts)),
    st.sets(CATEGORY_ROWS, max_size=12), st.sets(ITEM_ROWS, max_size=30), st.sets(CLASS_ROWS, max_size=20),
)  # fmt: skip
