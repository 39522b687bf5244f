"""What sets of paths have in common, and what one leaves out of another: decided exactly, with an example.

Each glob of `placet.core.globs` is a small automaton; the product of all that are asked about is walked
breadth first, over the characters that the patterns tell apart and one that stands for all others. Only
paths with no empty part are looked at: there are no others. Textbook subset construction, on demand; see
Hopcroft and Ullman, Introduction to Automata Theory, 2.3.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from functools import lru_cache

from placet.errors import Refused

MAX_STATES = 30_000

_PART, _STAR, _FOLDERS, _IN_FOLDER, _REST, _IN_REST = (f"\0{number}" for number in range(6))
_OTHERS = "xyzabcdefghijklmnopqrstuvw0123456789" + "".join(map(chr, range(0x100, 0x400)))
_States = tuple[frozenset[int], ...]


def example(*needed: Iterable[str], but_not: Iterable[str] = ()) -> str | None:
    """A shortest path that a pattern of each group matches, and none of `but_not`; None: there is none.

    Raises:
        Refused: kind `globs-too-many`: it was not decided within `MAX_STATES` steps.
    """
    wanted = [tuple(sorted(set(group))) for group in needed]
    unwanted = tuple(sorted(set(but_not)))
    groups = [*wanted, unwanted]
    automata = [_Automaton(group) for group in groups]
    letters = sorted(set().union(*(one.letters for one in automata)) | {"/"})
    other = next(char for char in _OTHERS if char not in letters)
    begin = (tuple(one.begin for one in automata), True)
    came: dict[tuple[_States, bool], tuple[tuple[_States, bool], str] | None] = {begin: None}
    waiting = deque([begin])
    while waiting:
        here = waiting.popleft()
        states, at_start = here
        if not at_start and _accepts(automata, states):
            return _path(came, here)
        for letter in (other, *letters):
            if letter == "/" and at_start:
                continue
            after = tuple(one.step(state, letter) for one, state in zip(automata, states, strict=True))
            there = (after, letter == "/")
            if there not in came and all(after[: len(wanted)]):
                came[there] = (here, letter)
                waiting.append(there)
        if len(came) > MAX_STATES:
            raise Refused(
                "Whether these patterns overlap was not decided: they are too many, or too much alike.",
                kind="globs-too-many",
                mend="Use fewer patterns with `*` and `?` inside names.",
            )
    return None


def _accepts(automata: Sequence[_Automaton], states: _States) -> bool:
    accepted = [one.accepts(state) for one, state in zip(automata, states, strict=True)]
    return all(accepted[:-1]) and not accepted[-1]


def _path(
    came: dict[tuple[_States, bool], tuple[tuple[_States, bool], str] | None], here: tuple[_States, bool]
) -> str:
    out = []
    while (step := came[here]) is not None:
        here, letter = step
        out.append(letter)
    return "".join(reversed(out))


class _Automaton:
    """The union of some globs; a state is the set of places in their tokens that have been reached."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._tokens: list[str | None] = []
        places = []
        for pattern in patterns:
            places.append(len(self._tokens))
            self._tokens += [*_tokens(pattern), None]
        self.letters = {one for one in self._tokens if one is not None and len(one) == 1}
        self.begin = self._closed(places)
        self._known: dict[tuple[frozenset[int], str], frozenset[int]] = {}

    def accepts(self, state: frozenset[int]) -> bool:
        return any(self._tokens[place] is None for place in state)

    def step(self, state: frozenset[int], letter: str) -> frozenset[int]:
        found = self._known.get((state, letter))
        if found is None:
            found = self._closed([after for place in state for after in self._after(place, letter)])
            self._known[state, letter] = found
        return found

    def _after(self, place: int, letter: str) -> Sequence[int]:
        token, inside = self._tokens[place], letter != "/"
        if token is None:
            return ()
        moves = {
            _PART: (place + 1,) if inside else (),
            _STAR: (place,) if inside else (),
            _FOLDERS: (place + 1,) if inside else (),
            _IN_FOLDER: (place,) if inside else (place - 1,),
            _REST: (place + 1,),
            _IN_REST: (place,),
        }
        return moves.get(token, (place + 1,) if token == letter else ())

    def _closed(self, places: Sequence[int]) -> frozenset[int]:
        out = set()
        left = list(places)
        while left:
            place = left.pop()
            if place in out:
                continue
            out.add(place)
            left += _FREE.get(self._tokens[place] or "", lambda _: ())(place)
        return frozenset(out)


_FREE = {
    _STAR: lambda place: (place + 1,),
    _FOLDERS: lambda place: (place + 2,),
    _IN_REST: lambda place: (place + 1,),
}


@lru_cache(maxsize=4096)
def _tokens(pattern: str) -> tuple[str, ...]:
    *folders, last = pattern.split("/")
    out: list[str] = []
    for part in folders:
        out += [_FOLDERS, _IN_FOLDER] if part == "**" else [*_part(part), "/"]
    return (*out, *((_REST, _IN_REST) if last == "**" else _part(last)))


def _part(part: str) -> list[str]:
    return [{"*": _STAR, "?": _PART}.get(char, char) for char in part]
