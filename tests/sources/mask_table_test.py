import sys

import pytest

from tfdicom.sources import mask_table

PATHS = ["a/1.dcm", "a/2.dcm", "b/1.dcm", "m/1.png", "m/2.png", "m/v.nii.gz", "m/d"]


def pair(tmp_path, text, *, name="table.csv", paths=PATHS):
    table = tmp_path / name
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_bytes(text.encode())
    (tmp_path / "in").mkdir(exist_ok=True)
    return mask_table.pair(tmp_path / "in", paths, table)


def pairs(listing):
    return {one.mask: one.images for one in listing.pairs}


def left(listing):
    return {one.path: (one.kind, one.reason) for one in listing.left}


def test_all_columns(tmp_path):
    listing = pair(
        tmp_path,
        "\ufeffmask, image ,class,split,patient_id\r\n"
        "m/1.png,a/1.dcm,liver,train,p 1\r\n"
        'm/2.png,"a/1.dcm",spleen,train,p 1\r\n'
        "m/d,b/1.dcm,,,\r\n",
    )
    assert {(one.mask, one.images, one.class_name) for one in listing.pairs} == {
        ("m/1.png", ("a/1.dcm",), "liver"),
        ("m/2.png", ("a/1.dcm",), "spleen"),
        ("m/d", ("b/1.dcm",), None),
    }
    assert (listing.patients, listing.splits) == (
        {"a/1.dcm": "p 1"},
        {"a/1.dcm": "train"},
    )
    assert listing.images == ("a/1.dcm", "a/2.dcm", "b/1.dcm")
    assert left(listing) == {"m/v.nii.gz": ("mask", "mask_without_image")}


@pytest.mark.parametrize(
    ("name", "image", "mask"),
    [
        ("table.csv", "in/a/1.dcm", "in/m/1.png"),
        ("table.csv", "a/1.dcm", "in/m/1.png"),
        ("in/table.csv", "a/1.dcm", "./m/1.png"),
        ("in/m/table.csv", "../a/1.dcm", "1.png"),
        ("in/m/table.csv", "a/1.dcm", "m/1.png"),
        ("in/table.csv", "a\\1.dcm", "m\\1.png"),
        ("in/table.csv", "{}/in/a/1.dcm", "{}/in/b/../m/1.png"),
    ],
)
def test_where_paths_begin(tmp_path, name, image, mask):
    row = f"{image},{mask}".replace("{}", str(tmp_path))
    listing = pair(tmp_path, f"image,mask\n{row}\n", name=name)
    assert pairs(listing) == {"m/1.png": ("a/1.dcm",)}


def test_the_table_itself_is_no_image(tmp_path):
    text = "image,mask\na,m/v.nii.gz\n"
    paths = [*PATHS, "a/table.csv"]
    listing = pair(tmp_path, text, name="in/a/table.csv", paths=paths)
    assert "a/table.csv" not in listing.images
    assert pairs(listing) == {"m/v.nii.gz": ("a/1.dcm", "a/2.dcm")}


def test_a_volume_takes_a_folder_and_pages_do_not(tmp_path):
    listing = pair(tmp_path, "image,mask\na,m/v.nii.gz\na,m/1.png\n")
    assert pairs(listing) == {"m/v.nii.gz": ("a/1.dcm", "a/2.dcm")}
    assert left(listing)["m/1.png"] == ("mask", "two_images_for_mask")


def test_one_mask_for_two_images_that_are_named(tmp_path):
    listing = pair(tmp_path, "image,mask\na/1.dcm,m/1.png\na/2.dcm,m/1.png\n")
    assert pairs(listing) == {"m/1.png": ("a/1.dcm", "a/2.dcm")}


def test_files_that_are_not_there(tmp_path):
    listing = pair(
        tmp_path,
        "image,mask\na/9.dcm,m/1.png\na/1.dcm,m/9.png\na/1.dcm,m/2.png\nx/1,m/2.png\n",
    )
    assert pairs(listing) == {"m/2.png": ("a/1.dcm",)}
    assert left(listing) == {
        "a/9.dcm": ("image", "image_missing"),
        "x/1": ("image", "image_missing"),
        "m/1.png": ("mask", "mask_without_image"),
        "m/9.png": ("mask", "mask_missing"),
        "m/v.nii.gz": ("mask", "mask_without_image"),
    }
    assert {one.detail for one in listing.left} == {"", "line 2", "line 3", "line 5"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the header should be image,mask .*; got nothing"),
        ("image;mask\na;b\n", "the header should be .*; got image;mask"),
        ("image,mask,klass\n", "the header should be .*; got image,mask,klass"),
        ("image,mask,mask\n", "the header should be"),
        ("image,mask\n", "there is no row"),
        ("image,mask\na/1.dcm\n", "line 2: it has another number of cells"),
        ("image,mask\na,b,c\n", "line 2: it has another number of cells"),
        ("image,mask\na/1.dcm,m/1.png\n,m/2.png\n", "line 3: the cell of image is"),
        ("image,mask\na/1.dcm, \n", "line 2: the cell of mask is empty"),
        ('image,mask\n"a/1.dcm,m/1.png\n', "unexpected end of data"),
        ("image,mask,class\na/1.dcm,m/1.png,#1\n", "line 2: a class should not begin"),
        (
            "image,mask\na/1.dcm,m/1.png\n./a/1.dcm,m/1.png\n",
            "line 3: it repeats line 2",
        ),
        ("image,mask\na/1.dcm,m/d\nm/d,m/1.png\n", "line 3: m/d is a mask in another"),
        (
            "image,mask,class\na/1.dcm,m/1.png,x\na/2.dcm,m/1.png,y\n",
            "line 3: the class of the mask is 'y' here and 'x' on line 2",
        ),
        (
            "image,mask,split\na/1.dcm,m/1.png,train\na/1.dcm,m/2.png,test\n",
            "line 3: split of a/1.dcm is 'test' here and 'train' on line 2",
        ),
        (
            "image,mask,patient_id\na,m/v.nii.gz,p\na/1.dcm,m/2.png,q\n",
            "line 3: patient_id of a/1.dcm is 'q' here and 'p' on line 2",
        ),
    ],
)
def test_tables_that_are_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=message) as error:
        pair(tmp_path, text)
    assert "table.csv" in str(error.value)


def test_a_path_that_may_be_two_files(tmp_path):
    paths = [*PATHS, "b/m/1.png"]
    text = "image,mask\n1.dcm,m/1.png\n"
    with pytest.raises(ValueError, match="line 2: 'm/1.png' may be b/m/1.png or m/1"):
        pair(tmp_path, text, name="in/b/table.csv", paths=paths)


def test_a_table_that_is_no_text(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\0")
    with pytest.raises(ValueError, match="--mask_table: .* should be UTF-8 text"):
        mask_table.pair(tmp_path, [], tmp_path / "t.csv")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
