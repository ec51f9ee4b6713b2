from __future__ import annotations

from app.protocol.web_token import TokenConflict, TokenRecord


def test_conflicts_are_the_words_that_the_store_answers() -> None:
    assert [TokenConflict(word) for word in ("name", "full")] == list(TokenConflict)


def test_token_is_told_from_another_by_every_member() -> None:
    one = TokenRecord("key", "int", "page", b"{}", 60.0)
    assert one == TokenRecord("key", "int", "page", b"{}", 60.0)
    assert one != TokenRecord("key", "other", "page", b"{}", 60.0)
