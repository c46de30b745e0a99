"""An environment that the page makes: one at a time, by a real pip, and what cannot be is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

import geodes_lab as gl
from geodes_lab.environments.overlay import environments
from hub.singleuser.kernels.environments import _files
from hub.singleuser.kernels.making import Making, Wish
from tests.environments.test_overlay import home, wheel  # noqa: F401  (a fixture)
from tests.support.awaiting import awaited
from tests.support.paths import TOP

KERNEL = TOP / "kernels" / "geodes"


def made(making: Making, wish: Wish, home: Path) -> Making:  # noqa: F811
    """Make it, and wait until it has ended."""
    ended: list[bool] = []
    making.begin(wish, home, KERNEL, lambda: ended.append(True))
    assert making.state in ("running", "done", "failed")
    awaited(lambda: ended, 120)
    return making


def test_list_that_is_pasted_or_in_the_home_is_installed(home, tmp_path):  # noqa: F811
    making = Making()
    package = wheel(tmp_path, "tinystorms", "1.0")
    made(making, Wish("pasted", text=f"# mine\r\n{package}\r\n"), home)
    assert (making.state, making.sentence) == ("done", "")
    assert "Successfully installed tinystorms-1.0" in making.lines
    (home / "project").mkdir()
    (home / "project" / "environment.yml").write_text(f"dependencies: [python, {{pip: ['{package}']}}]")
    assert _files(home) == ["project/environment.yml"]
    made(making, Wish("project", file="project/environment.yml"), home)
    assert making.state == "done"
    made(making, Wish("conda", text=f"name: x\ndependencies:\n  - pip:\n    - {package}\n"), home)
    assert making.state == "done"
    assert [(one.name, one.own()) for one in environments()] == [
        (name, {"tinystorms": "1.0"}) for name in ("conda", "pasted", "project")
    ]
    assert (home / ".local/share/jupyter/kernels/geodes-project/kernel.json").exists()
    with pytest.raises(gl.GeodesError, match="There is an environment pasted already: choose another name"):
        making.begin(Wish("pasted"), home, KERNEL, lambda: None)


def test_what_fails_says_why_and_leaves_the_name_free(home):  # noqa: F811
    making = made(Making(), Wish("storms", text="no-such-package-anywhere\n"), home)
    assert making.state == "failed"
    assert "pip installs nothing into storms: ERROR: Could not find a version" in making.sentence
    assert environments() == []
    made(making, Wish("storms"), home)
    assert making.state == "done"


def test_one_at_a_time(home):  # noqa: F811
    making = Making(name="storms", state="running")
    with pytest.raises(gl.GeodesError, match="storms is being made: wait"):
        making.begin(Wish("other"), home, KERNEL, lambda: None)


@pytest.mark.attack
@pytest.mark.parametrize(
    ("wish", "why"),
    [
        (Wish("../x"), "is not a valid name of an environment"),
        (Wish("<b>"), "is not a valid name of an environment"),
        (Wish("a", group="sea"), "no folders for groups"),
        (Wish("a", file="../secret.txt"), "no file ../secret.txt in your home"),
        (Wish("a", file="way/secret.txt"), "no file way/secret.txt in your home"),
        (Wish("a", file="/etc/passwd"), "no file /etc/passwd in your home"),
        (Wish("a", file="notes.md"), "no requirements.txt and no environment.yml"),
        (Wish("a", file="r.txt", text="b"), "Name a file or paste a list, not both"),
        (Wish("a", text="x" * 70_000), "more than 65,536 characters"),
    ],
)
def test_wish_that_cannot_be_is_a_sentence_and_makes_nothing(home, tmp_path, wish, why):  # noqa: F811
    (tmp_path / "secret.txt").write_text("secret")
    (home / "way").symlink_to(tmp_path)
    (home / "notes.md").write_text("x")
    (home / "r.txt").write_text("x")
    with pytest.raises(gl.GeodesError, match=why):
        Making().begin(wish, home, KERNEL, lambda: None)
    assert not (home / ".local").exists()
