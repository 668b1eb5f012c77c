"""The country and the continent of a landmark, from the countries (P17) and the coordinates (P625) of its item. Pure.

1. The countries are the codes of all items of P17 that have one, sorted: `FR`, or `CH|FR` on a border or where a place
   is disputed. The values are Wikidata's: a place in Martinique has MQ where its item says so, and FR where it says
   France.
2. South of 60° S every place is in Antarctica, with or without a country.
3. Otherwise the continent is that of each country: with coordinates, of the part of it that they are in
   (continent_parts.csv); without, its usual one. Several are a sorted list, such as `Asia|Europe`.
4. Historic states count only if the place has no other country; they give their continents, and no code.

Without a known country both are empty: coordinates alone are not looked up on a map.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hgld.hierarchy.curated import CURATED
from hgld.hierarchy.places.continent_parts import ContinentParts, Point, inside, load_continent_parts
from hgld.hierarchy.places.countries import SEPARATOR, Country, country_names, load_countries

_ANTARCTIC = -60.0


@dataclass(frozen=True)
class Place:
    """Codes of countries and names of continents, each "" for none, and several separated by `|`, sorted."""

    country: str
    continent: str


@dataclass(frozen=True)
class Gazetteer:
    """What is known of countries: by QID, and the parts of them on other continents, by code."""

    countries: Mapping[str, Country]
    parts: ContinentParts

    @classmethod
    def load(cls, folder: Path = CURATED) -> "Gazetteer":
        """From the curated files in a folder. Raises HgldError that lists their problems."""
        countries = load_countries(folder)
        return cls(countries, load_continent_parts(country_names(countries), folder))

    def place(self, qids: Iterable[str], latitude: float = math.nan, longitude: float = math.nan) -> Place:
        """The place of an item; qids: its countries, unknown ones are ignored; coordinates in degrees, NaN for none."""
        known = [self.countries[qid] for qid in qids if qid in self.countries]
        present = [country for country in known if country.kind != "historic"]
        codes = {country.code for country in known if country.code}
        point = None if math.isnan(latitude) or math.isnan(longitude) else (latitude, _wrapped(longitude))
        if point and latitude < _ANTARCTIC:
            continents = {"Antarctica"}
        else:
            continents = {name for country in present or known for name in self._continents(country, point)}
        return Place(SEPARATOR.join(sorted(codes)), SEPARATOR.join(sorted(continents)))

    def unknown(self, qids: Iterable[str]) -> list[str]:
        """Those of the QIDs that are not in countries.csv."""
        return [qid for qid in qids if qid not in self.countries]

    def _continents(self, country: Country, point: Point | None) -> tuple[str, ...]:
        if point:
            for part in self.parts.get(country.code, ()):
                if inside(point, part.area):
                    return (part.continent,)
        return country.continents


def _wrapped(longitude: float) -> float:
    """The same meridian between -180 and 180.

    >>> _wrapped(190.0), _wrapped(-181.0), _wrapped(180.0)
    (-170.0, 179.0, 180.0)
    """
    return longitude if abs(longitude) <= 180 else (longitude + 180) % 360 - 180
