"""In: requests as huggingface_hub makes them. Out: a hub: repositories, branches, commits, large files."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

WRITE, READ = "hf_write", "hf_read"  # tokens of the owner and of a stranger
_NAME = r"(?P<name>[\w.-]+/[\w.-]+)"


@dataclass
class Repository:
    """A private repository is there for its owner only; a branch is a list of commits, a commit its files."""

    private: bool = False
    branches: dict[str, list[dict[str, bytes]]] = field(default_factory=lambda: {"main": [{}]})
    messages: list[str] = field(default_factory=list)

    def at(self, revision: str) -> dict[str, bytes] | None:
        if revision in self.branches:
            return self.branches[revision][-1]
        commits = {sha(one): one for branch in self.branches.values() for one in branch}
        return commits.get(revision)


def sha(files: dict[str, bytes]) -> str:
    return hashlib.sha1(
        repr(sorted((n, hashlib.sha1(c).hexdigest()) for n, c in files.items())).encode()
    ).hexdigest()


def blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class FakeHub:
    """What the tests set and ask.

    Attributes:
        repositories: by name.
        large: sha256 -> content of what came by LFS.
        lost: after so many large files the connection is lost; None: never.
        asked: method and path of every request.
    """

    def __init__(self, server: HTTPServer) -> None:
        self.url = server.url_for("").rstrip("/")
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.lost: int | None = None
        self.asked: list[str] = []
        server.expect_request(re.compile(".*")).respond_with_handler(self._answer)

    def _answer(self, request: Request) -> Response:
        path = request.path
        self.asked.append(f"{request.method} {path}")
        for pattern, answer in _ROUTES:
            if found := re.fullmatch(pattern, path):
                return answer(self, request, **found.groupdict())
        return Response("no such route", 404)

    def _who(self, request: Request) -> str | None:
        return request.headers.get("Authorization", "").removeprefix("Bearer ") or None

    def _repository(self, request: Request, name: str) -> Repository | Response:
        known = self.repositories.get(name)
        if known is None or (known.private and self._who(request) != WRITE):
            headers = {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
            return Response("", 404 if self._who(request) else 401, headers)
        return known

    def create(self, request: Request) -> Response:
        asked = request.get_json()
        if self._who(request) is None:
            return Response(json.dumps({"error": "Invalid username or password."}), 401)
        if self._who(request) != WRITE:
            return Response(json.dumps({"error": "You don't have the rights"}), 403)
        name = f"{asked.get('organization') or 'owner'}/{asked['name']}"
        url = {"url": f"{self.url}/{name}"}
        if name in self.repositories:
            return Response(json.dumps(url | {"error": "You already created this model repo"}), 409)
        private = asked.get("private", asked.get("visibility") == "private")
        self.repositories[name] = Repository(bool(private))
        return Response(json.dumps(url | {"name": name, "id": "1"}), content_type="application/json")

    def who(self, request: Request) -> Response:
        return _json({"name": "owner", "type": "user", "orgs": []})

    def yaml(self, request: Request) -> Response:
        return _json({"errors": [], "warnings": []})

    def branch(self, request: Request, name: str, branch: str) -> Response:
        known = self._repository(request, name)
        if isinstance(known, Response):
            return known
        if branch in known.branches:
            return Response(json.dumps({"error": "Reference already exists"}), 409)
        known.branches[branch] = list(known.branches["main"])
        return _json({})

    def info(self, request: Request, name: str, revision: str = "main") -> Response:
        known = self._repository(request, name)
        if isinstance(known, Response):
            return known
        files = known.at(revision)
        if files is None:
            headers = {"X-Error-Code": "RevisionNotFound", "X-Error-Message": f"Invalid rev id: {revision}"}
            return Response("", 404, headers)
        siblings = [{"rfilename": one} for one in files]
        return _json({"id": name, "sha": sha(files), "private": known.private, "siblings": siblings})

    def tree(self, request: Request, name: str, revision: str) -> Response:
        known = self._repository(request, name)
        if isinstance(known, Response):
            return known
        files = known.at(revision) or {}
        return _json([{"type": "file", "path": n, "size": len(c), "oid": blob(c)} for n, c in files.items()])

    def preupload(self, request: Request, name: str, revision: str) -> Response:
        known = self._repository(request, name)
        if isinstance(known, Response):
            return known
        if self._who(request) != WRITE:
            return Response(json.dumps({"error": "forbidden"}), 403)
        return _json(
            {
                "files": [
                    {
                        "path": one["path"],
                        "uploadMode": "lfs" if one["path"].endswith(".safetensors") else "regular",
                        "shouldIgnore": False,
                    }
                    for one in request.get_json()["files"]
                ]
            }
        )

    def batch(self, request: Request, name: str) -> Response:
        objects = [
            one
            if one["oid"] in self.large
            else one | {"actions": {"upload": {"href": f"{self.url}/lfs/{one['oid']}"}}}
            for one in request.get_json()["objects"]
        ]
        return Response(
            json.dumps({"transfer": "basic", "objects": objects}), content_type="application/vnd.git-lfs+json"
        )

    def store(self, request: Request, oid: str) -> Response:
        if self.lost is not None and len(self.large) >= self.lost:
            return Response("gone", 503)
        content = request.get_data()
        assert hashlib.sha256(content).hexdigest() == oid
        self.large[oid] = content
        return Response("")

    def commit(self, request: Request, name: str, revision: str) -> Response:
        known = self._repository(request, name)
        if isinstance(known, Response):
            return known
        if revision not in known.branches:
            return Response("", 404, {"X-Error-Code": "RevisionNotFound"})
        files = dict(known.branches[revision][-1])
        for line in request.get_data().splitlines():
            what = json.loads(line)
            value = what["value"]
            if what["key"] == "header":
                known.messages.append(value["summary"])
            elif what["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif what["key"] == "lfsFile":
                files[value["path"]] = self.large[value["oid"]]
            elif what["key"] == "deletedFile":
                del files[value["path"]]
        branch = f"refs/pr/{len(known.branches)}" if request.args.get("create_pr") else revision
        known.branches.setdefault(branch, []).append(files)
        url = f"{self.url}/{name}"
        answer = {"commitUrl": f"{url}/commit/{sha(files)}", "commitOid": sha(files)}
        return _json(answer | {"pullRequestUrl": f"{url}/discussions/1"})

    def resolve(self, request: Request, name: str, revision: str, file: str) -> Response:
        known = self._repository(request, name)
        if isinstance(known, Response):
            return known
        files = known.at(revision) or {}
        if file not in files:
            return Response("", 404, {"X-Error-Code": "EntryNotFound"})
        headers = {"X-Repo-Commit": sha(files), "ETag": f'"{blob(files[file])}"'}
        return Response(files[file], headers=headers, content_type="application/octet-stream")


def _json(content: object) -> Response:
    return Response(json.dumps(content), content_type="application/json")


_ROUTES = [
    (r"/api/repos/create", FakeHub.create),
    (r"/api/whoami-v2", FakeHub.who),
    (r"/api/validate-yaml", FakeHub.yaml),
    (rf"/api/models/{_NAME}/branch/(?P<branch>.+)", FakeHub.branch),
    (rf"/api/models/{_NAME}/revision/(?P<revision>.+)", FakeHub.info),
    (rf"/api/models/{_NAME}/tree/(?P<revision>[^/]+)", FakeHub.tree),
    (rf"/api/models/{_NAME}/preupload/(?P<revision>.+)", FakeHub.preupload),
    (rf"/api/models/{_NAME}/commit/(?P<revision>.+)", FakeHub.commit),
    (rf"/api/models/{_NAME}", FakeHub.info),
    (rf"/{_NAME}\.git/info/lfs/objects/batch", FakeHub.batch),
    (r"/lfs/(?P<oid>\w+)", FakeHub.store),
    (rf"/{_NAME}/resolve/(?P<revision>[^/]+)/(?P<file>.+)", FakeHub.resolve),
]
