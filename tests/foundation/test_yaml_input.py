"""YAML is read in bounded time: repetition by aliases, depth and size are checked before the values are made."""

import time
from pathlib import Path

import pytest

from hgld.foundation.errors import HgldError
from hgld.foundation.text_input import read_yaml


def nested_aliases(form: str) -> str:
    """Eight levels, each with ten aliases of the one before: a hundred million values in 400 bytes."""
    lines = ["a: &a {k: 1}"]
    for below, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} {form.format(', '.join([f'*{below}'] * 10))}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (nested_aliases("[{}]"), r":5: more than 20,000 values"),
        (nested_aliases("{{<<: [{}]}}"), r":5: more than 20,000 values"),
        ("a: &a [*a]", r":1: \*a is an alias of a value that it is in"),
        ("a: &a\n  b: {c: *a}", r":2: \*a is an alias"),
        ("[" * 50_000, "nested more than 20 levels"),
        ("- " * 50_000, "nested more than 20 levels"),
        ("a: " + "{a: " * 50_000, "nested more than 20 levels"),
        ("a: [" + "1," * 50_000 + "]", "more than 20,000 values"),
        ("x" * 300_000, "more than 262,144 characters"),
        ('a: "\\0"', r"'\\x00' in a value"),
        ('a: "\\ud800"', r"'\\ud800' in a value"),
        ("a: 2024-13-45", "not YAML: month must be in"),
        ("a: !!int abc", "not YAML: invalid literal"),
        ("a: !!float abc", "not YAML"),
        ("a: !!bool maybe", "not YAML"),
        ("a: !!timestamp soon", "not YAML"),
        ("a: " + "9" * 5000, "not YAML: .*digits"),
        ("? {a: 1}\n: 2", "not YAML: .*unhashable"),
        ("a: !!python/object/apply:os.system [ls]", "not YAML: could not determine a constructor"),
        ("a: 1\n---\na: 2", "not YAML: expected a single document"),
    ],
)
def test_hostile_document_is_refused_at_once(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    started = time.process_time()
    with pytest.raises(HgldError, match=rf"a\.yaml.*{message}") as caught:
        read_yaml(tmp_path / "a.yaml")
    assert time.process_time() - started < 5
    assert "\n" not in str(caught.value)


def test_anchors_and_merge_keys_are_expanded(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: &a {x: 1e-4, y: 2}\nb: {<<: *a, y: 3}\nc: [*a, *a]\n")
    ours = {"x": 0.0001, "y": 2}
    assert read_yaml(tmp_path / "a.yaml") == {"a": ours, "b": {"x": 0.0001, "y": 3}, "c": [ours, ours]}
