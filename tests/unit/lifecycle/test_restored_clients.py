"""Clients beside writers, restores and reads that lag: they follow what is written, and leave what was rolled back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from promptlane.client import routes as client_routes
from promptlane.client.order import BELIEVED_AFTER
from promptlane.client.routes import Reading, Routes
from promptlane.domain.errors import PromptlaneError
from promptlane.domain.names import Outcome
from promptlane.domain.release.route import Route, first_route
from promptlane.fakes import InMemoryRoutes
from promptlane.lifecycle.rollback import Aftermath, Wish, restore_safe_route
from promptlane.lifecycle.shift import Traffic
from promptlane.lifecycle.windup import WindUp
from tests.support.prompt import PROMPT
from tests.support.stage import ENDING, TRAFFIC, Stage

VERSIONS = 9
REFRESH = 2.0


class Lagging:
    """Reads of the table of a stage: `shown` to those that may lag, what is stored to consistent ones."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.shown: Route | None = None

    def read(self, prompts: Iterable[str]) -> Mapping[str, Mapping[str, Any]]:
        route = self.shown or self.stage.routes.get(PROMPT)
        return {PROMPT: route.to_item()} if route is not None else {}

    def read_again(self, prompts: Iterable[str]) -> Mapping[str, Mapping[str, Any]]:
        route = self.stage.routes.get(PROMPT)
        return {PROMPT: route.to_item()} if route is not None else {}

    def name_of(self, prompt: str) -> str | None:
        return None


