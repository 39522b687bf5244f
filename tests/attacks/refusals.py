"""Every function of the governed path that refuses, found in the source, and those that are no guards.

A function refuses if it makes a `Refused` or `Corrupt`, or raises what another function made that does. It
must be marked as a guard, call one or be called by one, or stand in `NO_GUARDS` with the reason.
"""

import ast
from collections import defaultdict

from attacks import guards

_LAYERS = (
    "placet.core.",
    "placet.engine.",
    "placet.adapters.",
    "placet.wire.",
    "placet.governed",
    "placet.client",
)

# The data plane of one workspace, its own remotes and its own cache: what is governed there is in other modules.
DATA_PLANE = {
    "placet.core": {"outputs", "pipeline"},
    "placet.engine": {
        "artifact", "checkout", "disk", "fetch", "gc", "gcguard", "gclock", "gcsweep", "heal", "legacy", "metafiles",
        "outputs", "parts", "placed", "push", "status", "track", "workspace",
    },
    "placet.adapters.objects": {
        "awskeys", "awsprofile", "azure", "dvcfs", "gcs", "local", "memory", "multipart", "open", "options", "s3",
        "s3errors", "s3http", "s3open", "sigv4",
    },
}  # fmt: skip

_OWN = "the party's own client, which only spares a refusal later: the gate and everybody else recompute it"
_KEY = "the party's own key: a file, an agent, a token"
_GIT = "what Git or its server said"
_FORGE = "what the forge said; whether something lands or is published is recomputed from Git"
_LIMIT = "bounds memory; what is longer than it must be is refused by its digest too"
_ABSENT = "there is nothing to judge: what is asked for is not there"
NO_GUARDS = {
    "placet.adapters.git:GitRepo.push": _GIT,
    "placet.adapters.git_past:_parse": _GIT,
    "placet.adapters.git_walk:_parsed": _GIT,
    "placet.adapters.git_past:GitPast._read": _GIT,
    "placet.adapters.git_past:GitPast.read": _GIT,
    "placet.adapters.git_process:Reader._ask": _GIT,
    "placet.adapters.git_process:Reader.read": _GIT,
    "placet.adapters.git_process:check": _GIT,
    "placet.adapters.keys:load": _KEY,
    "placet.adapters.keys:read_secret": _KEY,
    "placet.adapters.keys_agent:AgentSigner.sign": _KEY,
    "placet.adapters.keys_agent:load": _KEY,
    "placet.adapters.keys_pkcs11:TokenSigner.sign": _KEY,
    "placet.adapters.keys_pkcs11:_login_problem": _KEY,
    "placet.adapters.keys_pkcs11:_public": _KEY,
    "placet.adapters.objects.obs:bounded": _LIMIT,
    "placet.adapters.objects.proven:ProvenStream.prove": "the comparison of `require_same`, for libraries that read a file",
    "placet.adapters.mlflow_server:_asked": "what an MLflow server answered; nothing depends on it",
    "placet.adapters.openlineage:OpenLineageSink.send": "what a lineage backend answered; nothing depends on it",
    "placet.adapters.sandbox:_Process.__init__": "nothing was looked at, so there is no result; who looks is `_Session.look`",
    "placet.governed:Governed.decide": _OWN,
    "placet.governed:Governed.propose": _OWN,
    "placet.core.envelope:require_signature": "the party's own signer; taken away in tests/unit/test_keys.py",
    "placet.core.globsets:example": "bounds the search of `lint`, which then says that it does not know",
    "placet.engine.begin:_governor": _OWN,
    "placet.engine.clone:_publication": _ABSENT,
    "placet.engine.contents:from_lists": "what the lists say was proven by their digests before",
    "placet.engine.ctrl:View.find": "tells why the firewall refused",
    "placet.engine.freezing:_require_freezer": _OWN,
    "placet.engine.gate:judge_push": "turns any error of the recomputation into a refusal",
    "placet.engine.pin:first_policy": _ABSENT,
    "placet.engine.erase:_read": "which objects there are is told by what was approved only; `_require_known` judges what is lost",
    "placet.engine.erase:hide": "in an emergency only what can come back is hidden; nothing is given out",
    "placet.engine.erase:hide.<locals>.one": "in an emergency only what can come back is hidden; nothing is given out",
    "placet.engine.propose:refuse_hopeless": _OWN,
    "placet.engine.retract:Retractor._record": _OWN,
    "placet.engine.retract:_require_retractor": _OWN,
    "placet.engine.retractask:_require_signer": _OWN,
    "placet.engine.retractask:propose_retraction": _OWN,
    "placet.engine.promote:Promoter._promote": "tells of a refusal what was copied before it",
    "placet.engine.propose:propose": _OWN,
    "placet.engine.published:PublishedLine._entry": _ABSENT,
    "placet.engine.published:PublishedLine._require_crate": "says more of what `_check_changes` refuses too",
    "placet.engine.published:PublishedLine.take": _ABSENT,
    "placet.engine.published:_blob": _ABSENT,
    "placet.engine.review:_check_decidable": _OWN,
    "placet.engine.review:_check_entitled": _OWN,
    "placet.engine.review:mergeable": _OWN,
    "placet.engine.pulled:require_assent": _OWN,
    "placet.engine.unchanged:require_unchanged": "the node's own workspace: what counts is what it signs",
    "placet.engine.adopt:_bounded": _LIMIT,
    "placet.wire.adopt:_refuse_clone": _OWN,
    "placet.adapters.forge.gitea:GiteaForge.merge": _FORGE,
    "placet.adapters.forge.gitea_guard:Guard.protect": _FORGE,
    "placet.adapters.forge.github:GitHubForge.ensure": _FORGE,
    "placet.adapters.forge.http:ForgeHttp.call": _FORGE,
    "placet.engine.review:withdraw": _OWN,
    "placet.engine.roots:governed": "stops a collection; see tests/governance/test_gc_roots.py",
    "placet.engine.witness:Witness.require_known": _OWN,
    "placet.engine.thaw:Lookout.__call__": "ends a copy sooner; who refuses is `look_again`, asked again at the end",
    "placet.engine.transfer:_read_object": "a stock remote's object, which an MD5 names; what is governed goes by SHA-256",
    "placet.engine.transfer:bounded": _LIMIT,
    "placet.wire.ctrl:Wire.tier_store": _OWN,
    "placet.wire.scrub:_tier": _OWN,
    "placet.wire.proof:bundle": "a bundle of one's own that does not verify; who gets it judges it anew",
    "placet.wire.proof:repository": "an object is found by the id of its bytes only; this tells which one is wrong",
    "placet.wire.data:DataWire.admit_config": "admits nothing at all; `require_known_config` admits in its place",
}


