"""``/v1/batch`` and ``/v1/augmented``: every format, and what is refused."""

import io
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfdicom
from tests import served_apps, synthetic
from tests.served_apps import error_of
from tfdicom.serving import batch_formats


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("answers") / "little"
    served_apps.write(found)
    return found


@pytest.fixture(scope="module")
def client(folder):
    return served_apps.app_of(folder).test_client()


def test_every_format_holds_the_same_batch(client, folder, tmp_path):
    image, mask = next(iter(tfdicom.generate(folder, batch_size=3, seed=4)))
    query = "/v1/batch?batch_size=3&seed=4"
    answer = client.get(query)
    assert answer.content_length == len(answer.data)
    found = batch_formats.read_npz(answer.data)
    np.testing.assert_array_equal(found["image"], image)
    np.testing.assert_array_equal(found["mask"], mask)
    assert answer.headers["X-Tfdicom-Step"] == "0"
    assert answer.headers["X-Tfdicom-Steps-Per-Epoch"] == "2"

    listed = client.get(f"{query}&format=json").json
    assert (listed["step"], listed["epoch"], listed["split"]) == (0, 0, "train")
    np.testing.assert_array_equal(
        np.array(listed["arrays"]["image"]["data"], np.float32), image
    )
    (tmp_path / "batch").write_bytes(client.get(f"{query}&format=tfrecord").data)
    records = list(tf.data.TFRecordDataset(str(tmp_path / "batch")))
    assert len(records) == 3
    example = tf.train.Example.FromString(records[2].numpy()).features.feature
    data = example["image"].bytes_list.value[0]
    np.testing.assert_array_equal(
        np.frombuffer(data, "<f4").reshape(image[2].shape), image[2]
    )


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("batch_size=0", 400, "batch_size='0' is not allowed"),
        ("batch_size=257", 400, "batch_size='257' is not allowed"),
        ("batch_size=1e2", 400, "not allowed"),
        ("step=-1", 400, "step='-1'"),
        ("step=9999999999999999999999", 400, "not allowed"),
        ("step=nan", 400, "not allowed"),
        ("seed=0.5", 400, "not allowed"),
        ("format=pickle", 400, "not allowed"),
        ("split=nowhere", 400, "no split 'nowhere'"),
        ("split=train%2Btrain", 400, "names a split twice"),
        ("classes=lung", 400, "no class 'lung'"),
        ("augment=rotation%3D900", 400, "rotation"),
        ("augment=__import__", 400, "no preset"),
        ("normalize=window:1", 400, "normalize"),
        ("image_size=0", 400, "image_size"),
        ("image_size=9999", 413, "are given at once"),
        ("cache=/etc", 400, "there is no parameter 'cache'"),
        ("data_service=grpc://x:1", 400, "there is no parameter"),
        ("dataset=..", 404, "no data set"),
    ],
)
def test_refusals(client, folder, query, status, words):
    answer = client.get(f"/v1/batch?{query}")
    error = error_of(answer)
    assert answer.status_code == status, error
    assert words in error["message"]
    assert str(folder.parent) not in answer.text


def test_a_batch_larger_than_the_limit(folder):
    client = served_apps.app_of(folder, max_batch_pixels=12 * 16 * 3 * 4).test_client()
    assert client.get("/v1/batch?batch_size=4").status_code == 200
    answer = client.get("/v1/batch?batch_size=5")
    assert (answer.status_code, error_of(answer)["code"]) == (413, "too_large")


def test_busy_servers_say_so(folder):
    app = served_apps.app_of(folder, max_batches_at_once=1, queue_seconds=0)
    with app.extensions["tfdicom"].tools["gate"].entered():
        answer = app.test_client().get("/v1/batch")
    assert (answer.status_code, error_of(answer)["code"]) == (503, "busy")
    assert int(answer.headers["Retry-After"]) >= 1
    assert app.test_client().get("/v1/batch").status_code == 200


def test_an_augmented_example(client):
    row = client.get("/v1/examples?patient=p1&limit=1").json["examples"][0]
    path = f"/v1/augmented/{row['key']}?seed=3"

    def picture(query):
        answer = client.get(f"{path}&{query}")
        assert answer.content_type == "image/png", answer.data
        return np.asarray(Image.open(io.BytesIO(answer.data)))

    plain, bright = "augment=none", "augment=brightness=1,brightness_probability=1"
    first = picture(f"epoch=0&{bright}")
    assert first.shape == (12, 16, 3)
    np.testing.assert_array_equal(first, picture(f"epoch=0&{bright}"))
    assert (first != picture(f"epoch=1&{bright}")).any()
    assert picture(f"size=64&{bright}").shape == (48, 64, 3)
    # In the window of the image as it is: a change of all grey values shows.
    differ = first.astype(int) - picture(plain)
    assert abs(differ.mean()) > 5
    found = batch_formats.read_npz(
        client.get(f"{path}&augment=none&format=npz&normalize=none").data
    )
    shown = client.get(f"/v1/examples/{row['key']}/pixels").data
    np.testing.assert_array_equal(
        found["image"][0], np.frombuffer(shown, "<f4").reshape(12, 16, 1)
    )
    assert (found["mask"][0, ..., 1] == 255).all()  # outer was not annotated


def test_an_augmented_example_among_others_of_another_kind(tmp_path):
    """A batch of them is refused, a picture of one is not."""
    kinds = [(12, 16, 1), (12, 16, 3)]
    frames = [synthetic.Frame(shape=one, dtype="uint8", modality="XC") for one in kinds]
    written = synthetic.write_dataset(tmp_path / "mixed", {"train": {"p": frames}})
    client = served_apps.app_of(tmp_path / "mixed").test_client()
    assert client.get("/v1/batch?batch_size=1").status_code == 400
    for example in written["train"]:
        path = f"/v1/augmented/{example.key}?augment=none&format=npz"
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        found = batch_formats.read_npz(answer.data)
        assert found["image"].shape == (1, *example.shape)


def test_an_example_augmented_as_in_training(client, folder):
    options = {"augment": "light", "seed": 6, "classes": "inner"}
    dataset = tfdicom.input_fn(folder, batch_size=1, with_info=True, **options)
    image, _, info = next(dataset.as_numpy_iterator())
    key = info["key"][0].decode()
    path = f"/v1/augmented/{key}?seed=6&augment=light&epoch=0&format=npz"
    found = batch_formats.read_npz(client.get(path).data)
    np.testing.assert_allclose(found["image"], image, atol=1e-5)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
