from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exchange.config import yaml_document
from exchange.config.yaml_document import MAX_BYTES, read_yaml


@pytest.fixture(params=["C", "pure"])
def parser(request, monkeypatch):
    """Both of PyYAML's parsers: the events, and so the data, are the same."""
    loader = yaml.CSafeLoader if request.param == "C" else yaml.SafeLoader
    monkeypatch.setattr(yaml_document, "_LOADER", loader)


def data(text: str) -> object:
    document = read_yaml(text.encode())
    assert document.faults == []
    assert document.readable
    return document.data


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((word, word) for word in ("no", "yes", "on", "off", "No", "y", "n", "tRue")),
        *((word, True) for word in ("true", "True", "TRUE")),
        *((word, False) for word in ("false", "False", "FALSE")),
        *((word, None) for word in ("", "~", "null", "Null", "NULL")),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        ("0b1", "0b1"),
        ("12", 12),
        ("-3", -3),
        ("0o14", 12),
        ("0x1F", 31),
        ("014", 14),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        (".", "."),
        ("-a", "-a"),
        ("'true'", "true"),
        ('"12"', "12"),
        ("9223372036854775807", 2**63 - 1),
        ("acme", "acme"),
    ],
)
def test_plain_scalars_are_what_yaml_1_2_says(parser, text, value):
    found = data(f"key: {text}\n")
    assert found == {"key": value}
    assert type(found["key"]) is type(value)


def test_keys_stay_the_strings_they_look_like(parser):
    assert data("on: 1\nno: 2\n'12': 3\n") == {"on": 1, "no": 2, "12": 3}


def test_every_key_and_value_has_its_place(parser):
    document = read_yaml(b"a: 1\nb:\n  - x\n  - c: [y,\n        z]\n")
    assert document.keys[("b",)] == (2, 1)
    assert document.values[("b", 0)] == (3, 5)
    assert document.keys[("b", 1, "c")] == (4, 5)
    assert document.values[("b", 1, "c", 1)] == (5, 9)
    assert document.position(("b", 7, "nothing")) == (3, 3)
    assert document.position(("b",), at_key=True) == (2, 1)
    assert document.position(()) == (1, 1)


def test_columns_count_characters_and_a_byte_order_mark_is_none_of_them(parser):
    assert read_yaml("\ufeff'é': [ü, x]".encode()).values[("é", 1)] == (1, 10)


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", (3, 1), "duplicate key; it is on line 1 already"),
        ("a: {b: 1, b: 2}\n", (1, 11), "duplicate key"),
        ("a: !!str 1\n", (1, 4), "tag"),
        ("a: !python/object:os.system x\n", (1, 4), "tag"),
        ("a: ! x\n", (1, 4), "tag"),
        ("!!map\na: 1\n", (1, 1), "tag"),
        ("a: &x 1\n", (1, 4), "anchor"),
        ("a: &x {b: 1}\nc: *x\n", (2, 4), "alias"),
        ("<<: {a: 1}\n", (1, 1), "merge key"),
        ("1: a\n", (1, 1), "not a string"),
        ("true: a\n", (1, 1), "not a string"),
        ("? [a]\n: b\n", (1, 3), "not a name"),
        ("{{a: b}: c}\n", (1, 2), "not a name"),
        ("a: 1\n---\nb: 2\n", (2, 1), "second document"),
        ("%YAML 1.1\n---\na: 1\n", (1, 1), "directive"),
        ("%TAG ! tag:x.example,2000:\n---\na: 1\n", (1, 1), "directive"),
        ("a: .nan\n", (1, 4), "JSON"),
        ("a: -.inf\n", (1, 4), "JSON"),
        ("a: 1e999\n", (1, 4), "JSON"),
        ("a: 9223372036854775808\n", (1, 4), "JSON"),
        ("a: " + "9" * 5000 + "\n", (1, 4), "JSON"),
        ("a: [\n", (2, 1), "not YAML"),
        ("\ta: 1\n", (1, 1), "not YAML"),
        ("a: 1\nb: \x07\n", (2, 4), "control character"),
        ("", (1, 1), "empty"),
        ("# only a comment\n", (1, 1), "empty"),
        ("a: " + "[" * 40 + "]" * 40, (1, 35), "deeply"),
        ("[" * 100_000, (1, 33), "deeply"),
        ("#" * (MAX_BYTES + 1), (1, 1), "too large"),
    ],
)
def test_what_is_ambiguous_or_hostile_is_a_fault_with_its_place(parser, text, position, message):
    document = read_yaml(text.encode())
    assert document.faults
    places = [place for place, said in document.faults if message in said]
    assert places
    if position:
        assert position in places


def test_the_number_of_values_is_bounded(monkeypatch):
    monkeypatch.setattr(yaml_document, "MAX_NODES", 10)
    assert "too many" in read_yaml(b"[" + b"x," * 10 + b"]").faults[0][1]
    assert read_yaml(b"[" + b"x," * 9 + b"]").faults == []


def test_bad_utf_8_is_a_fault_where_it_stands():
    document = read_yaml(b"a: 1\nb: \xff\n")
    assert document.faults == [((2, 4), "not UTF-8; save the file as UTF-8")]
    assert read_yaml("a: 1".encode("utf-16")).faults


def test_several_faults_are_found_in_one_reading(parser):
    document = read_yaml(b"a: 1\na: 2\nb: !x 1\nc: *d\n")
    assert [place for place, _ in document.faults] == [(2, 1), (3, 4), (4, 4)]
    assert document.data == {"a": 1, "b": "1", "c": None}


def test_an_alias_bomb_is_refused_without_being_expanded(parser):
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    document = read_yaml("\n".join(lines).encode())
    assert document.faults


yamlish = st.text(alphabet=st.sampled_from(list("ab01:-[]{},&*!|>'\"#%?~.<\n\t \\é\x00\ufeff")), max_size=60)


@given(st.text() | yamlish)
def test_no_text_makes_the_reader_raise(text):
    content = text.encode("utf-8", "surrogatepass")
    document = read_yaml(content)
    assert document.readable or document.faults


@given(st.binary())
def test_no_bytes_make_the_reader_raise(content):
    document = read_yaml(content)
    assert document.readable or document.faults


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc12 é", max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abc", min_size=1), json_values, max_size=5))
def test_what_pyyaml_writes_is_read_back_the_same(value):
    text = yaml.safe_dump(value, default_style='"', allow_unicode=False)
    text = text.replace("!!int ", "").replace("!!bool ", "").replace("!!null ", "")
    document = read_yaml(text.encode())
    assert document.faults == []
    assert _as_text(document.data) == _as_text(value)


def _as_text(value):
    """Everything was quoted, so every scalar comes back as the text that PyYAML wrote."""
    if isinstance(value, dict):
        return {key: _as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    return (
        {True: "true", False: "false", None: "null"}.get(value) or str(value)
        if not isinstance(value, str)
        else value
    )
