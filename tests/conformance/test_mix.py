"""Issue 3: a project on which `dvc` and `placet` were mixed at random ends as with `dvc` alone."""

import os

import pytest
from mix import Mix
from stock import LocalRemote, S3Remote

RUNS = int(os.environ.get("PLACET_MIX_RUNS", "5"))
SEED = int(os.environ.get("PLACET_MIX_SEED", "1"))
STEPS = int(os.environ.get("PLACET_MIX_STEPS", "60"))


@pytest.mark.parametrize("seed", range(SEED, SEED + RUNS))
def test_mixed_at_random_it_ends_as_with_dvc_alone(new_project, request, seed):
    """Every fifth project has its remote on a real S3 server."""
    seaweed = request.getfixturevalue("seaweed") if seed % 5 == 0 else None
    remote_of = LocalRemote if seaweed is None else lambda project: S3Remote(project, seaweed)
    mix = Mix(seed, new_project("mixed"), new_project("twin"), remote_of)
    try:
        mix.run(STEPS)
    except BaseException:
        print(f"PLACET_MIX_SEED={seed} PLACET_MIX_RUNS=1 PLACET_MIX_STEPS={STEPS} gives this again:")
        print("\n".join(mix.trace))
        raise
    assert mix.done["placet"] > STEPS // 10, mix.done
