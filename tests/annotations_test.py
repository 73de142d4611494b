"""Every kind of annotation through the whole converter."""

import collections
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from tests import enhanced_images, real_data, rtstruct_objects, source_folders
from tfdicom import conversion, dicom, load_manifest
from tfdicom.convert_options import ConvertOptions

IBSI = real_data.SHARED / "rtstruct" / "ibsi_sts"
DCMQI = real_data.SHARED / "seg" / "dcmqi"
HIGHDICOM = real_data.SHARED / "seg" / "highdicom"


def convert(root, tmp_path, **options):
    """Converts everything into ``train``; the result and the examples."""
    output = tmp_path / "out"
    result = source_folders.convert(
        root, output, **{"split": "train", "overwrite": True, **options}
    )
    return result, source_folders.examples(output)


def counts(result):
    return result.manifest.ledger


@real_data.needs_shared("rtstruct/ibsi_sts")
def test_structure_sets_equal_the_masks_of_another_tool(tmp_path):
    """Voxel for voxel, RTSTRUCT against NIfTI, on MR and CT, through the records."""
    masks = {}
    for kind in ("rtstruct", "masks"):
        _, examples = convert(
            IBSI,
            tmp_path,
            annotations=kind,
            classes="gtv=/GTV.*/" if kind == "rtstruct" else "gtv=mask",
            patient_from="study",
        )
        masks[kind] = {one.key: one.masks for one in examples}
    assert len(masks["rtstruct"]) == 74
    assert set(masks["masks"]) == set(masks["rtstruct"])
    differ = {
        key: int((mask != masks["masks"][key]).sum())
        for key, mask in masks["rtstruct"].items()
    }
    assert sum(differ.values()) == 0
    assert sum(int(mask.sum()) for mask in masks["masks"].values()) > 20_000


@real_data.needs_shared("rtstruct/ibsi_sts")
def test_mixed_kinds_are_recognised_and_never_guessed_between(tmp_path, capsys):
    options = {"classes": "gtv=/GTV.*|mask/", "patient_from": "study"}
    with pytest.raises(ValueError, match="65 of 65 .*(.|\\n)*annotated_twice"):
        convert(IBSI, tmp_path, **options)  # a NIfTI file has no date
    assert "74 frames (49 CT, 25 MR) of 2 series" in capsys.readouterr().err
    result, examples = convert(
        IBSI, tmp_path, several_annotations="raters", num_workers=2, **options
    )
    assert result.manifest.options["annotations"] == "rtstruct+masks"
    assert counts(result)["object"] == {"converted": 4}
    assert counts(result)["mask"] == {"converted": 32}
    # Slices on which the structure is not are annotated all the same: negatives.
    assert collections.Counter(one.annotated for one in examples) == {(1,): 148}
    assert sum(any(one.pixel_count) for one in examples) == 64


@real_data.needs_shared("rtstruct/gre_ct_phantom")
def test_names_are_matched_and_reported(tmp_path, capsys):
    root = real_data.SHARED / "rtstruct" / "gre_ct_phantom"
    result, examples = convert(root, tmp_path, classes="a=/roi-[12]/;b=/ROI-2|ROI-4/")
    shown = capsys.readouterr().err
    assert "matched by none: 'ROI-3'" in shown
    assert "matched by two terms: 'ROI-2'" in shown
    pixels = np.sum([one.pixel_count for one in examples], axis=0)
    assert pixels.tolist() == [5460 + 5040, 5040 + 9198]
    assert counts(result)["reasons"]["structure_not_used"] == 1
    with pytest.raises(
        ValueError, match=r"Found are\n  'ROI-1' \(1\)(.|\n)*--classes="
    ):
        convert(root, tmp_path)
    with pytest.raises(ValueError, match="wants the structure '/ROI-9/'"):
        convert(root, tmp_path, classes="a=/ROI-9/")


@real_data.needs_shared("rtstruct/nested_hole")
@pytest.mark.parametrize(("rule", "pixels"), [("nested", 1443), ("union", 2401)])
def test_hole_rule(tmp_path, rule, pixels):
    root = real_data.SHARED / "rtstruct" / "nested_hole"
    _, examples = convert(root, tmp_path, classes="a=.*", hole_rule=rule)
    assert max(one.pixel_count for one in examples) == (pixels,)
    assert {one.hole_rule for one in examples if any(one.pixel_count)} == {rule}


