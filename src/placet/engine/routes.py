"""Where outputs are moved to or from: the one remote that was named, or each output's own, else the usual."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from placet.core.outputs import Skipped, Tracking, Work, left_alone
from placet.ports import ObjectStore


@dataclass(frozen=True, slots=True)
class Routes:
    """The stores of one command.

    Attributes:
        open: The store of a remote by name; of the command's own remote for None. Asked when needed.
        named: The remote that the user named; an output whose own `remote` is another one is left alone.
        label: What the remote of such a name is called, for a person.
        others: Names of remotes that may be asked when the right one has an object wrong, in this order.
    """

    open: Callable[[str | None], ObjectStore]
    named: str | None = None
    label: Callable[[str | None], str] = lambda name: name or "the remote"
    others: tuple[str, ...] = ()

    @classmethod
    def of(cls, store: ObjectStore | Routes) -> Routes:
        """The same, or the routes to one store, which no output's own `remote` means."""
        return store if isinstance(store, Routes) else cls(lambda _: store, "")

    def store(self, one: Tracking) -> ObjectStore:
        """The store that an output belongs to."""
        return self.open(self._name(one))

    def label_of(self, one: Tracking) -> str:
        """What that store's remote is called."""
        return self.label(self._name(one))

    def _name(self, one: Tracking) -> str | None:
        return None if self.named is not None else one.out.remote


def sift(
    chosen: Iterable[Tracking], work: Work, remote: str | None = None
) -> tuple[list[Tracking], list[Skipped]]:
    """The outputs on which the work is done, and the others with the reason."""
    done: list[Tracking] = []
    skipped: list[Skipped] = []
    for one in chosen:
        reason = left_alone(one, work, remote)
        if reason is None:
            done.append(one)
        else:
            skipped.append(Skipped(one.path, reason))
    return done, skipped
