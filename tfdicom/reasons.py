"""Why an input was not converted: one table of codes, sentences and hints.

Sentences hold no path, name or identifier, so that they may stand in the ledger; what
is shown on the terminal adds the file.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Reason:
    """A reason code.

    Attributes:
      sentence: What was wrong.
      hint: What the user can do; empty where nothing has to be done.
      fault: False where the input was left out by a policy, with nothing wrong.
    """

    sentence: str
    hint: str = ""
    fault: bool = True


REASONS = {
    "no_annotation": Reason(
        "Nothing is annotated on this image.",
        "Nothing to do, or --include_unannotated=all.",
        fault=False,
    ),
    "structure_not_used": Reason(
        "No class uses this structure.",
        "Name it in --classes to convert it.",
        fault=False,
    ),
    "stray_file": Reason(
        "The file matches no pattern of the layout.",
        "Nothing to do, or name the pattern with --contour_pattern.",
        fault=False,
    ),
    "split_is_fixed": Reason(
        "The file came later, and is of a patient in a fixed split, which stays as it "
        "is.",
        "Nothing to do; a new data set (another --output_dir) takes it in.",
        fault=False,
    ),
    "patient_not_in_split": Reason(
        "The split names patients, and this one is not among them.",
        "Add the patient to --split.",
        fault=False,
    ),
    "patient_not_linked": Reason(
        "No image is of the patient that the contour's path names.",
        "Add the patient to the link file, or look for the images.",
    ),
    "contour_without_image": Reason(
        "No image has the number that the contour's file name gives.",
        "Look for the image, or for a wrong patient in the link file.",
    ),
    "two_images_for_contour": Reason(
        "Two images have the number that the contour's file name gives.",
        "Leave one of the two in the input folder.",
    ),
    "annotated_again_later": Reason(
        "A newer object annotates the same structure on the same image.",
        "Nothing to do, or --several_annotations=raters to keep both.",
        fault=False,
    ),
    "annotated_twice": Reason(
        "Several objects annotate the same structure on the same image, and their "
        "dates do not tell which is the newest.",
        "Take all but one out of the input folder, name one kind with --annotations, "
        "or keep all with --several_annotations=raters.",
    ),
    "drawn_and_absent": Reason(
        "The structure is drawn here, and a newer structure set that has it elsewhere "
        "draws nothing here.",
        "Was it taken back, or are the two parts of one? Take the older object out of "
        "the input folder, or --several_annotations=raters.",
    ),
    "identical_copy": Reason(
        "Another file has the same content.", "Nothing to do.", fault=False
    ),
    "series_missing": Reason(
        "No image that the object refers to is in the input folder.",
        "Look for the images, or take the object out of the input folder.",
    ),
    "object_not_used": Reason(
        "No class uses any structure of the object.",
        "Name one in --classes to convert it.",
        fault=False,
    ),
    "object_left_out": Reason(
        "Everything in the object was left out by a policy.",
        "See the lines of its parts.",
        fault=False,
    ),
    "object_all_absent": Reason(
        "Every structure is absent in the object: its images are negatives.",
        "Nothing to do.",
        fault=False,
    ),
    "object_without_mask": Reason(
        "Classes use structures of the object, and none of them became a mask.",
        "See the lines of its structures and contours.",
    ),
    "object_not_asked_for": Reason(
        "The object is of a kind that --annotations does not name.",
        "Nothing to do, or --annotations=auto.",
        fault=False,
    ),
    "two_contours_for_structure": Reason(
        "Two contour files outline the same structure of the same image.",
        "Leave one of the two, or choose by --contour_pattern.",
    ),
    "worker_died": Reason(
        "Two worker processes died while they read this file.",
        "Was memory short? Run again with fewer --num_workers; else the file is "
        "damaged in a way that a library does not survive.",
    ),
    "contour_empty": Reason("The contour file holds no points.", "Draw it again."),
    "contour_malformed": Reason(
        "A line of the contour file is not two numbers of at most a million.",
        "Mend the line.",
    ),
    "contour_too_short": Reason(
        "A contour of fewer than three points encloses nothing.", "Draw it again."
    ),
    "contour_outside_image": Reason(
        "The contour takes no pixel: it lies outside the image, or is too thin.",
        "Check --contour_origin, and that image and contour belong together.",
    ),
    "contour_too_intricate": Reason(
        "The contour crosses itself too often to have an area that means something.",
        "Draw it again; see whether its points are in their order.",
    ),
    "contour_unreadable": Reason(
        "The contour file cannot be read as text.",
        "It should be ASCII text with x and y on each line; export it again.",
    ),
    "contour_points_invalid": Reason(
        "The contour's coordinates are not readable, finite and as many as it says.",
        "Export the contours again; the terminal says what was found.",
    ),
    "contours_take_nothing": Reason(
        "The contours of this place take no pixel together: holes cancel outlines.",
        "Check --hole_rule, and whether contours were drawn twice.",
    ),
    "contour_not_closed": Reason(
        "The contour is an open line, which encloses nothing.",
        "Nothing to do if it is a path or a marker; else close it.",
        fault=False,
    ),
    "contour_of_points": Reason(
        "The contour is a point; it may stand for a structure of one voxel.",
        "Nothing to do if it is a marker; else draw it as an outline.",
        fault=False,
    ),
    "contour_without_type": Reason(
        "The contour has no Contour Geometric Type (3006,0042).",
        "Export the contours again.",
    ),
    "contour_not_parallel": Reason(
        "The contour does not lie in a plane parallel to the images.",
        "Draw it on these images; see whether the gantry was tilted.",
    ),
    "contour_off_plane": Reason(
        "The contour lies on none of the images that it can mean.",
        "Look for missing images, or for another series that it was drawn on.",
    ),
    "contour_ambiguous": Reason(
        "Several images lie where the contour lies, and it does not name one of them.",
        "Leave the series that was contoured in the input folder, or export the "
        "contours with references to their images.",
    ),
    "contour_image_missing": Reason(
        "The images that the contour refers to are not there.",
        "Look for the image, or for the series.",
    ),
    "frame_without_geometry": Reason(
        "Contours are in millimetres, and their image does not say where it lies.",
        "Export the image with its position, orientation and pixel spacing.",
    ),
    "roi_without_contours": Reason(
        "The ROI has no contours.",
        "Nothing to do if it is not needed; else draw it.",
        fault=False,
    ),
    "roi_of_points": Reason(
        "The ROI consists of points.",
        "Nothing to do if they are markers; else draw outlines.",
        fault=False,
    ),
    "roi_not_closed": Reason(
        "None of the ROI's contours is closed.",
        "Nothing to do if they are paths or markers; else close them.",
        fault=False,
    ),
    "roi_number_twice": Reason(
        "Two ROIs have one ROI Number (3006,0022), so their contours cannot be told "
        "apart.",
        "Export the structure set again.",
    ),
    "roi_without_number": Reason(
        "The ROI has no ROI Number (3006,0022), so no contours belong to it.",
        "Export the structure set again.",
    ),
    "roi_not_described": Reason(
        "Contours belong to an ROI that is not described.",
        "Export the structure set again.",
    ),
    "roi_not_placed": Reason(
        "None of the ROI's contours lies on an image: it has no mask at all.",
        "See the contours' own lines.",
    ),
    "roi_images_missing": Reason(
        "None of the images that the ROI's contours refer to is there.",
        "Look for the series that was contoured.",
    ),
    "rtstruct_without_rois": Reason(
        "The structure set describes no ROI.", "Export it again."
    ),
    "rtstruct_changed": Reason(
        "The file of the contours changed while it was converted.", "Convert it again."
    ),
    "image_unusable": Reason(
        "The image that the contour belongs to was not converted.",
        "See the image's own line.",
    ),
    "image_left_out": Reason(
        "The image that the annotation belongs to was left out by a policy.",
        "See the image's own line.",
        fault=False,
    ),
    "no_usable_contour": Reason(
        "None of the contours of this image could be used.",
        "See the contours' own lines.",
    ),
    "class_incomplete": Reason(
        "Contours exist, but no class has all the structures that it needs.",
        "Add the missing contours, or a class that does without them.",
        fault=False,
    ),
    "file_unreadable": Reason(
        "The file is there and cannot be opened.",
        "Look for a broken link, or for missing rights.",
    ),
    "not_dicom": Reason(
        "The file is not DICOM, or its header cannot be read.",
        "Export it again; 'dcmdump' of DCMTK shows where it breaks.",
    ),
    "object_truncated": Reason(
        "The file ends before its content does: it was cut short, perhaps by a copy "
        "that was stopped.",
        "Copy or export it again; the terminal says where it ends.",
    ),
    "header_invalid": Reason(
        "A value of the header cannot be read.",
        "Mend the element, or export the image again.",
    ),
    "no_pixel_data": Reason(
        "The DICOM object holds no pixels.",
        "If it should be an image, export it again; else take the object out of the "
        "input folder.",
    ),
    "pixels_unreadable": Reason(
        "The pixel data cannot be decoded: truncated, damaged or of an unknown kind.",
        "Export the image again, uncompressed if possible.",
    ),
    "pixels_unsupported": Reason(
        "The pixel data is of a kind that records do not hold.",
        "Frames of one or three samples, up to 32 bits, are read.",
    ),
    "not_an_image": Reason(
        "The DICOM object is of a kind that holds no image: a report, a plan, a state.",
        "Nothing to do.",
        fault=False,
    ),
    "frame_too_large": Reason(
        "The header claims more pixels than --max_frame_pixels allows.",
        "If the image is that large, give a larger --max_frame_pixels; else export it "
        "again.",
    ),
    "color_image": Reason(
        "The image is in color, and --color=refuse leaves such images out.",
        "Give --color=convert to store it as RGB.",
        fault=False,
    ),
    "transfer_syntax_unsupported": Reason(
        "Nothing decodes the pixel data's Transfer Syntax (0002,0010).",
        "Export the image again, uncompressed if possible.",
    ),
    "decoder_missing": Reason(
        "The library that decodes the pixel data's Transfer Syntax is not installed.",
        "Run: python -m pip install python-gdcm pylibjpeg-openjpeg pylibjpeg-rle "
        "pyjpegls.",
    ),
    "decoder_crashed": Reason(
        "Decoding the pixel data crashed the decoder: the data is damaged.",
        "Export the image again, uncompressed if possible.",
    ),
    "decoder_hung": Reason(
        "Decoding the pixel data took too long, and was stopped.",
        "Export the image again, uncompressed if possible.",
    ),
    "decoder_out_of_memory": Reason(
        "Decoding the pixel data took more memory than a decoder may have.",
        "Export the image again, uncompressed, or in several files.",
    ),
    "no_instance": Reason(
        "The image has no SOP Instance UID (0008,0018).", "Export it again."
    ),
    "duplicate_instance": Reason(
        "Another file has the same SOP Instance UID (0008,0018).",
        "Leave one of the two in the input folder.",
    ),
    "mask_without_image": Reason(
        "No image goes with the mask by its name, or by the table.",
        "Look for the image, name the pair in --mask_table, or give --mask_pattern.",
    ),
    "two_images_for_mask": Reason(
        "The mask's name goes with several images.",
        "Name the pair in --mask_table, or give --image_pattern and --mask_pattern.",
    ),
    "two_masks_for_image": Reason(
        "The names of several masks go with one image, and nothing tells them apart.",
        "Name them in --mask_table, or give --mask_pattern with {class}.",
    ),
    "mask_missing": Reason(
        "The table names a mask that is not in the input folder.",
        "Mend the path in --mask_table; it is relative to the table or to --input_dir.",
    ),
    "image_missing": Reason(
        "The table names an image that is not in the input folder.",
        "Mend the path in --mask_table; it is relative to the table or to --input_dir.",
    ),
    "mask_unreadable": Reason(
        "The mask cannot be decoded: truncated, damaged or of another format.",
        "Save the mask again.",
    ),
    "mask_unsupported": Reason(
        "The mask is of a kind whose values cannot be told for sure.",
        "Save it as a grey or palette PNG, a TIFF, or a NumPy array of whole numbers.",
    ),
    "mask_lossy": Reason(
        "The mask is in a format that changes values.",
        "Save the mask as PNG or TIFF; one that went through JPEG has lost its edges.",
    ),
    "mask_colored": Reason(
        "The mask holds colours, or transparency, instead of values.",
        "Save it as a grey or palette image, one value for each class.",
    ),
    "mask_values_invalid": Reason(
        "The mask's values are not whole numbers from 0.",
        "Save labels; probabilities want a threshold first.",
    ),
    "mask_too_many_values": Reason(
        "The mask has more than 255 values: it looks like an image.",
        "If it is a mask, give --mask_values, or the column class of --mask_table.",
    ),
    "mask_value_not_mapped": Reason(
        "The mask has values that --mask_values does not name.",
        "Name them in --mask_values to use them.",
        fault=False,
    ),
    "mask_axes_unclear": Reason(
        "It is not clear which axes of the array are rows, columns and classes.",
        "Save [rows, columns] with one value for each class, or [frames, rows, columns,"
        " classes].",
    ),
    "mask_too_large": Reason(
        "The mask is too large to be decoded.",
        "Look for a damaged header; masks over 1 GiB have to be split.",
    ),
    "mask_size_differs": Reason(
        "The mask has other rows or columns than its image.",
        "Save the mask on the pixels of its image.",
    ),
    "mask_pages_differ": Reason(
        "The mask has not one page for each frame of its image.",
        "Save a TIFF of as many pages, or an array [frames, rows, columns, classes].",
    ),
    "mask_of_several_studies": Reason(
        "The images that the mask goes with are of several studies or patients.",
        "Give each study a mask of its own.",
    ),
    "mask_geometry_missing": Reason(
        "The volume does not say where it lies.",
        "Set its sform or qform to the place of its images.",
    ),
    "mask_off_images": Reason(
        "No series has images on the volume's grid.",
        "Name its images in --mask_table: they take the nearest voxels then.",
    ),
    "mask_too_small": Reason(
        "Images reach over the edge of the volume, where nothing is known.",
        "Save the volume at the size of its series.",
    ),
    "mask_series_unclear": Reason(
        "Several series have images on the volume's grid.",
        "Name one of its images, or its folder, in --mask_table.",
    ),
    "mask_frames_unclear": Reason(
        "Several images of the series lie in one place of the volume, as phases do.",
        "Name those that were annotated in --mask_table.",
    ),
    "nifti_not_installed": Reason(
        "NIfTI files are read with nibabel, which is not installed.",
        "Run: python -m pip install 'tfdicom[nifti]'.",
    ),
    "burned_in": Reason(
        "Burned In Annotation (0028,0301) is YES: names may stand in the pixels.",
        "Remove the text from the pixels first.",
    ),
    "pixel_text_risk": Reason(
        "The image is of a kind that often has text in its pixels: a secondary "
        "capture, a picture of a screen, ultrasound, a photograph, a scanned document.",
        "Look whether names stand in the pixels; --allow_pixel_text_risk converts "
        "such images.",
        fault=False,
    ),
    "seg_malformed": Reason(
        "An element that the segmentation needs is missing or makes no sense.",
        "Export the segmentation again; the terminal names the element.",
    ),
    "seg_unsupported": Reason(
        "The segmentation is of a kind that is not read.",
        "Segmentations of planes, in a little endian transfer syntax, are read.",
    ),
    "seg_unreadable": Reason(
        "The segmentation cannot be read by highdicom.",
        "Export it again; 'dciodvfy' shows where it breaks the Standard.",
    ),
    "seg_frames_differ": Reason(
        "The number of frames is not the number of their descriptions.",
        "Export the segmentation again.",
    ),
    "seg_frame_without_segment": Reason(
        "A frame does not say of which segment it is.",
        "Export the segmentation again.",
    ),
    "seg_pixels_too_short": Reason(
        "The pixel data is shorter than the frames need.",
        "Copy or export the segmentation again.",
    ),
    "seg_segment_twice": Reason(
        "Two descriptions have one segment number.", "Export the segmentation again."
    ),
    "seg_segment_not_described": Reason(
        "A frame is of a segment that is not described.",
        "Export the segmentation again.",
    ),
    "seg_without_image": Reason(
        "None of the images that the segmentation may mean is there.",
        "Look for the series that it refers to.",
    ),
    "seg_image_missing": Reason(
        "The image that a frame refers to is not there.",
        "Look for the image.",
    ),
    "seg_geometry_invalid": Reason(
        "Position, orientation or spacing of a frame are incomplete or make no sense.",
        "Export the segmentation again; the terminal names the element.",
    ),
    "seg_frame_elsewhere": Reason(
        "A frame does not lie on the image that it refers to.",
        "See which is right, the reference or the position, and export it again.",
    ),
    "seg_frame_ambiguous": Reason(
        "Several images may be meant by a frame, and it does not say which.",
        "Export the segmentation with a reference to the source image in each frame.",
    ),
    "seg_other_size": Reason(
        "A frame without a position has another size than the image it refers to.",
        "Export the segmentation again on the grid of its image.",
    ),
    "seg_other_frame_of_reference": Reason(
        "A frame on another grid has another Frame of Reference than the images.",
        "Resample the segmentation to its images, or register the two.",
    ),
    "seg_on_no_image": Reason(
        "A frame lies on no image.",
        "Look for images that are missing.",
    ),
    "seg_between_images": Reason(
        "A frame lies between two images, and neither takes pixels from it.",
        "Nothing to do.",
        fault=False,
    ),
    "seg_fractional_without_threshold": Reason(
        "The segmentation holds fractions, and nothing says from which on a pixel is "
        "in.",
        "Give --fractional_threshold, a part of the largest value, as 0.5.",
    ),
}


class InputSkipped(Exception):  # noqa: N818 - a decision about an input, not a defect
    """This input is skipped, for this reason code.

    Attributes:
      code: A key of ``REASONS``.
      detail: What exactly was found; shown on the terminal, never written to a file.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        """Refuses a code that is not in the table."""
        super().__init__(code, detail)
        self.code, self.detail = code, detail
        if code not in REASONS:
            raise KeyError(f"no reason code {code!r}")

    def __str__(self) -> str:
        """The sentence, and the detail if there is one."""
        sentence = REASONS[self.code].sentence
        return f"{sentence} ({self.detail})" if self.detail else sentence


