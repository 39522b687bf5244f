import pytest


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A DVC project with a local remote, and nothing of this machine's settings."""
    for key, value in {
        "HOME": tmp_path / "home",
        "PLACET_HOME": tmp_path / "home" / "placet",
        "DVC_SITE_CACHE_DIR": tmp_path / "site",
        "DVC_GLOBAL_CONFIG_DIR": tmp_path / "global",
        "DVC_SYSTEM_CONFIG_DIR": tmp_path / "system",
        "DVC_NO_ANALYTICS": "1",
        "DAGSTER_HOME": tmp_path / "dagster",
    }.items():
        monkeypatch.setenv(key, str(value))
    (tmp_path / "home").mkdir()
    (tmp_path / "dagster").mkdir()
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text(
        "[core]\n    no_scm = True\n    remote = internal-storage\n"
        f"['remote \"internal-storage\"']\n    url = {tmp_path / 'remote'}\n"
    )
    return folder
