from __future__ import annotations

import io

import pytest
from rich.console import Console

from placet.cli.bars import Bars


@pytest.fixture
def screen() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None)


def drawn(bars: Bars, screen: Console) -> str:
    bars._bars.refresh()
    return screen.file.getvalue()


def test_a_bar_by_bytes_shows_objects_bytes_rate_and_time_left(screen):
    bars = Bars(screen).start("push", 4, 4_000_000)
    bars.advance(1, 1_000_000)
    said = drawn(bars, screen)
    assert "push" in said
    assert "1/4 objects" in said
    assert "1.0 MB" in said
    assert "/s" in said
    assert ":" in said
    assert bars._bars.tasks[0].percentage == 25
    bars.done()


def test_a_bar_without_known_bytes_moves_by_objects(screen):
    bars = Bars(screen).start("fetch", 2)
    bars.advance(1, 500)
    assert bars._bars.tasks[0].percentage == 50
    assert "500 bytes" in drawn(bars, screen)
    bars.start("checkout", 3)
    assert [one.description for one in bars._bars.tasks] == ["checkout"]
    bars.done()
    bars.advance(1)
    assert not bars._bars.tasks


def test_nothing_is_drawn_before_the_first_phase(screen):
    Bars(screen).done()
    assert "objects" not in screen.file.getvalue()
