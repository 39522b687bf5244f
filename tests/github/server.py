"""The fake GitHub as a server on loopback, with a real Git repository behind it."""

import os
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

from github.fake import FakeGitHub

PREFIX = "/api/v3"
ENV = {
    **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
    **{f"GIT_{role}_{what}": "github" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


class GitHubOnGit(FakeGitHub):
    """GitHub with a bare repository: what is pushed there is seen at the next request."""

    def __init__(self, folder, **more):
        super().__init__(**more)
        self.folder = folder
        self.heads = {}
        self.land_in_git = self._land
        self.lock = threading.Lock()
        self.mistakes = []
        subprocess.run(["git", "init", "-q", "--bare", "--initial-branch=main", folder], env=ENV, check=True)

    def git(self, *arguments, stdin=b""):
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, env=ENV, input=stdin, capture_output=True, check=True
        )
        return done.stdout.decode().strip()

    def ask(self, *request):
        with self.lock:
            try:
                self.look()
                return super().ask(*request)
            except BaseException as error:
                self.mistakes.append(f"{request[0]} {request[1]}: {error}")
                raise

    def look(self):
        """Take what was pushed."""
        listed = self.git(
            "for-each-ref", "--format=%(refname:lstrip=2) %(objectname)", "refs/heads"
        ).splitlines()
        found = dict(line.split() for line in listed)
        for branch in self.heads.keys() - found.keys():
            self.cut(branch)
        for branch, sha in found.items():
            before = self.heads.get(branch)
            if before != sha:
                self.pushed(branch, sha, self._kind(before, sha))

    def _kind(self, before, sha):
        if before is None:
            return "branch_creation"
        return "push" if self.git("merge-base", before, sha) == before else "force_push"

    def _land(self, head, method):
        main = self.git("rev-parse", "main")
        tree = self.git("merge-tree", "--write-tree", main, head)
        parents = [main, head] if method == "merge" else [main]
        self._move("main", tree, parents, "Merge pull request")
        return self.git("rev-parse", "main")

    def _move(self, branch, tree, parents, message):
        above = [word for parent in parents for word in ("-p", parent)]
        commit = self.git("commit-tree", tree, *above, "-m", message)
        self.git("update-ref", f"refs/heads/{branch}", commit)

    def pushed(self, branch, sha, kind):
        super().pushed(branch, sha, kind)
        self.git("symbolic-ref", "HEAD", f"refs/heads/{self.settings['default_branch']}")

    def push(self, branch, *, force=False):
        """The file that was written over the API, in Git."""
        (_, path), data = list(self.files.items())[-1]
        blob = self.git("hash-object", "-w", "--stdin", stdin=data)
        tip = self.git("rev-parse", branch)
        entries = self.git("ls-tree", tip) + f"\n100644 blob {blob}\t{path}\n"
        tree = self.git("mktree", stdin=entries.encode())
        self._move(branch, tree, [tip], "code owners")
        self.look()
        return self.heads[branch]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self):
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {key.lower(): value for key, value in self.headers.items()}
        reply = self.server.hub.ask(
            self.command, path.removeprefix(PREFIX), dict(parse_qsl(query)), headers, body
        )
        self.send_response(reply.status)
        for key, value in {**reply.headers, "content-length": str(len(reply.data))}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(reply.data)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - their names there

    def log_message(self, *_):
        """Nothing: tests look at what the fake keeps."""


@contextmanager
def serving(hub):
    """The address of its pages, while it is served."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.hub, server.daemon_threads = hub, True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        hub.api = f"http://127.0.0.1:{server.server_port}{PREFIX}"
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
