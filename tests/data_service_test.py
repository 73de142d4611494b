"""The protocol with stand-ins for examples: with real servers, and with none."""

import collections
import dataclasses
import shutil
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from tests import service_processes, synthetic
from tfdicom import data_service
from tfdicom.data_service import SharedWork, shared_batches
from tfdicom.epoch_callback import EpochCallback
from tfdicom.input_pipeline import input_fn

pytestmark = pytest.mark.long

EXAMPLES, BATCH = 106, 8
KEYS = [f"key-{number}" for number in range(EXAMPLES)]
_service = tf.data.experimental.service


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    running = service_processes.Cluster(tmp_path_factory.mktemp("servers"))
    yield running
    running.kill()


def _work(service: str, *, seconds: float = 0, **fields) -> SharedWork:
    """Examples that are a number made of place and epoch, and their key.

    A worker takes ``seconds`` for a batch, and holds some that are not ready.
    """

    def turns(epoch):
        seed = tf.stack([tf.constant(5, tf.int64), epoch])
        order = tf.range(EXAMPLES, dtype=tf.int64)
        order = tf.random.experimental.stateless_shuffle(order, seed)
        return tf.stack([order, tf.fill([EXAMPLES], epoch)], axis=1)

    def batches(turns):
        whole = turns.batch(BATCH)
        if seconds:
            whole = _slowed(whole.prefetch(3), seconds).map(lambda turns: turns)
        return whole.map(lambda turns: (_element(turns), turns))

    fields = {"timeout": 60.0, "drop_remainder": False, **fields}
    keys = tf.constant(KEYS)
    return SharedWork(
        service=service,
        batch_size=BATCH,
        turns=turns,
        batches=batches,
        keys=keys,
        **fields,
    )


def _element(turns):
    number = 1000 * turns[:, 1] + turns[:, 0]
    return tf.cast(number, tf.float32), {"key": tf.gather(KEYS, turns[:, 0])}


def _slowed(dataset, seconds):
    return dataset.flat_map(
        lambda *element: _late(tf.data.Dataset.from_tensors(element), seconds)
    )


def _late(dataset, seconds):
    specs = tf.nest.flatten(dataset.element_spec)
    slow = tf.raw_ops.SleepDataset(
        input_dataset=tf.data.experimental.to_variant(dataset),
        sleep_microseconds=int(seconds * 1e6),
        output_types=[one.dtype for one in specs],
        output_shapes=[one.shape for one in specs],
    )
    return tf.data.experimental.from_variant(slow, dataset.element_spec)


def _passes(counter):
    once = tf.data.Dataset.range(1)
    return once.map(lambda _: counter.assign_add(1) - 1)


def _read(dataset, after_batch=lambda number: None):
    """Numbers and sizes of the batches of a pass."""
    numbers, sizes = [], []
    for count, (values, info) in enumerate(dataset):
        places = values.numpy().astype(int) % 1000
        assert info["key"].numpy().tolist() == [KEYS[p].encode() for p in places]
        numbers += values.numpy().astype(int).tolist()
        sizes.append(len(places))
        after_batch(count)
    return numbers, sizes


def _epoch(number):
    return [1000 * number + place for place in range(EXAMPLES)]


