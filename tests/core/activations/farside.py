"""A server on loopback that runs nnsight's serialised requests, as NDIF does; no file of ours.

``python farside.py FOLDER PORT``: the model of FOLDER. The first look at a job says queued, the
second gives the result. A key ``refused`` is refused; ``fails`` makes jobs fail.
"""

import io
import json
import sys
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer

import torch
import zstandard
from nnsight import TransformersModel
from nnsight.schema.request import RequestModel
from nnsight.tracing import tracer as tracing
from transformers import AutoModelForCausalLM, AutoTokenizer

JOBS: dict = {}
folder, port = sys.argv[1:]
model = TransformersModel(
    AutoModelForCausalLM.from_pretrained(folder),
    tokenizer=AutoTokenizer.from_pretrained(folder),
    task="text-generation",
)


def run(blob: bytes) -> bytes:
    """Run a request and return what it saved, as NDIF stores it."""
    request = RequestModel.deserialize(blob, model._remoteable_persistent_objects(), compress=True)
    tracing.inc()
    try:
        request.execute(request.info.code)
        saves, found = tracing._saves(), request.info.frame.f_locals
        kept = {name: value for name, value in found.items() if id(value) in saves}
    finally:
        tracing.dec()
    buffer = io.BytesIO()
    torch.save(kept, buffer)
    return zstandard.ZstdCompressor().compress(buffer.getvalue())


class FarSide(BaseHTTPRequestHandler):
    """Three addresses of NDIF."""

    def log_message(self, *_):
        """Say nothing."""

    def answer(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def told(self, job: str, status: str, text: str = "", data: str | None = None) -> None:
        record = {"id": job, "status": status, "description": text, "data": data}
        self.answer(json.dumps(record).encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("ndif-api-key") == "refused":
            return self.answer(b'{"detail": "this key may not use the model"}', 401)
        boundary = self.headers["Content-Type"].partition("boundary=")[2].encode()
        parts = [part.partition(b"\r\n\r\n") for part in body.split(b"--" + boundary)[1:-1]]
        data = next(part[2][:-2] for part in parts if b'name="data"' in part[0])
        blob = next(part[2][:-2] for part in parts if b'name="blob"' in part[0])
        job = uuid.uuid4().hex
        asked = {"blob": blob, "looks": 0, "key": self.headers["ndif-api-key"]}
        JOBS[job] = asked | {"model": json.loads(data)["model_key"]}
        return self.told(job, "RECEIVED")

    def do_GET(self):
        kind, name = self.path.strip("/").split("/")[0], self.path.rpartition("/")[2]
        if kind == "asked":  # not NDIF's: what the test wants to know
            jobs = [{"model": one["model"], "bytes": one.get("sent", 0)} for one in JOBS.values()]
            return self.answer(json.dumps(jobs).encode())
        job = JOBS[name]
        if kind == "result":
            return self.answer(job["result"])
        job["looks"] += 1
        if job["looks"] == 1:
            return self.told(name, "QUEUED", "position 3 of 7")
        if job["key"] == "fails":
            return self.told(name, "ERROR", "CUDA out of memory on the far side")
        job["result"] = run(job["blob"])
        job["sent"] = len(job["result"])
        return self.told(name, "COMPLETED", data=f"http://127.0.0.1:{port}/result/{name}")


HTTPServer(("127.0.0.1", int(port)), FarSide).serve_forever()
