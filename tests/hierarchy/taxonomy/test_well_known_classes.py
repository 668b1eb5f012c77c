"""The curated taxonomy on real Wikidata classes: the expected label of well-known classes, alone and together."""

import csv
import gzip
from collections import defaultdict
from functools import cache

import pytest

from hgld.hierarchy.curation.taxonomy_checks import ClassSnapshot, check_taxonomy
from hgld.hierarchy.taxonomy.class_graph import class_graph
from hgld.hierarchy.taxonomy.class_labels import AnchorPath, Decision, anchor_paths, label_item
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from tests.paths import SHARED

DATA = SHARED / "wikidata"
TAXONOMY = load_taxonomy()
GEOGRAPHIC = {"Q618123", "Q811979", "Q13226383"}  # geographical object, architectural structure, facility

with_wikidata = pytest.mark.skipif(not DATA.is_dir(), reason="the excerpt of Wikidata is not beside this checkout")

# class → label; "" where it must have none
EXPECTED = {
    # worship
    "Q16970": "church", "Q2977": "church", "Q108325": "church", "Q120560": "church", "Q317557": "church",
    "Q160742": "church", "Q44613": "monastery", "Q1128397": "monastery", "Q32815": "mosque", "Q34627": "synagogue",
    "Q842402": "hindu temple", "Q5393308": "buddhist temple", "Q199451": "buddhist temple",
    "Q180987": "buddhist temple", "Q845945": "shinto shrine",
    # defence and rule
    "Q23413": "castle / fort", "Q751876": "castle / fort", "Q1785071": "castle / fort", "Q57821": "castle / fort",
    "Q16748868": "castle / fort", "Q16560": "palace", "Q2651004": "palace", "Q53536964": "palace", "Q82117": "gate",
    "Q143912": "gate", "Q543654": "government building", "Q1137809": "government building", "Q40357": "prison",
    # living, lodging, learning
    "Q3947": "house", "Q3950": "house", "Q879050": "house", "Q1802963": "house", "Q2087181": "house",
    "Q489357": "house", "Q27686": "hotel", "Q875157": "hotel", "Q11707": "restaurant", "Q212198": "restaurant",
    "Q3918": "school", "Q3914": "school", "Q9826": "school", "Q189004": "school", "Q1321960": "school",
    "Q875538": "school", "Q902104": "school", "Q16917": "hospital", "Q46124": "hospital", "Q7075": "library",
    "Q22806": "library", "Q33506": "museum", "Q207694": "museum", "Q17431399": "museum", "Q62832": "observatory",
    # play and trade
    "Q483110": "sports venue", "Q1154710": "sports venue", "Q1049757": "sports venue", "Q641226": "sports venue",
    "Q1763828": "sports venue", "Q24354": "theatre", "Q153562": "theatre", "Q1060829": "theatre", "Q41253": "theatre",
    "Q194195": "amusement park", "Q43501": "zoo", "Q2281788": "zoo", "Q11315": "shopping", "Q330284": "market",
    "Q83405": "factory", "Q131734": "factory", "Q1251750": "factory", "Q185187": "factory", "Q820477": "mine",
    "Q188913": "agricultural land", "Q156362": "agricultural land", "Q159719": "power plant",
    # ways
    "Q12280": "bridge", "Q537127": "bridge", "Q474": "aqueduct", "Q34442": "road", "Q79007": "road",
    "Q174782": "square", "Q55488": "rail transportation",
    "Q928830": "rail transportation", "Q728937": "rail transportation",
    "Q1248784": "air transportation", "Q695850": "air transportation", "Q44782": "harbor",
    "Q44377": "underground infrastructure", "Q628179": "trail", "Q142031": "cable transportation",
    "Q12323": "dam", "Q1244922": "dam", "Q12284": "canal",
    "Q39715": "lighthouse", "Q12518": "tower", "Q11303": "skyscraper", "Q11446": "boat",
    # remembrance and art
    "Q39614": "cemetery", "Q162875": "cemetery", "Q5003624": "memorial", "Q575759": "memorial", "Q179700": "sculpture",
    "Q838948": "artwork", "Q483453": "fountain", "Q839954": "archeological site", "Q109607": "ruins",
    "Q12516": "pyramid",
    # nature
    "Q8502": "mountain", "Q46831": "mountain", "Q39816": "mountain", "Q54050": "mountain", "Q8072": "volcano",
    "Q23442": "island", "Q33837": "island", "Q42523": "island", "Q4022": "river", "Q355304": "river",
    "Q34038": "waterfall",
    "Q23397": "lake", "Q131681": "lake", "Q4862338": "lake", "Q165": "ocean area ", "Q39594": "ocean area ",
    "Q37901": "ocean area ", "Q40080": "beach", "Q35509": "cave", "Q22698": "parks",
    "Q46169": "parks", "Q4421": "parks", "Q167346": "garden", "Q10884": "tree",
    # places where people live
    "Q515": "city", "Q1549591": "city", "Q3957": "city", "Q123705": "city", "Q15284": "city", "Q2983893": "city",
    "Q532": "village", "Q484170": "village", "Q486972": "settlement", "Q188509": "settlement", "Q74047": "settlement",
    # without a label by design
    "Q5": "", "Q1615742": "", "Q1221156": "", "Q13410403": "", "Q6256": "", "Q570116": "", "Q43229": "", "Q4830453": "",
    "Q15243209": "", "Q3917681": "", "Q82794": "", "Q45400320": "", "Q11204": "", "Q192350": "",
}  # fmt: skip

