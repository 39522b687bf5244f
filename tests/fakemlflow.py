"""What of MLflow's REST interface a sync asks for, with as many versions as one likes, and faults at will."""

import json
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, urlsplit

from servers import listening

OURS = "source_path LIKE 'placet:%'"


class Fake:
    """Attributes: `fault(path, body)` gives a status and MLflow's code instead of an answer, or None."""

    def __init__(self):
        self.url = ""
        self.versions = []
        self.aliases = {}
        self.asked = Counter()
        self.listed = 0
        self.authorization = set()
        self.obeys = True
        self.endless = False
        self.fault = lambda path, body: None

    def add(self, name, source, version="1", **tags):
        self.versions.append({"name": name, "version": version, "source": source, "tags": tags})

    def answer(self, method, path, body):
        self.asked[path] += 1
        fault = self.fault(path, body)
        if fault is not None:
            return fault[0], {"error_code": fault[1], "message": "it is said so"}
        if path == "model-versions/search":
            return 200, self._search(body)
        if path == "registered-models/get":
            aliases = [
                {"alias": key, "version": one} for key, one in self.aliases.get(body["name"], {}).items()
            ]
            return 200, {"registered_model": {"name": body["name"], "aliases": aliases}}
        if path == "registered-models/alias":
            known = self.aliases.setdefault(body["name"], {})
            known[body["alias"]] = body.get("version")
            if method == "DELETE":
                del known[body["alias"]]
            return 200, {}
        if path == "model-versions/set-tag":
            wanted = body["name"], body["version"]
            (found,) = (one for one in self.versions if (one["name"], one["version"]) == wanted)
            found["tags"][body["key"]] = body["value"]
            return 200, {}
        return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no"}

    def _search(self, body):
        known = self.versions
        if body.get("filter") == OURS and self.obeys:
            known = [one for one in known if one["source"].startswith("placet:")]
        start, size = int(body.get("page_token") or 0), int(body["max_results"])
        page = known[start : start + size]
        self.listed += len(page)
        shown = [{**one, "tags": [{"key": k, "value": v} for k, v in one["tags"].items()]} for one in page]
        more = self.endless or start + size < len(known)
        return {"model_versions": shown, "next_page_token": str(start + size) if more else ""}


@contextmanager
def fake():
    made = Fake()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            url = urlsplit(self.path)
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(data) if data else dict(parse_qsl(url.query))
            made.authorization.add(self.headers.get("Authorization"))
            status, found = made.answer(self.command, url.path.partition("/mlflow/")[2], body)
            sent = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_POST = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *args):
            pass

    with listening(Handler) as made.url:
        yield made
