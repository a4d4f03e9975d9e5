"""Other SDKs deciding the same: 5 % of users, held locally, no events, no network. Versions in requirements-peers.txt.

Each is made as its makers recommend for a server, and is listed only when it really gives about 5 % of users the
treatment; what cannot be measured here is said and left out. MLflow is not among them: a prompt of it comes from a
database or server, and its split would be the application's own as with Langfuse.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

PACKAGES = Path(".local/bench/peers")
FLAG = "support-assistant"
Decide = Callable[[str], Any]


class Peer(NamedTuple):
    name: str
    version: str
    call: str
    decide: Decide
    close: Callable[[], Any]


def available() -> Iterator[Peer]:
    """The peers that are installed and split as asked, one after the other."""
    if str(PACKAGES.resolve()) not in sys.path:
        sys.path.append(str(PACKAGES.resolve()))
    for name, package, call, make in _ALL:
        try:
            decide, is_treated, close = make()
            treated = sum(is_treated(decide(f"u-{i}")) for i in range(2000))
            if not 50 <= treated <= 150:
                raise RuntimeError(f"{treated} of 2,000 users treated instead of about 100")
            yield Peer(name, importlib.metadata.version(package), call, decide, close)
        except Exception as error:
            print(f"{name:28} left out: {type(error).__name__}: {str(error)[:100]}", flush=True)


def _nothing() -> None:
    """Nothing to close."""


def _eppo() -> Any:
    import eppo_client
    from eppo_client.assignment_logger import AssignmentCacheLogger  # noqa: F401 - proves the package is whole

    class Silent(eppo_client.AssignmentLogger):  # type: ignore[misc]  # no types
        def log_assignment(self, event: Any) -> None:
            """No events."""

    split = {
        "key": "canary",
        "startAt": None,
        "endAt": None,
        "doLog": False,
        "rules": [],
        "splits": [
            {
                "variationKey": "canary",
                "extraLogging": {},
                "shards": [{"salt": "s", "ranges": [{"start": 0, "end": 500}]}],
            },
            {"variationKey": "stable", "extraLogging": {}, "shards": []},
        ],
    }
    flag = {
        "key": FLAG,
        "enabled": True,
        "variationType": "STRING",
        "totalShards": 10_000,
        "allocations": [split],
        "variations": {v: {"key": v, "value": v} for v in ("canary", "stable")},
    }
    data = {
        "createdAt": "2026-01-01T00:00:00Z",
        "format": "SERVER",
        "environment": {"name": "t"},
        "flags": {FLAG: flag},
    }
    client = eppo_client.init(
        eppo_client.ClientConfig(
            api_key="k",
            base_url="http://127.0.0.1:9",
            assignment_logger=Silent(),
            poll_interval_seconds=None,
            initial_configuration=eppo_client.Configuration(flags_configuration=json.dumps(data).encode()),
        )
    )
    call = client.get_string_assignment
    return (lambda user: call(FLAG, user, {}, "none")), (lambda got: got == "canary"), _nothing


def _statsig() -> Any:
    from statsig_python_core import FeatureGateEvaluationOptions, Statsig, StatsigOptions, StatsigUser
    from statsig_python_core.data_store import DataStore, DataStoreResponse

    gate = {
        "name": FLAG,
        "type": "feature_gate",
        "salt": "s",
        "enabled": True,
        "defaultValue": False,
        "entity": "feature_gate",
        "idType": "userID",
        "rules": [
            {
                "name": "five",
                "id": "five",
                "salt": "r",
                "passPercentage": 5,
                "returnValue": True,
                "idType": "userID",
                "conditions": ["everyone"],
                "groupName": "five",
                "isDeviceBased": False,
            }
        ],
    }
    everyone: dict[str, Any] = {
        "type": "public",
        "targetValue": None,
        "operator": None,
        "field": None,
        "additionalValues": {},
        "idType": "userID",
    }
    specs = json.dumps(
        {
            "feature_gates": {FLAG: gate},
            "dynamic_configs": {},
            "layer_configs": {},
            "layers": {},
            "id_lists": {},
            "condition_map": {"everyone": everyone},
            "experiment_to_layer": {},
            "has_updates": True,
            "time": 1_700_000_000_000,
            "company_id": "c",
            "checksum": "x",
        }
    )

    class Store(DataStore):  # type: ignore[misc]  # no types
        def get(self, key: str) -> Any:
            return DataStoreResponse(result=specs, time=1_700_000_000_000)

    options = StatsigOptions()
    options.data_store = Store()
    options.disable_network = True
    options.disable_all_logging = True
    options.output_log_level = "none"
    statsig = Statsig("secret-key", options)
    statsig.initialize().wait()
    quiet = FeatureGateEvaluationOptions(disable_exposure_logging=True)
    check = statsig.check_gate
    return ((lambda user: check(StatsigUser(user_id=user), FLAG, quiet)), bool, lambda: statsig.shutdown().wait())


def _launchdarkly() -> Any:
    import ldclient
    from ldclient import Context
    from ldclient.config import Config
    from ldclient.integrations import Files

    flag = {
        "key": FLAG,
        "on": True,
        "version": 1,
        "variations": ["stable", "canary"],
        "offVariation": 0,
        "salt": "s",
        "fallthrough": {
            "rollout": {"variations": [{"variation": 1, "weight": 5000}, {"variation": 0, "weight": 95_000}]}
        },
        "targets": [],
        "rules": [],
        "prerequisites": [],
    }
    path = Path(tempfile.mkdtemp()) / "flags.json"
    path.write_text(json.dumps({"flags": {FLAG: flag}}))
    source = Files.new_data_source(paths=[str(path)])
    client = ldclient.LDClient(Config("k", update_processor_class=source, send_events=False), start_wait=5)
    variation, create = client.variation, Context.create
    return (lambda user: variation(FLAG, create(user), "none")), (lambda got: got == "canary"), client.close


def _growthbook() -> Any:
    from growthbook import GrowthBook

    rule = {"force": "canary", "coverage": 0.05, "hashAttribute": "id", "seed": "s", "hashVersion": 2}
    book = GrowthBook(features={FLAG: {"defaultValue": "stable", "rules": [rule]}})

    def decide(user: str) -> Any:
        book.set_attributes({"id": user})
        return book.get_feature_value(FLAG, "none")

    return decide, (lambda got: got == "canary"), book.destroy


def _flagd() -> Any:
    from openfeature import api
    from openfeature.contrib.provider.flagd import FlagdProvider
    from openfeature.contrib.provider.flagd.config import ResolverType
    from openfeature.evaluation_context import EvaluationContext

    flag = {
        "state": "ENABLED",
        "defaultVariant": "stable",
        "variants": {"stable": "stable", "canary": "canary"},
        "targeting": {"fractional": [["canary", 5], ["stable", 95]]},
    }
    path = Path(tempfile.mkdtemp()) / "flags.json"
    path.write_text(json.dumps({"flags": {FLAG: flag}}))
    provider = FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path=str(path))
    api.set_provider(provider, "flagd")
    client = api.get_client("flagd")

    def decide(user: str) -> Any:
        return client.get_string_value(FLAG, "none", EvaluationContext(targeting_key=user))

    return decide, (lambda got: got == "canary"), provider.shutdown


def _openfeature() -> Any:
    from hashlib import blake2b

    from openfeature import api
    from openfeature.evaluation_context import EvaluationContext
    from openfeature.flag_evaluation import FlagResolutionDetails, Reason
    from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

    def evaluate(flag: Any, context: Any) -> Any:
        number = int.from_bytes(blake2b(b"s" + context.targeting_key.encode(), digest_size=8).digest(), "big")
        variant = "canary" if number % 10_000 < 500 else "stable"
        return FlagResolutionDetails(value=variant, variant=variant, reason=Reason.SPLIT)

    flag = InMemoryFlag("stable", {"stable": "stable", "canary": "canary"}, context_evaluator=evaluate)
    api.set_provider(InMemoryProvider({FLAG: flag}), "memory")
    client = api.get_client("memory")

    def decide(user: str) -> Any:
        return client.get_string_value(FLAG, "none", EvaluationContext(targeting_key=user))

    return decide, (lambda got: got == "canary"), _nothing


def _posthog() -> Any:
    from posthog import Posthog

    client = Posthog("k", host="http://127.0.0.1:9", sync_mode=True, send=False)
    client.feature_flags = [
        {
            "id": 1,
            "key": FLAG,
            "name": FLAG,
            "active": True,
            "is_simple_flag": False,
            "filters": {"groups": [{"properties": [], "rollout_percentage": 5}]},
        }
    ]
    call = client.get_feature_flag
    return (
        (lambda user: call(FLAG, user, only_evaluate_locally=True, send_feature_flag_events=False)),
        bool,
        client.shutdown,
    )


def _unleash() -> Any:
    from UnleashClient import UnleashClient
    from UnleashClient.cache import FileCache

    cache = FileCache("bench", directory=tempfile.mkdtemp())
    strategy = {"name": "flexibleRollout", "parameters": {"rollout": "5", "stickiness": "userId", "groupId": FLAG}}
    cache.bootstrap_from_dict(
        {"version": 2, "features": [{"name": FLAG, "enabled": True, "strategies": [strategy], "type": "release"}]}
    )
    client = UnleashClient(
        "http://127.0.0.1:9/api", "bench", cache=cache, disable_metrics=True, disable_registration=True
    )
    client.initialize_client(fetch_toggles=False)
    check = client.is_enabled
    return (lambda user: check(FLAG, {"userId": user})), bool, client.destroy


def _langfuse() -> Any:
    """It holds prompts and has no split of users, so the hash is the application's own."""
    from hashlib import blake2b

    from langfuse import Langfuse

    class Prompts(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            label = self.path.rpartition("label=")[2]
            body = json.dumps(
                {
                    "name": FLAG,
                    "version": 1 + (label == "canary"),
                    "labels": [label],
                    "tags": [],
                    "type": "text",
                    "prompt": "Answer {{question}}",
                    "config": {},
                    "commitMessage": None,
                    "resolutionGraph": None,
                }
            ).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Prompts)
    Thread(target=server.serve_forever, daemon=True).start()
    client = Langfuse(
        public_key="k", secret_key="k", base_url=f"http://127.0.0.1:{server.server_port}", tracing_enabled=False
    )
    call = client.get_prompt
    for label in ("canary", "stable"):
        call(FLAG, label=label, cache_ttl_seconds=86_400)
    server.shutdown()
    server.server_close()

    def decide(user: str) -> Any:
        number = int.from_bytes(blake2b(b"s" + user.encode(), digest_size=8).digest(), "big")
        return call(FLAG, label="canary" if number % 10_000 < 500 else "stable", cache_ttl_seconds=86_400)

    return decide, (lambda got: got.version == 2), client.shutdown


