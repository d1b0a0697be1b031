"""Manifests with changes: what tests make their cases of."""

import copy


def merge(document, changes):
    """Return document with changes laid over it, key by key; None removes a key."""
    merged = copy.deepcopy(document)
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged
