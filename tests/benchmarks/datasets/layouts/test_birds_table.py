"""birds.csv: the 200 classes of CUB-200-2011, a genus in one family, families that fit the English names."""

from __future__ import annotations

import pytest

from hgld.foundation.tables import read_csv
from tests.paths import ROOT

# classes.txt of CUB-200-2011, in its order, spelt as there (Artic_Tern, Forsters_Tern).
CLASSES_TXT = """
Black_footed_Albatross Laysan_Albatross Sooty_Albatross Groove_billed_Ani Crested_Auklet Least_Auklet
Parakeet_Auklet Rhinoceros_Auklet Brewer_Blackbird Red_winged_Blackbird Rusty_Blackbird Yellow_headed_Blackbird
Bobolink Indigo_Bunting Lazuli_Bunting Painted_Bunting Cardinal Spotted_Catbird Gray_Catbird Yellow_breasted_Chat
Eastern_Towhee Chuck_will_Widow Brandt_Cormorant Red_faced_Cormorant Pelagic_Cormorant Bronzed_Cowbird Shiny_Cowbird
Brown_Creeper American_Crow Fish_Crow Black_billed_Cuckoo Mangrove_Cuckoo Yellow_billed_Cuckoo
Gray_crowned_Rosy_Finch Purple_Finch Northern_Flicker Acadian_Flycatcher Great_Crested_Flycatcher Least_Flycatcher
Olive_sided_Flycatcher Scissor_tailed_Flycatcher Vermilion_Flycatcher Yellow_bellied_Flycatcher Frigatebird
Northern_Fulmar Gadwall American_Goldfinch European_Goldfinch Boat_tailed_Grackle Eared_Grebe Horned_Grebe
Pied_billed_Grebe Western_Grebe Blue_Grosbeak Evening_Grosbeak Pine_Grosbeak Rose_breasted_Grosbeak Pigeon_Guillemot
California_Gull Glaucous_winged_Gull Heermann_Gull Herring_Gull Ivory_Gull Ring_billed_Gull Slaty_backed_Gull
Western_Gull Anna_Hummingbird Ruby_throated_Hummingbird Rufous_Hummingbird Green_Violetear Long_tailed_Jaeger
Pomarine_Jaeger Blue_Jay Florida_Jay Green_Jay Dark_eyed_Junco Tropical_Kingbird Gray_Kingbird Belted_Kingfisher
Green_Kingfisher Pied_Kingfisher Ringed_Kingfisher White_breasted_Kingfisher Red_legged_Kittiwake Horned_Lark
Pacific_Loon Mallard Western_Meadowlark Hooded_Merganser Red_breasted_Merganser Mockingbird Nighthawk
Clark_Nutcracker White_breasted_Nuthatch Baltimore_Oriole Hooded_Oriole Orchard_Oriole Scott_Oriole Ovenbird
Brown_Pelican White_Pelican Western_Wood_Pewee Sayornis American_Pipit Whip_poor_Will Horned_Puffin Common_Raven
White_necked_Raven American_Redstart Geococcyx Loggerhead_Shrike Great_Grey_Shrike Baird_Sparrow
Black_throated_Sparrow Brewer_Sparrow Chipping_Sparrow Clay_colored_Sparrow House_Sparrow Field_Sparrow Fox_Sparrow
Grasshopper_Sparrow Harris_Sparrow Henslow_Sparrow Le_Conte_Sparrow Lincoln_Sparrow Nelson_Sharp_tailed_Sparrow
Savannah_Sparrow Seaside_Sparrow Song_Sparrow Tree_Sparrow Vesper_Sparrow White_crowned_Sparrow
White_throated_Sparrow Cape_Glossy_Starling Bank_Swallow Barn_Swallow Cliff_Swallow Tree_Swallow Scarlet_Tanager
Summer_Tanager Artic_Tern Black_Tern Caspian_Tern Common_Tern Elegant_Tern Forsters_Tern Least_Tern
Green_tailed_Towhee Brown_Thrasher Sage_Thrasher Black_capped_Vireo Blue_headed_Vireo Philadelphia_Vireo
Red_eyed_Vireo Warbling_Vireo White_eyed_Vireo Yellow_throated_Vireo Bay_breasted_Warbler Black_and_white_Warbler
Black_throated_Blue_Warbler Blue_winged_Warbler Canada_Warbler Cape_May_Warbler Cerulean_Warbler
Chestnut_sided_Warbler Golden_winged_Warbler Hooded_Warbler Kentucky_Warbler Magnolia_Warbler Mourning_Warbler
Myrtle_Warbler Nashville_Warbler Orange_crowned_Warbler Palm_Warbler Pine_Warbler Prairie_Warbler
Prothonotary_Warbler Swainson_Warbler Tennessee_Warbler Wilson_Warbler Worm_eating_Warbler Yellow_Warbler
Northern_Waterthrush Louisiana_Waterthrush Bohemian_Waxwing Cedar_Waxwing American_Three_toed_Woodpecker
Pileated_Woodpecker Red_bellied_Woodpecker Red_cockaded_Woodpecker Red_headed_Woodpecker Downy_Woodpecker
Bewick_Wren Cactus_Wren Carolina_Wren House_Wren Marsh_Wren Rock_Wren Winter_Wren Common_Yellowthroat
"""
CLASSES = CLASSES_TXT.split()