class Clients(RuleBasedStateMachine):
    """One client that lives on, and writers. `latest` is what was written last, None since a restore."""

    @initialize()
    def begin(self) -> None:
        self.stage = Stage(versions=VERSIONS)
        self.stage.serve(1, epoch=4_000_000)
        self.ticks = 0.0
        self.clock = patch.object(client_routes, "monotonic", lambda: self.ticks)
        self.clock.start()
        self.reader = Lagging(self.stage)
        self.client = Routes(self.reader, refresh=REFRESH)
        self.states = [self.stage.route]
        self.active = ""
        self.next = 2
        self.remade = False
        self.restored = False
        self.bad: dict[str, int] = {}
        """Fingerprints that were rolled back for good, with the number of refreshes that saw the table since."""
        self.refresh(0)

    def teardown(self) -> None:
        if hasattr(self, "clock"):
            self.clock.stop()

    def step(self, seconds: float = 5.0) -> None:
        self.stage.now += seconds
        self.ticks += seconds

    def noted(self) -> None:
        """After writers: the state, and whether anything was written."""
        if self.stage.route != self.states[-1]:
            self.states.append(self.stage.route)
            self.restored = False

    def traffic(self) -> Traffic:
        return Traffic(**self.stage.ports(*TRAFFIC))

    def ending(self) -> WindUp:
        return WindUp(**self.stage.ports(*ENDING))

    @precondition(lambda self: not self.active and not self.remade and self.next <= VERSIONS)
    @rule()
    def a_release_begins(self) -> None:
        self.step()
        release = self.stage.approved(self.next, against=self.stage.route.stable.version)
        self.active, self.next = release.release_id, self.next + 1
        with suppress(PromptlaneError):  # a restored table may have another release in canary
            self.traffic().shift(self.active, 0)
        self.noted()

    @precondition(lambda self: self.active)
    @rule(step=st.integers(1, 2))
    def it_widens(self, step: int) -> None:
        self.step()
        with suppress(PromptlaneError):
            self.traffic().shift(self.active, step)
        self.noted()

    @precondition(lambda self: self.active)
    @rule()
    def it_is_promoted(self) -> None:
        self.step()
        with suppress(PromptlaneError):
            self.traffic().promote(self.active)
        self.noted()

    @precondition(lambda self: self.active)
    @rule()
    def it_ends(self) -> None:
        self.step()
        ended = self.ending().end(self.active, claimed=Outcome.FAILED, reason="over")
        assert ended.ended
        self.active = ""
        self.noted()

    @precondition(lambda self: self.active)
    @rule(cut=st.booleans())
    def it_is_rolled_back(self, cut: bool) -> None:
        self.step()
        wish = Wish(prompt=PROMPT, cause="operator", reason="bad", by="kim", release_id=self.active)
        done = restore_safe_route(self.stage.routes, wish, clock=self.stage.clock, keep_trying=lambda n: False)
        if done.result == "rolled_back":
            candidate = self.stage.releases.get(self.active).candidate
            assert candidate is not None
            self.bad[candidate.fingerprint] = 0
        self.noted()
        if not cut:
            ports = self.stage.ports("releases", "workflow", "telling", "restoration", "clock", "log")
            Aftermath(**ports).tell(done, stop_execution=False)
            self.noted()

    @rule(which=st.integers(0, 50))
    def the_table_is_restored(self, which: int) -> None:
        self.step(60.0)
        backup = self.states[which % len(self.states)]
        self.stage.routes = self.reader.stage.routes = InMemoryRoutes()  # type: ignore[assignment]
        self.stage.routes.put(backup, expected=None)
        if self.stage.route != self.states[-1]:
            self.states.append(self.stage.route)
            self.restored = True

    @precondition(lambda self: not self.remade and not self.active)
    @rule()
    def the_prompt_is_made_anew(self) -> None:
        """Its route is deleted, and begins anew under another prompt id."""
        self.step()
        self.stage.routes = self.reader.stage.routes = InMemoryRoutes()  # type: ignore[assignment]
        new = first_route(
            prompt=PROMPT,
            prompt_id="REMADE0001",
            candidate=self.stage.ref(1),
            release_id="REMADE0001-1-1",
            now=self.stage.now,
            by="promptlane",
        )
        self.stage.routes.put(new, expected=None)
        self.remade = True
        self.noted()

    @precondition(lambda self: not self.remade)
    @rule()
    def reconcile(self) -> None:
        self.step()
        self.ending().mend(PROMPT)
        route = self.stage.route
        record = self.stage.releases.find(route.release_id)
        if record is not None and record.ended and route.in_flight(route.release_id):
            self.ending().end(route.release_id, claimed=Outcome.FAILED, reason="its execution is gone")
        self.noted()

    @rule(lag=st.sampled_from([0, 0, 0, 1, 2]))
    def refresh(self, lag: int) -> None:
        """The client reads; one that lags is shown an earlier state."""
        self.step(REFRESH)
        self.reader.shown = self.states[max(0, len(self.states) - 1 - lag)] if lag else None
        before = self.client.live.get(PROMPT)
        self.client._read({PROMPT: Reading()})
        live, stored = self.client.live[PROMPT], self.stage.route
        at = (live.epoch, live.revision)
        if before is not None:
            assert live is before or live.epoch >= before.epoch or self.restored, "it went back on its own"
        if not lag:
            if not self.restored:
                assert at == (stored.epoch, stored.revision), "what was written is not followed"
                self.bad = {fingerprint: seen + 1 for fingerprint, seen in self.bad.items()}
            served = {live.stable.fingerprint, live.low.fingerprint, live.high.fingerprint}
            known = {fingerprint for fingerprint, seen in self.bad.items() if seen}
            assert not served & known, "it serves what was rolled back, and saw so"

    @precondition(lambda self: not self.active and not self.remade and self.next <= VERSIONS)
    @rule(promoted=st.booleans(), then=st.sampled_from(["mended", "mended", "left", "made anew"]))
    def what_was_rolled_back_comes_back_with_the_table(self, promoted: bool, then: str) -> None:
        """In one go what takes many steps by chance."""
        self.a_release_begins()
        if promoted and self.active:
            self.it_is_promoted()
        self.it_is_rolled_back(cut=False)
        self.it_ends()
        self.refresh(0)
        if then == "made anew":
            self.the_prompt_is_made_anew()
            self.refresh(0)
        self.the_table_is_restored(max(0, len(self.states) - 2 - (then == "made anew")))
        if then == "mended":
            self.reconcile()
            self.refresh(0)
        else:
            self.hours_pass(4)

    @rule(times=st.integers(1, 4))
    def hours_pass(self, times: int) -> None:
        for _ in range(times):
            self.step(BELIEVED_AFTER / 2)
            self.refresh(0)


def test_a_client_follows_every_write_and_never_what_was_rolled_back() -> None:
    examples = settings(
        max_examples=40,
        stateful_step_count=40,
        suppress_health_check=list(HealthCheck),
        deadline=None,
        phases=[Phase.generate],  # shrinking takes minutes, and the steps tell enough
        print_blob=True,
    )
    run_state_machine_as_test(Clients, settings=examples)
