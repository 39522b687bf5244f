"""The script for GitHub itself, on the fake: whoever runs it with a token finds no mistake of its own."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from github.scene import TOKEN, GitHubScene
from placet.adapters.forge.github import headers_of
from placet.adapters.forge.http import ForgeHttp, Place

FILE = Path(__file__).parents[2] / "scripts" / "github_smoke.py"


@pytest.fixture
def script():
    described = importlib.util.spec_from_file_location("github_smoke", FILE)
    module = importlib.util.module_from_spec(described)
    described.loader.exec_module(module)
    return module


@pytest.mark.parametrize("reviewer", [True, False])
def test_it_finds_nothing_wrong_and_leaves_nothing(script, capsys, reviewer):
    scene = GitHubScene()
    scene.hub.tokens["ghp_reviewer_token_01"] = scene.account("rita").id
    place = Place(scene.hub.api, dict, scene.hub.now)
    smoke = script.Smoke(
        lambda token: scene.connect(lambda: token),
        lambda token: ForgeHttp(
            replace(place, headers=lambda: headers_of(token)), httpx.MockTransport(scene._ask)
        ),
        "clinic/ctrl",
        [TOKEN, "ghp_reviewer_token_01"] if reviewer else [TOKEN],
        lambda _: None,
    )
    assert smoke.run() == 0
    said = capsys.readouterr().out
    assert "FAIL" not in said
    assert ("GitHub moved the review to the new head" in said) == reviewer
    assert set(scene.hub.heads) == {"main"}
    assert {one["state"] for one in scene.hub.pulls.values()} == {"closed"}
