"""Settings of an engine: unknown keys are refused, and every refusal is a sentence that names the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from geodes_lab.acquisition.loading import load, schema, understood
from geodes_lab.acquisition.settings.parts import Reference
from geodes_lab.errors import GeodesError
from tests.acquisition.conftest import Lake


def changed(document: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    *path, last = key.split(".")
    here = document
    for part in path:
        here = here.setdefault(part, {})
    here[last] = value
    return document


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("parralel", 2, "parralel is not a setting; did you mean 'parallel'?"),
        ("sources.drop.pth", "/x", "sources.drop.pth is not a setting; did you mean 'path'?"),
        ("sources.drop.kind", "ftp", "sources.drop.kind must be one of catalogue, cdse, folder, plug-in"),
        ("collections.S2.source", "nothing", "collections.S2.source is 'nothing', and sources has drop"),
        ("schedule.every", "soon", "schedule.every is not right: 'soon' is not a time such as 90 min"),
        ("schedule.every", 60, "schedule.every"),
        ("region", {"bbox": [10, 0, 5, 1]}, "region is not right: its box is west, south, east, north"),
        ("region", {}, "region is not right: it has either bbox: or file:"),
        ("period", {"start": "2022-01-01", "end": "2021-01-01"}, "its end is not after its start"),
        ("destination", {"s3": "s3://Bad_Bucket"}, "s3 is 's3://Bad_Bucket'"),
        ("destination", {"s3": "s3://bucket/../x"}, "s3 is 's3://bucket/../x'"),
        ("version", 2, "version is 2, which is not right"),
        ("parallel", 100, "parallel is 100, which is not right"),
        ("collections", {"../x": {"source": "drop"}}, "'../x' is no name"),
        ("catalogue", None, "catalogue"),
    ],
)
def test_refusals_name_the_key(lake: Lake, key: str, value: Any, words: str) -> None:
    with pytest.raises(GeodesError) as refused:
        understood(changed(lake.settings(), key, value), "engine.yaml")
    text = str(refused.value)
    assert text.startswith("engine.yaml: ")
    assert words in text
    assert text.endswith(".")
    assert "\n" not in text


def test_missing_key(lake: Lake) -> None:
    settings = lake.settings()
    del settings["destination"]
    with pytest.raises(GeodesError, match="destination is missing: add it"):
        understood(settings, "engine.yaml")


@pytest.mark.parametrize("text", ["", "- 1", "a: [", "a: &a [*a]\n", "!!python/object/apply:os.system [ls]", "\x00"])
def test_files_that_are_no_settings(tmp_path: Path, text: str) -> None:
    path = tmp_path / "engine.yaml"
    path.write_text(text)
    with pytest.raises(GeodesError, match=r"engine\.yaml.*\.$"):
        load(path)


def test_secret_is_never_a_setting(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    login = {"user": {"environment": "CDSE_USER"}, "password": "secret-word"}
    with pytest.raises(GeodesError) as refused:
        understood(changed(lake.settings(), "sources.up", {"kind": "cdse", "login": login}), "engine.yaml")
    assert "sources.up.login.password" in str(refused.value)
    assert "secret-word" not in str(refused.value)
    file = tmp_path / "password"
    with pytest.raises(GeodesError, match="cannot be read from the file"):
        Reference(file=file).read("The password")
    file.write_text("secret-word\n")
    secret = Reference(file=file).read("The password")
    assert secret["value"] == "secret-word"
    assert "secret-word" not in repr(secret)
    with pytest.raises(GeodesError, match="is not in NO_SUCH_VARIABLE: set it there"):
        Reference(environment="NO_SUCH_VARIABLE").read("The user")


def test_relative_paths_are_relative_to_the_file(lake: Lake) -> None:
    path = lake.file(state={"folder": "here"}, catalogue="there", news="news")
    config = load(path)
    assert (config.state.folder, config.catalogue) == (path.parent / "here", path.parent / "there")


def test_schema_accepts_what_is_accepted(lake: Lake) -> None:
    import jsonschema

    validator = jsonschema.Draft202012Validator(schema())
    assert not list(validator.iter_errors(lake.settings(schedule={"every": "10 min"})))
    assert list(validator.iter_errors(lake.settings(parralel=3)))
