"""Whose profile serves, and which stands in: one step each."""

from __future__ import annotations

from app.protocol.initialize import Profile
from app.protocol.route import Route
from app.protocol.routing import linked, served, standing_in


def profiles() -> dict[str, Profile]:
    plain = {
        "front": Profile("front", route=(Route("new", 1),)),
        "canary": Profile("canary", route=(Route("canary", 1), Route("new", 0))),
        "new": Profile("new", browser_tools=frozenset({"show"})),
        "spare": Profile("spare"),
    }
    return linked(plain, {"front": "spare", "spare": "new", "new": "front"})


def test_the_profile_of_the_served_agent_applies() -> None:
    found = profiles()
    profile = served(found, found["front"], "user")
    assert (profile.name, profile.requested_agent, profile.served_because) == (
        "new", "front", "route",
    )  # fmt: skip
    assert profile.browser_tools == {"show"}


def test_an_agent_may_be_among_its_own_routes() -> None:
    found = profiles()
    assert served(found, found["canary"], "user") is found["canary"]
    assert served(found, found["spare"], "user") is found["spare"]


def test_a_fallback_is_one_step_and_the_served_agents_own_comes_first() -> None:
    found = profiles()
    routed = served(found, found["front"], "user")
    fallback = standing_in(routed)
    assert fallback is not None
    assert (fallback.name, fallback.requested_agent, fallback.served_because) == (
        "front", "front", "fallback",
    )  # fmt: skip
    assert standing_in(fallback) is None  # although `front` has one of its own
    assert standing_in(found["canary"]) is None


def test_the_fallback_of_the_agent_that_was_asked_for_serves_those_without_their_own() -> None:
    plain = {
        "front": Profile("front", route=(Route("new", 1),)),
        "new": Profile("new"),
        "spare": Profile("spare"),
    }
    found = linked(plain, {"front": "spare"})
    fallback = standing_in(served(found, found["front"], "user"))
    assert fallback is not None
    assert (fallback.name, fallback.requested_agent) == ("spare", "front")


def test_an_agent_does_not_stand_in_for_itself() -> None:
    """The one that a route leads to is also the fallback of the agent that was asked for."""
    plain = {"front": Profile("front", route=(Route("new", 1),)), "new": Profile("new")}
    found = linked(plain, {"front": "new"})
    assert standing_in(served(found, found["front"], "user")) is None
