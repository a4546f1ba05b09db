"""Prepares what every Java function starts from: python3 prepare.py LIBRARIES TARGET.

LIBRARIES holds the jars and stays where it is. TARGET gets `classpath` (those jars), `native.so` (what talks
to the Runtime API), `classes.jsa` (an archive of the classes that functions load) and `version` (of Java).
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from compile import main as compile_sources

SECONDS = 600
MAIN = "com.amazonaws.services.lambda.runtime.api.client.AWSLambda"
NATIVE = "aws-lambda-java-runtime-interface-client-*.jar", "jni/libaws-lambda-jni.linux-{machine}.so"
NATIVE_PROPERTY = "com.amazonaws.services.lambda.runtime.api.client.runtimeapi.NativeClient.JNI"
MACHINES = {"x86_64": "x86_64", "aarch64": "aarch_64"}
EVENTS = {"body": "{}", "headers": {"accept": "*/*"}, "isBase64Encoded": False}, {"end": True}
"""What the training's handler gets: a request, then the word to end."""


class Stub(BaseHTTPRequestHandler):
    """The Runtime API, which hands out `EVENTS`, and every AWS service, which answers that it is done."""

    protocol_version = "HTTP/1.1"
    events = iter(EVENTS)

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """Hand out the next event, or an empty object."""
        if not self.path.endswith("/invocation/next"):
            return self._answer(200, b"", {"ETag": '"training"'})
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": "training",
            "Lambda-Runtime-Deadline-Ms": "99999999999999",
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:123456789012:function:training",
            "Lambda-Runtime-Trace-Id": "Root=1-5759e988-bd862e3fe1be46a994272793",
        }
        return self._answer(200, json.dumps(next(Stub.events)).encode(), headers)

    def do_POST(self) -> None:
        """Take whatever comes."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(202 if "/runtime/" in self.path else 200, b"{}", {"Content-Type": "application/json"})

    def do_PUT(self) -> None:
        """Take whatever comes."""
        self.do_POST()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


def run(*command: str, environment: dict[str, str] | None = None, folder: Path | None = None) -> str:
    """Run a program and return what it wrote, or raise `SystemExit` with its last words."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **(environment or {})},
        cwd=folder,
        timeout=SECONDS,
    )
    if done.returncode != 0:
        raise SystemExit(f"error: {' '.join(command[:3])} … failed:\n{done.stdout[-2000:]}")
    return done.stdout


def extract_native(libraries: Path, target: Path) -> None:
    """Lay out the native half of the runtime interface client: by itself it goes through one name in /tmp."""
    (jar,) = libraries.glob(NATIVE[0])
    machine = MACHINES.get(platform.machine(), platform.machine())
    with zipfile.ZipFile(jar) as archive:
        target.write_bytes(archive.read(NATIVE[1].format(machine=machine)))
    target.chmod(0o755)


def training_variables(address: str) -> dict[str, str]:
    """Return the variables of a function whose every service is at `address`."""
    services = ("S3", "DYNAMODB", "LAMBDA", "CLOUDWATCH_LOGS")
    return {
        **{f"AWS_ENDPOINT_URL_{service}": f"http://{address}" for service in services},
        "AWS_ACCESS_KEY_ID": "training",
        "AWS_SECRET_ACCESS_KEY": "training",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_LAMBDA_FUNCTION_NAME": "training",
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "AWS_LAMBDA_RUNTIME_API": address,
    }


def record_classes(class_path: str, native: Path, names: Path, folder: Path) -> None:
    """Write the names of the classes that a function loads into `names`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    flags = ["-Xshare:off", f"-XX:DumpLoadedClassList={names}", f"-D{NATIVE_PROPERTY}={native}"]
    try:
        run(
            *("java", *flags, "-classpath", class_path, MAIN, "Training"),
            environment=training_variables(f"127.0.0.1:{server.server_address[1]}"),
            folder=folder,
        )
    finally:
        server.shutdown()
        server.server_close()


def main(libraries: Path, target: Path) -> int:
    """Fill `target` and return the exit code."""
    class_path = os.pathsep.join(sorted(map(str, libraries.glob("*.jar"))))
    extract_native(libraries, target / "native.so")
    with tempfile.TemporaryDirectory(prefix="esb-java-") as name:
        classes, names = Path(name, "classes"), Path(name, "names")
        if code := compile_sources(Path(__file__).resolve().parent.parent / "training", classes, libraries):
            return code
        record_classes(class_path, target / "native.so", names, classes)
        archive = f"-XX:SharedArchiveFile={target / 'classes.jsa'}"
        # Only this collector writes the archived objects; every one reads them.
        dump = ["java", "-Xshare:dump", "-XX:+UseG1GC", f"-XX:SharedClassListFile={names}", archive]
        run(*dump, "-classpath", class_path)
    settings = run("java", "-XshowSettings:properties", "-version")
    version = next(line for line in settings.splitlines() if "java.specification.version =" in line)
    (target / "version").write_text(version.rpartition("=")[2].strip() + "\n")
    (target / "classpath").write_text(class_path + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()))