WHOLE = [BATCH] * (EXAMPLES // BATCH) + [EXAMPLES % BATCH]


@pytest.mark.slow
def test_each_pass_is_an_epoch_of_its_own(cluster):
    counter = tf.Variable(0, dtype=tf.int64)
    dataset = shared_batches(_passes(counter), _work(cluster.address))
    for epoch in range(3):
        numbers, sizes = _read(dataset)
        assert sorted(numbers) == _epoch(epoch)
        assert sizes == WHOLE


@pytest.mark.slow
@pytest.mark.parametrize("drop_remainder", [False, True])
def test_epochs_of_one_pass_follow_each_other(cluster, drop_remainder):
    work = _work(cluster.address, drop_remainder=drop_remainder)
    numbers, sizes = _read(shared_batches(tf.data.Dataset.range(2, 5), work))
    rest = 3 * EXAMPLES % BATCH
    assert sizes == [BATCH] * (3 * EXAMPLES // BATCH) + [rest] * (not drop_remainder)
    found = [number // 1000 for number in numbers]
    assert found == sorted(found)
    count = 3 * EXAMPLES - rest * drop_remainder
    assert len(set(numbers)) == len(numbers) == count
    assert set(numbers) <= {*_epoch(2), *_epoch(3), *_epoch(4)}


@pytest.mark.slow
def test_in_a_graph_of_tensorflow_1(cluster):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        dataset = shared_batches(tf.data.Dataset.range(2), _work(cluster.address))
        following = tf.compat.v1.data.make_one_shot_iterator(dataset).get_next()
        numbers = []
        with pytest.raises(tf.errors.OutOfRangeError):
            while True:
                numbers += session.run(following)[0].astype(int).tolist()
    assert sorted(numbers) == _epoch(0) + _epoch(1)


@pytest.mark.slow
def test_a_pass_that_is_broken_off_ends_at_once(cluster):
    dataset = shared_batches(
        tf.data.Dataset.range(100), _work(cluster.address, seconds=0.05)
    )
    iterator = iter(dataset)
    next(iterator)
    began = time.monotonic()
    del iterator
    assert time.monotonic() - began < 20


@pytest.mark.slow
def test_a_killed_worker_that_comes_back(cluster, capfd):
    work = _work(cluster.address, seconds=0.2, timeout=120)

    def kill(count):
        if count == 2:
            cluster.restart(1)

    numbers, sizes = _read(shared_batches(tf.data.Dataset.range(7, 8), work), kill)
    assert sorted(numbers) == _epoch(7)
    assert sizes == WHOLE
    cluster.workers[1].line()
    said = capfd.readouterr().err
    (line,) = [one for one in said.splitlines() if one.startswith("tfdicom:")]
    start, _, keys = line.rpartition(": ")
    count = len(keys.split())
    assert set(keys.split()) <= set(KEYS)
    assert 0 < count < EXAMPLES and count % BATCH in (0, EXAMPLES % BATCH)
    assert start.startswith(f"tfdicom: epoch 7: {count} of {EXAMPLES} examples")


@pytest.mark.slow
def test_a_killed_worker_that_stays_away(cluster):
    work = _work(cluster.address, seconds=0.2, timeout=3)

    def kill(count):
        if count == 2:
            cluster.workers[1].kill()
            kill.at = time.monotonic()

    try:
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            _read(shared_batches(tf.data.Dataset.range(7, 8), work), kill)
        # Those that the other one goes on to give take some time too.
        assert 3 < time.monotonic() - kill.at < 30
    finally:
        cluster.restart(1)
    assert f"no batch came from the data service at {cluster.address} for 3 s" in str(
        caught.value
    )
    assert "in epoch 7" in str(caught.value)
    cluster.workers[1].line()
    numbers, _ = _read(shared_batches(tf.data.Dataset.range(8, 9), work))
    assert sorted(numbers) == _epoch(8)


@pytest.mark.slow
def test_a_dispatcher_that_comes_back_goes_on(cluster, capfd):
    work = _work(cluster.address, seconds=0.2, timeout=120)

    def kill(count):
        if count == 2:
            cluster.restart_dispatcher()

    numbers, sizes = _read(shared_batches(tf.data.Dataset.range(9, 10), work), kill)
    assert sorted(numbers) == _epoch(9)
    assert sizes == WHOLE
    assert "tfdicom:" not in capfd.readouterr().err


def test_nobody_at_the_address():
    port = service_processes.free_port()
    began = time.monotonic()
    words = f"data_service='grpc://localhost:{port}': nobody answers .*tried for 1 s"
    with pytest.raises(ConnectionError, match=words):
        data_service.wait_for_dispatcher(f"grpc://localhost:{port}", 1)
    assert time.monotonic() - began < 10


class _StandIn:
    """The service without servers, with a fault."""

    ShardingPolicy = _service.ShardingPolicy

    def __init__(self, fault):
        self._fault = fault
        self._asked = None

    def register_dataset(self, service, dataset, compression):
        assert compression is None
        self._asked = dataset
        return tf.constant("0")

    def from_dataset_id(self, policy, service, number, element_spec):
        assert policy == _service.ShardingPolicy.DYNAMIC
        return self._fault(self._asked)


def _without_servers(monkeypatch, fault, **fields):
    monkeypatch.setattr(data_service, "_service", _StandIn(fault))
    work = _work("grpc://nowhere:1", **fields)
    return shared_batches(tf.data.Dataset.range(3, 5), work)


def test_what_was_lost_is_read_here_and_reported(monkeypatch, capfd):
    def fault(asked):
        return asked.take(2).concatenate(asked.skip(5))

    numbers, sizes = _read(_without_servers(monkeypatch, fault))
    assert sorted(numbers) == _epoch(3) + _epoch(4)
    assert sizes[:-1] == [BATCH] * (2 * EXAMPLES // BATCH)
    lines = capfd.readouterr().err.splitlines()
    for epoch in (3, 4):
        (line,) = [one for one in lines if one.startswith(f"tfdicom: epoch {epoch}:")]
        assert f"24 of {EXAMPLES} examples were lost" in line
        turns = _work("").turns(tf.constant(epoch, tf.int64))[:, 0].numpy()
        assert line.split(": ")[-1].split() == [KEYS[p] for p in turns[16:40]]


def test_all_that_comes_is_not_reported(monkeypatch, capfd):
    numbers, _ = _read(_without_servers(monkeypatch, lambda asked: asked))
    assert sorted(numbers) == _epoch(3) + _epoch(4)
    assert "tfdicom:" not in capfd.readouterr().err


def test_when_all_was_lost_all_is_read_here(monkeypatch, capfd):
    dataset = _without_servers(monkeypatch, lambda asked: asked.take(0))
    numbers, _ = _read(dataset)
    assert sorted(numbers) == _epoch(3) + _epoch(4)
    assert f"{EXAMPLES} of {EXAMPLES} examples" in capfd.readouterr().err


def test_nothing_comes_twice(monkeypatch):
    def fault(asked):
        return asked.take(3).concatenate(asked.skip(1))

    dataset = _without_servers(monkeypatch, fault)
    with pytest.raises(tf.errors.InvalidArgumentError, match="came twice"):
        _read(dataset)


def test_a_stall_is_an_error(monkeypatch):
    def fault(asked):
        return asked.take(1).concatenate(_slowed(asked.skip(1), 3600))

    dataset = _without_servers(monkeypatch, fault, timeout=1.0)
    began = time.monotonic()
    with pytest.raises(tf.errors.InvalidArgumentError, match="nowhere:1 for 1 s, in"):
        _read(dataset)
    assert 1 <= time.monotonic() - began < 20


def test_slow_is_not_stalled(monkeypatch):
    dataset = _without_servers(
        monkeypatch, lambda asked: _slowed(asked, 0.5), timeout=1.5
    )
    iterator = iter(dataset)
    began = time.monotonic()
    for _ in range(4):
        next(iterator)
    assert time.monotonic() - began > 1.9


def test_a_reader_that_pauses_has_not_stalled(monkeypatch):
    dataset = _without_servers(monkeypatch, lambda asked: asked, timeout=1.0)
    numbers, _ = _read(dataset, lambda count: time.sleep(2.5 * (count == 5)))
    assert sorted(numbers) == _epoch(3) + _epoch(4)


def test_turns_that_were_skipped_are_not_missed(monkeypatch, capfd):
    monkeypatch.setattr(data_service, "_service", _StandIn(lambda asked: asked))
    work = _work("grpc://nowhere:1")
    shorter = dataclasses.replace(work, turns=lambda epoch: work.turns(epoch)[90:])
    numbers, sizes = _read(shared_batches(tf.data.Dataset.range(1), shorter))
    turns = work.turns(tf.constant(0, tf.int64))[90:, 0].numpy()
    assert sorted(numbers) == sorted(turns)
    assert sizes == [8, 8]
    assert "tfdicom:" not in capfd.readouterr().err


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Of 27 examples, 6 are not annotated for all classes, and 6 show none."""
    empty = np.zeros((2, 12, 16), bool)
    patients = {
        name: synthetic.frames(5)
        + synthetic.frames(2, masks=empty)
        + synthetic.frames(2, annotated="10")
        for name in ("a", "b", "c")
    }
    folder = tmp_path_factory.mktemp("records")
    test = {"d": synthetic.frames(5)}
    synthetic.write_dataset(folder, {"train": patients, "test": test}, shards=3)
    return folder


def _by_key_and_epoch(dataset):
    """Every example of a pass as arrays, and the sizes of the batches."""
    found, sizes = {}, []
    for element in dataset.as_numpy_iterator():
        sizes.append(len(element[0]))
        for place in range(sizes[-1]):
            one = tf.nest.map_structure(lambda array, at=place: array[at], element)
            info = one[-1]
            name = (info["key"], info["epoch"], info["occurrence"])
            assert name not in found
            found[name] = tf.nest.flatten(one)
    return found, sizes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("split", "fields"),
    [
        ("train", {"augment": "standard,flip_left_right=0.5"}),
        ("train", {"num_epochs": 3, "batch_size": 5, "jit_compile": False}),
        ("train", {"positive_fraction": 0.8, "start_step": 1, "image_size": "9,20"}),
        ("test", {"training": False}),
    ],
)
def test_examples_look_the_same_with_and_without(cluster, folder, split, fields):
    fields = {"with_info": True, "batch_size": 8, **fields}
    with_service = input_fn(folder, split, data_service=cluster.address, **fields)
    without = input_fn(folder, split, cache="none", **fields)
    assert with_service.element_spec == without.element_spec
    assert int(with_service.cardinality()) == int(without.cardinality())
    for _ in range(2):
        found, sizes = _by_key_and_epoch(with_service)
        wanted, wanted_sizes = _by_key_and_epoch(without)
        assert (found.keys(), sizes) == (wanted.keys(), wanted_sizes)
        for name, arrays in found.items():
            for one, other in zip(arrays, wanted[name], strict=True):
                np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_full_batches_have_a_static_size(cluster, folder):
    fields = {"drop_remainder": True, "class_weights": "inverse", "batch_size": 4}
    with_service = input_fn(folder, data_service=cluster.address, **fields)
    without = input_fn(folder, **fields)
    assert with_service.element_spec == without.element_spec
    assert [len(batch[0]) for batch in with_service] == [4] * 5


@pytest.mark.slow
def test_keras_gets_an_epoch_each_time(cluster, folder):
    train = input_fn(folder, data_service=cluster.address, with_info=True)
    first = {key for key, *_ in _by_key_and_epoch(train)[0]}
    train = input_fn(folder, data_service=cluster.address, augment="rotation=9")
    inputs = tf.keras.Input((12, 16, 1))
    outputs = tf.keras.layers.Conv2D(2, 1, activation="sigmoid")(inputs)
    model = tf.keras.Model(inputs, outputs)
    model.compile("sgd", "binary_crossentropy")
    history = model.fit(train, epochs=2, verbose=0, callbacks=[EpochCallback(train)])
    assert len(history.history["loss"]) == 2
    assert len(first) == 21


@pytest.mark.slow
def test_a_record_that_a_worker_cannot_read(cluster, folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    dataset = input_fn(copy, data_service=cluster.address)
    for shard in copy.glob("train-*"):
        shard.unlink()
    with pytest.raises(tf.errors.OpError, match="record .* of .*copy/train-00"):
        list(dataset)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"data_service": "http://a:1"}, "data_service='http://a:1': HOST:PORT"),
        ({"data_service": "a"}, "data_service='a': HOST:PORT is wanted"),
        ({"data_service_timeout": 0.5}, "data_service_timeout=0.5: .*1 or more"),
        ({"cache": "memory"}, "cache='memory' is of no use; choose auto or none"),
        (
            {"input_context": tf.distribute.InputContext(2, 0, 2)},
            "input_context, with which 2 pipelines share it, is to be left out",
        ),
    ],
)
def test_what_a_service_cannot_do(folder, fields, words):
    with pytest.raises(ValueError, match=words):
        input_fn(folder, **{"data_service": "grpc://localhost:1", **fields})


def test_compressed_records_cannot_be_shared(tmp_path):
    train = {"a": synthetic.frames(3)}
    synthetic.write_dataset(tmp_path, {"train": train}, compression="zlib")
    with pytest.raises(ValueError, match="data_service=.* convert with --compression"):
        input_fn(tmp_path, data_service="grpc://localhost:1")


def test_the_call_fails_where_nobody_answers(folder):
    address = f"localhost:{service_processes.free_port()}"
    with pytest.raises(ConnectionError, match=f"grpc://{address} .*tried for 1 s"):
        input_fn(folder, data_service=address, data_service_timeout=1)


def test_pieces_hold_every_turn_once():
    turns = np.arange(21).reshape(7, 3)
    pieces = data_service._in_pieces(tf.constant(turns, tf.int64), 3)
    assert np.array_equal(list(pieces.as_numpy_iterator()), turns)
    counts = collections.Counter(len(one) for one in pieces.batch(3))
    assert counts == {3: 2, 1: 1}


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
