"""Which prompt an enrolled name means, and whether it still does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from promptlane.domain.errors import AmbiguousName
from promptlane.domain.names import prompt_id_of
from promptlane.domain.ports import Enrolments, Identities, PromptReader, RouteStore
from promptlane.domain.release.meant import Standing, demand
from promptlane.domain.release.route import Route


@dataclass(frozen=True, kw_only=True)
class NamedPrompts:
    """Finds the prompt of an enrolled name: what the deployment names, else what was fixed once, else what is served.

    Only where none of them says anything is the prompt looked up by its name.
    """

    prompts: PromptReader
    enrolments: Enrolments
    identities: Identities
    routes: RouteStore

    def fixed(self, prompt: str) -> str:
        """The prompt id that the name means; "" where nothing has fixed it yet."""
        return self.enrolments.deployed_id(prompt) or fixed_id(prompt, self.identities, self.routes)

    def every(self, prompt: str) -> list[str]:
        """The ids that the name means: what a deployment names, what is served until that is released, and before."""
        identity = self.identities.get(prompt)
        before = identity.before if identity else ""
        known = (self.enrolments.deployed_id(prompt), fixed_id(prompt, self.identities, self.routes), before)
        return list(dict.fromkeys(filter(None, known)))

    def meanings(self, prompts: Sequence[str]) -> dict[str, list[str]]:
        """`every` of many names, in a few calls for all of them; what the name means now stands first."""
        deployed, fixed = self.enrolments.deployed_ids(prompts), self.identities.of(prompts)
        older = [prompt for prompt in prompts if prompt not in fixed]
        routes = {route.prompt: route for route in self.routes.all()} if older else {}
        known: dict[str, list[str]] = {}
        for prompt in prompts:
            identity, route = fixed.get(prompt), routes.get(prompt)
            served = identity.prompt_id if identity else route.prompt_id if route else ""
            ids = (deployed.get(prompt, ""), served, identity.before if identity else "")
            known[prompt] = list(dict.fromkeys(filter(None, ids)))
        return known

    def find(self, prompt: str) -> str | None:
        """The id of an enrolled prompt; None where there is none yet. AnotherPrompt where the name has moved."""
        fixed = self.fixed(prompt)
        if fixed:
            self.standing(prompt, fixed).demand()
            return fixed
        return holder(self.prompts, prompt) or None

    def demand(self, prompt: str, prompt_id: str) -> None:
        """Raise AnotherPrompt unless this is the prompt that the enrolled name means, and it still has that name."""
        fixed = self.fixed(prompt)
        demand(prompt, prompt_id, fixed=fixed)
        if fixed:
            self.standing(prompt, fixed).demand()

    def standing(self, prompt: str, prompt_id: str) -> Standing:
        """What became of the prompt that the name means."""
        return standing(self.prompts, prompt, prompt_id)


def fixed_id(prompt: str, identities: Identities, routes: RouteStore) -> str:
    """What was fixed for a name, as far as the tables know; "" for nothing. A route that is older tells it too."""
    identity = identities.get(prompt)
    if identity is not None:
        return identity.prompt_id
    route = routes.get(prompt)
    return route.prompt_id if route is not None else ""


def remade(prompts: PromptReader, route: Route | None, prompt_id: str) -> bool:
    """Whether what the route gives everybody is of another prompt than `prompt_id`, which was deleted."""
    served = (prompt_id_of(route.stable.arn) or route.prompt_id) if route is not None else prompt_id
    return served != prompt_id and prompts.name_of(served) is None


def standing(prompts: PromptReader, prompt: str, prompt_id: str) -> Standing:
    """What became of the prompt that the name means. One call where all is well."""
    named = prompts.name_of(prompt_id)
    if named == prompt:
        return Standing(prompt, prompt_id, named, "")
    try:
        return Standing(prompt, prompt_id, named, holder(prompts, prompt))
    except AmbiguousName as error:
        return Standing(prompt, prompt_id, named, " and ".join(error.ids))


def holder(prompts: PromptReader, prompt: str) -> str:
    """The id of the prompt that has this very name now; "" where none has. AmbiguousName where several have."""
    found = prompts.find(prompt)
    return found[0] if found is not None and found[1] == prompt else ""
