from __future__ import annotations

import contextlib
import resource

import pytest

from placet.core.dvcfile import Output, read_lock, read_metafile
from placet.core.outputs import (
    Tracking,
    leads_out,
    left_alone,
    may_be_absent,
    merged,
    not_plain,
    place,
    require_updatable,
)
from placet.core.pipeline import StageOutput, read_pipeline
from placet.errors import Invalid, PlacetError

MD5 = "d41d8cd98f00b204e9800998ecf8427e"
OUT = Output("o", MD5, 1)


def test_flags_from_one_file_hashes_from_the_other():
    found = read_pipeline(
        b"stages:\n"
        b"  a:\n    cmd: x\n    wdir: w\n    outs:\n    - o/../p: {push: false, persist: true}\n    - p2\n"
        b"    metrics:\n    - m: {cache: false}\n    plots:\n    - q: {x: a, remote: r}\n"
        b"  b:\n    cmd: echo ${x}\n    deps: [x]\n",
        b"schema: '2.0'\nstages:\n  a:\n    cmd: x\n    outs:\n"
        + f"    - path: p\n      hash: md5\n      md5: {MD5}.dir\n      size: 3\n      nfiles: 2\n".encode(),
    )
    assert found == (
        StageOutput("a", "w", Output("o/../p", MD5, 3, 2, is_dir=True, push=False, persist=True)),
        StageOutput("a", "w", Output("p2", "", None)),
        StageOutput("a", "w", Output("m", "", None, cache=False)),
        StageOutput("a", "w", Output("q", "", None, remote="r")),
    )
    assert read_pipeline(b"", None) == ()
    assert read_pipeline(b"stages:\n", b"\n") == ()


@pytest.mark.parametrize(
    "stage",
    [
        "    foreach: [1]\n    do: {cmd: x}\n",
        "    matrix: {a: [1]}\n    cmd: x\n",
        '    cmd: x\n    outs: ["${x}"]\n',
        '    cmd: x\n    outs: [{y: {remote: "${x}"}}]\n',
        '    cmd: x\n    wdir: "${x}"\n',
    ],
)
def test_what_is_computed_is_not_guessed(stage):
    assert read_pipeline(f"stages:\n  a:\n{stage}".encode(), None) is None


@pytest.mark.parametrize(
    "data",
    [
        b"[", b"stages: 1", b"stages: {a: 1}", b"stages: {a: {outs: 1}}", b"stages: {a: {outs: [1]}}",
        b"stages: {a: {outs: [{x: 1}]}}", b"stages: {a: {outs: [x], wdir: 1}}",
        b"stages: {a: {outs: [{x: {remote: 1}}]}}",
    ],
)  # fmt: skip
def test_unreadable_pipelines(data):
    with pytest.raises(Invalid) as caught:
        read_pipeline(data, None)
    assert caught.value.kind == "metafile"


@pytest.mark.parametrize("lock", [b"[", b"stages: 1", b"stages: {a: 1}", b"stages: {a: {outs: [{md5: x}]}}"])
def test_unreadable_locks(lock):
    with pytest.raises(Invalid) as caught:
        read_pipeline(b"stages: {a: {outs: [x]}}", lock)
    assert caught.value.kind == "metafile"


def test_places():
    assert place("a/b.dvc", ".", "c") == "a/c"
    assert place("a/dvc.yaml", "../w", "c/./d") == "w/c/d"
    for path in ("..", "../x", "/x", ".", "", ".git/x", "a/.dvc", "a\0"):
        assert leads_out(path), path
    assert not leads_out("a/..b/.c")


def test_targets_of_one_output_join():
    one, other = (Tracking("d", "d.dvc", OUT, inside=(part,)) for part in ("a", "b"))
    assert merged(one, other).inside == ("a", "b")
    assert merged(one, Tracking("d", "d.dvc", OUT)).inside == ()
    assert one.means("a")
    assert one.means("a/x")
    assert not one.means("ab")


def tracking(**more) -> Tracking:
    return Tracking("o", "o.dvc", Output("o", **({"md5": MD5, "size": 1} | more)))


