"""Start the embedded AWS as a process of its own, wait for it, and stop it by its process id.

with EmbeddedAws() as aws:
    boto3.Session(...).client("sns", endpoint_url=aws.url)      # or aws.client("sns")
    subprocess.run([...], env=aws.env())                        # any SDK, CLI or CDK
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

from local import keys, lambda_runtime, server

REGION = "us-east-1"
START_SECONDS = 40.0
STOP_SECONDS = 10.0


class NotStarted(RuntimeError):
    """The server did not become healthy; the message holds the end of its log."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def env(port: int, home: Path, account: str | None = None) -> dict[str, str]:
    """Variables that make any AWS SDK, CLI or the CDK talk to the embedded AWS on `port` that lives under `home`."""
    url = f"http://localhost:{port}"
    return {
        **{name.upper(): value for name, value in keys.credentials(home, account).items()},
        "AWS_ENDPOINT_URL": url,
        "AWS_ENDPOINT_URL_S3": url,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "AWS_MAX_ATTEMPTS": "3",
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1",
        "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
    }


def spawn(
    port: int, home: Path, *, auth: bool = False, keep: bool = False, extra: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a server whose log is `<home>/emulator.log`. Raises server.PortTaken before anything is started."""
    server.check_port(port)
    lambda_runtime.python(server.HOME)
    home.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "local", "serve", "--port", str(port), "--home", str(home)]
    with (home / "emulator.log").open("wb") as log:
        return subprocess.Popen(
            [*command, *(["--auth"] if auth else []), *(["--keep"] if keep else [])],
            cwd=server.REPOSITORY,
            env={**os.environ, **(extra or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def health(port: int, seconds: float = 1.0) -> dict[str, Any] | None:
    """What /_promptlane/health says, or None where no embedded AWS answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_promptlane/health", timeout=seconds) as reply:
            found: dict[str, Any] = json.load(reply)
            return found
    except (urllib.error.URLError, OSError, ValueError):
        return None


def wait_healthy(port: int, process: subprocess.Popen[bytes], home: Path) -> None:
    """Return when the server answers; raises NotStarted if it ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if health(port):
            return
        time.sleep(0.05)
    log = (home / "emulator.log").read_text(errors="replace")[-2000:]
    why = "ended" if process.poll() is not None else f"gave no answer within {START_SECONDS:.0f} s"
    stop(process.pid)
    raise NotStarted(f"the embedded AWS on port {port} {why}; its log ({home / 'emulator.log'}) ends with:\n{log}")


def stop(pid: int) -> bool:
    """End a server by its process id and wait until it is gone; False if it was not running."""
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return False
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        if not _alive(pid):
            return True
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    return True


def _alive(pid: int) -> bool:
    try:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    except ChildProcessError:
        pass  # not our child: `down` ends what another `up` started
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@cache
def _session() -> Any:
    """One session for all clients, so that each service model is read once."""
    import boto3

    return boto3.Session()


class EmbeddedAws:
    """A running embedded AWS; use it as a context manager.

    `port` 0 takes a free one. `auth` enforces IAM. `keep` goes on with what is under `home`.
    `variables` go to the server, such as PROMPTLANE_MODEL_URL.
    Everything the server writes is under `home`, a temporary directory unless given."""

    def __init__(
        self,
        port: int = 0,
        *,
        home: Path | None = None,
        auth: bool = False,
        keep: bool = False,
        variables: dict[str, str] | None = None,
    ) -> None:
        self.port = port or free_port()
        self.auth, self.keep = auth, keep
        self.variables = variables or {}
        self.home = home or Path(tempfile.mkdtemp(prefix="promptlane-"))
        self._temporary = home is None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def pid(self) -> int | None:
        """The server's process, while there is one."""
        return self._process.pid if self._process else None

    def start(self) -> EmbeddedAws:
        try:
            self._process = spawn(self.port, self.home, auth=self.auth, keep=self.keep, extra=self.variables)
            wait_healthy(self.port, self._process, self.home)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        if self._process is not None:
            stop(self._process.pid)
            self._process.wait()
            self._process = None
        if self._temporary:
            shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self) -> EmbeddedAws:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def env(self, account: str | None = None) -> dict[str, str]:
        """Variables for a child process; a 12-digit `account` selects a tenant of its own."""
        return env(self.port, self.home, account)

    def session(self, account: str | None = None, *, region: str = REGION, **credentials: str) -> Any:
        """A boto3 session; a 12-digit `account` selects a tenant of its own, `credentials` an IAM identity."""
        import boto3

        return boto3.Session(region_name=region, **(credentials or keys.credentials(self.home, account)))

    def client(self, service: str, account: str | None = None, *, region: str = REGION, **credentials: str) -> Any:
        """A boto3 client on this server."""
        from botocore.config import Config

        settings = Config(retries={"max_attempts": 0}, inject_host_prefix=False, max_pool_connections=64)
        identity = credentials or keys.credentials(self.home, account)
        return _session().client(service, region_name=region, endpoint_url=self.url, config=settings, **identity)

    def knobs(self, **settings: Any) -> dict[str, Any]:
        """Turn the knobs of the embedded Bedrock (local/gaps/bedrock_runtime.py)."""
        with self._own("/_promptlane/bedrock", json.dumps(settings).encode(), 5) as reply:
            turned: dict[str, Any] = json.load(reply)
            return turned

    def reset(self) -> None:
        """Forget every resource of every account."""
        self._own("/_ministack/reset", b"", 30).close()

    def _own(self, path: str, data: bytes, seconds: float) -> Any:
        request = urllib.request.Request(self.url + path, data=data, headers=keys.bearer(self.home), method="POST")
        return urllib.request.urlopen(request, timeout=seconds)

    def mails(self, to: str | None = None, kind: str | None = None) -> list[EmailMessage]:
        """The emails that SNS sent, oldest first; `kind` is confirmation or notification."""
        found = []
        for path in sorted((self.home / "mail").glob("*.eml")):
            message = BytesParser(policy=policy.default).parsebytes(path.read_bytes())
            assert isinstance(message, EmailMessage)
            if to in (None, message["To"]) and kind in (None, message["X-Amz-Sns-Message-Type"]):
                found.append(message)
        return found