# classes that items really have together → label
TOGETHER = {
    ("Q570116", "Q2977"): "church",  # a cathedral that is a tourist attraction
    ("Q2087181", "Q33506"): "house",  # historic house museum
    (
        "Q188913",
        "Q2087181",
        "Q12292478",
    ): "agricultural land",  # Mount Vernon: an estate too
    ("Q39594", "Q165"): "ocean area ",
    ("Q39594", "Q47053"): "ocean area ",  # Chesapeake Bay: bay, estuary
    ("Q4022", "Q355304"): "river",
    ("Q3918", "Q272231", "Q23002054", "Q45400320"): "school",  # Vanderbilt University: an arboretum too
    ("Q3918", "Q39614"): "school",  # Bryn Mawr College: a cemetery too
    ("Q11707", "Q27686"): "restaurant",  # The Dorchester
    ("Q1244922", "Q15911738", "Q357679", "Q570116"): "dam",  # Hoover Dam
    ("Q11303", "Q1021645"): "skyscraper",  # Four World Trade Center
    ("Q4989906", "Q684740", "Q91717"): "castle / fort",  # Alcazaba de Almería
    ("Q16560", "Q23413", "Q33506"): "palace",  # Hofburg
    ("Q23413", "Q57831", "Q33506"): "castle / fort",  # Hohensalzburg
    ("Q44613", "Q120560"): "monastery",
    ("Q515", "Q1180262"): "city",  # a town that was a residence
    ("Q515", "Q839954", "Q1549591"): "city",  # Damascus
    ("Q15284", "Q44782", "Q1549591"): "city",  # Antwerp: seaport
    ("Q532", "Q44782"): "village",
    ("Q483110", "Q1763828"): "sports venue",
    ("Q14811181", "Q23397", "Q3267675"): "lake",  # Lake Constance
    ("Q8502", "Q46169"): "mountain",  # Mount Olympus
    ("Q8502", "Q169358", "Q570116"): "volcano",
    ("Q23442", "Q515"): "island",
    ("Q15243209", "Q27686"): "hotel",  # The Greenbrier
    ("Q109607", "Q23413"): "castle / fort",
    ("Q43501", "Q473972"): "zoo",
    ("Q44613", "Q160742"): "monastery",  # Ligugé Abbey
    ("Q160742", "Q109607"): "church",
    ("Q62832", "Q33506", "Q751876"): "castle / fort",  # Abbadia
    ("Q1254933", "Q1542938"): "observatory",  # Paris Observatory, an institution of higher education
    ("Q24354", "Q19860854"): "theatre",  # a theatre that was pulled down
}


@cache
def table(name: str) -> tuple[tuple[str, str], ...]:
    with gzip.open(DATA / f"{name}.tsv.gz", "rt", encoding="utf-8", newline="") as handle:
        rows = csv.reader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)
        next(rows)
        return tuple((left, right) for left, right in rows)


@cache
def paths() -> dict[str, AnchorPath]:
    used = {qid for _, qid in table("instance_of")} | {qid for classes in TOGETHER for qid in classes}
    return anchor_paths(class_graph(table("subclass_of"), TAXONOMY).dag, TAXONOMY, used | EXPECTED.keys())


def decision(*classes: str) -> Decision:
    return label_item(classes, paths(), TAXONOMY, {})


@with_wikidata
@pytest.mark.parametrize("qid", EXPECTED)
def test_a_well_known_class_has_its_label(qid: str) -> None:
    assert decision(qid).hierarchical_label == EXPECTED[qid]


@with_wikidata
@pytest.mark.parametrize("classes", TOGETHER)
def test_classes_of_one_item_have_the_expected_label_in_any_order(classes: tuple[str, ...]) -> None:
    assert decision(*classes).hierarchical_label == TOGETHER[classes]
    assert decision(*classes[::-1]) == decision(*classes)


@with_wikidata
def test_most_places_with_a_commons_category_get_a_label() -> None:
    """Of the items below building, facility or geographical object, except unlabelled administrative areas."""
    classes = defaultdict(set)
    for item, qid in table("instance_of"):
        classes[item].add(qid)
    parents = defaultdict(set)
    for child, parent in table("subclass_of"):
        parents[child].add(parent)
    places = [item for item in dict(table("commons_category")) if _is_place(classes[item], parents)]
    labelled = sum(bool(decision(*classes[item]).hierarchical_label) for item in places)
    assert len(places) > 5000
    assert labelled / len(places) > 0.93


def _is_place(classes: set[str], parents: dict[str, set[str]]) -> bool:
    ancestors: set[str] = set()
    pending = list(classes)
    while pending:
        qid = pending.pop()
        if qid not in ancestors:
            ancestors.add(qid)
            pending += parents[qid]
    administrative = {qid for qid in ancestors if TAXONOMY.blocks(qid) and qid != "Q82794"}
    return bool(ancestors & GEOGRAPHIC) and not (administrative and not decision(*classes).hierarchical_label)


@with_wikidata
def test_the_curated_rows_are_sound_on_the_excerpt() -> None:
    names = dict(table("labels_en"))
    snapshot = ClassSnapshot(frozenset(qid for _, qid in table("instance_of")), frozenset(table("subclass_of")), names)
    findings = check_taxonomy(TAXONOMY, snapshot)
    assert findings.problems == ()
    assert {row.file for row in findings.rows if row.state == "idle"} <= {"taxonomy.csv"}
    assert [text for text in findings.renamed if not text.startswith(("Q9259 ", "Q11691318 "))] == []