@real_data.needs_shared("seg/dcmqi")
def test_segmentations_by_number_label_and_code(tmp_path):
    for name in ("#1", "Liver", "SRT:T-62000"):
        result, examples = convert(DCMQI, tmp_path, classes=f"liver=/{name}/")
        assert sum(one.pixel_count[0] for one in examples if one.shape[0] == 512) == (
            107_098
        )
        assert counts(result)["object"] == {"converted": 2}


@real_data.needs_shared("seg/highdicom")
@pytest.mark.parametrize(
    ("policy", "examples", "raters"), [("newest", 4, 0), ("raters", 8, 2)]
)
def test_two_objects_for_one_structure(tmp_path, policy, examples, raters):
    root = tmp_path / "in"
    shutil.copytree(HIGHDICOM / "source_77654033", root)
    for name in ("seg_image_ct_binary.dcm", "seg_image_ct_binary_overlap.dcm"):
        shutil.copy(HIGHDICOM / name, root)
    result, found = convert(root, tmp_path, classes="a=#1", several_annotations=policy)
    assert len(found) == examples == len({one.key for one in found})
    assert len({one.rater for one in found} - {None}) == raters
    places = collections.Counter((one.series, one.slice_index) for one in found)
    assert set(places.values()) == {max(raters, 1)}
    assert ("annotated_again" in counts(result)["findings"]) == (policy == "newest")
    with pytest.raises(ValueError, match=r"overlap\.dcm both annotate '/#1/' on"):
        convert(root, tmp_path, classes="a=#1", several_annotations="error")


def write_masks(source):
    """PNG masks in a folder of their own: value 1 a square, value 2 another."""
    drawn = {}
    for patient in source.patients:
        for number in (1, 2):
            mask = np.zeros((source_folders.ROWS, source_folders.COLUMNS), np.uint8)
            mask[5:11, 7:20] = 1
            mask[20:30, 30 : 30 + number] = 2
            path = source.root / "masks" / patient / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(path)
            drawn[patient, number] = mask
    return drawn


def test_mask_images_by_name(source, tmp_path):
    drawn = write_masks(source)
    (source.root / "dicoms").rename(source.root / "images")
    result, examples = convert(
        source.root, tmp_path, annotations="masks", classes="square=#1;bar=#2"
    )
    assert counts(result)["image"] == {"converted": 6, "left_out": 3}
    assert counts(result)["mask"] == {"converted": 12}
    for one in examples:
        pixels = one.image[..., 0]
        (mask,) = (
            mask
            for key, mask in drawn.items()
            if (pixels == source_folders.draw_pixels(*key)).all()
        )
        assert (one.masks == np.stack([mask == 1, mask == 2])).all()


def test_mask_table_with_patients_and_splits(source, tmp_path):
    write_masks(source)
    rows = ["image,mask,patient_id,split"]
    for place, patient in enumerate(source.patients):
        split = ("train", "train", "test")[place]
        rows += [
            f"dicoms/{patient}/{n}.dcm,masks/{patient}/{n}.png,person {place},{split}"
            for n in (1, 2)
        ]
    table = tmp_path / "pairs.csv"
    table.write_text("\n".join(rows))
    result = source_folders.convert(
        source.root,
        tmp_path / "out",
        annotations="masks",
        mask_table=str(table),
        mask_values="1=square,2=bar",
        classes="square;bar",
        split=ConvertOptions().split,
    )
    splits = result.manifest.splits
    assert {name: split.examples for name, split in splits.items()} == {
        "train": 4,
        "test": 2,
    }
    assert [one.source_patient for one in result.plan.shards[-1].patients] == [
        "person 2"
    ]


def test_a_table_of_one_split_may_hold_one_patient(source, tmp_path):
    write_masks(source)
    patient = source.patients[0]
    table = tmp_path / "pairs.csv"
    table.write_text(
        f"image,mask,split\ndicoms/{patient}/1.dcm,masks/{patient}/1.png,test\n"
    )
    result = source_folders.convert(
        source.root,
        tmp_path / "out",
        annotations="masks",
        mask_table=str(table),
        classes="square=#1",
        split=ConvertOptions().split,
    )
    splits = result.manifest.splits
    assert {name: split.examples for name, split in splits.items()} == {"test": 1}