@pytest.mark.parametrize(
    ("one", "work", "remote", "reason"),
    [
        (tracking(), "push", None, None),
        (tracking(), "push", "x", None),
        (tracking(remote="x"), "push", "x", None),
        (tracking(remote="x"), "fetch", "y", "its remote is 'x'"),
        (tracking(remote="x"), "checkout", "y", None),
        (tracking(push=False), "push", None, "push: false"),
        (tracking(push=False), "compare", None, "push: false"),
        (tracking(push=False), "fetch", None, None),
        (tracking(cache=False), "checkout", None, "cache: false; Git keeps it"),
        (tracking(md5=""), "fetch", None, "its metafile has no hash; run `dvc commit o.dvc`"),
        (tracking(hash="sha256"), "fetch", None, "its hash is 'sha256', which only DVC knows"),
        (
            tracking(md5="", cloud=True),
            "push",
            None,
            "a version-aware remote keeps it by versions of its own; use `dvc pull o.dvc`",
        ),
        (
            Tracking("o", "o.dvc", OUT, origin="versioned"),
            "push",
            None,
            "imported from an URL that keeps versions of its own",
        ),
        (Tracking("o", "o.dvc", OUT, origin="url"), "push", None, None),
    ],
)
def test_what_is_left_alone_and_why(one, work, remote, reason):
    assert left_alone(one, work, remote) == reason


@pytest.mark.parametrize(
    ("one", "kind"),
    [
        (Tracking("o", "dvc.yaml", OUT, stage="s"), "pipeline-output"),
        (Tracking("o", "o.dvc", OUT, origin="repo"), "not-added"),
        (tracking(hash="md5-dos2unix"), "legacy-output"),
        (tracking(cache=False), "not-added"),
        (tracking(cloud=True), "not-added"),
        (Tracking("o", "o.dvc", OUT, inside=("x",)), "overlapping-outputs"),
    ],
)
def test_what_only_dvc_may_update(one, kind):
    with pytest.raises(PlacetError) as caught:
        require_updatable(one)
    assert caught.value.kind == kind
    assert "dvc " in caught.value.mend
    require_updatable(tracking(push=False, remote="x", persist=True))


def test_what_can_be_governed():
    assert not_plain(tracking()) is None
    for one in (
        Tracking("o", "o.dvc", OUT, inside=("x",)),
        Tracking("o", "dvc.yaml", OUT, stage="s"),
        Tracking("o", "p.dvc", OUT),
        Tracking("o", "o.dvc", OUT, shared=True),
        Tracking("o", "o.dvc", OUT, origin="url"),
        Tracking("o", "o.dvc", OUT, outside=True),
        tracking(hash="md5-dos2unix"),
        tracking(cache=False),
        tracking(md5=""),
    ):
        assert not_plain(one), one
    assert may_be_absent(tracking()) is None


def laughs() -> str:
    """Nine levels of anchors, each nine times the one before."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join(9 * [f'*a{n - 1}'])}]" for n in range(1, 10)]
    return "\n".join(lines)


@pytest.mark.parametrize("where", ["outs: [{y: {desc: *a9}}]", "outs: *a9", "wdir: *a9"])
def test_a_few_bytes_that_mean_billions(where):
    data = f"meta: {{{', '.join(laughs().splitlines())}}}\nstages: {{s: {{cmd: x, {where}}}}}\n".encode()
    limit = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, limit[1]))
    try:
        with contextlib.suppress(Invalid):
            assert read_pipeline(data, None)[0].out.path == "y"
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limit)


@pytest.mark.parametrize(
    "value", ["path: x, md5: *a9", "path: x, size: *a9", "path: *a9", "path: x, ? *a9 : 1"]
)
def test_a_metafile_that_means_billions(value):
    data = f"meta: {{{', '.join(laughs().splitlines())}}}\nouts:\n- {{{value}}}\n".encode()
    limit = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, limit[1]))
    try:
        with pytest.raises(Invalid) as caught:
            read_metafile(data)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limit)
    assert len(str(caught.value)) < 200


def test_stages_without_anything():
    assert read_pipeline(b"stages: {s: }", b"stages: {s: }") == ()


@pytest.mark.parametrize(
    "lock", [b"stages: {s: hello}", b"stages: {s: {outs: 5}}", b"stages: 3", b"stages: [1]"]
)
def test_locks_of_another_form(lock):
    with pytest.raises(Invalid) as caught:
        read_lock(lock)
    assert caught.value.kind == "metafile"


@pytest.mark.parametrize(
    "tag",
    [
        "!!bool maybe",
        "!!int ''",
        "!!float ''",
        "!!timestamp x",
        "!!binary '*'",
        "{[[a]]: 1}",
        "!!set {[[a]]}",
    ],
)
def test_tags_that_hold_something_else(tag):
    with pytest.raises(Invalid) as caught:
        read_metafile(f"outs:\n- path: {tag}\n".encode())
    assert caught.value.kind == "metafile"
