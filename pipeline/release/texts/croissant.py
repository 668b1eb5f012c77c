"""croissant.json of a release: Croissant 1.1 with its files, their checksums, a record set per table, and RAI fields.

Croissant is MLCommons' vocabulary for data sets, https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html; its
RAI extension says how data were collected and labelled, https://docs.mlcommons.org/croissant/docs/croissant-rai-spec.html.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hgld.foundation.files import sha256
from hgld.pipeline.release.texts.about import KEYWORDS, About
from hgld.pipeline.release.texts.citation import author_name, reference
from hgld.pipeline.release.texts.columns import CONFIGS, FRACTION, TABLES, TEXT, WHOLE, YES_NO, Table
from hgld.pipeline.release.texts.licences import MAIN

CONFORMS_TO = ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"]
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_DATA_TYPES = {TEXT: "sc:Text", WHOLE: "sc:Integer", FRACTION: "sc:Float", YES_NO: "sc:Boolean"}
_FORMATS = {".parquet": "application/x-parquet", ".csv": "text/csv"}


def croissant(about: About, citation: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The content of croissant.json for the tables in `folder`, whose bytes are final.

    The date and the address of publication are those of the settings; they are absent where these have none.
    """
    settings = about.settings
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": settings.name,
        "description": about.description,
        "version": settings.version if settings.version.count(".") == 2 else f"{settings.version}.0",
        "license": MAIN.url,
        "creator": [
            {"@type": "sc:Person" if "family-names" in author else "sc:Organization", "name": author_name(author)}
            for author in citation["authors"]
        ],
        "keywords": list(KEYWORDS),
        "inLanguage": "en",
        "isLiveDataset": False,
        "citeAs": reference(citation),
        **({"url": settings.homepage} if settings.homepage else {}),
        **({"datePublished": settings.date} if settings.date else {}),
        **_responsible_use(about),
        "distribution": [_file(folder / table.file, table.about) for table in TABLES],
        "recordSet": [_record_set(name, table) for name, table in CONFIGS.items()],
    }


def _file(path: Path, about: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": path.name,
        "name": path.name,
        "description": about,
        "contentUrl": path.name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": _FORMATS[path.suffix],
        "sha256": sha256(path),
    }


def _record_set(name: str, table: Table) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": table.about,
        "key": [{"@id": f"{name}/{column}"} for column in table.key],
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{column}",
                "name": column,
                "description": description.about,
                "dataType": _DATA_TYPES[description.type],
                "source": {"fileObject": {"@id": table.file}, "extract": {"column": column}},
            }
            for column, description in table.columns.items()
        ],
    }


def _responsible_use(about: About) -> Mapping[str, Any]:
    """The fields of the RAI extension."""
    sources = about.numbers["sources"]
    empty = sources[""]["categories"]
    return {
        "rai:dataCollection": "The landmarks, categories and splits are those of the Google Landmarks Dataset v2; the "
        "facts about their items and classes are from Wikidata.",
        "rai:dataCollectionType": ["Secondary Data analysis", "Web Scraping"],
        "rai:dataCollectionMissingData": f"{empty:,} of {about.numbers['categories']:,} categories have no label: "
        "an empty label is preferred to a guess.",
        "rai:dataPreprocessingProtocol": [
            "Each Commons category is matched to a Wikidata item; from the classes of the item, the class graph is "
            "followed to the nearest anchor class of a label (taxonomy.parquet)."
        ],
        "rai:dataAnnotationProtocol": "A verdict of an annotator decides, else Wikidata, else an automatic proposal "
        "whose calibrated probability and margin reach fixed thresholds.",
        "rai:dataAnnotationPlatform": ["hgld review"],
        "rai:machineAnnotationTools": [
            "the name of the Wikidata class, the name of the landmark, and CLIP on its images, fused into one "
            "probability per label"
        ],
        "rai:dataUseCases": ["training and evaluation of image retrieval and of hierarchical classification"],
        "rai:dataBiases": [
            "Places with many photographs on Wikimedia Commons and many statements on Wikidata are over-represented, "
            "and so are the languages and countries of their contributors."
        ],
        "rai:dataLimitations": [
            "A landmark has one label, also where several are true; its images have the label of the landmark, "
            "whatever they show.",
            "Errors and gaps of Wikidata are inherited.",
        ],
        "rai:personalSensitiveInformation": [
            "none in the tables but the names that annotators chose; images are not part of it"
        ],
        "rai:dataReleaseMaintenancePlan": "A version never changes after its publication. A label that moves gives a "
        "new minor version, a new format a new major one.",
    }