# The genera of each family, as the check-lists have them; written apart from the table.
GENERA = {
    "Alaudidae": "Eremophila",
    "Alcedinidae": "Ceryle Chloroceryle Halcyon Megaceryle",
    "Alcidae": "Aethia Cepphus Cerorhinca Fratercula",
    "Anatidae": "Anas Lophodytes Mareca Mergus",
    "Bombycillidae": "Bombycilla",
    "Caprimulgidae": "Antrostomus Chordeiles",
    "Cardinalidae": "Cardinalis Passerina Pheucticus Piranga",
    "Certhiidae": "Certhia",
    "Corvidae": "Aphelocoma Corvus Cyanocitta Cyanocorax Nucifraga",
    "Cuculidae": "Coccyzus Crotophaga Geococcyx",
    "Diomedeidae": "Phoebastria Phoebetria",
    "Fregatidae": "Fregata",
    "Fringillidae": "Carduelis Coccothraustes Haemorhous Leucosticte Pinicola Spinus",
    "Gaviidae": "Gavia",
    "Hirundinidae": "Hirundo Petrochelidon Riparia Tachycineta",
    "Icteridae": "Agelaius Dolichonyx Euphagus Icterus Molothrus Quiscalus Sturnella Xanthocephalus",
    "Icteriidae": "Icteria",
    "Laniidae": "Lanius",
    "Laridae": "Chlidonias Hydroprogne Larus Pagophila Rissa Sterna Sternula Thalasseus",
    "Mimidae": "Dumetella Mimus Oreoscoptes Toxostoma",
    "Motacillidae": "Anthus",
    "Parulidae": "Cardellina Geothlypis Helmitheros Leiothlypis Limnothlypis Mniotilta Parkesia Protonotaria Seiurus "
    "Setophaga Vermivora",
    "Passerellidae": "Ammodramus Ammospiza Amphispiza Centronyx Junco Melospiza Passerculus Passerella Pipilo "
    "Pooecetes Spizella Zonotrichia",
    "Passeridae": "Passer",
    "Pelecanidae": "Pelecanus",
    "Phalacrocoracidae": "Urile",
    "Picidae": "Colaptes Dryobates Dryocopus Melanerpes Picoides",
    "Podicipedidae": "Aechmophorus Podiceps Podilymbus",
    "Procellariidae": "Fulmarus",
    "Ptilonorhynchidae": "Ailuroedus",
    "Sittidae": "Sitta",
    "Stercorariidae": "Stercorarius",
    "Sturnidae": "Lamprotornis",
    "Trochilidae": "Archilochus Calypte Colibri Selasphorus",
    "Troglodytidae": "Campylorhynchus Cistothorus Salpinctes Thryomanes Thryothorus Troglodytes",
    "Tyrannidae": "Contopus Empidonax Myiarchus Pyrocephalus Sayornis Tyrannus",
    "Vireonidae": "Vireo",
}

# The family of all species whose English name ends in a word, but for those named in EXCEPTIONS.
NAMES = {
    "Diomedeidae": "Albatross",
    "Alcidae": "Auklet Guillemot Puffin",
    "Icteridae": "Blackbird Bobolink Cowbird Grackle Meadowlark Oriole",
    "Cardinalidae": "Bunting Cardinal Tanager",
    "Passerellidae": "Junco Sparrow Towhee",
    "Phalacrocoracidae": "Cormorant",
    "Corvidae": "Crow Jay Nutcracker Raven",
    "Cuculidae": "Ani Cuckoo Geococcyx",
    "Fringillidae": "Finch Goldfinch",
    "Tyrannidae": "Flycatcher Kingbird Pewee",
    "Podicipedidae": "Grebe",
    "Laridae": "Gull Kittiwake Tern",
    "Trochilidae": "Hummingbird Violetear",
    "Stercorariidae": "Jaeger",
    "Alcedinidae": "Kingfisher",
    "Laniidae": "Shrike",
    "Hirundinidae": "Swallow",
    "Mimidae": "Mockingbird Thrasher",
    "Vireonidae": "Vireo",
    "Parulidae": "Ovenbird Redstart Warbler Waterthrush Yellowthroat",
    "Bombycillidae": "Waxwing",
    "Picidae": "Flicker Woodpecker",
    "Troglodytidae": "Wren",
    "Anatidae": "Gadwall Mallard Merganser",
    "Caprimulgidae": "Nighthawk Widow Will",
    "Pelecanidae": "Pelican",
}
EXCEPTIONS = {"House_Sparrow": "Passeridae", "Tree_Sparrow": ""}


@pytest.fixture(scope="module")
def birds() -> dict[str, tuple[str, str]]:
    """Genus and family by species."""
    table = read_csv(ROOT / "benchmarks" / "datasets" / "layouts" / "birds.csv", ["species", "genus", "family"])
    assert len(table) == 200 and list(table["species"]) == sorted(table["species"])
    return {name: (genus, family) for name, genus, family in table.itertuples(index=False)}


def test_species_are_the_200_classes(birds: dict[str, tuple[str, str]]) -> None:
    assert len(CLASSES) == 200
    assert birds.keys() == set(CLASSES)


def test_every_genus_is_in_the_family_that_the_check_lists_give_it(birds: dict[str, tuple[str, str]]) -> None:
    family_of = {genus: family for family, genera in GENERA.items() for genus in genera.split()}
    assert len(family_of) == sum(len(genera.split()) for genera in GENERA.values()), "a genus is in one family"
    wrong = {name: row for name, row in birds.items() if row != ("", "") and family_of.get(row[0]) != row[1]}
    assert wrong == {}
    assert {genus for genus, _ in birds.values()} - {""} == family_of.keys()


def test_families_fit_the_english_names(birds: dict[str, tuple[str, str]]) -> None:
    family_of = {word: family for family, words in NAMES.items() for word in words.split()}
    expected = {name: EXCEPTIONS.get(name, family_of.get(name.rpartition("_")[2])) for name in birds}
    wrong = {name: row for name, row in birds.items() if expected[name] not in (None, row[1])}
    assert wrong == {}
    assert sum(family is not None for family in expected.values()) > 175
