"""The checker that looks for secrets in every log of this package: it sees through every dress."""

from __future__ import annotations

import pytest

from tests.e2e.canaries import SECRETS
from tests.support.canary import dressings, revealed, reveals_nothing


@pytest.mark.parametrize("name", SECRETS)
def test_secret_is_seen_in_every_dress(name: str) -> None:
    secret = SECRETS[name]
    for dress, text in dressings(secret).items():
        assert revealed(f"something {text} else", {name: secret}), dress
    assert not revealed("something else, canary and all", {name: secret})


def test_report_names_the_secret_and_does_not_repeat_it() -> None:
    secret = SECRETS["API key"]
    with pytest.raises(AssertionError, match="a log reveals API key: raw") as found:
        reveals_nothing("a log", f"one line\nanother with {secret}", {"API key": secret})
    assert secret not in str(found.value)
