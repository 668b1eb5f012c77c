"""Evidence `name`: a text classifier on the category's own name."""

import numpy as np

from hgld.hierarchy.names.class_evidence import align_labels
from hgld.hierarchy.names.name_classifier import cross_fit_classifier
from hgld.pipeline.evidence.sources import Context, Evidence


def collect(context: Context) -> Evidence:
    """Trained on the categories that Wikidata labels; those in `context.categories` are predicted out of fold.

    They are the first by hash (`evidence_categories`), and so among those that the classifier holds out of many.
    """
    model, held_out = cross_fit_classifier(list(context.known.index), context.known.tolist(), context.lexicon)
    labelled = set(context.known.index)
    probabilities = np.zeros((len(context.categories), len(model.labels)))
    unseen = [row for row, category in enumerate(context.categories) if category not in labelled]
    probabilities[unseen] = model.probabilities([context.categories[row] for row in unseen])
    for row, category in enumerate(context.categories):
        if category in labelled:
            probabilities[row] = held_out[category]
    return Evidence(align_labels(probabilities, model.labels, context.labels))
