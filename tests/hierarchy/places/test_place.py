"""Country and continent of a place: by its countries, by its coordinates, with nothing or several things known."""

import pytest

from hgld.hierarchy.places.place import Gazetteer, Place

GAZETTEER = Gazetteer.load()
CHILE, DENMARK, EGYPT, FRANCE = "Q298", "Q35", "Q79", "Q142"
GERMANY, INDONESIA, KAZAKHSTAN, PORTUGAL = "Q183", "Q252", "Q232", "Q45"
RUSSIA, SPAIN, SWITZERLAND, TURKEY, UNITED_STATES, YEMEN = "Q159", "Q29", "Q39", "Q43", "Q30", "Q805"
ENGLAND, NETHERLANDS, SOVIET_UNION, GERMAN_REICH, NORTHERN_CYPRUS = "Q21", "Q29999", "Q15180", "Q1206012", "Q23681"


@pytest.mark.parametrize(
    ("qid", "place", "latitude", "longitude", "continent"),
    [
        (TURKEY, "Hagia Sophia", 41.0086, 28.98, "Europe"),
        (TURKEY, "Dolmabahçe Palace", 41.0391, 29.0005, "Europe"),
        (TURKEY, "Rumeli Hisarı", 41.0847, 29.0561, "Europe"),
        (TURKEY, "Edirne", 41.677, 26.555, "Europe"),
        (TURKEY, "Gallipoli", 40.41, 26.67, "Europe"),
        (TURKEY, "Maiden's Tower", 41.0211, 29.0041, "Asia"),
        (TURKEY, "Haydarpaşa", 40.9966, 29.019, "Asia"),
        (TURKEY, "Beylerbeyi Palace", 41.0427, 29.04, "Asia"),
        (TURKEY, "Anadolu Hisarı", 41.082, 29.067, "Asia"),
        (TURKEY, "Princes' Islands", 40.87, 29.09, "Asia"),
        (TURKEY, "Troy", 39.957, 26.239, "Asia"),
        (TURKEY, "Ankara", 39.93, 32.86, "Asia"),
        (RUSSIA, "Moscow", 55.755, 37.617, "Europe"),
        (RUSSIA, "Perm", 58.01, 56.25, "Europe"),
        (RUSSIA, "Ufa", 54.74, 55.97, "Europe"),
        (RUSSIA, "Vorkuta", 67.5, 64.05, "Europe"),
        (RUSSIA, "Elbrus", 43.353, 42.439, "Europe"),
        (RUSSIA, "Novaya Zemlya", 74, 57, "Europe"),
        (RUSSIA, "Yekaterinburg", 56.838, 60.604, "Asia"),
        (RUSSIA, "Chelyabinsk", 55.16, 61.4, "Asia"),
        (RUSSIA, "Salekhard", 66.53, 66.6, "Asia"),
        (RUSSIA, "Lake Baikal", 53.5, 108, "Asia"),
        (RUSSIA, "Vladivostok", 43.12, 131.89, "Asia"),
        (RUSSIA, "Chukotka, beyond the 180th meridian", 66, -170, "Asia"),
        (RUSSIA, "the same, as longitudes up to 360", 66, 190, "Asia"),
        (KAZAKHSTAN, "Almaty", 43.24, 76.91, "Asia"),
        (KAZAKHSTAN, "Oral", 51.23, 51.37, "Europe"),
        (EGYPT, "Giza", 29.979, 31.134, "Africa"),
        (EGYPT, "Hurghada", 27.26, 33.81, "Africa"),
        (EGYPT, "Saint Catherine's Monastery", 28.556, 33.976, "Asia"),
        (EGYPT, "Sharm el-Sheikh", 27.91, 34.33, "Asia"),
        (INDONESIA, "Borobudur", -7.608, 110.204, "Asia"),
        (INDONESIA, "Ambon", -3.7, 128.18, "Asia"),
        (INDONESIA, "Aru Islands", -5.75, 134.2, "Asia"),
        (INDONESIA, "Sorong", -0.86, 131.25, "Oceania"),
        (INDONESIA, "Puncak Jaya", -4.08, 137.18, "Oceania"),
        (SPAIN, "Teide", 28.272, -16.642, "Africa"),
        (SPAIN, "Ceuta", 35.89, -5.31, "Africa"),
        (SPAIN, "Tarifa", 36.01, -5.6, "Europe"),
        (SPAIN, "Palma", 39.57, 2.65, "Europe"),
        (PORTUGAL, "Funchal", 32.65, -16.91, "Africa"),
        (PORTUGAL, "Ponta Delgada", 37.74, -25.67, "Europe"),
        (FRANCE, "Ajaccio", 41.92, 8.74, "Europe"),
        (FRANCE, "Cayenne", 4.93, -52.33, "South America"),
        (FRANCE, "Pointe-à-Pitre", 16.24, -61.53, "North America"),
        (FRANCE, "Saint-Denis", -20.88, 55.45, "Africa"),
        (FRANCE, "Papeete", -17.54, -149.57, "Oceania"),
        (FRANCE, "Nouméa", -22.27, 166.45, "Oceania"),
        (FRANCE, "Île Saint-Paul", -38.72, 77.53, "Antarctica"),
        (UNITED_STATES, "Honolulu", 21.31, -157.86, "Oceania"),
        (UNITED_STATES, "Aleutian Islands, beyond the 180th meridian", 52.9, 173.2, "North America"),
        (CHILE, "Easter Island", -27.12, -109.35, "Oceania"),
        (DENMARK, "Nuuk", 64.18, -51.72, "North America"),
        (DENMARK, "Tórshavn", 62.01, -6.77, "Europe"),
        (NETHERLANDS, "Willemstad", 12.11, -68.93, "North America"),
        (YEMEN, "Socotra", 12.5, 53.9, "Africa"),
    ],
)  # fmt: skip
def test_coordinates_decide_on_which_continent_a_part_of_a_country_is(
    qid: str, place: str, latitude: float, longitude: float, continent: str
) -> None:
    assert GAZETTEER.place([qid], latitude, longitude).continent == continent, place