def refusing():
    """`module:function` of every function of the governed path that refuses."""
    found, _ = _read()
    return found


def unexplained():
    """Those of them that are no guards, have nothing to do with one, and are not excused."""
    found, calls = _read()
    marked = guards.marked()
    names = {name.rpartition(":")[2].rpartition(".")[2] for name in marked}
    called = {one for name in marked for one in calls[name]}
    return sorted(
        name
        for name in found
        if name not in marked
        and name not in NO_GUARDS
        and not calls[name] & names
        and name.rpartition(":")[2].rpartition(".")[2] not in called
    )


def _read():
    nodes, calls, makers, names = {}, defaultdict(set), set(), {}
    for module, path in guards.modules():
        if module.startswith(_LAYERS) and not _data_plane(module):
            names[module] = dict(_imported(guards.tree(path)))
            nodes |= {f"{module}:{name}": node for name, node in guards.functions(guards.tree(path))}
    for name, node in nodes.items():
        calls[name] = set(_called(node))
        if {"Refused", "Corrupt"} & calls[name]:
            makers.add(name)
    only = {name for name in makers if _returns(nodes[name])}
    for name, node in nodes.items():
        module = name.partition(":")[0]
        here = {one.rpartition(":")[2].rpartition(".")[2] for one in only if one.startswith(f"{module}:")}
        here |= {local for local, full in names[module].items() if full in only}
        if set(_raised(node)) & here:
            makers.add(name)
    return makers - only, calls


def _imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from ((one.asname or one.name, f"{node.module}:{one.name}") for one in node.names)


def _data_plane(module):
    package, _, name = module.rpartition(".")
    return name in DATA_PLANE.get(package, ())


def _returns(node):
    """Does it only make the error, for others to raise?"""
    return node.returns is not None and ast.unparse(node.returns) in {"Refused", "Corrupt", "PlacetError"}


def _called(node):
    for one in ast.walk(node):
        if isinstance(one, ast.Call):
            yield ast.unparse(one.func).rpartition(".")[2]


def _raised(node):
    for one in ast.walk(node):
        if isinstance(one, ast.Raise) and isinstance(one.exc, ast.Call):
            yield ast.unparse(one.exc.func).rpartition(".")[2]