#: What was odd about an input that was converted all the same.
FINDINGS = {
    "annotated_again": "An older object annotates the same structure on the image.",
    "contour_leaves_image": "The contour leaves the image; what is outside is cut off.",
    "contour_crosses_itself": "The contour crosses itself; it is filled even-odd.",
    "contours_duplicate": "A contour is there twice; it was taken once.",
    "contours_near_duplicate": (
        "A contour over 80 % as large as the one around it; it was taken for no hole."
    ),
    "contours_overlap": "Contours of one structure overlap in part; both were taken.",
    "roi_gap": (
        "Slices between two with contours have none; they count as not annotated."
    ),
    "modality_lut": "The image has a Modality LUT; it is not applied to stored values.",
    "text_left_out": (
        "Modality, units, manufacturer or model is no text that is known to name "
        "nobody; it was not stored."
    ),
    "geometry_invalid": "Orientation or spacing make no sense; stored as absent.",
    "mask_resampled": "The volume is on another grid; the nearest voxel was taken.",
    "mask_two_places": "The volume's sform and qform differ; the sform was taken.",
    "seg_resampled": (
        "The segmentation is on another grid; the nearest pixel was taken."
    ),
    "seg_value_not_described": "A label map holds values that no segment has.",
    "contour_far_from_edge": (
        "The contour follows no edge of the image: is it another image's?"
    ),
    "structure_not_inside": (
        "The structure lies partly outside of the one that should hold it."
    ),
    "contour_duplicate": "Two structures, or two contours of one, have the same mask.",
    "area_jumps": "The area of the structure jumps between neighbouring slices.",
    "annotation_gap": (
        "Slices after this one lack the structure, and later ones have it."
    ),
    "orientation_differs": (
        "Images of one series differ in Image Orientation (0020,0037)."
    ),
}