@pytest.mark.parametrize(
    ("qid", "continent"),
    [(TURKEY, "Asia"), (RUSSIA, "Europe"), (EGYPT, "Africa"), (KAZAKHSTAN, "Asia"), (INDONESIA, "Asia")],
)
def test_without_coordinates_the_usual_continent_counts(qid: str, continent: str) -> None:
    assert GAZETTEER.place([qid]).continent == continent
    assert GAZETTEER.place([qid], 50.0).continent == continent  # a latitude alone is no place


def test_several_countries_are_a_sorted_list_whatever_their_order() -> None:
    expected = Place("CH|FR", "Europe")
    assert GAZETTEER.place([SWITZERLAND, FRANCE]) == GAZETTEER.place([FRANCE, SWITZERLAND, FRANCE]) == expected
    assert GAZETTEER.place([FRANCE, TURKEY]) == Place("FR|TR", "Asia|Europe")
    assert GAZETTEER.place([RUSSIA, KAZAKHSTAN], 49.0, 50.0) == Place("KZ|RU", "Europe")


def test_another_item_of_a_country_counts_as_the_country() -> None:
    assert GAZETTEER.place([ENGLAND]) == Place("GB", "Europe")
    assert GAZETTEER.place([ENGLAND, "Q145"]) == Place("GB", "Europe")


def test_state_without_code_has_a_continent_only() -> None:
    assert GAZETTEER.place([NORTHERN_CYPRUS]) == Place("", "Asia")
    assert GAZETTEER.place([NORTHERN_CYPRUS, "Q229"]) == Place("CY", "Asia")


def test_historic_states_count_only_where_no_other_country_is_named() -> None:
    assert GAZETTEER.place([SOVIET_UNION]) == Place("", "Asia|Europe")
    assert GAZETTEER.place([GERMAN_REICH]) == Place("", "Europe")
    assert GAZETTEER.place([SOVIET_UNION, "Q399"]) == Place("AM", "Asia")
    assert GAZETTEER.place([GERMAN_REICH, GERMANY]) == Place("DE", "Europe")


def test_nothing_is_guessed_without_a_known_country() -> None:
    assert (
        GAZETTEER.place([]) == GAZETTEER.place([], 48.85, 2.35) == GAZETTEER.place(["Q7"], 48.85, 2.35) == Place("", "")
    )
    assert GAZETTEER.unknown(["Q7", FRANCE]) == ["Q7"]


def test_the_far_south_is_antarctica_with_or_without_a_country() -> None:
    assert GAZETTEER.place([], -77.85, 166.67) == Place("", "Antarctica")
    assert GAZETTEER.place([CHILE], -62.2, -58.96) == Place("CL", "Antarctica")
    assert GAZETTEER.place([CHILE], -55.98, -67.27) == Place("CL", "South America")  # Cape Horn