def test_images_that_contour_files_name_may_have_masks_too(source, tmp_path):
    drawn = write_masks(source)
    (source.root / "masks").rename(source.root / "dicoms" / "masks")
    result, examples = convert(source.root, tmp_path, classes="inner;square=#1")
    assert result.manifest.options["annotations"] == "contours+masks"
    assert counts(result)["mask"] == {"converted": len(drawn)}
    assert [one.annotated for one in examples] == [(1, 1)] * len(drawn)


def test_neighbours_in_space_become_negatives_that_readers_leave_out(tmp_path):
    folder = source_folders.write_folder(tmp_path / "in", annotated=1, outer=0, plain=4)
    found = {}
    for include in ("no", "neighbours", "all"):
        result, examples = convert(
            folder.root, tmp_path, classes="inner", include_unannotated=include
        )
        flags = collections.Counter(one.annotated for one in examples)
        found[include] = flags[1,], flags[0,]
        assert result.manifest.splits["train"].count_annotated([0]) == 3
    assert found == {"no": (3, 0), "neighbours": (3, 3), "all": (3, 12)}


def frames_of(path):
    return dicom.read_headers(path)


def test_the_frames_of_a_multi_frame_image_that_are_annotated(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    image = enhanced_images.write_enhanced(root / "enhanced.dcm")
    frames = frames_of(image)
    assert len(frames) == 3
    corners = np.array([[1, 1], [4, 1], [4, 3], [1, 3]], float)
    outline = rtstruct_objects.Outline(corners, frames[1])
    dataset = rtstruct_objects.structure_set(
        [(1, "square", [outline])],
        frames,
        StudyInstanceUID=frames[0].study,
    )
    rtstruct_objects.save(dataset, root / "rt.dcm")
    result, examples = convert(root, tmp_path, classes="a=.*", edge_rule="center")
    drawn = {one.frame_number: one.pixel_count for one in examples}
    assert drawn[2] == (6,)
    assert {count for number, count in drawn.items() if number != 2} <= {(0,)}
    assert counts(result)["image"] == {"converted": 3}


def test_findings_can_fail_a_conversion(source, tmp_path):
    patient = source.patients[0]
    inner = source.inner(patient, 1) + [9, 0]  # half outside of the outer contour
    source_folders.write_contour(source.contour(patient, 1), inner)
    result, _ = convert(source.root, tmp_path)
    assert counts(result)["findings"]["structure_not_inside"] == 1
    with pytest.raises(ValueError, match="fail_on: 1 x structure_not_inside"):
        convert(source.root, tmp_path, fail_on="structure_not_inside,area_jumps")
    assert load_manifest(tmp_path / "out").ledger == counts(result)
    with pytest.raises(ValueError, match="fail_on: unknown code 'nonsense'; known"):
        ConvertOptions(fail_on="nonsense")


def write_rois(root, rois, *, name="rt.dcm", slices=4, **elements):
    """Slices of one patient, and a structure set of these ROIs beside them."""
    for number in range(1, slices + 1):
        source_folders.write_image(root / f"{number}.dcm", "P1", number)
    frames = [dicom.read_headers(root / f"{n}.dcm")[0] for n in range(1, slices + 1)]
    drawn = [
        (number, label, [outline(frames) for outline in outlines])
        for number, (label, outlines) in enumerate(rois, 1)
    ]
    dataset = rtstruct_objects.structure_set(
        drawn, frames, StudyInstanceUID=frames[0].study, **elements
    )
    rtstruct_objects.save(dataset, root / name)


def square(place, *, at=5.0, size=8.0, role="CLOSED_PLANAR"):
    corners = at + size * np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    return lambda frames: rtstruct_objects.Outline(corners, frames[place], role)


def test_rois_that_draw_nothing_cost_nothing_but_themselves(tmp_path):
    root = tmp_path / "in"
    hearts = [square(0), square(1), square(2, at=-90.0), square(3)]
    marks = [square(place, role="POINT") for place in range(4)]
    write_rois(root, [("heart", hearts), ("tumour", []), ("markers", marks * 4)])
    result, examples = convert(root, tmp_path, classes="heart;tumour;markers")
    reasons = counts(result)["reasons"]
    assert reasons["roi_without_contours"] == reasons["roi_of_points"] == 1
    assert reasons["contour_outside_image"] == 1
    flags = [one.annotated for one in examples]
    assert flags == [(1, 0, 0)] * 3 and len(examples) == 3


def test_files_may_have_any_names(tmp_path):
    rois = [("heart", [square(0)]), ("lung", [square(0, at=20.0), square(1)])]
    shards = set()
    for name in ("a.dcm", "z.dcm"):
        root = tmp_path / name[0]
        write_rois(root, rois[:1], name=name, SOPInstanceUID=source_folders.uid(1))
        write_rois(root, rois[1:], name="m.dcm", SOPInstanceUID=source_folders.uid(2))
        for path in root.glob("[0-9].dcm"):
            path.rename(path.with_name(f"{name[0]}-{path.name}"))
        convert(root, tmp_path, classes="lung;heart", id_key_file="public")
        (shard,) = (tmp_path / "out").glob("*.tfrecord")
        shards.add(shard.read_bytes())
    assert len(shards) == 1


def test_two_notations_of_one_time_do_not_tell_the_newer(tmp_path):
    root = tmp_path / "in"
    for number, time in enumerate(("1011", "101100.000")):
        write_rois(
            root,
            [("heart", [square(0)])],
            name=f"{number}.rt.dcm",
            SOPInstanceUID=source_folders.uid("set", number),
            StructureSetDate="20200101",
            StructureSetTime=time,
        )
    with pytest.raises(ValueError, match="annotated_twice"):
        convert(root, tmp_path, classes="heart", on_error="fail")


def test_findings_stand_where_they_belong(tmp_path):
    root = tmp_path / "in"
    outlines = [square(0, at=-90.0), square(0), square(0, at=-4.0), square(3)]
    write_rois(root, [("heart", outlines)])
    result, _ = convert(root, tmp_path, classes="heart;all=h.*")
    entries = result.ledger._entries
    assert "roi_gap" in entries["rt.dcm"].findings
    assert "contour_leaves_image" in entries["rt.dcm#1.3"].findings
    assert "contour_leaves_image" not in entries["rt.dcm#1.2"].findings
    # One ROI of two terms is not two contours.
    assert "contour_duplicate" not in counts(result)["findings"]


def test_a_gap_between_contour_files_is_a_finding(tmp_path):
    folder = source_folders.write_folder(tmp_path / "in", annotated=4, outer=0)
    for patient in folder.patients:
        folder.contour(patient, 2).unlink()
    result, _ = convert(folder.root, tmp_path, classes="inner")
    assert counts(result)["findings"]["annotation_gap"] == 3


def test_labels_with_and_without_masks(source, tmp_path):
    table = tmp_path / "labels.csv"
    rows = [f"{name},{age}" for name, age in zip(source.patients, "345", strict=True)]
    table.write_text("\n".join(["patient_id,age", *rows]))
    result, examples = convert(source.root, tmp_path, labels=str(table))
    assert [one.name for one in result.manifest.labels] == ["age"]
    assert collections.Counter(one.label_values for one in examples) == {
        ("3",): 2,
        ("4",): 2,
        ("5",): 2,
    }
    shutil.rmtree(source.root / "contourfiles")
    result, examples = convert(
        source.root, tmp_path, labels=str(table), annotations="none"
    )
    assert len(examples) == 9 and result.manifest.classes == ()
    assert {one.planes for one in examples} == {None}


def test_images_too_large_or_in_color_are_refused_when_asked(source, tmp_path):
    patient = source.patients[0]
    color = np.zeros((source_folders.ROWS, source_folders.COLUMNS, 3), np.uint8)
    color[3, 4] = 7
    source_folders.edit(source.image(patient, 1), pixels=color)
    result, _ = convert(source.root, tmp_path, color="refuse")
    assert counts(result)["reasons"]["color_image"] == 1
    with pytest.raises(ValueError, match="frame_too_large"):
        convert(source.root, tmp_path, max_frame_pixels=100)


def test_a_dry_run_tells_what_it_found(source, tmp_path, capsys):
    write_masks(source)
    options = ConvertOptions(
        input_dir=str(source.root), dry_run=True, split="train", classes="a=#1",
        id_key_file="public", annotations="masks",
    )  # fmt: skip
    (source.root / "dicoms").rename(source.root / "images")
    text = conversion.conversion_summary(conversion.convert(options=options), options)
    assert "6 mask images" in capsys.readouterr().err
    assert "Paired: 6 images with 6 annotations." in text


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
