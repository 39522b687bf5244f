"""Remotes that only DVC's own filesystem classes reach, on real servers."""

import builtins
import itertools

import pytest

import servers
from placet.adapters.objects.dvcfs import DvcFsStore
from placet.core.digest import digest
from placet.engine.doctor import check_store
from placet.engine.transfer import sizes
from placet.errors import Invalid, NotFound, Refused, Unavailable
from placet.testing.object_store_suite import ODD_KEYS, ObjectStoreContract, Stores
from placet.wire import data as wire

NUMBERS = itertools.count()


@pytest.fixture(scope="module", params=["ssh", "webdav"])
def served(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    with {"ssh": servers.sftp, "webdav": servers.webdav}[request.param](folder) as remote:
        yield remote, folder


class TestThroughDvc(ObjectStoreContract):
    @pytest.fixture
    def stores(self, served):
        remote, folder = served
        prefix = f"data{next(NUMBERS)}"
        url = remote["url"].rpartition("/")[0]
        for one in ("source", "target"):
            (folder / prefix / one).mkdir(parents=True)

        def write(key: str, data: bytes) -> None:
            (folder / prefix / "source" / key).write_bytes(data)

        store = wire.open_store({**remote, "url": f"{url}/{prefix}/target"})
        return Stores(store, wire.open_store({**remote, "url": f"{url}/{prefix}/source"}), write)

    @pytest.mark.parametrize("key", ODD_KEYS)
    def test_what_is_put_is_got(self, stores, key):
        """Keys of DVC and Placet are plain; one that DVC's WebDAV client cannot send is refused."""
        if "webdav" in stores.store.address.service and "?" in key:
            with pytest.raises(Refused) as caught:
                stores.store.put(key, [b"x"], digest(b"x"))
            assert caught.value.kind == "unsafe-key"
            return
        super().test_what_is_put_is_got(stores, key)


class TestWholeUploads(ObjectStoreContract):
    """Where an upload shows all or nothing by itself (OSS, Google Drive): DVC's class for S3 is such a one."""

    @pytest.fixture
    def stores(self, seaweed):
        client = seaweed.server.client()
        source = DvcFsStore(seaweed.remote("source"))

        def write(key: str, data: bytes) -> None:
            client.put_object(Bucket="source", Key=f"{source.address.prefix}/{key}", Body=data)

        return Stores(DvcFsStore(seaweed.remote("target")), source, write)

    @pytest.mark.parametrize("key", [key for key in ODD_KEYS if "?" not in key])
    def test_what_is_put_is_got(self, stores, key):
        """s3fs takes what follows a question mark for a version."""
        super().test_what_is_put_is_got(stores, key)


class TestServed:
    @pytest.fixture
    def store(self, served):
        return wire.open_store(served[0])

    def test_a_wrong_password_is_said(self, served, monkeypatch):
        def nobody(*_):
            raise EOFError

        monkeypatch.setattr("dvc_ssh.client.getpass", nobody)
        with pytest.raises(Refused) as caught:
            wire.open_store({**served[0], "password": "wrong"}).head("x")
        assert caught.value.kind == "store-denied"
        assert "wrong" not in str(caught.value)

    def test_an_upload_that_the_server_cut_is_not_shown(self, served, monkeypatch):
        remote, folder = served
        (folder / "data").mkdir(exist_ok=True)
        store = wire.open_store(remote)
        fs, _ = store._place("")
        info = type(fs).info
        monkeypatch.setattr(type(fs), "info", lambda *args: {**info(*args), "size": 1})
        with pytest.raises(Unavailable, match="stored 1 of the 3 bytes"):
            store.put("cut/key", [b"abc"], digest(b"abc"), overwrite=True)
        monkeypatch.undo()
        assert [path.name for path in (folder / "data/cut").iterdir()] == []
        assert store.put("cut/key", [b"abc"], digest(b"abc")) is True

    def test_unfinished_uploads_are_no_objects(self, served):
        remote, folder = served
        (folder / "data/half").mkdir(parents=True)
        (folder / "data/half/.x.tmp").write_bytes(b"half")
        (folder / "data/half/whole").write_bytes(b"whole")
        assert [one.key for one in wire.open_store(remote).list("half/")] == ["half/whole"]

    def test_a_folder_that_cannot_be_listed_is_not_empty(self, store, monkeypatch):
        fs, _ = store._place("")

        def ls(*_args, **_options):
            raise ConnectionResetError("it hung up")

        monkeypatch.setattr(type(fs), "ls", ls)
        with pytest.raises(Unavailable, match="it hung up"):
            list(store.list("files/"))

    def test_no_key_leaves_the_remote(self, store):
        with pytest.raises(Refused) as caught:
            store.head("../outside")
        assert caught.value.kind == "unsafe-key"

    def test_doctor_says_that_it_is_the_slower_path(self, served, store):
        (served[1] / "data").mkdir(exist_ok=True)
        found = next(check_store("far", store, "other"))
        assert "slower" in found.text


@pytest.mark.parametrize("scheme", ["ssh", "webdav", "http"])
def test_a_server_that_is_not_there(scheme):
    with pytest.raises(Unavailable) as caught:
        wire.open_store({"url": f"{scheme}://127.0.0.1:9/x", "user": "me"}).head("x")
    assert caught.value.kind in {"store-unreachable", "store-answer"}


def test_the_remotes_own_folder_is_made_but_none_above_it(tmp_path):
    with servers.webdav(tmp_path) as remote:
        assert wire.open_store(remote).put("a/b", [b"x"], digest(b"x"))
        with pytest.raises(NotFound) as caught:
            wire.open_store({**remote, "url": f"{remote['url']}/no/such"}).put("a/b", [b"x"], digest(b"x"))
    assert caught.value.kind == "no-bucket"


def test_a_web_server_is_read_only(tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "files/key").write_bytes(b"data")
    with servers.http(tmp_path) as remote:
        store = wire.open_store(remote)
        assert b"".join(store.get("files/key")) == b"data"
        assert store.head("files/key").size == 4
        assert store.head("files/none") is None
        with pytest.raises(NotFound):
            list(store.get("files/none"))
        with pytest.raises(Refused) as caught:
            store.put("files/new", [b"x"], digest(b"x"))
        assert caught.value.kind == "remote-read-only"
        with pytest.raises(Refused) as unlisted:
            list(store.list("files/"))
        assert unlisted.value.kind == "no-listing"
        wanted = [f"files/{number}" for number in range(600)] + ["files/key"]
        assert sizes(store, wanted, 4) == {"files/key": 4}


@pytest.mark.parametrize(("scheme", "extra"), [("ssh", "ssh"), ("webdavs", "webdav"), ("oss", "oss")])
def test_what_is_not_installed_is_named(monkeypatch, scheme, extra):
    real = builtins.__import__

    def importing(name, *rest, **more):
        if name.startswith(f"dvc_{extra}"):
            raise ImportError(name)
        return real(name, *rest, **more)

    import importlib

    def module(name, *rest):
        raise ImportError(name) if name == f"dvc_{extra}" else AssertionError(name)

    monkeypatch.setattr(builtins, "__import__", importing)
    monkeypatch.setattr(importlib, "import_module", module)
    with pytest.raises(Invalid) as caught:
        wire.open_store({"url": f"{scheme}://host/path"}).head("x")
    assert caught.value.kind == "remote-not-installed"
    assert caught.value.mend == f'pip install "dvc[{extra}]"'


def test_options_that_dvc_does_not_know_are_refused():
    with pytest.raises(Invalid, match="DVC does not accept"):
        wire.open_store({"url": "ssh://host/path", "sse": "AES256"}).head("x")
    with pytest.raises(Invalid, match="Version-aware"):
        wire.open_store({"url": "ssh://host/path", "worktree": True})
    with pytest.raises(Invalid) as caught:
        wire.open_store({"url": "ftp://me:hush@host/path"})
    assert caught.value.kind == "remote-not-supported"
    assert "hush" not in str(caught.value)
