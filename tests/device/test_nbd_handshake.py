from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from walbd.device import nbd_protocol as nbd
from walbd.device.user.handshake import MAX_OPTIONS, TRANSMISSION_FLAGS, Export, Handshake
from walbd.model.error import ProtocolViolation

EXPORT = Export("vol", 1 << 20, 4096)
FLAGS = struct.pack(">I", nbd.FLAG_FIXED_NEWSTYLE | nbd.FLAG_NO_ZEROES)


def option(number: int, payload: bytes = b"") -> bytes:
    return nbd.OPTION.pack(nbd.OPTION_MAGIC, number, len(payload)) + payload


def named(name: bytes, *requests: int) -> bytes:
    wanted = struct.pack(f">H{len(requests)}H", len(requests), *requests)
    return struct.pack(">I", len(name)) + name + wanted


def contexts(name: bytes, *queries: bytes) -> bytes:
    counted = b"".join(struct.pack(">I", len(query)) + query for query in queries)
    return struct.pack(">I", len(name)) + name + struct.pack(">I", len(queries)) + counted


def talk(data: bytes) -> tuple[Handshake, bytes]:
    handshake = Handshake(EXPORT)
    used, answer = handshake.feed(memoryview(data))
    assert used == len(data)
    return handshake, answer


def replies(answer: bytes) -> list[tuple[int, int, bytes]]:
    found = []
    while answer:
        magic, number, kind, length = nbd.OPTION_REPLY.unpack_from(answer)
        assert magic == nbd.OPTION_REPLY_MAGIC
        found.append((number, kind, answer[20 : 20 + length]))
        answer = answer[20 + length :]
    return found


def test_the_greeting_is_fixed_newstyle() -> None:
    assert Handshake(EXPORT).greeting() == b"NBDMAGICIHAVEOPT\x00\x03"


@pytest.mark.parametrize("name", [b"", b"vol"])
def test_go_tells_size_and_flags_and_begins_transmission(name: bytes) -> None:
    handshake, answer = talk(FLAGS + option(nbd.OPT_GO, named(name, 3)))
    assert handshake.is_done
    first, sizes, last = replies(answer)
    assert first == (nbd.OPT_GO, nbd.REP_INFO, struct.pack(">HQH", 0, 1 << 20, TRANSMISSION_FLAGS))
    assert sizes == (nbd.OPT_GO, nbd.REP_INFO, struct.pack(">HIII", 3, 512, 4096, 32 << 20))
    assert last == (nbd.OPT_GO, nbd.REP_ACK, b"")


def test_info_tells_the_same_and_negotiation_goes_on() -> None:
    handshake, answer = talk(FLAGS + option(nbd.OPT_INFO, named(b"vol")))
    assert not handshake.is_done
    assert [kind for _, kind, _ in replies(answer)] == [nbd.REP_INFO, nbd.REP_INFO, nbd.REP_ACK]


def test_export_name_answers_without_an_option_reply() -> None:
    handshake, answer = talk(FLAGS + option(nbd.OPT_EXPORT_NAME, b"vol"))
    assert handshake.is_done
    assert answer == struct.pack(">QH", 1 << 20, TRANSMISSION_FLAGS)


def test_a_client_without_no_zeroes_gets_them() -> None:
    _, answer = talk(struct.pack(">I", 1) + option(nbd.OPT_EXPORT_NAME))
    assert answer[10:] == bytes(124)


def test_list_names_the_export() -> None:
    _, answer = talk(FLAGS + option(nbd.OPT_LIST))
    assert replies(answer) == [
        (nbd.OPT_LIST, nbd.REP_SERVER, b"\x00\x00\x00\x03vol"),
        (nbd.OPT_LIST, nbd.REP_ACK, b""),
    ]


def test_abort_is_acknowledged_and_ends() -> None:
    handshake, answer = talk(FLAGS + option(nbd.OPT_ABORT))
    assert handshake.is_ended and not handshake.is_done
    assert replies(answer) == [(nbd.OPT_ABORT, nbd.REP_ACK, b"")]


@pytest.mark.parametrize("number", [5, 11, 999])
def test_an_unknown_option_is_answered_as_unsupported(number: int) -> None:
    handshake, answer = talk(FLAGS + option(number, b"whatever"))
    assert replies(answer) == [(number, nbd.REP_ERR_UNSUP, b"")]
    assert not handshake.is_done


STRUCTURED = option(nbd.OPT_STRUCTURED_REPLY)


def test_structured_replies_bring_unfragmented_reads() -> None:
    handshake, answer = talk(FLAGS + STRUCTURED + option(nbd.OPT_GO, named(b"")))
    assert handshake.is_structured and not handshake.has_allocation
    agreed, export, *_ = replies(answer)
    assert agreed == (nbd.OPT_STRUCTURED_REPLY, nbd.REP_ACK, b"")
    assert struct.unpack(">HQH", export[2])[2] == TRANSMISSION_FLAGS | nbd.SEND_DF


