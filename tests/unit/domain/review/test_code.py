"""Short codes: whose they are, what is stored of them, and how often they may be tried."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.review import guesses
from promptlane.domain.review.code import Holder, Seal, as_typed, in_print
from promptlane.domain.review.link import Link
from promptlane.fakes.review import FakeSigner

SIGN, VERIFY = FakeSigner().sign, FakeSigner().verify
OWNER = Holder("PROMPTID12-2-1", 1, "0" * 16)
holders = st.builds(Holder, st.just("PROMPTID12-2-1"), st.integers(1, 3), st.sampled_from(["0" * 16, "f" * 16]))


@given(holders, holders, st.text("0123456789abcdef", min_size=64, max_size=64))
def test_a_code_is_good_for_its_owner_and_its_round_alone(owner: Holder, other: Holder, seed: str) -> None:
    seal = owner.seal(seed, SIGN)
    code = owner.code(seal.seed, SIGN)
    assert code == owner.code(seed, SIGN), "a repeated email carries the same one"
    assert as_typed(in_print(code)) == code
    assert VERIFY(owner.claim(code), bytes.fromhex(seal.verifier))
    assert VERIFY(other.claim(code), bytes.fromhex(seal.verifier)) == (owner == other)
    assert Seal.from_dict(seal.to_dict()) == seal


def test_no_signature_of_a_code_is_one_of_a_link_and_the_other_way_round() -> None:
    link = Link(OWNER.release_id, OWNER.round, OWNER.reviewer, 60)
    assert len({link.message, OWNER.claim("ABCDEFGH"), OWNER._message("promptlane review code 1", "ABCDEFGH")}) == 3
    assert {m.split(b"\n")[0] for m in (link.message, OWNER.claim("x"))} == {
        b"promptlane review link 1",
        b"promptlane review code check 1",
    }


def test_another_seed_makes_another_code() -> None:
    assert len({OWNER.code(f"{n:064x}", SIGN) for n in range(500)}) == 500


@pytest.mark.parametrize("typed", ["ABCD-EF2O", "abcdef2o", " abcd ef20 ", "A-B-C-D-E-F-2-0"])
def test_a_short_code_is_forgiving_about_form(typed: str) -> None:
    assert as_typed(typed) == "ABCDEF2O"


@pytest.mark.parametrize("typed", ["", "ABCDEF2", "ABCDEF2OO", "ÀBCDEF2O", "ABCDEF29", "A" * 100_000])
def test_what_is_no_code_is_none(typed: str) -> None:
    assert as_typed(typed) == ""


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("203.0.113.7", "203.0.113.7", True),
        ("203.0.113.7", "203.0.113.8", False),
        ("2001:db8:1:2::1", "2001:db8:1:ffff::2", True),
        ("2001:db8:1::1", "2001:db8:2::1", False),
        ("::ffff:203.0.113.7", "203.0.113.7", True),
        ("nonsense", "203.0.113.7, 198.51.100.1", True),
    ],
)
def test_addresses_that_one_guesser_has_the_whole_of_share_a_counter(one: str, other: str, same: bool) -> None:
    counters = {guesses.from_address(1, "r", address, 60.0) for address in (one, other)}
    assert len(counters) == (1 if same else 2)


def test_a_counter_is_of_a_round_a_reviewer_and_a_minute() -> None:
    counters = [guesses.from_address(n, r, "", at) for n in (1, 2) for r in "ab" for at in (0.0, 59.9, 60.0)]
    assert len(set(counters)) == 8
    assert guesses.of_link(1, "a") != guesses.of_link(2, "a") != guesses.of_link(2, "b")


def test_what_a_link_takes_grows_with_time_and_never_shrinks() -> None:
    assert [guesses.allowed(100.0, at) for at in (0.0, 100.0, 160.0, 3_700.0)] == [1_000, 1_000, 1_010, 1_600]
    assert guesses.allowed(0, 30 * 86_400) / 2**40 < 1 / 2_000_000
