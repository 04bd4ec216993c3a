import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushes import lanes


@pytest.mark.parametrize(
    ("lane", "shard", "distribute", "send"),
    [
        ("system", 0, "hg_message_queue", "hg_xinge_queue"),
        ("group", 3, "higo_group_chat_message3", "higo_group_xinge_queue3"),
        ("private", 1, "higo_private_chat_message1", "higo_private_xinge_queue1"),
        ("broadcast", 0, "higo_broadcast_queue", "higo_broadcast_xinge_queue"),
    ],
)
def test_queues_keep_the_names_of_the_system_before(lane: str, shard: int, distribute: str, send: str):
    assert (lanes.distribute_queue(lane, shard), lanes.send_queue(lane, shard)) == (distribute, send)


def test_no_two_lanes_share_a_queue():
    names = [name for lane in lanes.LANES for name in lanes.queue_names(lane, 8)]
    assert len(names) == len(set(names)) == 2 + 2 + 16 + 16 + 1


@pytest.mark.parametrize("lane", lanes.SHARDED)
def test_a_sharded_lanes_queues_are_every_shards_two(lane: str):
    names = lanes.queue_names(lane, 3)
    assert set(names) == {f(lane, n) for n in (1, 2, 3) for f in (lanes.send_queue, lanes.distribute_queue)}


def test_sending_comes_before_distributing():
    assert lanes.queue_names("private", 2) == [
        "higo_private_xinge_queue1",
        "higo_private_xinge_queue2",
        "higo_private_chat_message1",
        "higo_private_chat_message2",
    ]


@given(st.sampled_from(lanes.SHARDED), st.text(max_size=140), st.integers(1, 256))
def test_every_conversation_has_a_shard_that_exists(lane: str, conversation: str, queue_max: int):
    assert lanes.shard_of(lane, conversation, queue_max) in lanes.shards(lane, queue_max)


@pytest.mark.parametrize("lane", ["system", "broadcast"])
def test_lanes_without_shards_have_number_0(lane: str):
    assert lanes.shard_of(lane, "group:1", 16) == 0
    assert lanes.shards(lane, 16) == [0]


def test_conversations_spread_over_all_shards():
    used = {lanes.shard_of("group", f"group:{number}", 8) for number in range(200)}
    assert used == set(range(1, 9))


def test_another_process_chooses_the_same_shard():
    code = "from pushes import lanes; print([lanes.shard_of('group', f'群{n}', 7) for n in range(20)])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert told == str([lanes.shard_of("group", f"群{n}", 7) for n in range(20)])