def test_a_client_gets_the_allocation_context_it_sets() -> None:
    chosen = option(nbd.OPT_SET_META_CONTEXT, contexts(b"vol", b"other:thing", b"base:allocation"))
    handshake, answer = talk(FLAGS + STRUCTURED + chosen)
    assert handshake.has_allocation
    assert replies(answer)[1:] == [
        (nbd.OPT_SET_META_CONTEXT, nbd.REP_META_CONTEXT, b"\0\0\0\1base:allocation"),
        (nbd.OPT_SET_META_CONTEXT, nbd.REP_ACK, b""),
    ]


@pytest.mark.parametrize("queries", [(), (b"base:",), (b"base:allocation",)])
def test_contexts_are_listed_and_not_chosen(queries: tuple[bytes, ...]) -> None:
    handshake, answer = talk(FLAGS + STRUCTURED + option(nbd.OPT_LIST_META_CONTEXT, contexts(b"", *queries)))
    assert not handshake.has_allocation
    assert [kind for _, kind, _ in replies(answer)[1:]] == [nbd.REP_META_CONTEXT, nbd.REP_ACK]


@pytest.mark.parametrize("queries", [(), (b"base:",), (b"other:thing",)])
def test_a_later_choice_of_contexts_replaces_the_first(queries: tuple[bytes, ...]) -> None:
    chosen = option(nbd.OPT_SET_META_CONTEXT, contexts(b"", b"base:allocation"))
    handshake, answer = talk(FLAGS + STRUCTURED + chosen + option(nbd.OPT_SET_META_CONTEXT, contexts(b"", *queries)))
    assert not handshake.has_allocation
    assert replies(answer)[-1] == (nbd.OPT_SET_META_CONTEXT, nbd.REP_ACK, b"")


@pytest.mark.parametrize(
    "payload",
    [b"", contexts(b"", b"base:allocation")[:-1], contexts(b"") + b"x", b"\0\0\0\0\xff\xff\xff\xff", b"\xff" * 8],
)
def test_a_malformed_choice_of_contexts_is_invalid(payload: bytes) -> None:
    handshake, answer = talk(FLAGS + STRUCTURED + option(nbd.OPT_SET_META_CONTEXT, payload))
    assert replies(answer)[-1] == (nbd.OPT_SET_META_CONTEXT, nbd.REP_ERR_INVALID, b"")
    assert not handshake.has_allocation


def test_contexts_need_structured_replies() -> None:
    _, answer = talk(FLAGS + option(nbd.OPT_SET_META_CONTEXT, contexts(b"", b"base:allocation")))
    assert replies(answer) == [(nbd.OPT_SET_META_CONTEXT, nbd.REP_ERR_INVALID, b"")]


def test_another_export_is_unknown() -> None:
    handshake, answer = talk(FLAGS + option(nbd.OPT_GO, named(b"other")))
    assert replies(answer) == [(nbd.OPT_GO, nbd.REP_ERR_UNKNOWN, b"")]
    assert not handshake.is_done


@pytest.mark.parametrize(
    "payload",
    [b"", b"\0\0\0\0", b"\xff\xff\xff\xff\0\0", named(b"vol") + b"x", named(b"vol", 1)[:-1], named(b"v" * 5000)],
)
def test_a_malformed_go_is_invalid(payload: bytes) -> None:
    handshake, answer = talk(FLAGS + option(nbd.OPT_GO, payload))
    assert replies(answer) == [(nbd.OPT_GO, nbd.REP_ERR_INVALID, b"")]
    assert not handshake.is_done


def test_list_with_data_is_invalid() -> None:
    assert replies(talk(FLAGS + option(nbd.OPT_LIST, b"x"))[1]) == [(nbd.OPT_LIST, nbd.REP_ERR_INVALID, b"")]


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">I", 4),
        FLAGS + b"x" * 16,
        FLAGS + nbd.OPTION.pack(nbd.OPTION_MAGIC, 7, nbd.MAX_OPTION_BYTES + 1),
        FLAGS + nbd.OPTION.pack(nbd.OPTION_MAGIC, 7, 2**32 - 1),
        FLAGS + option(nbd.OPT_EXPORT_NAME, b"other"),
        FLAGS + option(nbd.OPT_LIST) * (MAX_OPTIONS + 1),
    ],
)
def test_what_is_no_client_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        Handshake(EXPORT).feed(memoryview(data))


@given(st.lists(st.integers(1, 30), max_size=40))
def test_the_answers_do_not_depend_on_how_the_bytes_arrive(cuts: list[int]) -> None:
    data = FLAGS + option(nbd.OPT_LIST) + option(77, b"abc") + option(nbd.OPT_GO, named(b"vol"))
    handshake, got, held = Handshake(EXPORT), b"", b""
    for size in [*cuts, len(data)]:
        held, data = held + data[:size], data[size:]
        used, answer = handshake.feed(memoryview(held))
        held, got = held[used:], got + answer
    assert handshake.is_done and not held
    assert got == talk(FLAGS + option(nbd.OPT_LIST) + option(77, b"abc") + option(nbd.OPT_GO, named(b"vol")))[1]


@given(st.binary(max_size=300))
def test_random_bytes_are_refused_or_wait_for_more(data: bytes) -> None:
    handshake = Handshake(EXPORT)
    try:
        used, _ = handshake.feed(memoryview(FLAGS + nbd.OPTION_MAGIC + data))
    except ProtocolViolation:
        return
    assert used <= len(data) + 12
