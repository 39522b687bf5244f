"""Attacks on freezes: a publication past one, a freeze by who may not, its end by one, its disappearance."""

from attacks.approvals import publish_by_hand
from attacks.field import MAIN, PUBLISHED, TIER
from keys import Key
from placet.core import layout
from placet.core.predicates import Freeze, Unfreeze
from placet.core.statement import Signed, format_time, subject
from placet.ports import RefUpdate

MAY = ("governance:", "governance:\n  freeze: [trustees]")


def published_past_a_freeze(ground):
    """A hostile node publishes though somebody froze it: through the gate, past it, and by its own client."""
    field = ground.at("landed", MAY)
    made = _freeze(field, "alice")
    field.push(_branch(field, made), RefUpdate(MAIN, field.tip(), field.commit(field.tip(), _file(made))))
    with field.refused("a frozen node's agent published", "frozen"):
        field.promote()
    before, evil = publish_by_hand(field)
    with field.refused("a publication past a freeze passed the gate", "push-refused"):
        field.push(RefUpdate(PUBLISHED, before, evil))
    field.force(PUBLISHED, evil)
    field.holds(TIER in field.view().broken, "everybody takes a publication past a freeze for a good one")


def frozen_while_the_agent_works(ground):
    """The branch of a freeze comes when everything is copied and decided, and the entry is written."""
    field = ground.at("landed", MAY)
    promoter = field.promoter()
    view = promoter._load()
    case = view.history.cases[field.ident]
    receipt = promoter._receipt(view, case, TIER, ())
    field.push(_branch(field, _freeze(field, "alice")))
    with field.refused("a freeze came too late for the record", "frozen"):
        promoter._record(view.history, view.publications[TIER], case, kind="publish", receipt=receipt)


def frozen_by_a_stranger(ground):
    """Somebody who may not freeze stops every publication, through the gate and past it."""
    field = ground.at("landed", MAY)
    for update in (
        _branch(field, _freeze(field, person, key)) for person, key in (("alice", "x"), ("carol", "carol"))
    ):
        with field.refused("a stranger's freeze passed the gate", "push-refused"):
            field.push(update)
        field.force(update.ref, update.new)
    field.repo.fetch()
    field.holds(not field.view().stops, "a stranger's freeze counts")
    field.promote()


def unfrozen_by_one_with_two_keys(ground):
    """One person signs the end of a freeze twice, with two keys of theirs."""
    field = ground.at("landed", MAY)
    made = _freeze(field, "bob")
    ends = [_end(field, made.digest, "one", "alice"), _end(field, made.digest, "two", "alice-2")]
    field.force(MAIN, field.commit(field.tip(), {**_file(made), **_file(ends[0]), **_file(ends[1])}))
    with field.refused("one person ended a freeze", "frozen"):
        field.promote()


def unfrozen_by_who_may_not(ground):
    """Two people whom policy does not let freeze sign the end of one."""
    field = ground.at("landed", MAY)
    made = _freeze(field, "bob")
    ends = _file(_end(field, made.digest, "one", "carol")) | _file(_end(field, made.digest, "two", "site-a"))
    with field.refused("an end by who may not freeze passed the gate", "push-refused"):
        field.push(RefUpdate(MAIN, field.tip(), field.commit(field.tip(), {**_file(made), **ends})))
    field.force(MAIN, field.commit(field.tip(), {**_file(made), **ends}))
    with field.refused("who may not freeze ended a freeze", "frozen"):
        field.promote()


def freeze_dropped(ground):
    """The branch of a freeze is removed: by a push, and on the server itself after an agent saw it."""
    field = ground.at("landed", MAY)
    update = _branch(field, _freeze(field, "alice"))
    field.push(update)
    with field.refused("an agent published past a freeze", "frozen"):
        field.promote()
    with field.refused("the branch of a freeze was removed", "push-refused"):
        field.push(RefUpdate(update.ref, update.new, None))
    field.drop(update.ref)
    with field.refused("a freeze that was seen is forgotten", "frozen"):
        field.promote()


def _freeze(field, person, key=None):
    body = Freeze(
        repository="ab" * 16,
        time=format_time(field.now),
        scope="node:site-b",
        reason="look first",
        person=person,
    )
    return Signed.make((subject(layout.POLICY, field.trust_root),), body, Key(key or person).pair)


def _end(field, digest, reason, key):
    body = Unfreeze(repository="ab" * 16, time=format_time(field.now), freeze=digest, reason=reason)
    about = subject(layout.freeze_path(layout.freeze_id(digest)), digest)
    return Signed.make((about,), body, Key(key).pair)


def _file(made):
    return {layout.freeze_path(layout.freeze_id(made.digest)): made.envelope.to_bytes()}


def _branch(field, made):
    ref = layout.freeze_ref(layout.freeze_id(made.digest))
    return RefUpdate(ref, None, field.commit(field.tip(), _file(made)))