def _powertools() -> Any:
    """Its gradual rollout takes a number modulo 100, so units here are their numbers."""
    from aws_lambda_powertools.utilities.feature_flags import FeatureFlags, RuleAction, StoreProvider

    condition = {"action": RuleAction.MODULO_RANGE.value, "key": "id", "value": {"BASE": 100, "START": 0, "END": 4}}
    rules = {"five": {"when_match": True, "conditions": [condition]}}
    schema = {FLAG: {"default": False, "rules": rules}}

    class Store(StoreProvider):
        get_raw_configuration = schema

        def get_configuration(self) -> Any:
            return schema

    call = FeatureFlags(store=Store()).evaluate
    return ((lambda user: call(name=FLAG, context={"id": int(user.rpartition("-")[2])}, default=False)), bool, _nothing)


_ALL: list[tuple[str, str, str, Callable[[], Any]]] = [
    ("Eppo", "eppo-server-sdk", "get_string_assignment(), doLog false (Rust core)", _eppo),
    ("Statsig", "statsig-python-core", "check_gate(), user built per call, logging off (Rust core)", _statsig),
    ("LaunchDarkly", "launchdarkly-server-sdk", "variation(), context built per call, events off", _launchdarkly),
    ("GrowthBook", "growthbook", "set_attributes + rollout rule", _growthbook),
    ("PostHog", "posthog", "get_feature_flag(), local, no events", _posthog),
    ("Unleash", "UnleashClient", "is_enabled(), flexibleRollout on userId", _unleash),
    ("OpenFeature (in memory)", "openfeature-sdk", "InMemoryProvider + blake2b evaluator", _openfeature),
    ("Langfuse", "langfuse", "get_prompt(label), warm cache, after a hash of one's own (it has no split)", _langfuse),
    ("Powertools", "aws-lambda-powertools", "FeatureFlags.evaluate(), MODULO_RANGE on a number", _powertools),
    ("OpenFeature + flagd", "openfeature-provider-flagd", "FILE resolver, fractional targeting", _flagd),
]
